/* tests relay/loop/stream.c: connections that we make */
#include <config.h>

#include "relay/loop/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

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
	rig_settle(loop);
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

UNIT_MAIN("loop/stream_connect", connecting_and_speaking_first,
	  a_refused_connection_ends_with_the_reason, an_unanswered_connection_ends_at_its_deadline)
