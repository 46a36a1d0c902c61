/* tests relay/loop/stream.c: output, its ceiling, low water and write deadline */
#include <config.h>

#include "relay/loop/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

static void write_until_full(struct rig_stream *rig)
{
	char block[1000];

	memset(block, 'x', sizeof(block));
	while (rig->number < RIG_BIG) {
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
	ck_assert_uint_ge(total, RIG_BIG);
	ck_assert_uint_eq(total, rig.number);
	rig_wait(&rig);
	ck_assert_int_ge(rig.drains, (int)(RIG_BIG / 20000));
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

static void write_much(void *arg)
{
	struct rig_stream *rig = arg;
	char *much = mem_zalloc(RIG_BIG);

	ck_assert_int_eq(stream_write(rig->stream, span_make(much, RIG_BIG)), ERR_OK);
	ck_assert_int_eq(stream_write(rig->stream, span_make(much, 1)), ERR_LIMIT);
	ck_assert_uint_eq(stream_output_pending(rig->stream), RIG_BIG);
	mem_free(much);
}

/* CASES S078: a client that never reads. */
START_TEST(s078_a_peer_that_takes_nothing_is_given_up)
{
	const struct stream_options options = {.output_max = RIG_BIG, .write_deadline_ms = 150};
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
	const struct stream_options options = {.output_max = RIG_BIG, .write_deadline_ms = 200};
	struct rig_stream rig = {.options = &options};
	struct loop *loop = rig_start();
	static char block[RIG_BIG / 8];
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

START_TEST(freed_in_on_drained)
{
	const struct stream_options options = {.output_max = RIG_BIG};
	struct rig_stream rig = {.options = &options, .on_drained = rig_free};
	struct loop *loop = rig_start();
	static char block[RIG_BIG];
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

UNIT_MAIN("loop/stream_output", a_writer_goes_on_at_low_water,
	  s078_a_peer_that_takes_nothing_is_given_up, a_slow_reader_is_not_a_dead_one,
	  freed_in_on_drained)
