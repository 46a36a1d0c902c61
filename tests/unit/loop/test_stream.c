/* tests relay/loop/stream.c in clear: big transfers, input, idle ones (test_tls.c: in TLS) */
#include <config.h>

#include "relay/loop/stream.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

/* A cheap random sequence; both ends can make it. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* --- big transfers both ways ------------------------------------------------- */

struct echo {
	struct rig_stream rig;
	struct loop_timer pause;
	uint64_t random;
};

static void echo_some(struct rig_stream *rig)
{
	struct echo *echo = (struct echo *)rig;
	struct span in = stream_input(rig->stream);
	size_t room = stream_output_room(rig->stream);
	size_t len = 1 + next_random(&echo->random) % (in.len + 1);

	len = len < in.len ? len : in.len;
	len = len < room ? len : room;
	ck_assert_int_eq(stream_write(rig->stream, span_first(in, len)), ERR_OK);
	stream_consume(rig->stream, len);
	if (next_random(&echo->random) % 64 == 0 || len == room) {
		stream_pause(rig->stream);
		loop_timer_set(&echo->pause, next_random(&echo->random) % 3);
	} else if (stream_input(rig->stream).len > 0) {
		stream_resume(rig->stream); /* asks for the rest */
	}
}

static void go_on(struct loop_timer *timer)
{
	struct echo *echo = (struct echo *)((char *)timer - offsetof(struct echo, pause));

	stream_resume(echo->rig.stream);
}

static void init_pause(void *arg)
{
	struct echo *echo = arg;

	loop_timer_init(&echo->pause, echo->rig.loop, go_on);
}

static void stop_pause(void *arg)
{
	loop_timer_stop(&((struct echo *)arg)->pause);
}

static void *send_big(void *arg)
{
	int fd = *(int *)arg;
	uint64_t random = 42;
	char block[9000];
	size_t left = RIG_BIG;

	while (left > 0) {
		size_t len = 1 + next_random(&random) % sizeof(block);
		uint64_t fill = left;

		len = len < left ? len : left;
		for (size_t i = 0; i < len; i++)
			block[i] = (char)((fill - i) * 2654435761u >> 13);
		for (size_t put = 0; put < len;) {
			ssize_t n = send(fd, block + put, len - put, MSG_NOSIGNAL);

			ck_assert_int_gt(n, 0);
			put += (size_t)n;
		}
		left -= len;
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void check_big(int fd)
{
	char block[7000];
	size_t left = RIG_BIG;

	while (left > 0) {
		ssize_t n = recv(fd, block, sizeof(block), 0);

		size_t wrong = 0;

		ck_assert_int_gt(n, 0);
		for (ssize_t i = 0; i < n; i++, left--)
			wrong += block[i] != (char)(left * 2654435761u >> 13);
		ck_assert_uint_eq(wrong, 0);
	}
}

static void echo_big(const struct stream_options *options)
{
	struct echo echo = {.random = 7};
	struct loop *loop = rig_start();
	pthread_t sender;
	int fds[2];

	rig_tcp_pair(fds);
	echo.rig.loop = loop;
	echo.rig.options = options;
	echo.rig.on_input = echo_some;
	rig_run(loop, init_pause, &echo);
	rig_open(&echo.rig, loop, fds[0]);
	pthread_create(&sender, NULL, send_big, &fds[1]);
	check_big(fds[1]);
	pthread_join(sender, NULL);
	rig_wait(&echo.rig);
	ck_assert_int_eq(echo.rig.end_code, ERR_CLOSED);
	rig_run(loop, stop_pause, &echo);
	ck_assert_uint_eq(stream_bytes_in(echo.rig.stream), RIG_BIG);
	ck_assert_uint_eq(stream_bytes_out(echo.rig.stream), RIG_BIG);
	rig_close(&echo.rig);
	close(fds[1]);
	loop_free(&loop);
}

START_TEST(what_is_sent_comes_back_with_small_buffers)
{
	const struct stream_options options = {.input_max = 5000, .output_max = 7000};

	echo_big(&options);
}
END_TEST

START_TEST(what_is_sent_comes_back_with_default_buffers)
{
	echo_big(NULL);
}
END_TEST

/* --- input: pause, ceiling, what is left ------------------------------------- */

static void note_all(struct rig_stream *rig)
{
	rig_consume_all(rig);
	rig_note(rig);
}

START_TEST(a_paused_stream_reads_nothing)
{
	struct rig_stream rig = {.on_input = note_all};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, rig_pause, &rig);
	rig_send(fds[1], "hello");
	rig_settle(loop);
	ck_assert_int_eq(rig.inputs, 0);
	rig_run(loop, rig_resume, &rig);
	rig_wait(&rig);
	ck_assert_uint_eq(rig.total_in, 5);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

static void expect_16(void *arg)
{
	struct rig_stream *rig = arg;

	ck_assert_uint_eq(stream_input(rig->stream).len, 16);
	ck_assert(span_is(stream_input(rig->stream), "0123456789abcdef"));
	stream_consume(rig->stream, 4);
	ck_assert(span_is(stream_input(rig->stream), "456789abcdef"));
}

START_TEST(reading_stops_at_the_ceiling_and_goes_on_below_it)
{
	const struct stream_options options = {.input_max = 16};
	struct rig_stream rig = {.options = &options, .on_input = rig_note};
	struct loop *loop = rig_start();
	int fds[2];
	int left;

	rig_tcp_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_send(fds[1], "0123456789");
	rig_wait(&rig);
	rig_send(fds[1], "abcdefghijkl");
	rig_wait(&rig);
	rig_settle(loop);
	ck_assert_int_eq(rig.inputs, 2);
	ck_assert_int_eq(ioctl(fds[0], FIONREAD, &left), 0);
	ck_assert_int_eq(left, 6);
	rig_run(loop, expect_16, &rig);
	rig_wait(&rig); /* "ghij" came without a resume */
	ck_assert_int_eq(rig.inputs, 3);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

/* One line a callback, like a session that answers one command at a time. */
static void take_a_line(struct rig_stream *rig)
{
	struct span in = stream_input(rig->stream);
	size_t end = span_find(in, '\n');

	if (end == in.len)
		return;
	stream_write(rig->stream, span_first(in, end + 1));
	stream_consume(rig->stream, end + 1);
	stream_resume(rig->stream);
}

START_TEST(resume_offers_what_is_left)
{
	struct rig_stream rig = {.on_input = take_a_line};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_send(fds[1], "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nni");
	rig_expect(fds[1], "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n");
	rig_send(fds[1], "ne\n");
	rig_expect(fds[1], "nine\n");
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

/* --- freed by their owner ---------------------------------------------------- */

START_TEST(freed_in_on_input)
{
	struct rig_stream rig = {.on_input = rig_free};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_send(fds[1], "x");
	rig_wait(&rig);
	/* Closed with "x" unconsumed in our buffer, not in the socket's: a clean end. */
	rig_expect_end(fds[1]);
	ck_assert_int_eq(rig.ends, 0);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

static void free_partner(struct rig_stream *rig)
{
	struct rig_stream *partner = rig->arg;

	stream_free(&rig->stream);
	stream_free(&partner->stream);
	rig_note(rig);
	rig_note(partner);
}

static void resume_both(void *arg)
{
	struct rig_stream *rig = arg;
	struct rig_stream *partner = rig->arg;

	stream_resume(rig->stream);
	stream_resume(partner->stream);
}

/* Both have an event in the same turn; whoever comes first ends both. */
START_TEST(freed_from_another_streams_callback)
{
	struct loop *loop = rig_start();

	for (int i = 0; i < 50; i++) {
		struct rig_stream a = {.on_input = free_partner};
		struct rig_stream b = {.on_input = free_partner};
		int first[2];
		int second[2];

		rig_pair(first);
		rig_pair(second);
		a.arg = &b;
		b.arg = &a;
		rig_open(&a, loop, first[0]);
		rig_open(&b, loop, second[0]);
		rig_run(loop, rig_pause, &a);
		rig_run(loop, rig_pause, &b);
		rig_send(first[1], "x");
		rig_send(second[1], "x");
		rig_run(loop, resume_both, &a);
		rig_wait(&a);
		rig_wait(&b);
		rig_turn(loop); /* the callback that told us has returned */
		ck_assert_int_eq(a.inputs + b.inputs, 1);
		close(first[1]);
		close(second[1]);
	}
	loop_free(&loop);
}
END_TEST

/* --- what idle ones cost ----------------------------------------------------- */

#define IDLE 400

static void answer_and_note(struct rig_stream *rig)
{
	rig_consume_all(rig);
	rig_write(rig, "250 OK\r\n");
}

START_TEST(an_idle_stream_costs_little)
{
	struct rig_stream *rigs = mem_array(IDLE, sizeof(*rigs));
	int(*fds)[2] = mem_array(IDLE, sizeof(*fds));
	struct loop *loop = rig_start();
	size_t before;
	size_t after;

	for (int i = 0; i < IDLE; i++)
		rig_pair(fds[i]);
	before = mallinfo2().uordblks;
	for (int i = 0; i < IDLE; i++) {
		rigs[i].on_input = answer_and_note;
		rig_open(&rigs[i], loop, fds[i][0]);
		rig_send(fds[i][1], "EHLO client.example\r\n");
		rig_expect(fds[i][1], "250 OK\r\n");
	}
	rig_settle(loop);
	after = mallinfo2().uordblks;
	printf("# %zu bytes an idle stream\n", (after - before) / IDLE);
	/* Sanitizers keep their own books: mallinfo2 says 0 there. */
	ck_assert_uint_lt((after - before) / IDLE, 768);
	for (int i = 0; i < IDLE; i++) {
		rig_close(&rigs[i]);
		close(fds[i][1]);
	}
	loop_free(&loop);
	mem_free(rigs);
	mem_free(fds);
}
END_TEST

UNIT_MAIN("loop/stream", what_is_sent_comes_back_with_small_buffers,
	  what_is_sent_comes_back_with_default_buffers, a_paused_stream_reads_nothing,
	  reading_stops_at_the_ceiling_and_goes_on_below_it, resume_offers_what_is_left,
	  freed_in_on_input, freed_from_another_streams_callback, an_idle_stream_costs_little)
