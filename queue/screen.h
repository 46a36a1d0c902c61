/* queue/screen.h - the verbs of the policy hook: what to ask about, and what was said */
#ifndef STAGEPOST_QUEUE_SCREEN_H
#define STAGEPOST_QUEUE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "queue/message.h"
#include "queue/state.h"
#include "queue/store.h"

#define SCREEN_MESSAGE_MAX 1000 /* recipients of one message in one claim */

/*
 * A recipient in state screening that is being asked about. It stays in that
 * state; `lease` fences, as in queue/delivery.h. Nothing renews it: only a start
 * gives it back.
 */
struct screened_recipient {
	int64_t id;
	int64_t lease;
	size_t index; /* among the recipients of its message, from 0 */
	const char *address;
	int asked;		/* how often in vain, before now */
	int64_t waiting_since;	/* accepted, or put back: expire_after counts from here */
	const char *command;	/* new_recipient.command */
	bool was_allowed;	/* by an entry or a rule, as far as the hook was not needed */
	const char *let_out_by; /* the rule that let it leave when no entry did; NULL: none */
};

struct screened_message {
	struct new_message m; /* m.recipients is NULL, recipient_count that of all of them */
	struct screened_recipient *recipients;
	size_t recipient_count;
};

/*
 * Take what is to be asked about, the longest due first, in whole messages
 * until there are `max_recipients` or more (the rest of a message beyond
 * SCREEN_MESSAGE_MAX stays). Delivery never sees any of it. Cost is that of what is found.
 */
struct screen_claim {
	struct store_job job; /* first */
	int64_t now;
	size_t max_recipients;
	/* out, on ERR_OK: the caller owns the arena */
	struct arena *arena;
	struct screened_message *messages;
	size_t message_count;
	int64_t next_at; /* when more will be due; INT64_MAX: nothing waits */
};
void queue_screen_claim(struct store *store, struct store_job *job);

/* What became of one of them. Borrowed strings. */
struct screen_outcome {
	int64_t recipient;
	int64_t lease;
	/*
	 * TRANSITION_SCREEN (delivery has it now), _DROP, _HOLD, _REDIRECT, or
	 * _UNCLAIM: asked again at ask_at.
	 */
	enum transition outcome;
	int64_t ask_at;
	bool in_vain;	    /* _UNCLAIM: somebody was asked; counts, and makes history */
	enum permit permit; /* from now on */
	const char *hop;    /* for _SCREEN: "host:port" or NULL */
	/*
	 * What to log in with there: "user<LF>password", "" for no login; NULL: what the route
	 * says. A secret: no view shows it, and it is gone as soon as the recipient is done with.
	 */
	const char *login;
	const char *reason; /* a sentence; never NULL but for _UNCLAIM (then as it was) */
	const char *kind;   /* of trouble, a word; NULL: none */
	const char
		*verdict; /* replaces the ruling's, with `reason` as its reason; NULL: unchanged */
	/* for _REDIRECT: who stands for it, unless the message has that recipient already */
	const struct new_recipient *redirect;
};

/* Decisions and the moves they cause are one commit. */
struct screen_settle {
	struct store_job job; /* first */
	int64_t now;
	const struct screen_outcome *outcomes;
	size_t count;
	size_t lost; /* out: no longer under that lease (a person was faster); nothing was changed
		      */
};
void queue_screen_settle(struct store *store, struct store_job *job);

#endif
