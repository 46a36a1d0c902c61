/* tests/unit/deliver/talker.h - an uplink, and a test that stands where libesmtp stands */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_TALKER_H
#define STAGEPOST_TESTS_UNIT_DELIVER_TALKER_H

#include <openssl/ssl.h>

#include "relay/deliver/hop_tls.h"
#include "relay/deliver/job.h"
#include "relay/deliver/uplink.h"
#include "relay/filter/policy.h"
#include "relay/filter/whitelist.h"
#include "tests/unit/deliver/bell.h"
#include "tests/unit/deliver/nexthop.h"

#define TALKER_WAIT_MS 10000

/* Everything one attempt needs, without scheduler, store and libesmtp. */
struct talker {
	struct loop *loop;
	struct whitelist *list;
	struct resolver *resolver;
	struct nexthop *hop;
	const char *host;
	struct route_options route;
	struct delivery_options options;
	struct policy_options policy;
	struct uplink *uplink;
	const char *sender; /* of jobs; NULL: <> */
	struct claimed_message message;
	struct claimed_recipient claimed[8];
	SSL_CTX *server_tls;
	struct hop_tls *tls;
	struct job *job;
	int fd; /* libesmtp's end */
	char said[8192];
	size_t said_len;

	struct bell bell;
	bool opened, done, alive, lost, closed, own;
	int open_code;
	char why[256];
};

/* Recipients; NULL ends them. */
extern const char *const talker_ann[], *const talker_ann_bob[];
/* The header as libesmtp sends it, which the uplink replaces. */
extern const char talker_stand_in[];

/* The list holds domain ok.test. Change t->route, then connect; talker_renew for other hosts. */
void talker_open(struct talker *t, const struct nexthop_step *steps, size_t count,
		 const char *ehlo);
/* A new uplink, for the route's first host and with TLS as they are now. */
void talker_renew(struct talker *t);
/* Waits for the answer: t->open_code, t->why. */
void talker_connect(struct talker *t);
/* Open and connected; must succeed. */
void talker_ready(struct talker *t, const struct nexthop_step *steps, size_t count,
		  const char *ehlo);
void talker_close(struct talker *t);

/* This pattern alone is allowed from now on; NULL: nothing is. */
void talker_list(struct talker *t, const char *pattern, enum entry_kind kind);

/* A job for the given addresses, as intake and the worker would make it. */
void talker_assign(struct talker *t, const char *const *addresses, const char *header,
		   int64_t body_size);
void talker_tell(struct talker *t, const char *text);
/* The same to an uplink that may be breaking off at this moment. */
void talker_tell_if_open(struct talker *t, const char *text);
/* Read replies until `text` was said; false at the end of the line. */
bool talker_hear(struct talker *t, const char *text);

/* The worker's part as libesmtp would play it: up to the answer to MAIL, … */
void talker_to_mail(struct talker *t);
/* … up to the 354, */
void talker_to_data(struct talker *t, const char *const *addresses);
/* or all of it: `body` is dot-stuffed. Waits until the uplink is through with it. */
void talker_to_end(struct talker *t, const char *const *addresses, const char *body);
/* A job for a message without a body, and all of its session. */
void talker_send_empty(struct talker *t, const char *const *addresses);

#endif
