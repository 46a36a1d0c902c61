/* tests relay/smtp/listener.c and version.c: admitting, new versions, stopping */
#include <config.h>

#include "tests/unit/smtp/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/loop/acceptor.h"
#include "tests/unit/unit.h"

static void turned_away(struct house *house, const char *want)
{
	struct client client;

	client_open(&client, &house->rig);
	client_expect(&client, want);
	client_expect_end(&client);
	client_close(&client);
}

START_TEST(networks)
{
	static const char *const others[] = {"10.0.0.0/8", "127.0.0.2"};
	struct house house;

	house_init(&house);
	house.rig.listener.networks = others;
	house.rig.listener.network_count = 2;
	rig_open(&house.rig);
	turned_away(&house, "554 5.7.1");
	ck_assert_uint_eq(house_status(&house).connections, 0);
	ck_assert_uint_eq(house_status(&house).connections_refused, 1);
	house_close(&house);
}
END_TEST

/* S075: above the limit 421, not a silent hang; a place that comes free is used again. */
START_TEST(limit_in_all)
{
	struct house house;
	struct client clients[5];

	house_init(&house);
	house.rig.smtp.max_connections = 5;
	rig_open(&house.rig);
	for (int i = 0; i < 5; i++)
		client_greet(&clients[i], &house.rig);
	for (int i = 0; i < 20; i++)
		turned_away(&house, "421 4.3.2");
	ck_assert_uint_eq(house_status(&house).sessions, 5);
	client_ask(&clients[2], "QUIT", "221 2.0.0");
	client_close(&clients[2]);
	WAIT_FOR(house_status(&house).sessions == 4);
	client_greet(&clients[2], &house.rig);
	for (int i = 0; i < 5; i++)
		client_close(&clients[i]);
	ck_assert_uint_eq(house_status(&house).connections_refused, 20);
	house_close(&house);
}
END_TEST

/* S080: the descriptors from the ceiling on are not for clients; it may move at any time. */
START_TEST(descriptors_kept)
{
	struct house house;
	struct client client;

	house_init(&house);
	rig_open(&house.rig);
	client_greet(&client, &house.rig);
	smtp_front_keep_descriptors(house.rig.front, 3);
	turned_away(&house, "421 4.3.2");
	client_ask(&client, "NOOP", "250 2.0.0");
	client_close(&client);
	ck_assert_uint_eq(house_status(&house).connections_refused, 1);
	smtp_front_keep_descriptors(house.rig.front, 10000);
	client_greet(&client, &house.rig);
	client_close(&client);
	house_close(&house);
}
END_TEST

/* A socket that was handed over: nothing is bound, all loops serve it, the giver keeps it. */
START_TEST(given_socket)
{
	struct smtp_given given = {.listener = 0};
	struct house house;
	struct client clients[8];
	struct err why;

	house_init(&house);
	ck_assert_int_eq(acceptor_bind("127.0.0.1:0", false, &given.fd, &why), ERR_OK);
	house.rig.listener.address = "127.0.0.1:1"; /* which it could not bind */
	house.rig.env.given = &given;
	house.rig.env.given_count = 1;
	rig_open(&house.rig);
	for (int i = 0; i < 8; i++)
		client_greet(&clients[i], &house.rig);
	for (int i = 0; i < 8; i++)
		client_close(&clients[i]);
	house_close(&house);
	client_open(&clients[0], &house.rig); /* it waits for the next front */
	client_close(&clients[0]);
	close(given.fd);
}
END_TEST

/* S076 */
START_TEST(limit_of_a_client)
{
	struct house house;
	struct client clients[3];

	house_init(&house);
	house.rig.smtp.max_connections_per_client = 3;
	rig_open(&house.rig);
	for (int i = 0; i < 3; i++)
		client_greet(&clients[i], &house.rig);
	turned_away(&house, "421 4.7.0");
	for (int i = 0; i < 3; i++)
		client_close(&clients[i]);
	house_close(&house);
}
END_TEST

START_TEST(mistakes)
{
	static const char *const bad[] = {"10.0.0.0/8", "10.0.0.1/8"};
	struct house house;
	struct door_rig *rig = &house.rig;
	struct smtp_settings other;
	struct err why;

	house_init(&house);
	rig->listener.networks = bad;
	rig->listener.network_count = 2;
	rig->loops[0] = loop_new("door");
	rig->loops[1] = loop_new("door");
	ck_assert_int_eq(smtp_front_start(&rig->env, &rig->settings, &rig->front, &why),
			 ERR_SYNTAX);
	ck_assert_str_eq(why.text, "listener 127.0.0.1:0: '10.0.0.1/8' has bits set behind its "
				   "prefix");
	rig->listener.network_count = 1;
	rig->listener.address = "127.0.0.1:99999";
	ck_assert_int_eq(smtp_front_start(&rig->env, &rig->settings, &rig->front, &why),
			 ERR_SYNTAX);
	loop_free(&rig->loops[0]);
	loop_free(&rig->loops[1]);

	rig->listener.address = "127.0.0.1:0";
	rig_open(rig);
	other = rig->settings;
	other.listener_count = 0;
	ck_assert_int_eq(smtp_front_reload(rig->front, &other, NULL, NULL, &why), ERR_UNSUPPORTED);
	house_close(&house);
}
END_TEST

/* S340: a port of a running front is in use, although every loop shares it with SO_REUSEPORT. */
START_TEST(in_use)
{
	struct house house;
	struct house second;
	struct smtp_front *front = NULL;
	char address[STREAM_NAME_SIZE];
	struct err why;

	house_init(&house);
	house_init(&second);
	rig_open(&house.rig);
	ck_assert(smtp_front_address(house.rig.front, 0, address));
	second.rig.listener.address = address;
	second.rig.env.loops = house.rig.loops;
	ck_assert_int_eq(smtp_front_start(&second.rig.env, &second.rig.settings, &front, &why),
			 ERR_BUSY);
	ck_assert_ptr_null(front);
	house_close(&house);
	recorder_release(&second.recorder);
}
END_TEST

struct flag {
	_Atomic bool set;
};

static void set_flag(void *ctx)
{
	struct flag *flag = ctx;

	ck_assert(!flag->set);
	flag->set = true;
}

/* The old version lives as long as mail runs under it, and not longer. */
START_TEST(reload)
{
	struct house house;
	struct client idle;
	struct client busy;
	struct smtp_options smtp;
	struct listener_options listener;
	struct smtp_settings settings;
	struct flag done = {false};
	struct err why;

	house_init(&house);
	house.rig.smtp.max_junk = 1000000;
	rig_open(&house.rig);
	client_greet(&idle, &house.rig);
	client_greet(&busy, &house.rig);
	client_ask(&busy, "MAIL FROM:<a@x.test>", "250 2.1.0");
	smtp = house.rig.smtp;
	smtp.max_recipients = 1;
	smtp.hostname = "other.test";
	listener = house.rig.listener;
	listener.scope = "shop";
	settings = house.rig.settings;
	settings.smtp = &smtp;
	settings.listeners = &listener;
	ck_assert_int_eq(smtp_front_reload(house.rig.front, &settings, set_flag, &done, &why),
			 ERR_OK);
	/* The transaction goes on as it began. */
	client_ask(&busy, "RCPT TO:<b@x.test>", "250 2.1.5");
	client_ask(&busy, "RCPT TO:<c@x.test>", "250 2.1.5");
	/* Each loop switches when it comes to it; a quiet session then has the new version. */
	do {
		usleep(1000);
		client_ask(&idle, "EHLO again.test", "250");
	} while (!span_is(reply_line(&idle.parser.reply, 0), "other.test"));
	usleep(50000);
	ck_assert(!done.set);
	client_ask(&busy, "DATA", "354");
	client_ask(&busy, ".", "250 2.0.0");
	client_ask(&busy, "MAIL FROM:<a@x.test>", "250 2.1.0");
	WAIT_FOR(done.set);
	client_ask(&busy, "RCPT TO:<b@x.test>", "250 2.1.5");
	client_ask(&busy, "RCPT TO:<c@x.test>", "452 4.5.3");
	client_ask(&busy, "DATA", "354");
	client_ask(&busy, ".", "250 2.0.0");
	ck_assert_str_eq(house.recorder.mails[1].client.scope, "shop");
	client_close(&busy);
	client_close(&idle);
	house_close(&house);
}
END_TEST

/* Idle sessions do not keep an old version alive. */
START_TEST(reload_with_idle_sessions)
{
	struct house house;
	struct client idle[10];
	struct smtp_options smtp;
	struct smtp_settings settings;
	struct flag done[50] = {{false}};
	struct err why;

	house_init(&house);
	rig_open(&house.rig);
	for (int i = 0; i < 10; i++)
		client_greet(&idle[i], &house.rig);
	smtp = house.rig.smtp;
	settings = house.rig.settings;
	settings.smtp = &smtp;
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(
			smtp_front_reload(house.rig.front, &settings, set_flag, &done[i], &why),
			ERR_OK);
	for (int i = 0; i < 50; i++)
		WAIT_FOR(done[i].set);
	for (int i = 0; i < 10; i++)
		client_close(&idle[i]);
	house_close(&house);
}
END_TEST

struct stopper {
	struct house *house;
	int64_t grace_ms;
};

static void *stop_front(void *arg)
{
	struct stopper *stopper = arg;

	smtp_front_stop(&stopper->house->rig.front, stopper->grace_ms);
	return NULL;
}

/* S327: 421 between commands; a message under way comes to its end; a taken dot gets its answer. */
START_TEST(stop)
{
	struct house house;
	struct client idle;
	struct client sending;
	struct client waiting;
	struct stopper stopper = {&house, 30000};
	pthread_t thread;
	int64_t start = clock_mono_ms();

	house_init(&house);
	rig_open(&house.rig);
	client_greet(&idle, &house.rig);
	client_greet(&sending, &house.rig);
	client_greet(&waiting, &house.rig);
	client_begin(&sending, "s@y.test");
	client_begin(&waiting, "w@y.test");
	client_say(&sending, "half");
	house.recorder.hold_finish = true;
	client_say(&waiting, ".\r\n");
	WAIT_FOR(recorder_is_waiting(&house.recorder));
	pthread_create(&thread, NULL, stop_front, &stopper);
	client_expect(&idle, "421 4.3.2");
	client_expect_end(&idle);
	client_expect_silence(&waiting, 50);
	client_expect_silence(&sending, 50);
	recorder_let_go(&house.recorder);
	client_expect(&waiting, "250 2.0.0");
	client_expect(&waiting, "421 4.3.2");
	client_expect_end(&waiting);
	pthread_mutex_lock(&house.recorder.lock);
	house.recorder.hold_finish = false;
	pthread_mutex_unlock(&house.recorder.lock);
	client_ask(&sending, "\r\n.", "250 2.0.0");
	client_expect(&sending, "421 4.3.2");
	client_expect_end(&sending);
	pthread_join(thread, NULL);
	ck_assert_int_lt(clock_mono_ms() - start, 20000);
	client_close(&idle);
	client_close(&sending);
	client_close(&waiting);
	ck_assert_uint_eq(house.recorder.count, 2);
	house_close(&house);
}
END_TEST

/* S327: what a client sent behind its final dot does not begin another message. */
START_TEST(stop_with_the_next_message_sent_ahead)
{
	struct house house;
	struct client sending;

	house_init(&house);
	rig_open(&house.rig);
	client_greet(&sending, &house.rig);
	client_begin(&sending, "s@y.test");
	smtp_front_close(house.rig.front, 30000);
	client_say(&sending, "half\r\n.\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<t@y.test>\r\nDATA\r\n");
	client_expect(&sending, "250 2.0.0");
	client_expect(&sending, "421 4.3.2");
	client_expect_end(&sending);
	client_close(&sending);
	ck_assert_uint_eq(house.recorder.count, 1);
	house_close(&house);
}
END_TEST

/* The end begins without waiting for anybody, and may be begun twice. */
START_TEST(close_does_not_wait)
{
	struct house house;
	struct client idle;
	struct client sending;

	house_init(&house);
	rig_open(&house.rig);
	client_greet(&idle, &house.rig);
	client_greet(&sending, &house.rig);
	client_begin(&sending, "s@y.test");
	smtp_front_close(house.rig.front, 30000);
	client_expect(&idle, "421 4.3.2");
	client_expect_end(&idle);
	WAIT_FOR(house_status(&house).sessions == 1);
	smtp_front_close(house.rig.front, 0);
	client_ask(&sending, ".", "250 2.0.0");
	client_expect(&sending, "421 4.3.2");
	client_close(&idle);
	client_close(&sending);
	house_close(&house);
}
END_TEST

/* Who does not come to an end in the grace is cut off: nothing is taken. */
START_TEST(stop_without_patience)
{
	struct house house;
	struct client sending;
	struct client silent;
	struct stopper stopper = {&house, 200};
	int64_t start;
	pthread_t thread;

	house_init(&house);
	house.rig.listener.greeting_delay_ms = 1000; /* `silent` is still waiting for it */
	rig_open(&house.rig);
	client_greet(&sending, &house.rig);
	client_begin(&sending, "s@y.test");
	client_say(&sending, "half");
	client_open(&silent, &house.rig);
	WAIT_FOR(house_status(&house).sessions == 2);
	start = clock_mono_ms();
	pthread_create(&thread, NULL, stop_front, &stopper);
	client_expect(&silent, "421 4.3.2");
	client_expect(&sending, "421 4.3.2");
	client_expect_end(&sending);
	pthread_join(thread, NULL);
	ck_assert_int_lt(clock_mono_ms() - start, 5000);
	client_close(&sending);
	client_close(&silent);
	ck_assert_uint_eq(house.recorder.count, 0);
	ck_assert_uint_eq(house.recorder.aborted, 1);
	house_close(&house);
}
END_TEST

START_TEST(unix_socket)
{
	struct house house;
	struct client client;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	char folder[] = "/tmp/stagepost-test-XXXXXX";
	char address[200];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/smtp", folder);
	(void)snprintf(address, sizeof(address), "unix:%s", name.sun_path);
	house_init(&house);
	house.rig.listener.network_count = 0; /* is about addresses */
	{
		struct listener_options two[2] = {house.rig.listener, house.rig.listener};
		struct err why;

		two[1].address = address;
		house.rig.settings.listeners = two;
		house.rig.settings.listener_count = 2;
		for (int i = 0; i < DOOR_LOOPS; i++) {
			house.rig.loops[i] = loop_new("door");
			ck_assert_int_eq(loop_start(house.rig.loops[i], &why), ERR_OK);
		}
		ck_assert_int_eq(smtp_front_start(&house.rig.env, &house.rig.settings,
						  &house.rig.front, &why),
				 ERR_OK);
		client.fd = socket(AF_UNIX, SOCK_STREAM, 0);
		ck_assert_int_eq(connect(client.fd, (struct sockaddr *)&name, sizeof(name)), 0);
		buf_init(&client.input, 1 << 16);
		reply_parser_init(&client.parser);
		client_expect(&client, "220");
		client_ask(&client, "EHLO x.test", "250");
		client_begin(&client, "b@y.test");
		client_ask(&client, ".", "250 2.0.0");
		client_close(&client);
		ck_assert_str_eq(house.recorder.mails[0].client.address, "unix");
		house_close(&house);
	}
	(void)unlink(name.sun_path);
	(void)rmdir(folder);
}
END_TEST

/* Many at once on all loops; every message is answered once. */
static void *send_some(void *arg)
{
	struct door_rig *rig = arg;

	for (int i = 0; i < 4; i++) {
		struct client client;

		client_greet(&client, rig);
		client_begin(&client, "b@y.test");
		client_ask(&client, "Subject: x\r\n\r\nhello\r\n.", "250 2.0.0");
		client_ask(&client, "QUIT", "221 2.0.0");
		client_close(&client);
	}
	return NULL;
}

START_TEST(many_clients)
{
	struct house house;
	pthread_t threads[16];

	house_init(&house);
	rig_open(&house.rig);
	for (int i = 0; i < 16; i++)
		pthread_create(&threads[i], NULL, send_some, &house.rig);
	for (int i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(recorder_count(&house.recorder), 64);
	WAIT_FOR(house_status(&house).sessions == 0);
	ck_assert_uint_eq(house_status(&house).connections, 64);
	ck_assert_uint_eq(house_status(&house).messages, 64);
	house_close(&house);
}
END_TEST

UNIT_MAIN("smtp/listener", networks, limit_in_all, descriptors_kept, given_socket,
	  limit_of_a_client, mistakes, in_use, reload, reload_with_idle_sessions, stop,
	  stop_with_the_next_message_sent_ahead, close_does_not_wait, stop_without_patience,
	  unix_socket, many_clients)
