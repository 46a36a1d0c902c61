/* tests relay/filter/fault.c, fault_set.c and fate.c */
#include <config.h>

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include "relay/filter/fault.h"
#include "relay/filter/fault_set.h"
#include "tests/unit/unit.h"

static struct fault rule(const char *name, enum fault_action action)
{
	struct fault fault;

	fault_init(&fault);
	fault.name = name;
	fault.action = action;
	fault.delay_ms = action == FAULT_DELAY ? 100 : 0;
	return fault;
}

/* --- what can be meant ------------------------------------------------------------------ */

struct told {
	char members[200];
};

static void tell(void *ctx, const char *member, const char *sentence)
{
	struct told *told = ctx;
	size_t len = strlen(told->members);

	ck_assert_ptr_nonnull(sentence);
	snprintf(told->members + len, sizeof(told->members) - len, "%s ", member);
}

static void keep_sentence(void *ctx, const char *member, const char *sentence)
{
	ck_assert_str_eq(member, "code");
	*(const char **)ctx = sentence;
}

#define RULE(act, ...)                                                                             \
	{                                                                                          \
		.name = "x", .enabled = true, .action = (act), .stage = FAULT_AT_RCPT,             \
		.recipient = "", .sender = "", .user = "", .scope = "", .enhanced = "",            \
		.reply = "", .attempts = 1, .every = 1, .note = "", __VA_ARGS__                    \
	}

START_TEST(a_rule_is_checked_member_by_member)
{
	/* The initialisers repeat members on purpose: the later one stands. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
	static const struct {
		struct fault fault;
		const char *want;
	} cases[] = {
		{RULE(FAULT_REJECT), ""},
		{RULE(FAULT_REJECT, .recipient = "*"), ""},
		{RULE(FAULT_REJECT, .recipient = "qa-*@.example.com", .sender = "<>"), ""},
		{RULE(FAULT_REJECT, .recipient = "a b"), "recipient "},
		{RULE(FAULT_REJECT, .recipient = "<>"), "recipient "},
		{RULE(FAULT_REJECT, .stage = FAULT_AT_MAIL, .recipient = "a@b.test"), "recipient "},
		{RULE(FAULT_REJECT, .stage = FAULT_AT_END, .recipient = "a@b.test"), ""},
		{RULE(FAULT_REJECT, .sender = "@"), "sender "},
		{RULE(FAULT_REJECT, .user = "app-*"), ""},
		{RULE(FAULT_REJECT, .user = "a\nb"), "user "},
		{RULE(FAULT_REJECT, .scope = "a b"), "scope "},
		{RULE(FAULT_REJECT, .code = 399), "code "},
		{RULE(FAULT_REJECT, .code = 421, .enhanced = "4.7.0"), ""},
		{RULE(FAULT_REJECT, .code = 450, .enhanced = "5.7.1"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.7.1000"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.7"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.999.999"), ""},
		{RULE(FAULT_REJECT, .enhanced = "55.7.1"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.7000.1"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.x.1"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.1.x"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = ".7.1"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.0.1"), ""},
		{RULE(FAULT_REJECT, .enhanced = "5.01.1"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.1.00"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.1000.1"), "enhanced "},
		{RULE(FAULT_REJECT, .enhanced = "5.1.1000"), "enhanced "},
		{RULE(FAULT_DELAY, .delay_ms = 1, .enhanced = "5.7.1"), "enhanced "},
		{RULE(FAULT_REJECT, .code = 400, .enhanced = "4.0.0"), ""},
		{RULE(FAULT_REJECT, .code = 599), ""},
		{RULE(FAULT_REJECT, .code = 600), "code "},
		{RULE(FAULT_REJECT, .reply = "two\r\nlines"), "text "},
		{RULE(FAULT_REJECT, .delay_ms = 600000), ""},
		{RULE(FAULT_REJECT, .delay_ms = 600001), "delay "},
		{RULE(FAULT_REJECT, .delay_ms = -1), "delay "},
		{RULE(FAULT_REJECT, .attempts = 2), "attempts "},
		{RULE(FAULT_DELAY), "delay "},
		{RULE(FAULT_DELAY, .delay_ms = 1, .code = 550), "code "},
		{RULE(FAULT_DISCONNECT, .reply = "bye"), "text "},
		{RULE(FAULT_DISCONNECT, .stage = FAULT_AT_DATA), ""},
		{RULE(FAULT_BOUNCE, .code = 450), "code "},
		{RULE(FAULT_BOUNCE, .code = 499), "code "},
		{RULE(FAULT_BOUNCE, .code = 500), ""},
		{RULE(FAULT_BOUNCE, .code = 552), ""},
		{RULE(FAULT_BOUNCE, .code = 599), ""},
		{RULE(FAULT_BOUNCE, .code = 600), "code "},
		{RULE(FAULT_DEFER, .code = 399), "code "},
		{RULE(FAULT_DEFER, .code = 400), ""},
		{RULE(FAULT_DEFER, .code = 499), ""},
		{RULE(FAULT_DEFER, .code = 500), "code "},
		{RULE(FAULT_DEFER, .attempts = 1000), ""},
		{RULE(FAULT_BOUNCE, .stage = FAULT_AT_END), "stage "},
		{RULE(FAULT_DEFER, .attempts = 3), ""},
		{RULE(FAULT_DEFER, .attempts = 0), "attempts "},
		{RULE(FAULT_DEFER, .attempts = 1001), "attempts "},
		{RULE(FAULT_DEFER, .code = 550), "code "},
		{RULE(FAULT_REJECT, .every = 0, .times = 2000000000, .skip = 2000000000),
		 "after every times "},
		{RULE(FAULT_REJECT, .every = 1000000000, .times = 1000000000, .skip = 1000000000),
		 ""},
		{RULE(FAULT_REJECT, .every = 1000000001), "every "},
		{RULE((enum fault_action)6, .stage = (enum fault_stage)0), "action stage "},
		{RULE(FAULT_REJECT, .name = ""), "name "},
		{RULE(FAULT_REJECT, .name = "a b"), "name "},
		{RULE((enum fault_action)0, .stage = (enum fault_stage)9), "action stage "},
	};
#pragma GCC diagnostic pop

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told told = {""};
		size_t mistakes = fault_check(&cases[i].fault, tell, &told);

		ck_assert_msg(strcmp(told.members, cases[i].want) == 0, "case %zu: %s, not %s", i,
			      told.members, cases[i].want);
		ck_assert_int_eq(mistakes > 0, cases[i].want[0] != '\0');
	}
}
END_TEST

/* Which codes are wanted depends on what the rule does. */
START_TEST(a_wrong_code_is_told_for_what_it_is)
{
	static const struct {
		enum fault_action action;
		size_t code;
		const char *want;
	} cases[] = {
		{FAULT_BOUNCE, 499, "a bounce has a code from 500 to 599"},
		{FAULT_BOUNCE, 600, "a bounce has a code from 500 to 599"},
		{FAULT_DEFER, 399, "an attempt is put off with a code from 400 to 499"},
		{FAULT_DEFER, 500, "an attempt is put off with a code from 400 to 499"},
		{FAULT_REJECT, 399, "a refusal has a code from 400 to 599"},
		{FAULT_REJECT, 600, "a refusal has a code from 400 to 599"},
		{FAULT_DELAY, 450, "a rule that delays or disconnects gives no code"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault fault = rule("x", cases[i].action);
		const char *said = NULL;

		fault.code = cases[i].code;
		ck_assert_uint_eq(fault_check(&fault, keep_sentence, &said), 1);
		ck_assert_str_eq(said, cases[i].want);
	}
}
END_TEST

START_TEST(a_note_has_an_end)
{
	struct fault fault = rule("x", FAULT_REJECT);
	struct told told = {""};
	char note[1002];

	memset(note, 'n', 1001);
	note[1001] = '\0';
	fault.note = note;
	ck_assert_uint_eq(fault_check(&fault, tell, &told), 1);
	ck_assert_str_eq(told.members, "note ");
	note[1000] = '\0';
	ck_assert_uint_eq(fault_check(&fault, tell, &told), 0);
}
END_TEST

START_TEST(names_are_read_back)
{
	for (enum fault_action a = FAULT_REJECT; a <= FAULT_DEFER; a++) {
		enum fault_action back;

		ck_assert_int_eq(fault_action_parse(span_of(fault_action_name(a)), &back), ERR_OK);
		ck_assert_int_eq(back, a);
	}
	for (enum fault_stage s = FAULT_AT_MAIL; s <= FAULT_AT_END; s++) {
		enum fault_stage back;

		ck_assert_int_eq(fault_stage_parse(span_of(fault_stage_name(s)), &back), ERR_OK);
		ck_assert_int_eq(back, s);
	}
}
END_TEST

START_TEST(other_names_are_unknown)
{
	enum fault_action action;
	enum fault_stage stage;

	ck_assert_str_eq(fault_action_name((enum fault_action)0), "unknown");
	ck_assert_str_eq(fault_action_name((enum fault_action)(FAULT_DEFER + 1)), "unknown");
	ck_assert_str_eq(fault_stage_name((enum fault_stage)0), "unknown");
	ck_assert_str_eq(fault_stage_name((enum fault_stage)(FAULT_AT_END + 1)), "unknown");
	ck_assert_int_eq(fault_action_parse(span_of("drop"), &action), ERR_NOT_FOUND);
	ck_assert_int_eq(fault_stage_parse(span_of("rset"), &stage), ERR_NOT_FOUND);
}
END_TEST

/* --- what a set does --------------------------------------------------------------------- */

struct trial {
	struct faults *faults;
	struct address sender;
	struct address recipient;
	const char *user;
	const char *scope;
	char struck[200]; /* names, with blanks */
};

static void setup(struct trial *t, const struct fault *rows, size_t count)
{
	*t = (struct trial){.faults = faults_new(), .user = "", .scope = ""};
	ck_assert_int_eq(address_parse(span_of("app@shop.test"), &t->sender, NULL), ERR_OK);
	ck_assert_int_eq(address_parse(span_of("Bob@example.com"), &t->recipient, NULL), ERR_OK);
	ck_assert_int_eq(faults_publish(t->faults, PUBLISHED_FROM_STORE, rows, count), 0);
}

static void on_struck(void *ctx, const struct fault *fault)
{
	struct trial *t = ctx;
	size_t len = strlen(t->struck);

	snprintf(t->struck + len, sizeof(t->struck) - len, "%s ", fault->name);
}

static struct fault_effect judge(struct trial *t, enum fault_stage stage)
{
	struct new_recipient taken = {.address = "Bob@example.com"};
	const struct fault_case at = {
		.stage = stage,
		.sender = &t->sender,
		.recipient = stage == FAULT_AT_RCPT ? &t->recipient : NULL,
		.recipients = &taken,
		.recipient_count = stage > FAULT_AT_RCPT ? 1 : 0,
		.user = t->user,
		.scope = t->scope,
	};
	const struct edition *set = faults_acquire(t->faults);
	struct fault_effect effect;

	t->struck[0] = '\0';
	fault_judge(set, &at, on_struck, t, &effect);
	published_release(&set);
	return effect;
}

static bool strikes(const struct fault *fault, enum fault_stage stage, const char *user,
		    const char *scope)
{
	struct trial t;
	bool struck;

	setup(&t, fault, 1);
	t.user = user;
	t.scope = scope;
	judge(&t, stage);
	struck = t.struck[0] != '\0';
	faults_free(&t.faults);
	return struck;
}

START_TEST(a_rule_looks_at_whom_it_names)
{
	struct fault fault = rule("x", FAULT_REJECT);

	ck_assert(strikes(&fault, FAULT_AT_RCPT, "", ""));
	ck_assert(!strikes(&fault, FAULT_AT_MAIL, "", ""));
	ck_assert(!strikes(&fault, FAULT_AT_DATA, "", ""));
	fault.recipient = "bob@example.com";
	ck_assert(strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.recipient = "other.test";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.recipient = "*";
	ck_assert(strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.sender = "*@shop.test";
	ck_assert(strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.sender = "<>";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.sender = "other.test";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.sender = "";
	fault.user = "app-*";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "web", ""));
	ck_assert(strikes(&fault, FAULT_AT_RCPT, "app-7", ""));
	/* Nobody is no user, not even for `*`. */
	fault.user = "*";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.user = "";
	fault.scope = "shop";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	ck_assert(strikes(&fault, FAULT_AT_RCPT, "", "shop"));
	fault.scope = "s";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	fault.user = "a";
	fault.scope = "";
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
	ck_assert(strikes(&fault, FAULT_AT_RCPT, "a", ""));
	fault.user = "";
	fault.enabled = false;
	ck_assert(!strikes(&fault, FAULT_AT_RCPT, "", ""));
}
END_TEST

/* RFC 3463: 421 says that the service goes away, 5.1.1 that there is no such mailbox. */
START_TEST(what_is_usual_fits_the_code_and_the_stage)
{
	static const struct {
		enum fault_stage stage;
		size_t code;
		const char *enhanced;
	} rows[] = {
		{FAULT_AT_RCPT, 0, "5.1.1"},   {FAULT_AT_RCPT, 550, "5.1.1"},
		{FAULT_AT_RCPT, 551, "5.3.0"}, {FAULT_AT_RCPT, 421, "4.3.2"},
		{FAULT_AT_RCPT, 400, "4.3.0"}, {FAULT_AT_MAIL, 550, "5.3.0"},
		{FAULT_AT_RCPT, 499, "4.3.0"}, {FAULT_AT_END, 450, "4.3.0"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault fault = rule("x", FAULT_REJECT);
		struct fault_effect effect;
		struct trial t;

		fault.stage = rows[i].stage;
		fault.code = rows[i].code;
		setup(&t, &fault, 1);
		effect = judge(&t, rows[i].stage);
		ck_assert_ptr_nonnull(effect.by);
		ck_assert_int_eq(effect.fate.code, rows[i].code != 0 ? (int)rows[i].code : 550);
		ck_assert_str_eq(effect.fate.enhanced, rows[i].enhanced);
		faults_free(&t.faults);
		ck_assert_ptr_null(t.faults);
		faults_free(&t.faults);
	}
}
END_TEST

START_TEST(the_null_sender_and_a_recipient_behind_data)
{
	struct fault faults[] = {rule("null", FAULT_REJECT), rule("end", FAULT_REJECT),
				 rule("never", FAULT_REJECT)};
	struct trial t;

	faults[0].sender = "<>";
	faults[0].stage = FAULT_AT_MAIL;
	faults[1].recipient = "bob@example.com";
	faults[1].stage = FAULT_AT_END;
	faults[2].recipient = "carol@example.com";
	faults[2].stage = FAULT_AT_DATA;
	setup(&t, faults, 3);
	judge(&t, FAULT_AT_DATA);
	ck_assert_str_eq(t.struck, "");
	judge(&t, FAULT_AT_END);
	ck_assert_str_eq(t.struck, "end ");
	t.sender = (struct address){.form = ADDRESS_NULL};
	judge(&t, FAULT_AT_MAIL);
	ck_assert_str_eq(t.struck, "null ");
	faults_free(&t.faults);
}
END_TEST

/* A recipient that can't be read is nobody's, and hides no other. */
START_TEST(recipients_that_cannot_be_read)
{
	const struct new_recipient taken[] = {{.address = "not an address"},
					      {.address = "bob@example.com"}};
	struct fault fault = rule("end", FAULT_REJECT);
	struct fault_effect effect;
	struct trial t;

	fault.stage = FAULT_AT_END;
	fault.recipient = "example.com";
	setup(&t, &fault, 1);
	for (size_t count = 0; count <= 2; count++) {
		const struct fault_case at = {.stage = FAULT_AT_END,
					      .sender = &t.sender,
					      .recipients = taken,
					      .recipient_count = count,
					      .user = "",
					      .scope = ""};
		const struct edition *set = faults_acquire(t.faults);

		fault_judge(set, &at, on_struck, &t, &effect);
		ck_assert_int_eq(effect.by != NULL, count == 2);
		published_release(&set);
	}
	faults_free(&t.faults);
}
END_TEST

/* Which of 20 matches strike, as a string of digits. */
static void expect_rhythm(size_t skip, size_t every, size_t times, const char *want)
{
	struct fault fault = rule("x", FAULT_REJECT);
	char got[21] = "";
	struct trial t;

	fault.skip = skip;
	fault.every = every;
	fault.times = times;
	setup(&t, &fault, 1);
	for (size_t i = 0; i < 20; i++)
		got[i] = judge(&t, FAULT_AT_RCPT).by != NULL ? 'x' : '-';
	ck_assert_str_eq(got, want);
	faults_free(&t.faults);
}

START_TEST(after_every_and_times_repeat_exactly)
{
	expect_rhythm(0, 1, 0, "xxxxxxxxxxxxxxxxxxxx");
	expect_rhythm(0, 1, 1, "x-------------------");
	expect_rhythm(0, 1, 3, "xxx-----------------");
	expect_rhythm(5, 1, 0, "-----xxxxxxxxxxxxxxx");
	expect_rhythm(0, 3, 0, "--x--x--x--x--x--x--");
	expect_rhythm(2, 4, 2, "-----x---x----------");
}
END_TEST

START_TEST(delays_add_up_and_the_first_end_is_the_last)
{
	struct fault faults[] = {rule("slow", FAULT_DELAY), rule("slower", FAULT_DELAY),
				 rule("no", FAULT_REJECT), rule("behind", FAULT_DISCONNECT)};
	struct fault_effect effect;
	struct fault_view view;
	const struct edition *set;
	struct trial t;

	faults[1].delay_ms = 599990;
	faults[2].delay_ms = 50;
	setup(&t, faults, 4);
	effect = judge(&t, FAULT_AT_RCPT);
	ck_assert_str_eq(t.struck, "slow slower no ");
	ck_assert_int_eq(effect.delay_ms, FAULT_DELAY_MAX_MS);
	ck_assert_ptr_nonnull(effect.by);
	ck_assert_int_eq(effect.fate.code, 550);
	ck_assert_str_eq(effect.fate.enhanced, "5.1.1");
	ck_assert_str_eq(effect.fate.reply, "Failure on demand");
	/* What was not looked at was not counted. */
	set = faults_acquire(t.faults);
	ck_assert_int_eq(set->count, 4);
	fault_set_view(set, 2, &view);
	ck_assert_int_eq(view.matches, 1);
	ck_assert_int_eq(view.strikes, 1);
	fault_set_view(set, 3, &view);
	ck_assert_int_eq(view.matches, 0);
	published_release(&set);
	faults_free(&t.faults);
}
END_TEST

START_TEST(a_delay_is_as_long_as_it_says)
{
	struct fault faults[] = {rule("slow", FAULT_DELAY), rule("slower", FAULT_DELAY)};
	struct fault_effect effect;
	struct trial t;

	setup(&t, NULL, 0);
	effect = judge(&t, FAULT_AT_RCPT);
	ck_assert_int_eq(effect.delay_ms, 0);
	faults_free(&t.faults);
	faults[1].delay_ms = 23;
	setup(&t, faults, 2);
	effect = judge(&t, FAULT_AT_RCPT);
	ck_assert_int_eq(effect.delay_ms, 123);
	ck_assert_ptr_null(effect.by);
	faults_free(&t.faults);
}
END_TEST

/* The rows are the caller's: nobody looks at them once they are published. */
START_TEST(a_set_keeps_its_rows)
{
	char texts[] = "x|a@b.test|c@d.test|u|s|5.1.1|Sorry|why|me";
	struct fault fault = rule("x", FAULT_REJECT);
	const char **members[] = {&fault.name,	&fault.recipient, &fault.sender,
				  &fault.user,	&fault.scope,	  &fault.enhanced,
				  &fault.reply, &fault.note,	  &fault.created_by};
	struct span rest = span_of(texts);
	const struct edition *set;
	struct fault_view view;
	struct trial t;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct span one = span_cut(&rest, '|');

		texts[one.data - texts + (ptrdiff_t)one.len] = '\0';
		*members[i] = one.data;
	}
	setup(&t, &fault, 1);
	memset(texts, '!', sizeof(texts) - 1);
	set = faults_acquire(t.faults);
	fault_set_view(set, 0, &view);
	ck_assert_str_eq(view.fault->name, "x");
	ck_assert_str_eq(view.fault->recipient, "a@b.test");
	ck_assert_str_eq(view.fault->sender, "c@d.test");
	ck_assert_str_eq(view.fault->user, "u");
	ck_assert_str_eq(view.fault->scope, "s");
	ck_assert_str_eq(view.fault->enhanced, "5.1.1");
	ck_assert_str_eq(view.fault->reply, "Sorry");
	ck_assert_str_eq(view.fault->note, "why");
	ck_assert_str_eq(view.fault->created_by, "me");
	published_release(&set);
	faults_free(&t.faults);
}
END_TEST

static uint64_t matches_of(struct faults *faults, const char *name)
{
	const struct edition *set = faults_acquire(faults);
	uint64_t matches = UINT64_MAX;

	for (size_t i = 0; i < set->count; i++) {
		struct fault_view view;

		fault_set_view(set, i, &view);
		if (strcmp(view.fault->name, name) == 0)
			matches = view.matches;
	}
	published_release(&set);
	return matches;
}

START_TEST(a_set_is_replaced_source_by_source_and_goes_on_counting)
{
	struct fault stored[] = {rule("a", FAULT_DELAY), rule("b", FAULT_DELAY)};
	struct fault configured = rule("c", FAULT_DELAY);
	const struct edition *old;
	struct trial t;

	setup(&t, stored, 2);
	ck_assert(faults_are_on(t.faults));
	judge(&t, FAULT_AT_RCPT);
	ck_assert_int_eq(faults_publish(t.faults, PUBLISHED_FROM_CONFIG, &configured, 1), 0);
	/* The configuration's come first. */
	judge(&t, FAULT_AT_RCPT);
	ck_assert_str_eq(t.struck, "c a b ");
	ck_assert_int_eq(matches_of(t.faults, "a"), 2);
	ck_assert_int_eq(matches_of(t.faults, "c"), 1);
	/* A changed rule counts anew; a note, a place, and being off for a while change nothing. */
	stored[0].delay_ms = 7;
	stored[1].note = "still the same";
	stored[1].enabled = false;
	old = faults_acquire(t.faults);
	faults_publish(t.faults, PUBLISHED_FROM_STORE, stored, 2);
	ck_assert_int_eq(old->count, 3);
	published_release(&old);
	ck_assert_int_eq(matches_of(t.faults, "a"), 0);
	ck_assert_int_eq(matches_of(t.faults, "b"), 2);
	faults_publish(t.faults, PUBLISHED_FROM_STORE, NULL, 0);
	faults_publish(t.faults, PUBLISHED_FROM_CONFIG, NULL, 0);
	ck_assert(!faults_are_on(t.faults));
	/* What is no rule never strikes, and is told. */
	configured.name = "";
	ck_assert_int_eq(faults_publish(t.faults, PUBLISHED_FROM_CONFIG, &configured, 1), 1);
	ck_assert(!faults_are_on(t.faults));
	faults_free(&t.faults);
}
END_TEST

static void *publish_often(void *arg)
{
	struct fault faults[] = {rule("x", FAULT_REJECT), rule("y", FAULT_REJECT)};

	for (size_t i = 0; i < 500; i++)
		faults_publish(arg, PUBLISHED_FROM_STORE, faults, 1 + i % 2);
	return NULL;
}

static void *judge_often(void *arg)
{
	struct trial t = *(struct trial *)arg;

	for (size_t i = 0; i < 2000; i++)
		judge(&t, FAULT_AT_RCPT);
	return NULL;
}

START_TEST(sessions_judge_while_rules_change)
{
	struct fault fault = rule("x", FAULT_REJECT);
	pthread_t threads[3];
	struct trial t;

	setup(&t, &fault, 1);
	pthread_create(&threads[0], NULL, publish_often, t.faults);
	pthread_create(&threads[1], NULL, judge_often, &t);
	pthread_create(&threads[2], NULL, judge_often, &t);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* No match was lost: the counter outlived all of its sets. */
	ck_assert_int_eq(matches_of(t.faults, "x"), 4000);
	faults_free(&t.faults);
}
END_TEST

/* --- fates -------------------------------------------------------------------------------- */

START_TEST(a_fate_is_kept_as_text)
{
	struct fault fault = rule("two-tries", FAULT_DEFER);
	char text[FATE_TEXT_SIZE];
	struct fault_effect effect;
	struct fate back;
	struct trial t;

	fault.attempts = 2;
	fault.code = 452;
	fault.enhanced = "4.2.2";
	fault.reply = "Mailbox full, try again";
	setup(&t, &fault, 1);
	effect = judge(&t, FAULT_AT_RCPT);
	fate_format(&effect.fate, text);
	ck_assert_str_eq(text, "defer 2 452 4.2.2 two-tries Mailbox full, try again");
	ck_assert_int_eq(fate_parse(span_of(text), &back, NULL), ERR_OK);
	ck_assert_int_eq(back.action, FAULT_DEFER);
	ck_assert_int_eq(back.attempts, 2);
	ck_assert_int_eq(back.code, 452);
	ck_assert_str_eq(back.enhanced, "4.2.2");
	ck_assert_str_eq(back.rule, "two-tries");
	ck_assert_str_eq(back.reply, "Mailbox full, try again");
	faults_free(&t.faults);
}
END_TEST

#define TEN "0123456789"

/* Whatever a rule says, what is decided fits where it is kept. */
START_TEST(a_fate_holds_what_fits)
{
	char reply[301], name[65];
	struct fault fault = rule("x", FAULT_BOUNCE);
	char text[FATE_TEXT_SIZE];
	struct fate fate, back;

	memset(reply, '~', 300);
	reply[300] = '\0';
	memset(name, 'n', 64);
	name[64] = '\0';
	fault.reply = "!";
	fault_fate(&fault, &fate);
	ck_assert_str_eq(fate.reply, "!");
	ck_assert_uint_eq(fate.attempts, 1);
	ck_assert_int_eq(fate.code, 550);
	fault.reply = reply;
	fault.name = name;
	fault_fate(&fault, &fate);
	ck_assert_uint_eq(strlen(fate.reply), FATE_REPLY_SIZE - 1);
	ck_assert_uint_eq(strlen(fate.rule), FATE_RULE_SIZE - 1);
	fate_format(&fate, text);
	ck_assert_int_eq(fate_parse(span_of(text), &back, NULL), ERR_OK);
	ck_assert_str_eq(back.reply, fate.reply);
	ck_assert_str_eq(back.rule, fate.rule);
	fault = rule("x", FAULT_DEFER);
	fault_fate(&fault, &fate);
	ck_assert_int_eq(fate.code, 451);
	ck_assert_str_eq(fate.enhanced, "4.3.0");
}
END_TEST

START_TEST(the_edges_of_a_fate)
{
	struct fate fate;
	struct err why;

	ck_assert_int_eq(fate_parse(span_of("defer 1 400 4.0.0 x ~ ~"), &fate, NULL), ERR_OK);
	ck_assert_str_eq(fate.reply, "~ ~");
	ck_assert_int_eq(fate_parse(span_of("defer 1 400 4.333.44444 x y"), &fate, NULL), ERR_OK);
	ck_assert_int_eq(fate_parse(span_of(TEN TEN TEN TEN TEN TEN TEN TEN TEN), &fate, &why),
			 ERR_SYNTAX);
	ck_assert_str_eq(why.text, "\"" TEN TEN TEN TEN TEN TEN TEN TEN
				   "\" is not what a fault rule decides");
}
END_TEST

START_TEST(what_is_no_fate_is_refused)
{
	static const char *const texts[] = {
		"",
		"reject 1 550 5.1.1 x text",
		"bounce 1 550 5.1.1 x",
		"bounce -1 550 5.1.1 x text",
		"bounce 1 250 5.1.1 x text",
		"bounce 1 550 555.555.555.555 x text",
		"bounce 99999 550 5.1.1 x text",
		"bounce 1 550 5.1.1 x two\r\nlines",
		"bounce 1 550 5.1.1 x caf\xc3\xa9",
		"bounce 1 550 5.1.1 x del\x7f",
		"bounce 1 550 5.1.1 \x01x text",
		"bounce 1 550 5.333.444444 x text",
		"defer 1 399 4.0.0 x text",
		"bounce x 550 5.1.1 x text",
		"bounce 1 550 5.1.1  text",
		"bounce 1 600 5.1.1 x text",
		"drop 1 550 5.1.1 x text",
		NULL,
	};
	struct fate fate;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_int_eq(fate_parse(span_of(texts[i]), &fate, NULL), ERR_SYNTAX);
}
END_TEST

UNIT_MAIN("filter/fault", a_rule_is_checked_member_by_member, names_are_read_back,
	  recipients_that_cannot_be_read, other_names_are_unknown,
	  what_is_usual_fits_the_code_and_the_stage, a_rule_looks_at_whom_it_names,
	  the_null_sender_and_a_recipient_behind_data, after_every_and_times_repeat_exactly,
	  delays_add_up_and_the_first_end_is_the_last,
	  a_set_is_replaced_source_by_source_and_goes_on_counting, a_note_has_an_end,
	  a_wrong_code_is_told_for_what_it_is, a_delay_is_as_long_as_it_says, a_set_keeps_its_rows,
	  a_fate_holds_what_fits, the_edges_of_a_fate, sessions_judge_while_rules_change,
	  a_fate_is_kept_as_text, what_is_no_fate_is_refused)
