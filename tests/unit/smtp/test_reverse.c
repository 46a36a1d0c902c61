/* tests relay/smtp/reverse.c, and the banner that waits for it */
#include <config.h>

#include "relay/smtp/reverse.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/smtp/fixture.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	bool is_name;
} names[] = {
	{"localhost", true},
	{"a-b.example.com", true},
	{"1.2.3.4.in.example.com", true},
	{"", false},
	{".", false},
	{"example.com.", false},
	{"1.2.3.4", false},
	{"0x7f000001", false},
	{"host.0x1", false},
	{"::1", false},
	{"a_b.example.com", false},
	{"a b.example.com", false},
	{"a.example.com\r\nX: y", false},
	{"a.example.com)", false},
	{"b\xc3\xbc"
	 "cher.example.com",
	 false},
};

/* What a PTR record holds is anybody's text (CVE-2026-28753). */
START_TEST(what_is_a_name)
{
	char long_name[REVERSE_NAME_SIZE];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(reverse_is_name(span_of(names[i].text)) == names[i].is_name, "%s",
			      names[i].text);
	memset(long_name, 'a', sizeof(long_name));
	ck_assert(reverse_is_name(span_make(long_name, REVERSE_NAME_SIZE - 1)));
	ck_assert(!reverse_is_name(span_make(long_name, REVERSE_NAME_SIZE)));
	ck_assert(!reverse_is_name(span_make("a\0b", 3)));
}
END_TEST

static struct peer_address address_of(const char *text)
{
	struct peer_address address;

	ck_assert_int_eq(peer_address_parse(span_of(text), &address), ERR_OK);
	return address;
}

/* No network is needed where the hosts file names 127.0.0.1 localhost, as it does nearly
 * everywhere. */
START_TEST(system_names)
{
	struct sockaddr_storage sockaddr;
	struct peer_address local = address_of("127.0.0.1");
	socklen_t len = peer_address_sockaddr(&local, &sockaddr);
	char host[NI_MAXHOST] = "";
	char name[REVERSE_NAME_SIZE] = "";

	if (getnameinfo((struct sockaddr *)&sockaddr, len, host, sizeof(host), NULL, 0,
			NI_NAMEREQD) != 0 ||
	    strcmp(host, "localhost") != 0) {
		printf("# skipped: 127.0.0.1 is not localhost here\n");
		return;
	}
	ck_assert(reverse_system.look_up(NULL, &local, name));
	ck_assert_str_eq(name, "localhost");
}
END_TEST

START_TEST(addresses_without_a_name)
{
	const struct peer_address nobody[] = {{.unix_peer = true}, {.unknown = true}};
	struct reverse *reverse;
	struct err why;
	const struct reverse_asker asker = {.ctx = &why};

	ck_assert_int_eq(reverse_new(&reverse_system, &reverse, &why), ERR_OK);
	for (size_t i = 0; i < 2; i++)
		ck_assert_ptr_null(reverse_ask(reverse, &nobody[i], &asker));
	reverse_free(&reverse);
	ck_assert_ptr_null(reverse);
}
END_TEST

/* --- behind a front door ---------------------------------------------------- */

/* Names everybody app.test, when it is let. */
struct fake {
	_Atomic size_t asked;
	_Atomic bool hangs;
	_Atomic bool fails;
	_Atomic int running;
	pthread_mutex_t lock;
	char address[PEER_ADDRESS_TEXT_SIZE]; /* of the last one asked for */
};

static bool look_up(void *ctx, const struct peer_address *address, char name_out[REVERSE_NAME_SIZE])
{
	struct fake *fake = ctx;

	atomic_fetch_add(&fake->running, 1);
	pthread_mutex_lock(&fake->lock);
	peer_address_format(address, fake->address);
	pthread_mutex_unlock(&fake->lock);
	atomic_fetch_add(&fake->asked, 1);
	while (atomic_load(&fake->hangs))
		usleep(2000);
	(void)snprintf(name_out, REVERSE_NAME_SIZE, "app.test");
	atomic_fetch_sub(&fake->running, 1);
	return !atomic_load(&fake->fails);
}

/* A house that looks its clients up at the fake. */
struct naming {
	struct house house;
	struct fake fake;
	struct reverse_source source;
};

static void naming_init(struct naming *naming)
{
	house_init(&naming->house);
	naming->fake = (struct fake){.lock = PTHREAD_MUTEX_INITIALIZER};
	naming->source = (struct reverse_source){.look_up = look_up, .ctx = &naming->fake};
	naming->house.rig.env.names = &naming->source;
	naming->house.rig.listener.resolve_client = true;
}

static void naming_open(struct naming *naming)
{
	naming_init(naming);
	rig_open(&naming->house.rig);
}

/* A client's message, and the name it got. */
static const char *name_of_one(struct naming *naming, struct client *client)
{
	client_expect(client, "220");
	client_ask(client, "EHLO client.test", "250");
	client_begin(client, "a@b.test");
	client_ask(client, "x\r\n.", "250");
	return naming->house.recorder.mails[recorder_count(&naming->house.recorder) - 1]
		.client.name;
}

START_TEST(named)
{
	struct naming naming;
	struct client client;

	naming_open(&naming);
	client_open(&client, &naming.house.rig);
	ck_assert_str_eq(name_of_one(&naming, &client), "app.test");
	ck_assert_str_eq(naming.fake.address, "127.0.0.1");
	client_close(&client);
	atomic_store(&naming.fake.fails, true);
	client_open(&client, &naming.house.rig);
	ck_assert_str_eq(name_of_one(&naming, &client), "");
	client_close(&client);
	house_close(&naming.house);
}
END_TEST

/* Behind a PROXY header it is the real client's name that counts. */
START_TEST(named_behind_a_proxy)
{
	static const char *const everybody[] = {"0.0.0.0/0"};
	struct naming naming;
	struct client client;

	naming_init(&naming);
	naming.house.rig.listener.proxy_protocol = true;
	naming.house.rig.listener.networks = everybody;
	naming.house.rig.listener.trusted = everybody;
	naming.house.rig.listener.trusted_count = 1;
	rig_open(&naming.house.rig);
	client_open(&client, &naming.house.rig);
	client_say(&client, "PROXY TCP4 192.0.2.7 10.0.0.1 1 25\r\n");
	ck_assert_str_eq(name_of_one(&naming, &client), "app.test");
	ck_assert_str_eq(naming.fake.address, "192.0.2.7");
	client_close(&client);
	house_close(&naming.house);
}
END_TEST

START_TEST(not_asked)
{
	struct naming naming;
	struct client client;

	naming_init(&naming);
	naming.house.rig.listener.resolve_client = false;
	rig_open(&naming.house.rig);
	client_open(&client, &naming.house.rig);
	ck_assert_str_eq(name_of_one(&naming, &client), "");
	client_close(&client);
	ck_assert_uint_eq(naming.fake.asked, 0);
	house_close(&naming.house);
}
END_TEST

struct flag {
	_Atomic bool is_set;
};

static void on_done(void *ctx)
{
	struct flag *flag = ctx;

	atomic_store(&flag->is_set, true);
}

START_TEST(from_a_reload_on)
{
	struct flag done = {false};
	struct listener_options with;
	struct smtp_settings settings;
	struct naming naming;
	struct client client;
	struct err why;

	naming_init(&naming);
	naming.house.rig.listener.resolve_client = false;
	rig_open(&naming.house.rig);
	with = naming.house.rig.listener;
	with.resolve_client = true;
	settings = naming.house.rig.settings;
	settings.listeners = &with;
	ck_assert_int_eq(smtp_front_reload(naming.house.rig.front, &settings, on_done, &done, &why),
			 ERR_OK);
	WAIT_FOR(atomic_load(&done.is_set));
	client_open(&client, &naming.house.rig);
	ck_assert_str_eq(name_of_one(&naming, &client), "app.test");
	client_close(&client);
	house_close(&naming.house);
}
END_TEST

static void open_all(struct naming *naming, struct client *clients, size_t count)
{
	for (size_t i = 0; i < count; i++)
		client_open(&clients[i], &naming->house.rig);
	WAIT_FOR(house_status(&naming->house).sessions == count &&
		 atomic_load(&naming->fake.running) == 4);
}

static void close_all(struct client *clients, size_t count)
{
	for (size_t i = 0; i < count; i++)
		client_close(&clients[i]);
}

/*
 * All threads hang: the banners come without names when the time is over, and
 * from then on at once. What the clients say meanwhile is not lost.
 */
START_TEST(hanging)
{
	struct naming naming;
	struct client clients[10];
	int64_t began;

	naming_open(&naming);
	atomic_store(&naming.fake.hangs, true);
	began = clock_mono_ms();
	open_all(&naming, clients, 10);
	client_expect_silence(&clients[9], 500);
	client_say(&clients[9], "EHLO early.test\r\n");
	for (int i = 0; i < 10; i++)
		client_expect(&clients[i], "220");
	client_expect(&clients[9], "250");
	ck_assert_int_ge(clock_mono_ms() - began, REVERSE_WAIT_MS - 100);
	ck_assert_int_lt(clock_mono_ms() - began, REVERSE_WAIT_MS + 3000);
	close_all(clients, 10);
	began = clock_mono_ms();
	client_open(&clients[0], &naming.house.rig);
	ck_assert_str_eq(name_of_one(&naming, &clients[0]), "");
	ck_assert_int_lt(clock_mono_ms() - began, REVERSE_WAIT_MS / 2);
	client_close(&clients[0]);
	/* The look-ups come back: names are known again. */
	atomic_store(&naming.fake.hangs, false);
	WAIT_FOR(atomic_load(&naming.fake.running) == 0);
	client_open(&clients[0], &naming.house.rig);
	ck_assert_str_eq(name_of_one(&naming, &clients[0]), "app.test");
	client_close(&clients[0]);
	house_close(&naming.house);
}
END_TEST

START_TEST(client_gone_meanwhile)
{
	struct naming naming;
	struct client clients[10];

	naming_open(&naming);
	atomic_store(&naming.fake.hangs, true);
	open_all(&naming, clients, 10);
	close_all(clients, 10);
	WAIT_FOR(house_status(&naming.house).sessions == 0);
	atomic_store(&naming.fake.hangs, false);
	house_close(&naming.house);
}
END_TEST

/* Stopping does not wait for look-ups that hang; they may come back when all else is gone. */
START_TEST(stopped_meanwhile)
{
	struct naming naming;
	struct client clients[10];
	int64_t began;

	naming_open(&naming);
	atomic_store(&naming.fake.hangs, true);
	open_all(&naming, clients, 10);
	began = clock_mono_ms();
	house_close(&naming.house);
	ck_assert_int_lt(clock_mono_ms() - began, 2500);
	for (int i = 0; i < 10; i++)
		client_expect(&clients[i], "421 4.3.2");
	close_all(clients, 10);
	atomic_store(&naming.fake.hangs, false);
	WAIT_FOR(atomic_load(&naming.fake.running) == 0);
	usleep(50000);
}
END_TEST

UNIT_MAIN("smtp/reverse", what_is_a_name, system_names, addresses_without_a_name, named,
	  named_behind_a_proxy, not_asked, from_a_reload_on, hanging, client_gone_meanwhile,
	  stopped_meanwhile)
