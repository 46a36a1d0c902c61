/* tests relay/deliver/login.c: AUTH with passwords, mechanism by mechanism */
#include <stdio.h>
#include <string.h>

#include "relay/wire/base64.h"
#include "relay/wire/sasl.h"
#include "tests/unit/deliver/account.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

START_TEST(plain_with_an_initial_response)
{
	struct rig r;

	rig_open(&r, NULL, 0, ACCOUNT_EHLO "LOGIN PLAIN CRAM-MD5");
	account_use(&r, ROUTE_AUTH_PLAIN);
	rig_deliver(&r);
	rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert(nexthop_saw(r.hop, "AUTH PLAIN " ACCOUNT_PLAIN "\r\nMAIL FROM:"));
	/* The connection is logged in: the next message needs no other login. */
	rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 1);
	rig_stop(&r);
}
END_TEST

/* RFC 4954 4: what makes the command longer than 512 octets waits for a 334. */
START_TEST(plain_that_is_too_long_for_the_command)
{
	static const struct nexthop_step step = {AT_AUTH, DO_REPLY, "334 \r\n"};
	char secret[600];
	struct rig r;

	memset(secret, 's', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	rig_open(&r, &step, 1, ACCOUNT_EHLO "PLAIN");
	account_use(&r, ROUTE_AUTH_AUTO);
	r.route.secret = secret;
	rig_deliver(&r);
	rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert(nexthop_saw(r.hop, "\r\nAUTH PLAIN\r\nAHVzZXIAc3Nzc3Nz"));
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH_LINE), 1);
	rig_stop(&r);
}
END_TEST

START_TEST(login)
{
	static const struct nexthop_step steps[] = {
		{AT_AUTH, DO_REPLY, "334 VXNlcm5hbWU6\r\n"},
		{AT_AUTH_LINE, DO_REPLY, "334 UGFzc3dvcmQ6\r\n", 0, ACCOUNT_NAME},
	};
	struct rig r;

	rig_open(&r, steps, COUNT(steps), "AUTH=LOGIN\nPIPELINING");
	account_use(&r, ROUTE_AUTH_AUTO);
	rig_deliver(&r);
	rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert(nexthop_saw(r.hop, "AUTH LOGIN\r\n" ACCOUNT_NAME "\r\n" ACCOUNT_SECRET
				     "\r\nMAIL FROM:"));
	rig_stop(&r);
}
END_TEST

/* RFC 4954 6: these speak of the mechanism only. */
START_TEST(another_mechanism)
{
	static const struct nexthop_step steps[] = {
		{AT_AUTH, DO_REPLY, "534 5.7.9 not this one\r\n", 0, "CRAM-MD5"},
		{AT_AUTH, DO_REPLY, "504 5.5.4 nor this one\r\n", 0, "PLAIN"},
		{AT_AUTH, DO_REPLY, "334 VXNlcm5hbWU6\r\n", 0, "LOGIN"},
		{AT_AUTH_LINE, DO_REPLY, "334 UGFzc3dvcmQ6\r\n", 0, ACCOUNT_NAME},
	};
	struct rig r;

	rig_open(&r, steps, COUNT(steps), ACCOUNT_EHLO "PLAIN LOGIN CRAM-MD5");
	account_use(&r, ROUTE_AUTH_AUTO);
	rig_deliver(&r);
	rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_AUTH), 3);
	ck_assert_int_eq(nexthop_connections(r.hop), 1);
	rig_stop(&r);
}
END_TEST

/* A server of ours behind the script. */
struct back {
	struct sasl_library *library;
	struct sasl *sasl;
	bool forge; /* another signature than the right one */
	int lines;
};

static void scram_salt(void *ctx, struct span name, struct sasl_scram *scram_out)
{
	scram_out->iterations = 4096;
	scram_out->salt_len = 4;
	memcpy(scram_out->salt, "salt", 4);
}

static void scram_keys(void *ctx, struct span name, struct sasl_scram *scram)
{
	sasl_scram_derive(scram, span_of("secret"));
}

static bool clear_password(void *ctx, struct span name, struct buf *password_out)
{
	return span_is(name, "user") && buf_append_text(password_out, "secret") == ERR_OK;
}

static void answer(void *ctx, const char *line, bool first, char *reply_out)
{
	static const struct sasl_server_ops ops = {
		.scram_salt = scram_salt, .scram_keys = scram_keys, .password = clear_password};
	struct back *back = ctx;
	struct span rest = span_of(line);
	enum sasl_mechanism mechanism = SASL_CRAM_MD5;
	enum sasl_result result;
	struct buf input, output, coded;

	if (strcmp(line, "*") == 0)
		return; /* the script's */
	back->lines++;
	buf_init(&input, 4096);
	buf_init(&output, 4096);
	buf_init(&coded, 4096);
	if (first) {
		span_cut(&rest, ' ');
		ck_assert(sasl_mechanism_find(span_cut(&rest, ' '), &mechanism));
		sasl_free(&back->sasl);
		back->sasl = sasl_server_new(back->library, mechanism, &ops, NULL);
		back->lines = 1;
	}
	ck_assert_int_eq(base64_decode(rest, &input), ERR_OK);
	if (back->lines == 3) {
		result = SASL_DONE; /* the empty line behind the signature */
		ck_assert_uint_eq(rest.len, 0);
		buf_clear(&output);
	} else {
		result = sasl_step(back->sasl, buf_span(&input), &output);
	}
	if (back->forge && back->lines == 2)
		output.data[2] = output.data[2] == 'A' ? 'B' : 'A';
	base64_encode(buf_span(&output), &coded);
	if (result == SASL_MORE || (result == SASL_DONE && output.len > 0))
		snprintf(reply_out, NEXTHOP_REPLY_SIZE, "334 %.*s\r\n", SPAN_ARG(buf_span(&coded)));
	else
		snprintf(reply_out, NEXTHOP_REPLY_SIZE, "%s\r\n",
			 result == SASL_DONE ? "235 2.7.0 ok" : "535 5.7.8 no");
	buf_release(&input);
	buf_release(&output);
	buf_release(&coded);
}

START_TEST(scram_and_cram)
{
	static const char *const names[] = {"SCRAM-SHA-256", "CRAM-MD5"};

	for (size_t i = 0; i < COUNT(names); i++) {
		struct back back = {.library = sasl_library_new()};
		struct rig r;
		char text[64];

		rig_open(&r, NULL, 0, ACCOUNT_EHLO "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
		nexthop_use_auth(r.hop, answer, &back);
		account_use(&r, i == 0 ? ROUTE_AUTH_AUTO : ROUTE_AUTH_CRAM_MD5);
		rig_deliver(&r);
		rig_send(&r, "ann@ok.test", STATE_DELIVERED);
		snprintf(text, sizeof(text), "AUTH %s", names[i]);
		ck_assert(nexthop_saw(r.hop, text));
		ck_assert(!nexthop_saw(r.hop, ACCOUNT_SECRET));
		rig_stop(&r);
		sasl_free(&back.sasl);
		sasl_library_free(&back.library);
	}
}
END_TEST

/* Who does not know the password may say 235 as often as he likes. */
START_TEST(a_wrong_server_signature)
{
	static const struct nexthop_step step = {AT_AUTH_LINE, DO_REPLY, "235 2.7.0 welcome\r\n", 0,
						 "*"};
	struct back back = {.library = sasl_library_new(), .forge = true};
	struct rig r;

	rig_open(&r, &step, 1, ACCOUNT_EHLO "SCRAM-SHA-256");
	nexthop_use_auth(r.hop, answer, &back);
	account_use(&r, ROUTE_AUTH_SCRAM_SHA_256);
	rig_deliver(&r);
	rig_expect(&r, "ann@ok.test", STATE_DEFERRED, "does not prove that it knows the password");
	ck_assert(nexthop_saw(r.hop, "\r\n*\r\n"));
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 0);
	rig_stop(&r);
	sasl_free(&back.sasl);
	sasl_library_free(&back.library);
}
END_TEST

UNIT_MAIN("deliver/login", plain_with_an_initial_response, plain_that_is_too_long_for_the_command,
	  login, another_mechanism, scram_and_cram, a_wrong_server_signature)
