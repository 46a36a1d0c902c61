/* queue/state.c - the life of a recipient: one table of states and transitions */
#include "queue/state.h"

#include <assert.h>
#include <stddef.h>

#define CLAIM	 [TRANSITION_CLAIM]
#define DELIVER	 [TRANSITION_DELIVER]
#define DEFER	 [TRANSITION_DEFER]
#define FAIL	 [TRANSITION_FAIL]
#define DROP	 [TRANSITION_DROP]
#define REDIRECT [TRANSITION_REDIRECT]
#define SCREEN	 [TRANSITION_SCREEN]
#define ASK	 [TRANSITION_ASK]
#define UNCLAIM	 [TRANSITION_UNCLAIM]
#define EXPIRE	 [TRANSITION_EXPIRE]
#define HOLD	 [TRANSITION_HOLD]
#define RELEASE	 [TRANSITION_RELEASE]
#define RETRY	 [TRANSITION_RETRY]
#define CANCEL	 [TRANSITION_CANCEL]

/*
 * What is not named is refused. Cancel of a delivering recipient is not
 * here: a person can only leave a wish for it (state_after_wish). Retry of a
 * held or dropped one is not either: that is a release, which judges again.
 */
static const unsigned char table[STATE_COUNT][TRANSITION_COUNT] = {
	[STATE_SCREENING] = {DROP = STATE_DROPPED, REDIRECT = STATE_REDIRECTED,
			     SCREEN = STATE_QUEUED, EXPIRE = STATE_EXPIRED, HOLD = STATE_HELD,
			     RETRY = STATE_SCREENING, CANCEL = STATE_CANCELLED},
	[STATE_QUEUED] = {CLAIM = STATE_DELIVERING, DROP = STATE_DROPPED,
			  REDIRECT = STATE_REDIRECTED, EXPIRE = STATE_EXPIRED, HOLD = STATE_HELD,
			  RETRY = STATE_QUEUED, CANCEL = STATE_CANCELLED},
	[STATE_DELIVERING] = {DELIVER = STATE_DELIVERED, DEFER = STATE_DEFERRED,
			      FAIL = STATE_FAILED, DROP = STATE_DROPPED,
			      REDIRECT = STATE_REDIRECTED, UNCLAIM = STATE_QUEUED,
			      EXPIRE = STATE_EXPIRED, HOLD = STATE_HELD, ASK = STATE_SCREENING},
	[STATE_DEFERRED] = {CLAIM = STATE_DELIVERING, DROP = STATE_DROPPED,
			    REDIRECT = STATE_REDIRECTED, EXPIRE = STATE_EXPIRED, HOLD = STATE_HELD,
			    RETRY = STATE_QUEUED, CANCEL = STATE_CANCELLED},
	[STATE_HELD] = {REDIRECT = STATE_REDIRECTED, RELEASE = STATE_QUEUED,
			CANCEL = STATE_CANCELLED},
	[STATE_DROPPED] = {REDIRECT = STATE_REDIRECTED, RELEASE = STATE_QUEUED},
	[STATE_FAILED] = {RETRY = STATE_QUEUED},
	[STATE_EXPIRED] = {RETRY = STATE_QUEUED},
};

static const char *const state_names[STATE_COUNT] = {
	[STATE_SCREENING] = "screening",
	[STATE_QUEUED] = "queued",
	[STATE_DELIVERING] = "delivering",
	[STATE_DEFERRED] = "deferred",
	[STATE_HELD] = "held",
	[STATE_DELIVERED] = "delivered",
	[STATE_REDIRECTED] = "redirected",
	[STATE_DROPPED] = "dropped",
	[STATE_FAILED] = "failed",
	[STATE_EXPIRED] = "expired",
	[STATE_CANCELLED] = "cancelled",
};

/* The verb, and its form in "can't be …". */
static const struct {
	const char *name;
	const char *done;
} transition_words[TRANSITION_COUNT] = {
	CLAIM = {"claim", "claimed"},
	DELIVER = {"deliver", "delivered"},
	DEFER = {"defer", "deferred"},
	FAIL = {"fail", "failed"},
	DROP = {"drop", "dropped"},
	REDIRECT = {"redirect", "redirected"},
	SCREEN = {"screen", "screened"},
	ASK = {"ask", "asked about"},
	UNCLAIM = {"unclaim", "given back"},
	EXPIRE = {"expire", "expired"},
	HOLD = {"hold", "held"},
	RELEASE = {"release", "released"},
	RETRY = {"retry", "retried"},
	CANCEL = {"cancel", "cancelled"},
};

static bool is_state(enum state state)
{
	return state >= STATE_SCREENING && state < STATE_COUNT;
}

enum state state_of_number(int64_t number)
{
	return number >= STATE_SCREENING && number < STATE_COUNT ? (enum state)number
								 : (enum state)0;
}

int state_move(enum state from, enum transition transition, enum state *to_out, struct err *why)
{
	assert(transition < TRANSITION_COUNT);
	if (!is_state(from))
		return err_set(why, ERR_CONFLICT,
			       "a recipient whose row is damaged can't be %s (see dbcheck)",
			       transition_words[transition].done);
	if (table[from][transition] == 0)
		return err_set(why, ERR_CONFLICT, "a %s recipient can't be %s", state_names[from],
			       transition_words[transition].done);
	*to_out = (enum state)table[from][transition];
	return ERR_OK;
}

enum state state_given_back(int attempts)
{
	return attempts > 0 ? STATE_DEFERRED : STATE_QUEUED;
}

/* A redirect sends nothing by itself: who stands for it would. */
static bool can_stop(enum state outcome)
{
	return state_is_due_state(outcome) || outcome == STATE_SCREENING ||
	       outcome == STATE_REDIRECTED;
}

/* Only what is still under way can be stopped: a copy that left, left. */
enum state state_after_wish(enum state outcome, enum wish wish)
{
	assert(is_state(outcome));
	switch (wish) {
	case WISH_NONE: return outcome;
	case WISH_HOLD: return can_stop(outcome) ? STATE_HELD : outcome;
	case WISH_CANCEL:
	case WISH_DELETE:
		return can_stop(outcome) || outcome == STATE_HELD ? STATE_CANCELLED : outcome;
	}
	return outcome;
}

bool state_is_final(enum state state)
{
	switch (state) {
	case STATE_DELIVERED:
	case STATE_REDIRECTED:
	case STATE_DROPPED:
	case STATE_FAILED:
	case STATE_EXPIRED:
	case STATE_CANCELLED: return true;
	case STATE_SCREENING:
	case STATE_QUEUED:
	case STATE_DELIVERING:
	case STATE_DEFERRED:
	case STATE_HELD: return false;
	}
	return false;
}

bool state_is_due_state(enum state state)
{
	return state == STATE_QUEUED || state == STATE_DEFERRED;
}

const char *state_name(enum state state)
{
	return is_state(state) ? state_names[state] : "unknown";
}

int state_parse(struct span name, enum state *state_out)
{
	for (int i = STATE_SCREENING; i < STATE_COUNT; i++) {
		if (span_is(name, state_names[i])) {
			*state_out = (enum state)i;
			return ERR_OK;
		}
	}
	return ERR_NOT_FOUND;
}

const char *transition_name(enum transition transition)
{
	return transition < TRANSITION_COUNT ? transition_words[transition].name : "unknown";
}
