/* tests relay/wire/sasl_client.c: bytes of the RFCs, our own server, and servers that lie */
#include "relay/wire/sasl_client.h"

#include <stdio.h>

#include "relay/wire/base64.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct exchange {
	struct sasl_library *library;
	struct sasl_client *client;
	struct sasl *server;
	struct buf ours, theirs;
	struct err why;
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

static bool check(void *ctx, struct span name, struct span password)
{
	return span_is(name, "user") && span_is(password, "secret");
}

static bool password(void *ctx, struct span name, struct buf *password_out)
{
	return buf_append_text(password_out, "secret") == ERR_OK;
}

static const struct sasl_server_ops ops = {
	.check = check, .scram_salt = scram_salt, .scram_keys = scram_keys, .password = password};

static void begin(struct exchange *x, enum sasl_client_mechanism mechanism, const char *user,
		  const char *secret)
{
	enum sasl_mechanism same;

	*x = (struct exchange){.library = sasl_library_new()};
	x->client = sasl_client_new(x->library, mechanism, user, span_of(secret));
	if (sasl_mechanism_find(span_of(sasl_client_name(mechanism)), &same))
		x->server = sasl_server_new(x->library, same, &ops, NULL);
	buf_init(&x->ours, 65536);
	buf_init(&x->theirs, 65536);
}

static void end(struct exchange *x)
{
	sasl_client_free(&x->client);
	ck_assert_ptr_null(x->client);
	sasl_free(&x->server);
	sasl_library_free(&x->library);
	buf_wipe(&x->ours);
	buf_wipe(&x->theirs);
}

static enum sasl_result step(struct exchange *x, struct span challenge)
{
	return sasl_client_step(x->client, challenge, &x->ours, &x->why);
}

/* RFC 4616 4, RFC 2195 2, and what everybody does for LOGIN. */
START_TEST(plain_login_cram_md5)
{
	struct exchange x;

	begin(&x, SASL_CLIENT_PLAIN, "tim", "tanstaaftanstaaf");
	ck_assert(sasl_client_is_first(x.client) && !sasl_client_is_complete(x.client));
	ck_assert_int_eq(step(&x, span_of("")), SASL_DONE);
	ck_assert(span_equal(buf_span(&x.ours), span_make("\0tim\0tanstaaftanstaaf", 21)));
	ck_assert(sasl_client_is_complete(x.client));
	/* A server that asks once more gets nothing. */
	ck_assert_int_eq(step(&x, span_of("")), SASL_MALFORMED);
	ck_assert_uint_eq(x.ours.len, 0);
	ck_assert(!sasl_client_is_complete(x.client));
	end(&x);

	begin(&x, SASL_CLIENT_CRAM_MD5, "tim", "tanstaaftanstaaf");
	ck_assert(!sasl_client_is_first(x.client));
	ck_assert_int_eq(step(&x, span_of("<1896.697170952@postoffice.reston.mci.net>")),
			 SASL_DONE);
	ck_assert(span_is(buf_span(&x.ours), "tim b913a602c7eda7a495b4e6e7334d3890"));
	end(&x);
	begin(&x, SASL_CLIENT_CRAM_MD5, "tim", "tanstaaftanstaaf");
	ck_assert_int_eq(step(&x, span_of("")), SASL_MALFORMED);
	end(&x);

	begin(&x, SASL_CLIENT_LOGIN, "tim", "tanstaaftanstaaf");
	ck_assert(!sasl_client_is_first(x.client));
	ck_assert_int_eq(step(&x, span_of("Username:")), SASL_MORE);
	ck_assert(span_is(buf_span(&x.ours), "tim"));
	ck_assert(!sasl_client_is_complete(x.client));
	ck_assert_int_eq(step(&x, span_of("Password:")), SASL_DONE);
	ck_assert(span_is(buf_span(&x.ours), "tanstaaftanstaaf"));
	ck_assert(sasl_client_is_complete(x.client));
	end(&x);
}
END_TEST

/* Google's example; then the refusal that wants an empty answer. */
START_TEST(xoauth2)
{
	struct exchange x;
	struct buf coded;

	buf_init(&coded, 1000);
	begin(&x, SASL_CLIENT_XOAUTH2, "someuser@example.com",
	      "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
	ck_assert(sasl_client_is_first(x.client));
	ck_assert_int_eq(step(&x, span_of("")), SASL_MORE);
	ck_assert_int_eq(base64_encode(buf_span(&x.ours), &coded), ERR_OK);
	ck_assert_str_eq(coded.data, "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGO"
				     "WRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==");
	ck_assert(sasl_client_is_complete(x.client));
	ck_assert_int_eq(step(&x, span_of("{\"status\":\"401\"}")), SASL_MORE);
	ck_assert_uint_eq(x.ours.len, 0);
	ck_assert(!sasl_client_is_complete(x.client));
	ck_assert_int_eq(step(&x, span_of("{\"status\":\"401\"}")), SASL_MALFORMED);
	end(&x);
	buf_release(&coded);
}
END_TEST

/* With our own server, the real thing; returns what the client says of its final message. */
static enum sasl_result scram(struct exchange *x, const char *secret, const char *forged)
{
	begin(x, SASL_CLIENT_SCRAM_SHA_256, "user", secret);
	ck_assert(!sasl_client_is_slow(x->client));
	ck_assert_int_eq(step(x, span_of("")), SASL_MORE);
	ck_assert_int_eq(sasl_step(x->server, buf_span(&x->ours), &x->theirs), SASL_MORE);
	ck_assert(sasl_client_is_slow(x->client));
	ck_assert_int_eq(step(x, buf_span(&x->theirs)), SASL_MORE);
	ck_assert(!sasl_client_is_slow(x->client) && !sasl_client_is_complete(x->client));
	if (forged != NULL)
		return step(x, span_of(forged));
	if (sasl_step(x->server, buf_span(&x->ours), &x->theirs) == SASL_REFUSED)
		return SASL_REFUSED;
	return step(x, buf_span(&x->theirs));
}

START_TEST(scram_sha_256)
{
	static const char *const forged[] = {
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "v=", "", "e=other-error", "ok",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="};
	struct exchange x;

	ck_assert_int_eq(scram(&x, "secret", NULL), SASL_DONE);
	ck_assert(sasl_client_is_complete(x.client));
	ck_assert_uint_eq(x.ours.len, 0);
	end(&x);
	ck_assert_int_eq(scram(&x, "wrong", NULL), SASL_REFUSED);
	end(&x);
	/* A server that does not know the password says yes all the same. */
	for (size_t i = 0; i < COUNT(forged); i++) {
		enum sasl_result result = scram(&x, "secret", forged[i]);

		ck_assert_msg(result == SASL_REFUSED || result == SASL_MALFORMED, "row %zu", i);
		ck_assert(!sasl_client_is_complete(x.client) && x.why.text[0] != '\0');
		ck_assert_int_eq(step(&x, span_of(forged[i])), SASL_MALFORMED);
		end(&x);
	}
}
END_TEST

/* The first message of a server: a nonce that is not ours, and counts that keep us busy. */
START_TEST(scram_demands)
{
	static const struct {
		const char *rest;
		bool good;
	} rows[] = {
		{"x,s=c2FsdA==,i=4096", true},
		{"x,s=c2FsdA==,i=4095", false},
		{"x,s=c2FsdA==,i=1000001", false},
		{"x,s=c2FsdA==,i=99999999999999", false},
		{"x,s=c2FsdA==,i=-1", false},
		{"x,s=c2FsdA==,i=", false},
		{"x,s=c2FsdA==", false},
		{"", false},
		{"x,s=c2FsdA==,i=1,i=4096", false},
		{"x,s=,i=4096", false},
	};
	char text[400];
	struct exchange x;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct span nonce;
		enum sasl_result result;

		begin(&x, SASL_CLIENT_SCRAM_SHA_256, "user", "secret");
		ck_assert_int_eq(step(&x, span_of("")), SASL_MORE);
		nonce = span_skip(buf_span(&x.ours), strlen("n,,n=user,r="));
		snprintf(text, sizeof(text), "r=%.*s%s", SPAN_ARG(nonce), rows[i].rest);
		result = step(&x, span_of(text));
		ck_assert_msg((result == SASL_MORE) == rows[i].good, "row %zu: %d", i, (int)result);
		end(&x);
	}
	begin(&x, SASL_CLIENT_SCRAM_SHA_256, "user", "secret");
	ck_assert_int_eq(step(&x, span_of("")), SASL_MORE);
	ck_assert_int_ne(step(&x, span_of("r=another,s=c2FsdA==,i=4096")), SASL_MORE);
	end(&x);
}
END_TEST

START_TEST(with_our_own_server)
{
	static const enum sasl_client_mechanism ones[] = {SASL_CLIENT_PLAIN, SASL_CLIENT_LOGIN,
							  SASL_CLIENT_CRAM_MD5};

	for (size_t i = 0; i < COUNT(ones) * 2; i++) {
		const char *secret = i % 2 == 0 ? "secret" : "wrong";
		struct exchange x;
		enum sasl_result result = SASL_MORE;

		begin(&x, ones[i / 2], "user", secret);
		if (!sasl_client_is_first(x.client))
			result = sasl_step(x.server, span_of(""), &x.theirs);
		while (result == SASL_MORE) {
			ck_assert(!sasl_client_is_complete(x.client));
			ck_assert_int_le(step(&x, buf_span(&x.theirs)), SASL_DONE);
			result = sasl_step(x.server, buf_span(&x.ours), &x.theirs);
		}
		ck_assert_int_eq(result, i % 2 == 0 ? SASL_DONE : SASL_REFUSED);
		ck_assert(sasl_client_is_complete(x.client));
		end(&x);
	}
}
END_TEST

START_TEST(choice)
{
	static const unsigned scram = SASL_CLIENT_BIT(SASL_CLIENT_SCRAM_SHA_256),
			      plain_ = SASL_CLIENT_BIT(SASL_CLIENT_PLAIN),
			      login = SASL_CLIENT_BIT(SASL_CLIENT_LOGIN),
			      cram = SASL_CLIENT_BIT(SASL_CLIENT_CRAM_MD5),
			      token = SASL_CLIENT_BIT(SASL_CLIENT_XOAUTH2);
	const struct {
		unsigned offered;
		int secured, open; /* -1: none */
	} rows[] = {
		{scram | plain_ | login | cram | token, SASL_CLIENT_SCRAM_SHA_256,
		 SASL_CLIENT_SCRAM_SHA_256},
		{plain_ | login | cram, SASL_CLIENT_PLAIN, SASL_CLIENT_CRAM_MD5},
		{login | cram, SASL_CLIENT_LOGIN, SASL_CLIENT_CRAM_MD5},
		{login | plain_, SASL_CLIENT_PLAIN, SASL_CLIENT_PLAIN},
		{token, -1, -1},
		{0, -1, -1},
	};
	enum sasl_client_mechanism found;

	for (size_t i = 0; i < COUNT(rows); i++) {
		bool any = sasl_client_choose(rows[i].offered, true, &found);

		ck_assert_int_eq(any ? (int)found : -1, rows[i].secured);
		any = sasl_client_choose(rows[i].offered, false, &found);
		ck_assert_int_eq(any ? (int)found : -1, rows[i].open);
	}
	for (unsigned i = 0; i < SASL_CLIENT_MECHANISMS; i++) {
		ck_assert(sasl_client_find(span_of(sasl_client_name(i)), &found));
		ck_assert_uint_eq(found, i);
	}
	ck_assert(!sasl_client_find(span_of("SCRAM-SHA-256-PLUS"), &found));
}
END_TEST

UNIT_MAIN("wire/sasl_client", plain_login_cram_md5, xoauth2, scram_sha_256, scram_demands,
	  with_our_own_server, choice)
