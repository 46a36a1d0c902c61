/* tests relay/loop/stream.c and stream_run.c: how a connection ends, from either side */
#include <config.h>

#include "relay/loop/inside.h"
#include "relay/loop/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

START_TEST(freed_in_on_end)
{
	struct rig_stream rig = {.on_end = rig_free};
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

static void say_bye(struct rig_stream *rig)
{
	ck_assert_int_eq(rig->end_code, ERR_CLOSED);
	rig_write(rig, "bye\r\n");
	stream_close(&rig->stream, 1000);
}

START_TEST(a_peer_that_shut_its_side_still_hears_us)
{
	struct rig_stream rig = {.on_input = rig_consume_all, .on_end = say_bye};
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
	struct rig_stream rig = {.number = 300, .on_input = rig_consume_all};
	struct loop *loop = rig_start();
	int fds[2];

	rig_tcp_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, rig_pause, &rig);
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

/* The next hop says why and goes; our write meets a reset, and still the reason is read. */
START_TEST(what_the_peer_said_before_it_went_is_read)
{
	struct rig_stream rig = {.on_input = rig_keep};
	struct loop *loop = rig_start();
	const struct linger at_once = {1, 0};
	int fds[2];

	rig_tcp_pair(fds);
	rig_open(&rig, loop, fds[0]);
	rig_run(loop, rig_pause, &rig);
	rig_send(fds[1], "421 4.3.2 going down\r\n");
	setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fds[1]);
	rig_settle(loop);
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

UNIT_MAIN("loop/stream_end", freed_in_on_end, a_peer_that_shut_its_side_still_hears_us,
	  closing_lets_the_peer_hear_the_reason, a_loop_ends_what_still_lingers,
	  s076_those_that_linger_are_few, what_the_peer_said_before_it_went_is_read)
