/* relay/activation.c - listening sockets that a service manager opened for us */
#include <config.h>

#include "relay/activation.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/span.h"
#include "relay/loop/acceptor.h"
#include "relay/reach.h"

#define FIRST_FD   3
#define COUNT_MAX  64 /* as many as there may be listeners */
#define NAME_BOUND 40

/* Meant for us, and not for the process that started us? */
static bool is_for_us(void)
{
	const char *pid = getenv("LISTEN_PID");
	uint64_t number;

	return pid != NULL && getenv("LISTEN_FDS") != NULL &&
	       span_to_u64(span_of(pid), INT32_MAX, &number) == ERR_OK &&
	       number == (uint64_t)getpid();
}

static bool is_listening(int fd)
{
	int type = 0;
	int listening = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
		return false;
	len = sizeof(listening);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening != 0;
}

/* Names stand between colons, in the order of the descriptors; there may be too few. */
static struct span next_name(struct span *names)
{
	size_t colon = span_find(*names, ':');
	struct span name = span_first(*names, colon);

	*names = span_skip(*names, colon < names->len ? colon + 1 : colon);
	return name;
}

/* "listeners.0"; SIZE_MAX: it names none. */
static size_t named_listener(struct span name, size_t count)
{
	static const char prefix[] = "listeners.";
	uint64_t number;

	if (!span_starts_fold(name, prefix) ||
	    span_to_u64(span_skip(name, sizeof(prefix) - 1), count - 1, &number) != ERR_OK)
		return SIZE_MAX;
	return (size_t)number;
}

static size_t listener_of(const char *bound, struct span name,
			  const struct listener_options *listeners, size_t count)
{
	size_t named = named_listener(name, count);

	for (size_t i = 0; i < count && named == SIZE_MAX; i++)
		if (reach_is_equal(bound, listeners[i].address))
			named = i;
	return named;
}

static bool has_one(const struct activation *activation, size_t listener)
{
	for (size_t i = 0; i < activation->count; i++)
		if (activation->given[i].listener == listener)
			return true;
	return false;
}

static int place(int fd, struct span name, const struct listener_options *listeners, size_t count,
		 struct activation *activation, struct err *why)
{
	char bound[STREAM_NAME_SIZE];
	size_t listener;

	name = span_first(name, NAME_BOUND);
	if (!is_listening(fd))
		return err_set(why, ERR_CONFLICT,
			       "descriptor %d (%.*s) that was handed over is no listening stream "
			       "socket",
			       fd, SPAN_ARG(name));
	acceptor_name(fd, bound, sizeof(bound));
	listener = listener_of(bound, name, listeners, count);
	if (listener == SIZE_MAX)
		return err_set(why, ERR_CONFLICT,
			       "descriptor %d (%.*s) that was handed over is bound to %.80s, which "
			       "no listener has; its name can say which one: listeners.0",
			       fd, SPAN_ARG(name), bound);
	if (has_one(activation, listener))
		return err_set(why, ERR_CONFLICT,
			       "descriptor %d (%.*s) is the second that was handed over for "
			       "listeners.%zu",
			       fd, SPAN_ARG(name), listener);
	activation->given[activation->count++] = (struct smtp_given){fd, listener};
	return ERR_OK;
}

static void close_all(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		(void)close(FIRST_FD + (int)i);
}

static int take(const struct listener_options *listeners, size_t listener_count,
		struct activation *activation, struct err *why)
{
	const char *names_text = getenv("LISTEN_FDNAMES");
	struct span names = span_of(names_text != NULL ? names_text : "");
	struct span fds = span_of(getenv("LISTEN_FDS"));
	uint64_t count;
	int code = ERR_OK;

	if (span_to_u64(fds, COUNT_MAX, &count) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "LISTEN_FDS is no number up to %d", COUNT_MAX);
	activation->given = mem_array(count, sizeof(*activation->given));
	for (uint64_t i = 0; i < count && code == ERR_OK; i++) {
		int fd = FIRST_FD + (int)i;

		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		code = place(fd, next_name(&names), listeners, listener_count, activation, why);
	}
	if (code != ERR_OK) {
		close_all(count);
		mem_free(activation->given);
		*activation = (struct activation){0};
	}
	return code;
}

int activation_take(const struct listener_options *listeners, size_t listener_count,
		    struct activation *activation_out, struct err *why)
{
	int code = ERR_OK;

	*activation_out = (struct activation){0};
	if (is_for_us())
		code = take(listeners, listener_count, activation_out, why);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return code;
}

void activation_release(struct activation *activation)
{
	for (size_t i = 0; i < activation->count; i++)
		(void)close(activation->given[i].fd);
	mem_free(activation->given);
	*activation = (struct activation){0};
}
