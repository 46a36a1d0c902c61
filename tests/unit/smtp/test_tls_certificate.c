/* tests relay/smtp/tls_server.c: which certificate is shown, and clients' own (CASES 2.C) */
#include <config.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <unistd.h>

#include "relay/loop/credential.h"
#include "tests/unit/loop/certificate.h"
#include "tests/unit/smtp/secure_house.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* The common name of what is shown for `name`; "-": the handshake failed. */
static const char *shown(struct secure_house *secure, const char *name, const char *signature)
{
	static char common[100];
	struct client client;
	X509 *x509;

	client_open(&client, &secure->house.rig);
	SSL_CTX_set1_sigalgs_list(secure->context, signature);
	snprintf(common, sizeof(common), "-");
	if (client_handshake(&client, secure->context, name)) {
		x509 = SSL_get1_peer_certificate(client.tls);
		X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, common,
					  sizeof(common));
		if (EVP_PKEY_get_base_id(X509_get0_pubkey(x509)) == EVP_PKEY_RSA)
			strcat(common, " RSA");
		X509_free(x509);
		client_expect(&client, "220");
	}
	client_close(&client);
	return common;
}

START_TEST(sni_chooses_the_certificate)
{
	static const char any[] = "ECDSA+SHA256:RSA-PSS+SHA256";
	struct certificate_files more[3];
	struct secure_house secure;
	char paths[3][2][128];

	secure_init(&secure, LISTENER_TLS_IMPLICIT);
	secure_write_pair(&secure, "relay.test", "RSA", "0.crt", "0.key");
	secure_write_pair(&secure, "DNS:mail.test,DNS:*.in.test", "EC", "1.crt", "1.key");
	secure_write_pair(&secure, "DNS:only-rsa.test,DNS:x.only-rsa.test", "RSA", "2.crt",
			  "2.key");
	for (int i = 0; i < 3; i++) {
		snprintf(paths[i][0], 128, "%s/%d.crt", secure.folder, i);
		snprintf(paths[i][1], 128, "%s/%d.key", secure.folder, i);
		more[i] = (struct certificate_files){paths[i][0], paths[i][1]};
	}
	secure.house.rig.listener.certificates = more;
	secure.house.rig.listener.certificate_count = 3;
	rig_open(&secure.house.rig);
	ck_assert_str_eq(shown(&secure, NULL, any), "relay.test");
	ck_assert_str_eq(shown(&secure, "relay.test", any), "relay.test");
	ck_assert_str_eq(shown(&secure, "unknown.test", any), "relay.test");
	ck_assert_str_eq(shown(&secure, "MAIL.test", any), "DNS:mail.test");
	ck_assert_str_eq(shown(&secure, "a.in.test", any), "DNS:mail.test");
	ck_assert_str_eq(shown(&secure, "a.b.in.test", any), "relay.test");
	ck_assert_str_eq(shown(&secure, "only-rsa.test", any), "DNS:only-rsa.test RSA");
	/* Two key types for one name: the client's algorithms decide. */
	ck_assert_str_eq(shown(&secure, "relay.test", "RSA-PSS+SHA256"), "relay.test RSA");
	ck_assert_str_eq(shown(&secure, "relay.test", "ECDSA+SHA256"), "relay.test");
	ck_assert_str_eq(shown(&secure, "only-rsa.test", "ECDSA+SHA256"), "-");
	secure_close(&secure);
}
END_TEST

START_TEST(the_self_signed_pair_is_used_where_none_is_named)
{
	struct secure_house secure;
	struct err why;

	secure_init(&secure, LISTENER_TLS_IMPLICIT);
	ck_assert_int_eq(credential_generate(secure.certificate, secure.key, "own.test", &why),
			 ERR_OK);
	secure.house.rig.listener.tls_certificate = "";
	secure.house.rig.listener.tls_key = "";
	secure.house.rig.smtp.self_signed =
		(struct certificate_files){secure.certificate, secure.key};
	rig_open(&secure.house.rig);
	ck_assert_str_eq(shown(&secure, NULL, "ECDSA+SHA256"), "own.test");
	secure_close(&secure);
}
END_TEST

/* S069: the old pair stays in use, and a session in the middle of its handshake goes on. */
START_TEST(s069_a_reload_swaps_or_keeps)
{
	struct secure_house secure;
	struct client early;
	struct err why;

	secure_open(&secure, LISTENER_TLS_IMPLICIT);
	client_open(&early, &secure.house.rig);
	ck_assert_str_eq(shown(&secure, NULL, "ECDSA+SHA256"), "relay.test");
	secure_write_pair(&secure, "second.test", "EC", "relay.crt", "unused.key");
	ck_assert_int_eq(smtp_front_reload(secure.house.rig.front, &secure.house.rig.settings, NULL,
					   NULL, &why),
			 ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(why.text, "/relay.key: the key belongs to another"));
	ck_assert_ptr_nonnull(strstr(why.text, "listener 127.0.0.1:0: "));
	ck_assert_str_eq(shown(&secure, NULL, "ECDSA+SHA256"), "relay.test");
	secure_write_pair(&secure, "second.test", "EC", "relay.crt", "relay.key");
	ck_assert_int_eq(smtp_front_reload(secure.house.rig.front, &secure.house.rig.settings, NULL,
					   NULL, &why),
			 ERR_OK);
	WAIT_FOR(strcmp(shown(&secure, NULL, "ECDSA+SHA256"), "second.test") == 0);
	ck_assert(client_handshake(&early, secure.context, NULL));
	client_expect(&early, "220");
	client_ask(&early, "EHLO x", "250");
	client_send_mail(&early, "b@y.test");
	client_close(&early);
	secure_close(&secure);
}
END_TEST

START_TEST(s069_a_bad_pair_prevents_the_start)
{
	struct secure_house secure;
	struct err why;

	secure_open(&secure, LISTENER_TLS_NONE);
	secure.house.rig.listener.tls = LISTENER_TLS_STARTTLS;
	unlink(secure.key);
	ck_assert_int_eq(smtp_front_reload(secure.house.rig.front, &secure.house.rig.settings, NULL,
					   NULL, &why),
			 ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(why.text, "/relay.key: can't be read: No such file"));
	secure_close(&secure);
}
END_TEST

struct visit {
	enum listener_tls_client asked;
	const char *shows; /* "": nothing */
	const char *mail;  /* the reply to MAIL */
	const char *scope;
	const char *subject;
};

static void show_certificate(const struct secure_house *secure, SSL_CTX *context, const char *name)
{
	char file[128];

	snprintf(file, sizeof(file), "%s/%s.pem", secure->folder, name);
	ck_assert_int_eq(SSL_CTX_use_certificate_file(context, file, SSL_FILETYPE_PEM), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM), 1);
}

static void check_visit(struct secure_house *secure, const struct visit *visit)
{
	SSL_CTX *context = certificate_client(NULL);
	struct client client;
	size_t before = recorder_count(&secure->house.recorder);

	if (visit->shows[0] != '\0')
		show_certificate(secure, context, visit->shows);
	client_greet(&client, &secure->house.rig);
	client_ask(&client, "STARTTLS", "220 2.0.0");
	ck_assert(client_handshake(&client, context, NULL));
	client_ask(&client, "EHLO x", "250");
	if (visit->mail[0] == '2') {
		const struct smtp_client *seen = &secure->house.recorder.mails[before].client;

		client_send_mail(&client, "b@y.test");
		ck_assert_str_eq(seen->subject, visit->subject);
		ck_assert_uint_eq(strlen(seen->fingerprint), visit->subject[0] != '\0' ? 64 : 0);
		ck_assert_str_eq(seen->scope, visit->scope);
	} else {
		client_ask(&client, "MAIL FROM:<a@x.test>", visit->mail);
	}
	client_close(&client);
	SSL_CTX_free(context);
}

START_TEST(certificates_of_clients)
{
	static const struct visit visits[] = {
		{LISTENER_TLS_CLIENT_OFF, "", "250", "house", ""},
		{LISTENER_TLS_CLIENT_OFF, "shop", "250", "house", ""},
		{LISTENER_TLS_CLIENT_OPTIONAL, "", "250", "house", ""},
		{LISTENER_TLS_CLIENT_OPTIONAL, "shop", "250", "by-subject", "CN=shop.test"},
		{LISTENER_TLS_CLIENT_OPTIONAL, "crm", "250", "by-print", "CN=crm.test"},
		{LISTENER_TLS_CLIENT_OPTIONAL, "other", "250", "house", "CN=other.test"},
		/* The same subject from a signer that nobody trusts is nobody. */
		{LISTENER_TLS_CLIENT_OPTIONAL, "fake", "250", "house", ""},
		{LISTENER_TLS_CLIENT_REQUIRED, "", "530 5.7.0", NULL, NULL},
		{LISTENER_TLS_CLIENT_REQUIRED, "fake", "530 5.7.0", NULL, NULL},
		{LISTENER_TLS_CLIENT_REQUIRED, "old", "530 5.7.0", NULL, NULL},
		{LISTENER_TLS_CLIENT_REQUIRED, "shop", "250", "by-subject", "CN=shop.test"},
	};
	static const char *const names[] = {"shop", "crm", "other", "old", "fake"};
	struct tls_client_scope scopes[] = {{"CN=shop.test", "by-subject"}, {NULL, "by-print"}};
	char print[3 * 32 + 1] = "";
	char text[CREDENTIAL_FINGERPRINT_SIZE];
	struct client client;
	struct secure_house secure;
	char ca[128];

	secure_init(&secure, LISTENER_TLS_STARTTLS);
	snprintf(ca, sizeof(ca), "%s/ca.pem", secure.folder);
	for (size_t i = 0; i < COUNT(names); i++) {
		struct certificate made;
		char name[64];

		snprintf(name, sizeof(name), "%s.test", i == 4 ? "shop" : names[i]);
		certificate_make_with(&made, name, "EC", i == 3 ? -60 : 3600);
		snprintf(name, sizeof(name), "%s.pem", names[i]);
		certificate_write(&made, secure_path(&secure, name), secure_path(&secure, name));
		if (i == 1)
			credential_fingerprint(made.x509, text);
		if (i < 4) {
			BIO *bio = BIO_new_file(ca, "a");

			PEM_write_bio_X509(bio, made.x509);
			BIO_free(bio);
		}
		certificate_release(&made);
	}
	/* As openssl x509 -fingerprint prints it. */
	for (int i = 0; i < 64; i += 2)
		snprintf(print + strlen(print), 4, "%s%c%c", i > 0 ? ":" : "",
			 text[i] >= 'a' ? text[i] - 32 : text[i],
			 text[i + 1] >= 'a' ? text[i + 1] - 32 : text[i + 1]);
	scopes[1].client = print;
	secure.house.rig.listener.scope = "house";
	secure.house.rig.listener.tls_client_ca = ca;
	secure.house.rig.listener.tls_client_scopes = scopes;
	secure.house.rig.listener.tls_client_scope_count = 2;
	rig_open(&secure.house.rig);
	for (size_t i = 0; i < COUNT(visits); i++) {
		secure.house.rig.listener.tls_client = visits[i].asked;
		secure_reload(&secure);
		check_visit(&secure, &visits[i]);
	}
	/* In clear it is STARTTLS that is missing. */
	client_greet(&client, &secure.house.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "530 5.7.0");
	ck_assert(span_ends_fold(buf_span(&client.parser.reply.text),
				 span_of("Must issue a STARTTLS command first")));
	client_close(&client);
	secure_close(&secure);
}
END_TEST

UNIT_MAIN("smtp/tls_certificate", sni_chooses_the_certificate,
	  the_self_signed_pair_is_used_where_none_is_named, s069_a_reload_swaps_or_keeps,
	  s069_a_bad_pair_prevents_the_start, certificates_of_clients)
