/* tests relay/smtp/starttls.c and tls_server.c over real sockets (CASES 2.C) */
#include <config.h>

#include "tests/unit/smtp/fixture.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/loop/credential.h"
#include "tests/unit/loop/certificate.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* A house with certificates in a folder, and for a client that verifies nothing. */
struct secure_house {
	struct house house;
	SSL_CTX *context;
	char folder[64];
	char certificate[100];
	char key[100];
};

static const char *in_folder(const struct secure_house *secure, const char *name)
{
	static char paths[8][128];
	static size_t next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", secure->folder, name);
	return path;
}

static void write_pair(const struct secure_house *secure, const char *names, const char *key_type,
		       const char *certificate, const char *key)
{
	struct certificate made;

	certificate_make_with(&made, names, key_type, 3600);
	certificate_write(&made, in_folder(secure, certificate), in_folder(secure, key));
	certificate_release(&made);
}

static void secure_init(struct secure_house *secure, enum listener_tls tls)
{
	house_init(&secure->house);
	snprintf(secure->folder, sizeof(secure->folder), "/tmp/stagepost-starttls-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(secure->folder));
	write_pair(secure, "relay.test", "EC", "relay.crt", "relay.key");
	snprintf(secure->certificate, sizeof(secure->certificate), "%s/relay.crt", secure->folder);
	snprintf(secure->key, sizeof(secure->key), "%s/relay.key", secure->folder);
	secure->house.rig.listener.tls = tls;
	secure->house.rig.listener.tls_certificate = secure->certificate;
	secure->house.rig.listener.tls_key = secure->key;
	secure->context = certificate_client(NULL);
}

static void secure_open(struct secure_house *secure, enum listener_tls tls)
{
	secure_init(secure, tls);
	rig_open(&secure->house.rig);
}

static void secure_close(struct secure_house *secure)
{
	char command[128];

	house_close(&secure->house);
	SSL_CTX_free(secure->context);
	snprintf(command, sizeof(command), "rm -rf %s", secure->folder);
	ck_assert_int_eq(system(command), 0);
}

/* STARTTLS after EHLO; behind it nothing is said yet. */
static void go_secure(struct client *client, struct secure_house *secure)
{
	client_greet(client, &secure->house.rig);
	client_ask(client, "STARTTLS", "220 2.0.0");
	ck_assert(client_handshake(client, secure->context, NULL));
}

static bool offers(struct client *client, const char *keyword)
{
	client_ask(client, "EHLO client.test", "250");
	return client_was_told(client, keyword);
}

static void send_one(struct client *client)
{
	client_begin(client, "b@y.test");
	client_ask(client, "Subject: x\r\n\r\n.", "250 2.0.0");
}

/* --- the way it should be ---------------------------------------------------- */

START_TEST(mail_over_starttls)
{
	struct secure_house secure;
	struct client client;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	client_greet(&client, &secure.house.rig);
	ck_assert(offers(&client, "STARTTLS"));
	client_ask(&client, "STARTTLS", "220 2.0.0");
	ck_assert(client_handshake(&client, secure.context, NULL));
	ck_assert(!offers(&client, "STARTTLS"));
	send_one(&client);
	client_ask(&client, "QUIT", "221 2.0.0");
	client_expect_end(&client);
	ck_assert_int_eq(SSL_get_shutdown(client.tls) & SSL_RECEIVED_SHUTDOWN,
			 SSL_RECEIVED_SHUTDOWN);
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&secure.house.recorder), 1);
	ck_assert_str_eq(secure.house.recorder.mails[0].client.tls,
			 "TLSv1.3 TLS_AES_256_GCM_SHA384");
	ck_assert_str_eq(secure.house.recorder.mails[0].client.subject, "");
	ck_assert_str_eq(secure.house.recorder.mails[0].client.fingerprint, "");
	secure_close(&secure);
}
END_TEST

START_TEST(mail_over_implicit_tls)
{
	struct secure_house secure;
	struct client client;

	secure_init(&secure, LISTENER_TLS_IMPLICIT);
	SSL_CTX_set_max_proto_version(secure.context, TLS1_2_VERSION);
	rig_open(&secure.house.rig);
	client_open(&client, &secure.house.rig);
	client_expect_silence(&client, 30);
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_expect(&client, "220");
	ck_assert(!offers(&client, "STARTTLS"));
	client_ask(&client, "STARTTLS", "503 5.5.1");
	send_one(&client);
	client_close(&client);
	ck_assert_str_eq(secure.house.recorder.mails[0].client.tls,
			 "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
	secure_close(&secure);
}
END_TEST

/* A banner that waits, waits behind the handshake; who talks before it is refused all the same. */
START_TEST(the_greeting_delay_comes_behind_the_handshake)
{
	struct secure_house secure;
	struct client client;

	secure_init(&secure, LISTENER_TLS_IMPLICIT);
	secure.house.rig.listener.greeting_delay_ms = 150;
	rig_open(&secure.house.rig);
	client_open(&client, &secure.house.rig);
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_expect_silence(&client, 30);
	client_expect(&client, "220");
	client_close(&client);
	client_open(&client, &secure.house.rig);
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_ask(&client, "EHLO early.test", "554 5.5.0");
	client_expect_end(&client);
	client_close(&client);
	secure_close(&secure);
}
END_TEST

/* Header and ClientHello in one segment: what was read behind the header is TLS. */
START_TEST(implicit_tls_behind_a_proxy_header)
{
	static const char header[] = "PROXY TCP4 192.0.2.7 192.0.2.1 4000 465\r\n";
	static const char *const trusted[] = {"127.0.0.0/8"};
	static const char *const networks[] = {"192.0.2.0/24"};
	struct secure_house secure;
	struct client client;

	secure_init(&secure, LISTENER_TLS_IMPLICIT);
	secure.house.rig.listener.proxy_protocol = true;
	secure.house.rig.listener.trusted = trusted;
	secure.house.rig.listener.trusted_count = 1;
	secure.house.rig.listener.networks = networks;
	rig_open(&secure.house.rig);
	client_open(&client, &secure.house.rig);
	ck_assert_int_eq(send(client.fd, header, sizeof(header) - 1, MSG_MORE), sizeof(header) - 1);
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_expect(&client, "220");
	client_ask(&client, "EHLO x", "250");
	send_one(&client);
	client_close(&client);
	ck_assert_str_eq(secure.house.recorder.mails[0].client.address, "192.0.2.7");
	ck_assert_str_eq(secure.house.recorder.mails[0].client.tls,
			 "TLSv1.3 TLS_AES_256_GCM_SHA384");
	secure_close(&secure);
}
END_TEST

/* --- STARTTLS ---------------------------------------------------------------- */

/* S053, S054: nothing of it runs, neither at once nor inside. */
START_TEST(s053_plaintext_behind_starttls_never_runs)
{
	static const char *const tails[] = {
		"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nx\r\n.\r\n",
		"MAIL FRO", "NOOP\r\n"};
	struct secure_house secure;
	struct smtp_front_status status;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	for (size_t i = 0; i < COUNT(tails); i++) {
		struct client client;

		client_greet(&client, &secure.house.rig);
		client_say(&client, "STARTTLS\r\n");
		client_say(&client, tails[i]);
		client_expect(&client, "220 2.0.0");
		if (!client_handshake(&client, secure.context, NULL)) {
			/* It came in a segment of its own: TLS can't make anything of it. */
			client_close(&client);
			continue;
		}
		client_ask(&client, "MAIL FROM:<a@x.test>", "503 5.5.1");
		client_expect_silence(&client, 20);
		client_close(&client);
	}
	ck_assert_uint_eq(secure.house.recorder.begun, 0);
	smtp_front_status(secure.house.rig.front, &status);
	ck_assert_uint_eq(status.injections + status.handshakes_failed, COUNT(tails));
	secure_close(&secure);
}
END_TEST

/* The same in one segment for certain. */
START_TEST(s053_in_one_segment)
{
	struct secure_house secure;
	struct client client;
	struct smtp_front_status status;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	client_greet(&client, &secure.house.rig);
	client_say(&client, "STARTTLS\r\nEHLO x\r\nMAIL FROM:<a@x.test>\r\n");
	client_expect(&client, "220 2.0.0");
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_ask(&client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	send_one((client_ask(&client, "EHLO y", "250"), &client));
	client_close(&client);
	ck_assert_str_eq(secure.house.recorder.mails[0].client.helo, "y");
	smtp_front_status(secure.house.rig.front, &status);
	ck_assert_uint_eq(status.injections, 1);
	ck_assert_uint_eq(status.handshakes, 1);
	secure_close(&secure);
}
END_TEST

/* S055, RFC 3207 4.2 */
START_TEST(s055_everything_said_in_clear_is_forgotten)
{
	struct secure_house secure;
	struct client client;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	go_secure(&client, &secure);
	client_ask(&client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	client_ask(&client, "HELO other.test", "250");
	send_one(&client);
	client_close(&client);
	ck_assert_str_eq(secure.house.recorder.mails[0].client.helo, "other.test");
	ck_assert(!secure.house.recorder.mails[0].client.esmtp);
	secure_close(&secure);
}
END_TEST

/* What the listener speaks is no word of the client. */
START_TEST(starttls_where_lmtp_is_spoken)
{
	struct secure_house secure;
	struct client client;

	secure_init(&secure, LISTENER_TLS_STARTTLS);
	secure.house.rig.listener.protocol = LISTENER_LMTP;
	rig_open(&secure.house.rig);
	client_open(&client, &secure.house.rig);
	client_expect(&client, "220");
	client_ask(&client, "LHLO client.test", "250");
	client_ask(&client, "STARTTLS", "220 2.0.0");
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_ask(&client, "EHLO client.test", "500");
	client_ask(&client, "LHLO client.test", "250");
	send_one(&client);
	client_close(&client);
	ck_assert(secure.house.recorder.mails[0].client.lmtp);
	secure_close(&secure);
}
END_TEST

START_TEST(s056_starttls_out_of_place)
{
	struct secure_house secure;
	struct client client;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	client_open(&client, &secure.house.rig);
	client_expect(&client, "220");
	client_ask(&client, "STARTTLS", "503 5.5.1");
	client_ask(&client, "EHLO x", "250");
	client_ask(&client, "STARTTLS x", "501 5.5.4");
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "STARTTLS", "503 5.5.1");
	client_ask(&client, "RCPT TO:<b@x.test>", "250 2.1.5");
	client_ask(&client, "STARTTLS", "503 5.5.1");
	client_ask(&client, "RSET", "250 2.0.0");
	client_ask(&client, "STARTTLS", "220 2.0.0");
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_ask(&client, "EHLO x", "250");
	client_ask(&client, "STARTTLS", "503 5.5.1");
	client_close(&client);
	secure_close(&secure);
	secure_open(&secure, LISTENER_TLS_NONE);
	client_greet(&client, &secure.house.rig);
	ck_assert(!offers(&client, "STARTTLS"));
	client_ask(&client, "STARTTLS", "502 5.5.1");
	client_close(&client);
	secure_close(&secure);
}
END_TEST

/* --- what is not spoken ------------------------------------------------------ */

struct offer {
	int version; /* at most */
	const char *ciphers;
	const char *groups;
	bool good;
};

/* S066 */
START_TEST(s066_old_versions_and_ciphers_are_refused)
{
	static const struct offer offers_made[] = {
		{TLS1_3_VERSION, NULL, NULL, true},
		{TLS1_2_VERSION, NULL, NULL, true},
		{TLS1_1_VERSION, "ALL:@SECLEVEL=0", NULL, false},
		{TLS1_VERSION, "ALL:@SECLEVEL=0", NULL, false},
		{TLS1_2_VERSION, "AES256-SHA256:AES128-SHA:@SECLEVEL=0", NULL, false},
		{TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0", NULL, false},
		{TLS1_2_VERSION, "NULL:aNULL:ADH:AECDH:@SECLEVEL=0", NULL, false},
		{TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0", NULL, false},
		{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL, true},
		{TLS1_3_VERSION, NULL, "ffdhe8192", false},
		{TLS1_3_VERSION, NULL, "P-521", false},
		{TLS1_3_VERSION, NULL, "P-384", true},
	};
	struct secure_house secure;

	secure_open(&secure, LISTENER_TLS_IMPLICIT);
	for (size_t i = 0; i < COUNT(offers_made); i++) {
		const struct offer *offer = &offers_made[i];
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		struct client client;

		SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(context, offer->version);
		if (offer->ciphers != NULL)
			ck_assert_int_eq(SSL_CTX_set_cipher_list(context, offer->ciphers), 1);
		if (offer->groups != NULL)
			ck_assert_int_eq(SSL_CTX_set1_groups_list(context, offer->groups), 1);
		client_open(&client, &secure.house.rig);
		ck_assert_msg(client_handshake(&client, context, NULL) == offer->good, "row %zu",
			      i);
		if (offer->good)
			client_expect(&client, "220");
		client_close(&client);
		SSL_CTX_free(context);
	}
	secure_close(&secure);
}
END_TEST

/* S068 */
START_TEST(s068_renegotiation_is_refused)
{
	struct secure_house secure;
	struct client client;

	secure_init(&secure, LISTENER_TLS_IMPLICIT);
	SSL_CTX_set_max_proto_version(secure.context, TLS1_2_VERSION);
	rig_open(&secure.house.rig);
	client_open(&client, &secure.house.rig);
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_expect(&client, "220");
	ck_assert_int_eq(SSL_renegotiate(client.tls), 1);
	ck_assert_int_le(SSL_do_handshake(client.tls), 0);
	client_close(&client);
	secure_close(&secure);
}
END_TEST

/* A client that was sent here to speak HTTP finds nobody who does (RFC 7301 3.2). */
START_TEST(another_protocol_by_alpn_is_refused)
{
	static const unsigned char http[] = "\x08http/1.1";
	static const unsigned char smtp[] = "\x08http/1.1\x04smtp";
	struct secure_house secure;
	struct client client;

	secure_open(&secure, LISTENER_TLS_IMPLICIT);
	client_open(&client, &secure.house.rig);
	SSL_CTX_set_alpn_protos(secure.context, http, sizeof(http) - 1);
	ck_assert(!client_handshake(&client, secure.context, NULL));
	client_close(&client);
	client_open(&client, &secure.house.rig);
	SSL_CTX_set_alpn_protos(secure.context, smtp, sizeof(smtp) - 1);
	ck_assert(client_handshake(&client, secure.context, NULL));
	client_expect(&client, "220");
	client_close(&client);
	secure_close(&secure);
}
END_TEST

START_TEST(plain_smtp_on_an_implicit_port)
{
	struct secure_house secure;
	struct client client;
	struct smtp_front_status status;
	char got[64];

	secure_open(&secure, LISTENER_TLS_IMPLICIT);
	client_open(&client, &secure.house.rig);
	client_say(&client, "EHLO client.test\r\n");
	/* An alert and the end; no SMTP in clear. */
	while (recv(client.fd, got, sizeof(got), 0) > 0)
		ck_assert_int_ne(got[0], '2');
	client_close(&client);
	WAIT_FOR((smtp_front_status(secure.house.rig.front, &status),
		  status.handshakes_failed == 1));
	secure_close(&secure);
}
END_TEST

/* S067: the whole handshake has one deadline. */
START_TEST(s067_a_silent_client_is_closed)
{
	struct secure_house secure;
	struct client client;
	int64_t begin = clock_mono_ms();
	char c;

	secure_init(&secure, LISTENER_TLS_IMPLICIT);
	secure.house.rig.smtp.command_timeout_ms = 300;
	rig_open(&secure.house.rig);
	client_open(&client, &secure.house.rig);
	ck_assert_int_eq(send(client.fd, "\x16", 1, 0), 1);
	ck_assert_int_le(recv(client.fd, &c, 1, 0), 0);
	ck_assert_int_ge(clock_mono_ms() - begin, 299);
	ck_assert_int_lt(clock_mono_ms() - begin, 5000);
	client_close(&client);
	secure_close(&secure);
}
END_TEST

/* The deadline of commands begins anew behind the handshake. */
START_TEST(s067_commands_have_their_own_deadline)
{
	struct secure_house secure;
	struct client client;

	secure_init(&secure, LISTENER_TLS_STARTTLS);
	secure.house.rig.smtp.command_timeout_ms = 300;
	rig_open(&secure.house.rig);
	go_secure(&client, &secure);
	usleep(200000);
	client_ask(&client, "EHLO x", "250");
	client_expect(&client, "421 4.4.2");
	client_expect_end(&client);
	client_close(&client);
	secure_close(&secure);
}
END_TEST

/* S071: the next session is not told of it. */
START_TEST(s071_broken_in_the_middle_of_a_message)
{
	struct secure_house secure;
	struct client broken;
	struct client next;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	for (int i = 0; i < 4; i++) {
		go_secure(&broken, &secure);
		client_ask(&broken, "EHLO x", "250");
		client_begin(&broken, "b@y.test");
		client_say(&broken, "Subject: half\r\n");
		go_secure(&next, &secure);
		if (i == 0)
			SSL_shutdown(broken.tls);
		else if (i == 1)
			send(broken.fd, "\x15\x03\x03\x00\x02\x02\x28", 7, 0);
		else if (i == 2)
			send(broken.fd, "\x17\x03\x03\x00\x14nonsensenonsense1234", 25, 0);
		else
			send(broken.fd, "\x17\x03\x03\x40\x00half a record", 18, 0);
		client_close(&broken);
		WAIT_FOR(recorder_aborted(&secure.house.recorder) == (size_t)i + 1);
		client_ask(&next, "EHLO x", "250");
		send_one(&next);
		client_close(&next);
		ck_assert_uint_eq(recorder_count(&secure.house.recorder), (size_t)i + 1);
	}
	secure_close(&secure);
}
END_TEST

static SSL_SESSION *remembered;

static int remember(SSL *tls, SSL_SESSION *session)
{
	SSL_SESSION_free(remembered);
	remembered = session;
	return 1;
}

static bool is_resumed(struct secure_house *secure)
{
	struct client client;
	bool reused;

	client_open(&client, &secure->house.rig);
	client.tls = SSL_new(secure->context);
	SSL_set_fd(client.tls, client.fd);
	if (remembered != NULL)
		SSL_set_session(client.tls, remembered);
	ck_assert_int_eq(SSL_connect(client.tls), 1);
	client_expect(&client, "220");
	reused = SSL_session_reused(client.tls) == 1;
	if (remembered == NULL)
		remembered = SSL_get1_session(client.tls);
	client_close(&client);
	return reused;
}

static void reload_done(void *ctx)
{
	atomic_store((_Atomic bool *)ctx, true);
}

static void reload(struct secure_house *secure)
{
	_Atomic bool done = false;
	struct err why;

	ck_assert_msg(smtp_front_reload(secure->house.rig.front, &secure->house.rig.settings,
					reload_done, &done, &why) == ERR_OK,
		      "%s", why.text);
	WAIT_FOR(atomic_load(&done));
}

/* S072: a session is never taken up again, so no rotation can break one. */
START_TEST(s072_nothing_is_resumed)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (size_t i = 0; i < COUNT(versions); i++) {
		struct secure_house secure;

		secure_init(&secure, LISTENER_TLS_IMPLICIT);
		SSL_CTX_set_max_proto_version(secure.context, versions[i]);
		SSL_CTX_set_session_cache_mode(secure.context, SSL_SESS_CACHE_CLIENT);
		SSL_CTX_sess_set_new_cb(secure.context, remember);
		rig_open(&secure.house.rig);
		ck_assert(!is_resumed(&secure));
		ck_assert(!is_resumed(&secure));
		write_pair(&secure, "relay.test", "EC", "relay.crt", "relay.key");
		reload(&secure);
		ck_assert(!is_resumed(&secure));
		SSL_SESSION_free(remembered);
		remembered = NULL;
		secure_close(&secure);
	}
}
END_TEST

/* --- which certificate ------------------------------------------------------- */

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
	write_pair(&secure, "relay.test", "RSA", "0.crt", "0.key");
	write_pair(&secure, "DNS:mail.test,DNS:*.in.test", "EC", "1.crt", "1.key");
	write_pair(&secure, "DNS:only-rsa.test,DNS:x.only-rsa.test", "RSA", "2.crt", "2.key");
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
	write_pair(&secure, "second.test", "EC", "relay.crt", "unused.key");
	ck_assert_int_eq(smtp_front_reload(secure.house.rig.front, &secure.house.rig.settings, NULL,
					   NULL, &why),
			 ERR_SYNTAX);
	ck_assert_ptr_nonnull(strstr(why.text, "/relay.key: the key belongs to another"));
	ck_assert_ptr_nonnull(strstr(why.text, "listener 127.0.0.1:0: "));
	ck_assert_str_eq(shown(&secure, NULL, "ECDSA+SHA256"), "relay.test");
	write_pair(&secure, "second.test", "EC", "relay.crt", "relay.key");
	ck_assert_int_eq(smtp_front_reload(secure.house.rig.front, &secure.house.rig.settings, NULL,
					   NULL, &why),
			 ERR_OK);
	WAIT_FOR(strcmp(shown(&secure, NULL, "ECDSA+SHA256"), "second.test") == 0);
	ck_assert(client_handshake(&early, secure.context, NULL));
	client_expect(&early, "220");
	client_ask(&early, "EHLO x", "250");
	send_one(&early);
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

/* --- certificates of clients ------------------------------------------------- */

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

		send_one(&client);
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
		certificate_write(&made, in_folder(&secure, name), in_folder(&secure, name));
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
		reload(&secure);
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

/* --- the end ----------------------------------------------------------------- */

START_TEST(a_stop_does_not_wait_for_handshakes)
{
	struct secure_house secure;
	struct client silent;
	struct client half;
	int64_t begin;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	client_greet(&silent, &secure.house.rig);
	client_ask(&silent, "STARTTLS", "220 2.0.0");
	client_greet(&half, &secure.house.rig);
	client_ask(&half, "STARTTLS", "220 2.0.0");
	ck_assert_int_eq(send(half.fd, "\x16\x03\x01", 3, 0), 3);
	begin = clock_mono_ms();
	secure_close(&secure);
	ck_assert_int_lt(clock_mono_ms() - begin, 800);
	/* Nothing in clear behind the 220. */
	client_expect_end(&silent);
	client_close(&silent);
	client_close(&half);
}
END_TEST

UNIT_MAIN("smtp/starttls", mail_over_starttls, mail_over_implicit_tls,
	  the_greeting_delay_comes_behind_the_handshake, implicit_tls_behind_a_proxy_header,
	  s053_plaintext_behind_starttls_never_runs, s053_in_one_segment,
	  s055_everything_said_in_clear_is_forgotten, starttls_where_lmtp_is_spoken,
	  s056_starttls_out_of_place, s066_old_versions_and_ciphers_are_refused,
	  s068_renegotiation_is_refused, another_protocol_by_alpn_is_refused,
	  plain_smtp_on_an_implicit_port, s067_a_silent_client_is_closed,
	  s067_commands_have_their_own_deadline, s071_broken_in_the_middle_of_a_message,
	  s072_nothing_is_resumed, sni_chooses_the_certificate,
	  the_self_signed_pair_is_used_where_none_is_named, s069_a_reload_swaps_or_keeps,
	  s069_a_bad_pair_prevents_the_start, certificates_of_clients,
	  a_stop_does_not_wait_for_handshakes)
