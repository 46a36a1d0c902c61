/* relay/loop/handshakes.h - how handshakes of TLS ended, counted */
#ifndef STAGEPOST_RELAY_LOOP_HANDSHAKES_H
#define STAGEPOST_RELAY_LOOP_HANDSHAKES_H

#include <stdatomic.h>
#include <stdint.h>

struct ssl_st; /* OpenSSL's SSL */

enum handshake_version { HANDSHAKE_TLS_1_2, HANDSHAKE_TLS_1_3 }; /* nothing older is spoken */
#define HANDSHAKE_VERSIONS (HANDSHAKE_TLS_1_3 + 1)

/* Any thread adds, any thread reads. Embedded; zeroed is empty. */
struct handshakes {
	_Atomic uint64_t done[HANDSHAKE_VERSIONS];
	_Atomic uint64_t resumed[HANDSHAKE_VERSIONS]; /* of them, with an earlier session */
	_Atomic uint64_t failed;
};

struct handshakes_view {
	uint64_t done[HANDSHAKE_VERSIONS];
	uint64_t resumed[HANDSHAKE_VERSIONS];
	uint64_t failed;
};

/* It is done. */
void handshakes_add(struct handshakes *handshakes, const struct ssl_st *tls);
void handshakes_add_failed(struct handshakes *handshakes);
void handshakes_read(const struct handshakes *handshakes, struct handshakes_view *view_out);
/* Of all versions. */
uint64_t handshakes_done(const struct handshakes_view *view);

#endif
