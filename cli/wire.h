/* cli/wire.h - a connection to the relay's SMTP port, in the clear or by TLS; it blocks */
#ifndef STAGEPOST_CLI_WIRE_H
#define STAGEPOST_CLI_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

/*
 * Connect to "host:port", "[IPv6]:port" or "unix:/path"; 0.0.0.0 and [::] mean
 * this machine. ERR_SYNTAX: no such form; ERR_IO. The caller owns *fd_out.
 */
int wire_connect(const char *address, int *fd_out, struct err *why);
/* The host of such an address, which its certificate must name: localhost for a socket's path. */
#define WIRE_HOST_SIZE 256
void wire_host(const char *address, char host_out[WIRE_HOST_SIZE]);

/* Embedded. */
struct wire {
	int fd;
	struct ssl_st *tls;	    /* private; NULL: in the clear */
	struct ssl_ctx_st *context; /* private */
};

/* `fd` is the wire's from now on. */
void wire_init(struct wire *wire, int fd);
/* Both directions: how long one of the calls below may wait. */
void wire_set_patience(const struct wire *wire, int seconds);

/*
 * TLS 1.2 or better from now on. The certificate must name `host` (a name or
 * an address) and be signed by one in `ca_file`, or with NULL by one that the
 * system trusts. ERR_IO, ERR_TIMEOUT; then the wire is good for nothing.
 */
int wire_secure(struct wire *wire, const char *host, const char *ca_file, struct err *why);
/* Nobody else hears what is said: TLS, or the peer is on this machine. */
bool wire_is_private(const struct wire *wire);

/* At least one octet. ERR_CLOSED, ERR_TIMEOUT, ERR_IO. */
int wire_receive(struct wire *wire, char *bytes_out, size_t max, size_t *len_out, struct err *why);
/* All of them. ERR_TIMEOUT, ERR_IO. */
int wire_send(struct wire *wire, struct span bytes, struct err *why);

void wire_close(struct wire *wire);

#endif
