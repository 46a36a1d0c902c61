/* tests/unit/deliver/dialer.h - an uplink that dials one next hop with TLS, again and again */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_DIALER_H
#define STAGEPOST_TESTS_UNIT_DELIVER_DIALER_H

#include "relay/deliver/hop_tls.h"
#include "relay/deliver/keyring.h"
#include "relay/deliver/resolve.h"
#include "relay/filter/whitelist.h"
#include "tests/unit/deliver/authority.h"
#include "tests/unit/deliver/bell.h"
#include "tests/unit/deliver/nexthop.h"

#define DIALER_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DIALER_OFFERS	"PIPELINING\nSTARTTLS"

/* One route, one next hop, as many dials as wanted. */
struct dialer {
	char folder[64], ca_file[96], crt_file[96], key_file[96];
	struct issued ca;
	struct issued shown; /* by the next hop */
	struct loop *loop;
	struct whitelist *list;
	struct resolver *resolver;
	struct nexthop *hop;
	SSL_CTX *server;
	char address[64];
	const char *host; /* of the route */
	struct route_options route;
	struct hop_tls *tls;
	const char *tls_why;
	struct keyring *keyring;
	struct key *key; /* NULL: no login */

	/* the last dial */
	struct bell bell;
	bool opened, closed;
	int code;
	char why[256];
	char facts[HOP_TLS_FACTS_SIZE];
};

/* A trusted signer and a route that requires TLS; change it, then dialer_start. */
void dialer_init(struct dialer *r);
/* The next hop, reached as `name`, with the certificate that was asked for. */
void dialer_serve(struct dialer *r, const struct request *request, const char *name,
		  const struct nexthop_step *steps, size_t count, const char *ehlo);
/* The usual one: for localhost, by the trusted signer. */
void dialer_start(struct dialer *r, const struct nexthop_step *steps, size_t count,
		  const char *ehlo);
/* As a reload does: the files are read, and nothing of before is known. */
void dialer_make_tls(struct dialer *r);
/* From open to ready or not, and closed again: code, why and facts tell. */
void dialer_dial(struct dialer *r);
void dialer_dial_anew(struct dialer *r);
/* The last dial got through and the facts hold `words`, or it did not and the reason does. */
void dialer_expect(const struct dialer *r, bool open, const char *words);
void dialer_end(struct dialer *r);

#endif
