/* relay/smtp/hold.c - an answer that is held back on demand (fault rules that delay) */
#include "relay/smtp/hold.h"

#include <assert.h>

#include "base/mem.h"

/* Made when it is needed: a session at rest has no room for it. */
struct session_hold {
	struct smtp_answer answer; /* code 0: none */
	void (*then)(struct smtp_session *session);
};

void hold_begin(struct smtp_session *session, const struct smtp_answer *answer,
		void (*then)(struct smtp_session *session))
{
	assert(session->hold == NULL && session->stream != NULL);
	session->hold = mem_zalloc(sizeof(*session->hold));
	session->hold->answer = *answer;
	session->hold->answer.delay_ms = 0;
	session->hold->then = then;
	session->phase = PHASE_HOLD;
	session->deadline_set = false;
	stream_deadline(session->stream, 0);
	loop_timer_set(&session->clock, answer->delay_ms);
}

void hold_end(struct smtp_session *session)
{
	struct session_hold hold = *session->hold;

	hold_forget(session);
	session->phase = PHASE_COMMAND;
	if (hold.answer.code != 0)
		session_answer(session, &hold.answer);
	if (session->stream != NULL && hold.then != NULL)
		hold.then(session);
}

void hold_cut(struct smtp_session *session)
{
	/* A message may have been stored: its answers are due, nothing else is. */
	if (session->hold->then != transfer_begin_answers)
		session->hold->then = NULL;
	loop_timer_stop(&session->clock);
	hold_end(session);
}

void hold_forget(struct smtp_session *session)
{
	mem_free(session->hold);
	session->hold = NULL;
}
