/* tests relay/wire/xclient.c (S047) */
#include "relay/wire/xclient.h"

#include "tests/unit/unit.h"

/* Everything in the list, "[NAME=value]" each; a state as "NAME?" or "NAME~"; "!" where it fails.
 */
static int show(enum xclient_command command, struct span list, struct buf *out)
{
	struct xclient_attribute attribute;
	struct err why;
	int code;

	buf_clear(out);
	buf_append_text(out, "");
	while ((code = xclient_next(command, &list, &attribute, &why)) == ERR_OK) {
		const char *name = xclient_name_text(attribute.name);

		if (attribute.state == XCLIENT_KNOWN)
			buf_printf(out, "[%s=%s]", name, attribute.text);
		else
			buf_printf(out, "[%s%c]", name,
				   attribute.state == XCLIENT_UNAVAILABLE ? '?' : '~');
	}
	if (code != ERR_NOT_FOUND)
		buf_append_char(out, '!');
	return code;
}

struct example {
	const char *list;
	const char *want;
};

static const struct example xclient[] = {
	{"", ""},
	{"   ", ""},
	/* XCLIENT_README's examples */
	{"NAME=spike.porcupine.org ADDR=168.100.189.2",
	 "[NAME=spike.porcupine.org][ADDR=168.100.189.2]"},
	{"HELO=spike.porcupine.org PROTO=ESMTP", "[HELO=spike.porcupine.org][PROTO=ESMTP]"},
	{" addr=IPV6:2001:DB8::7  port=50001 ", "[ADDR=2001:DB8::7][PORT=50001]"},
	{"ADDR=ipv6:::1 DESTADDR=::1", "[ADDR=::1][DESTADDR=::1]"},
	{"DESTADDR=10.0.0.1 DESTPORT=25", "[DESTADDR=10.0.0.1][DESTPORT=25]"},
	{"NAME=[UNAVAILABLE] ADDR=[unavailable] NAME=[TempUnavail]", "[NAME?][ADDR?][NAME~]"},
	{"LOGIN=us+20er", "[LOGIN=us er]"},
	{"LOGIN=a+3Db+2Bc@d", "[LOGIN=a=b+c@d]"},
	{"LOGIN=[UNAVAILABLE]", "[LOGIN?]"},
	{"PROTO=smtp PROTO=eSmtp", "[PROTO=SMTP][PROTO=ESMTP]"},
	{"PORT=0 PORT=65535 PORT=00025", "[PORT=0][PORT=65535][PORT=00025]"},
	{"HELO=[192.0.2.7] HELO=[IPv6:::1] HELO=a_b",
	 "[HELO=[192.0.2.7]][HELO=[IPv6:::1]][HELO=a_b]"},
	/* what is not xtext stands for itself */
	{"HELO=a+b LOGIN=a+zz LOGIN=a=b", "[HELO=a?b][LOGIN=a+zz][LOGIN=a=b]"},
	/* what may not reach a line or a trace field */
	{"HELO=a+0D+0AReceived:(x", "[HELO=a??Received:?x]"},
	{"HELO=a+C3+A9", "[HELO=a??]"},
	{"LOGIN=a+0D+0Ab", "!"},
	{"LOGIN=a+00b", "[LOGIN=a+00b]"},
	{"LOGIN=+C3+A9", "!"},
	{"NAME=a+20b", "!"},
	{"NAME=a.b(c", "!"},
	{"NAME=a_b", "!"},
	/* what is none */
	{"NAME", "!"},
	{"=x", "!"},
	{"NAME=", "!"},
	{"LOGIN=", "!"},
	{"FOO=bar", "!"},
	{"NAME=a IDENT=x", "[NAME=a]!"},
	{"SOURCE=LOCAL", "!"},
	{"NAME =x", "!"},
	{"ADDR=[127.0.0.1]", "!"},
	{"ADDR=127.0.0.1/8", "!"},
	{"ADDR=127.1", "!"},
	{"ADDR=localhost", "!"},
	{"ADDR=IPV6:127.0.0.1", "!"},
	{"ADDR=IPV6:", "!"},
	{"ADDR=unix", "!"},
	{"ADDR=fe80::1%eth0", "!"},
	{"PORT=65536", "!"},
	{"PORT=000025", "!"},
	{"PORT=-1", "!"},
	{"PORT=1a", "!"},
	{"PROTO=LMTP", "!"},
	{"PROTO=ESMTPS", "!"},
};

static const struct example xforward[] = {
	{"NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP",
	 "[NAME=spike.porcupine.org][ADDR=168.100.189.2][PROTO=ESMTP]"},
	{"PORT=1 HELO=a IDENT=4Xyz SOURCE=local", "[PORT=1][HELO=a][IDENT=4Xyz][SOURCE=LOCAL]"},
	{"SOURCE=REMOTE SOURCE=[UNAVAILABLE]", "[SOURCE=REMOTE][SOURCE?]"},
	{"PROTO=ESMTPSA IDENT=a+28b+20c;+22", "[PROTO=ESMTPSA][IDENT=a?b?c??]"},
	{"LOGIN=x", "!"},
	{"DESTADDR=1.2.3.4", "!"},
	{"SOURCE=BOTH", "!"},
};

static void check_all(enum xclient_command command, const struct example *examples, size_t count)
{
	struct buf got;

	buf_init(&got, 5000);
	for (size_t i = 0; i < count; i++) {
		show(command, span_of(examples[i].list), &got);
		ck_assert_msg(strcmp(got.data, examples[i].want) == 0, "%s: %s, not %s",
			      examples[i].list, got.data, examples[i].want);
	}
	buf_release(&got);
}

START_TEST(attributes)
{
	check_all(COMMAND_XCLIENT, xclient, sizeof(xclient) / sizeof(xclient[0]));
	check_all(COMMAND_XFORWARD, xforward, sizeof(xforward) / sizeof(xforward[0]));
}
END_TEST

START_TEST(nul_is_no_end)
{
	struct buf got;

	buf_init(&got, 100);
	ck_assert_int_eq(show(COMMAND_XCLIENT, span_make("ADDR=127.0.0.1\0x", 16), &got),
			 ERR_SYNTAX);
	ck_assert_int_eq(show(COMMAND_XCLIENT, span_make("LOGIN=a\0b", 9), &got), ERR_SYNTAX);
	ck_assert_int_eq(show(COMMAND_XCLIENT, span_make("HELO=a\0b", 8), &got), ERR_SYNTAX);
	buf_release(&got);
}
END_TEST

START_TEST(limits)
{
	char text[400] = "HELO=";
	struct buf got;

	memset(text + 5, 'a', sizeof(text) - 5);
	buf_init(&got, 1000);
	ck_assert_int_eq(show(COMMAND_XCLIENT, span_make(text, 5 + 255), &got), ERR_NOT_FOUND);
	ck_assert_uint_eq(got.len, 5 + 255 + 2);
	ck_assert_int_eq(show(COMMAND_XCLIENT, span_make(text, 5 + 256), &got), ERR_LIMIT);
	memcpy(text, "PROTO=", 6);
	ck_assert_int_eq(show(COMMAND_XFORWARD, span_make(text, 6 + 64), &got), ERR_NOT_FOUND);
	ck_assert_int_eq(show(COMMAND_XFORWARD, span_make(text, 6 + 65), &got), ERR_LIMIT);
	buf_release(&got);
}
END_TEST

START_TEST(failure_leaves_the_rest)
{
	struct span rest = span_of("NAME=a b");
	struct xclient_attribute attribute;
	struct err why;

	ck_assert_int_eq(xclient_next(COMMAND_XCLIENT, &rest, &attribute, &why), ERR_OK);
	ck_assert(span_is(rest, "b"));
	ck_assert_int_eq(xclient_next(COMMAND_XCLIENT, &rest, &attribute, &why), ERR_SYNTAX);
	ck_assert(span_is(rest, "b") && strcmp(attribute.text, "a") == 0);
	ck_assert_str_eq(why.text, "attribute=value is wanted");
}
END_TEST

static const struct {
	struct xclient_attribute attribute;
	const char *want; /* NULL: ERR_LIMIT */
} prints[] = {
	{{.name = XCLIENT_NAME, .text = "spike.test"}, " NAME=spike.test"},
	{{.name = XCLIENT_NAME, .state = XCLIENT_TEMPUNAVAIL}, " NAME=[TEMPUNAVAIL]"},
	{{.name = XCLIENT_ADDR, .state = XCLIENT_UNAVAILABLE}, " ADDR=[UNAVAILABLE]"},
	{{.name = XCLIENT_ADDR, .text = "192.0.2.7"}, " ADDR=192.0.2.7"},
	{{.name = XCLIENT_ADDR, .text = "2001:db8::7"}, " ADDR=IPV6:2001:db8::7"},
	{{.name = XCLIENT_DESTADDR, .text = "::1"}, " DESTADDR=IPV6:::1"},
	{{.name = XCLIENT_HELO, .text = "[IPv6:::1]"}, " HELO=[IPv6:::1]"},
	{{.name = XCLIENT_LOGIN, .text = "us er=a+b"}, " LOGIN=us+20er+3Da+2Bb"},
	{{.name = XCLIENT_LOGIN,
	  .text = "                                                                              "
		  "                                                                              "},
	 NULL},
};

START_TEST(write_attributes)
{
	struct buf out;

	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(prints) / sizeof(prints[0]); i++) {
		int code;

		buf_clear(&out);
		buf_append_text(&out, "XCLIENT");
		code = xclient_format(&prints[i].attribute, &out);
		ck_assert_int_eq(code, prints[i].want != NULL ? ERR_OK : ERR_LIMIT);
		ck_assert_str_eq(out.data + 7, prints[i].want != NULL ? prints[i].want : "");
	}
	buf_release(&out);
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(xclient_names(COMMAND_XCLIENT),
			 "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
	ck_assert_str_eq(xclient_names(COMMAND_XFORWARD), "NAME ADDR PORT PROTO HELO IDENT SOURCE");
}
END_TEST

UNIT_MAIN("wire/xclient", attributes, nul_is_no_end, limits, failure_leaves_the_rest,
	  write_attributes, names)
