/* tests relay/loop/credential.c and credential_make.c (CASES S069) */
#include <config.h>

#include "relay/loop/credential.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/loop/certificate.h"
#include "tests/unit/unit.h"

#define DAY_MS ((int64_t)86400000)

static char folder[64];

static const char *path(const char *name)
{
	static char paths[8][128];
	static size_t next;
	char *text = paths[next++ % 8];

	snprintf(text, sizeof(paths[0]), "%s/%s", folder, name);
	return text;
}

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(path(name), "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void make(const char *names, const char *key_type, long seconds, const char *certificate,
		 const char *key)
{
	struct certificate made;

	certificate_make_with(&made, names, key_type, seconds);
	certificate_write(&made, path(certificate), key != NULL ? path(key) : NULL);
	certificate_release(&made);
}

static void set_up(void)
{
	snprintf(folder, sizeof(folder), "/tmp/stagepost-credential-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	make("a.test", "EC", 3600, "a.crt", "a.key");
	make("b.test", "EC", 3600, "b.crt", "b.key");
	make("both.test", "EC", 3600, "both.pem", "both.pem");
	make("old.test", "EC", -60, "old.crt", "old.key");
	write_text("empty", "");
	write_text("text", "-----BEGIN NONSENSE-----\nabc\n");
	write_text("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
}

static void tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

/* S069: the sentence names the file at fault. */
START_TEST(s069_bad_pairs_are_refused)
{
	static const struct {
		const char *certificate;
		const char *key;
		int code;
		const char *file;
		const char *sentence;
	} rows[] = {
		{"none.crt", "a.key", ERR_NOT_FOUND, "none.crt",
		 "can't be read: No such file or directory"},
		{"a.crt", "none.key", ERR_NOT_FOUND, "none.key",
		 "can't be read: No such file or directory"},
		{"a.crt", "b.key", ERR_SYNTAX, "b.key",
		 "the key belongs to another certificate (key values mismatch)"},
		{"old.crt", "old.key", ERR_SYNTAX, "old.crt", "the certificate has expired"},
		{"a.crt", NULL, ERR_SYNTAX, "a.crt", "no private key without a passphrase in it"},
		{"a.crt", "empty", ERR_SYNTAX, "empty",
		 "no private key without a passphrase in it"},
		{"empty", "a.key", ERR_SYNTAX, "empty", "no certificate in it"},
		{"text", "a.key", ERR_SYNTAX, "text", "no certificate in it"},
		{"broken", "a.key", ERR_SYNTAX, "broken", "no certificate in it"},
		{"", "a.key", ERR_SYNTAX, "", "no certificate in it"},
	};

	set_up();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct credential *credential = NULL;
		char want[300];
		struct err why;

		ck_assert_int_eq(credential_load(path(rows[i].certificate),
						 rows[i].key != NULL ? path(rows[i].key) : NULL,
						 &credential, &why),
				 rows[i].code);
		ck_assert_ptr_null(credential);
		snprintf(want, sizeof(want), "%s: %s", path(rows[i].file), rows[i].sentence);
		ck_assert_msg(strncmp(why.text, want, strlen(want)) == 0, "%s, not %s", why.text,
			      want);
	}
	tear_down();
}
END_TEST

START_TEST(good_pairs_are_taken)
{
	static const char *const rows[][2] = {{"a.crt", "a.key"}, {"both.pem", ""}};

	set_up();
	for (size_t i = 0; i < 2; i++) {
		struct credential *credential;
		SSL_CTX *context = SSL_CTX_new(TLS_server_method());
		struct err why;

		ck_assert_msg(credential_load(path(rows[i][0]),
					      rows[i][1][0] != '\0' ? path(rows[i][1]) : "",
					      &credential, &why) == ERR_OK,
			      "%s", why.text);
		ck_assert_int_eq(credential_use(credential, context, &why), ERR_OK);
		ck_assert_int_eq(SSL_CTX_check_private_key(context), 1);
		ck_assert_int_lt(
			llabs(credential_expires_at(credential) - clock_wall_ms() - 3600 * 1000),
			10000);
		credential_free(&credential);
		ck_assert_ptr_null(credential);
		SSL_CTX_free(context);
	}
	tear_down();
}
END_TEST

/* A key of a certificate that was cut while it was copied must not go unnoticed. */
START_TEST(a_broken_chain_is_refused)
{
	struct credential *credential;
	struct err why;
	FILE *file;

	set_up();
	file = fopen(path("both.pem"), "a");
	fputs("-----BEGIN CERTIFICATE-----\nMIIB\n", file);
	fclose(file);
	ck_assert_int_eq(credential_load(path("both.pem"), NULL, &credential, &why), ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(why.text, "a certificate of the chain is broken"));
	tear_down();
}
END_TEST

static struct credential *load(const char *certificate, const char *key)
{
	struct credential *credential;
	struct err why;

	ck_assert_msg(credential_load(path(certificate), path(key), &credential, &why) == ERR_OK,
		      "%s", why.text);
	return credential;
}

START_TEST(s069_a_key_that_everybody_reads_is_refused)
{
	struct credential *credential;
	struct err why;

	set_up();
	chmod(path("a.key"), 0640);
	credential = load("a.crt", "a.key");
	credential_free(&credential);
	chmod(path("a.key"), 0644);
	ck_assert_int_eq(credential_load(path("a.crt"), path("a.key"), &credential, &why),
			 ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(why.text, "/a.key: everybody on this machine can read"));
	tear_down();
}
END_TEST

START_TEST(names)
{
	static const struct {
		const char *host;
		bool covered;
	} rows[] = {
		{"mail.test", true}, {"MAIL.test", true},    {"x.in.test", true},
		{"in.test", false},  {"a.b.in.test", false}, {"mail.test.evil", false},
		{"", false},	     {"127.0.0.1", false},
	};
	struct credential *credential;

	set_up();
	make("DNS:mail.test,DNS:*.in.test", "EC", 3600, "n.crt", "n.key");
	credential = load("n.crt", "n.key");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(credential_covers(credential, span_of(rows[i].host)) ==
				      rows[i].covered,
			      "%s", rows[i].host);
	/* A name with a NUL inside is no name. */
	ck_assert(!credential_covers(credential, span_make("mail.test\0.evil", 15)));
	credential_free(&credential);
	tear_down();
}
END_TEST

START_TEST(twins)
{
	static const struct {
		const char *names;
		const char *type;
		bool twin;
	} rows[] = {
		{"DNS:mail.test,DNS:*.in.test", "RSA", true},
		{"DNS:*.in.test,DNS:mail.test", "RSA", true},
		{"DNS:mail.test,DNS:*.in.test", "EC", false},
		{"DNS:mail.test,DNS:x.in.test", "RSA", false},
		{"DNS:mail.test,DNS:*.in.test,DNS:more.test", "RSA", false},
	};
	struct credential *first;

	set_up();
	make("DNS:mail.test,DNS:*.in.test", "EC", 3600, "n.crt", "n.key");
	first = load("n.crt", "n.key");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct credential *other;

		make(rows[i].names, rows[i].type, 3600, "o.crt", "o.key");
		other = load("o.crt", "o.key");
		ck_assert_msg(credential_is_twin(first, other) == rows[i].twin, "row %zu", i);
		ck_assert(credential_is_twin(other, first) == rows[i].twin);
		credential_free(&other);
	}
	credential_free(&first);
	tear_down();
}
END_TEST

START_TEST(a_generated_pair_is_good)
{
	struct credential *credential;
	char again[CREDENTIAL_FINGERPRINT_SIZE];
	char text[CREDENTIAL_FINGERPRINT_SIZE];
	struct stat about;
	struct err why;
	int64_t days;

	set_up();
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(credential_generate(path("g.crt"), path("g.key"), "relay.test",
						  &why) == ERR_OK,
			      "%s", why.text);
		credential = load("g.crt", "g.key");
		ck_assert(credential_covers(credential, span_of("relay.test")));
		ck_assert(credential_covers(credential, span_of("localhost")));
		ck_assert(!credential_covers(credential, span_of("other.test")));
		days = (credential_expires_at(credential) - clock_wall_ms()) / DAY_MS;
		ck_assert_int_ge(days, 3648);
		ck_assert_int_le(days, 3650);
		credential_own_fingerprint(credential, i == 0 ? text : again);
		credential_free(&credential);
	}
	ck_assert_uint_eq(strlen(text), 64);
	ck_assert_str_ne(text, again);
	ck_assert_int_eq(stat(path("g.key"), &about), 0);
	ck_assert_uint_eq(about.st_mode & 0777, 0600);
	ck_assert_int_ne(access(path("g.key.new"), F_OK), 0);
	tear_down();
}
END_TEST

START_TEST(odd_hosts_have_certificates_too)
{
	static const char label[] = "a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.g";
	char longest[254] = "";
	const char *const hosts[] = {"[192.0.2.1]", "[IPv6:2001:db8::1]", longest};
	struct err why;

	set_up();
	while (strlen(longest) + sizeof(label) < sizeof(longest))
		strcat(longest, longest[0] == '\0' ? "x.a23456789" : ".a23456789");
	for (size_t i = 0; i < 3; i++) {
		struct credential *credential;

		ck_assert_msg(credential_generate(path("h.crt"), path("h.key"), hosts[i], &why) ==
				      ERR_OK,
			      "%s", why.text);
		credential = load("h.crt", "h.key");
		ck_assert(credential_covers(credential, span_of("localhost")));
		ck_assert(credential_covers(credential, span_of(hosts[i])) == (i == 2));
		credential_free(&credential);
	}
	ck_assert_int_eq(
		credential_generate("/nonexistent/x.crt", "/nonexistent/x.key", "a.test", &why),
		ERR_IO);
	ck_assert_str_eq(why.text,
			 "/nonexistent/x.key.new: can't be made: No such file or directory");
	tear_down();
}
END_TEST

START_TEST(signers)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	struct err why;

	set_up();
	ck_assert_int_eq(credential_trust(context, path("a.crt"), &why), ERR_OK);
	ck_assert_int_eq(sk_X509_NAME_num(SSL_CTX_get_client_CA_list(context)), 1);
	ck_assert_int_eq(credential_trust(context, path("none"), &why), ERR_NOT_FOUND);
	ck_assert_int_eq(credential_trust(context, path("empty"), &why), ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(why.text, "/empty: no certificates to trust in it"));
	ck_assert_int_eq(credential_trust(context, path("a.key"), &why), ERR_SYNTAX);
	SSL_CTX_free(context);
	tear_down();
}
END_TEST

UNIT_MAIN("loop/credential", s069_bad_pairs_are_refused, good_pairs_are_taken,
	  a_broken_chain_is_refused, s069_a_key_that_everybody_reads_is_refused, names, twins,
	  a_generated_pair_is_good, odd_hosts_have_certificates_too, signers)
