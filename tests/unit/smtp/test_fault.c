/* tests relay/smtp/fault.c and what intake.c does with it: each action at each stage */
#include <config.h>

#include <stdio.h>

#include "base/clock.h"
#include "relay/filter/fault.h"
#include "tests/unit/smtp/relay.h"
#include "tests/unit/unit.h"

static const struct list_row rows[] = {{"allowed.test", 1, false, NULL, 0},
				       {NULL, 0, false, NULL, 0}};

/* A relay where failures can be demanded, and a client that was greeted. */
struct faulty {
	struct relay relay;
	struct faults *faults;
	struct client client;
};

static void faulty_open(struct faulty *faulty, enum verdict_kind unlisted)
{
	struct relay *relay = &faulty->relay;

	relay_init_with(relay, rows);
	relay->policy.default_verdict = unlisted;
	faulty->faults = faults_new();
	intake_set_faults(relay->intake, faulty->faults);
	relay->rig.listener.scope = "shop";
	rig_open(&relay->rig);
	client_greet(&faulty->client, &relay->rig);
}

static void faulty_close(struct faulty *faulty)
{
	client_close(&faulty->client);
	relay_close(&faulty->relay);
	faults_free(&faulty->faults);
}

static struct fault fault_of(enum fault_action action, enum fault_stage stage)
{
	struct fault fault;

	fault_init(&fault);
	fault.name = "on-demand";
	fault.action = action;
	fault.stage = stage;
	fault.delay_ms = action == FAULT_DELAY ? 200 : 0;
	return fault;
}

static void demand(struct faulty *faulty, const struct fault *fault)
{
	ck_assert_int_eq(faults_publish(faulty->faults, PUBLISHED_FROM_STORE, fault, 1), 0);
}

/* One message to bob@allowed.test and eve@other.test, up to the first answer that is no yes. */
static void send_until(struct faulty *faulty, const char *want)
{
	static const char *const commands[] = {"MAIL FROM:<app@shop.test>",
					       "RCPT TO:<bob@allowed.test>",
					       "RCPT TO:<eve@other.test>", "DATA", "hello\r\n."};
	static const char *const yes[] = {"250", "250", "250", "354", "250"};
	char code[12] = "";

	for (size_t i = 0; i < 5; i++) {
		int got;

		client_say(&faulty->client, commands[i]);
		client_say(&faulty->client, "\r\n");
		got = client_code(&faulty->client);
		if (got < 0) {
			ck_assert_str_eq("gone", want);
			return;
		}
		snprintf(code, sizeof(code), "%d", got);
		if (strcmp(code, yes[i]) != 0)
			break;
	}
	ck_assert_str_eq(code, want);
}

static int64_t stored(struct faulty *faulty)
{
	struct queue_stats stats;

	store_stats(faulty->relay.queue.store, &stats);
	return stats.messages;
}

START_TEST(refused_at_each_stage)
{
	struct fault fault = fault_of(FAULT_REJECT, FAULT_AT_MAIL);
	struct faulty faulty;

	faulty_open(&faulty, VERDICT_DROP);
	for (; fault.stage <= FAULT_AT_END; fault.stage++) {
		fault.code = 450 + fault.stage;
		fault.scope = "shop";
		demand(&faulty, &fault);
		send_until(&faulty,
			   (const char *const[]){"", "451", "452", "453", "454"}[fault.stage]);
		client_ask(&faulty.client, "RSET", "250 2.0.0");
		ck_assert_int_eq(stored(&faulty), 0);
	}
	/* In force for the next command, as is the end of it. */
	fault.stage = FAULT_AT_RCPT;
	fault.recipient = "eve@other.test";
	demand(&faulty, &fault);
	send_until(&faulty, "454");
	faults_publish(faulty.faults, PUBLISHED_FROM_STORE, NULL, 0);
	client_ask(&faulty.client, "RCPT TO:<eve@other.test>", "250 2.1.5");
	client_ask(&faulty.client, "DATA", "354");
	client_ask(&faulty.client, "hello\r\n.", "250 2.0.0");
	ck_assert_int_eq(stored(&faulty), 1);
	faulty_close(&faulty);
}
END_TEST

START_TEST(disconnected_at_each_stage)
{
	struct fault fault = fault_of(FAULT_DISCONNECT, FAULT_AT_MAIL);
	struct faulty faulty;

	faulty_open(&faulty, VERDICT_DROP);
	for (; fault.stage <= FAULT_AT_END; fault.stage++) {
		demand(&faulty, &fault);
		send_until(&faulty, "gone");
		client_close(&faulty.client);
		client_greet(&faulty.client, &faulty.relay.rig);
	}
	ck_assert_int_eq(stored(&faulty), 0);
	faulty_close(&faulty);
}
END_TEST

START_TEST(late_at_each_stage_and_stored_all_the_same)
{
	struct fault fault = fault_of(FAULT_DELAY, FAULT_AT_MAIL);
	struct faulty faulty;

	faulty_open(&faulty, VERDICT_DROP);
	for (; fault.stage <= FAULT_AT_END; fault.stage++) {
		int64_t before = clock_mono_ms();

		demand(&faulty, &fault);
		send_until(&faulty, "250");
		ck_assert_int_ge(clock_mono_ms() - before, 199);
	}
	ck_assert_int_eq(stored(&faulty), 4);
	faulty_close(&faulty);
}
END_TEST

static struct message_view last_message(struct faulty *faulty)
{
	struct message_query query = {.limit = 1, .with_recipients = true};
	struct message_page page;

	ck_assert_int_eq(queue_message_list(faulty->relay.queue.reader, &query, faulty->relay.arena,
					    &page, NULL),
			 ERR_OK);
	ck_assert_uint_eq(page.count, 1);
	return page.views[0];
}

/* What is to bounce is queued whatever the list says; the rest of the message is as always. */
static void expect_fates(struct faulty *faulty, const char *bob, const char *eve)
{
	struct claim claim = claim_at(&faulty->relay.queue, INT64_MAX / 2, 10);
	const struct claimed_message *message = &claim.messages[0];

	ck_assert_uint_eq(claim.message_count, 1);
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct claimed_recipient *r = &message->recipients[i];
		const char *want = strncmp(r->address, "bob", 3) == 0 ? bob : eve;

		if (want == NULL)
			ck_assert_ptr_null(r->fault);
		else
			ck_assert_str_eq(r->fault, want);
	}
	arena_free(&claim.arena);
}

START_TEST(a_bounce_is_decided_at_rcpt)
{
	static const enum verdict_kind kinds[] = {VERDICT_DROP, VERDICT_HOLD, VERDICT_REJECT};
	struct fault fault = fault_of(FAULT_BOUNCE, FAULT_AT_RCPT);

	fault.recipient = "other.test";
	fault.reply = "No such user";
	for (size_t i = 0; i < 3; i++) {
		struct message_view view;
		struct faulty faulty;

		faulty_open(&faulty, kinds[i]);
		demand(&faulty, &fault);
		send_until(&faulty, "250");
		view = last_message(&faulty);
		ck_assert_uint_eq(view.recipient_count, 2);
		ck_assert_int_eq(view.recipients[1].state, STATE_QUEUED);
		ck_assert_ptr_nonnull(strstr(view.recipients[1].ruling.reason,
					     "to bounce by the fault rule on-demand"));
		expect_fates(&faulty, NULL, "bounce 1 550 5.1.1 on-demand No such user");
		faulty_close(&faulty);
	}
}
END_TEST

/* A delay of what the list would drop changes nothing about that. */
START_TEST(a_defer_does_not_let_anything_out)
{
	struct fault fault = fault_of(FAULT_DEFER, FAULT_AT_RCPT);
	struct message_view view;
	struct faulty faulty;

	fault.attempts = 3;
	faulty_open(&faulty, VERDICT_DROP);
	demand(&faulty, &fault);
	send_until(&faulty, "250");
	view = last_message(&faulty);
	ck_assert_int_eq(view.recipients[0].state, STATE_QUEUED);
	ck_assert_int_eq(view.recipients[1].state, STATE_DROPPED);
	expect_fates(&faulty, "defer 3 451 4.3.0 on-demand Failure on demand", NULL);
	faulty_close(&faulty);
}
END_TEST

START_TEST(a_recipient_named_twice_counts_once)
{
	struct fault fault = fault_of(FAULT_REJECT, FAULT_AT_RCPT);
	struct fault_view view;
	const struct edition *set;
	struct faulty faulty;

	fault.skip = 1;
	faulty_open(&faulty, VERDICT_DROP);
	demand(&faulty, &fault);
	client_ask(&faulty.client, "MAIL FROM:<app@shop.test>", "250");
	client_ask(&faulty.client, "RCPT TO:<bob@allowed.test>", "250");
	client_ask(&faulty.client, "RCPT TO:<bob@ALLOWED.test>", "250");
	client_ask(&faulty.client, "RCPT TO:<carol@allowed.test>", "550 5.1.1");
	set = faults_acquire(faulty.faults);
	fault_set_view(set, 0, &view);
	ck_assert_int_eq(view.matches, 2);
	ck_assert_int_eq(view.strikes, 1);
	published_release(&set);
	faulty_close(&faulty);
}
END_TEST

UNIT_MAIN("smtp/fault", refused_at_each_stage, disconnected_at_each_stage,
	  late_at_each_stage_and_stored_all_the_same, a_bounce_is_decided_at_rcpt,
	  a_defer_does_not_let_anything_out, a_recipient_named_twice_counts_once)
