/* tests relay/deliver/vouch.c and client.c: what a next hop is told of the original client */
#include "relay/deliver/client.h"

#include <stdio.h>
#include <string.h>

#include "relay/deliver/uplink.h"
#include "relay/wire/proxy.h"
#include "tests/unit/deliver/bell.h"
#include "tests/unit/deliver/nexthop.h"
#include "tests/unit/unit.h"

/* --- facts ----------------------------------------------------------------------------- */

static const struct claimed_message stored = {.client_address = "192.0.2.7",
					      .client_port = 40001,
					      .client_name = "app.example.com",
					      .helo = "app",
					      .user = "shop",
					      .protocol = "ESMTPSA",
					      .listener = "10.0.0.1:2525"};

START_TEST(who_is_known)
{
	static const char *const nobody[] = {NULL, "", "unix", "unknown", "192.0.2", "a.example"};
	struct claimed_message m = stored;
	struct client client;
	char key[CLIENT_KEY_SIZE];

	client_of(&m, &client);
	ck_assert(client_is_known(&client));
	ck_assert_str_eq(client.user, "shop");
	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		m.client_address = nobody[i];
		client_of(&m, &client);
		ck_assert_msg(!client_is_known(&client), "%zu", i);
		client_key(&client, key);
		ck_assert_str_eq(key, "");
	}
}
END_TEST

START_TEST(every_fact_keeps_clients_apart)
{
	struct claimed_message m[8];
	char keys[8][CLIENT_KEY_SIZE], again[CLIENT_KEY_SIZE];
	struct client client;

	for (size_t i = 0; i < 8; i++)
		m[i] = stored;
	m[1].client_address = "192.0.2.8";
	m[2].client_port = 40002;
	m[3].client_name = NULL;
	m[4].helo = "other";
	m[5].user = NULL;
	m[6].protocol = "SMTP";
	m[7].listener = "10.0.0.1:25";
	for (size_t i = 0; i < 8; i++) {
		client_of(&m[i], &client);
		client_key(&client, keys[i]);
		client_key(&client, again);
		ck_assert_str_eq(keys[i], again);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(keys[i], keys[k]);
	}
}
END_TEST

START_TEST(destinations)
{
	static const struct {
		const char *address, *listener, *own, *want;
		int port;
	} rows[] = {
		{"192.0.2.7", "10.0.0.1:2525", "127.0.0.1:4711", "10.0.0.1", 2525},
		{"192.0.2.7", "[2001:db8::1]:25", "127.0.0.1:4711", "2001:db8::1", 25},
		{"192.0.2.7", "0.0.0.0:2525", "127.0.0.1:4711", "127.0.0.1", 2525},
		{"192.0.2.7", "[::]:2525", "[::1]:4711", "::1", 2525},
		{"192.0.2.7", "unix:/run/a", "127.0.0.1:4711", "127.0.0.1", 0},
		{"192.0.2.7", "localhost:25", "127.0.0.1:4711", "127.0.0.1", 0},
		{"2001:db8::7", "0.0.0.0:25", "unix:", "", 25},
		{"192.0.2.7", "", "unix:", "", 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client client = {.port = 1};
		struct sockaddr_storage got;
		char address[CLIENT_ADDRESS_SIZE];

		snprintf(client.address, sizeof(client.address), "%s", rows[i].address);
		snprintf(client.listener, sizeof(client.listener), "%s", rows[i].listener);
		client_destination(&client, rows[i].own, &got);
		ck_assert_msg(client_endpoint_parts(&got, address) == rows[i].port, "%zu", i);
		ck_assert_str_eq(address, rows[i].want);
		if (rows[i].want[0] == '\0') /* of the source's family, so that none is mixed */
			ck_assert_int_eq(got.ss_family,
					 strchr(rows[i].address, ':') ? AF_INET6 : AF_INET);
	}
}
END_TEST

/* --- one connection ------------------------------------------------------------------------ */

struct rig {
	struct loop *loop;
	struct resolver *resolver;
	struct nexthop *hop;
	const char *host;
	struct route_options route;
	struct uplink_env env;
	struct uplink *uplink;
	struct bell bell;
	bool opened, closed;
	int code;
	char why[256];
};

static void on_open(void *ctx, int code, const char *why)
{
	struct rig *r = ctx;

	r->code = code;
	snprintf(r->why, sizeof(r->why), "%s", why);
	bell_ring(&r->bell, &r->opened);
}

static void on_closed(void *ctx)
{
	struct rig *r = ctx;

	bell_ring(&r->bell, &r->closed);
}

/* Change r->route and r->env.client, then rig_run. */
static void rig_open(struct rig *r, const struct nexthop_step *steps, size_t count,
		     const char *ehlo, bool over_unix)
{
	struct err why;

	memset(r, 0, sizeof(*r));
	bell_init(&r->bell);
	r->loop = loop_new("test");
	ck_assert_int_eq(loop_start(r->loop, &why), ERR_OK);
	r->resolver = resolver_new();
	r->hop = over_unix ? nexthop_start_unix(steps, count, ehlo)
			   : nexthop_start(steps, count, ehlo);
	r->host = nexthop_address(r->hop);
	r->route = (struct route_options){.name = "default",
					  .hosts = &r->host,
					  .host_count = 1,
					  .max_connections = 1,
					  .connect_timeout_ms = 2000,
					  .command_timeout_ms = 1000};
	r->env = (struct uplink_env){.loop = r->loop,
				     .resolver = r->resolver,
				     .hostname = "relay.test",
				     .route = &r->route};
	ck_assert_int_eq(route_host_parse(span_of(r->host), &r->env.host, &why), ERR_OK);
	client_of(&stored, &r->env.client);
}

static void rig_run(struct rig *r)
{
	static const struct uplink_ops ops = {.on_open = on_open, .on_closed = on_closed};

	r->uplink = uplink_new(&r->env, &ops, r);
	uplink_open(r->uplink);
	bell_await(&r->bell, &r->opened);
}

static void rig_close(struct rig *r)
{
	uplink_close(r->uplink);
	bell_await(&r->bell, &r->closed);
	uplink_free(&r->uplink);
	nexthop_stop(&r->hop);
	loop_stop(r->loop);
	loop_free(&r->loop);
	resolver_free(&r->resolver);
}

/* --- PROXY ------------------------------------------------------------------------------------ */

/* The header that arrives; whole and alone, or the greeting would not have come. */
static size_t header_for(const struct client *client, enum route_proxy version, bool over_unix,
			 char header_out[NEXTHOP_HEADER_SIZE], char peer_out[16])
{
	struct rig r;
	size_t len;

	rig_open(&r, NULL, 0, NULL, over_unix);
	nexthop_use_proxy(r.hop);
	r.route.proxy_protocol = version;
	r.env.client = *client;
	rig_run(&r);
	ck_assert_msg(r.code == ERR_OK, "%s", r.why);
	len = nexthop_header(r.hop, header_out);
	nexthop_peer(r.hop, peer_out);
	rig_close(&r);
	return len;
}

START_TEST(v1_names_the_client_in_one_family)
{
	static const struct {
		const char *address, *listener, *want;
		int port;
	} rows[] = {
		{"192.0.2.7", "10.0.0.1:2525", "PROXY TCP4 192.0.2.7 10.0.0.1 40001 2525\r\n",
		 40001},
		{"2001:db8::7", "[2001:db8::1]:25",
		 "PROXY TCP6 2001:db8::7 2001:db8::1 40001 25\r\n", 40001},
		/* nginx's fault: a line of both families. */
		{"2001:db8::7", "10.0.0.1:25",
		 "PROXY TCP6 2001:db8::7 ::ffff:10.0.0.1 40001 25\r\n", 40001},
		{"192.0.2.7", "[2001:db8::1]:25",
		 "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 40001 25\r\n", 40001},
		{"192.0.2.7", "0.0.0.0:2525", "PROXY TCP4 192.0.2.7 127.0.0.1 40001 2525\r\n",
		 40001},
		{"192.0.2.7", "10.0.0.1:25", "PROXY TCP4 192.0.2.7 10.0.0.1 0 25\r\n", 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client client = {.port = rows[i].port};
		char header[NEXTHOP_HEADER_SIZE], peer[16];

		snprintf(client.address, sizeof(client.address), "%s", rows[i].address);
		snprintf(client.listener, sizeof(client.listener), "%s", rows[i].listener);
		header_for(&client, ROUTE_PROXY_V1, false, header, peer);
		ck_assert_str_eq(header, rows[i].want);
	}
}
END_TEST

START_TEST(v2_says_the_same_with_a_checksum)
{
	struct proxy_header parsed;
	struct client client;
	char header[NEXTHOP_HEADER_SIZE], peer[16], address[CLIENT_ADDRESS_SIZE];
	size_t len, used;
	struct err why;

	client_of(&stored, &client);
	len = header_for(&client, ROUTE_PROXY_V2, false, header, peer);
	ck_assert_int_eq(proxy_parse(span_make(header, len), &parsed, &used, &why), ERR_OK);
	ck_assert_uint_eq(used, len);
	ck_assert_uint_eq(len, 16 + 12 + 7); /* addresses and the CRC32C that nginx adds, too */
	ck_assert(parsed.version == PROXY_V2 && !parsed.local && parsed.has_addresses);
	ck_assert_int_eq(client_endpoint_parts(&parsed.source, address), 40001);
	ck_assert_str_eq(address, "192.0.2.7");
	ck_assert_int_eq(client_endpoint_parts(&parsed.destination, address), 2525);
	ck_assert_str_eq(address, "10.0.0.1");
}
END_TEST

/* Mail of our own, of the API, of unix sockets: we speak for ourselves. */
START_TEST(nobody_is_made_up)
{
	static const struct client nobody;
	struct proxy_header parsed;
	char header[NEXTHOP_HEADER_SIZE], peer[16], address[CLIENT_ADDRESS_SIZE];
	size_t len, used;
	struct err why;

	len = header_for(&nobody, ROUTE_PROXY_V2, false, header, peer);
	ck_assert_int_eq(proxy_parse(span_make(header, len), &parsed, &used, &why), ERR_OK);
	ck_assert(parsed.local && !parsed.has_addresses);
	len = header_for(&nobody, ROUTE_PROXY_V1, false, header, peer);
	ck_assert_int_eq(proxy_parse(span_make(header, len), &parsed, &used, &why), ERR_OK);
	ck_assert_msg(parsed.has_addresses, "%s", header);
	client_endpoint_parts(&parsed.source, address);
	ck_assert_str_eq(address, peer);
	header_for(&nobody, ROUTE_PROXY_V1, true, header, peer);
	ck_assert_str_eq(header, "PROXY UNKNOWN\r\n");
	len = header_for(&nobody, ROUTE_PROXY_V2, true, header, peer);
	ck_assert_int_eq(proxy_parse(span_make(header, len), &parsed, &used, &why), ERR_OK);
	ck_assert(parsed.local);
}
END_TEST

/* --- XCLIENT -----------------------------------------------------------------------------------
 */

#define ALL "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"

/* Opens for `client`; everything that was said stands in what the next hop saw. */
static void say_to(struct rig *r, const struct client *client, const char *ehlo)
{
	rig_open(r, NULL, 0, ehlo, false);
	r->route.xclient = true;
	r->env.client = *client;
	rig_run(r);
	ck_assert_msg(r->code == ERR_OK, "%s", r->why);
}

START_TEST(all_that_is_offered_and_nothing_else)
{
	static const struct {
		const char *ehlo, *want;
	} rows[] = {
		{ALL, "EHLO relay.test\r\n"
		      "XCLIENT ADDR=192.0.2.7 LOGIN=shop PROTO=ESMTP NAME=app.example.com HELO=app "
		      "PORT=40001 DESTADDR=10.0.0.1 DESTPORT=2525\r\nEHLO app\r\n"},
		{"PIPELINING\nxclient name addr",
		 "\r\nXCLIENT ADDR=192.0.2.7 NAME=app.example.com\r\nEHLO app\r\n"},
		{"XCLIENT ADDR PORT TTL TIMEOUT",
		 "\r\nXCLIENT ADDR=192.0.2.7 PORT=40001\r\nEHLO app\r\n"},
	};
	struct client client;

	client_of(&stored, &client);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig r;

		say_to(&r, &client, rows[i].ehlo);
		ck_assert_msg(nexthop_saw(r.hop, rows[i].want), "%zu", i);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_XCLIENT), 1);
		rig_close(&r);
	}
}
END_TEST

/* nginx's and Postfix's rules for what is not known, and for what stands for itself only coded. */
START_TEST(values)
{
	static const struct {
		struct client client;
		const char *want;
	} rows[] = {
		{{.address = "2001:db8::7", .protocol = "SMTP"},
		 "XCLIENT ADDR=IPV6:2001:db8::7 PROTO=SMTP NAME=[UNAVAILABLE] HELO=[UNAVAILABLE] "
		 "PORT=[UNAVAILABLE] DESTADDR=127.0.0.1 DESTPORT=[UNAVAILABLE]\r\nEHLO relay.test"},
		{{.address = "192.0.2.7", .user = "us er+a=b\r\nX", .protocol = "UTF8SMTPSA"},
		 "XCLIENT ADDR=192.0.2.7 LOGIN=us+20er+2Ba+3Db+0D+0AX PROTO=ESMTP NAME="},
		{{.address = "192.0.2.7", .helo = "[192.0.2.7]", .protocol = "LMTP"},
		 " HELO=[192.0.2.7] PORT=[UNAVAILABLE] DESTADDR=127.0.0.1 "
		 "DESTPORT=[UNAVAILABLE]\r\nEHLO [192.0.2.7]\r\n"},
		/* What could be more than a name is not said behind EHLO. */
		{{.address = "192.0.2.7", .helo = "a b", .protocol = "ESMTP"},
		 " HELO=[UNAVAILABLE] PORT=[UNAVAILABLE] DESTADDR=127.0.0.1 "
		 "DESTPORT=[UNAVAILABLE]\r\nEHLO relay.test\r\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig r;

		say_to(&r, &rows[i].client, ALL);
		ck_assert_msg(nexthop_saw(r.hop, rows[i].want), "%zu", i);
		rig_close(&r);
	}
}
END_TEST

/* RFC 5321 4.5.3.1.4: 512 octets; what counts is in the last command, which Postfix keeps. */
START_TEST(long_values_take_several_commands)
{
	struct client client;
	char want[1200], user[201], name[201], helo[201];
	struct rig r;

	memset(user, 'u', 200);
	memset(name, 'n', 200);
	memset(helo, 'h', 200);
	user[200] = name[200] = helo[200] = '\0';
	client_of(&stored, &client);
	memcpy(client.user, user, 201);
	memcpy(client.name, name, 201);
	memcpy(client.helo, helo, 201);
	say_to(&r, &client, ALL);
	snprintf(want, sizeof(want),
		 "XCLIENT HELO=%s PORT=40001 DESTADDR=10.0.0.1 DESTPORT=2525\r\n"
		 "XCLIENT ADDR=192.0.2.7 LOGIN=%s PROTO=ESMTP NAME=%s\r\nEHLO %s\r\n",
		 helo, user, name, helo);
	ck_assert(nexthop_saw(r.hop, want));
	rig_close(&r);
	/* Coded it is three times as long as an attribute may be. */
	memset(client.user, ' ', 200);
	say_to(&r, &client, ALL);
	ck_assert(!nexthop_saw(r.hop, "LOGIN"));
	rig_close(&r);
}
END_TEST

START_TEST(nobody_is_not_introduced)
{
	static const struct client nobody = {.helo = "app"};
	struct rig r;

	say_to(&r, &nobody, "PIPELINING");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_XCLIENT), 0);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_EHLO), 1);
	rig_close(&r);
}
END_TEST

/* It is an instruction, not a wish: without it there is no mail. */
START_TEST(a_next_hop_that_does_not_take_it_gets_no_mail)
{
	static const struct {
		struct nexthop_step step;
		const char *ehlo, *why;
	} rows[] = {
		{{AT_QUIT, DO_DROP}, "PIPELINING", "the route wants XCLIENT and the next hop does"},
		{{AT_QUIT, DO_DROP}, "XCLIENT\nPIPELINING", "the route wants XCLIENT"},
		{{AT_XCLIENT, DO_REPLY, "550 5.7.0 insufficient authorization\r\n"},
		 ALL,
		 "XCLIENT: 550 insufficient authorization"},
		{{AT_XCLIENT, DO_REPLY, "421 4.7.0 go\r\n"}, ALL, "XCLIENT: 421 go"},
		{{AT_XCLIENT, DO_REPLY, "354 what\r\n"}, ALL, "XCLIENT: 354"},
		{{AT_XCLIENT, DO_DROP}, ALL, "closed the connection"},
		{{AT_XCLIENT, DO_STALL}, ALL, "did not answer in time"},
		{{AT_EHLO, DO_REPLY, "554 5.7.1 not from there\r\n", .match = "app"}, ALL, "HELO"},
	};
	struct client client;

	client_of(&stored, &client);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nexthop_step steps[2] = {rows[i].step,
						{AT_HELO, DO_REPLY, "554 5.7.1 no\r\n"}};
		struct rig r;

		rig_open(&r, steps, 2, rows[i].ehlo, false);
		r.route.xclient = true;
		rig_run(&r);
		ck_assert_msg(r.code < 0, "%zu", i);
		ck_assert_msg(strstr(r.why, rows[i].why) != NULL, "%zu: %s", i, r.why);
		rig_close(&r);
	}
}
END_TEST

/* Header, greeting, EHLO, XCLIENT: both together. */
START_TEST(proxy_and_xclient_together)
{
	char header[NEXTHOP_HEADER_SIZE];
	struct rig r;

	rig_open(&r, NULL, 0, ALL, false);
	nexthop_use_proxy(r.hop);
	r.route.proxy_protocol = ROUTE_PROXY_V1;
	r.route.xclient = true;
	rig_run(&r);
	ck_assert_msg(r.code == ERR_OK, "%s", r.why);
	nexthop_header(r.hop, header);
	ck_assert_str_eq(header, "PROXY TCP4 192.0.2.7 10.0.0.1 40001 2525\r\n");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_XCLIENT), 1);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_EHLO), 2);
	rig_close(&r);
}
END_TEST

UNIT_MAIN("deliver/vouch", who_is_known, every_fact_keeps_clients_apart, destinations,
	  v1_names_the_client_in_one_family, v2_says_the_same_with_a_checksum, nobody_is_made_up,
	  all_that_is_offered_and_nothing_else, values, long_values_take_several_commands,
	  nobody_is_not_introduced, a_next_hop_that_does_not_take_it_gets_no_mail,
	  proxy_and_xclient_together)
