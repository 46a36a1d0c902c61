/* relay/loop/socket.c - small truths about sockets; for relay/loop/ only */
#include <config.h>

#include "relay/loop/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

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

const char *socket_error_text(int error, char *text_out, size_t size)
{
	return strerror_r(error, text_out, size); /* the GNU one: we ask for it in configure.ac */
}
