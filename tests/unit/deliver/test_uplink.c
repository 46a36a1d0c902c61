/* tests relay/deliver/uplink.c and carry.c: a message on its way through a connection */
#include <config.h> /* usleep */

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/deliver/talker.h"
#include "tests/unit/unit.h"

START_TEST(a_message_goes_through_with_its_real_header)
{
	struct talker t;
	const struct nexthop_mail *mail;

	talker_ready(&t, NULL, 0, NULL);
	talker_assign(&t, talker_ann_bob, "Received: us\r\n.odd: 1\r\n\r\n", 9);
	talker_to_data(&t, talker_ann_bob);
	talker_tell(&t, talker_stand_in);
	talker_tell(&t, "..dot\r\na\r\n.\r\n");
	ck_assert(talker_hear(&t, "250 "));
	ck_assert(talker_hear(&t, "221 "));
	bell_await(&t.bell, &t.done);
	ck_assert(t.alive);
	ck_assert(nexthop_wait_mails(t.hop, 1, TALKER_WAIT_MS));
	mail = nexthop_mail(t.hop, 0);
	ck_assert_str_eq(mail->data, "Received: us\r\n.odd: 1\r\n\r\n.dot\r\na\r\n");
	ck_assert_str_eq(mail->mail, "MAIL FROM:<> SIZE=34 BODY=7BIT");
	ck_assert_str_eq(mail->rcpt[1], "RCPT TO:<bob@ok.test>");
	ck_assert_int_eq(t.job->record.final.code, 250);
	ck_assert_str_eq(t.job->record.final.enhanced, "2.0.0");
	ck_assert_str_eq(t.job->record.remote, t.host);
	talker_close(&t);
}
END_TEST

/* No PIPELINING offered: one command at a time, and the result is the same. */
START_TEST(without_pipelining_commands_go_one_by_one)
{
	static const struct nexthop_step steps[] = {
		{AT_EHLO, DO_REPLY, "502 no\r\n"},
		{AT_RCPT, DO_DRIP, "250 ok\r\n", .ms = 5},
	};
	struct talker t;

	talker_ready(&t, steps, 2, NULL);
	talker_send_empty(&t, talker_ann_bob);
	ck_assert(t.alive);
	ck_assert_int_eq(nexthop_reached(t.hop, AT_HELO), 1);
	ck_assert_uint_eq(nexthop_mail(t.hop, 0)->rcpt_count, 2);
	ck_assert_str_eq(nexthop_mail(t.hop, 0)->mail, "MAIL FROM:<>");
	talker_close(&t);
}
END_TEST

START_TEST(a_message_over_the_next_hops_size_is_not_sent)
{
	struct talker t;

	talker_ready(&t, NULL, 0, "SIZE 10");
	talker_assign(&t, talker_ann, "a: b\r\n\r\n", 3);
	ck_assert(talker_hear(&t, "250 PIPELINING\r\n"));
	talker_tell(&t, "MAIL FROM:<>\r\n");
	ck_assert(talker_hear(&t, "552 "));
	bell_await(&t.bell, &t.done);
	ck_assert(t.alive);
	ck_assert(t.job->record.mail_local);
	ck_assert_str_eq(t.job->record.mail.enhanced, "5.3.4");
	ck_assert(!nexthop_saw(t.hop, "MAIL"));
	talker_close(&t);
}
END_TEST

/* A message with a body of `size` octets, of which `body` is all that comes for now. */
static void begin_body(struct talker *t, int64_t size, const char *body)
{
	talker_ready(t, NULL, 0, NULL);
	talker_assign(t, talker_ann, "a: b\r\n\r\n", size);
	talker_to_data(t, talker_ann);
	talker_tell(t, talker_stand_in);
	talker_tell(t, body);
}

/* Whatever is wrong with the body, the connection closes and no dot leaves. */
START_TEST(a_body_that_does_not_add_up_gets_no_dot)
{
	static const char *const bodies[] = {
		"short\r\n.\r\n", "much too long a body for that\r\n.\r\n",
		"12345678\r\n.x\r\n.\r\n", /* a dot not doubled */
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct talker t;

		begin_body(&t, 14, bodies[i]);
		bell_await(&t.bell, &t.done);
		ck_assert(!t.alive);
		ck_assert(t.job->record.broken != ERR_OK);
		ck_assert(!t.job->record.dot_sent);
		usleep(50000);
		ck_assert(!nexthop_saw(t.hop, "\r\n.\r\n"));
		ck_assert_uint_eq(nexthop_mail_count(t.hop), 0);
		talker_close(&t);
	}
}
END_TEST

START_TEST(a_worker_that_breaks_off_leaves_no_message)
{
	struct talker t;

	begin_body(&t, 14, "half");
	shutdown(t.fd, SHUT_RDWR);
	bell_await(&t.bell, &t.done);
	ck_assert(!t.alive);
	ck_assert(!t.job->record.dot_sent);
	usleep(50000);
	ck_assert_uint_eq(nexthop_mail_count(t.hop), 0);
	talker_close(&t);
}
END_TEST

/* The store could not be read: nothing was said, so the connection is as good as before. */
START_TEST(a_worker_that_never_begins_does_no_harm)
{
	struct talker t;

	talker_ready(&t, NULL, 0, NULL);
	talker_assign(&t, talker_ann, "\r\n", 0);
	shutdown(t.fd, SHUT_RDWR);
	bell_await(&t.bell, &t.done);
	ck_assert(t.alive);
	ck_assert(!nexthop_saw(t.hop, "MAIL"));
	talker_close(&t);
}
END_TEST

START_TEST(closing_in_the_middle_sends_no_dot)
{
	struct talker t;

	begin_body(&t, 5, "x");
	uplink_close(t.uplink);
	bell_await(&t.bell, &t.done);
	bell_await(&t.bell, &t.closed);
	ck_assert(!t.alive && t.job->record.broken == ERR_CLOSED);
	usleep(50000);
	ck_assert_uint_eq(nexthop_mail_count(t.hop), 0);
	talker_close(&t);
}
END_TEST

static int by_size(const void *a, const void *b)
{
	const int64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Replies in packets of their own, each kept back until the one before is acknowledged. */
START_TEST(a_next_hop_with_nagles_delay_costs_no_40_ms)
{
	enum { WARM = 20, MEASURED = 15 };
	int64_t took_us[MEASURED];
	struct talker t;

	talker_open(&t, NULL, 0, NULL);
	nexthop_use_nagle(t.hop);
	talker_connect(&t);
	for (int i = -WARM; i < MEASURED; i++) {
		int64_t start = clock_mono_us();

		talker_send_empty(&t, talker_ann_bob);
		ck_assert(t.alive);
		if (i >= 0)
			took_us[i] = clock_mono_us() - start;
	}
	qsort(took_us, MEASURED, sizeof(took_us[0]), by_size);
	ck_assert_int_lt(took_us[MEASURED / 2], 20000);
	talker_close(&t);
}
END_TEST

UNIT_MAIN("deliver/uplink", a_message_goes_through_with_its_real_header,
	  without_pipelining_commands_go_one_by_one, a_message_over_the_next_hops_size_is_not_sent,
	  a_body_that_does_not_add_up_gets_no_dot, a_worker_that_breaks_off_leaves_no_message,
	  a_worker_that_never_begins_does_no_harm, closing_in_the_middle_sends_no_dot,
	  a_next_hop_with_nagles_delay_costs_no_40_ms)
