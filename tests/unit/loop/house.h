/* tests/unit/loop/house.h - a server's stream that does TLS, and a client in the test's hand */
#ifndef STAGEPOST_TESTS_UNIT_LOOP_HOUSE_H
#define STAGEPOST_TESTS_UNIT_LOOP_HOUSE_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/loop/certificate.h"
#include "tests/unit/loop/rig.h"

#define HOUSE_NAME "relay.test.example"

/* A loop, a certificate, and a server stream whose other end is in the test's hand. */
struct house {
	struct loop *loop;
	struct certificate certificate;
	SSL_CTX *server;
	SSL_CTX *client;
	struct rig_stream rig;
	int fds[2];
	int64_t handshake_ms;
	size_t discarded;
};

/* With a certificate for HOUSE_NAME, or for `names`; what `rig` shall do is set before. */
void house_build(struct house *house);
void house_build_with(struct house *house, const char *names);
void house_tear_down(struct house *house);

/* Begin TLS as the server, with the house in rig->arg; and the same for rig_run(). */
void house_start_tls(struct rig_stream *rig);
void house_start_tls_now(void *arg);
/* For on_input: what came is sent back, as much of it as there is room for. */
void house_echo(struct rig_stream *rig);

/* The client; the caller frees it. */
SSL *house_meet_client(struct house *house);
void house_send(SSL *tls, const char *text);
/* Read exactly the text, or fail. */
void house_expect(SSL *tls, const char *text);

#endif
