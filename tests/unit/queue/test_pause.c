/* tests queue/pause.c and pauses.c */
#include <config.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static void set_pause(struct fixture *f, const char *route, bool paused)
{
	struct pause pause = {.route = route, .paused = paused, .now = NOW, .actor = "socket:0"};
	struct err why;

	ck_assert_int_eq(store_wait(f->store, queue_pause, &pause.job, &why), ERR_OK);
}

START_TEST(pauses_are_kept_over_restarts)
{
	struct fixture f;

	fixture_open(&f);
	ck_assert(!store_is_paused(f.store, NULL));
	set_pause(&f, NULL, true);
	set_pause(&f, NULL, true);
	set_pause(&f, "default", true);
	fixture_reopen(&f);
	ck_assert(store_is_paused(f.store, NULL));
	ck_assert(store_is_paused(f.store, "default"));
	ck_assert(!store_is_paused(f.store, "other"));
	set_pause(&f, NULL, false);
	ck_assert(!store_is_paused(f.store, NULL));
	ck_assert(store_is_paused(f.store, "default"));
	/* A pause that was one already leaves no line. */
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit"), 3);
	fixture_remove(&f);
}
END_TEST

/* Who paused it and why is there for everybody, and the first one stays. */
START_TEST(a_pause_has_a_reason)
{
	struct pause pause = {.paused = true, .now = NOW, .actor = "breaker", .reason = "too much"};
	struct pause_view view;
	struct fixture f;
	struct err why;

	fixture_open(&f);
	ck_assert(!store_pause_view(f.store, NULL, &view));
	ck_assert_int_eq(store_wait(f.store, queue_pause, &pause.job, &why), ERR_OK);
	ck_assert(pause.changed);
	set_pause(&f, NULL, true);
	for (int i = 0; i < 2; i++) {
		ck_assert(store_pause_view(f.store, NULL, &view));
		ck_assert_str_eq(view.actor, "breaker");
		ck_assert_str_eq(view.reason, "too much");
		ck_assert_int_eq(view.paused_at, NOW);
		fixture_reopen(&f);
	}
	set_pause(&f, NULL, false);
	set_pause(&f, NULL, true);
	ck_assert(store_pause_view(f.store, NULL, &view));
	ck_assert_str_eq(view.actor, "socket:0");
	ck_assert_str_eq(view.reason, "");
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/pause", pauses_are_kept_over_restarts, a_pause_has_a_reason)
