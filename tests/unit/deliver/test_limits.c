/* tests relay/deliver/: what a next hop can't take, or takes too slowly, as the store tells it */
#include <config.h> /* usleep */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

#define LARGE ((size_t)32 * 1024 * 1024) /* more than the sockets of both sides hold */

static const char *const ann_bob[] = {"ann@ok.test", "bob@ok.test", NULL};
static const char plain[] = "a: b\r\n\r\nhello\r\n";

static char *large_message(void)
{
	char *bytes = malloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
	memcpy(bytes, "a: b\r\n\r\n", 8);
	return bytes;
}

/* What the last line of its story says, beside what its row says. */
static const struct history_item *last_line(const struct recipient_view *view)
{
	ck_assert_uint_gt(view->history_count, 0);
	return &view->history[view->history_count - 1];
}

/* --- data_min_rate -------------------------------------------------------------------------- */

/* The message stays in `bytes`, of which `len` are sent. */
static void give_up(const char *bytes, size_t len)
{
	static const struct nexthop_step step = {AT_BODY, DO_PAUSE, .bytes = 50000};
	const struct recipient_view *view;
	struct rig r;
	struct ulid id;
	int64_t began;

	rig_open(&r, &step, 1, NULL);
	r.route.data_min_rate = 512;
	r.route.data_grace_ms = 1000;
	rig_deliver(&r);
	id = rig_accept(&r, "", ann_bob, bytes, len);
	ck_assert(nexthop_wait_stage(r.hop, AT_BODY, 1, RIG_WAIT_MS));
	began = clock_mono_ms();
	for (size_t i = 0; i < 2; i++) {
		/* Megabytes are in the sockets' buffers by now: they buy the grace, no more. */
		view = rig_await(&r, &id, ann_bob[i], STATE_DEFERRED);
		ck_assert_int_eq(view->attempts, 1);
		ck_assert_int_eq(view->reply_code, 0);
		ck_assert_int_gt(view->next_attempt_at, clock_wall_ms());
		ck_assert_str_eq(last_line(view)->event, "deferred");
		ck_assert_str_eq(last_line(view)->remote, r.host);
		ck_assert_msg(strstr(last_line(view)->reason, "slower than data_min_rate") != NULL,
			      "%s", last_line(view)->reason);
		ck_assert_ptr_null(strstr(last_line(view)->reason, "may have arrived"));
	}
	ck_assert_int_lt(clock_mono_ms() - began, 8000);
	nexthop_go(r.hop);
	usleep(100000);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_stop(&r);
}

/* P6: a next hop that stops reading in the middle does not keep its connection and worker. */
START_TEST(a_next_hop_that_reads_too_slowly_is_given_up)
{
	char *bytes = large_message();

	give_up(bytes, LARGE);
	free(bytes);
}
END_TEST

/*
 * S241: the kernel has taken all of it, the dot too, and can't send it: that
 * is no doubt, and must not arrive after we gave up.
 */
START_TEST(a_dot_that_waits_in_the_kernel_is_taken_back)
{
	char *bytes = large_message();

	give_up(bytes, 1024 * 1024);
	free(bytes);
}
END_TEST

/* Bytes buy time: a pause shorter than the grace is forgiven, and so is one after it. */
START_TEST(a_next_hop_that_pauses_for_less_than_the_grace_is_not)
{
	static const struct nexthop_step step = {AT_BODY, DO_PAUSE, .bytes = 50000};
	char *bytes = large_message();
	struct rig r;
	struct ulid id;

	rig_open(&r, &step, 1, NULL);
	r.route.data_min_rate = 512;
	r.route.data_grace_ms = 4000;
	r.route.final_reply_timeout_ms = RIG_WAIT_MS;
	rig_deliver(&r);
	id = rig_accept(&r, "", ann_bob, bytes, LARGE);
	ck_assert(nexthop_wait_stage(r.hop, AT_BODY, 1, RIG_WAIT_MS));
	usleep(1500000);
	nexthop_go(r.hop);
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	ck_assert_uint_eq(nexthop_mail(r.hop, 0)->len, LARGE + 16);
	rig_stop(&r);
	free(bytes);
}
END_TEST

/* --- what EHLO does not offer ------------------------------------------------------------------
 */

struct offer {
	const char *name;
	const char *ehlo;
	bool body_8bit, smtputf8;
	enum state want;
	int code;
	const char *enhanced;
	const char *reason; /* part of it */
	const char *mail;   /* the MAIL line, when it is sent */
};

static void expect_outcome(struct rig *r, const struct offer *offer, const struct ulid *id,
			   const char *address)
{
	const struct recipient_view *view = rig_await(r, id, address, offer->want);
	const struct history_item *line = last_line(view);

	ck_assert_msg(view->reply_code == offer->code, "%s: %d", offer->name, view->reply_code);
	ck_assert_str_eq(view->reply_enhanced, offer->enhanced);
	ck_assert_msg(strstr(view->reason, offer->reason) != NULL, "%s: %s", offer->name,
		      view->reason);
	ck_assert_int_eq(view->attempts, 1);
	ck_assert_str_eq(view->route, "default");
	ck_assert_int_eq(view->next_attempt_at, 0);
	/* P4: the history says the same, word for word. */
	ck_assert_str_eq(line->event, state_name(offer->want));
	ck_assert_str_eq(line->state, state_name(offer->want));
	ck_assert_str_eq(line->reason, view->reason);
	ck_assert_int_eq(line->reply_code, offer->code);
	ck_assert_str_eq(line->reply_enhanced, offer->enhanced);
	ck_assert_str_eq(line->remote, r->host);
}

static void make_offer(const struct offer *offer)
{
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, offer->ehlo);
	r.body_8bit = offer->body_8bit;
	r.smtputf8 = offer->smtputf8;
	id = rig_accept(&r, "", ann_bob, plain, sizeof(plain) - 1);
	for (size_t i = 0; i < 2; i++)
		expect_outcome(&r, offer, &id, ann_bob[i]);
	if (offer->mail != NULL) {
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
		ck_assert_str_eq(nexthop_mail(r.hop, 0)->mail, offer->mail);
	} else {
		ck_assert_msg(!nexthop_saw(r.hop, "MAIL"), "%s", offer->name);
	}
	/* The connection is as good as before. */
	r.body_8bit = r.smtputf8 = false;
	if (offer->mail == NULL && strstr(offer->ehlo, "SIZE") == NULL) {
		id = rig_accept_plain(&r, "ann@ok.test");
		rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
		ck_assert_int_eq(nexthop_connections(r.hop), 1);
	}
	rig_stop(&r);
}

START_TEST(what_a_next_hop_does_not_offer_decides_for_each_recipient)
{
	/* "Received: here" and `plain` have 31 octets. */
	static const struct offer offers[] = {
		{"SIZE one too small", "PIPELINING\nSIZE 30", false, false, STATE_FAILED, 552,
		 "5.3.4",
		 "not sent: 552 5.3.4 the message has 31 octets, the next hop takes 30 (RFC 1870)",
		 NULL},
		{"SIZE that just fits", "SIZE 31", false, false, STATE_DELIVERED, 250, "2.0.0",
		 "accepted", "MAIL FROM:<> SIZE=31"},
		{"SIZE 0 is no limit", "SIZE 0", false, false, STATE_DELIVERED, 250, "2.0.0",
		 "accepted", "MAIL FROM:<> SIZE=31"},
		{"no SIZE", "PIPELINING", false, false, STATE_DELIVERED, 250, "2.0.0", "accepted",
		 "MAIL FROM:<>"},
		{"8-bit to one that does 8BITMIME", "8BITMIME", true, false, STATE_DELIVERED, 250,
		 "2.0.0", "accepted", "MAIL FROM:<> BODY=8BITMIME"},
		/* S040: every server of today passes 8 bits: better than a body rewritten. */
		{"8-bit to one that does not", "PIPELINING", true, false, STATE_DELIVERED, 250,
		 "2.0.0", "accepted", "MAIL FROM:<>"},
		{"SMTPUTF8 to one that does it", "SMTPUTF8\n8BITMIME", true, true, STATE_DELIVERED,
		 250, "2.0.0", "accepted", "MAIL FROM:<> BODY=8BITMIME SMTPUTF8"},
		{"SMTPUTF8 to one that does not", "PIPELINING\n8BITMIME", true, true, STATE_FAILED,
		 550, "5.6.7",
		 "not sent: 550 5.6.7 the message needs SMTPUTF8, which the next hop does not "
		 "offer",
		 NULL},
	};

	for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
		make_offer(&offers[i]);
}
END_TEST

UNIT_MAIN("deliver/limits", a_next_hop_that_reads_too_slowly_is_given_up,
	  a_dot_that_waits_in_the_kernel_is_taken_back,
	  a_next_hop_that_pauses_for_less_than_the_grace_is_not,
	  what_a_next_hop_does_not_offer_decides_for_each_recipient)
