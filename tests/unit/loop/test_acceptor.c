/* tests relay/loop/acceptor.c */
#include <config.h>

#include "relay/loop/acceptor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

#define MAX_TAKEN 64

/* Takes what it is given; its counters are read by rig_run. */
struct door {
	struct loop *loop;
	struct acceptor *acceptor;
	int fd;
	int taken[MAX_TAKEN];
	int count;
	int seen;
	bool leaves_after_first;
};

static void take(void *ctx, int fd, const struct sockaddr_storage *peer)
{
	struct door *door = ctx;

	ck_assert(loop_is_current(door->loop));
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert(peer->ss_family == AF_INET || peer->ss_family == AF_INET6 ||
		  peer->ss_family == AF_UNIX);
	ck_assert_int_lt(door->count, MAX_TAKEN);
	door->taken[door->count++] = fd;
	if (door->leaves_after_first)
		acceptor_free(&door->acceptor);
}

static void open_door(void *arg)
{
	struct door *door = arg;

	door->acceptor = acceptor_new(door->loop, door->fd, take, door);
}

static void close_door(void *arg)
{
	struct door *door = arg;

	acceptor_free(&door->acceptor);
	while (door->count > 0)
		close(door->taken[--door->count]);
}

static void count(void *arg)
{
	struct door *door = arg;

	door->seen = door->count;
}

static int taken_by(struct door *door)
{
	rig_run(door->loop, count, door);
	return door->seen;
}

static void wait_for(struct door *door, int want)
{
	for (int i = 0; i < 1000 && taken_by(door) < want; i++)
		usleep(5000);
	ck_assert_int_eq(taken_by(door), want);
}

static int knock(int listener)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int fd;

	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	fd = socket(name.ss_family, SOCK_STREAM, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static int must_bind(const char *address, bool share)
{
	struct err why = {""};
	int fd = -1;

	ck_assert_msg(acceptor_bind(address, share, &fd, &why) == ERR_OK, "%s", why.text);
	return fd;
}

static void serve(const char *address, const char *name_start)
{
	struct door door = {.loop = rig_start(), .fd = must_bind(address, false)};
	char name[STREAM_NAME_SIZE];
	int clients[3];

	acceptor_name(door.fd, name, sizeof(name));
	ck_assert_int_eq(strncmp(name, name_start, strlen(name_start)), 0);
	rig_run(door.loop, open_door, &door);
	for (int i = 0; i < 3; i++)
		clients[i] = knock(door.fd);
	wait_for(&door, 3);
	rig_run(door.loop, close_door, &door);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	loop_free(&door.loop);
}

START_TEST(serves_ipv4)
{
	serve("127.0.0.1:0", "127.0.0.1:");
}
END_TEST

START_TEST(serves_a_name)
{
	serve("localhost:0", "");
}
END_TEST

START_TEST(serves_ipv6)
{
	int probe = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	if (probe < 0 || bind(probe, (struct sockaddr *)&name, sizeof(name)) < 0)
		printf("# skipped: this machine has no ::1\n");
	else
		serve("[::1]:0", "[::1]:");
	if (probe >= 0)
		close(probe);
}
END_TEST

static void make_folder(char *path)
{
	ck_assert_ptr_nonnull(mkdtemp(path));
}

START_TEST(serves_a_unix_socket_and_replaces_an_old_one)
{
	char folder[] = "/tmp/stagepost-test-XXXXXX";
	char address[64];
	struct stat st;
	struct err why;
	int fd;

	make_folder(folder);
	snprintf(address, sizeof(address), "unix:%s/s", folder);
	serve(address, address);
	serve(address, address); /* the first one's file is still there */
	ck_assert_int_eq(stat(address + 5, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0660);
	fd = must_bind(address, false);
	ck_assert_int_eq(acceptor_bind(address, false, &(int){0}, &why), ERR_BUSY);
	close(fd);
	unlink(address + 5);
	fd = open(address + 5, O_CREAT | O_WRONLY, 0600);
	close(fd);
	ck_assert_int_eq(acceptor_bind(address, false, &(int){0}, &why), ERR_BUSY);
	ck_assert_int_eq(stat(address + 5, &st), 0); /* a plain file is not ours to remove */
	unlink(address + 5);
	rmdir(folder);
}
END_TEST

START_TEST(sharing_gives_every_loop_a_socket)
{
	int first = must_bind("127.0.0.1:0", true);
	char name[STREAM_NAME_SIZE];
	struct err why;
	int second;

	acceptor_name(first, name, sizeof(name));
	second = must_bind(name, true);
	ck_assert_int_eq(acceptor_bind(name, false, &(int){0}, &why), ERR_BUSY);
	ck_assert_ptr_nonnull(strstr(why.text, "is in use by another program"));
	close(first);
	close(second);
}
END_TEST

START_TEST(a_bad_address_is_refused)
{
	static const char *const bad[] = {
		"",	    "127.0.0.1", ":25",		 "127.0.0.1:",	     "127.0.0.1:x",
		"::1:25",   "[::1]",	 "[]:25",	 "127.0.0.1:65536",  "127.0.0.1:-1",
		"unix:rel", "unix:",	 "127.0.0.1: 5", "127.0.0.1:000025",
	};
	int fd = -7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err why = {""};

		ck_assert_msg(acceptor_bind(bad[i], false, &fd, &why) == ERR_SYNTAX, "%s", bad[i]);
		ck_assert_str_ne(why.text, "");
		ck_assert_int_eq(fd, -7);
	}
}
END_TEST

START_TEST(freed_in_on_accept)
{
	struct door door = {.loop = rig_start(),
			    .fd = must_bind("127.0.0.1:0", false),
			    .leaves_after_first = true};
	int listener = dup(door.fd);
	int first = knock(listener);
	int second = knock(listener);

	rig_run(door.loop, open_door, &door);
	wait_for(&door, 1);
	rig_run(door.loop, close_door, &door);
	close(first);
	close(second);
	close(listener);
	loop_free(&door.loop);
}
END_TEST

static int64_t cpu_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static void let_one_go(void *arg)
{
	struct door *door = arg;

	close(door->taken[--door->count]);
}

/* The peer is told: not left hanging in the queue. */
static bool is_turned_away(int fd)
{
	const struct timeval patience = {.tv_sec = 5};
	char c;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return recv(fd, &c, 1, 0) <= 0 && errno != EAGAIN;
}

/* CASES S080: no descriptors left. */
START_TEST(s080_running_out_of_descriptors)
{
	struct door door = {.loop = rig_start(), .fd = must_bind("127.0.0.1:0", false)};
	struct rlimit limit;
	int clients[8];
	int late;
	int64_t begin;

	rig_run(door.loop, open_door, &door);
	for (int i = 0; i < 8; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		ck_assert_int_ge(clients[i], 0);
	}
	late = socket(AF_INET, SOCK_STREAM, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)late + 1 + 4; /* four more, then none */
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 8; i++) {
		struct sockaddr_storage name;
		socklen_t len = sizeof(name);

		getsockname(door.fd, (struct sockaddr *)&name, &len);
		ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&name, len), 0);
	}
	wait_for(&door, 4);
	begin = cpu_ms();
	for (int i = 4; i < 8; i++)
		ck_assert(is_turned_away(clients[i]));
	ck_assert_int_lt(cpu_ms() - begin, 200); /* it took 400 ms of rests, not of spinning */
	rig_run(door.loop, let_one_go, &door);
	{
		struct sockaddr_storage name;
		socklen_t len = sizeof(name);

		getsockname(door.fd, (struct sockaddr *)&name, &len);
		ck_assert_int_eq(connect(late, (struct sockaddr *)&name, len), 0);
	}
	wait_for(&door, 4); /* three and the late one */
	rig_run(door.loop, close_door, &door);
	loop_free(&door.loop);
}
END_TEST

/* CASES S079: connections that are gone before they are accepted. */
START_TEST(s079_a_storm_of_resets)
{
	struct door door = {.loop = rig_start(), .fd = must_bind("127.0.0.1:0", false)};
	const struct linger at_once = {1, 0};
	int last;
	int before;

	for (int i = 0; i < 40; i++) {
		int fd = knock(door.fd);

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
	}
	rig_run(door.loop, open_door, &door);
	usleep(20000);
	before = taken_by(&door);
	last = knock(door.fd);
	wait_for(&door, before + 1);
	rig_run(door.loop, close_door, &door);
	close(last);
	loop_free(&door.loop);
}
END_TEST

UNIT_MAIN("loop/acceptor", serves_ipv4, serves_a_name, serves_ipv6,
	  serves_a_unix_socket_and_replaces_an_old_one, sharing_gives_every_loop_a_socket,
	  a_bad_address_is_refused, freed_in_on_accept, s080_running_out_of_descriptors,
	  s079_a_storm_of_resets)
