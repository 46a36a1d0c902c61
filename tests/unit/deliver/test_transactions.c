/* tests how a message is divided into transactions, and what they look like with every next hop */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char bytes[] = "Subject: test\r\n\r\n.dot\r\n..\r\nlast\r\n";
static const char eight[] = "Subject: test\r\n\r\nw\xc3\xb6rt\r\n";

/* "r000@ok.test" and on; lives until the next call. */
static const char *const *many(size_t count)
{
	static char names[RIG_RECIPIENTS_MAX][40];
	static const char *list[RIG_RECIPIENTS_MAX + 1];

	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "r%03zu@ok.test", i);
		list[i] = names[i];
	}
	list[count] = NULL;
	return list;
}

/* How often the next hop took a message for this address. */
static size_t copies_for(struct rig *r, const char *address)
{
	char line[64];
	size_t count = 0;

	snprintf(line, sizeof(line), "RCPT TO:<%s>", address);
	for (size_t i = 0; i < nexthop_mail_count(r->hop); i++) {
		const struct nexthop_mail *mail = nexthop_mail(r->hop, i);

		for (size_t k = 0; k < mail->rcpt_count; k++)
			count += strncmp(mail->rcpt[k], line, strlen(line)) == 0 ? 1 : 0;
	}
	return count;
}

/* Up to 100 recipients a transaction, then another: each recipient once, each time all of it. */
START_TEST(two_hundred_and_fifty_recipients_in_three_transactions)
{
	const char *const *list = many(250);
	size_t sizes[3] = {0};
	struct ulid id;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept(&r, "", list, bytes, sizeof(bytes) - 1);
	for (size_t i = 0; i < 250; i++)
		ck_assert_int_eq(rig_await(&r, &id, list[i], STATE_DELIVERED)->attempts, 1);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 3);
	for (size_t i = 0; i < 3; i++) {
		sizes[i] = nexthop_mail(r.hop, i)->rcpt_count;
		ck_assert_str_eq(nexthop_mail(r.hop, i)->data + strlen("Received: here\r\n"),
				 bytes);
	}
	ck_assert_uint_eq(sizes[0] + sizes[1] + sizes[2], 250);
	for (size_t i = 0; i < 250; i++)
		ck_assert_uint_eq(copies_for(&r, list[i]), 1);
	rig_stop(&r);
}
END_TEST

/* What failed together is tried again together: the jitter is the message's. */
START_TEST(a_retry_is_one_transaction_again)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 4.2.1 Later\r\n",
						 .from = 1, .to = 5};
	const char *const *list = many(5);
	struct ulid id;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 1000;
	rig_deliver(&r);
	id = rig_accept(&r, "", list, bytes, sizeof(bytes) - 1);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(rig_await(&r, &id, list[i], STATE_DELIVERED)->attempts, 2);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
	ck_assert_uint_eq(nexthop_mail(r.hop, 0)->rcpt_count, 5);
	rig_stop(&r);
}
END_TEST

/* S244: whatever is offered, alone and together, it is the same message for the same recipients. */
START_TEST(s244_no_offer_changes_message_or_recipients)
{
	static const char *const words[] = {"CHUNKING", "PIPELINING",  "8BITMIME",
					    "DSN",	"SIZE 100000", "XUSR"};
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "550 5.1.1 No such user\r\n",
						 .match = "<bob@"};
	static const char *const three[] = {"ann@ok.test", "bob@ok.test", "cid@ok.test", NULL};
	static const char mixed[] = "Subject: t\r\n\r\n.\r\n..x\r\nw\xc3\xb6rt\r\n.";

	static char ehlo[64][200];
	struct rig r;

	rig_open(&r, &step, 1, "");
	r.body_8bit = true;
	rig_deliver(&r);
	for (unsigned set = 0; set < 64; set++) {
		const struct nexthop_mail *mail;
		struct ulid id;

		for (size_t i = 0; i < COUNT(words); i++)
			if ((set >> i & 1) != 0)
				snprintf(ehlo[set] + strlen(ehlo[set]), 200 - strlen(ehlo[set]),
					 "%s\n", words[i]);
		nexthop_offer(r.hop, ehlo[set]);
		id = rig_accept(&r, "", three, mixed, sizeof(mixed) - 1);
		rig_await(&r, &id, three[0], STATE_DELIVERED);
		rig_await(&r, &id, three[1], STATE_FAILED);
		rig_await(&r, &id, three[2], STATE_DELIVERED);
		ck_assert_uint_eq(nexthop_mail_count(r.hop), set + 1);
		mail = nexthop_mail(r.hop, set);
		ck_assert_uint_eq(mail->rcpt_count, 2);
		ck_assert_str_eq(mail->rcpt[0], "RCPT TO:<ann@ok.test>");
		ck_assert_str_eq(mail->rcpt[1], "RCPT TO:<cid@ok.test>");
		ck_assert_msg(strcmp(mail->data + strlen("Received: here\r\n"),
				     "Subject: t\r\n\r\n.\r\n..x\r\nw\xc3\xb6rt\r\n.\r\n") == 0,
			      "%s: %s", ehlo[set], mail->data);
		ck_assert_int_eq(strstr(mail->mail, " BODY=8BITMIME") != NULL, set >> 2 & 1);
		ck_assert_int_eq(strstr(mail->mail, " SIZE=") != NULL, set >> 4 & 1);
	}
	ck_assert(!nexthop_saw(r.hop, "BDAT") && !nexthop_saw(r.hop, "XUSR"));
	rig_stop(&r);
}
END_TEST

/* RFC 5321 4.5.3.1.10: it takes ten at a time and says so; nobody waits, nobody gets two. */
START_TEST(the_eleventh_recipient_goes_in_the_next_transaction)
{
	static const char *const replies[] = {"452 4.5.3 Too many recipients\r\n",
					      "452 Too many recipients\r\n",
					      "552 5.5.3 Too many recipients\r\n"};

	for (size_t n = 0; n < COUNT(replies); n++) {
		struct nexthop_step steps[2];
		const char *const *list = many(25);
		struct ulid id;
		struct rig r;

		steps[0] =
			(struct nexthop_step){AT_RCPT, DO_REPLY, replies[n], .from = 11, .to = 25};
		/* The second time from the 36th RCPT on: 25 and 10. */
		steps[1] =
			(struct nexthop_step){AT_RCPT, DO_REPLY, replies[n], .from = 36, .to = 40};
		rig_start(&r, steps, 2, NULL);
		id = rig_accept(&r, "", list, bytes, sizeof(bytes) - 1);
		for (size_t i = 0; i < 25; i++) {
			const struct recipient_view *view =
				rig_await(&r, &id, list[i], STATE_DELIVERED);

			/* Not one failed attempt, and no word of it in the history. */
			ck_assert_int_eq(view->attempts, 1);
			ck_assert_uint_eq(view->history_count, 2);
			ck_assert_uint_eq(copies_for(&r, list[i]), 1);
		}
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 3);
		ck_assert_uint_eq(nexthop_mail(r.hop, 0)->rcpt_count, 10);
		ck_assert_uint_eq(nexthop_mail(r.hop, 1)->rcpt_count, 10);
		ck_assert_uint_eq(nexthop_mail(r.hop, 2)->rcpt_count, 5);
		rig_stop(&r);
	}
}
END_TEST

/* What looks like it and is not: nobody was taken, the mailbox is full, the message was refused. */
START_TEST(a_452_of_another_kind_waits)
{
	static const struct {
		const char *name;
		struct nexthop_step steps[2];
		enum state want[2];
		int attempts;
	} rows[] = {
		{"nobody was taken",
		 {{AT_RCPT, DO_REPLY, "452 4.5.3 Too many\r\n"}},
		 {STATE_DEFERRED, STATE_DEFERRED},
		 1},
		{"the mailbox is full",
		 {{AT_RCPT, DO_REPLY, "452 4.2.2 Mailbox full\r\n", .match = "r001"}},
		 {STATE_DELIVERED, STATE_DEFERRED},
		 1},
		{"the message was put off",
		 {{AT_RCPT, DO_REPLY, "452 4.5.3 Too many\r\n", .match = "r001"},
		  {AT_DOT, DO_REPLY, "451 4.3.0 Later\r\n"}},
		 {STATE_DEFERRED, STATE_DEFERRED},
		 1},
		{"552 is about its mailbox",
		 {{AT_RCPT, DO_REPLY, "552 5.2.2 Mailbox full\r\n", .match = "r001"}},
		 {STATE_DELIVERED, STATE_FAILED},
		 1},
		/* Tried alone, at once, and then it waits. */
		{"always too many for that one",
		 {{AT_RCPT, DO_REPLY, "452 4.5.3 Too many\r\n", .match = "r001"}},
		 {STATE_DELIVERED, STATE_DEFERRED},
		 1},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *const *list = many(2);
		struct ulid id;
		struct rig r;

		rig_start(&r, rows[i].steps, rows[i].steps[1].reply != NULL ? 2 : 1, NULL);
		id = rig_accept(&r, "", list, bytes, sizeof(bytes) - 1);
		for (size_t k = 0; k < 2; k++)
			ck_assert_msg(rig_await(&r, &id, list[k], rows[i].want[k])->attempts ==
					      rows[i].attempts,
				      "%s", rows[i].name);
		ck_assert_uint_le(nexthop_mail_count(r.hop), 1);
		rig_stop(&r);
	}
}
END_TEST

/* delivery.eight_bit: fail (RFC 6152): by the octets, not by what the client declared. */
START_TEST(eight_bit_content_can_be_kept_back)
{
	static const struct {
		const char *name, *ehlo, *text;
		enum state want;
	} rows[] = {
		{"8 bits, not offered", "PIPELINING", eight, STATE_FAILED},
		{"8 bits, offered", "8BITMIME", eight, STATE_DELIVERED},
		{"7 bits, declared as 8", "PIPELINING", bytes, STATE_DELIVERED},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct recipient_view *view;
		const char *const *list = many(1);
		struct ulid id;
		struct rig r;

		rig_open(&r, NULL, 0, rows[i].ehlo);
		r.options.eight_bit = EIGHT_BIT_FAIL;
		r.body_8bit = true;
		rig_deliver(&r);
		id = rig_accept(&r, "", list, rows[i].text, strlen(rows[i].text));
		view = rig_await(&r, &id, list[0], rows[i].want);
		if (rows[i].want == STATE_FAILED) {
			ck_assert_str_eq(view->reply_enhanced, "5.6.3");
			ck_assert_str_eq(view->kind, "policy");
			ck_assert(!nexthop_saw(r.hop, "MAIL"));
		} else {
			ck_assert_str_eq(nexthop_mail(r.hop, 0)->data +
						 strlen("Received: here\r\n"),
					 rows[i].text);
		}
		rig_stop(&r);
	}
}
END_TEST

/* The only such octet is the last of many chunks. */
START_TEST(the_last_octet_counts)
{
	const char *const *list = many(1);
	size_t len = 3 * 256 * 1024 + 64;
	char *text = malloc(len);
	struct ulid id;
	struct rig r;

	for (size_t i = 0; i < len; i++)
		text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'a';
	memcpy(text, "a: b\r\n\r\n", 8);
	rig_open(&r, NULL, 0, "PIPELINING");
	r.options.eight_bit = EIGHT_BIT_FAIL;
	r.body_8bit = true;
	rig_deliver(&r);
	id = rig_accept(&r, "", list, text, len);
	rig_await(&r, &id, list[0], STATE_DELIVERED);
	ck_assert_int_eq(memcmp(nexthop_mail(r.hop, 0)->data + 16, text, len), 0);
	text[len - 3] = (char)0xe9;
	id = rig_accept(&r, "", list, text, len);
	rig_await(&r, &id, list[0], STATE_FAILED);
	rig_stop(&r);
	free(text);
}
END_TEST

UNIT_MAIN("deliver/transactions", a_retry_is_one_transaction_again,
	  two_hundred_and_fifty_recipients_in_three_transactions,
	  s244_no_offer_changes_message_or_recipients,
	  the_eleventh_recipient_goes_in_the_next_transaction, a_452_of_another_kind_waits,
	  eight_bit_content_can_be_kept_back, the_last_octet_counts)
