/* queue/delivery.h - the verbs of delivery: claim, renew, settle, and when the next one is due */
#ifndef STAGEPOST_QUEUE_DELIVERY_H
#define STAGEPOST_QUEUE_DELIVERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/ulid.h"
#include "queue/message.h"
#include "queue/state.h"
#include "queue/store.h"

/* A recipient in the hands of a worker. `lease` fences: a late settle with an old lease is refused.
 */
struct claimed_recipient {
	int64_t id;
	int64_t lease;
	const char *address;
	int attempts;	       /* before this one */
	int in_doubt;	       /* how often a final dot went unanswered */
	int64_t waiting_since; /* accepted, or put back by a person: expire_after counts from here
				*/
	bool delay_told;       /* to the sender: it takes long */
	const char *notify;
	const char *orcpt;
	const char *fault; /* new_recipient.fault */
	enum permit permit;
	const char *hop;	/* new_recipient.hop */
	const char *login;	/* screen_outcome.login: a secret */
	bool released;		/* a person let it go: no rule holds it again */
	const char *let_out_by; /* the rule that let it leave when no entry did; NULL: none */
	/* how it came to wait: of the last attempt, or why it was put off; NULL and 0: nothing yet
	 */
	const char *last_reason;
	int last_code;
	const char *last_enhanced;
	const char *last_text;
	const char *last_kind;
};

/* One message with those of its recipients that were due. All memory is the claim's arena. */
struct claimed_message {
	struct ulid id;
	int64_t received_at;
	const char *sender;
	int64_t size;
	int64_t header_size;
	bool header_parsed;
	bool body_8bit;
	bool smtputf8;
	const char *envid;
	const char *ret;
	const char *scope;
	const char *received_field;
	const char *added_fields; /* NULL: none */
	const char *origin;
	const char *client_address;
	const char *client_name;
	int client_port;
	const char *helo;
	const char *user;
	const char *protocol; /* as in new_message, like listener */
	const char *listener;
	struct claimed_recipient *recipients;
	size_t recipient_count;
	int app;      /* who handed it in, as a small number: for taking turns */
	size_t order; /* private */
};

/*
 * Take up to `max_recipients` (at most 10,000) due recipients. When that is
 * all of them: oldest due first. When there are more: by turns between those
 * who handed them in, and then between their domains and senders, so that
 * nobody waits behind somebody else's flood; a part oldest first. A message that
 * would be cut by the limit is left for the next claim unless it is the first.
 * Cost does not depend on the length of the queue. Nothing due: ERR_OK with count 0.
 */
struct claim {
	struct store_job job; /* first */
	int64_t now;
	size_t max_recipients;
	bool whole;		 /* a message that does not fit is left even when it is the first */
	const struct ulid *only; /* of this message, due or not yet; NULL: of any */
	int64_t lease_ms;
	/* out, on ERR_OK: the caller owns the arena */
	struct arena *arena;
	struct claimed_message *messages;
	size_t message_count;
	int64_t next_due_at; /* when more will be due; INT64_MAX: nothing waits */
};
void queue_claim(struct store *store, struct store_job *job);

/* How one recipient's attempt ended. Borrowed strings. */
struct settlement {
	int64_t recipient;
	int64_t lease;
	/*
	 * TRANSITION_DELIVER, _DEFER, _FAIL, _DROP, _HOLD, _REDIRECT, _EXPIRE, _ASK or
	 * _UNCLAIM (counts no attempt and writes no history).
	 */
	enum transition outcome;
	int64_t next_attempt_at; /* for _DEFER and _UNCLAIM */
	/*
	 * For _UNCLAIM, or NULL: what it waits for, a name that queue_unpark knows.
	 * No claim finds it before next_attempt_at unless it is unparked.
	 */
	const char *parked;
	const char *reason;	     /* a sentence; for _UNCLAIM NULL leaves what is there */
	bool in_doubt;		     /* the final dot went unanswered */
	const char *kind;	     /* of trouble, a word: "timeout"; NULL: none */
	const struct ruling *ruling; /* the judgement made before the attempt, or NULL: unchanged */
	/*
	 * For _REDIRECT: who stands for it, judged itself. Not added where the
	 * message has that mailbox already. NULL, or with no room for it: it is dropped.
	 */
	const struct new_recipient *redirect;
	const char *route;
	const char *remote; /* "host[address]:port" or NULL */
	const char *tls;    /* what TLS there was, in words; NULL: none was asked for */
	int reply_code;	    /* 0: no reply */
	const char *reply_enhanced;
	const char *reply_text;
	bool delay_told; /* from now on; for every outcome */
	/* Of settle.reports the one that tells of it, counted from 1 in the order of the
	 * settlements; 0: none. */
	size_t report;
};

/* A message of our own that tells of outcomes: stored with them, in the same commit. */
struct settle_report {
	const struct new_message *message;
	struct body *body; /* at most BODY_CHUNK_BYTES; stays the caller's */
};

struct settle {
	struct store_job job; /* first */
	int64_t now;
	const struct settlement *settlements;
	size_t count;
	/*
	 * out: how many leases no longer held. Nothing was changed for them, but
	 * a late _DELIVER is the truth: it is recorded, and a recipient that
	 * nobody is working on becomes delivered.
	 */
	size_t lost;
	/*
	 * A report is stored when at least one of its outcomes was. One for which
	 * there is no room on the disk is left out, and counted: what became of
	 * the mail must be written down first.
	 */
	const struct settle_report *reports;
	size_t report_count;
	size_t unreported; /* out */
};
void queue_settle(struct store *store, struct store_job *job);

/*
 * `max` (at least 1) of what is parked becomes due, and the rest of the last of their
 * messages, in the order in which they were accepted: what is parked as `parked`; with NULL, what
 * is parked as anything that is not among `keep`. Fewer than `max`: there is no more. Cost is that
 * of what is found and of the number of names.
 */
struct unpark {
	struct store_job job; /* first */
	const char *parked;
	const char *const *keep;
	size_t keep_count;
	int64_t now;
	size_t max;
	size_t unparked; /* out */
};
void queue_unpark(struct store *store, struct store_job *job);

/*
 * How many recipients were offered to next hops, by minute of the wall clock; for
 * policy.breaker. SAVE adds `slots` to what is there for their minutes and forgets
 * what is older than a day before `now`; LOAD appends what is there to `slots`, room for
 * OFFERED_SLOTS_MAX; CLEAR forgets all.
 */
#define OFFERED_SLOTS_MAX (24 * 60 + 2)
struct offered_slot {
	int64_t minute; /* since 1970 */
	int64_t recipients;
};
struct offered {
	struct store_job job; /* first */
	enum { OFFERED_LOAD, OFFERED_SAVE, OFFERED_CLEAR } what;
	int64_t now;
	struct offered_slot *slots;
	size_t count;
};
void queue_offered(struct store *store, struct store_job *job);

struct renew {
	struct store_job job; /* first */
	int64_t until;
	const int64_t *recipients;
	const int64_t *leases;
	size_t count;
};
void queue_renew(struct store *store, struct store_job *job);

/*
 * Somebody set the clock by `by_ms`; it says `now`. What waits goes along with
 * it (S276): nothing expires because a day was skipped, and nothing waits a
 * day longer because it comes twice.
 */
struct shift {
	struct store_job job;
	int64_t by_ms;
	int64_t now;
};
void queue_shift(struct store *store, struct store_job *job);

#endif
