/* relay/smtp/hold.c - answers that are held back on demand (fault rules that delay) */
#include "relay/smtp/hold.h"

#include <assert.h>

#include "base/mem.h"

struct held {
	struct held *next;
	struct smtp_answer answer;
};

/* Made when it is needed: a session at rest has no room for it. */
struct session_hold {
	struct held *first;
	struct held *last;
	void (*then)(struct smtp_session *session);
};

void hold_add(struct smtp_session *session, const struct smtp_answer *answer)
{
	struct session_hold *hold = session->hold;
	struct held *held = mem_zalloc(sizeof(*held));

	held->answer = *answer;
	held->answer.delay_ms = 0;
	if (hold->last != NULL)
		hold->last->next = held;
	else
		hold->first = held;
	hold->last = held;
}

void hold_begin(struct smtp_session *session, const struct smtp_answer *answer,
		void (*then)(struct smtp_session *session))
{
	assert(session->hold == NULL && session->stream != NULL);
	session->hold = mem_zalloc(sizeof(*session->hold));
	session->hold->then = then;
	if (answer->code != 0)
		hold_add(session, answer);
	session->phase = PHASE_HOLD;
	session->deadline_set = false;
	stream_deadline(session->stream, 0);
	loop_timer_set(&session->clock, answer->delay_ms);
}

/* Say, or with a connection that is gone only free, what was held. */
static void release(struct smtp_session *session, struct session_hold *hold)
{
	struct held *held = hold->first;

	while (held != NULL) {
		struct held *next = held->next;

		session_answer(session, &held->answer);
		mem_free(held);
		held = next;
	}
	mem_free(hold);
}

void hold_end(struct smtp_session *session)
{
	struct session_hold *hold = session->hold;
	void (*then)(struct smtp_session * session) = hold->then;

	session->hold = NULL;
	session->phase = PHASE_COMMAND;
	release(session, hold);
	if (session->stream != NULL && then != NULL)
		then(session);
}

void hold_cut(struct smtp_session *session)
{
	/* What is begun no more; but a message that was taken gets its answers. */
	if (session->hold->then != transfer_begin_answers)
		session->hold->then = NULL;
	loop_timer_stop(&session->clock);
	hold_end(session);
}

void hold_forget(struct smtp_session *session)
{
	struct session_hold *hold = session->hold;

	session->hold = NULL;
	if (hold != NULL)
		release(session, hold);
}
