/* relay/smtp/tls_server.h - what a listener shows in a TLS handshake, and asks of the client */
#ifndef STAGEPOST_RELAY_SMTP_TLS_SERVER_H
#define STAGEPOST_RELAY_SMTP_TLS_SERVER_H

#include "base/err.h"
#include "relay/smtp/smtp.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
/* Constant once made: any thread. It outlives the handshakes that use it. */
struct tls_server;

/*
 * Reads the listener's certificates; where it names none, the self-signed pair
 * of smtp_options. TLS 1.2 with ECDHE and AEAD only, and TLS 1.3. Nothing is
 * resumed: no tickets, no session cache, no early data. ERR_SYNTAX names the file.
 */
int tls_server_new(const struct listener_options *listener, const struct smtp_options *smtp,
		   struct tls_server **server_out, struct err *why);
void tls_server_free(struct tls_server **server);

/* The context a handshake starts with; by SNI it may go on with another. Borrowed. */
struct ssl_ctx_st *tls_server_context(const struct tls_server *server);

#endif
