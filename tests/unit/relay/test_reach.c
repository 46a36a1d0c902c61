/* tests relay/reach.c (S185) */
#include <config.h> /* mkdtemp */

#include "relay/reach.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/unit.h"

START_TEST(own_listeners)
{
	static const struct {
		const char *address;
		const char *listener;
		bool same;
	} rows[] = {
		{"127.0.0.1:2525", "127.0.0.1:2525", true},
		{"127.0.0.1:2526", "127.0.0.1:2525", false},
		{"127.0.0.2:2525", "127.0.0.1:2525", false},
		{"127.0.0.2:2525", "0.0.0.0:2525", true},
		{"127.0.0.1:2525", "[::]:2525", true},
		{"[::1]:2525", "[::1]:2525", true},
		{"[::1]:2525", "127.0.0.1:2525", false},
		{"[::ffff:127.0.0.1]:2525", "127.0.0.1:2525", true},
		{"0.0.0.0:2525", "127.0.0.1:2525", true},
		{"192.0.2.55:2525", "0.0.0.0:2525", false},
		{"unix:/run/a", "unix:/run/a", true},
		{"unix:/run/a", "unix:/run/b", false},
		{"nonsense", "127.0.0.1:2525", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(reach_is_same(rows[i].address, rows[i].listener) == rows[i].same,
			      "%s against %s", rows[i].address, rows[i].listener);
}
END_TEST

START_TEST(one_socket_by_two_paths)
{
	char folder[] = "/tmp/stagepost-reach-XXXXXX";
	char path[64], socket_name[80], link_name[80];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un where = {.sun_family = AF_UNIX};

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(socket_name, sizeof(socket_name), "unix:%s", path);
	snprintf(where.sun_path, sizeof(where.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&where, sizeof(where)), 0);
	snprintf(link_name, sizeof(link_name), "unix:%s/link", folder);
	ck_assert_int_eq(symlink("socket", link_name + 5), 0);
	ck_assert(reach_is_same(link_name, socket_name));
	ck_assert(!reach_is_same("unix:/tmp/none-such", socket_name));
	ck_assert(!reach_is_same("127.0.0.1:25", socket_name));
	unlink(link_name + 5);
	unlink(path);
	rmdir(folder);
	close(fd);
}
END_TEST

START_TEST(equal_however_written)
{
	static const struct {
		const char *a;
		const char *b;
		bool equal;
	} rows[] = {
		{"127.0.0.1:25", "127.0.0.1:25", true},	 {"[::1]:25", "[0:0::1]:25", true},
		{"0.0.0.0:25", "0.0.0.0:25", true},	 {"0.0.0.0:25", "[::]:25", false},
		{"0.0.0.0:25", "127.0.0.1:25", false},	 {"127.0.0.1:25", "127.0.0.1:2", false},
		{"localhost:25", "127.0.0.1:25", false}, {"unix:/a", "unix:/a", true},
		{"unix:/a", "unix:/b", false},		 {"unix:/a", "127.0.0.1:25", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(reach_is_equal(rows[i].a, rows[i].b) == rows[i].equal, "%s and %s",
			      rows[i].a, rows[i].b);
}
END_TEST

UNIT_MAIN("relay/reach", own_listeners, one_socket_by_two_paths, equal_however_written)
