/* tests relay/deliver/hop_certificate.c, by next hops that show what will not do, and files that
 * won't */
#include <config.h> /* gmtime_r */

#include "relay/deliver/hop_certificate.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/deliver/dialer.h"
#include "tests/unit/unit.h"

/* --- S234: certificates that will not do ------------------------------------------------ */

struct row {
	struct request request;
	const char *host; /* of the route */
	const char *why;  /* NULL: good */
	bool by_itself;	  /* not signed by the signer we trust */
};

static const char *utc_date(int days, char text_out[16])
{
	time_t at = time(NULL) + (time_t)days * 86400;
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(text_out, 16, "%Y-%m-%d", &tm);
	return text_out;
}

/* With verification it is refused for this reason; without it is used, and the reason recorded. */
static void check_row(const struct row *row)
{
	struct request request = row->request;
	struct dialer r;

	dialer_init(&r);
	if (!row->by_itself)
		request.signer = &r.ca;
	dialer_serve(&r, &request, row->host, NULL, 0, DIALER_OFFERS);
	dialer_dial_anew(&r);
	dialer_expect(&r, row->why == NULL, row->why != NULL ? row->why : "verified");
	ck_assert_msg(strstr(r.facts, "not verified") == NULL, "%s", r.facts);
	ck_assert(!nexthop_saw(r.hop, "MAIL"));
	if (row->why != NULL) {
		ck_assert(strncmp(r.why, row->host, strlen(row->host)) == 0);
		r.route.tls_verify = false;
		dialer_dial_anew(&r);
		dialer_expect(&r, true, "not verified: ");
		dialer_expect(&r, true, row->why);
		r.route.tls = ROUTE_TLS_OPPORTUNISTIC;
		r.route.tls_verify = true;
		dialer_dial_anew(&r);
		dialer_expect(&r, true, row->why);
	}
	dialer_end(&r);
}

START_TEST(s234_certificates_that_will_not_do)
{
	char expired[64], early[64], date[16];
	const struct row rows[] = {
		{{.names = "DNS:localhost"}, "localhost", NULL},
		{{.names = "DNS:a.test,DNS:localhost,IP:127.0.0.1"}, "localhost", NULL},
		{{.names = "DNS:LOCALHOST"}, "localhost", NULL},
		{{.names = "IP:127.0.0.1"}, "127.0.0.1", NULL},
		{{.names = "DNS:localhost", .from_days = -30, .to_days = -2}, "localhost", expired},
		{{.names = "DNS:localhost", .from_days = 3, .to_days = 30}, "localhost", early},
		{{.names = "DNS:localhost"},
		 "localhost",
		 "the certificate is self-signed and not trusted here",
		 true},
		{{.names = "DNS:other.test,DNS:b.test"},
		 "localhost",
		 "the certificate is for other.test, b.test, not for localhost"},
		{{.names = "IP:127.0.0.1,IP:::1"},
		 "localhost",
		 "the certificate is for 127.0.0.1, ::1, not for localhost"},
		{{.names = "DNS:localhost"},
		 "127.0.0.1",
		 "the certificate is for localhost, not for 127.0.0.1"},
		{{.name = "localhost"}, "localhost", "the certificate names no host"},
		{{.names = "DNS:local*"}, "localhost", "the certificate is for local*, not for"},
		{{.names = "DNS:*"}, "localhost", "the certificate is for *, not for"},
		{{.names = "DNS:localhost", .rsa_bits = 1024},
		 "localhost",
		 "the certificate has a key of 1024 bits, which is too small"},
		{{.names = "DNS:localhost", .digest = EVP_sha1()},
		 "localhost",
		 "the certificate is signed with ecdsa-with-SHA1, which is too weak"},
		{{.names = "DNS:localhost", .usage = "clientAuth"},
		 "localhost",
		 "the certificate is not meant for servers"},
		{{.names = "DNS:a2345678901234567890123456789012345678901234567890.test,"
			   "DNS:b2345678901234567890123456789012345678901234567890.test,"
			   "DNS:c2345678901234567890123456789012345678901234567890.test"},
		 "localhost",
		 "567890.test and 2 more, not for localhost"},
	};

	snprintf(expired, sizeof(expired), "the certificate expired on %s", utc_date(-2, date));
	snprintf(early, sizeof(early), "the certificate is not valid before ");
	for (size_t i = 0; i < DIALER_COUNT(rows); i++) {
		struct row row = rows[i];

		if (row.request.name == NULL)
			row.request.name = "next hop";
		check_row(&row);
	}
}
END_TEST

/* Signed by somebody else; by somebody whom a trusted one signed, who is not shown; by an expired
 * one. */
START_TEST(s234_signers_that_will_not_do)
{
	static const char *const want[] = {
		"the certificate is signed by nobody we trust (issuer CN=Other CA)",
		"the certificate is signed by nobody we trust (issuer CN=In between)",
		"the certificate of its signer CN=Our CA expired on ",
	};

	for (size_t i = 0; i < DIALER_COUNT(want); i++) {
		struct request request = {.name = "x", .names = "DNS:localhost"};
		struct issued signer = {NULL, NULL};
		struct dialer r;

		dialer_init(&r);
		request.signer = i < 2 ? &signer : &r.ca;
		if (i == 0)
			authority_issue(&(struct request){.name = "Other CA", .signs = true},
					&signer);
		else if (i == 1)
			authority_issue(&(struct request){.name = "In between",
							  .signs = true,
							  .signer = &r.ca},
					&signer);
		else {
			authority_release(&r.ca);
			authority_issue(&(struct request){.name = "Our CA",
							  .signs = true,
							  .from_days = -9,
							  .to_days = -3},
					&r.ca);
			authority_write(&r.ca, r.ca_file, NULL);
		}
		dialer_serve(&r, &request, "localhost", NULL, 0, DIALER_OFFERS);
		dialer_dial_anew(&r);
		dialer_expect(&r, false, want[i]);
		if (i == 1) { /* shown now */
			SSL_CTX_add1_chain_cert(r.server, signer.x509);
			dialer_dial_anew(&r);
			dialer_expect(&r, true, "verified");
		}
		dialer_end(&r);
		authority_release(&signer);
	}
}
END_TEST

/* With tls_crl: in a list, in none of a list in force, of an expired list, and without a list. */
START_TEST(s234_revoked_certificates)
{
	static const struct {
		bool own, revoked;
		int days;
		const char *why;
	} rows[] = {
		{true, true, 2, "the certificate was revoked"},
		{true, false, 2, NULL},
		{true, false, -2,
		 "the revocation list of the certificate's signer has expired (issuer CN=Our CA)"},
		{false, false, 2,
		 "tls_crl has no revocation list of the certificate's signer (issuer CN=Our CA)"},
	};

	for (size_t i = 0; i < DIALER_COUNT(rows); i++) {
		struct hop_tls_notes notes;
		struct issued other;
		const char *key;
		struct err why;
		struct dialer r;

		dialer_init(&r);
		dialer_start(&r, NULL, 0, DIALER_OFFERS);
		authority_issue(&(struct request){.name = "Other CA", .signs = true}, &other);
		authority_revoke(rows[i].own ? &r.ca : &other, rows[i].revoked ? &r.shown : NULL,
				 rows[i].days, r.key_file);
		r.route.tls_crl = r.key_file;
		ck_assert_int_eq(hop_tls_new(&r.route, &r.tls, &notes, &key, &why), ERR_OK);
		ck_assert(notes.crl_expired == (rows[i].days < 0));
		dialer_dial(&r);
		dialer_expect(&r, rows[i].why == NULL,
			      rows[i].why != NULL ? rows[i].why : "verified");
		dialer_end(&r);
		authority_release(&other);
	}
}
END_TEST

/* What a certificate says of its signer is for people to read, not for their terminals. */
START_TEST(names_in_certificates_are_made_harmless)
{
	struct issued signer;
	struct dialer r;

	dialer_init(&r);
	authority_issue(&(struct request){.name = "Ev\x1b[31mil\r\n\xc3\xa9", .signs = true},
			&signer);
	dialer_serve(&r,
		     &(struct request){.signer = &signer, .name = "x", .names = "DNS:localhost"},
		     "localhost", NULL, 0, DIALER_OFFERS);
	dialer_dial_anew(&r);
	dialer_expect(&r, false, "signed by nobody we trust (issuer CN=Ev");
	for (const char *at = r.why; *at != '\0'; at++)
		ck_assert_msg(*at >= ' ' && *at < 0x7f, "%s", r.why);
	dialer_end(&r);
	authority_release(&signer);
}
END_TEST

/* --- pins ---------------------------------------------------------------------------------- */

/* Verified: any key of the chain. Not verified: the next hop's own only, since only that one is
 * proved. */
START_TEST(pinned_keys)
{
	static const struct {
		bool verify, trusted;
		int pin; /* 0: the next hop's, 1: its signer's, 2: another one */
		const char *facts, *why;
	} rows[] = {
		{true, true, 0, ", verified, pinned", NULL},
		{true, true, 1, ", verified, pinned", NULL},
		{true, true, 2, NULL, "the certificate's key is not pinned (tls_pin); its pin is "},
		{true, false, 0, NULL, "signed by nobody we trust"},
		{false, false, 0, ", pinned, not verified: the certificate is signed by", NULL},
		{false, false, 1, NULL, "is not pinned (tls_pin); its pin is "},
		{false, false, 2, NULL, "is not pinned (tls_pin); its pin is "},
		{false, true, 1, NULL, "is not pinned (tls_pin); its pin is "},
		{false, true, 0, ", verified, pinned", NULL},
	};

	for (size_t i = 0; i < DIALER_COUNT(rows); i++) {
		static const char *const wrong = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
		char pins[2][64], own[64];
		const char *list[2] = {wrong, wrong};
		struct issued other;
		struct request request = {.name = "x", .names = "DNS:localhost"};
		struct dialer r;

		dialer_init(&r);
		authority_issue(&(struct request){.name = "Other CA", .signs = true}, &other);
		request.signer = rows[i].trusted ? &r.ca : &other;
		dialer_serve(&r, &request, "localhost", NULL, 0, DIALER_OFFERS);
		SSL_CTX_add1_chain_cert(r.server, request.signer->x509);
		authority_pin(&r.shown, pins[0]);
		authority_pin(request.signer, pins[1]);
		snprintf(own, sizeof(own), "its pin is %.44s", pins[0]);
		if (rows[i].pin < 2)
			list[1] = pins[rows[i].pin];
		r.route.tls_verify = rows[i].verify;
		r.route.tls_pins = list;
		r.route.tls_pin_count = 2;
		dialer_dial_anew(&r);
		dialer_expect(&r, rows[i].why == NULL,
			      rows[i].why != NULL ? rows[i].why : rows[i].facts);
		if (rows[i].why != NULL && strstr(rows[i].why, "pin is") != NULL)
			dialer_expect(&r, false, own);
		dialer_end(&r);
		authority_release(&other);
	}
}
END_TEST

/* --- files: S238
 * ------------------------------------------------------------------------------------- */

static void put(const char *file, const char *text, mode_t mode)
{
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
	ck_assert_int_eq(chmod(file, mode), 0);
}

static void expect_bad(struct dialer *r, const char *want_key, const char *words)
{
	struct hop_tls *tls = NULL;
	struct hop_tls_notes notes;
	const char *key;
	struct err why;

	ck_assert_int_lt(hop_tls_new(&r->route, &tls, &notes, &key, &why), 0);
	ck_assert_ptr_null(tls);
	ck_assert_str_eq(key, want_key);
	ck_assert_msg(strstr(why.text, words) != NULL, "\"%s\" is not in \"%s\"", words, why.text);
}

START_TEST(s238_files_that_will_not_do)
{
	struct issued ours, other;
	struct dialer r;

	dialer_init(&r);
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	put(r.ca_file, "", 0600);
	expect_bad(&r, "tls_ca", "no certificates to trust in it");
	put(r.ca_file, "garbage\n", 0600);
	expect_bad(&r, "tls_ca", "no certificates to trust in it");
	put(r.ca_file, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0600);
	expect_bad(&r, "tls_ca", "a certificate in it is broken");
	unlink(r.ca_file);
	expect_bad(&r, "tls_ca", "No such file");
	authority_write(&r.ca, r.ca_file, NULL);
	if (geteuid() != 0) { /* who may read everything */
		ck_assert_int_eq(chmod(r.ca_file, 0), 0);
		expect_bad(&r, "tls_ca", "Permission denied");
		ck_assert_int_eq(chmod(r.ca_file, 0600), 0);
	}
	r.route.tls_crl = r.ca_file;
	expect_bad(&r, "tls_crl", "no revocation list in it");
	r.route.tls_crl = "/nonexistent.pem";
	expect_bad(&r, "tls_crl", "No such file");
	r.route.tls_crl = NULL;
	authority_issue(&(struct request){.name = "us"}, &ours);
	authority_issue(&(struct request){.name = "other"}, &other);
	authority_write(&ours, r.crt_file, NULL);
	authority_write(&other, NULL, r.key_file);
	r.route.tls_certificate = r.crt_file;
	r.route.tls_key = r.key_file;
	expect_bad(&r, "tls_certificate", "the key belongs to another certificate");
	authority_write(&ours, NULL, r.key_file);
	ck_assert_int_eq(chmod(r.key_file, 0604), 0);
	expect_bad(&r, "tls_certificate", "everybody on this machine can read the private key");
	ck_assert_int_eq(chmod(r.key_file, 0600), 0);
	dialer_dial_anew(&r);
	dialer_expect(&r, true, "verified");
	dialer_end(&r);
	authority_release(&ours);
	authority_release(&other);
}
END_TEST

/* A folder needs no hashed names; what holds no certificate does not matter there. */
START_TEST(authorities_in_a_folder)
{
	char path[128];
	struct dialer r;

	dialer_init(&r);
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	r.route.tls_ca = r.folder;
	snprintf(path, sizeof(path), "%s/README", r.folder);
	put(path, "nothing\n", 0600);
	dialer_dial_anew(&r);
	dialer_expect(&r, true, "verified");
	unlink(r.ca_file);
	expect_bad(&r, "tls_ca", "no certificates to trust in it");
	dialer_end(&r);
}
END_TEST

/* A next hop's own certificate may be trusted as it is, signed by whomever. */
START_TEST(a_certificate_may_be_trusted_itself)
{
	struct dialer r;

	dialer_init(&r);
	dialer_start(&r, NULL, 0, DIALER_OFFERS);
	authority_write(&r.shown, r.ca_file, NULL);
	dialer_dial_anew(&r);
	dialer_expect(&r, true, "verified");
	dialer_end(&r);
}
END_TEST

UNIT_MAIN("deliver/hop_certificate", s234_certificates_that_will_not_do,
	  s234_signers_that_will_not_do, s234_revoked_certificates,
	  names_in_certificates_are_made_harmless, pinned_keys, s238_files_that_will_not_do,
	  authorities_in_a_folder, a_certificate_may_be_trusted_itself)
