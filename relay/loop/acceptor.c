/* relay/loop/acceptor.c - listening sockets: accept, and survive running out of descriptors */
#include <config.h>

#include "relay/loop/acceptor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/span.h"
#include "relay/loop/inside.h"
#include "relay/loop/socket.h"

#define BACKLOG	   1024
#define PER_TURN   64 /* then the connections already open get their say */
#define REST_MS	   100
#define UNIX_MODE  0660
#define HOST_SIZE  256
#define TEXT_BOUND 120 /* of an address in a sentence */

/* --- binding ----------------------------------------------------------------- */

static int fail_bind(const char *address, int error, struct err *why)
{
	char text[SOCKET_ERROR_SIZE];

	switch (error) {
	case EADDRINUSE:
		return err_set(why, ERR_BUSY, "%.*s is in use by another program", TEXT_BOUND,
			       address);
	case EACCES:
	case EPERM:
		return err_set(why, ERR_DENIED,
			       "%.*s: not permitted; choose a port from 1024 up (such as 2525), or "
			       "start as root or with CAP_NET_BIND_SERVICE",
			       TEXT_BOUND, address);
	default:
		return err_set(why, ERR_IO, "%.*s: %s", TEXT_BOUND, address,
			       socket_error_text(error, text, sizeof(text)));
	}
}

/* "host:port" or "[v6]:port" into its two halves. */
static bool split_host_port(struct span text, char host_out[HOST_SIZE], char port_out[6])
{
	size_t colon = span_find_last(text, ':');
	struct span host = span_first(text, colon);
	struct span port = span_skip(text, colon + 1);
	uint64_t number;

	if (host.len > 1 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_make(host.data + 1, host.len - 2);
	else if (span_find(host, ':') < host.len)
		return false; /* a bare IPv6 address: which colon is the port's? */
	if (colon == text.len || host.len == 0 || host.len >= HOST_SIZE || port.len > 5 ||
	    span_to_u64(port, 65535, &number) != ERR_OK)
		return false;
	snprintf(host_out, HOST_SIZE, "%.*s", SPAN_ARG(host));
	snprintf(port_out, 6, "%.*s", SPAN_ARG(port));
	return true;
}

static int listen_on(const struct addrinfo *info, bool share, const char *address, int *fd_out,
		     struct err *why)
{
	int one = 1;
	int saved;
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail_bind(address, errno, why);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (share)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	/* [::] is IPv6 only: with 0.0.0.0 beside it nobody is in anybody's way. */
	if (info->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
		*fd_out = fd;
		return ERR_OK;
	}
	saved = errno;
	close(fd);
	return fail_bind(address, saved, why);
}

static int bind_inet(const char *address, bool share, int *fd_out, struct err *why)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	char host[HOST_SIZE];
	char port[6];
	int code;

	if (!split_host_port(span_of(address), host, port))
		return err_set(why, ERR_SYNTAX,
			       "\"%.*s\" is not host:port, [IPv6]:port or unix:/path", TEXT_BOUND,
			       address);
	code = getaddrinfo(host, port, &hints, &found);
	if (code != 0)
		return err_set(why, ERR_IO, "%.*s: %s", TEXT_BOUND, address, gai_strerror(code));
	code = listen_on(found, share, address, fd_out, why);
	freeaddrinfo(found);
	return code;
}

/* A socket file that answers is in use; one that refuses was left behind and goes. */
static int clear_unix_path(const struct sockaddr_un *name, const char *address, struct err *why)
{
	struct stat st;
	int probe;
	int refused;

	if (lstat(name->sun_path, &st) < 0)
		return errno == ENOENT ? ERR_OK : fail_bind(address, errno, why);
	if (!S_ISSOCK(st.st_mode))
		return err_set(why, ERR_BUSY, "%.*s exists and is not a socket", TEXT_BOUND,
			       address);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return fail_bind(address, errno, why);
	refused = connect(probe, (const struct sockaddr *)name, sizeof(*name)) < 0 &&
		  errno == ECONNREFUSED;
	close(probe);
	if (!refused)
		return fail_bind(address, EADDRINUSE, why);
	if (unlink(name->sun_path) < 0 && errno != ENOENT)
		return fail_bind(address, errno, why);
	return ERR_OK;
}

static int bind_unix(const char *address, const char *path, int *fd_out, struct err *why)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int saved;
	int code;
	int fd;

	if (path[0] != '/' || strlen(path) >= sizeof(name.sun_path))
		return err_set(why, ERR_SYNTAX,
			       "\"%.*s\": the path must be absolute and under %zu bytes",
			       TEXT_BOUND, address, sizeof(name.sun_path));
	memcpy(name.sun_path, path, strlen(path) + 1);
	code = clear_unix_path(&name, address, why);
	if (code != ERR_OK)
		return code;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_bind(address, errno, why);
	/* Before bind: there is no moment at which everybody may connect. */
	if (fchmod(fd, UNIX_MODE) == 0 &&
	    bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0 &&
	    chmod(path, UNIX_MODE) == 0 && listen(fd, BACKLOG) == 0) {
		*fd_out = fd;
		return ERR_OK;
	}
	saved = errno;
	close(fd);
	return fail_bind(address, saved, why);
}

int acceptor_bind(const char *address, bool share, int *fd_out, struct err *why)
{
	if (span_starts_fold(span_of(address), "unix:"))
		return bind_unix(address, address + strlen("unix:"), fd_out, why);
	return bind_inet(address, share, fd_out, why);
}

void acceptor_name(int fd, char *text_out, size_t size)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		name.ss_family = AF_UNSPEC;
	socket_format(&name, len, text_out, size);
}

/* --- accepting --------------------------------------------------------------- */

struct acceptor {
	struct loop_turn turn; /* for its end: it may be freed from its own callback */
	struct loop *loop;
	int fd; /* -1: freed */
	int reserve;
	ev_io io;
	struct loop_timer rest;
	void (*on_accept)(void *ctx, int fd, const struct sockaddr_storage *peer);
	void *ctx;
};

static void take_reserve(struct acceptor *acceptor)
{
	if (acceptor->reserve < 0)
		acceptor->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int accept_one(struct acceptor *acceptor, struct sockaddr_storage *peer_out)
{
	socklen_t len = sizeof(*peer_out);

	memset(peer_out, 0, sizeof(*peer_out));
	return accept4(acceptor->fd, (struct sockaddr *)peer_out, &len,
		       SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* A newcomer that is closed can try elsewhere; one that waits in the queue hangs. */
static void turn_one_away(struct acceptor *acceptor)
{
	struct sockaddr_storage peer;
	int fd;

	if (acceptor->reserve < 0)
		return;
	close(acceptor->reserve);
	acceptor->reserve = -1;
	fd = accept_one(acceptor, &peer);
	if (fd >= 0)
		close(fd);
	take_reserve(acceptor);
}

static void rest(struct acceptor *acceptor)
{
	ev_io_stop(loop_ev(acceptor->loop), &acceptor->io);
	loop_timer_set(&acceptor->rest, REST_MS);
}

/* True: go on accepting. accept(2): what a dead connection left behind is not our trouble. */
static bool survive(struct acceptor *acceptor, int error)
{
	switch (error) {
	case EAGAIN: return false;
	case EMFILE:
	case ENFILE:
		turn_one_away(acceptor);
		rest(acceptor);
		return false;
	case ENOBUFS:
	case ENOMEM:
	case EBADF:
	case EINVAL:
	case ENOTSOCK: rest(acceptor); return false;
	default: return true; /* ECONNABORTED, EINTR, EPROTO, EPERM, ENETDOWN, … */
	}
}

static void on_acceptable(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct acceptor *acceptor = watcher->data;

	for (int i = 0; i < PER_TURN && acceptor->fd >= 0; i++) {
		struct sockaddr_storage peer;
		int fd = accept_one(acceptor, &peer);

		if (fd >= 0)
			acceptor->on_accept(acceptor->ctx, fd, &peer);
		else if (!survive(acceptor, errno))
			break;
	}
}

static void on_rested(struct loop_timer *timer)
{
	struct acceptor *acceptor =
		(struct acceptor *)((char *)timer - offsetof(struct acceptor, rest));

	take_reserve(acceptor);
	ev_io_start(loop_ev(acceptor->loop), &acceptor->io);
}

static void on_last_turn(struct loop_turn *turn)
{
	mem_free(turn);
}

struct acceptor *
acceptor_new(struct loop *loop, int fd,
	     void (*on_accept)(void *ctx, int fd, const struct sockaddr_storage *peer), void *ctx)
{
	struct acceptor *acceptor = mem_zalloc(sizeof(*acceptor));

	loop_assert_owner(loop);
	/* One that was handed to us may block: accept() would then hold up the whole loop. */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	acceptor->turn.run = on_last_turn;
	acceptor->loop = loop;
	acceptor->fd = fd;
	acceptor->reserve = -1;
	take_reserve(acceptor);
	acceptor->on_accept = on_accept;
	acceptor->ctx = ctx;
	loop_timer_init(&acceptor->rest, loop, on_rested);
	ev_io_init(&acceptor->io, on_acceptable, fd, EV_READ);
	acceptor->io.data = acceptor;
	ev_io_start(loop_ev(loop), &acceptor->io);
	loop_count_owned(loop, 1);
	return acceptor;
}

void acceptor_free(struct acceptor **acceptor_ptr)
{
	struct acceptor *acceptor = *acceptor_ptr;

	if (acceptor == NULL)
		return;
	loop_assert_owner(acceptor->loop);
	*acceptor_ptr = NULL;
	loop_count_owned(acceptor->loop, -1);
	ev_io_stop(loop_ev(acceptor->loop), &acceptor->io);
	loop_timer_stop(&acceptor->rest);
	close(acceptor->fd);
	acceptor->fd = -1;
	if (acceptor->reserve >= 0)
		close(acceptor->reserve);
	loop_turn_add(acceptor->loop, &acceptor->turn);
}
