/* tests relay/smtp/received.c: the trace field, alone and in a stored message (RFC 5321 4.4) */
#include <config.h>

#include <stdio.h>

#include "base/clock.h"
#include "relay/smtp/received.h"
#include "tests/unit/smtp/relay.h"
#include "tests/unit/unit.h"

static void check_received(const struct message_view *view, const char *pattern)
{
	const char *at = strstr(pattern, "ULID");
	char id[ULID_TEXT_SIZE];
	char date[CLOCK_RFC5322_SIZE];
	char want[600];

	ulid_format(&view->m.id, id);
	clock_format_rfc5322(view->m.received_at, date);
	(void)snprintf(want, sizeof(want), "%.*s%s%s%s\r\n", (int)(at - pattern), pattern, id,
		       at + 4, date);
	ck_assert_str_eq(view->m.received_field, want);
}

/* RFC 5321 4.4; `for` only where it tells nobody about anybody else. */
START_TEST(received_field)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay_greet(&relay, &client);
	client_begin(&client, "user@allowed.test");
	client_say(&client, ".\r\n");
	view = relay_taken(&relay, &client);
	check_received(&view, "Received: from client.test ([127.0.0.1])\r\n\tby relay.test with "
			      "ESMTP id ULID\r\n\tfor <user@allowed.test>; ");
	client_ask(&client, "HELO [127.0.0.1]", "250");
	client_ask(&client, "MAIL FROM:<>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<secret@evil.example>", "250 2.1.5");
	view = relay_data(&relay, &client, "");
	ck_assert_str_eq(view.m.sender, "");
	check_received(&view, "Received: from [127.0.0.1] ([127.0.0.1])\r\n\tby relay.test with "
			      "SMTP id ULID;\r\n\t");
	client_begin(&client, "\"a b\"@allowed.test");
	client_say(&client, ".\r\n");
	view = relay_taken(&relay, &client);
	check_received(&view, "Received: from [127.0.0.1] ([127.0.0.1])\r\n\tby relay.test with "
			      "SMTP id ULID;\r\n\t");
	relay_part(&relay, &client);
}
END_TEST

START_TEST(received_from_others)
{
	struct smtp_client client = {.address = "2001:db8::1", .helo = "x.test", .esmtp = true};
	const struct received received = {.client = &client,
					  .hostname = "relay.test",
					  .id = "ID",
					  .received_at = 1795256430456};
	struct buf out;

	buf_init(&out, 1000);
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert_str_eq(out.data, "Received: from x.test ([IPv6:2001:db8::1])\r\n\tby relay.test "
				   "with ESMTP id ID;\r\n\tSat, 21 Nov 2026 10:20:30 +0000\r\n");
	buf_clear(&out);
	memcpy(client.address, "unix", 5);
	client.esmtp = false;
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert(span_starts_fold(buf_span(&out), "Received: from x.test (unix socket)\r\n\tby "
						   "relay.test with SMTP id ID;"));
	/* what a PROXY header or XCLIENT told */
	buf_clear(&out);
	memcpy(client.address, "unknown", 8);
	memcpy(client.via, "10.0.0.1 TLSv1.3 for a.test", 28);
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert(span_starts_fold(buf_span(&out), "Received: from x.test (unknown)\r\n"
						   "\t(via 10.0.0.1 TLSv1.3 for a.test)\r\n\tby "
						   "relay.test with SMTP id ID;"));
	buf_release(&out);
}
END_TEST

/* RFC 3848, RFC 6531 4.3: who logged in, over TLS, with a name that was looked up. */
START_TEST(received_says_how)
{
	struct smtp_client client = {.address = "192.0.2.1",
				     .name = "app.test",
				     .helo = "x.test",
				     .esmtp = true,
				     .user = "bob",
				     .tls = "TLSv1.3 TLS_AES_256_GCM_SHA384"};
	const struct received received = {.client = &client,
					  .hostname = "relay.test",
					  .id = "ID",
					  .forwarded = "a.test [192.0.2.7] ident=4Xyz",
					  .smtputf8 = true,
					  .received_at = 1795256430456};
	struct buf out;

	buf_init(&out, 1000);
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert_str_eq(out.data,
			 "Received: from x.test (app.test [192.0.2.1])\r\n"
			 "\t(forwarded for a.test [192.0.2.7] ident=4Xyz)\r\n\tby relay.test with "
			 "UTF8SMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384) id ID;\r\n"
			 "\tSat, 21 Nov 2026 10:20:30 +0000\r\n");
	buf_release(&out);
	ck_assert_str_eq(received_protocol(&client, false), "ESMTPSA");
	client.user[0] = '\0';
	ck_assert_str_eq(received_protocol(&client, false), "ESMTPS");
	client.lmtp = true;
	ck_assert_str_eq(received_protocol(&client, true), "UTF8LMTPS");
}
END_TEST

UNIT_MAIN("smtp/received", received_field, received_from_others, received_says_how)
