/* tests relay/deliver/: recipients and senders pass the filter once more when they leave */
#include <string.h>

#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

/* S155: allowed when accepted, not any more when it is sent. */
START_TEST(an_entry_removed_stops_queued_mail)
{
	static const char *const two[] = {"ann@ok.test", "bob@gone.test", NULL};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	const struct recipient_view *view;
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept(&r, "", two, bytes, sizeof(bytes) - 1);
	view = rig_await(&r, &id, "bob@gone.test", STATE_DROPPED);
	ck_assert_msg(strncmp(view->reason, "whitelist changed: ", 19) == 0, "%s", view->reason);
	ck_assert_str_eq(view->ruling.verdict, "drop");
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert(!nexthop_saw(r.hop, "gone.test"));
	rig_stop(&r);
}
END_TEST

/* S156: removed while the recipient waits for its second attempt. */
START_TEST(an_entry_removed_between_attempts_stops_the_second)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 later\r\n", .from = 1,
						 .to = 1};
	static const char *const nobody[] = {NULL};
	struct rig r;
	struct ulid id;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 700;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED);
	rig_list(&r, nobody);
	rig_await(&r, &id, "ann@ok.test", STATE_DROPPED);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_RCPT), 1);
	rig_stop(&r);
}
END_TEST

/* What policy.default says of what no entry allows holds for queued mail too; but nobody can be
 * refused any more. */
static const struct {
	enum verdict_kind policy;
	enum state state;
	const char *verdict;
} defaults[] = {
	{VERDICT_DROP, STATE_DROPPED, "drop"},
	{VERDICT_REJECT, STATE_DROPPED, "drop"},
	{VERDICT_HOLD, STATE_HELD, "hold"},
	{VERDICT_REDIRECT, STATE_REDIRECTED, "redirect"},
};

START_TEST(S155_policy_default_holds_for_queued_mail)
{
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		const struct recipient_view *view;
		struct rig r;
		struct ulid id;

		rig_open(&r, NULL, 0, NULL);
		r.policy.default_verdict = defaults[i].policy;
		r.policy.redirect_to = "qa@ok.test";
		rig_deliver(&r);
		id = rig_accept_plain(&r, "bob@gone.test");
		view = rig_await(&r, &id, "bob@gone.test", defaults[i].state);
		ck_assert_msg(strncmp(view->reason, "whitelist changed: ", 19) == 0, "%s",
			      view->reason);
		ck_assert_str_eq(view->ruling.verdict, defaults[i].verdict);
		ck_assert_str_eq(view->kind, "policy");
		ck_assert_int_eq(view->attempts, 0);
		if (defaults[i].policy == VERDICT_REDIRECT) {
			rig_await(&r, &id, "qa@ok.test", STATE_DELIVERED);
			ck_assert_str_eq(nexthop_mail(r.hop, 0)->rcpt[0], "RCPT TO:<qa@ok.test>");
		} else {
			ck_assert(!nexthop_saw(r.hop, "RCPT"));
		}
		ck_assert(!nexthop_saw(r.hop, "gone.test"));
		rig_stop(&r);
	}
}
END_TEST

/* Who stands for others is judged like them, at once and before he is sent it (T5, T7). */
START_TEST(who_stands_for_others_is_judged_too)
{
	static const char *const nobody[] = {NULL};
	struct rig r;
	struct ulid id;

	rig_open(&r, NULL, 0, NULL);
	r.policy.default_verdict = VERDICT_REDIRECT;
	r.policy.redirect_to = "qa@ok.test";
	rig_list(&r, nobody);
	rig_deliver(&r);
	id = rig_accept_plain(&r, "bob@gone.test");
	rig_await(&r, &id, "bob@gone.test", STATE_REDIRECTED);
	rig_await(&r, &id, "qa@ok.test", STATE_DROPPED);
	ck_assert(!nexthop_saw(r.hop, "RCPT"));
	rig_stop(&r);
}
END_TEST

/* S094, S095 and their like, put into the store behind the parser's back. */
START_TEST(what_is_not_one_plain_address_is_never_offered)
{
	static const char *const texts[] = {
		"user@ok.test>\r\nRCPT TO:<real@ok.test",
		"user@ok.test> NOTIFY=NEVER ORCPT=x",
		"user@ok.test\n",
		" user@ok.test",
		"user@ok.test,real@ok.test",
		"<user@ok.test>",
		"\"user\"@ok.test",
		"@ok.test:user@ok.test",
		"user@[127.0.0.1]",
		"user@ok.test.",
		"user",
	};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	const char *list[sizeof(texts) / sizeof(texts[0]) + 1] = {NULL};
	struct rig r;
	struct ulid id;

	memcpy(list, texts, sizeof(texts));
	rig_start(&r, NULL, 0, NULL);
	id = rig_accept(&r, "", list, bytes, sizeof(bytes) - 1);
	for (size_t i = 0; list[i] != NULL; i++)
		rig_await(&r, &id, list[i], STATE_DROPPED);
	ck_assert(!nexthop_saw(r.hop, "RCPT"));
	rig_stop(&r);
}
END_TEST

/* The sender is replaced unless the list allows it (DESIGN 4.7). */
START_TEST(the_sender_passes_the_same_filter)
{
	static const char *const ann[] = {"ann@ok.test", NULL};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, "PIPELINING\nDSN");
	id = rig_accept(&r, "customer@real.test", ann, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	id = rig_accept(&r, "me@ok.test", ann, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->mail, "MAIL FROM:<>");
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->rcpt[0], "RCPT TO:<ann@ok.test> NOTIFY=NEVER");
	ck_assert_str_eq(nexthop_mail(r.hop, 1)->mail, "MAIL FROM:<me@ok.test>");
	ck_assert_str_eq(nexthop_mail(r.hop, 1)->rcpt[0], "RCPT TO:<ann@ok.test>");
	ck_assert(!nexthop_saw(r.hop, "real.test"));
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/judged_again", an_entry_removed_stops_queued_mail,
	  an_entry_removed_between_attempts_stops_the_second,
	  S155_policy_default_holds_for_queued_mail, who_stands_for_others_is_judged_too,
	  what_is_not_one_plain_address_is_never_offered, the_sender_passes_the_same_filter)
