/* relay/loop/transport.h - bytes over one descriptor, in clear or in TLS; for relay/loop/ only */
#ifndef STAGEPOST_RELAY_LOOP_TRANSPORT_H
#define STAGEPOST_RELAY_LOOP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ssl_st;
struct ssl_ctx_st;
struct stream_tls_client;

/* Nothing here waits: a call says what it would wait for. */
enum transport_result {
	TRANSPORT_DONE,	      /* at least one byte moved, or the step is finished */
	TRANSPORT_WANT_READ,  /* go on when the descriptor is readable */
	TRANSPORT_WANT_WRITE, /* go on when it is writable */
	TRANSPORT_END,	      /* the peer said properly that no more will come */
	TRANSPORT_FAILED      /* `why` is set */
};

/* Owns the descriptor. Embedded in a stream. */
struct transport {
	int fd;
	struct ssl_st *tls;	      /* NULL in clear */
	char *description;	      /* set when the handshake is done */
	enum transport_result ending; /* met behind bytes that went out first; else DONE */
	char *ending_why;
	uint64_t fruitless_from; /* octets that had come in with the last octet for the owner */
	uint64_t clear_in;
	uint64_t clear_out;
};

void transport_init(struct transport *transport, int fd);
/* Closes the descriptor. */
void transport_release(struct transport *transport);

/*
 * Up to `room` bytes. In clear one system call; in TLS whole records until
 * `room` is full or the socket is empty. Bytes that came before an end or a
 * failure are handed out first: the next call tells the rest.
 */
enum transport_result transport_read(struct transport *transport, char *data, size_t room,
				     size_t *len_out, struct err *why);
/* Decrypted bytes, or an end, wait inside of TLS: the descriptor will not become readable for them.
 */
bool transport_has_pending(const struct transport *transport);
/* As many of `len` bytes as go; *len_out is set also when the result is not DONE. */
enum transport_result transport_write(struct transport *transport, const char *data, size_t len,
				      size_t *len_out, struct err *why);

/* Around TLS: what has to leave before the handshake begins. */
enum transport_result transport_write_clear(struct transport *transport, const char *data,
					    size_t len, size_t *len_out, struct err *why);

/* Later calls are TLS, as the server. */
int transport_start_tls(struct transport *transport, struct ssl_ctx_st *context, struct err *why);
int transport_start_tls_as_client(struct transport *transport,
				  const struct stream_tls_client *client, struct err *why);
/* After it: these octets were read in clear already and are the first ones of TLS. */
int transport_put_back(struct transport *transport, const char *data, size_t len, struct err *why);
enum transport_result transport_handshake(struct transport *transport, struct err *why);
/* close_notify when in TLS, then the end of our side. */
enum transport_result transport_shutdown(struct transport *transport);

uint64_t transport_bytes_in(const struct transport *transport);
uint64_t transport_bytes_out(const struct transport *transport);

#endif
