/* queue/news.h - what happens in the relay, told as it happens: the events of the store's bus */
#ifndef STAGEPOST_QUEUE_NEWS_H
#define STAGEPOST_QUEUE_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bus.h"
#include "base/err.h"
#include "base/span.h"
#include "base/ulid.h"
#include "queue/state.h"
#include "queue/store.h"

enum news_kind {
	NEWS_ACCEPTED,	/* a message is stored */
	NEWS_VERDICT,	/* what was said of one of its recipients then; or of one refused at RCPT */
	NEWS_ATTEMPT,	/* a try to deliver to one ended */
	NEWS_STATE,	/* another state without a try: by a person, the hook, a judgement */
	NEWS_DELETED,	/* a message is gone, with its recipients */
	NEWS_WHITELIST, /* the list was changed */
	NEWS_RULE,
	NEWS_FAULT,
	NEWS_DELIVERY, /* it stands still, or goes on: all of it, or a route */
	NEWS_TOKEN     /* one was made or revoked */
};
#define NEWS_KINDS (NEWS_TOKEN + 1)

/* "accepted" … */
const char *news_kind_name(enum news_kind kind);
int news_kind_parse(struct span name, enum news_kind *kind_out);

/*
 * One event. What does not belong to its kind is 0 or NULL, and so is what
 * is not known. Texts are borrowed.
 */
struct news {
	enum news_kind kind;
	int64_t at;
	struct ulid message;
	bool has_message;
	int64_t size;			/* accepted */
	uint32_t count;			/* accepted: recipients; whitelist: lines of the change */
	int reply_code;			/* attempt */
	int64_t entry;			/* of the whitelist, that decided or is changed */
	int64_t revision;		/* of the list */
	uint32_t by_state[STATE_COUNT]; /* accepted: recipients */
	/* texts: */
	const char *scope; /* whose it is; NULL or "": the relay's */
	const char *recipient;
	const char *sender;
	const char *subject;
	const char *message_id;
	const char *listener;
	const char *client; /* its address */
	const char *user;
	const char *origin; /* of the message: new_message.origin */
	/*
	 * verdict: the verdict; attempt, state: what happened, in the history's
	 * words; whitelist, rule, fault: "add", "replace", "remove", "expire";
	 * delivery: "pause", "resume"; token: "create", "revoke".
	 */
	const char *action;
	const char *state; /* of the recipient now; whitelist: "allow" or "deny" */
	const char *reason;
	const char *trouble; /* history_item.kind */
	const char *route;
	const char *remote;
	const char *tls;
	const char *reply_enhanced;
	const char *reply_text;
	const char *rule;
	const char *redirect_to;
	const char *actor;
	const char *name; /* of the rule, fault rule or token; the pattern of the entry */
};

/* The bytes of a record of the bus. A text longer than 1 KiB is cut. */
void news_pack(const struct news *news, struct buf *record_out);
/* The texts point into `record`. */
void news_unpack(struct span record, struct news *news_out);

/*
 * Where the store puts its events: after the commit that makes them true
 * (DESIGN P4), in the order of commits, and before the answer to who asked for
 * it. For readers; it lives as long as the store.
 */
struct bus *store_news(struct store *store);
/* Numbers begin anew with each start; this tells one start from another. 1 to 2^53. */
uint64_t store_news_epoch(struct store *store);
/* Any thread: what is true without a commit (a recipient was refused at RCPT). */
void store_tell(struct store *store, const struct news *news);

#endif
