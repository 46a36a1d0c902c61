/* tests where TLS begins in relay/loop/stream.c: behind STARTTLS, behind a PROXY header */
#include <config.h>

#include "relay/loop/stream.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/loop/house.h"
#include "tests/unit/unit.h"

/* --- STARTTLS ---------------------------------------------------------------- */

static void answer_starttls(struct rig_stream *rig)
{
	struct span in = stream_input(rig->stream);

	if (rig->secured) {
		house_echo(rig);
		return;
	}
	ck_assert(span_starts_fold(in, "STARTTLS\r\n"));
	stream_consume(rig->stream, 10);
	house_start_tls(rig);
	ck_assert_int_eq(stream_write_clear(rig->stream, span_of("220 go ahead\r\n")), ERR_OK);
	rig_write(rig, "250 inside\r\n");
}

static void check_starttls(const char *injected, const char *later)
{
	struct house house = {.rig = {.on_input = answer_starttls}};
	char text[200];
	SSL *tls;

	house_build(&house);
	snprintf(text, sizeof(text), "STARTTLS\r\n%s", injected);
	rig_send(house.fds[1], text);
	rig_expect(house.fds[1], "220 go ahead\r\n"); /* in clear, and alone */
	if (later != NULL) {
		rig_send(house.fds[1], later);
		rig_wait(&house.rig);
		ck_assert_int_eq(house.rig.end_code, ERR_IO);
		house_tear_down(&house);
		return;
	}
	tls = house_meet_client(&house);
	house_expect(tls, "250 inside\r\n");
	house_send(tls, "EHLO again\r\n");
	house_expect(tls, "EHLO again\r\n");
	rig_run(house.loop, rig_pause, &house.rig);
	ck_assert_uint_eq(house.discarded, strlen(injected));
	ck_assert_uint_eq(house.rig.total_in, strlen("EHLO again\r\n"));
	SSL_free(tls);
	house_tear_down(&house);
}

START_TEST(starttls_sends_the_reply_in_clear_first)
{
	check_starttls("", NULL);
}
END_TEST

START_TEST(s053_plaintext_behind_starttls_is_discarded)
{
	check_starttls("EHLO x\r\nMAIL FROM:<a@x>\r\n", NULL);
}
END_TEST

START_TEST(s054_a_partial_line_behind_starttls_is_discarded)
{
	check_starttls("MAIL FRO", NULL);
}
END_TEST

START_TEST(s054_plaintext_before_the_client_hello_ends_the_connection)
{
	check_starttls("", "MAIL FROM:<a@x>\r\n");
}
END_TEST

/* --- behind a PROXY header --------------------------------------------------- */

/* The header and the beginning of TLS came together, the beginning of `split` octets of it. */
static void take_tls_behind_line(struct rig_stream *rig)
{
	struct house *house = rig->arg;
	struct span in = stream_input(rig->stream);
	size_t end = span_find(in, '\n');
	struct err why;

	if (rig->secured) {
		house_echo(rig);
		return;
	}
	if (in.len < house->discarded)
		return;
	ck_assert_uint_lt(end, in.len);
	stream_consume(rig->stream, end + 1);
	ck_assert_int_eq(stream_take_tls(rig->stream, house->server, 10000, &why), ERR_OK);
	ck_assert_uint_eq(stream_input(rig->stream).len, 0);
	stream_deadline(rig->stream, 0);
}

/* A client whose first octets go through the test's hands. */
static void meet_behind_line(size_t split)
{
	static const char line[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
	struct house house = {.rig = {.on_input = take_tls_behind_line}};
	BIO *out = BIO_new(BIO_s_mem());
	char first[4096];
	size_t len = sizeof(line) - 1;
	int hello;
	SSL *tls;

	house_build(&house);
	tls = SSL_new(house.client);
	SSL_set_connect_state(tls);
	BIO_up_ref(out);
	SSL_set_bio(tls, BIO_new(BIO_s_mem()), out);
	ck_assert_int_le(SSL_do_handshake(tls), 0);
	memcpy(first, line, len);
	hello = BIO_read(out, first + len, (int)(sizeof(first) - len));
	ck_assert_int_gt(hello, 100);
	split = split < (size_t)hello ? split : (size_t)hello;
	house.discarded = len + split;
	ck_assert_int_eq(send(house.fds[1], first, len + split, 0), (ssize_t)(len + split));
	usleep(20000);
	len += split;
	hello -= (int)split;
	ck_assert_int_eq(send(house.fds[1], first + len, (size_t)hello, 0), hello);
	SSL_set_fd(tls, house.fds[1]);
	ck_assert_int_eq(SSL_do_handshake(tls), 1);
	house_send(tls, "EHLO behind\r\n");
	house_expect(tls, "EHLO behind\r\n");
	ck_assert_uint_eq(house.rig.total_in, 13);
	ck_assert_uint_ge(stream_bytes_in(house.rig.stream), len + (size_t)hello + 13);
	BIO_free(out);
	SSL_free(tls);
	house_tear_down(&house);
}

START_TEST(tls_begins_in_what_was_read_already)
{
	static const size_t splits[] = {0, 1, 4, 5, 6, 100, 4096};

	for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++)
		meet_behind_line(splits[i]);
}
END_TEST

UNIT_MAIN("loop/tls_start", starttls_sends_the_reply_in_clear_first,
	  s053_plaintext_behind_starttls_is_discarded,
	  s054_a_partial_line_behind_starttls_is_discarded,
	  s054_plaintext_before_the_client_hello_ends_the_connection,
	  tls_begins_in_what_was_read_already)
