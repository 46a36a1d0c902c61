/* tests/unit/deliver/rig.h - a store, a list, loops and delivery, around a scripted next hop */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_RIG_H
#define STAGEPOST_TESTS_UNIT_DELIVER_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "queue/reader.h"
#include "queue/store.h"
#include "relay/deliver/deliver.h"
#include "relay/filter/policy.h"
#include "relay/filter/whitelist.h"
#include "relay/loop/loop.h"
#include "tests/unit/deliver/nexthop.h"

#define RIG_WAIT_MS	   20000
#define RIG_RECIPIENTS_MAX 300 /* of one message */

struct rig {
	char folder[64];
	struct store *store;
	struct store_reader *reader;
	struct whitelist *list;
	struct loop *loops[2];
	struct nexthop *hop;
	const char *host;
	int64_t schedule[1];
	struct route_options route;
	struct delivery_options options;
	struct policy_options policy;
	int64_t lease_ms; /* deliver_env's */
	struct deliver *deliver;
	pthread_mutex_t gate;	    /* keeps on_due apart from deliver_stop */
	struct arena *arena;	    /* of what rig_recipient returned last */
	bool own;		    /* the next hop is one of our own listeners */
	const char *client;	    /* who hands in what is accepted from now on; NULL: 127.0.0.1 */
	bool body_8bit, smtputf8;   /* said of the messages that are accepted from now on */
	int64_t age_ms;		    /* so long ago they were accepted */
	const char *fault, *notify; /* and of their recipients; */
	const char *fault_for;	    /* of this one only, NULL: of all */
};

/* Everything but delivery itself; change rig->route and rig->options, then rig_deliver. */
void rig_open(struct rig *rig, const struct nexthop_step *steps, size_t count, const char *ehlo);
void rig_deliver(struct rig *rig);
/* Both at once. */
void rig_start(struct rig *rig, const struct nexthop_step *steps, size_t count, const char *ehlo);
void rig_stop_delivery(struct rig *rig, int64_t grace_ms);
void rig_stop(struct rig *rig);

/* What the store has now; NULL patterns end. The list holds domain ok.test at first. */
void rig_list(struct rig *rig, const char *const *domains);

/* Accept a message as an intake does. Recipients end with NULL. */
struct ulid rig_accept(struct rig *rig, const char *sender, const char *const *recipients,
		       const char *bytes, size_t len);
/* The usual one-line message for one recipient. */
struct ulid rig_accept_plain(struct rig *rig, const char *recipient);
/* One from <> for ann@ok.test. */
struct ulid rig_accept_bytes(struct rig *rig, const char *bytes, size_t len);
/* Starts with this step, one at AT_BODY, and accepts such a message; returns once it is there. */
struct ulid rig_start_in_body(struct rig *rig, const struct nexthop_step *step, const char *bytes,
			      size_t len);
/* A message of `len` octets, a multiple of 64. */
void rig_fill_lines(char *bytes, size_t len);

/* The recipient as stored now; valid until the next call. */
const struct recipient_view *rig_recipient(struct rig *rig, const struct ulid *id,
					   const char *address);
/* Waits for the state; fails the test when it does not come. */
const struct recipient_view *rig_await(struct rig *rig, const struct ulid *id, const char *address,
				       enum state state);
/* Accepts the usual message for `recipient` and waits for its state. */
const struct recipient_view *rig_send(struct rig *rig, const char *recipient, enum state state);
/* What there is, newest first, up to a hundred; valid until the next call. Returns how many. */
size_t rig_messages(struct rig *rig, struct message_view **views_out);
/* How often the one recipient there is was in doubt; with delivery stopped. -1: there is none. */
int rig_in_doubt(struct rig *rig);
/* The usual message comes to the state, and the reason holds `words`. */
void rig_expect(struct rig *rig, const char *recipient, enum state state, const char *words);
/* The usual message is delivered within so many milliseconds. */
void rig_expect_quick(struct rig *rig, const char *recipient, int64_t limit_ms);

/* An address that never answers: a queue full of connections that nobody accepts. */
struct black_hole {
	int fd, fillers[4];
	int port;
};
/* port 0: any. */
void black_hole_open(struct black_hole *hole, const char *address, int port);
void black_hole_close(struct black_hole *hole);

#endif
