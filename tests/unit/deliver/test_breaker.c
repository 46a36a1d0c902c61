/* tests relay/deliver/breaker.c: windows that slide; and halt.c: what becomes of delivery */
#include <config.h> /* usleep */

#include "relay/deliver/breaker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "queue/act.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define MINUTE	    60000
#define DAY	    (24 * 60 * MINUTE)

static bool take(struct breaker *b, size_t per_minute, size_t per_day, size_t count, int64_t now)
{
	struct breaker_limits limits = {per_minute, per_day};
	char sentence[200];

	return breaker_take(b, &limits, count, now, sentence, sizeof(sentence));
}

START_TEST(windows)
{
	struct breaker_limits limits = {1000, 0};
	int64_t start = 123456789, minute, day;
	char sentence[200];
	struct breaker b;

	breaker_init(&b, start);
	/* Exactly the limit, and not one more. */
	ck_assert(take(&b, 100, 0, 60, start));
	ck_assert(!take(&b, 100, 0, 41, start));
	ck_assert(take(&b, 100, 0, 40, start + 500));
	ck_assert(!take(&b, 100, 0, 1, start + MINUTE - 1));
	ck_assert(take(&b, 100, 0, 60, start + MINUTE + 1000));
	/* No limit counts all the same. */
	ck_assert(take(&b, 0, 0, 5000, start + MINUTE + 1000));
	breaker_counts(&b, start + MINUTE + 1000, &minute, &day);
	ck_assert_int_ge(minute, 5060);
	ck_assert_int_eq(day, 5160);
	/* A day later nothing is left, however long nobody asked. */
	breaker_counts(&b, start + 2 * DAY, &minute, &day);
	ck_assert(minute == 0 && day == 0);
	ck_assert(take(&b, 0, 100, 100, start + 2 * DAY));
	ck_assert(!take(&b, 0, 100, 1, start + 3 * DAY - 1));
	ck_assert(take(&b, 0, 100, 100, start + 3 * DAY + MINUTE));
	/* Before a restart; monotonic time begins anew. */
	breaker_init(&b, 5000);
	breaker_remember(&b, 30, 23 * 60 * MINUTE, 5000);
	breaker_remember(&b, 50, 0, 5000);
	breaker_remember(&b, 70, 3 * DAY, 5000);
	breaker_remember(&b, 10, -MINUTE, 5000); /* the clock was turned back */
	breaker_counts(&b, 5000, &minute, &day);
	ck_assert(minute == 0 && day == 90);
	ck_assert(!take(&b, 0, 100, 11, 5000) && take(&b, 0, 100, 10, 5000));
	breaker_counts(&b, 5000 + 62 * MINUTE, &minute, &day);
	ck_assert_int_eq(day, 70);
	breaker_init(&b, 0);
	ck_assert(take(&b, 1000, 0, 990, 0));
	ck_assert(!breaker_take(&b, &limits, 11, 0, sentence, sizeof(sentence)));
	ck_assert_str_eq(sentence,
			 "breaker: 1001 recipients in 60 s, limit 1000 (recipients_per_minute)");
	ck_assert_uint_eq(breaker_room(&limits, 100), 100);
	limits = (struct breaker_limits){50, 7};
	ck_assert_uint_eq(breaker_room(&limits, 100), 7);
}
END_TEST

/* Against a list of all that was taken: never more in any window, and not much less than could be.
 */
START_TEST(never_more_than_the_limit)
{
	static struct {
		int64_t at, count;
	} taken[20000];
	size_t count = 0;
	int64_t now = 1000;
	struct breaker b;

	breaker_init(&b, now);
	for (int i = 0; i < 20000; i++) {
		unsigned char bytes[2];
		int64_t sum = 0, wide = 0, want;

		secret_random(bytes, sizeof(bytes));
		now += bytes[0] * 8;
		want = bytes[1] % 20 + 1;
		for (size_t j = count; j-- > 0 && taken[j].at > now - MINUTE - 1000;) {
			wide += taken[j].count;
			sum += taken[j].at > now - MINUTE ? taken[j].count : 0;
		}
		if (take(&b, 100, 0, (size_t)want, now)) {
			ck_assert_int_le(sum + want, 100);
			ck_assert_uint_lt(count, COUNT(taken));
			taken[count].at = now;
			taken[count++].count = want;
		} else {
			ck_assert_int_gt(wide + want, 100);
		}
	}
	ck_assert_uint_gt(count, 100);
}
END_TEST

static struct breaker_status status_of(struct rig *r)
{
	struct breaker_status status;

	deliver_breaker(r->deliver, &status);
	return status;
}

static void await_trip(struct rig *r)
{
	struct pause_view view;

	for (int i = 0; i < RIG_WAIT_MS / 10; i++) {
		if (store_pause_view(r->store, NULL, &view) && status_of(r).tripped)
			return;
		usleep(10000);
	}
	ck_abort_msg("it does not trip");
}

static void resume(struct rig *r)
{
	struct pause pause = {.actor = "token:qa", .now = clock_wall_ms()};
	struct err why;

	ck_assert_int_eq(store_wait(r->store, queue_pause, &pause.job, &why), ERR_OK);
	deliver_wake(r->deliver);
}

static size_t count_offered(struct rig *r)
{
	return (size_t)nexthop_reached(r->hop, AT_RCPT);
}

/* The limit is what leaves, to the one; a person's resume lets as many again go. */
START_TEST(a_flood_is_stopped)
{
	struct ulid ids[25];
	struct pause_view view;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.options.breaker.per_minute = 10;
	rig_deliver(&r);
	for (size_t i = 0; i < COUNT(ids); i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	await_trip(&r);
	ck_assert(nexthop_wait_mails(r.hop, 10, RIG_WAIT_MS));
	usleep(300000);
	ck_assert_uint_eq(count_offered(&r), 10);
	ck_assert(store_pause_view(r.store, NULL, &view));
	ck_assert_str_eq(view.actor, "breaker");
	ck_assert_str_eq(view.reason,
			 "breaker: 11 recipients in 60 s, limit 10 (recipients_per_minute)");
	resume(&r);
	ck_assert(nexthop_wait_mails(r.hop, 20, RIG_WAIT_MS));
	await_trip(&r);
	ck_assert_uint_eq(count_offered(&r), 20);
	ck_assert_uint_eq(status_of(&r).trips, 2);
	resume(&r);
	for (size_t i = 0; i < COUNT(ids); i++)
		ck_assert_int_eq(rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED)->attempts,
				 1);
	ck_assert(!status_of(&r).tripped);
	rig_stop(&r);
}
END_TEST

/* One message to more recipients than the limit goes out in parts. */
START_TEST(a_message_larger_than_the_limit)
{
	static const char *const to[] = {"a@ok.test", "b@ok.test", "c@ok.test",
					 "d@ok.test", "e@ok.test", NULL};
	static const char bytes[] = "Subject: x\r\n\r\nx\r\n";
	struct ulid id;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.options.breaker.per_minute = 3;
	rig_deliver(&r);
	id = rig_accept(&r, "ann@ok.test", to, bytes, sizeof(bytes) - 1);
	await_trip(&r);
	ck_assert(nexthop_wait_mails(r.hop, 1, RIG_WAIT_MS));
	usleep(200000);
	ck_assert_uint_eq(count_offered(&r), 3);
	resume(&r);
	for (size_t i = 0; to[i] != NULL; i++)
		rig_await(&r, &id, to[i], STATE_DELIVERED);
	rig_stop(&r);
}
END_TEST

/* What the day has seen, and that delivery stands still, is known after a restart. */
START_TEST(the_day_is_kept_over_restarts)
{
	struct ulid id;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.options.breaker.per_day = 5;
	rig_deliver(&r);
	for (size_t i = 0; i < 4; i++) {
		id = rig_accept_plain(&r, "ann@ok.test");
		rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	}
	rig_stop_delivery(&r, 1000);
	rig_deliver(&r);
	ck_assert_int_eq(status_of(&r).day, 4);
	ck_assert_int_eq(status_of(&r).minute, 0);
	id = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	id = rig_accept_plain(&r, "ann@ok.test");
	await_trip(&r);
	rig_stop_delivery(&r, 1000);
	rig_deliver(&r);
	ck_assert(status_of(&r).tripped);
	deliver_wake(r.deliver);
	usleep(200000);
	ck_assert_uint_eq(count_offered(&r), 5);
	resume(&r);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(status_of(&r).day, 1);
	rig_stop_delivery(&r, 1000);
	rig_deliver(&r);
	ck_assert_int_eq(status_of(&r).day, 1);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/breaker", windows, never_more_than_the_limit, a_flood_is_stopped,
	  a_message_larger_than_the_limit, the_day_is_kept_over_restarts)
