/* tests queue/state.c: every (state, transition) pair by name */
#include "queue/state.h"

#include "tests/unit/unit.h"

struct row {
	enum state from;
	enum transition transition;
	int to; /* 0: refused */
};

#define ROWS(s, claim, deliver, defer, fail, drop, redirect, screen, ask, unclaim, expire, hold,   \
	     release, retry, cancel)                                                               \
	{s, TRANSITION_CLAIM, claim}, {s, TRANSITION_DELIVER, deliver},                            \
		{s, TRANSITION_DEFER, defer}, {s, TRANSITION_FAIL, fail},                          \
		{s, TRANSITION_DROP, drop}, {s, TRANSITION_REDIRECT, redirect},                    \
		{s, TRANSITION_SCREEN, screen}, {s, TRANSITION_ASK, ask},                          \
		{s, TRANSITION_UNCLAIM, unclaim}, {s, TRANSITION_EXPIRE, expire},                  \
		{s, TRANSITION_HOLD, hold}, {s, TRANSITION_RELEASE, release},                      \
		{s, TRANSITION_RETRY, retry},                                                      \
	{                                                                                          \
		s, TRANSITION_CANCEL, cancel                                                       \
	}

#define S   STATE_SCREENING
#define Q   STATE_QUEUED
#define L   STATE_DELIVERING
#define D   STATE_DEFERRED
#define H   STATE_HELD
#define OK  STATE_DELIVERED
#define RED STATE_REDIRECTED
#define DR  STATE_DROPPED
#define F   STATE_FAILED
#define E   STATE_EXPIRED
#define C   STATE_CANCELLED

/* clang-format off */
static const struct row rows[] = {
	/*                     clm dlv dfr fail drop redir scr ask ucl exp hold rel retry cancel */
	ROWS(STATE_SCREENING,   0,  0,  0,  0,   DR,  RED,  Q,   0,   0,   E,   H,   0,   S,    C),
	ROWS(STATE_QUEUED,      L,  0,  0,  0,   DR,  RED,  0,   0,   0,   E,   H,   0,   Q,    C),
	ROWS(STATE_DELIVERING,  0,  OK, D,  F,   DR,  RED,  0,   S,   Q,   E,   H,   0,   0,    0),
	ROWS(STATE_DEFERRED,    L,  0,  0,  0,   DR,  RED,  0,   0,   0,   E,   H,   0,   Q,    C),
	ROWS(STATE_HELD,        0,  0,  0,  0,   0,   RED,  0,   0,   0,   0,   0,   Q,   0,    C),
	ROWS(STATE_DELIVERED,   0,  0,  0,  0,   0,   0,    0,   0,   0,   0,   0,   0,   0,    0),
	ROWS(STATE_REDIRECTED,  0,  0,  0,  0,   0,   0,    0,   0,   0,   0,   0,   0,   0,    0),
	ROWS(STATE_DROPPED,     0,  0,  0,  0,   0,   RED,  0,   0,   0,   0,   0,   Q,   0,    0),
	ROWS(STATE_FAILED,      0,  0,  0,  0,   0,   0,    0,   0,   0,   0,   0,   0,   Q,    0),
	ROWS(STATE_EXPIRED,     0,  0,  0,  0,   0,   0,    0,   0,   0,   0,   0,   0,   Q,    0),
	ROWS(STATE_CANCELLED,   0,  0,  0,  0,   0,   0,    0,   0,   0,   0,   0,   0,   0,    0),
};
/* clang-format on */

START_TEST(every_pair_of_the_table)
{
	bool seen[STATE_COUNT][TRANSITION_COUNT] = {{false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err why = {""};
		enum state to = 0;
		int code = state_move(rows[i].from, rows[i].transition, &to, &why);

		ck_assert_msg(code == (rows[i].to != 0 ? ERR_OK : ERR_CONFLICT) &&
				      (int)to == rows[i].to,
			      "%s + %s gives %s", state_name(rows[i].from),
			      transition_name(rows[i].transition), state_name(to));
		ck_assert_int_eq(why.text[0] != '\0', code != ERR_OK);
		seen[rows[i].from][rows[i].transition] = true;
	}
	for (int s = 1; s < STATE_COUNT; s++)
		for (int t = 0; t < TRANSITION_COUNT; t++)
			ck_assert_msg(seen[s][t], "no row for %s + %s", state_name(s),
				      transition_name(t));
}
END_TEST

START_TEST(refusals_are_sentences)
{
	struct err why;
	enum state to;

	ck_assert_int_eq(state_move(STATE_DELIVERED, TRANSITION_CANCEL, &to, &why), ERR_CONFLICT);
	ck_assert_str_eq(why.text, "a delivered recipient can't be cancelled");
}
END_TEST

START_TEST(only_due_states_can_be_claimed)
{
	for (int s = 1; s < STATE_COUNT; s++) {
		enum state to;
		bool can = state_move(s, TRANSITION_CLAIM, &to, NULL) == ERR_OK;

		ck_assert_int_eq(can, state_is_due_state(s));
	}
}
END_TEST

/* What is final stays, unless a person releases or retries it. */
START_TEST(final_states_move_by_persons_only)
{
	for (int s = 1; s < STATE_COUNT; s++)
		for (int t = 0; t < TRANSITION_COUNT; t++) {
			enum state to;

			if (state_is_final(s) && state_move(s, t, &to, NULL) == ERR_OK)
				ck_assert(t == TRANSITION_RELEASE || t == TRANSITION_RETRY ||
					  (s == STATE_DROPPED && t == TRANSITION_REDIRECT));
		}
}
END_TEST

START_TEST(a_wish_never_hides_the_outcome)
{
	static const enum state outcomes[] = {OK, D, F, DR, RED, E, H, Q};
	/* after hold, cancel, delete */
	static const enum state after[][3] = {{OK, OK, OK}, {H, C, C}, {F, F, F}, {DR, DR, DR},
					      {H, C, C},    {E, E, E}, {H, C, C}, {H, C, C}};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		ck_assert_int_eq(state_after_wish(outcomes[i], WISH_NONE), outcomes[i]);
		ck_assert_int_eq(state_after_wish(outcomes[i], WISH_HOLD), after[i][0]);
		ck_assert_int_eq(state_after_wish(outcomes[i], WISH_CANCEL), after[i][1]);
		ck_assert_int_eq(state_after_wish(outcomes[i], WISH_DELETE), after[i][2]);
	}
}
END_TEST

START_TEST(given_back_remembers_attempts)
{
	ck_assert_int_eq(state_given_back(0), STATE_QUEUED);
	ck_assert_int_eq(state_given_back(1), STATE_DEFERRED);
}
END_TEST

START_TEST(names_go_both_ways)
{
	for (int s = 1; s < STATE_COUNT; s++) {
		enum state back = 0;

		ck_assert_int_eq(state_parse(span_of(state_name(s)), &back), ERR_OK);
		ck_assert_int_eq(back, s);
	}
	enum state none;
	ck_assert_int_eq(state_parse(span_of("nonsense"), &none), ERR_NOT_FOUND);
	ck_assert_int_eq(state_parse(span_of(""), &none), ERR_NOT_FOUND);
	ck_assert_str_eq(state_name(0), "unknown");
}
END_TEST

UNIT_MAIN("queue/state", every_pair_of_the_table, refusals_are_sentences,
	  only_due_states_can_be_claimed, final_states_move_by_persons_only,
	  a_wish_never_hides_the_outcome, given_back_remembers_attempts, names_go_both_ways)
