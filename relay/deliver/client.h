/* relay/deliver/client.h - who handed a message in, as a next hop may be told of it */
#ifndef STAGEPOST_RELAY_DELIVER_CLIENT_H
#define STAGEPOST_RELAY_DELIVER_CLIENT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "queue/delivery.h"

#define CLIENT_ADDRESS_SIZE 64

/*
 * The original client (PROXY, XCLIENT): facts of the session that are stored
 * with the message. A plain value; "" and 0 stand for what is not known.
 */
struct client {
	char address[CLIENT_ADDRESS_SIZE]; /* numeric; "" for unix sockets, the API, and mail of our
					      own */
	int port;
	char name[256]; /* somebody has vouched for it */
	char helo[256];
	char user[256];	    /* who logged in */
	char protocol[16];  /* RFC 3848: "ESMTPSA" */
	char listener[128]; /* "127.0.0.1:25", where it came in as configured */
};

void client_of(const struct claimed_message *message, struct client *client_out);
/* Without an address there is nobody to tell of. */
bool client_is_known(const struct client *client);
/*
 * Equal for equal clients, different for others; "" for those who are not
 * known. Two clients never share a connection on which one was told of.
 */
#define CLIENT_KEY_SIZE 1024
void client_key(const struct client *client, char key_out[CLIENT_KEY_SIZE]);

/* Where it comes from. False: not known. */
bool client_source(const struct client *client, struct sockaddr_storage *out);
/*
 * Where it came in: the listener's address and port. Where the listener takes
 * any address, or is no TCP, `own` ("127.0.0.1:4711") says which of ours to
 * name; without one the source's family decides.
 */
void client_destination(const struct client *client, const char *own, struct sockaddr_storage *out);

/* "127.0.0.1:25" or "[::1]:25" as a socket address; port 0 is one, too. */
bool client_endpoint(const char *text, struct sockaddr_storage *out);
/* The other way: its numeric address, "" for the wildcard. Returns the port. */
int client_endpoint_parts(const struct sockaddr_storage *endpoint,
			  char address_out[CLIENT_ADDRESS_SIZE]);

#endif
