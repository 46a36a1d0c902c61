/* tests relay/mail/address.c and relay/mail/domain.c */
#include "relay/mail/address.h"

#include <stdio.h>

#include "tests/unit/mail/exact.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
#define FILL_8(s)   s s s s s s s s
#define FILL_64(s)  FILL_8(FILL_8(s))
#define LABEL_63    FILL_8("abcdefg") "abcdefg"
#define U_LABELS_24 FILL_8("\xc3\xbc.") FILL_8("\xc3\xbc.") FILL_8("\xc3\xbc.")
/* 60 octets, and fewer as an A-label */
#define HAN_20                                                                                     \
	FILL_8("\xe4\xb8\xad")                                                                     \
	FILL_8("\xe4\xb8\xad") "\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad"
#define DOMAIN_253 LABEL_63 "." LABEL_63 "." LABEL_63 "." FILL_8("abcdefg") "abcde"

enum form { INVALID = -1 };

static const char *form_name(int form)
{
	switch (form) {
	case INVALID: return "invalid";
	case ADDRESS_NULL: return "null";
	case ADDRESS_POSTMASTER: return "postmaster";
	case ADDRESS_PLAIN: return "plain";
	case ADDRESS_LISTED_ONLY: return "listed";
	default: return "unsafe";
	}
}

static const struct form_case {
	const char *id;
	struct span path;
	int form;
	const char *print;
} form_cases[] = {
	{"S085", BYTES("<user@allowed.test>"), ADDRESS_PLAIN, "user@allowed.test"},
	{"S086", BYTES("<user@ALLOWED.Test>"), ADDRESS_PLAIN, "user@ALLOWED.Test"},
	{"S087", BYTES("<USER@allowed.test>"), ADDRESS_PLAIN, "USER@allowed.test"},
	{"S088", BYTES("user@allowed.test"), INVALID, NULL},
	{"S089", BYTES(" <user@allowed.test>"), INVALID, NULL},
	{"S089 behind", BYTES("<user@allowed.test> "), INVALID, NULL},
	{"S090", BYTES(": <user@allowed.test>"), INVALID, NULL},
	{"S091 a", BYTES("< user@allowed.test >"), INVALID, NULL},
	{"S091 b", BYTES("<user @ allowed.test>"), INVALID, NULL},
	{"S091 c", BYTES("<user@allowed.test\t>"), INVALID, NULL},
	{"S092", BYTES("<user@allowed.test\r>"), INVALID, NULL},
	{"S093", BYTES("<user@allowed.test\n>"), INVALID, NULL},
	{"S094", BYTES("<user@allowed.test>\r\nRCPT TO:<real@evil.example>"), INVALID, NULL},
	{"S095", BYTES("<user@allowed.test> NOTIFY=NEVER ORCPT=x"), INVALID, NULL},
	{"S095 inside", BYTES("<user@allowed.test NOTIFY=NEVER>"), INVALID, NULL},
	{"S096", BYTES("<user@allowed.test.>"), INVALID, NULL},
	{"S097", BYTES("<user@allowed.test..>"), INVALID, NULL},
	{"S098 a", BYTES("<user@.allowed.test>"), INVALID, NULL},
	{"S098 b", BYTES("<user@allowed..test>"), INVALID, NULL},
	{"S098 c", BYTES("<user@-allowed.test>"), INVALID, NULL},
	{"S098 d", BYTES("<user@allowed-.test>"), INVALID, NULL},
	{"S099", BYTES("<\"user\"@allowed.test>"), ADDRESS_UNSAFE, "\"user\"@allowed.test"},
	{"S100 a", BYTES("<\"us\\er\"@allowed.test>"), ADDRESS_UNSAFE, "\"user\"@allowed.test"},
	{"S100 b", BYTES("<us\\er@allowed.test>"), INVALID, NULL},
	{"S101 a", BYTES("<us\"er\"@allowed.test>"), INVALID, NULL},
	{"S101 b", BYTES("<\"us\".\"er\"@allowed.test>"), INVALID, NULL},
	{"S102 a", BYTES("<\"\"@allowed.test>"), ADDRESS_UNSAFE, "\"\"@allowed.test"},
	{"S102 b", BYTES("<@allowed.test>"), INVALID, NULL},
	{"S103 a", BYTES("<\"a b\"@allowed.test>"), ADDRESS_UNSAFE, "\"a b\"@allowed.test"},
	{"S103 b", BYTES("<\"a\\ b\"@allowed.test>"), ADDRESS_UNSAFE, "\"a b\"@allowed.test"},
	{"S104", BYTES("<\"real@evil.example\"@wild.test>"), ADDRESS_UNSAFE,
	 "\"real@evil.example\"@wild.test"},
	{"S105", BYTES("<\"real@evil.example\"@nexthop.test>"), ADDRESS_UNSAFE,
	 "\"real@evil.example\"@nexthop.test"},
	{"S106", BYTES("<\"real@evil.example x\"@wild.test>"), ADDRESS_UNSAFE,
	 "\"real@evil.example x\"@wild.test"},
	{"S107 a", BYTES("<\"real@evil.example> x\"@wild.test>"), ADDRESS_UNSAFE,
	 "\"real@evil.example> x\"@wild.test"},
	{"S107 b", BYTES("<\"<real@evil.example>\"@wild.test>"), ADDRESS_UNSAFE,
	 "\"<real@evil.example>\"@wild.test"},
	{"S108", BYTES("<real%evil.example@wild.test>"), ADDRESS_LISTED_ONLY,
	 "real%evil.example@wild.test"},
	{"S109", BYTES("<real%evil.example@nexthop.test>"), ADDRESS_LISTED_ONLY,
	 "real%evil.example@nexthop.test"},
	{"S110", BYTES("<real%evil.example>"), INVALID, NULL},
	{"S111", BYTES("<evil.example!real@nexthop.test>"), ADDRESS_LISTED_ONLY,
	 "evil.example!real@nexthop.test"},
	{"S112", BYTES("<evil.example!real>"), INVALID, NULL},
	{"S113 a", BYTES("<@allowed.test:real@evil.example>"), ADDRESS_UNSAFE, "real@evil.example"},
	{"S113 b", BYTES("<@allowed.test,@b.test:real@evil.example>"), ADDRESS_UNSAFE,
	 "real@evil.example"},
	{"S114", BYTES("<real@evil.example:user@allowed.test>"), INVALID, NULL},
	{"S115", BYTES("<user@allowed.test@evil.example>"), INVALID, NULL},
	{"S116 a", BYTES("<real@evil.example@allowed.test>"), INVALID, NULL},
	{"S116 b", BYTES("<real\\@evil.example@allowed.test>"), INVALID, NULL},
	{"S116 c", BYTES("<real@evil.example\\@allowed.test>"), INVALID, NULL},
	{"S117 a", BYTES("<user(real@evil.example)@allowed.test>"), INVALID, NULL},
	{"S117 b", BYTES("<user@allowed.test(.evil.example)>"), INVALID, NULL},
	{"S121 a", BYTES("Real <user@allowed.test>"), INVALID, NULL},
	{"S121 b", BYTES("<real@evil.example <user@allowed.test>>"), INVALID, NULL},
	{"S121 c", BYTES("<<user@allowed.test>>"), INVALID, NULL},
	{"S123 a", BYTES("<user@allowed.test,real@evil.example>"), INVALID, NULL},
	{"S123 b", BYTES("<user@allowed.test;real@evil.example>"), INVALID, NULL},
	{"S123 c", BYTES("<g:user@allowed.test,real@evil.example;>"), INVALID, NULL},
	{"S124 a", BYTES("<user@[127.0.0.1]>"), ADDRESS_UNSAFE, "user@[127.0.0.1]"},
	{"S124 b", BYTES("<user@[IPv6:::1]>"), ADDRESS_UNSAFE, "user@[IPv6:::1]"},
	{"S124 c", BYTES("<user@[IPv6:::ffff:7f00:1]>"), ADDRESS_UNSAFE,
	 "user@[IPv6:::ffff:7f00:1]"},
	{"S126", BYTES("<user@allowed.test\0.evil.example>"), INVALID, NULL},
	{"S126 local", BYTES("<us\0er@allowed.test>"), INVALID, NULL},
	{"S126 quoted", BYTES("<\"us\0er\"@allowed.test>"), INVALID, NULL},
	{"S126 literal", BYTES("<user@[127.0.0.1\0]>"), INVALID, NULL},
	{"S128 a", BYTES("<user>"), INVALID, NULL},
	{"S128 b", BYTES("<user@>"), INVALID, NULL},
	{"S128 c", BYTES("<postmaster>"), ADDRESS_POSTMASTER, "postmaster"},
	{"S128 d", BYTES("<PostMaster>"), ADDRESS_POSTMASTER, "PostMaster"},
	{"S129 a", BYTES("<>"), INVALID, NULL},
	{"S129 b", BYTES("<\" \"@allowed.test>"), ADDRESS_UNSAFE, "\" \"@allowed.test"},
	{"S130 local 64", BYTES("<" FILL_64("a") "@allowed.test>"), ADDRESS_PLAIN,
	 FILL_64("a") "@allowed.test"},
	{"S130 local 65", BYTES("<" FILL_64("a") "a@allowed.test>"), INVALID, NULL},
	{"S130 local 300", BYTES("<" FILL_64("abcde") "@allowed.test>"), INVALID, NULL},
	{"S130 label 63", BYTES("<a@" LABEL_63 ".test>"), ADDRESS_PLAIN, "a@" LABEL_63 ".test"},
	{"S130 label 64", BYTES("<a@" LABEL_63 "x.test>"), INVALID, NULL},
	{"S130 path 257", BYTES("<a@" DOMAIN_253 ">"), INVALID, NULL},
	{"S130 address 254",
	 BYTES("<a@" LABEL_63 "." LABEL_63 "." LABEL_63 "." FILL_8("abcdefg") "abcd>"),
	 ADDRESS_PLAIN, "a@" LABEL_63 "." LABEL_63 "." LABEL_63 "." FILL_8("abcdefg") "abcd"},
	{"S132", BYTES("<user+tag@allowed.test>"), ADDRESS_PLAIN, "user+tag@allowed.test"},
	{"S133 a", BYTES("<user+real=evil.example@wild.test>"), ADDRESS_LISTED_ONLY,
	 "user+real=evil.example@wild.test"},
	{"S133 b", BYTES("<SRS0=x=y=evil.example=real@wild.test>"), ADDRESS_LISTED_ONLY,
	 "SRS0=x=y=evil.example=real@wild.test"},
	{"S133 c", BYTES("<prvs=0123456789=real@wild.test>"), ADDRESS_LISTED_ONLY,
	 "prvs=0123456789=real@wild.test"},
	{"S134 a", BYTES("<|/bin/sh@wild.test>"), ADDRESS_LISTED_ONLY, "|/bin/sh@wild.test"},
	{"S134 b", BYTES("<\"|/bin/sh\"@wild.test>"), ADDRESS_UNSAFE, "\"|/bin/sh\"@wild.test"},
	{"S134 c", BYTES("</etc/passwd@wild.test>"), ADDRESS_LISTED_ONLY, "/etc/passwd@wild.test"},
	{"S134 d", BYTES("<-oQ/tmp@wild.test>"), ADDRESS_LISTED_ONLY, "-oQ/tmp@wild.test"},
	{"S134 e", BYTES("<*@wild.test>"), ADDRESS_LISTED_ONLY, "*@wild.test"},
	{"S134 f", BYTES("<$(id)@wild.test>"), INVALID, NULL},
	{"S134 g", BYTES("<-x@wild.test>"), ADDRESS_LISTED_ONLY, "-x@wild.test"},
	{"S134 h", BYTES("<a_b-c+d.e@wild.test>"), ADDRESS_PLAIN, "a_b-c+d.e@wild.test"},
	{"S134 i", BYTES("<_a@wild.test>"), ADDRESS_LISTED_ONLY, "_a@wild.test"},
	{"S135 a", BYTES("<.user@allowed.test>"), INVALID, NULL},
	{"S135 b", BYTES("<user.@allowed.test>"), INVALID, NULL},
	{"S135 c", BYTES("<us..er@allowed.test>"), INVALID, NULL},
	{"S137 a", BYTES("<us\xc3\xa9r@allowed.test>"), ADDRESS_UNSAFE, "us\xc3\xa9r@allowed.test"},
	{"S137 b", BYTES("<us\xe9r@allowed.test>"), INVALID, NULL},
	{"S137 c", BYTES("<us\xc0\xaer@allowed.test>"), INVALID, NULL},
	{"S138 a",
	 BYTES("<user@b\xc3\xbc"
	       "cher.example>"),
	 ADDRESS_PLAIN, "user@xn--bcher-kva.example"},
	{"S138 b", BYTES("<user@xn--bcher-kva.example>"), ADDRESS_PLAIN,
	 "user@xn--bcher-kva.example"},
	{"S138 c",
	 BYTES("<user@B\xc3\x9c"
	       "cher.Example>"),
	 ADDRESS_PLAIN, "user@xn--bcher-kva.example"},
	{"S143", BYTES("<user@al_lowed.test>"), INVALID, NULL},
};

START_TEST(cases_2e)
{
	for (size_t i = 0; i < COUNT(form_cases); i++) {
		const struct form_case *row = &form_cases[i];
		struct address address = {.form = ADDRESS_NULL};
		struct err why = {"nothing said"};
		int code = exact_parse(row->path, ADDRESS_FORWARD_PATH, &address, &why);
		int form = code == ERR_OK ? (int)address.form : INVALID;
		char text[ADDRESS_TEXT_SIZE];

		ck_assert_msg(form == row->form, "%s: %s, want %s (%s)", row->id, form_name(form),
			      form_name(row->form), why.text);
		if (code != ERR_OK) {
			ck_assert_str_ne(why.text, "nothing said");
			continue;
		}
		address_format(&address, text);
		ck_assert_msg(strcmp(text, row->print) == 0, "%s: printed %s", row->id, text);
		exact_check(&address);
	}
}
END_TEST

/* Forms that CASES does not name. */
static const struct form_case more_cases[] = {
	{"single label", BYTES("<root@localhost>"), ADDRESS_LISTED_ONLY, "root@localhost"},
	{"number at the end", BYTES("<user@123.123.123.123>"), ADDRESS_UNSAFE,
	 "user@123.123.123.123"},
	{"inet_aton hex", BYTES("<user@127.0x1>"), ADDRESS_UNSAFE, "user@127.0x1"},
	{"inet_aton one label", BYTES("<user@2130706433>"), ADDRESS_UNSAFE, "user@2130706433"},
	{"full width digits", BYTES("<user@\xef\xbc\x91.\xef\xbc\x92>"), ADDRESS_UNSAFE,
	 "user@1.2"},
	{"ideographic full stop", BYTES("<user@allowed\xe3\x80\x82test>"), ADDRESS_PLAIN,
	 "user@allowed.test"},
	{"soft hyphen",
	 BYTES("<user@allow\xc2\xad"
	       "ed.test>"),
	 ADDRESS_PLAIN, "user@allowed.test"},
	{"a mapping that gives a slash", BYTES("<user@\xe2\x84\x80.test>"), INVALID, NULL},
	{"false A-label", BYTES("<user@xn--example.com>"), ADDRESS_LISTED_ONLY,
	 "user@xn--example.com"},
	{"A-label of ASCII", BYTES("<user@xn--example-.com>"), INVALID, NULL},
	{"upper case A-label", BYTES("<user@XN--BCHER-KVA.example>"), ADDRESS_PLAIN,
	 "user@XN--BCHER-KVA.example"},
	{"U-label with underscore", BYTES("<user@a_\xc3\xbc.test>"), INVALID, NULL},
	{"disallowed U-label", BYTES("<user@\xf0\x9f\x92\xa9.test>"), INVALID, NULL},
	{"U-label trailing dot", BYTES("<user@\xc3\xbc.test.>"), INVALID, NULL},
	{"too long only as A-labels", BYTES("<" FILL_64("a") "@" U_LABELS_24 "test>"), INVALID,
	 NULL},
	{"broken UTF-8 domain", BYTES("<user@\xc3.test>"), INVALID, NULL},
	{"quoted UTF-8", BYTES("<\"us\xc3\xa9r x\"@allowed.test>"), ADDRESS_UNSAFE,
	 "\"us\xc3\xa9r x\"@allowed.test"},
	{"pair before UTF-8", BYTES("<\"\\\xc3\xa9\"@allowed.test>"), INVALID, NULL},
	{"quoted 64", BYTES("<\"" FILL_8("abcdefg") "abcdef\"@allowed.test>"), ADDRESS_UNSAFE,
	 "\"" FILL_8("abcdefg") "abcdef\"@allowed.test"},
	{"quoted 65", BYTES("<\"" FILL_8("abcdefg") "abcdefg\"@allowed.test>"), INVALID, NULL},
	{"pair as last byte", BYTES("<\"abc\\>"), INVALID, NULL},
	{"only a quote", BYTES("<\">"), INVALID, NULL},
	{"pairs that stay", BYTES("<\"a\\\"b\\\\c\"@allowed.test>"), ADDRESS_UNSAFE,
	 "\"a\\\"b\\\\c\"@allowed.test"},
	{"route with literal", BYTES("<@[127.0.0.1]:a@b.test>"), INVALID, NULL},
	{"route that goes on with nothing", BYTES("<@r.test,>"), INVALID, NULL},
	{"literal of one octet", BYTES("<a@[>"), INVALID, NULL},
	{"empty literal", BYTES("<a@[]>"), INVALID, NULL},
	{"general literal", BYTES("<a@[x-y:z]>"), ADDRESS_UNSAFE, "a@[x-y:z]"},
	{"general literal without tag", BYTES("<a@[:x]>"), INVALID, NULL},
	{"general literal, odd tag", BYTES("<a@[x_y:z]>"), INVALID, NULL},
	{"general literal, tag that ends odd", BYTES("<a@[x-:z]>"), INVALID, NULL},
	{"general literal without content", BYTES("<a@[x:]>"), INVALID, NULL},
	{"general literal with a blank", BYTES("<a@[x:y z]>"), INVALID, NULL},
	{"general literal with a bracket", BYTES("<a@[x:y[z]>"), INVALID, NULL},
	{"general literal with a pair", BYTES("<a@[x:y\\z]>"), INVALID, NULL},
	{"general literal with a control", BYTES("<a@[x:y\x7f]>"), INVALID, NULL},
	{"route without mailbox", BYTES("<@a.test:>"), INVALID, NULL},
	{"route with empty host", BYTES("<@a.test,,@b.test:c@d.test>"), INVALID, NULL},
	{"route before postmaster", BYTES("<@a.test:postmaster>"), INVALID, NULL},
	{"general literal", BYTES("<a@[x400:c=us]>"), ADDRESS_UNSAFE, "a@[x400:c=us]"},
	{"general literal, bracket", BYTES("<a@[x400:c]=us]>"), INVALID, NULL},
	{"empty literal", BYTES("<a@[]>"), INVALID, NULL},
	{"literal, IPv6 as IPv4", BYTES("<a@[::1]>"), INVALID, NULL},
	{"postmaster with domain", BYTES("<postmaster@a.test>"), ADDRESS_PLAIN,
	 "postmaster@a.test"},
	{"empty", BYTES(""), INVALID, NULL},
	{"one bracket", BYTES("<"), INVALID, NULL},
	{"DEL", BYTES("<a\x7f@b.test>"), INVALID, NULL},
};

START_TEST(more_forms)
{
	for (size_t i = 0; i < COUNT(more_cases); i++) {
		const struct form_case *row = &more_cases[i];
		struct address address;
		struct err why;
		char text[ADDRESS_TEXT_SIZE];
		int code = exact_parse(row->path, ADDRESS_FORWARD_PATH, &address, &why);
		int form = code == ERR_OK ? (int)address.form : INVALID;

		ck_assert_msg(form == row->form, "%s: %s, want %s", row->id, form_name(form),
			      form_name(row->form));
		if (code != ERR_OK)
			continue;
		address_format(&address, text);
		ck_assert_msg(strcmp(text, row->print) == 0, "%s: printed %s", row->id, text);
		exact_check(&address);
	}
}
END_TEST

START_TEST(kinds_and_flags)
{
	struct address address = {.local = "untouched"};
	struct err why;

	ck_assert_int_eq(address_parse_path(span_of("<>"), ADDRESS_REVERSE_PATH, &address, &why),
			 ERR_OK);
	ck_assert_int_eq(address.form, ADDRESS_NULL);
	ck_assert_int_eq(
		address_parse_path(span_of("<postmaster>"), ADDRESS_REVERSE_PATH, &address, &why),
		ERR_SYNTAX);
	ck_assert_int_eq(address_parse(span_of(""), &address, &why), ERR_SYNTAX);
	ck_assert_int_eq(address_parse(span_of("@r.test:a@b.test"), &address, &why), ERR_SYNTAX);
	ck_assert_int_eq(address.form, ADDRESS_NULL);
	ck_assert_int_eq(address_parse(span_of("\"a\"@\xc3\xbc.test"), &address, &why), ERR_OK);
	ck_assert(address.quoted && address.utf8_domain && !address.utf8 && !address.literal);
	ck_assert_int_eq(address_parse_path(span_of("<@r.test:\xc3\xbc@[127.0.0.1]>"),
					    ADDRESS_FORWARD_PATH, &address, &why),
			 ERR_OK);
	ck_assert(address.utf8 && address.literal && address.source_route && !address.quoted);
	ck_assert_int_eq(address_parse(span_of(FILL_64("abcd") "@b"), &address, &why), ERR_LIMIT);
}
END_TEST

static int parse_of(const char *text)
{
	struct address address;
	struct err why = {""};
	int code = exact_parse(span_of(text), ADDRESS_FORWARD_PATH, &address, &why);

	ck_assert((code == ERR_OK) == (why.text[0] == '\0'));
	return code;
}

/* RFC 5321 4.5.3.1: to the octet. */
START_TEST(limits_to_the_octet)
{
	char q[80], d[200], text[400];
	struct address address;

	memset(q, 'q', sizeof(q));
	memset(d, 'd', sizeof(d));
	d[63] = d[127] = '.';
	snprintf(text, sizeof(text), "<\"%.62s\"@b.test>", q);
	ck_assert_int_eq(parse_of(text), ERR_OK);
	snprintf(text, sizeof(text), "<\"%.63s\"@b.test>", q);
	ck_assert_int_eq(parse_of(text), ERR_LIMIT);
	snprintf(text, sizeof(text), "<\"%.60s\\\"\"@b.test>", q);
	ck_assert_int_eq(parse_of(text), ERR_OK);
	snprintf(text, sizeof(text), "<\"%.61s\\\"\"@b.test>", q);
	ck_assert_int_eq(parse_of(text), ERR_LIMIT);
	snprintf(text, sizeof(text), "<%.64s@%.189s>", q, d);
	ck_assert_uint_eq(strlen(text), 256);
	ck_assert_int_eq(parse_of(text), ERR_OK);
	ck_assert_int_eq(address_parse(span_make(text + 1, 254), &address, NULL), ERR_OK);
	snprintf(text, sizeof(text), "<%.64s@%.190s>", q, d);
	ck_assert_int_eq(parse_of(text), ERR_LIMIT);
	ck_assert_int_eq(address_parse(span_make(text + 1, 255), &address, NULL), ERR_LIMIT);
	ck_assert_int_eq(parse_of("<\" \x7e\"@b.test>"), ERR_OK);
	ck_assert_int_eq(parse_of("<\"\x1f\"@b.test>"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<\"\x7f\"@b.test>"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<\"\\\xc2\x80\"@b.test>"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<\""), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<\">"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<\"\\>"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of(""), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<@>"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<a@>"), ERR_SYNTAX);
	ck_assert_int_eq(parse_of("<a>"), ERR_SYNTAX);
	ck_assert_int_eq(address_parse(span_of(""), &address, NULL), ERR_SYNTAX);
	/* As given: what is dropped or gets shorter in the print counts too. */
	snprintf(text, sizeof(text), "<@%.189s,@%.53s:a@b.test>", d, d);
	ck_assert_uint_eq(strlen(text), 256);
	ck_assert_int_eq(parse_of(text), ERR_OK);
	snprintf(text, sizeof(text), "<@%.189s,@%.54s:a@b.test>", d, d);
	ck_assert_int_eq(parse_of(text), ERR_LIMIT);
	snprintf(text, sizeof(text), "%.8s@" HAN_20 "." HAN_20 "." HAN_20 "." HAN_20 ".b", q);
	ck_assert_uint_eq(strlen(text), 254);
	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	snprintf(text, sizeof(text), "%.9s@" HAN_20 "." HAN_20 "." HAN_20 "." HAN_20 ".b", q);
	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_LIMIT);
	/* As printed: each of these labels becomes xn--tda. */
	snprintf(text, sizeof(text), "<%.53s@" U_LABELS_24 "abc.test>", q);
	ck_assert_int_eq(parse_of(text), ERR_OK);
	snprintf(text, sizeof(text), "<%.54s@" U_LABELS_24 "abc.test>", q);
	ck_assert_int_eq(parse_of(text), ERR_LIMIT);
}
END_TEST

/* People read these: what is wrong, not what was noticed last. */
START_TEST(what_is_wrong)
{
	static const struct {
		const char *path;
		const char *why;
	} rows[] = {
		{"<\"abc>", "a quoted local part has no end"},
		{"<\">", "a quoted local part has no end"},
		{"<\"abc\\>", "a quoted local part has no end"},
		{"<\"a\tb\"@b.test>", "a quoted local part holds a control"},
		{"<\"a\\\xc3\xbc\"@b.test>", "a backslash before a non-ASCII character"},
		{"<\"a\xff\"@b.test>", "the local part is not valid UTF-8"},
		{"<@>", "the local part is missing"},
		{"<@b.test>", "the local part is missing"},
		{"<@b.test:@b.test>", "the local part is missing"},
		{"<a.@b.test>", "the local part ends with a dot"},
		{"<.a@b.test>", "the local part has a dot with nothing before it"},
		{"<a>", "no @ and domain behind the local part"},
		{"<\"a\"bb.test>", "no @ and domain behind the local part"},
		{"<a@[>", "not a valid address literal"},
		{"<a@[]>", "not a valid address literal"},
		{"<a@[127.0.0.1>", "not a valid address literal"},
		{"<@b.test,bc.test:a@b.test>", "a source route needs @ before each host"},
		{"<@b.test,>", "a source route needs @ before each host"},
		{"<>", "a recipient cannot be the null address"},
		{"a@b.test", "no angle brackets around the address"},
	};
	static const char *const unended[] = {"\"", "\"abc", "\"abc\\"};
	struct address address;
	struct err why;

	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_assert_msg(exact_parse(span_of(rows[i].path), ADDRESS_FORWARD_PATH, &address,
					  &why) == ERR_SYNTAX,
			      "%s", rows[i].path);
		ck_assert_msg(strcmp(why.text, rows[i].why) == 0, "%s: %s", rows[i].path, why.text);
	}
	ck_assert_int_eq(address_parse(span_of(""), &address, &why), ERR_SYNTAX);
	ck_assert_str_eq(why.text, "the address is empty");
	/* Without a bracket behind it. */
	for (size_t i = 0; i < COUNT(unended); i++) {
		ck_assert_int_eq(address_parse(exact_edge(span_of(unended[i])), &address, &why),
				 ERR_SYNTAX);
		ck_assert_str_eq(why.text, "a quoted local part has no end");
	}
	ck_assert_int_eq(address_parse(span_of("a"), &address, &why), ERR_SYNTAX);
	ck_assert_str_eq(why.text, "no @ and domain behind the local part");
}
END_TEST

/* postmaster and <> have no domain, and are not each other. */
static void nobody_without_a_domain(void)
{
	struct address a, b = {.form = ADDRESS_NULL};

	ck_assert_int_eq(address_parse(span_of("PostMaster"), &a, NULL), ERR_OK);
	ck_assert(!address_equal(&a, &b) && !address_equal(&b, &a) && address_equal(&b, &b));
	ck_assert_int_eq(address_parse(span_of("postmaster"), &b, NULL), ERR_OK);
	ck_assert(address_equal(&a, &b));
}

START_TEST(keys_and_equality)
{
	static const struct {
		const char *a;
		const char *b;
		bool equal;
		bool same_key;
	} rows[] = {
		{"user@allowed.test", "user@ALLOWED.test", true, true},
		{"user@allowed.test", "USER@allowed.test", false, true},
		{"user@allowed.test", "user@allowed.tesT", true, true},
		{"user@allowed.test", "user2@allowed.test", false, false},
		{"postmaster", "POSTMASTER", true, true},
		{"postmaster", "postmaster@allowed.test", false, false},
		{"\"user\"@allowed.test", "user@allowed.test", false, false},
		{"\"us\\er\"@allowed.test", "\"user\"@allowed.test", true, true},
		{"\xc3\x89@a.test", "\xc3\xa9@a.test", false, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct address a;
		struct address b;
		char key_a[ADDRESS_TEXT_SIZE];
		char key_b[ADDRESS_TEXT_SIZE];

		ck_assert_int_eq(address_parse(span_of(rows[i].a), &a, NULL), ERR_OK);
		ck_assert_int_eq(address_parse(span_of(rows[i].b), &b, NULL), ERR_OK);
		address_key(&a, key_a);
		address_key(&b, key_b);
		ck_assert_msg(address_equal(&a, &b) == rows[i].equal, "%s", rows[i].b);
		ck_assert_msg((strcmp(key_a, key_b) == 0) == rows[i].same_key, "%s", rows[i].b);
	}
	nobody_without_a_domain();
}
END_TEST

START_TEST(host_names)
{
	static const struct {
		const char *text;
		int code;
		const char *ascii;
	} rows[] = {
		{"Example.COM", ERR_OK, "example.com"},
		{"localhost", ERR_OK, "localhost"},
		{"b\xc3\xbc"
		 "cher.example",
		 ERR_OK, "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", ERR_OK, "xn--bcher-kva.example"},
		{"stra\xc3\x9f"
		 "e.example",
		 ERR_OK, "xn--strae-oqa.example"},
		{DOMAIN_253, ERR_OK, DOMAIN_253},
		{DOMAIN_253 "x", ERR_LIMIT, NULL},
		{DOMAIN_253 "xyz", ERR_LIMIT, NULL},
		{LABEL_63 "x.test", ERR_LIMIT, NULL},
		{"example.com.", ERR_SYNTAX, NULL},
		{".example.com", ERR_SYNTAX, NULL},
		{"", ERR_SYNTAX, NULL},
		{".", ERR_SYNTAX, NULL},
		{"a_b.test", ERR_SYNTAX, NULL},
		{"a b.test", ERR_SYNTAX, NULL},
		{"-a.test", ERR_SYNTAX, NULL},
		{"a-.test", ERR_SYNTAX, NULL},
		{"127.0.0.1", ERR_SYNTAX, NULL},
		{"a.0x7f", ERR_SYNTAX, NULL},
		{"xn--example.com", ERR_SYNTAX, NULL},
		{"[127.0.0.1]", ERR_SYNTAX, NULL},
		{"*.example.com", ERR_SYNTAX, NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char ascii[ADDRESS_DOMAIN_MAX + 1] = "untouched";
		struct err why;

		ck_assert_msg(domain_to_ascii(span_of(rows[i].text), ascii, &why) == rows[i].code,
			      "%s", rows[i].text);
		ck_assert_str_eq(ascii, rows[i].code == ERR_OK ? rows[i].ascii : "untouched");
	}
	ck_assert_int_eq(domain_to_ascii(span_make("a\0b.test", 8), (char[256]){0}, NULL),
			 ERR_SYNTAX);
}
END_TEST

UNIT_MAIN("mail/address", limits_to_the_octet, what_is_wrong, cases_2e, more_forms, kinds_and_flags,
	  keys_and_equality, host_names)
