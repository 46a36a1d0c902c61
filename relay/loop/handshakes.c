/* relay/loop/handshakes.c - how handshakes of TLS ended, counted */
#include "relay/loop/handshakes.h"

#include <openssl/ssl.h>

static void count(_Atomic uint64_t *number)
{
	atomic_fetch_add_explicit(number, 1, memory_order_release);
}

void handshakes_add(struct handshakes *handshakes, const struct ssl_st *tls)
{
	enum handshake_version version = SSL_version(tls) >= TLS1_3_VERSION ? HANDSHAKE_TLS_1_3
									    : HANDSHAKE_TLS_1_2;

	/* In this order, and read in the other: there are never more resumed than done. */
	count(&handshakes->done[version]);
	if (SSL_session_reused(tls) == 1)
		count(&handshakes->resumed[version]);
}

void handshakes_add_failed(struct handshakes *handshakes)
{
	count(&handshakes->failed);
}

void handshakes_read(const struct handshakes *handshakes, struct handshakes_view *view_out)
{
	for (int i = 0; i < HANDSHAKE_VERSIONS; i++) {
		view_out->resumed[i] = atomic_load(&handshakes->resumed[i]);
		view_out->done[i] = atomic_load(&handshakes->done[i]);
	}
	view_out->failed = atomic_load(&handshakes->failed);
}

uint64_t handshakes_done(const struct handshakes_view *view)
{
	uint64_t done = 0;

	for (int i = 0; i < HANDSHAKE_VERSIONS; i++)
		done += view->done[i];
	return done;
}
