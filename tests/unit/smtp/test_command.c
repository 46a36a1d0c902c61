/* tests relay/smtp/command.c */
#include "relay/smtp/command.h"

#include "base/buf.h"
#include "relay/wire/parameter.h"
#include "tests/unit/mail/corpora.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* Syntax of a whole MAIL or RCPT line, as the grammar sees it: which parameters are offered is
 * another matter. */
static int line_syntax(struct span line, struct buf *parameters, struct err *why)
{
	struct command command;
	struct address address;
	struct parameter parameter;
	struct span rest;
	int code;

	command_split(line, &command);
	if (span_is_fold(command.verb, "MAIL"))
		code = command_parse_path(command.argument, ADDRESS_REVERSE_PATH, &address, &rest,
					  why);
	else if (span_is_fold(command.verb, "RCPT"))
		code = command_parse_path(command.argument, ADDRESS_FORWARD_PATH, &address, &rest,
					  why);
	else
		return err_set(why, ERR_SYNTAX, "another verb");
	if (code != ERR_OK)
		return code;
	while ((code = parameter_next(&rest, &parameter, why)) == ERR_OK)
		buf_printf(parameters, "%.*s%s%.*s ", SPAN_ARG(parameter.keyword),
			   parameter.has_value ? "=" : "", SPAN_ARG(parameter.value));
	return code == ERR_NOT_FOUND ? ERR_OK : code;
}

/* The rows where we are stricter than the table's grammar, and why. */
static const char *stricter(const char *id)
{
	static const struct {
		const char *id;
		const char *why;
	} rows[] = {
		{"args/225", "a local part of more than 64 octets (RFC 5321 4.5.3.1.1)"},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (strcmp(rows[i].id, id) == 0)
			return rows[i].why;
	return NULL;
}

static void check_parameters(const struct corpus *corpus, const struct buf *got)
{
	json_t *list = json_object_get(corpus->row, "params");
	struct buf want;
	size_t i;
	json_t *item;

	buf_init(&want, 4096);
	buf_append_text(&want, "");
	json_array_foreach(list, i, item) buf_printf(&want, "%s ", json_string_value(item));
	ck_assert_msg(span_equal(buf_span(&want), buf_span(got)), "%s: %s", corpus->id, got->data);
	buf_release(&want);
}

START_TEST(gold_smtp_args)
{
	struct corpus corpus;
	int rows = 0;

	if (!corpus_open(&corpus, "gold-smtp-args.jsonl"))
		return;
	for (; corpus_next(&corpus); rows++) {
		bool ok = strcmp(corpus_text(&corpus, "syntax"), "ok") == 0;
		struct buf parameters;
		struct err why;
		int code;

		buf_init(&parameters, 4096);
		buf_append_text(&parameters, "");
		code = line_syntax(corpus.input, &parameters, &why);
		if (stricter(corpus.id) != NULL)
			ck_assert_msg(ok && code != ERR_OK, "%s is no exception", corpus.id);
		else
			ck_assert_msg((code == ERR_OK) == ok, "%s: %s", corpus.id,
				      code != ERR_OK ? why.text : "taken");
		if (code == ERR_OK)
			check_parameters(&corpus, &parameters);
		buf_release(&parameters);
	}
	ck_assert_int_eq(rows, 126);
}
END_TEST

/* want: the reply code, 0 for taken. */
static const struct {
	const char *argument;
	int want;
	const char *enhanced;
	int64_t size;
	bool body_8bit;
} mails[] = {
	{"FROM:<>", 0, "", -1, false},
	{"from:<a@example.com>", 0, "", -1, false},
	{"FROM:<a@example.com> SIZE=1000 BODY=8BITMIME", 0, "", 1000, true},
	{"FROM:<a@example.com> body=7bit size=50000", 0, "", 50000, false},
	{"FROM:<a@example.com> SIZE=0", 0, "", 0, false},
	{"FROM:<a@example.com> SIZE=50001", 552, "5.3.4", 0, false},
	/* S036 */
	{"FROM:<a@example.com> SIZE=-1", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE=+5", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE= 5", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE=0x10", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE=1e9", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE=5.0", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE=", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE=9223372036854775807", 552, "5.3.4", 0, false},
	{"FROM:<a@example.com> SIZE=9223372036854775808", 552, "5.3.4", 0, false},
	{"FROM:<a@example.com> SIZE=18446744073709551616", 552, "5.3.4", 0, false},
	{"FROM:<a@example.com> SIZE=18446744073709551617", 552, "5.3.4", 0, false},
	{"FROM:<a@example.com> SIZE=99999999999999999999999", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SIZE=5 SIZE=5", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> BODY=8BITMIME BODY=7BIT", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> BODY", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> BODY=NONE", 501, "5.5.4", 0, false},
	/* S039 */
	{"FROM:<a@example.com> BODY=BINARYMIME", 555, "5.5.4", 0, false},
	{"FROM:<a@example.com> REQUIRETLS", 555, "5.5.4", 0, false},
	{"FROM:<a@example.com> BY=120;R", 555, "5.5.4", 0, false},
	{"FROM:<a@example.com> MT-PRIORITY=3", 555, "5.5.4", 0, false},
	{"FROM:<a@example.com> FOO=bar", 555, "5.5.4", 0, false},
	{"FROM:<a@example.com> AUTH=b\xc3\xa9", 555, "5.5.4", 0, false},
	/* RFC 6531 3.4 */
	{"FROM:<a@example.com> SMTPUTF8", 0, "", -1, false},
	{"FROM:<b\xc3\xa9@example.com> smtputf8", 0, "", -1, false},
	{"FROM:<a@b\xc3\xa9.example> SMTPUTF8 SIZE=5", 0, "", 5, false},
	{"FROM:<b\xc3\xa9@example.com>", 553, "5.6.7", 0, false},
	{"FROM:<a@b\xc3\xa9.example>", 553, "5.6.7", 0, false},
	{"FROM:<a@example.com> SMTPUTF8=1", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> SMTPUTF8 SMTPUTF8", 501, "5.5.4", 0, false},
	{"FROM:<b\xc3@example.com> SMTPUTF8", 501, "5.1.7", 0, false},
	/* RFC 3461 4.3, 4.4 */
	{"FROM:<a@example.com> RET=HDRS ENVID=QQ+2B14", 0, "", -1, false},
	{"FROM:<a@example.com> RET=FULL RET=FULL", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> RET=SOME", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> RET", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> ENVID=a ENVID=b", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> ENVID", 501, "5.5.4", 0, false},
	/* S041, S042: AUTH is not offered */
	{"FROM:<a@example.com> AUTH=<>", 555, "5.5.4", 0, false},
	{"FROM:<a@example.com> AUTH=e+0D+0ARCPT", 555, "5.5.4", 0, false},
	{"FROM:<a@example.com> ENVID=x+0D", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com> RET=", 501, "5.5.4", 0, false},
	{"FROM:<a@example.com>x", 501, "5.1.7", 0, false},
	{"FROM: <a@example.com>", 501, "5.1.7", 0, false},
	{"FROM :<a@example.com>", 501, "5.1.7", 0, false},
	{"FROM:a@example.com", 501, "5.1.7", 0, false},
	{"TO:<a@example.com>", 501, "5.1.7", 0, false},
	{"", 501, "5.1.7", 0, false},
};

START_TEST(mail)
{
	const struct command_limits limits = {.max_message_size = 50000, .esmtp = true};

	for (size_t i = 0; i < COUNT(mails); i++) {
		struct smtp_mail got = {.declared_size = 77};
		struct smtp_answer answer = {0};
		bool ok = command_parse_mail(span_of(mails[i].argument), &limits, &got, &answer);

		ck_assert_msg(ok == (mails[i].want == 0), "%s: %s", mails[i].argument, answer.text);
		ck_assert_msg(answer.code == mails[i].want, "%s: %d", mails[i].argument,
			      answer.code);
		ck_assert_str_eq(answer.enhanced, mails[i].enhanced);
		ck_assert_int_eq(got.declared_size, ok ? mails[i].size : 77);
		ck_assert(!ok || got.body_8bit == mails[i].body_8bit);
	}
}
END_TEST

START_TEST(no_parameters_after_helo)
{
	const struct command_limits limits = {.max_message_size = 50000, .esmtp = false};
	struct smtp_mail got;
	struct smtp_answer answer;

	ck_assert(command_parse_mail(span_of("FROM:<a@b.test>"), &limits, &got, &answer));
	ck_assert(!command_parse_mail(span_of("FROM:<a@b.test> SIZE=5"), &limits, &got, &answer));
	ck_assert_int_eq(answer.code, 555);
}
END_TEST

static const struct {
	const char *argument;
	int want;
} rcpts[] = {
	{"TO:<a@example.com>", 0},
	{"to:<Postmaster>", 0},
	{"TO:<a@example.com> ", 0},
	{"TO:<\"a>b\"@example.com>", 0},
	{"TO:<>", 501},
	{"TO:<a@example.com> NOTIFY=NEVER", 0},
	{"TO:<a@example.com> notify=Delay,FAILURE ORCPT=rfc822;b+2Bc@example.com", 0},
	{"TO:<b\xc3\xa9@example.com>", 553},
	{"TO:<a@b\xc3\xa9.example>", 553},
	{"TO:<a@example.com> ORCPT=utf-8;b\xc3\xa9@example.com", 501},
	/* S042 */
	{"TO:<a@example.com> NOTIFY=NEVER,SUCCESS", 501},
	{"TO:<a@example.com> NOTIFY=NEVER NOTIFY=NEVER", 501},
	{"TO:<a@example.com> ORCPT=rfc822;a ORCPT=rfc822;a", 501},
	{"TO:<a@example.com> ORCPT=rfc822", 501},
	{"TO:<a@example.com> ORCPT=;x", 501},
	{"TO:<a@example.com> ORCPT=rfc822;a+0D+0AX: y", 501},
	{"TO:<a@example.com> RRVS=2014-04-03T23:01:00Z", 555},
	{"TO:<a@example.com> NOTIFY=", 501},
	{"TO:<a@example.com> ORCPT=rfc822;a+0D+0AX:y", 501},
	{"TO:<a@example.com> NOTIFY=NEVER ORCPT=x", 501},
	{"TO:<a@example.com", 501},
	{"TO:<\"a@example.com>", 501},
	{"TO:<\"a\\", 501},
	{"TO:<a@example.com>,<b@example.com>", 501},
	{"TO:<<a@example.com>>", 501},
	{"TO:Real <a@example.com>", 501},
};

START_TEST(rcpt)
{
	const struct command_limits limits = {.esmtp = true};

	for (size_t i = 0; i < COUNT(rcpts); i++) {
		struct smtp_recipient got;
		struct smtp_answer answer = {0};
		bool ok = command_parse_rcpt(span_of(rcpts[i].argument), &limits, &got, &answer);

		ck_assert_msg(ok == (rcpts[i].want == 0), "%s", rcpts[i].argument);
		ck_assert_msg(answer.code == rcpts[i].want, "%s: %d", rcpts[i].argument,
			      answer.code);
	}
}
END_TEST

/* What was taken is what was said; UTF-8 where MAIL carried SMTPUTF8. */
START_TEST(dsn_values)
{
	const struct command_limits limits = {
		.max_message_size = 50000, .esmtp = true, .smtputf8 = true};
	const struct command_limits helo = {.max_message_size = 50000};
	struct smtp_mail given;
	struct smtp_recipient recipient;
	struct smtp_answer answer;

	ck_assert(command_parse_mail(span_of("FROM:<> ENVID=QQ+2b RET=hdrs"), &limits, &given,
				     &answer) == false);
	ck_assert(command_parse_mail(span_of("FROM:<> ENVID=QQ+2B RET=hdrs SMTPUTF8"), &limits,
				     &given, &answer));
	ck_assert_str_eq(given.envid, "QQ+2B");
	ck_assert_str_eq(given.ret, "HDRS");
	ck_assert(given.smtputf8);
	ck_assert(command_parse_rcpt(
		span_of("TO:<b\xc3\xa9@example.com> NOTIFY=delay,success ORCPT=utf-8;b\xc3\xa9@x"),
		&limits, &recipient, &answer));
	ck_assert_str_eq(recipient.notify, "SUCCESS,DELAY");
	ck_assert_str_eq(recipient.orcpt, "utf-8;b\xc3\xa9@x");
	ck_assert(command_parse_rcpt(span_of("TO:<a@example.com>"), &helo, &recipient, &answer));
	ck_assert(recipient.notify == NULL && recipient.orcpt[0] == '\0');
	ck_assert(!command_parse_rcpt(span_of("TO:<a@example.com> NOTIFY=NEVER"), &helo, &recipient,
				      &answer));
	ck_assert_int_eq(answer.code, 555);
}
END_TEST

/* S044 */
START_TEST(chunks)
{
	static const struct {
		const char *argument;
		int code;
		int64_t size;
		bool last;
	} rows[] = {
		{"0", ERR_OK, 0, false},
		{"10", ERR_OK, 10, false},
		{"010 last", ERR_OK, 10, true},
		{"2147483648 LAST", ERR_OK, COMMAND_CHUNK_MAX, true},
		{"2147483649", ERR_LIMIT, 0, false},
		{"18446744073709551626", ERR_LIMIT, 0, false},
		{"", ERR_SYNTAX, 0, false},
		{"LAST", ERR_SYNTAX, 0, false},
		{" 10", ERR_SYNTAX, 0, false},
		{"10 LASTX", ERR_SYNTAX, 0, false},
		{"10 LAST LAST", ERR_SYNTAX, 0, false},
		{"-1", ERR_SYNTAX, 0, false},
		{"18446744073709551626x", ERR_SYNTAX, 0, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t size = 0;
		bool last = false;

		ck_assert_msg(command_parse_chunk(span_of(rows[i].argument), &size, &last) ==
				      rows[i].code,
			      "%s", rows[i].argument);
		ck_assert_int_eq(size, rows[i].size);
		ck_assert(last == rows[i].last);
	}
	ck_assert(command_announces_octets(span_of("bdat")));
	ck_assert(command_announces_octets(span_of("BDAT\t5")));
	ck_assert(!command_announces_octets(span_of("BDATA 5")));
	ck_assert(!command_announces_octets(span_of("BDA")));
}
END_TEST

/* S031 */
START_TEST(hello_names)
{
	static const char *const good[] = {
		"vm",	      "localhost", "mail.example.com",	    "[127.0.0.1]",
		"[IPv6:::1]", "WIN_PC-7",  "localhost.localdomain", "a."};
	static const char *const bad[] = {"",	 "a b",	     "<script>", "%n%s", "\x1b[2J", "[]",
					  "a(b", "\xc3\xa9", "[a",	 "a]",	 "a;b"};
	char longest[ADDRESS_DOMAIN_MAX + 2];

	for (size_t i = 0; i < COUNT(good); i++)
		ck_assert_msg(command_is_hello_name(span_of(good[i])), "%s", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!command_is_hello_name(span_of(bad[i])), "%s", bad[i]);
	memset(longest, 'a', sizeof(longest));
	ck_assert(command_is_hello_name(span_make(longest, ADDRESS_DOMAIN_MAX)));
	ck_assert(!command_is_hello_name(span_make(longest, ADDRESS_DOMAIN_MAX + 1)));
	ck_assert(!command_is_hello_name(span_make("a\0b", 3)));
}
END_TEST

START_TEST(lines)
{
	struct command command;

	command_split(span_of("rcpt to:<a b> \t "), &command);
	ck_assert(span_is(command.verb, "rcpt") && span_is(command.argument, "to:<a b>"));
	command_split(span_of("QUIT"), &command);
	ck_assert(span_is(command.verb, "QUIT") && command.argument.len == 0);
	command_split(span_of(""), &command);
	ck_assert(command.verb.len == 0 && command.argument.len == 0);
	/* S027: lengths, not C strings */
	ck_assert(command_has_control(span_make("NOOP\0", 5)));
	ck_assert(command_has_control(span_of("NOOP\rMAIL FROM:<a@x>")));
	ck_assert(command_has_control(span_of("a\x7f")));
	ck_assert(!command_has_control(span_of("NOOP\tx \xc3\xa9")));
}
END_TEST

START_TEST(foreign)
{
	static const char *const yes[] = {"GET / HTTP/1.1",  "POST /x HTTP/1.0",
					  "Host: localhost", "CONNECT a:25 HTTP/1.1",
					  "Subject: x",	     "Content-Type:text/plain",
					  "PRI * HTTP/2.0"};
	static const char *const no[] = {
		"MAIL FROM:<a@b>", "RCPT TO:<a@b>", "GET", "NOOP a:b", "HELO x:y", "", ":x",
		"EHLO [IPv6:::1]"};

	for (size_t i = 0; i < COUNT(yes); i++)
		ck_assert_msg(command_is_foreign(span_of(yes[i])), "%s", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		ck_assert_msg(!command_is_foreign(span_of(no[i])), "%s", no[i]);
}
END_TEST

UNIT_MAIN("smtp/command", gold_smtp_args, mail, no_parameters_after_helo, rcpt, dsn_values, chunks,
	  hello_names, lines, foreign)
