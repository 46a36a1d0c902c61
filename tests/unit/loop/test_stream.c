/* tests relay/loop/stream.c in clear (test_tls.c: the same in TLS) */
#include <config.h>

#include "relay/loop/inside.h"
#include "relay/loop/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

#define BIG ((size_t)4 << 20)

/* A cheap random sequence; both ends can make it. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void consume_all(struct rig_stream *rig)
{
	struct span in = stream_input(rig->stream);

	rig->total_in += in.len;
	stream_consume(rig->stream, in.len);
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
	size_t left = BIG;

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
	size_t left = BIG;

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
	ck_assert_uint_eq(stream_bytes_in(echo.rig.stream), BIG);
	ck_assert_uint_eq(stream_bytes_out(echo.rig.stream), BIG);
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

/* --- output: ceiling, low water, write deadline ------------------------------ */

static void write_until_full(struct rig_stream *rig)
{
	char block[1000];

	memset(block, 'x', sizeof(block));
	while (rig->number < BIG) {
		if (stream_write(rig->stream, span_make(block, sizeof(block))) != ERR_OK) {
			ck_assert_uint_lt(stream_output_room(rig->stream), sizeof(block));
			return;
		}
		rig->number += sizeof(block);
	}
	stream_close(&rig->stream, 0);
	rig_note(rig);
}

static void start_writing(void *arg)
{
	write_until_full(arg);
}

START_TEST(a_writer_goes_on_at_low_water)
{
	const struct stream_options options = {.output_max = 20000, .low_water = 5000};
	struct rig_stream rig = {.options = &options, .on_drained = write_until_full};
	struct loop *loop = rig_start();
	size_t total = 0;
	char block[30000];
	ssize_t n;
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, start_writing, &rig);
	while ((n = recv(fds[1], block, sizeof(block), 0)) > 0)
		total += (size_t)n;
	ck_assert_int_eq(n, 0);
	ck_assert_uint_ge(total, BIG);
	ck_assert_uint_eq(total, rig.number);
	rig_wait(&rig);
	ck_assert_int_ge(rig.drains, (int)(BIG / 20000));
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

static void write_much(void *arg)
{
	struct rig_stream *rig = arg;
	char *much = mem_zalloc(BIG);

	ck_assert_int_eq(stream_write(rig->stream, span_make(much, BIG)), ERR_OK);
	ck_assert_int_eq(stream_write(rig->stream, span_make(much, 1)), ERR_LIMIT);
	ck_assert_uint_eq(stream_output_pending(rig->stream), BIG);
	mem_free(much);
}

/* CASES S078: a client that never reads. */
START_TEST(s078_a_peer_that_takes_nothing_is_given_up)
{
	const struct stream_options options = {.output_max = BIG, .write_deadline_ms = 150};
	struct rig_stream rig = {.options = &options};
	struct loop *loop = rig_start();
	int64_t begin = clock_mono_ms();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, write_much, &rig);
	rig_wait(&rig);
	ck_assert_int_eq(rig.end_code, ERR_TIMEOUT);
	ck_assert_str_eq(rig.end_why, "the peer takes no data");
	ck_assert_int_ge(clock_mono_ms() - begin, 149);
	ck_assert_uint_eq(stream_output_pending(rig.stream), 0);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

/* The deadline is for *some* bytes: a slow peer may take longer than it in all. */
START_TEST(a_slow_reader_is_not_a_dead_one)
{
	const struct stream_options options = {.output_max = BIG, .write_deadline_ms = 200};
	struct rig_stream rig = {.options = &options};
	struct loop *loop = rig_start();
	static char block[BIG / 8];
	int64_t begin = clock_mono_ms();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, write_much, &rig);
	for (int i = 0; i < 8; i++) {
		usleep(60000);
		ck_assert_int_eq(recv(fds[1], block, sizeof(block), MSG_WAITALL),
				 (ssize_t)sizeof(block));
	}
	ck_assert_int_ge(clock_mono_ms() - begin, 400);
	ck_assert_int_eq(rig.ends, 0);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

/* --- input: pause, ceiling, what is left ------------------------------------- */

static void note_all(struct rig_stream *rig)
{
	consume_all(rig);
	rig_note(rig);
}

static void pause_it(void *arg)
{
	stream_pause(((struct rig_stream *)arg)->stream);
}

static void resume_it(void *arg)
{
	stream_resume(((struct rig_stream *)arg)->stream);
}

static void nothing(void *arg)
{
}

/* Long enough for the loop to have seen what was sent. */
static void settle(struct loop *loop)
{
	usleep(20000);
	rig_run(loop, nothing, NULL);
}

START_TEST(a_paused_stream_reads_nothing)
{
	struct rig_stream rig = {.on_input = note_all};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, pause_it, &rig);
	rig_send(fds[1], "hello");
	settle(loop);
	ck_assert_int_eq(rig.inputs, 0);
	rig_run(loop, resume_it, &rig);
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

static void note_only(struct rig_stream *rig)
{
	rig_note(rig);
}

START_TEST(reading_stops_at_the_ceiling_and_goes_on_below_it)
{
	const struct stream_options options = {.input_max = 16};
	struct rig_stream rig = {.options = &options, .on_input = note_only};
	struct loop *loop = rig_start();
	int fds[2];
	int left;

	rig_tcp_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_send(fds[1], "0123456789");
	rig_wait(&rig);
	rig_send(fds[1], "abcdefghijkl");
	rig_wait(&rig);
	settle(loop);
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

/* --- deadlines --------------------------------------------------------------- */

static void set_deadline(void *arg)
{
	struct rig_stream *rig = arg;

	stream_deadline(rig->stream, (int64_t)rig->number);
}

START_TEST(bytes_trickling_in_do_not_move_the_deadline)
{
	struct rig_stream rig = {.on_input = consume_all, .number = 60000};
	struct loop *loop = rig_start();
	int64_t begin;
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, set_deadline, &rig);
	rig.number = 100; /* moved to come earlier */
	begin = clock_mono_ms();
	rig_run(loop, set_deadline, &rig);
	while (sem_trywait(&rig.happened) < 0) {
		send(fds[1], "x", 1, MSG_NOSIGNAL);
		usleep(10000);
		ck_assert_int_lt(clock_mono_ms() - begin, 10000);
	}
	ck_assert_int_eq(rig.end_code, ERR_TIMEOUT);
	ck_assert_int_ge(clock_mono_ms() - begin, 99);
	ck_assert_int_gt(rig.inputs, 2);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

START_TEST(a_deadline_moved_away_or_taken_away_does_not_pass)
{
	struct rig_stream rig = {.number = 30};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, set_deadline, &rig);
	rig.number = 60000;
	rig_run(loop, set_deadline, &rig);
	usleep(60000);
	rig.number = 30;
	rig_run(loop, set_deadline, &rig);
	rig.number = 0;
	rig_run(loop, set_deadline, &rig);
	usleep(60000);
	settle(loop);
	ck_assert_int_eq(rig.ends, 0);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

static void answer_in_time(struct rig_stream *rig)
{
	consume_all(rig);
	stream_deadline(rig->stream, 0);
	rig_note(rig);
}

/* The peer speaks in time, but the loop is busy until after the deadline. */
static void be_late(void *arg)
{
	struct rig_stream *rig = arg;

	stream_deadline(rig->stream, 50);
	rig_send(*(int *)rig->arg, "in time");
	usleep(100000);
}

START_TEST(what_came_in_time_counts_when_the_loop_is_late)
{
	struct rig_stream rig = {.on_input = answer_in_time, .on_end = rig_note};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig.arg = &fds[1];
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, be_late, &rig);
	rig_wait(&rig);
	settle(loop);
	ck_assert_int_eq(rig.inputs, 1);
	ck_assert_int_eq(rig.ends, 0);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

static void say_421(struct rig_stream *rig)
{
	rig_write(rig, "421 4.4.2 timeout\r\n");
	stream_close(&rig->stream, 1000);
}

START_TEST(after_a_timeout_there_is_a_last_word)
{
	struct rig_stream rig = {.number = 20, .on_end = say_421};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, set_deadline, &rig);
	rig_expect(fds[1], "421 4.4.2 timeout\r\n");
	rig_expect_end(fds[1]);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

/* --- ends -------------------------------------------------------------------- */

static void free_it(struct rig_stream *rig)
{
	stream_free(&rig->stream);
	ck_assert_ptr_null(rig->stream);
	rig_note(rig);
}

START_TEST(freed_in_on_input)
{
	struct rig_stream rig = {.on_input = free_it};
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

START_TEST(freed_in_on_drained)
{
	const struct stream_options options = {.output_max = BIG};
	struct rig_stream rig = {.options = &options, .on_drained = free_it};
	struct loop *loop = rig_start();
	static char block[BIG];
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, write_much, &rig);
	while (recv(fds[1], block, sizeof(block), 0) > 0)
		;
	rig_wait(&rig);
	ck_assert_int_eq(rig.drains, 1);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

START_TEST(freed_in_on_end)
{
	struct rig_stream rig = {.on_end = free_it};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	close(fds[1]);
	rig_wait(&rig);
	ck_assert_int_eq(rig.ends, 1);
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
		rig_run(loop, pause_it, &a);
		rig_run(loop, pause_it, &b);
		rig_send(first[1], "x");
		rig_send(second[1], "x");
		rig_run(loop, resume_both, &a);
		rig_wait(&a);
		rig_wait(&b);
		rig_run(loop, nothing, NULL); /* the callback that told us has returned */
		ck_assert_int_eq(a.inputs + b.inputs, 1);
		close(first[1]);
		close(second[1]);
	}
	loop_free(&loop);
}
END_TEST

static void say_bye(struct rig_stream *rig)
{
	ck_assert_int_eq(rig->end_code, ERR_CLOSED);
	rig_write(rig, "bye\r\n");
	stream_close(&rig->stream, 1000);
}

START_TEST(a_peer_that_shut_its_side_still_hears_us)
{
	struct rig_stream rig = {.on_input = consume_all, .on_end = say_bye};
	struct loop *loop = rig_start();
	int fds[2];

	rig_tcp_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_send(fds[1], "QUIT\r\n");
	shutdown(fds[1], SHUT_WR);
	rig_expect(fds[1], "bye\r\n");
	rig_expect_end(fds[1]);
	close(fds[1]);
	loop_free(&loop);
	ck_assert_uint_eq(rig.total_in, 6);
}
END_TEST

static void write_last_and_close(void *arg)
{
	struct rig_stream *rig = arg;

	rig_write(rig, "554 go away\r\n");
	stream_close(&rig->stream, (int64_t)rig->number);
	ck_assert_ptr_null(rig->stream);
}

static bool is_writable(int fd)
{
	return send(fd, "more", 4, MSG_NOSIGNAL) == 4;
}

/* A client in the middle of its DATA: closing at once would make the kernel throw our words away.
 */
START_TEST(closing_lets_the_peer_hear_the_reason)
{
	struct rig_stream rig = {.number = 300, .on_input = consume_all};
	struct loop *loop = rig_start();
	int fds[2];

	rig_tcp_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, pause_it, &rig);
	for (int i = 0; i < 100; i++)
		rig_send(fds[1], "some line that nobody will read any more\r\n");
	rig_run(loop, write_last_and_close, &rig);
	for (int i = 0; i < 10; i++)
		ck_assert(is_writable(fds[1]));
	rig_expect(fds[1], "554 go away\r\n");
	rig_expect_end(fds[1]);
	ck_assert(is_writable(fds[1])); /* it lingers … */
	usleep(400000);
	is_writable(fds[1]);
	usleep(20000);
	ck_assert(!is_writable(fds[1])); /* … and then has gone */
	ck_assert_int_eq(rig.ends, 0);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

START_TEST(a_loop_ends_what_still_lingers)
{
	struct rig_stream rig = {.number = 60000};
	struct loop *loop = rig_start();
	int fds[2];

	rig_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, write_last_and_close, &rig);
	loop_free(&loop);
	rig_expect(fds[1], "554 go away\r\n");
	rig_expect_end(fds[1]);
	close(fds[1]);
}
END_TEST

#define CLOSED (LOOP_ORPHANS_MAX + 8)

/* Nobody counts a connection any more that its owner has closed: peers can't pile them up. */
START_TEST(s076_those_that_linger_are_few)
{
	struct rig_stream *rigs = mem_array(CLOSED, sizeof(*rigs));
	int(*fds)[2] = mem_array(CLOSED, sizeof(*fds));
	struct loop *loop = rig_start();
	size_t left = 0;

	for (int i = 0; i < CLOSED; i++) {
		rig_pair(fds[i]);
		rigs[i].number = 60000;
		rig_open(&rigs[i], loop, fds[i][0]);
		rig_run(loop, write_last_and_close, &rigs[i]);
	}
	for (int i = 0; i < CLOSED; i++) {
		rig_expect(fds[i][1], "554 go away\r\n"); /* of those that had to go, too */
		rig_expect_end(fds[i][1]);
	}
	for (int i = 0; i < CLOSED; i++)
		left += is_writable(fds[i][1]) ? 1 : 0;
	ck_assert_uint_eq(left, LOOP_ORPHANS_MAX);
	ck_assert(is_writable(fds[CLOSED - 1][1]));
	ck_assert(!is_writable(fds[0][1])); /* the oldest first */
	for (int i = 0; i < CLOSED; i++)
		close(fds[i][1]);
	loop_free(&loop);
	mem_free(rigs);
	mem_free(fds);
}
END_TEST

static void write_something(void *arg)
{
	struct rig_stream *rig = arg;

	rig_write(rig, "MAIL FROM:<a@b.example>\r\n");
	stream_resume(rig->stream);
}

static void keep(struct rig_stream *rig)
{
	rig->total_in = stream_input(rig->stream).len;
}

/* The next hop says why and goes; our write meets a reset, and still the reason is read. */
START_TEST(what_the_peer_said_before_it_went_is_read)
{
	struct rig_stream rig = {.on_input = keep};
	struct loop *loop = rig_start();
	const struct linger at_once = {1, 0};
	int fds[2];

	rig_tcp_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, pause_it, &rig);
	rig_send(fds[1], "421 4.3.2 going down\r\n");
	setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fds[1]);
	settle(loop);
	rig_run(loop, write_something, &rig);
	rig_wait(&rig);
	ck_assert_uint_eq(rig.total_in, 22);
	ck_assert_int_eq(rig.ends, 1);
	ck_assert_int_eq(rig.end_code, ERR_IO);
	rig_run(loop, write_something, &rig); /* into nothing */
	ck_assert_uint_eq(stream_output_pending(rig.stream), 0);
	rig_close(&rig);
	loop_free(&loop);
}
END_TEST

/* --- connecting -------------------------------------------------------------- */

struct dialling {
	struct rig_stream rig;
	struct sockaddr_in to;
	struct sockaddr_in from;
	int64_t deadline_ms;
	int code;
	struct err why;
};

static void dial(void *arg)
{
	struct dialling *d = arg;
	bool has_source = d->from.sin_family != 0;

	d->code = stream_connect(d->rig.loop, &d->to, sizeof(d->to), has_source ? &d->from : NULL,
				 has_source ? sizeof(d->from) : 0, d->deadline_ms, NULL, &rig_ops,
				 &d->rig, rig_connected, &d->rig.stream, &d->why);
	if (d->code == ERR_OK)
		rig_write(&d->rig, "first words\r\n");
}

static int make_listener(int backlog, struct sockaddr_in *name_out)
{
	socklen_t len = sizeof(*name_out);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*name_out = (struct sockaddr_in){.sin_family = AF_INET,
					 .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)name_out, len), 0);
	if (backlog >= 0)
		ck_assert_int_eq(listen(fd, backlog), 0);
	getsockname(fd, (struct sockaddr *)name_out, &len);
	return fd;
}

START_TEST(connecting_and_speaking_first)
{
	struct dialling d = {.deadline_ms = 10000};
	struct loop *loop = rig_start();
	int listener = make_listener(5, &d.to);
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char name[STREAM_NAME_SIZE];
	char want[STREAM_NAME_SIZE];
	int fd;

	d.from = (struct sockaddr_in){.sin_family = AF_INET,
				      .sin_addr = {.s_addr = htonl(0x7f000002)}};
	rig_init(&d.rig, loop);
	rig_run(loop, dial, &d);
	ck_assert_int_eq(d.code, ERR_OK);
	fd = accept(listener, (struct sockaddr *)&peer, &len);
	ck_assert_uint_eq(ntohl(peer.sin_addr.s_addr), 0x7f000002);
	rig_expect(fd, "first words\r\n");
	settle(loop);
	ck_assert(d.rig.connected);
	stream_peer_name(d.rig.stream, name);
	snprintf(want, sizeof(want), "127.0.0.1:%u", ntohs(d.to.sin_port));
	ck_assert_str_eq(name, want);
	rig_close(&d.rig);
	close(fd);
	close(listener);
	loop_free(&loop);
}
END_TEST

START_TEST(a_refused_connection_ends_with_the_reason)
{
	struct dialling d = {.deadline_ms = 10000};
	struct loop *loop = rig_start();
	int bound = make_listener(-1, &d.to); /* bound, not listening */

	rig_init(&d.rig, loop);
	rig_run(loop, dial, &d);
	if (d.code == ERR_OK) {
		rig_wait(&d.rig);
		ck_assert_int_eq(d.rig.end_code, ERR_IO);
		ck_assert_str_eq(d.rig.end_why, "Connection refused");
	} else {
		ck_assert_int_eq(d.code, ERR_IO);
		ck_assert_str_eq(d.why.text, "connect: Connection refused");
	}
	ck_assert(!d.rig.connected);
	rig_close(&d.rig);
	close(bound);
	loop_free(&loop);
}
END_TEST

/* A listener whose queue is full answers no SYN. */
START_TEST(an_unanswered_connection_ends_at_its_deadline)
{
	struct dialling d = {.deadline_ms = 100};
	struct loop *loop = rig_start();
	int listener = make_listener(0, &d.to);
	int fillers[4];
	int64_t begin;

	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], (struct sockaddr *)&d.to, sizeof(d.to));
	}
	usleep(20000);
	rig_init(&d.rig, loop);
	begin = clock_mono_ms();
	rig_run(loop, dial, &d);
	ck_assert_int_eq(d.code, ERR_OK);
	rig_wait(&d.rig);
	ck_assert_int_ge(clock_mono_ms() - begin, 99);
	ck_assert_int_eq(d.rig.end_code, ERR_TIMEOUT);
	ck_assert_str_eq(d.rig.end_why, "no connection in time");
	rig_close(&d.rig);
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(listener);
	loop_free(&loop);
}
END_TEST

/* --- what idle ones cost ----------------------------------------------------- */

#define IDLE 400

static void answer_and_note(struct rig_stream *rig)
{
	consume_all(rig);
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
	settle(loop);
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
	  what_is_sent_comes_back_with_default_buffers, a_writer_goes_on_at_low_water,
	  s078_a_peer_that_takes_nothing_is_given_up, a_slow_reader_is_not_a_dead_one,
	  a_paused_stream_reads_nothing, reading_stops_at_the_ceiling_and_goes_on_below_it,
	  resume_offers_what_is_left, bytes_trickling_in_do_not_move_the_deadline,
	  a_deadline_moved_away_or_taken_away_does_not_pass,
	  what_came_in_time_counts_when_the_loop_is_late, after_a_timeout_there_is_a_last_word,
	  freed_in_on_input, freed_in_on_drained, freed_in_on_end,
	  freed_from_another_streams_callback, a_peer_that_shut_its_side_still_hears_us,
	  closing_lets_the_peer_hear_the_reason, a_loop_ends_what_still_lingers,
	  s076_those_that_linger_are_few, what_the_peer_said_before_it_went_is_read,
	  connecting_and_speaking_first, a_refused_connection_ends_with_the_reason,
	  an_unanswered_connection_ends_at_its_deadline, an_idle_stream_costs_little)
