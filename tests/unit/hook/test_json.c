/* tests relay/hook/json.c: the question and its answer in our own words */
#include "relay/hook/json.h"

#include "tests/unit/hook/question.h"
#include "tests/unit/unit.h"

static const char *written(const struct sample *s, bool for_key)
{
	static struct buf out;

	buf_release(&out);
	buf_init(&out, HOOK_QUESTION_MAX);
	ck_assert_int_eq(hook_json_write(&s->question, for_key, &out), ERR_OK);
	return out.data;
}

static void has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "%s is not in %s", part, text);
}

START_TEST(question)
{
	struct sample s;
	const char *text;

	sample_init(&s, 2);
	s.recipients[1].asked = 2;
	s.question.header = span_of("From: a@b\r\nSubject: x\r\n y\r\nX-Odd: \xff\"\r\n\r\n");
	text = written(&s, false);
	has(text, "\"version\":1");
	has(text, "\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\"");
	has(text, "\"sender\":\"s@x\"");
	has(text, "\"helo\":\"client.test\"");
	has(text,
	    "{\"name\":\"Subject\",\"value\":\"x y\"},{\"name\":\"X-Odd\",\"value\":\"?\\\"\"}");
	has(text, "\"recipient_count\":3");
	has(text, "\"recipients\":[{\"address\":\"a@ok\",\"attempt\":1},"
		  "{\"address\":\"B@ok\",\"attempt\":3}]");
	has(text, "\"header_whole\":true");
	s.message.m.sender = "";
	has(written(&s, false), "\"sender\":\"\"");
}
END_TEST

START_TEST(same_question_same_key)
{
	struct sample s;
	char *first;

	sample_init(&s, 1);
	s.question.header = span_of("Date: 1\r\nTo: x\r\nMessage-ID: <1>\r\n\r\n");
	first = mem_strdup(written(&s, true));
	s.question.header = span_of("Date: 2\r\nTo: x\r\nMessage-ID: <2>\r\n\r\n");
	s.message.m.id = ulid_new(1);
	s.message.m.received_at = 5;
	s.message.m.message_id = "<2>";
	s.recipients[0].asked = 3;
	ck_assert_str_eq(written(&s, true), first);
	s.question.header = span_of("Date: 2\r\nTo: y\r\n\r\n");
	ck_assert_str_ne(written(&s, true), first);
	mem_free(first);
}
END_TEST

#define ITEM(rest) "{\"recipients\":[{\"address\":\"a@ok\"," rest "}]}"

static const struct {
	const char *body;
	enum decision_kind want;
	const char *reason; /* NULL: any */
	const char *redirect_to;
	const char *hop;
} answers[] = {
	{ITEM("\"verdict\":\"deliver\""), DECISION_ALLOW, "the policy hook: allowed", "", ""},
	{ITEM("\"verdict\":\"drop\",\"reason\":\"no\\nline\""), DECISION_DROP,
	 "the policy hook: no?line", "", ""},
	{ITEM("\"verdict\":\"drop\""), DECISION_DROP, "the policy hook: refused", "", ""},
	{ITEM("\"verdict\":\"hold\""), DECISION_HOLD, NULL, "", ""},
	{ITEM("\"verdict\":\"redirect\",\"redirect_to\":\"Qa@OK.test\""), DECISION_REDIRECT, NULL,
	 "Qa@OK.test", ""},
	{ITEM("\"verdict\":\"redirect\",\"redirect_to\":\"A@ok\""), DECISION_NONE, NULL, "", ""},
	{ITEM("\"verdict\":\"redirect\""), DECISION_NONE, NULL, "", ""},
	{ITEM("\"verdict\":\"redirect\",\"redirect_to\":\"a b\""), DECISION_NONE, NULL, "", ""},
	{ITEM("\"verdict\":\"deliver\",\"route\":\"mx.test:25\""), DECISION_ALLOW, NULL, "",
	 "mx.test:25"},
	{ITEM("\"verdict\":\"deliver\",\"route\":\"[::1]:25\""), DECISION_ALLOW, NULL, "",
	 "[::1]:25"},
	{ITEM("\"verdict\":\"deliver\",\"route\":\"unix:/run/x\""), DECISION_ALLOW, NULL, "",
	 "unix:/run/x"},
	{ITEM("\"verdict\":\"deliver\",\"route\":\"mx.test\""), DECISION_NONE, NULL, "", ""},
	{ITEM("\"verdict\":\"later\",\"wait\":3"), DECISION_NONE, NULL, "", ""},
	{ITEM("\"verdict\":\"Deliver\""), DECISION_NONE, NULL, "", ""},
	{ITEM("\"verdict\":true"), DECISION_NONE, NULL, "", ""},
	{ITEM("\"x\":1"), DECISION_NONE, NULL, "", ""},
	{"{\"recipients\":[{\"address\":\"A@OK\",\"verdict\":\"deliver\"}]}", DECISION_ALLOW, NULL,
	 "", ""},
	{"{\"recipients\":[{\"address\":\"a@ok\",\"verdict\":\"deliver\"},"
	 "{\"address\":\"a@ok\",\"verdict\":\"deliver\"}]}",
	 DECISION_ALLOW, NULL, "", ""},
	{"{\"recipients\":[{\"address\":\"a@ok\",\"verdict\":\"deliver\"},"
	 "{\"address\":\"a@ok\",\"verdict\":\"drop\"}]}",
	 DECISION_NONE, NULL, "", ""},
	{"{\"recipients\":[]}", DECISION_NONE, NULL, "", ""},
	{"{\"recipients\":{}}", DECISION_NONE, NULL, "", ""},
	{"{\"recipients\":[1,null,[],{\"address\":7}]}", DECISION_NONE, NULL, "", ""},
	{"{}", DECISION_NONE, NULL, "", ""},
	{"[]", DECISION_NONE, NULL, "", ""},
	{"", DECISION_NONE, NULL, "", ""},
	{"{\"recipients\":[{\"address\":\"a@ok\",\"verdict\":\"deliver\"}]", DECISION_NONE, NULL,
	 "", ""},
	{"{\"recipients\":[{\"address\":\"a@ok\",\"verdict\":\"drop\",\"verdict\":\"deliver\"}]}",
	 DECISION_NONE, NULL, "", ""},
};

START_TEST(reads_answers)
{
	struct sample s;

	sample_init(&s, 1);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct decision d;

		hook_json_read(span_of(answers[i].body), &s.question, true, &d);
		ck_assert_msg(d.kind == answers[i].want, "%s: %d %s", answers[i].body, d.kind,
			      d.reason);
		if (answers[i].reason != NULL)
			ck_assert_str_eq(d.reason, answers[i].reason);
		ck_assert_str_eq(d.hop, answers[i].hop);
		if (d.kind == DECISION_REDIRECT)
			ck_assert_str_eq(d.redirect_to, answers[i].redirect_to);
	}
}
END_TEST

/* RFC 5321 2.4: local parts that differ in case are two mailboxes, where both are recipients. */
START_TEST(spellings_of_two_recipients)
{
	static const char one[] =
		"{\"recipients\":[{\"address\":\"A@ok\",\"verdict\":\"deliver\"}]}";
	static const char both[] =
		"{\"recipients\":[{\"address\":\"A@ok\",\"verdict\":\"deliver\"},"
		"{\"address\":\"a@ok\",\"verdict\":\"drop\"}]}";
	struct decision d[2];
	struct sample s;

	sample_init(&s, 2); /* a@ok, B@ok */
	s.recipients[1].address = "A@ok";
	hook_json_read(span_of(one), &s.question, true, d);
	ck_assert_int_eq(d[0].kind, DECISION_NONE);
	ck_assert_int_eq(d[1].kind, DECISION_ALLOW);
	hook_json_read(span_of(both), &s.question, true, d);
	ck_assert_int_eq(d[0].kind, DECISION_DROP);
	ck_assert_int_eq(d[1].kind, DECISION_ALLOW);
}
END_TEST

START_TEST(each_recipient_its_own)
{
	struct sample s;
	struct decision d[3];

	sample_init(&s, 3);
	hook_json_read(span_of("{\"recipients\":[{\"address\":\"c@bad\",\"verdict\":\"drop\"},"
			       "{\"address\":\"a@ok\",\"verdict\":\"later\",\"wait\":3}]}"),
		       &s.question, true, d);
	ck_assert_int_eq(d[0].kind, DECISION_NONE);
	ck_assert(d[0].later);
	ck_assert_int_eq(d[0].wait_ms, 3000);
	ck_assert_int_eq(d[1].kind, DECISION_NONE);
	ck_assert(!d[1].later);
	ck_assert_int_eq(d[2].kind, DECISION_DROP);
}
END_TEST

UNIT_MAIN("hook/json", question, same_question_same_key, reads_answers, spellings_of_two_recipients,
	  each_recipient_its_own)
