/* admin/listen.c - the two listening sockets of the API */
#include <config.h>

#include "admin/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/span.h"

#define BACKLOG 128

static int fail(const char *what, const char *address, struct err *why)
{
	int code = errno == EADDRINUSE		       ? ERR_CONFLICT
		   : errno == EACCES || errno == EPERM ? ERR_DENIED
						       : ERR_IO;

	return err_set(why, code, "can't %s %s: %s", what, address, strerror(errno));
}

/* "host:port" or "[host]:port" into two C strings. */
static bool split(const char *address, char *host_out, size_t size, const char **port_out)
{
	struct span text = span_of(address);
	size_t colon = span_find_last(text, ':');
	struct span host = span_first(text, colon);

	if (colon == text.len || colon + 1 == text.len)
		return false;
	if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_make(host.data + 1, host.len - 2);
	else if (span_find(host, ':') != host.len)
		return false;
	if (host.len == 0 || host.len >= size)
		return false;
	memcpy(host_out, host.data, host.len);
	host_out[host.len] = '\0';
	*port_out = address + colon + 1;
	return true;
}

static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t len)
{
	if (bind(fd, address, len) != 0)
		return -1;
	return listen(fd, BACKLOG);
}

static void name_bound(int fd, char bound_out[LISTEN_TEXT_SIZE])
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	char host[48] = "";
	char port[8] = "";

	if (getsockname(fd, (struct sockaddr *)&address, &len) == 0)
		(void)getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port,
				  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	(void)snprintf(bound_out, LISTEN_TEXT_SIZE,
		       address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int listen_tcp(const char *address, int *fd_out, char bound_out[LISTEN_TEXT_SIZE], struct err *why)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	const char *port;
	char host[256];
	int code = ERR_OK;
	int fd;

	if (!split(address, host, sizeof(host), &port) ||
	    getaddrinfo(host, port, &hints, &found) != 0)
		return err_set(why, ERR_SYNTAX, "%s is no address to listen on (host:port)",
			       address);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
	    bind_and_listen(fd, found->ai_addr, found->ai_addrlen) != 0)
		code = fail("listen on", address, why);
	freeaddrinfo(found);
	if (code != ERR_OK) {
		if (fd >= 0)
			(void)close(fd);
		return code;
	}
	name_bound(fd, bound_out);
	*fd_out = fd;
	return ERR_OK;
}

int listen_unix(const char *path, int *fd_out, struct err *why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(why, ERR_LIMIT,
			       "%s is too long for a unix socket (%zu octets at most): choose a "
			       "shorter data_dir",
			       path, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode of the socket before bind(2) is the mode of the file bind makes. */
	if (fd < 0 || fchmod(fd, 0600) != 0 ||
	    bind_and_listen(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		int code = fail("listen on", path, why);

		if (fd >= 0)
			(void)close(fd);
		return code;
	}
	*fd_out = fd;
	return ERR_OK;
}
