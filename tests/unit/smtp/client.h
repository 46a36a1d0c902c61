/* tests/unit/smtp/client.h - a front door on loopback, and a blocking client to knock at it */
#ifndef STAGEPOST_TESTS_UNIT_SMTP_CLIENT_H
#define STAGEPOST_TESTS_UNIT_SMTP_CLIENT_H

#include "base/buf.h"
#include "relay/smtp/listener.h"
#include "relay/wire/reply.h"

struct ssl_st;
struct ssl_ctx_st;

#define DOOR_LOOPS 2

/* A front on DOOR_LOOPS loops at a free port of 127.0.0.1. Change the options between init and
 * open. */
struct door_rig {
	struct smtp_options smtp;
	struct listener_options listener;
	struct smtp_settings settings;
	struct smtp_front_env env;
	struct loop *loops[DOOR_LOOPS];
	struct budget budget;
	struct smtp_front *front;
	int port;
};

void rig_init(struct door_rig *rig, const struct smtp_backend_ops *backend, void *backend_ctx,
	      const void *backend_options);
void rig_open(struct door_rig *rig);
/* Stops the front and the loops. */
void rig_close(struct door_rig *rig, int64_t grace_ms);

/* A connection; everything fails the test after some seconds. */
struct client {
	int fd;
	struct ssl_st *tls; /* NULL: in clear */
	struct buf input;
	struct reply_parser parser;
};

void client_open(struct client *client, const struct door_rig *rig);
/* The same, banner read and EHLO said. */
void client_greet(struct client *client, const struct door_rig *rig);
void client_close(struct client *client);
/* The same without a farewell: by RST. */
void client_reset(struct client *client);

/* The handshake, now; `name`: for SNI, or NULL. False: it failed. */
bool client_handshake(struct client *client, struct ssl_ctx_st *context, const char *name);
void client_send(struct client *client, struct span bytes);
void client_say(struct client *client, const char *text);
/* So many octets of text, in lines of 64. */
void client_send_lines(struct client *client, size_t size);
/* Read one reply: its code; the text is in client->parser.reply. -1: the connection ended. */
int client_code(struct client *client);
/* "250", or "501 5.5.4": code and enhanced code must be these. */
void client_expect(struct client *client, const char *want);
/* say, then expect. `command` without its CRLF. */
void client_ask(struct client *client, const char *command, const char *want);
/* The last reply has this line, its code left out. */
bool client_was_told(const struct client *client, const char *line);
/* EHLO, and its answer has it. */
bool client_offers(struct client *client, const char *keyword);
/* MAIL, RCPT for one recipient, DATA: up to the 354. */
void client_begin(struct client *client, const char *recipient);
/* The same, a subject, and it is taken. */
void client_send_mail(struct client *client, const char *recipient);
/* No reply is there and none comes within `ms`. */
void client_expect_silence(struct client *client, int ms);
/* The server closes without another reply. */
void client_expect_end(struct client *client);

/* Poll until it is true, 10 seconds at most. */
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		for (int wait_for = 0; wait_for < 2000 && !(condition); wait_for++)                \
			usleep(5000);                                                              \
		ck_assert(condition);                                                              \
	} while (0)

#endif
