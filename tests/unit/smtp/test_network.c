/* tests relay/wire/network.c and relay/smtp/census.c */
#include "relay/wire/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "relay/smtp/census.h"
#include "tests/unit/unit.h"

static struct peer_address address_of(const char *text)
{
	struct sockaddr_storage peer = {0};
	struct peer_address address;
	int port;

	if (strchr(text, ':') != NULL) {
		struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(99)};

		ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
		memcpy(&peer, &v6, sizeof(v6));
	} else {
		struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(99)};

		ck_assert_int_eq(inet_pton(AF_INET, text, &v4.sin_addr), 1);
		memcpy(&peer, &v4, sizeof(v4));
	}
	peer_address_from(&peer, &address, &port);
	ck_assert_int_eq(port, 99);
	return address;
}

static const struct {
	const char *network;
	const char *address;
	bool holds;
} blocks[] = {
	{"127.0.0.0/8", "127.255.0.1", true},
	{"127.0.0.0/8", "128.0.0.1", false},
	{"127.0.0.0/8", "::ffff:127.0.0.1", true},
	{"10.0.0.0/9", "10.127.1.1", true},
	{"10.0.0.0/9", "10.128.1.1", false},
	{"192.168.1.7", "192.168.1.7", true},
	{"192.168.1.7", "192.168.1.6", false},
	{"::1", "::1", true},
	{"[::1]", "::2", false},
	{"2001:db8::/32", "2001:db8:ffff::1", true},
	{"2001:db8::/33", "2001:db8:8000::1", false},
	{"0.0.0.0/0", "8.8.8.8", true},
	{"0.0.0.0/0", "2001:db8::1", false},
	{"::/0", "2001:db8::1", true},
	{"::/0", "8.8.8.8", true},
};

START_TEST(holds)
{
	struct peer_address unix_peer = {.unix_peer = true};
	struct peer_address unknown = {.unknown = true};
	struct network network;
	struct err why;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		struct peer_address address = address_of(blocks[i].address);

		ck_assert_int_eq(network_parse(span_of(blocks[i].network), &network, &why), ERR_OK);
		ck_assert_msg(network_holds(&network, &address) == blocks[i].holds, "%s %s",
			      blocks[i].network, blocks[i].address);
		ck_assert(!network_holds(&network, &unix_peer));
		ck_assert(network_holds(&network, &unknown) ==
			  (strcmp(blocks[i].network, "::/0") == 0));
	}
}
END_TEST

START_TEST(mistakes)
{
	static const char *const bad[] = {
		"",	      "/8",	     "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/",  "10.0.0",	     "localhost",   "::1/129",
		"10.1.0.0/8", "10.0.0.0/8 ", "[::1",	    "2001:db8::1/64"};
	struct network network;
	struct err why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(network_parse(span_of(bad[i]), &network, &why) == ERR_SYNTAX, "%s",
			      bad[i]);
	ck_assert_int_eq(network_parse(span_make("::1\0", 4), &network, &why), ERR_SYNTAX);
}
END_TEST

START_TEST(shown)
{
	static const char *const texts[] = {"127.0.0.1", "::1", "2001:db8::1"};
	struct peer_address mapped = address_of("::ffff:10.1.2.3");
	struct peer_address unix_peer = {.unix_peer = true};
	struct peer_address unknown = {.unknown = true};
	char text[PEER_ADDRESS_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct peer_address address = address_of(texts[i]);

		peer_address_format(&address, text);
		ck_assert_str_eq(text, texts[i]);
	}
	peer_address_format(&mapped, text);
	ck_assert_str_eq(text, "10.1.2.3");
	peer_address_format(&unix_peer, text);
	ck_assert_str_eq(text, "unix");
	peer_address_format(&unknown, text);
	ck_assert_str_eq(text, "unknown");
}
END_TEST

static const struct {
	const char *text;
	const char *want; /* NULL: none */
} addresses[] = {
	{"127.0.0.1", "127.0.0.1"},
	{"::1", "::1"},
	{"[::1]", "::1"},
	{"::ffff:10.1.2.3", "10.1.2.3"},
	{"", NULL},
	{"unix", NULL},
	{"unknown", NULL},
	{"127.1", NULL},
	{"10.0.0.0/8", NULL},
	{"::1%eth0", NULL},
};

/* From text, and by way of a system call's address, the same comes back. */
START_TEST(read_and_handed_on)
{
	char text[PEER_ADDRESS_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct sockaddr_storage sockaddr;
		struct peer_address address, again;
		int port = -1;
		int code = peer_address_parse(span_of(addresses[i].text), &address);

		ck_assert_int_eq(code, addresses[i].want != NULL ? ERR_OK : ERR_SYNTAX);
		if (code != ERR_OK)
			continue;
		peer_address_format(&address, text);
		ck_assert_str_eq(text, addresses[i].want);
		ck_assert_uint_gt(peer_address_sockaddr(&address, &sockaddr), 0);
		peer_address_from(&sockaddr, &again, &port);
		ck_assert_mem_eq(again.bytes, address.bytes, sizeof(again.bytes));
		ck_assert(again.v4 == address.v4 && port == 0);
	}
}
END_TEST

/* S077: 1,000 addresses out of one /64 are one client. */
START_TEST(one_network_one_client)
{
	struct census *census = census_new();
	struct peer_address other = address_of("2001:db8:0:2::1");
	struct peer_address taken[10];
	size_t let_in = 0;

	for (int i = 0; i < 1000; i++) {
		char text[64];
		struct peer_address address;

		(void)snprintf(text, sizeof(text), "2001:db8:0:1::%x", i);
		address = address_of(text);
		if (census_enter(census, &address, 100, 10) == CENSUS_OK)
			taken[let_in++] = address;
	}
	ck_assert_uint_eq(let_in, 10);
	ck_assert_int_eq(census_enter(census, &other, 100, 10), CENSUS_OK);
	census_leave(census, &taken[0]);
	ck_assert_int_eq(census_enter(census, &taken[5], 100, 10), CENSUS_OK);
	ck_assert_int_eq(census_enter(census, &taken[5], 100, 10), CENSUS_CLIENT_FULL);
	for (size_t i = 0; i < let_in; i++)
		census_leave(census, &taken[i]);
	census_leave(census, &other);
	ck_assert_uint_eq(census_total(census), 0);
	census_free(&census);
}
END_TEST

START_TEST(the_whole_house)
{
	struct census *census = census_new();
	struct peer_address a = address_of("10.0.0.1");
	struct peer_address b = address_of("10.0.0.2");
	struct peer_address unix_peer = {.unix_peer = true};

	ck_assert_int_eq(census_enter(census, &a, 3, 2), CENSUS_OK);
	ck_assert_int_eq(census_enter(census, &unix_peer, 3, 2), CENSUS_OK);
	ck_assert_int_eq(census_enter(census, &unix_peer, 3, 2), CENSUS_OK);
	ck_assert_int_eq(census_enter(census, &b, 3, 2), CENSUS_FULL);
	census_leave(census, &unix_peer);
	ck_assert_int_eq(census_enter(census, &b, 3, 2), CENSUS_OK);
	ck_assert_uint_eq(census_total(census), 3);
	census_leave(census, &unix_peer);
	census_leave(census, &a);
	census_leave(census, &b);
	census_free(&census);
}
END_TEST

/* Behind a proxy: in all from the start, as a client when it is known. */
START_TEST(named_later)
{
	const struct peer_address nobody = {.unknown = true};
	struct census *census = census_new();
	struct peer_address a = address_of("10.0.0.1");

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(census_enter(census, &nobody, 4, 1), CENSUS_OK);
	ck_assert_int_eq(census_name(census, &a, 2), CENSUS_OK);
	ck_assert_int_eq(census_name(census, &a, 2), CENSUS_OK);
	ck_assert_int_eq(census_name(census, &a, 2), CENSUS_CLIENT_FULL);
	ck_assert_int_eq(census_name(census, &nobody, 1), CENSUS_OK);
	ck_assert_uint_eq(census_total(census), 3);
	ck_assert_int_eq(census_enter(census, &a, 4, 2), CENSUS_CLIENT_FULL);
	census_leave(census, &a);
	ck_assert_int_eq(census_name(census, &a, 2), CENSUS_OK);
	census_leave(census, &a);
	census_leave(census, &a);
	ck_assert_uint_eq(census_total(census), 0);
	census_free(&census);
}
END_TEST

UNIT_MAIN("smtp/network", holds, mistakes, shown, read_and_handed_on, one_network_one_client,
	  the_whole_house, named_later)
