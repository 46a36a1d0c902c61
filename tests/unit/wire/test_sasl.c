/* tests relay/wire/sasl.c: a server of ours against bytes, and against GNU SASL's own client */
#include "relay/wire/sasl.h"

#include <gsasl.h>

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* One user, "user" with "secret"; the certificate says "cert". */
struct oracle {
	unsigned checks;
	bool any;
};

static bool check(void *ctx, struct span name, struct span password)
{
	struct oracle *oracle = ctx;

	oracle->checks++;
	return oracle->any || (span_is(name, "user") && span_is(password, "secret"));
}

static void scram_salt(void *ctx, struct span name, struct sasl_scram *scram_out)
{
	scram_out->iterations = 4096;
	scram_out->salt_len = 4;
	memcpy(scram_out->salt, "salt", 4);
}

static void scram_keys(void *ctx, struct span name, struct sasl_scram *scram)
{
	sasl_scram_derive(scram, span_is(name, "user") ? span_of("secret") : span_of("another"));
}

static bool password(void *ctx, struct span name, struct buf *password_out)
{
	return span_is(name, "user") && buf_append_text(password_out, "secret") == ERR_OK;
}

static bool external(void *ctx, struct span name, struct buf *name_out)
{
	return (name.len == 0 || span_is(name, "cert")) &&
	       buf_append_text(name_out, "cert") == ERR_OK;
}

static const struct sasl_server_ops ops = {.check = check,
					   .scram_salt = scram_salt,
					   .scram_keys = scram_keys,
					   .password = password,
					   .external = external};

struct exchange {
	struct sasl_library *library;
	struct sasl *sasl;
	struct buf output;
	struct oracle oracle;
};

static void begin(struct exchange *exchange, enum sasl_mechanism mechanism)
{
	memset(exchange, 0, sizeof(*exchange));
	exchange->library = sasl_library_new();
	exchange->sasl = sasl_server_new(exchange->library, mechanism, &ops, &exchange->oracle);
	buf_init(&exchange->output, 65536);
}

static void end(struct exchange *exchange)
{
	sasl_free(&exchange->sasl);
	sasl_library_free(&exchange->library);
	buf_release(&exchange->output);
}

static enum sasl_result step(struct exchange *exchange, struct span input)
{
	unsigned checks = exchange->oracle.checks;
	bool slow = sasl_is_slow(exchange->sasl);
	enum sasl_result result = sasl_step(exchange->sasl, input, &exchange->output);

	/* No hash in a step that said it needs none. */
	ck_assert(slow || exchange->oracle.checks == checks);
	return result;
}

/* S061 */
START_TEST(plain)
{
	static char long_name[70000];
	static const struct {
		struct span response;
		enum sasl_result want;
	} rows[] = {
		{B("\0user\0secret"), SASL_DONE},
		{B("user\0user\0secret"), SASL_DONE},
		{B("other\0user\0secret"), SASL_REFUSED},
		{B("user\0other\0secret"), SASL_REFUSED},
		{B("\0user\0wrong"), SASL_REFUSED},
		{B("\0user\0"), SASL_REFUSED},
		{B("\0\0secret"), SASL_REFUSED},
		{B("\0\0"), SASL_REFUSED},
		{B("\0User\0secret"), SASL_REFUSED},
		{B("\0user \0secret"), SASL_REFUSED},
		{B(""), SASL_MALFORMED},
		{B("user"), SASL_MALFORMED},
		{B("\0user"), SASL_MALFORMED},
		{B("user\0secret"), SASL_MALFORMED},
		{B("\0user\0secret\0"), SASL_MALFORMED},
		{B("\0user\0secret\0x"), SASL_MALFORMED},
		{B("\0user\0sec\xffret"), SASL_REFUSED},
		{B("\0us\xff\0secret"), SASL_REFUSED},
		{B("\0us\x1b[2Jer\0secret"), SASL_REFUSED},
		{B("\0user\0secret\n"), SASL_REFUSED},
	};
	struct exchange exchange;

	for (size_t i = 0; i < COUNT(rows); i++) {
		enum sasl_result result;

		begin(&exchange, SASL_PLAIN);
		result = step(&exchange, rows[i].response);
		ck_assert_msg(result == rows[i].want, "row %zu: %d", i, (int)result);
		if (result == SASL_DONE)
			ck_assert_str_eq(sasl_user(exchange.sasl), "user");
		end(&exchange);
	}
	/* No name is cut: the first 255 octets of a longer one are somebody else. */
	for (size_t len = 254; len < 70000; len = len < 257 ? len + 1 : len + 23000) {
		memset(long_name, 'u', sizeof(long_name));
		long_name[0] = '\0';
		memcpy(long_name + 1 + len, "\0x", 2);
		begin(&exchange, SASL_PLAIN);
		exchange.oracle.any = true;
		ck_assert_int_eq(step(&exchange, span_make(long_name, len + 3)),
				 len <= 255 ? SASL_DONE : SASL_REFUSED);
		if (len <= 255)
			ck_assert_uint_eq(strlen(sasl_user(exchange.sasl)), len);
		end(&exchange);
	}
}
END_TEST

/* An empty response must not bring a later one past sasl_is_slow(). */
START_TEST(empty_first)
{
	struct exchange exchange;

	begin(&exchange, SASL_PLAIN);
	ck_assert_int_eq(step(&exchange, span_of("")), SASL_MALFORMED);
	(void)step(&exchange, span_make("\0user\0secret", 12));
	end(&exchange);
	begin(&exchange, SASL_SCRAM_SHA_256);
	ck_assert_int_eq(step(&exchange, span_of("")), SASL_MALFORMED);
	end(&exchange);
}
END_TEST

START_TEST(login)
{
	struct exchange exchange;

	for (int initial = 0; initial < 2; initial++) {
		begin(&exchange, SASL_LOGIN);
		ck_assert_str_eq(sasl_claim(exchange.sasl), "");
		if (!initial) {
			ck_assert_int_eq(step(&exchange, span_of("")), SASL_MORE);
			ck_assert(span_is(buf_span(&exchange.output), "Username:"));
		}
		ck_assert_int_eq(step(&exchange, span_of("user")), SASL_MORE);
		ck_assert(span_is(buf_span(&exchange.output), "Password:"));
		ck_assert(sasl_is_slow(exchange.sasl));
		ck_assert_int_eq(step(&exchange, span_of("secret")), SASL_DONE);
		ck_assert_str_eq(sasl_user(exchange.sasl), "user");
		ck_assert_uint_eq(exchange.output.len, 0);
		end(&exchange);
	}
	begin(&exchange, SASL_LOGIN);
	ck_assert_int_eq(step(&exchange, span_of("user")), SASL_MORE);
	ck_assert_int_eq(step(&exchange, span_of("wrong")), SASL_REFUSED);
	ck_assert_str_eq(sasl_claim(exchange.sasl), "user");
	end(&exchange);
	begin(&exchange, SASL_LOGIN);
	ck_assert_int_ne(step(&exchange, span_make("us\0er", 5)), SASL_MORE);
	end(&exchange);
	begin(&exchange, SASL_LOGIN);
	ck_assert_int_eq(step(&exchange, span_of("user")), SASL_MORE);
	ck_assert_int_ne(step(&exchange, span_make("secret\0x", 8)), SASL_DONE);
	end(&exchange);
}
END_TEST

START_TEST(external_name)
{
	static const struct {
		struct span response;
		enum sasl_result want;
	} rows[] = {
		{B(""), SASL_DONE},
		{B("cert"), SASL_DONE},
		{B("root"), SASL_REFUSED},
		{B("cert\0x"), SASL_MALFORMED},
	};
	struct exchange exchange;

	for (size_t i = 0; i < COUNT(rows); i++) {
		begin(&exchange, SASL_EXTERNAL);
		ck_assert_msg(step(&exchange, rows[i].response) == rows[i].want, "row %zu", i);
		if (rows[i].want == SASL_DONE)
			ck_assert_str_eq(sasl_user(exchange.sasl), "cert");
		end(&exchange);
	}
}
END_TEST

/* Both ends until one of them stops: what our end says. */
static enum sasl_result against_client(struct exchange *exchange, const char *mechanism,
				       const char *name, const char *secret, const char *authzid)
{
	enum sasl_result result = SASL_MORE;
	Gsasl_session *client;
	struct span input = span_of("");
	char *answer = NULL;
	size_t len = 0;
	Gsasl *library;
	int code;

	ck_assert_int_eq(gsasl_init(&library), GSASL_OK);
	ck_assert_int_eq(gsasl_client_start(library, mechanism, &client), GSASL_OK);
	gsasl_property_set(client, GSASL_AUTHID, name);
	gsasl_property_set(client, GSASL_PASSWORD, secret);
	if (authzid != NULL)
		gsasl_property_set(client, GSASL_AUTHZID, authzid);
	if (strcmp(mechanism, "CRAM-MD5") == 0) {
		ck_assert_int_eq(step(exchange, span_of("")), SASL_MORE);
		input = buf_span(&exchange->output);
	}
	do {
		code = gsasl_step(client, input.len > 0 ? input.data : "", input.len, &answer,
				  &len);
		ck_assert(code == GSASL_OK || code == GSASL_NEEDS_MORE);
		if (result == SASL_MORE)
			result = step(exchange, span_make(answer, len));
		input = buf_span(&exchange->output);
		gsasl_free(answer);
	} while (code == GSASL_NEEDS_MORE && (result == SASL_MORE || result == SASL_DONE));
	gsasl_finish(client);
	gsasl_done(library);
	return result;
}

START_TEST(clients)
{
	static const struct {
		const char *name;
		const char *secret;
		const char *authzid;
		enum sasl_result want;
	} rows[] = {
		{"user", "secret", NULL, SASL_DONE},	  {"user", "wrong", NULL, SASL_REFUSED},
		{"nobody", "secret", NULL, SASL_REFUSED}, {"user", "secret", "user", SASL_DONE},
		{"user", "secret", "root", SASL_REFUSED}, {"us,er=", "another", NULL, SASL_DONE},
	};
	struct exchange exchange;

	for (size_t i = 0; i < COUNT(rows); i++) {
		begin(&exchange, SASL_SCRAM_SHA_256);
		ck_assert_msg(against_client(&exchange, "SCRAM-SHA-256", rows[i].name,
					     rows[i].secret, rows[i].authzid) == rows[i].want,
			      "row %zu", i);
		if (rows[i].want == SASL_DONE) {
			/* The server's proof: without it the client has no reason to believe. */
			ck_assert(span_starts_fold(buf_span(&exchange.output), "v="));
			ck_assert_str_eq(sasl_user(exchange.sasl), rows[i].name);
		}
		end(&exchange);
		if (rows[i].authzid != NULL || strcmp(rows[i].name, "us,er=") == 0)
			continue;
		begin(&exchange, SASL_CRAM_MD5);
		ck_assert_msg(against_client(&exchange, "CRAM-MD5", rows[i].name, rows[i].secret,
					     NULL) == rows[i].want,
			      "row %zu", i);
		if (rows[i].want == SASL_DONE)
			ck_assert_str_eq(sasl_user(exchange.sasl), "user");
		end(&exchange);
	}
}
END_TEST

/* Channel binding is not offered: a client that wants it, or noticed it missing, is answered. */
START_TEST(scram_first_messages)
{
	static const struct {
		struct span response;
		enum sasl_result want;
	} rows[] = {
		{B("n,,n=user,r=abc"), SASL_MORE},
		{B("y,,n=user,r=abc"), SASL_MORE},
		{B("p=tls-exporter,,n=user,r=abc"), SASL_MALFORMED},
		{B("n,,n=user"), SASL_MALFORMED},
		{B("n,,n=,r=abc"), SASL_MALFORMED},
		{B("garbage"), SASL_MALFORMED},
		{B("n,,n=us\x01"
		   "er,r=abc"),
		 SASL_REFUSED},
	};
	struct exchange exchange;

	for (size_t i = 0; i < COUNT(rows); i++) {
		enum sasl_result result;

		begin(&exchange, SASL_SCRAM_SHA_256);
		result = step(&exchange, rows[i].response);
		ck_assert_msg(result == rows[i].want ||
				      (result != SASL_MORE && rows[i].want != SASL_MORE),
			      "row %zu: %d", i, (int)result);
		end(&exchange);
	}
}
END_TEST

/* RFC 7677 3: user "user", password "pencil". */
START_TEST(scram_derive)
{
	static const unsigned char salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
					     0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
	struct sasl_scram scram = {.iterations = 4096, .salt_len = sizeof(salt)};
	static const unsigned char stored[4] = {0x58, 0x6e, 0x5d, 0xf2};

	memcpy(scram.salt, salt, sizeof(salt));
	sasl_scram_derive(&scram, span_of("pencil"));
	ck_assert_mem_eq(scram.stored_key, stored, 4);
}
END_TEST

START_TEST(names)
{
	static const struct {
		struct span name;
		bool want;
	} rows[] = {
		{B("a"), true},
		{B("a b"), true},
		{B("j\xc3\xb6rg@x"), true},
		{B(""), false},
		{B("a\0b"), false},
		{B("a\nb"), false},
		{B("a\x7f"), false},
		{B("\xc2\x9b"
		   "2J"),
		 false},
		{B("\xc2\xa0x"), true},
		{B("\xff"), false},
		{B("a\tb"), false},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		ck_assert_msg(sasl_is_name(rows[i].name) == rows[i].want, "row %zu", i);
}
END_TEST

START_TEST(preparing)
{
	static const struct {
		struct span password;
		const char *want; /* NULL: refused */
	} rows[] = {
		{B("secret"), "secret"},
		{B("I\xc2\xadX"), "IX"}, /* RFC 4013 3 */
		{B("a\xc2\xa0"
		   "b"),
		 "a b"},
		{B("\xe2\x85\xa8"), "IX"},
		{B(""), NULL},
		{B("\xc2\xad"), NULL},
		{B("\x07"), NULL},
		{B("a\0b"), NULL},
		{B("\xff"), NULL},
	};
	struct buf out;
	struct err why;

	for (size_t i = 0; i < COUNT(rows); i++) {
		int code;

		buf_init(&out, 100);
		code = sasl_prepare(rows[i].password, &out, &why);
		ck_assert_msg((code == ERR_OK) == (rows[i].want != NULL), "row %zu", i);
		if (rows[i].want != NULL)
			ck_assert(span_is(buf_span(&out), rows[i].want));
		buf_release(&out);
	}
}
END_TEST

START_TEST(mechanism_names)
{
	enum sasl_mechanism found;

	for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
		ck_assert(sasl_mechanism_find(span_of(sasl_mechanism_name(i)), &found));
		ck_assert_uint_eq(found, i);
	}
	ck_assert(sasl_mechanism_find(span_of("plain"), &found));
	ck_assert_int_eq(found, SASL_PLAIN);
	ck_assert(!sasl_mechanism_find(span_of("SCRAM-SHA-256-PLUS"), &found));
	ck_assert(!sasl_mechanism_find(span_of(""), &found));
}
END_TEST

UNIT_MAIN("wire/sasl", plain, empty_first, login, external_name, clients, scram_first_messages,
	  scram_derive, names, preparing, mechanism_names)
