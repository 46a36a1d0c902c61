/* relay/loop/stream.h - a buffered two-way byte stream on a loop: socket now, TLS under the same
 * face */
#ifndef STAGEPOST_RELAY_LOOP_STREAM_H
#define STAGEPOST_RELAY_LOOP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "relay/loop/loop.h"

struct stream;
struct ssl_ctx_st;     /* OpenSSL's SSL_CTX */
struct ssl_session_st; /* OpenSSL's SSL_SESSION */
struct ssl_st;	       /* OpenSSL's SSL */

/*
 * Callbacks run in the loop thread, never from inside a stream_* call. Any of
 * them may call stream_free: the stream looks at nothing of itself afterwards.
 */
struct stream_ops {
	/*
	 * New bytes are in stream_input(). What is not consumed stays; the
	 * callback comes again when more arrives, or after stream_resume().
	 */
	void (*on_input)(void *ctx);
	/* The output fell to or below low_water after having been above it. May be NULL. */
	void (*on_drained)(void *ctx);
	/*
	 * The peer closed its side (ERR_CLOSED), the socket failed (ERR_IO), a
	 * deadline passed (ERR_TIMEOUT) or TLS failed (ERR_IO, also an end
	 * without close_notify). Comes at most once; input that was there before
	 * is still in stream_input(), nothing more is read. The owner frees the
	 * stream, or after ERR_CLOSED and ERR_TIMEOUT writes a last word and
	 * stream_close()s it. A paused stream does not see the peer's end until
	 * it is resumed. When a write fails, what the peer had sent before is
	 * read first.
	 */
	void (*on_end)(void *ctx, int code, const char *why);
	/* The TLS handshake is done. May be NULL. */
	void (*on_secured)(void *ctx);
};

struct stream_options {
	size_t input_max;  /* stop reading the socket while this much is unconsumed; 0: 64 KiB */
	size_t output_max; /* stream_write fails with ERR_LIMIT beyond it; 0: 256 KiB */
	size_t low_water;  /* for on_drained; 0: output_max / 4 */
	int64_t write_deadline_ms; /* the peer must take *some* bytes in this time; 0: 5 minutes */
};

/*
 * Takes the descriptor (made non-blocking, TCP_NODELAY when it is TCP). Reading
 * starts at once. All calls: in the loop's thread, or while the loop does not run.
 */
struct stream *stream_new(struct loop *loop, int fd, const struct stream_options *options,
			  const struct stream_ops *ops, void *ctx);
/*
 * Connect and then behave as above; on_connected (ops given here) instead of
 * accept. `address` is a struct sockaddr. ERR_IO at once is possible.
 */
int stream_connect(struct loop *loop, const void *address, size_t address_len, const void *source,
		   size_t source_len, int64_t deadline_ms, const struct stream_options *options,
		   const struct stream_ops *ops, void *ctx, void (*on_connected)(void *ctx),
		   struct stream **stream_out, struct err *why);
/* Close at once; unsent output is lost. */
void stream_free(struct stream **stream);
/*
 * Send what is written, shut down the writing side, then drop input until the
 * peer closes or `linger_ms` passes, then free. The owner forgets the stream
 * now; no callback comes any more.
 */
void stream_close(struct stream **stream, int64_t linger_ms);

/* Unconsumed input. Valid until the next stream_* call or return to the loop. */
struct span stream_input(const struct stream *stream);
void stream_consume(struct stream *stream, size_t len);
/* The same, and nothing of them stays in the stream's memory. */
void stream_consume_secret(struct stream *stream, size_t len);

/*
 * Collected and written once per loop turn (gathered). ERR_OK, or ERR_LIMIT:
 * nothing of it was taken.
 */
int stream_write(struct stream *stream, struct span bytes);
size_t stream_output_pending(const struct stream *stream);
/* Room left under output_max. */
size_t stream_output_room(const struct stream *stream);
/* Octets that have not been sent to the peer yet: pending, and in the kernel as far as it tells. */
size_t stream_unsent(const struct stream *stream);
/* stream_free() then takes back what the kernel has not sent, instead of sending it afterwards. */
void stream_reset_on_close(struct stream *stream);
/*
 * Acknowledge what has come at once, instead of with what is said next: for a
 * peer that holds its next small packet back until then (RFC 896; RFC 9293
 * 3.7.4). Once; nothing where there is no TCP.
 */
void stream_acknowledge(struct stream *stream);

/* Stop and go on reading the socket (back-pressure). resume calls on_input again if input waits. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/*
 * A total deadline for what the owner is waiting for now (a command line, a
 * reply); it does not move when bytes trickle in. 0 takes it away.
 */
void stream_deadline(struct stream *stream, int64_t after_ms);

/*
 * Start TLS as the server. Plaintext input still unconsumed is thrown away
 * first (RFC 3207 4.2, CVE-2011-0411) and its length returned in
 * *discarded_out (may be NULL).
 */
int stream_start_tls(struct stream *stream, struct ssl_ctx_st *context, int64_t handshake_ms,
		     size_t *discarded_out, struct err *why);
/* What a client brings along; all of it is borrowed for the call. */
struct stream_tls_client {
	struct ssl_ctx_st *context;
	/*
	 * A host name (for SNI and the certificate: RFC 6066 3, RFC 9525) or an address (for
	 * the certificate only). Without a verify mode in the context it is only told.
	 */
	const char *name;
	struct ssl_session_st *session; /* to resume; NULL: none */
	void *app_data;			/* SSL_get_app_data() for callbacks of the context */
	int64_t handshake_ms;
};
/* The same as the client. */
int stream_start_tls_as_client(struct stream *stream, const struct stream_tls_client *client,
			       size_t *discarded_out, struct err *why);
/*
 * Implicit TLS behind something in clear (PROXY), as a server: input still
 * unconsumed is the beginning of the client's handshake. Nothing may have been written.
 */
int stream_take_tls(struct stream *stream, struct ssl_ctx_st *context, int64_t handshake_ms,
		    struct err *why);
/*
 * Straight after stream_start_tls: the last words in clear, sent before the
 * handshake (the 220 of STARTTLS, once nothing can prevent TLS any more).
 */
int stream_write_clear(struct stream *stream, struct span bytes);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384" or NULL in clear. */
const char *stream_tls_description(const struct stream *stream);
/* For looking at certificates once secured; NULL in clear. Borrowed; no I/O on it. */
struct ssl_st *stream_tls(const struct stream *stream);

/* Bytes read from and written to the socket since the start. */
uint64_t stream_bytes_in(const struct stream *stream);
uint64_t stream_bytes_out(const struct stream *stream);
/* "127.0.0.1:2525", "[::1]:25", "unix:/path". */
#define STREAM_NAME_SIZE 128
void stream_peer_name(const struct stream *stream, char text_out[STREAM_NAME_SIZE]);
/* Our own end. */
void stream_own_name(const struct stream *stream, char text_out[STREAM_NAME_SIZE]);

#endif
