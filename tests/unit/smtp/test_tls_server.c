/* tests relay/smtp/tls_server.c: implicit TLS, and what is not spoken (CASES 2.C) */
#include <config.h>

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/smtp/secure_house.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

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
	ck_assert(!client_offers(&client, "STARTTLS"));
	client_ask(&client, "STARTTLS", "503 5.5.1");
	client_send_mail(&client, "b@y.test");
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
	client_send_mail(&client, "b@y.test");
	client_close(&client);
	ck_assert_str_eq(secure.house.recorder.mails[0].client.address, "192.0.2.7");
	ck_assert_str_eq(secure.house.recorder.mails[0].client.tls,
			 "TLSv1.3 TLS_AES_256_GCM_SHA384");
	secure_close(&secure);
}
END_TEST

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
		  status.handshakes.failed == 1));
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
		secure_write_pair(&secure, "relay.test", "EC", "relay.crt", "relay.key");
		secure_reload(&secure);
		ck_assert(!is_resumed(&secure));
		SSL_SESSION_free(remembered);
		remembered = NULL;
		secure_close(&secure);
	}
}
END_TEST

UNIT_MAIN("smtp/tls_server", mail_over_implicit_tls, the_greeting_delay_comes_behind_the_handshake,
	  implicit_tls_behind_a_proxy_header, s066_old_versions_and_ciphers_are_refused,
	  s068_renegotiation_is_refused, another_protocol_by_alpn_is_refused,
	  plain_smtp_on_an_implicit_port, s067_a_silent_client_is_closed, s072_nothing_is_resumed)
