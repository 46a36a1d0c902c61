/* tests TLS in relay/loop/stream.c and relay/loop/transport.c, both sides, as it should be */
#include <config.h>

#include "relay/loop/stream.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/loop/house.h"
#include "tests/unit/unit.h"

static void go_on(struct rig_stream *rig)
{
	stream_resume(rig->stream);
}

/* --- as the server ----------------------------------------------------------- */

static void send_big(SSL *tls)
{
	char *block = mem_alloc(100000);

	for (size_t sent = 0; sent < RIG_BIG;) {
		size_t len = RIG_BIG - sent < 100000 ? RIG_BIG - sent : 100000;

		for (size_t i = 0; i < len; i++)
			block[i] = (char)((sent + i) * 2654435761u >> 13);
		if (SSL_write(tls, block, (int)len) != (int)len)
			break;
		sent += len;
	}
	mem_free(block);
}

/*
 * One SSL object is not for two threads, so nobody reads while 4 MiB are
 * sent: the server must keep them, or stop reading and go on later.
 */
START_TEST(big_transfers_come_back_whole)
{
	struct house house = {.rig = {.on_input = house_echo, .on_drained = go_on}};
	const struct stream_options options = {.output_max = RIG_BIG, .input_max = 40000};
	static char block[30000];
	size_t wrong = 0;
	SSL *tls;

	house.rig.options = &options;
	house_build(&house);
	rig_run(house.loop, house_start_tls_now, &house.rig);
	tls = house_meet_client(&house);
	send_big(tls);
	for (size_t got = 0; got < RIG_BIG;) {
		int n = SSL_read(tls, block, sizeof(block));

		ck_assert_int_gt(n, 0);
		for (int i = 0; i < n; i++, got++)
			wrong += block[i] != (char)(got * 2654435761u >> 13);
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert(house.rig.secured);
	ck_assert_int_eq(SSL_shutdown(tls), 0);
	rig_wait(&house.rig);
	ck_assert_int_eq(house.rig.end_code, ERR_CLOSED);
	ck_assert_int_eq(strncmp(stream_tls_description(house.rig.stream), "TLSv1.3 TLS_", 12), 0);
	ck_assert_uint_gt(stream_bytes_in(house.rig.stream), RIG_BIG);
	SSL_free(tls);
	house_tear_down(&house);
}
END_TEST

/* The owner reads two bytes at a time from one record: the rest is inside of OpenSSL. */
static void note_two(struct rig_stream *rig)
{
	struct span in = stream_input(rig->stream);

	ck_assert_uint_le(in.len, 2);
	rig->total_in += in.len;
	stream_consume(rig->stream, in.len);
	if (rig->total_in == 26)
		rig_note(rig);
}

START_TEST(what_waits_inside_of_tls_is_read)
{
	const struct stream_options options = {.input_max = 2};
	struct house house = {.rig = {.options = &options, .on_input = note_two}};
	SSL *tls;

	house_build(&house);
	rig_run(house.loop, house_start_tls_now, &house.rig);
	tls = house_meet_client(&house);
	house_send(tls, "abcdefghijklmnopqrstuvwxyz");
	rig_wait(&house.rig);
	ck_assert_int_ge(house.rig.inputs, 13);
	SSL_free(tls);
	house_tear_down(&house);
}
END_TEST

/* The end is told even when it arrived together with the bytes before it. */
START_TEST(bytes_and_close_notify_in_one_read)
{
	struct house house = {.rig = {.on_input = rig_keep}};
	SSL *tls;

	house_build(&house);
	rig_run(house.loop, house_start_tls_now, &house.rig);
	tls = house_meet_client(&house);
	rig_run(house.loop, rig_pause, &house.rig);
	house_send(tls, "QUIT\r\n");
	SSL_shutdown(tls);
	usleep(20000);
	rig_run(house.loop, rig_resume, &house.rig);
	rig_wait(&house.rig); /* the socket stays open: only the notify can have told it */
	ck_assert_uint_eq(house.rig.total_in, 6);
	ck_assert_int_eq(house.rig.end_code, ERR_CLOSED);
	SSL_free(tls);
	house_tear_down(&house);
}
END_TEST

/* --- we as the client -------------------------------------------------------- */

struct meeting {
	struct house house; /* the server's side */
	struct rig_stream client;
	const char *name;
	const char *names; /* of the certificate; NULL: HOUSE_NAME */
	SSL_CTX *context;
};

static void start_both(void *arg)
{
	struct meeting *meeting = arg;
	const struct stream_tls_client client = {
		.context = meeting->context, .name = meeting->name, .handshake_ms = 10000};
	struct err why;

	house_start_tls(&meeting->house.rig);
	ck_assert_int_eq(stream_start_tls_as_client(meeting->client.stream, &client, NULL, &why),
			 ERR_OK);
}

static void read_sni(void *arg)
{
	struct meeting *meeting = arg;
	SSL *tls = stream_tls(meeting->house.rig.stream);
	const char *sni = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);

	meeting->house.rig.number = sni != NULL && strcmp(sni, meeting->name) == 0;
}

/* Two streams meet. `trusted`: the client verifies and trusts the certificate; else another. */
static void meet(struct meeting *meeting, const char *name, bool trusted)
{
	struct certificate other;

	meeting->house.rig.on_secured = rig_note;
	house_build_with(&meeting->house, meeting->names != NULL ? meeting->names : HOUSE_NAME);
	certificate_make(&other, HOUSE_NAME);
	meeting->name = name;
	meeting->context = certificate_client(trusted ? &meeting->house.certificate : &other);
	meeting->client.on_secured = rig_note;
	rig_open(&meeting->client, meeting->house.loop, meeting->house.fds[1]);
	meeting->house.fds[1] = -1;
	rig_run(meeting->house.loop, start_both, meeting);
	rig_wait(&meeting->client);
	rig_wait(&meeting->house.rig); /* in TLS 1.3 the server is done a moment later */
	certificate_release(&other);
}

static void part(struct meeting *meeting)
{
	SSL_CTX_free(meeting->context);
	rig_close(&meeting->client);
	house_tear_down(&meeting->house);
}

START_TEST(a_client_verifies_the_name_and_sends_it)
{
	struct meeting meeting = {0};

	meet(&meeting, HOUSE_NAME, true);
	ck_assert(meeting.client.secured);
	rig_run(meeting.house.loop, read_sni, &meeting);
	ck_assert_uint_eq(meeting.house.rig.number, 1);
	part(&meeting);
}
END_TEST

START_TEST(a_client_verifies_an_address_without_sni)
{
	struct meeting meeting = {0};

	meet(&meeting, "127.0.0.1", true);
	ck_assert(meeting.client.secured);
	rig_run(meeting.house.loop, read_sni, &meeting);
	ck_assert_uint_eq(meeting.house.rig.number, 0);
	part(&meeting);
}
END_TEST

START_TEST(a_client_refuses_another_name)
{
	struct meeting meeting = {0};

	meet(&meeting, "other.test.example", true);
	ck_assert(!meeting.client.secured);
	ck_assert_int_eq(meeting.client.end_code, ERR_IO);
	ck_assert_str_eq(meeting.client.end_why,
			 "TLS handshake: the peer's certificate: hostname mismatch");
	part(&meeting);
}
END_TEST

/* RFC 9525 6.3: a wildcard is the whole first label, and stands for one. */
START_TEST(a_client_takes_wildcards_for_whole_labels)
{
	static const struct {
		const char *names, *name;
		bool good;
	} rows[] = {
		{"DNS:*.test.example,DNS:x", HOUSE_NAME, true},
		{"DNS:*.TEST.example,DNS:x", HOUSE_NAME, true},
		{"DNS:r*.test.example,DNS:x", HOUSE_NAME, false},
		{"DNS:*y.test.example,DNS:x", HOUSE_NAME, false},
		{"DNS:relay.*.example,DNS:x", HOUSE_NAME, false},
		{"DNS:*.example,DNS:x", HOUSE_NAME, false},
		{"DNS:*.relay.test.example,DNS:x", HOUSE_NAME, false},
		{"DNS:*.test.example,DNS:x", "test.example", false},
		{"DNS:*,DNS:x", HOUSE_NAME, false},
		{"DNS:127.0.0.1,DNS:x", "127.0.0.1", false},
		{"DNS:x,IP:::1", "::1", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct meeting meeting = {.names = rows[i].names};

		meet(&meeting, rows[i].name, true);
		ck_assert_msg(meeting.client.secured == rows[i].good, "%s for %s: %s",
			      rows[i].names, rows[i].name, meeting.client.end_why);
		part(&meeting);
	}
}
END_TEST

START_TEST(a_client_refuses_an_unknown_signer)
{
	struct meeting meeting = {0};

	meet(&meeting, HOUSE_NAME, false);
	ck_assert(!meeting.client.secured);
	ck_assert_int_eq(meeting.client.end_code, ERR_IO);
	part(&meeting);
}
END_TEST

/* --- closing ----------------------------------------------------------------- */

static void close_politely(void *arg)
{
	struct rig_stream *rig = arg;

	rig_write(rig, "221 bye\r\n");
	stream_close(&rig->stream, 1000);
}

START_TEST(closing_sends_close_notify)
{
	struct house house = {.rig = {.on_secured = rig_note}};
	SSL *tls;
	char c;

	house_build(&house);
	rig_run(house.loop, house_start_tls_now, &house.rig);
	tls = house_meet_client(&house);
	rig_wait(&house.rig); /* before it there is nobody to say good-bye to */
	rig_run(house.loop, close_politely, &house.rig);
	house_expect(tls, "221 bye\r\n");
	ck_assert_int_eq(SSL_get_error(tls, SSL_read(tls, &c, 1)), SSL_ERROR_ZERO_RETURN);
	SSL_free(tls);
	house_tear_down(&house);
}
END_TEST

START_TEST(freed_in_on_secured)
{
	struct house house = {.rig = {.on_secured = rig_free}};
	SSL *tls;

	house_build(&house);
	rig_run(house.loop, house_start_tls_now, &house.rig);
	tls = house_meet_client(&house);
	rig_wait(&house.rig);
	SSL_free(tls);
	house_tear_down(&house);
}
END_TEST

/* --- what idle ones cost ----------------------------------------------------- */

#define IDLE 40

START_TEST(an_idle_tls_stream_costs_what_openssl_costs)
{
	struct house house = {.rig = {.on_input = house_echo}};
	struct rig_stream *rigs = mem_array(IDLE, sizeof(*rigs));
	int(*fds)[2] = mem_array(IDLE, sizeof(*fds));
	SSL **clients = mem_array(IDLE, sizeof(SSL *));
	size_t together;
	size_t alone;

	house_build(&house);
	for (int i = 0; i < IDLE; i++) {
		rigs[i].arg = &house;
		rigs[i].on_input = house_echo;
		rig_tcp_pair(fds[i]);
		clients[i] = SSL_new(house.client);
		SSL_set_fd(clients[i], fds[i][1]);
		rig_open(&rigs[i], house.loop, fds[i][0]);
		rig_run(house.loop, house_start_tls_now, &rigs[i]);
		ck_assert_int_eq(SSL_connect(clients[i]), 1);
		house_send(clients[i], "EHLO client.example\r\n");
		house_expect(clients[i], "EHLO client.example\r\n");
	}
	together = mallinfo2().uordblks;
	for (int i = 0; i < IDLE; i++)
		rig_close(&rigs[i]);
	alone = mallinfo2().uordblks;
	printf("# %zu bytes an idle TLS stream\n", (together - alone) / IDLE);
	/* Without SSL_MODE_RELEASE_BUFFERS it is more than 30 KiB. Sanitizers: 0. */
	ck_assert_uint_lt((together - alone) / IDLE, 20000);
	for (int i = 0; i < IDLE; i++) {
		SSL_free(clients[i]);
		close(fds[i][1]);
	}
	house_tear_down(&house);
	mem_free(clients);
	mem_free(fds);
	mem_free(rigs);
}
END_TEST

UNIT_MAIN("loop/tls", big_transfers_come_back_whole, what_waits_inside_of_tls_is_read,
	  bytes_and_close_notify_in_one_read, a_client_verifies_the_name_and_sends_it,
	  a_client_verifies_an_address_without_sni, a_client_refuses_another_name,
	  a_client_takes_wildcards_for_whole_labels, a_client_refuses_an_unknown_signer,
	  closing_sends_close_notify, freed_in_on_secured,
	  an_idle_tls_stream_costs_what_openssl_costs)
