/* tests relay/loop/stream.c: the deadline for what is to come in */
#include <config.h>

#include "relay/loop/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

static void set_deadline(void *arg)
{
	struct rig_stream *rig = arg;

	stream_deadline(rig->stream, (int64_t)rig->number);
}

START_TEST(bytes_trickling_in_do_not_move_the_deadline)
{
	struct rig_stream rig = {.on_input = rig_consume_all, .number = 60000};
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
	rig_settle(loop);
	ck_assert_int_eq(rig.ends, 0);
	rig_close(&rig);
	close(fds[1]);
	loop_free(&loop);
}
END_TEST

static void answer_in_time(struct rig_stream *rig)
{
	rig_consume_all(rig);
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
	rig_settle(loop);
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

UNIT_MAIN("loop/stream_deadline", bytes_trickling_in_do_not_move_the_deadline,
	  a_deadline_moved_away_or_taken_away_does_not_pass,
	  what_came_in_time_counts_when_the_loop_is_late, after_a_timeout_there_is_a_last_word)
