/* tests/unit/loop/rig.c - a running loop, and calls into its thread that wait for their end */
#include <config.h>

#include "tests/unit/loop/rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct call {
	struct loop_task task;
	void (*call)(void *arg);
	void *arg;
	sem_t done;
};

static void run_call(struct loop_task *task)
{
	struct call *call = (struct call *)task;

	call->call(call->arg);
	sem_post(&call->done);
}

void rig_run(struct loop *loop, void (*function)(void *arg), void *arg)
{
	struct call call = {.task = {.run = run_call}, .call = function, .arg = arg};

	sem_init(&call.done, 0, 0);
	ck_assert(loop_post(loop, &call.task));
	while (sem_wait(&call.done) < 0)
		ck_assert_int_eq(errno, EINTR);
	sem_destroy(&call.done);
}

struct loop *rig_start(void)
{
	struct loop *loop = loop_new("test");
	struct err why;

	ck_assert_int_eq(loop_start(loop, &why), ERR_OK);
	return loop;
}

static void nothing(void *arg)
{
}

void rig_turn(struct loop *loop)
{
	rig_run(loop, nothing, NULL);
}

void rig_settle(struct loop *loop)
{
	usleep(20000);
	rig_turn(loop);
}

/* --- callbacks that take notes ----------------------------------------------- */

static void enter(struct rig_stream *rig)
{
	ck_assert(loop_is_current(rig->loop));
	ck_assert_int_eq(rig->depth, 0);
	rig->depth++;
}

static void note_input(void *ctx)
{
	struct rig_stream *rig = ctx;

	enter(rig);
	rig->inputs++;
	if (rig->on_input != NULL)
		rig->on_input(rig);
	rig->depth--;
}

static void note_drained(void *ctx)
{
	struct rig_stream *rig = ctx;

	enter(rig);
	rig->drains++;
	if (rig->on_drained != NULL)
		rig->on_drained(rig);
	rig->depth--;
}

static void note_end(void *ctx, int code, const char *why)
{
	struct rig_stream *rig = ctx;

	enter(rig);
	rig->ends++;
	rig->end_code = code;
	strncpy(rig->end_why, why, sizeof(rig->end_why) - 1);
	if (rig->on_end != NULL)
		rig->on_end(rig);
	else
		rig_note(rig);
	rig->depth--;
}

static void note_secured(void *ctx)
{
	struct rig_stream *rig = ctx;

	enter(rig);
	rig->secured = true;
	if (rig->on_secured != NULL)
		rig->on_secured(rig);
	rig->depth--;
}

void rig_connected(void *ctx)
{
	struct rig_stream *rig = ctx;

	enter(rig);
	rig->connected = true;
	if (rig->on_connected != NULL)
		rig->on_connected(rig);
	rig->depth--;
}

const struct stream_ops rig_ops = {note_input, note_drained, note_end, note_secured};

/* --- streams ----------------------------------------------------------------- */

void rig_init(struct rig_stream *rig, struct loop *loop)
{
	rig->loop = loop;
	sem_init(&rig->happened, 0, 0);
}

struct opening {
	struct rig_stream *rig;
	int fd;
};

static void open_stream(void *arg)
{
	struct opening *opening = arg;
	struct rig_stream *rig = opening->rig;

	rig->stream = stream_new(rig->loop, opening->fd, rig->options, &rig_ops, rig);
}

void rig_open(struct rig_stream *rig, struct loop *loop, int fd)
{
	struct opening opening = {rig, fd};

	rig_init(rig, loop);
	rig_run(loop, open_stream, &opening);
}

static void free_stream(void *arg)
{
	struct rig_stream *rig = arg;

	stream_free(&rig->stream);
}

void rig_close(struct rig_stream *rig)
{
	rig_run(rig->loop, free_stream, rig);
	sem_destroy(&rig->happened);
}

void rig_wait(struct rig_stream *rig)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (sem_timedwait(&rig->happened, &until) < 0)
		ck_assert_int_eq(errno, EINTR);
}

void rig_note(struct rig_stream *rig)
{
	sem_post(&rig->happened);
}

void rig_write(struct rig_stream *rig, const char *text)
{
	ck_assert_int_eq(stream_write(rig->stream, span_of(text)), ERR_OK);
}

void rig_pause(void *arg)
{
	stream_pause(((struct rig_stream *)arg)->stream);
}

void rig_resume(void *arg)
{
	stream_resume(((struct rig_stream *)arg)->stream);
}

void rig_consume_all(struct rig_stream *rig)
{
	struct span in = stream_input(rig->stream);

	rig->total_in += in.len;
	stream_consume(rig->stream, in.len);
}

void rig_keep(struct rig_stream *rig)
{
	rig->total_in = stream_input(rig->stream).len;
}

void rig_free(struct rig_stream *rig)
{
	stream_free(&rig->stream);
	ck_assert_ptr_null(rig->stream);
	rig_note(rig);
}

/* --- the other end ----------------------------------------------------------- */

static void set_patience(int fd)
{
	const struct timeval patience = {.tv_sec = 10};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

void rig_pair(int fds[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	set_patience(fds[1]);
}

void rig_tcp_pair(int fds[2])
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&name, &len);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&name, len), 0);
	/* What is sent in two pieces is there, in both, before the first is acknowledged. */
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fds[0] = accept(listener, NULL, NULL);
	ck_assert_int_ge(fds[0], 0);
	close(listener);
	set_patience(fds[1]);
}

void rig_send(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void rig_expect(int fd, const char *text)
{
	char got[512] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		ssize_t n = recv(fd, got + len, strlen(text) - len, 0);

		ck_assert_int_gt(n, 0);
		len += (size_t)n;
	}
	ck_assert_str_eq(got, text);
}

void rig_expect_end(int fd)
{
	char c;

	ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
}
