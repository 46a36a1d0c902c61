/* tests relay/deliver/ as a whole: store to next hop, libesmtp in between */
#include <config.h> /* usleep */

#include "relay/deliver/deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

START_TEST(one_plain_message_goes_through)
{
	struct rig r;
	const struct recipient_view *view;
	const struct nexthop_mail *mail;
	struct entry_hits hits[4];

	rig_start(&r, NULL, 0, NULL);
	view = rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(view->reply_code, 250);
	ck_assert_str_eq(view->route, "default");
	/* the entry that let it go, in the ruling and in its hit counter */
	ck_assert_int_eq(view->ruling.entry, 1);
	ck_assert_uint_eq(whitelist_take_hits(r.list, hits, 4), 1);
	ck_assert_int_eq(hits[0].id, 1);
	ck_assert_int_eq(hits[0].hits, 1);
	mail = nexthop_mail(r.hop, 0);
	ck_assert_str_eq(mail->rcpt[0], "RCPT TO:<ann@ok.test>");
	ck_assert_str_eq(mail->data, "Received: here\r\nSubject: test\r\n\r\nhello\r\n");
	rig_stop(&r);
}
END_TEST

/* A row of the tables below: a script and what becomes of the one recipient. */
struct row {
	const char *name;
	struct nexthop_step step;
	enum state want;
	int want_reply;
	/* EITHER: a short message is all out, with its dot, before a drop can be noticed. */
	enum { SURE, DOUBT, EITHER } want_doubt;
};

static void play(const struct row *row)
{
	struct rig r;
	struct ulid id;
	const struct recipient_view *view;

	rig_open(&r, &row->step, 1, NULL);
	r.route.command_timeout_ms = 500;
	r.route.final_reply_timeout_ms = 500;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	view = rig_await(&r, &id, "ann@ok.test", row->want);
	ck_assert_msg(view->reply_code == row->want_reply, "%s: reply %d", row->name,
		      view->reply_code);
	ck_assert_msg(view->attempts == 1, "%s: %d attempts", row->name, view->attempts);
	ck_assert_msg(view->reason != NULL && view->reason[0] != '\0', "%s", row->name);
	rig_stop_delivery(&r, 1000);
	if (row->want == STATE_DEFERRED && row->want_doubt != EITHER)
		ck_assert_msg(rig_in_doubt(&r) == (row->want_doubt == DOUBT), "%s: doubt",
			      row->name);
	rig_stop(&r);
}

START_TEST(the_last_reply_decides)
{
	static const struct row rows[] = {
		{"S213 550 after the dot",
		 {AT_DOT, DO_REPLY, "550 5.7.1 no\r\n"},
		 STATE_FAILED,
		 550,
		 SURE},
		{"S214 451 after the dot",
		 {AT_DOT, DO_REPLY, "451 later\r\n"},
		 STATE_DEFERRED,
		 451,
		 SURE},
		{"S215 drop after 354", {AT_BODY, DO_DROP}, STATE_DEFERRED, 0, EITHER},
		{"S217 drop after the dot", {AT_DOT, DO_DROP}, STATE_DEFERRED, 0, DOUBT},
		{"S217 silence after the dot", {AT_DOT, DO_STALL}, STATE_DEFERRED, 0, DOUBT},
		{"S223 421 at the greeting",
		 {AT_GREETING, DO_REPLY, "421 no\r\n"},
		 STATE_DEFERRED,
		 0,
		 SURE},
		{"S223 421 at EHLO", {AT_EHLO, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 0, SURE},
		{"S223 421 at MAIL", {AT_MAIL, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 421, SURE},
		{"S223 421 at RCPT", {AT_RCPT, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 421, SURE},
		{"S223 421 at DATA", {AT_DATA, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 421, SURE},
		{"S223 421 after the dot",
		 {AT_DOT, DO_REPLY, "421 no\r\n"},
		 STATE_DEFERRED,
		 421,
		 SURE},
		{"S225 550 at MAIL", {AT_MAIL, DO_REPLY, "550 spf\r\n"}, STATE_FAILED, 550, SURE},
		{"S225 530 at MAIL",
		 {AT_MAIL, DO_REPLY, "530 auth\r\n"},
		 STATE_DEFERRED,
		 530,
		 SURE},
		{"S240 reset after 354", {AT_BODY, DO_RESET}, STATE_DEFERRED, 0, EITHER},
		{"drop at MAIL", {AT_MAIL, DO_DROP}, STATE_DEFERRED, 0, SURE},
		{"drop at RCPT", {AT_RCPT, DO_DROP}, STATE_DEFERRED, 0, SURE},
		{"stall at RCPT", {AT_RCPT, DO_STALL}, STATE_DEFERRED, 0, SURE},
		{"stall at DATA", {AT_DATA, DO_STALL}, STATE_DEFERRED, 0, SURE},
		/* libesmtp alone calls both of these 250 */
		{"250 for DATA", {AT_DATA, DO_REPLY, "250 ok\r\n"}, STATE_DEFERRED, 0, SURE},
		{"unsolicited 250",
		 {AT_RCPT, DO_REPLY, "250 a\r\n250 b\r\n250 c\r\n"},
		 STATE_DEFERRED,
		 0,
		 SURE},
		/* libesmtp alone takes this for a protocol error after the message was kept */
		{"250 without text", {AT_DOT, DO_REPLY, "250\r\n"}, STATE_DELIVERED, 250, SURE},
		{"HTTP",
		 {AT_GREETING, DO_REPLY, "HTTP/1.1 400 Bad\r\n\r\n"},
		 STATE_DEFERRED,
		 0,
		 SURE},
		{"pause, then well",
		 {AT_DOT, DO_DRIP, "250 2.0.0 ok\r\n", .ms = 10},
		 STATE_DELIVERED,
		 250,
		 SURE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		play(&rows[i]);
}
END_TEST

/* S215, S216, S240: the message is too long to be out before the next hop acts. No doubt then. */
START_TEST(breaking_in_mid_data_is_no_doubt)
{
	static const struct nexthop_step steps[] = {
		{AT_BODY, DO_DROP, .bytes = 50000},
		{AT_BODY, DO_RESET, .bytes = 50000},
		{AT_BODY, DO_STALL, .bytes = 50000},
		{AT_BODY, DO_REPLY, "451 full\r\n", .bytes = 50000},
	};
	size_t len = 16 * 1024 * 1024;
	char *bytes = malloc(len);

	rig_fill_lines(bytes, len);
	for (size_t i = 0; i < 4; i++) {
		struct rig r;
		struct ulid id;

		rig_open(&r, &steps[i], 1, NULL);
		rig_deliver(&r);
		id = rig_accept_bytes(&r, bytes, len);
		ck_assert(nexthop_wait_stage(r.hop, AT_BODY, 1, RIG_WAIT_MS));
		/* The stalling one is stopped: its rate is judged after minutes only. */
		if (steps[i].act == DO_STALL)
			rig_stop_delivery(&r, 500);
		rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED);
		if (r.deliver != NULL)
			rig_stop_delivery(&r, 1000);
		ck_assert_int_eq(rig_in_doubt(&r), 0);
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
		rig_stop(&r);
	}
	free(bytes);
}
END_TEST

/* S221, and S222's second half: each its own state, no second copy for those who have one. */
START_TEST(each_recipient_has_its_own_outcome)
{
	static const char *const all[] = {"a@ok.test", "b@ok.test", "c@ok.test",
					  "d@ok.test", "e@ok.test", NULL};
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "550 5.1.1 unknown\r\n", .match = "b@"},
		{AT_RCPT, DO_REPLY, "450 4.2.1 later\r\n", .match = "c@", .from = 1, .to = 3},
		{AT_RCPT, DO_REPLY, "252 maybe\r\n", .match = "d@"},
		{AT_RCPT, DO_REPLY, "552 full\r\n", .match = "e@"},
	};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	struct rig r;
	struct ulid id;

	rig_open(&r, steps, 4, NULL);
	r.schedule[0] = 100;
	rig_deliver(&r);
	id = rig_accept(&r, "", all, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "a@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "c@ok.test", STATE_DELIVERED);
	ck_assert_str_eq(rig_await(&r, &id, "b@ok.test", STATE_FAILED)->reply_enhanced, "5.1.1");
	rig_await(&r, &id, "d@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "e@ok.test", STATE_FAILED);
	ck_assert_int_eq(rig_recipient(&r, &id, "c@ok.test")->attempts, 2);
	ck_assert_int_eq(rig_recipient(&r, &id, "a@ok.test")->attempts, 1);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 2);
	ck_assert_uint_eq(nexthop_mail(r.hop, 1)->rcpt_count, 1);
	ck_assert_str_eq(nexthop_mail(r.hop, 1)->rcpt[0], "RCPT TO:<c@ok.test>");
	rig_stop(&r);
}
END_TEST

/* What comes with the 354 ends the job before libesmtp has heard of it: it has to hear it still. */
START_TEST(more_than_a_354_in_one_packet)
{
	static const char *const all[] = {"a@ok.test", "b@ok.test", "c@ok.test", "d@ok.test", NULL};
	static const struct nexthop_step step = {AT_DATA, DO_REPLY, "354 go\r\n250 what\r\n",
						 .from = 1, .to = 2};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	struct ulid ids[2];
	size_t copies = 0;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	for (size_t i = 0; i < 2; i++)
		ids[i] = rig_accept(&r, "", all, bytes, sizeof(bytes) - 1);
	r.schedule[0] = 100;
	rig_deliver(&r);
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < 4; k++)
			rig_await(&r, &ids[i], all[k], STATE_DELIVERED);
	/* Each once; those of one message may be tried again one by one. */
	for (size_t i = 0; i < nexthop_mail_count(r.hop); i++)
		copies += nexthop_mail(r.hop, i)->rcpt_count;
	ck_assert_uint_eq(copies, 8);
	rig_stop(&r);
}
END_TEST

START_TEST(an_unanswered_dot_is_held_the_third_time)
{
	static const struct nexthop_step step = {AT_DOT, DO_DROP};
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 10;
	rig_deliver(&r);
	rig_expect(&r, "ann@ok.test", STATE_HELD, "held");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_DOT), 3);
	rig_stop(&r);
}
END_TEST

START_TEST(too_old_mail_expires)
{
	struct rig r;
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 never\r\n"};

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 50;
	r.options.expire_after_ms = 400;
	rig_deliver(&r);
	rig_send(&r, "ann@ok.test", STATE_EXPIRED);
	rig_stop(&r);
}
END_TEST

/* --- routes ------------------------------------------------------------------------------ */

START_TEST(no_route_is_said)
{
	static const char *const domains[] = {"other.test"}, *const all[] = {"*"};
	struct delivery_options other, next;
	const struct recipient_view *view;
	struct route_options route;
	struct rig r;
	struct ulid id;

	rig_open(&r, NULL, 0, NULL);
	r.route.domains = domains;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	for (int i = 0; i < RIG_WAIT_MS / 10; i++) {
		view = rig_recipient(&r, &id, "ann@ok.test");
		if (strcmp(view->reason, "no route for ok.test") == 0)
			break;
		usleep(10000);
	}
	ck_assert_str_eq(view->reason, "no route for ok.test");
	ck_assert_int_eq(view->state, STATE_QUEUED);
	ck_assert_int_eq(view->attempts, 0);
	ck_assert_int_eq(view->next_attempt_at, 0);
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	/* Options that bring one take it along, those that do not leave it. */
	other = r.options;
	deliver_reload(r.deliver, &other, NULL, NULL);
	usleep(200000);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->state, STATE_QUEUED);
	route = r.route;
	route.domains = all;
	next = r.options;
	next.routes = &route;
	deliver_reload(r.deliver, &next, NULL, NULL);
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	rig_stop(&r);
}
END_TEST

START_TEST(our_own_listener_is_refused)
{
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.own = true;
	rig_deliver(&r);
	rig_expect(&r, "ann@ok.test", STATE_DEFERRED, "loop");
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	rig_stop(&r);
}
END_TEST

START_TEST(capture_only_connects_to_nobody)
{
	struct rig r;
	struct ulid id;

	rig_open(&r, NULL, 0, NULL);
	r.options.capture_only = true;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	usleep(300000);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->state, STATE_QUEUED);
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	rig_stop(&r);
}
END_TEST

/* P6 between routes: a tarpit keeps its own mail waiting, not that of the others. */
START_TEST(a_slow_route_does_not_hold_up_the_others)
{
	static const struct nexthop_step step = {AT_RCPT, DO_PAUSE};
	static const char *const domains[] = {"ok.test", "fast.test", NULL};
	static const char *const fast_domains[] = {"fast.test"};
	const char *many[101] = {NULL};
	char names[100][24];
	struct route_options routes[2];
	struct nexthop *fast = nexthop_start(NULL, 0, NULL);
	const char *fast_host = nexthop_address(fast);
	struct queue_stats stats = {0};
	struct rig r;

	for (size_t i = 0; i < 100; i++) {
		snprintf(names[i], sizeof(names[i]), "u%zu@ok.test", i);
		many[i] = names[i];
	}
	rig_open(&r, &step, 1, NULL);
	rig_list(&r, domains);
	r.route.max_connections = 1;
	r.route.command_timeout_ms = 60000;
	routes[0] = routes[1] = r.route;
	routes[0].name = "fast";
	routes[0].domains = fast_domains;
	routes[0].hosts = &fast_host;
	r.options.routes = routes;
	r.options.route_count = 2;
	for (size_t i = 0; i < 5; i++)
		rig_accept(&r, "", many, "a: b\r\n\r\n", 8);
	rig_deliver(&r);
	ck_assert(nexthop_wait_stage(r.hop, AT_RCPT, 1, RIG_WAIT_MS));
	for (int i = 0; i < 500 && stats.by_state[STATE_DELIVERING] < 200; i++) {
		usleep(10000);
		store_stats(r.store, &stats);
	}
	ck_assert_int_ge(stats.by_state[STATE_DELIVERING], 200);
	rig_send(&r, "ann@fast.test", STATE_DELIVERED);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	nexthop_go(r.hop);
	rig_stop(&r);
	nexthop_stop(&fast);
}
END_TEST

static void count_one(void *ctx)
{
	__atomic_add_fetch((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

START_TEST(a_reload_takes_over_for_the_next_message)
{
	struct delivery_options next;
	struct route_options route;
	struct rig r;
	int ended = 0;

	rig_start(&r, NULL, 0, NULL);
	rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	route = r.route;
	route.name = "renamed";
	next = r.options;
	next.routes = &route;
	deliver_reload(r.deliver, &next, count_one, &ended);
	for (int i = 0; i < 1000 && __atomic_load_n(&ended, __ATOMIC_SEQ_CST) == 0; i++)
		usleep(5000);
	ck_assert_int_eq(__atomic_load_n(&ended, __ATOMIC_SEQ_CST), 1);
	memset(&r.route, 0, sizeof(r.route));
	ck_assert_str_eq(rig_send(&r, "ann@ok.test", STATE_DELIVERED)->route, "renamed");
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/deliver", one_plain_message_goes_through, the_last_reply_decides,
	  breaking_in_mid_data_is_no_doubt, each_recipient_has_its_own_outcome,
	  more_than_a_354_in_one_packet, an_unanswered_dot_is_held_the_third_time,
	  too_old_mail_expires, no_route_is_said, our_own_listener_is_refused,
	  capture_only_connects_to_nobody, a_slow_route_does_not_hold_up_the_others,
	  a_reload_takes_over_for_the_next_message)
