/* relay/loop/socket.c - small truths about sockets; for relay/loop/ only */
#include <config.h>

#include "relay/loop/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

static void format_unix(const struct sockaddr_un *address, socklen_t len, char *text_out,
			size_t size)
{
	size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t path_len = len > head ? strnlen(address->sun_path, len - head) : 0;

	snprintf(text_out, size, "unix:%.*s", (int)path_len, address->sun_path);
}

void socket_format(const struct sockaddr_storage *address, socklen_t len, char *text_out,
		   size_t size)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;
	char number[INET6_ADDRSTRLEN] = "?";

	switch (address->ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &v4->sin_addr, number, sizeof(number));
		snprintf(text_out, size, "%s:%u", number, ntohs(v4->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &v6->sin6_addr, number, sizeof(number));
		snprintf(text_out, size, "[%s]:%u", number, ntohs(v6->sin6_port));
		break;
	case AF_UNIX: format_unix((const void *)address, len, text_out, size); break;
	default: snprintf(text_out, size, "unknown"); break;
	}
}

void socket_prepare(int fd)
{
	int one = 1;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	/* Fails on unix sockets, which have no Nagle to turn off. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void socket_acknowledge(int fd)
{
	int one = 1;

	/* Not for good: the kernel leaves this mode by itself whenever we send. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

size_t socket_unsent(int fd)
{
	int octets = 0;

	return ioctl(fd, SIOCOUTQNSD, &octets) == 0 && octets > 0 ? (size_t)octets : 0;
}

void socket_reset_on_close(int fd)
{
	static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

const char *socket_error_text(int error, char *text_out, size_t size)
{
	return strerror_r(error, text_out, size); /* the GNU one: we ask for it in configure.ac */
}

int socket_connect(const void *address, size_t address_len, const void *source, size_t source_len,
		   int *fd_out, struct err *why)
{
	const struct sockaddr *target = address;
	char text[SOCKET_ERROR_SIZE];
	const char *what = "no socket";
	int one = 1;
	int fd = socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		goto failed;
	if (source != NULL) {
		what = "source address";
		/* The port is chosen in connect(), where four numbers tell connections apart. */
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, source, (socklen_t)source_len) < 0)
			goto failed;
	}
	what = "connect";
	/* Interrupted it goes on by itself, like one in progress. */
	if (connect(fd, target, (socklen_t)address_len) < 0 && errno != EINPROGRESS &&
	    errno != EINTR)
		goto failed;
	*fd_out = fd;
	return ERR_OK;

failed:
	err_set(why, ERR_IO, "%s: %s", what, socket_error_text(errno, text, sizeof(text)));
	if (fd >= 0)
		close(fd);
	return ERR_IO;
}
