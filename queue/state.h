/* queue/state.h - the life of a recipient: one table of states and transitions (DESIGN 4.8) */
#ifndef STAGEPOST_QUEUE_STATE_H
#define STAGEPOST_QUEUE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* Stored as these numbers: never renumber, only append. */
enum state {
	STATE_SCREENING = 1,  /* waits for the policy hook */
	STATE_QUEUED = 2,     /* due at next_attempt_at: never tried, or put back by a person */
	STATE_DELIVERING = 3, /* leased to a worker */
	STATE_DEFERRED = 4,   /* tried, due again at next_attempt_at */
	STATE_HELD = 5,	      /* waits for a person */
	STATE_DELIVERED = 6,  /* the next hop has taken it; final */
	STATE_REDIRECTED = 7, /* another recipient stands for it; final */
	STATE_DROPPED = 8,    /* the list does not allow it; can be released */
	STATE_FAILED = 9,     /* the next hop refused it for good; can be retried */
	STATE_EXPIRED = 10,   /* tried until expire_after; can be retried */
	STATE_CANCELLED = 11  /* a person stopped it; final */
};
#define STATE_COUNT 12 /* one more than the last number */
/*
 * What a number of the database stands for. 0 for one that is no state's: only
 * damage makes such a row, dbcheck names it, and state_move leads nowhere from it.
 */
enum state state_of_number(int64_t number);

/* What happens to a recipient. */
enum transition {
	TRANSITION_CLAIM,    /* a worker takes it */
	TRANSITION_DELIVER,  /* outcome: 2xx after the final dot */
	TRANSITION_DEFER,    /* outcome: try again later */
	TRANSITION_FAIL,     /* outcome: refused for good */
	TRANSITION_DROP,     /* a judgement said no (before an attempt or at the wire guard) */
	TRANSITION_REDIRECT, /* a judgement, or a release by a person, sent it elsewhere */
	TRANSITION_SCREEN,   /* the hook said yes */
	TRANSITION_ASK,	     /* the hook must be asked first */
	TRANSITION_UNCLAIM,  /* given back untried: shutdown, no connection, restart; one that was
				tried before goes back to deferred (state_given_back) */
	TRANSITION_EXPIRE,
	TRANSITION_HOLD,    /* a person, or policy */
	TRANSITION_RELEASE, /* a person lets a held or dropped one go (it is judged again) */
	TRANSITION_RETRY,   /* a person wants it tried now */
	TRANSITION_CANCEL,
	TRANSITION_COUNT
};

/* A wish of a person for a recipient in flight; the true outcome wins, then the wish is looked at.
 */
enum wish { WISH_NONE = 0, WISH_HOLD = 1, WISH_CANCEL = 2, WISH_DELETE = 3 };

/*
 * The table. Returns ERR_OK with *to_out, or ERR_CONFLICT with a sentence
 * ("a delivered recipient can't be cancelled").
 */
int state_move(enum state from, enum transition transition, enum state *to_out, struct err *why);

/* Where TRANSITION_UNCLAIM leads: deferred when there were attempts before, else queued. */
enum state state_given_back(int attempts);

/* Where a recipient ends when a settled attempt would lead to `outcome` but a wish is set. */
enum state state_after_wish(enum state outcome, enum wish wish);

/* Nothing will happen to it any more by itself. */
bool state_is_final(enum state state);
/* claim may take it when its time has come. */
bool state_is_due_state(enum state state);

const char *state_name(enum state state); /* "queued" */
int state_parse(struct span name, enum state *state_out);
const char *transition_name(enum transition transition);

#endif
