/* tests relay/smtp/starttls.c over real sockets (CASES 2.C) */
#include <config.h>

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/smtp/secure_house.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

START_TEST(mail_over_starttls)
{
	struct secure_house secure;
	struct client client;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	client_greet(&client, &secure.house.rig);
	ck_assert(client_offers(&client, "STARTTLS"));
	client_ask(&client, "STARTTLS", "220 2.0.0");
	ck_assert(client_handshake(&client, secure.context, NULL));
	ck_assert(!client_offers(&client, "STARTTLS"));
	client_send_mail(&client, "b@y.test");
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
	ck_assert_uint_eq(status.injections + status.handshakes.failed, COUNT(tails));
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
	client_ask(&client, "EHLO y", "250");
	client_send_mail(&client, "b@y.test");
	client_close(&client);
	ck_assert_str_eq(secure.house.recorder.mails[0].client.helo, "y");
	smtp_front_status(secure.house.rig.front, &status);
	ck_assert_uint_eq(status.injections, 1);
	ck_assert_uint_eq(handshakes_done(&status.handshakes), 1);
	secure_close(&secure);
}
END_TEST

/* S055, RFC 3207 4.2 */
START_TEST(s055_everything_said_in_clear_is_forgotten)
{
	struct secure_house secure;
	struct client client;

	secure_open(&secure, LISTENER_TLS_STARTTLS);
	secure_greet(&client, &secure);
	client_ask(&client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	client_ask(&client, "HELO other.test", "250");
	client_send_mail(&client, "b@y.test");
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
	client_send_mail(&client, "b@y.test");
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
	ck_assert(!client_offers(&client, "STARTTLS"));
	client_ask(&client, "STARTTLS", "502 5.5.1");
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
	secure_greet(&client, &secure);
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
		secure_greet(&broken, &secure);
		client_ask(&broken, "EHLO x", "250");
		client_begin(&broken, "b@y.test");
		client_say(&broken, "Subject: half\r\n");
		secure_greet(&next, &secure);
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
		client_send_mail(&next, "b@y.test");
		client_close(&next);
		ck_assert_uint_eq(recorder_count(&secure.house.recorder), (size_t)i + 1);
	}
	secure_close(&secure);
}
END_TEST

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

UNIT_MAIN("smtp/starttls", mail_over_starttls, s053_plaintext_behind_starttls_never_runs,
	  s053_in_one_segment, s055_everything_said_in_clear_is_forgotten,
	  starttls_where_lmtp_is_spoken, s056_starttls_out_of_place,
	  s067_commands_have_their_own_deadline, s071_broken_in_the_middle_of_a_message,
	  a_stop_does_not_wait_for_handshakes)
