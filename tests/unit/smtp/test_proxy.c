/* tests relay/smtp/proxy.c over real sockets (S048) */
#include <config.h>

#include "tests/unit/smtp/fixture.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* 192.0.2.7:50001 to 10.0.0.1:25 */
#define BLOCK4 "\xc0\x00\x02\x07\x0a\x00\x00\x01\xc3\x51\x00\x19"
#define V1     "PROXY TCP4 192.0.2.7 10.0.0.1 50001 25\r\n"
#define BYTES(text)                                                                                \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

/* Trusts 127.0.0.0/8; clients come from 192.0.2.0/24, 2001:db8::/32 or 127.0.0.0/8. */
static void init_proxied(struct house *house)
{
	static const char *const trusted[] = {"127.0.0.0/8"};
	static const char *const networks[] = {"192.0.2.0/24", "2001:db8::/32"};

	house_init(house);
	house->rig.listener.proxy_protocol = true;
	house->rig.listener.trusted = trusted;
	house->rig.listener.trusted_count = 1;
	house->rig.listener.networks = networks;
	house->rig.listener.network_count = 2;
}

static void open_proxied(struct house *house)
{
	init_proxied(house);
	rig_open(&house->rig);
}

/* Up to the answer to the header, which is `want`. */
static void knock(struct client *client, const struct house *house, struct span header,
		  const char *want)
{
	client_open(client, &house->rig);
	client_send(client, header);
	client_expect(client, want);
}

/* One message; whom it is said to come from. */
static const struct smtp_client *send_one(struct client *client, struct house *house)
{
	client_ask(client, "EHLO client.test", "250");
	client_begin(client, "a@b.test");
	client_ask(client, "x\r\n.", "250");
	return &house->recorder.mails[recorder_count(&house->recorder) - 1].client;
}

static const struct {
	struct span header;
	const char *address; /* "127.0.0.1": the connection's own */
	int port;	     /* 0: the connection's own */
	const char *via;
} headers[] = {
	{BYTES(V1), "192.0.2.7", 50001, "127.0.0.1"},
	{BYTES("PROXY TCP6 2001:db8::7 ::1 1 2\r\n"), "2001:db8::7", 1, "127.0.0.1"},
	{BYTES("PROXY TCP6 ::ffff:192.0.2.9 ::1 3 2\r\n"), "192.0.2.9", 3, "127.0.0.1"},
	{BYTES("PROXY UNKNOWN\r\n"), "127.0.0.1", 0, ""},
	{BYTES(SIGNATURE "\x21\x11\x00\x0c" BLOCK4), "192.0.2.7", 50001, "127.0.0.1"},
	{BYTES(SIGNATURE "\x20\x00\x00\x00"), "127.0.0.1", 0, ""},
	{BYTES(SIGNATURE "\x20\x11\x00\x0c" BLOCK4), "127.0.0.1", 0, ""},
	{BYTES(SIGNATURE "\x21\x00\x00\x00"), "127.0.0.1", 0, ""},
	{BYTES(SIGNATURE "\x21\x12\x00\x0c" BLOCK4), "127.0.0.1", 0, ""},
	/* authority, TLS facts; hostile ones reach neither the log nor a trace field as they are */
	{BYTES(SIGNATURE "\x21\x11\x00\x48" BLOCK4 "\x02\x00\x09mail.test"
			 "\x20\x00\x2d\x03\x00\x00\x00\x00"
			 "\x21\x00\x07TLSv1.3"
			 "\x22\x00\x05"
			 "app(1"
			 "\x23\x00\x13TLS_AES_128\r\nX: y\0z"),
	 "192.0.2.7", 50001,
	 "127.0.0.1 TLSv1.3 TLS_AES_128??X:?y?z certificate app?1 for mail.test"},
	/* a certificate that was not verified is not named */
	{BYTES(SIGNATURE "\x21\x11\x00\x1e" BLOCK4 "\x20\x00\x0f\x03\x00\x00\x00\x01"
			 "\x22\x00\x07"
			 "app one"),
	 "192.0.2.7", 50001, "127.0.0.1"},
};

START_TEST(addresses)
{
	struct house house;

	open_proxied(&house);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		const struct smtp_client *from;
		struct client client;

		knock(&client, &house, headers[i].header, "220");
		from = send_one(&client, &house);
		ck_assert_str_eq(from->address, headers[i].address);
		ck_assert_str_eq(from->via, headers[i].via);
		ck_assert(headers[i].port == 0 ? from->port > 1023 : from->port == headers[i].port);
		ck_assert_str_eq(from->tls, "");
		client_close(&client);
	}
	house_close(&house);
}
END_TEST

static const struct span malformed[] = {
	BYTES("EHLO client.test\r\n"),
	BYTES("\x16\x03\x01\x02\x00\x01"),
	BYTES("PROXY TCP4 192.0.2.7 10.0.0.1 50001\r\n"),
	BYTES("PROXY TCP4 192.0.2.7 10.0.0.1 50001 25\n"),
	BYTES(SIGNATURE "\x21\x11\xff\xff" BLOCK4),
	BYTES(SIGNATURE "\x20\x00\xff\xff"),
	BYTES(SIGNATURE "\x21\x31\x00\x0c" BLOCK4),
	BYTES(SIGNATURE "\x21\x11\x00\x0f" BLOCK4 "\x02\xff\xff"),
	BYTES(SIGNATURE "\x21\x11\x00\x13" BLOCK4 "\x03\x00\x04\x00\x00\x00\x00"),
	BYTES(SIGNATURE "\x22\x11\x00\x0c" BLOCK4),
};

START_TEST(closed_without_a_word)
{
	struct house house;

	open_proxied(&house);
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct client client;

		client_open(&client, &house.rig);
		client_send(&client, malformed[i]);
		client_expect_end(&client);
		client_close(&client);
	}
	ck_assert_uint_eq(house_status(&house).connections_refused,
			  sizeof(malformed) / sizeof(malformed[0]));
	house_close(&house);
}
END_TEST

/* No banner before all of it is there, and never a second look at its octets. */
START_TEST(in_pieces)
{
	struct span whole = span_of(V1 "EHLO client.test\r\n");
	struct house house;
	struct client client;

	open_proxied(&house);
	client_open(&client, &house.rig);
	for (size_t i = 0; i + 1 < strlen(V1); i++)
		client_send(&client, span_first(span_skip(whole, i), 1));
	client_expect_silence(&client, 100);
	client_send(&client, span_skip(whole, strlen(V1) - 1));
	client_expect(&client, "220");
	client_expect(&client, "250");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* A header inside the session is a command like any other that is none. */
START_TEST(only_once)
{
	struct house house;
	struct client client;

	open_proxied(&house);
	knock(&client, &house, span_of(V1), "220");
	client_ask(&client, "PROXY TCP4 192.0.2.8 10.0.0.1 1 25", "500 5.5.2");
	ck_assert_str_eq(send_one(&client, &house)->address, "192.0.2.7");
	client_close(&client);
	house_close(&house);
}
END_TEST

START_TEST(no_header_in_time)
{
	struct house house;
	struct client client;

	init_proxied(&house);
	house.rig.smtp.command_timeout_ms = 300;
	rig_open(&house.rig);
	client_open(&client, &house.rig);
	client_say(&client, "PROXY TCP4 ");
	client_expect_end(&client);
	client_close(&client);
	house_close(&house);
}
END_TEST

START_TEST(not_trusted)
{
	static const char *const trusted[] = {"127.0.0.2", "10.0.0.0/8"};
	struct house house;
	struct client client;

	init_proxied(&house);
	house.rig.listener.trusted = trusted;
	house.rig.listener.trusted_count = 2;
	rig_open(&house.rig);
	client_open(&client, &house.rig);
	client_expect_end(&client);
	client_close(&client);
	ck_assert_uint_eq(house_status(&house).connections_refused, 1);
	ck_assert_uint_eq(house_status(&house).connections, 0);
	house_close(&house);
}
END_TEST

/* `networks` is about the client, not about the proxy, which is not in them here. */
START_TEST(networks)
{
	struct house house;
	struct client client;

	open_proxied(&house);
	knock(&client, &house, span_of("PROXY TCP4 203.0.113.7 10.0.0.1 50001 25\r\n"),
	      "554 5.7.1");
	client_expect_end(&client);
	client_close(&client);
	house_close(&house);
}
END_TEST

/* The limit counts clients, not the proxy; their places come free again. */
START_TEST(limit_for_each_client)
{
	struct house house;
	struct client first, second, third;

	init_proxied(&house);
	house.rig.smtp.max_connections_per_client = 1;
	rig_open(&house.rig);
	knock(&first, &house, span_of(V1), "220");
	knock(&second, &house, span_of("PROXY TCP4 192.0.2.8 10.0.0.1 1 25\r\n"), "220");
	knock(&third, &house, span_of(V1), "421 4.7.0");
	client_expect_end(&third);
	client_close(&third);
	client_close(&first);
	WAIT_FOR(house_status(&house).sessions == 1);
	knock(&third, &house, span_of(V1), "220");
	client_close(&third);
	client_close(&second);
	house_close(&house);
}
END_TEST

/* Who has not sent a header yet takes a place in all, so that waiting is not free. */
START_TEST(limit_in_all)
{
	struct house house;
	struct client waiting, other;

	init_proxied(&house);
	house.rig.smtp.max_connections = 1;
	rig_open(&house.rig);
	client_open(&waiting, &house.rig);
	WAIT_FOR(house_status(&house).sessions == 1);
	client_open(&other, &house.rig);
	client_expect(&other, "421 4.3.2");
	client_close(&other);
	client_close(&waiting);
	house_close(&house);
}
END_TEST

START_TEST(early_talker_behind_it)
{
	struct house house;
	struct client client;

	init_proxied(&house);
	house.rig.listener.greeting_delay_ms = 200;
	rig_open(&house.rig);
	knock(&client, &house, span_of(V1 "EHLO x\r\n"), "554 5.5.0");
	client_expect_end(&client);
	client_close(&client);
	knock(&client, &house, span_of(V1), "220");
	client_close(&client);
	house_close(&house);
}
END_TEST

START_TEST(stopped_while_waiting)
{
	struct house house;
	struct client client;

	open_proxied(&house);
	client_open(&client, &house.rig);
	usleep(50000);
	house_close(&house);
	client_expect_end(&client);
	client_close(&client);
}
END_TEST

/* S048, proxy mode off: commands like others, and the peer is who it is. */
START_TEST(not_asked_for)
{
	struct house house;
	struct client client;

	init_proxied(&house);
	house.rig.listener.proxy_protocol = false;
	house.rig.listener.networks = house.rig.listener.trusted;
	house.rig.listener.network_count = 1;
	rig_open(&house.rig);
	knock(&client, &house, span_of(V1), "220");
	client_expect(&client, "500 5.5.2");
	ck_assert_str_eq(send_one(&client, &house)->address, "127.0.0.1");
	client_close(&client);
	client_open(&client, &house.rig);
	client_send(&client, span_make(SIGNATURE "\x21\x11\x00\x0c" BLOCK4, 28));
	client_expect(&client, "220");
	client_expect(&client, "500 5.5.2");
	client_expect(&client, "500 5.5.2");
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 1);
	house_close(&house);
}
END_TEST

UNIT_MAIN("smtp/proxy", addresses, closed_without_a_word, in_pieces, only_once, no_header_in_time,
	  not_trusted, networks, limit_for_each_client, limit_in_all, early_talker_behind_it,
	  stopped_while_waiting, not_asked_for)
