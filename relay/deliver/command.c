/* relay/deliver/command.c - run a command of the configuration and take what it prints */
#include <config.h> /* memmem, pipe2, posix_spawn_file_actions_addclosefrom_np, pidfd_open */

#include "relay/deliver/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/span.h"

#define SAID_MAX 400 /* octets of stderr that are looked at */

extern char **environ;

/* One command at work. Descriptors: -1 when closed. */
struct running {
	pid_t pid;
	int exited; /* readable when it has */
	int print_fd, say_fd;
	struct buf printed, said;
	int64_t deadline_ms;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- start ------------------------------------------------------------------------ */

static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int print_fd,
		   int say_fd)
{
	sigset_t none, all;
	int failed = 0;

	sigemptyset(&none);
	sigfillset(&all);
	/* Ours block all signals; the shell and what it starts must hear them. */
	failed |= posix_spawnattr_setsigmask(attributes, &none);
	failed |= posix_spawnattr_setsigdefault(attributes, &all);
	failed |= posix_spawnattr_setpgroup(attributes, 0);
	failed |= posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	failed |= posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
	failed |= posix_spawn_file_actions_adddup2(actions, print_fd, 1);
	failed |= posix_spawn_file_actions_adddup2(actions, say_fd, 2);
	failed |= posix_spawn_file_actions_addclosefrom_np(actions, 3);
	return failed;
}

static int spawn(const char *command, int print_fd, int say_fd, pid_t *pid_out)
{
	char shell[] = "sh", option[] = "-c";
	/* posix_spawn does not write to them. */
	char *const arguments[] = {shell, option, (char *)(uintptr_t)command, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int failed;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	failed = prepare(&actions, &attributes, print_fd, say_fd);
	if (failed == 0)
		failed = posix_spawn(pid_out, "/bin/sh", &actions, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return failed;
}

/* Ends above 2, so that none is closed by being put in its place. */
static int open_pipe(int ends[2])
{
	int low[2], failed = 0;

	if (pipe2(low, O_CLOEXEC) != 0)
		return errno;
	for (int i = 0; i < 2; i++) {
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 3);
		if (ends[i] < 0)
			failed = errno;
		close(low[i]);
	}
	if (failed != 0) {
		close_fd(&ends[0]);
		close_fd(&ends[1]);
	}
	return failed;
}

static int start(struct running *r, const char *command, struct err *why)
{
	int print[2] = {-1, -1}, say[2] = {-1, -1};
	int failed = open_pipe(print);

	if (failed == 0)
		failed = open_pipe(say);
	if (failed == 0)
		failed = spawn(command, print[1], say[1], &r->pid);
	close_fd(&print[1]);
	close_fd(&say[1]);
	r->print_fd = print[0];
	r->say_fd = say[0];
	if (failed != 0)
		return err_set(why, ERR_IO, "the command can't be run: %s", strerror(failed));
	r->exited = pidfd_open(r->pid, 0);
	return ERR_OK;
}

/* --- while it runs ------------------------------------------------------------------ */

/* What is too much of stderr is read and forgotten, so that the command does not wait for us. */
static bool take(int *fd, struct buf *into, bool must_fit)
{
	char bytes[4096];
	ssize_t n = read(*fd, bytes, sizeof(bytes));

	if (n < 0 && errno == EINTR)
		return true;
	if (n > 0 && !must_fit && (size_t)n > into->max - into->len)
		n = (ssize_t)(into->max - into->len);
	else if (n <= 0)
		close_fd(fd);
	return n <= 0 || buf_append(into, bytes, (size_t)n) == ERR_OK;
}

/* False: it is to be killed; *code_out says why. */
static bool watch(struct running *r, int *code_out)
{
	/* Children that it left behind may hold the pipes open: its own end is what counts. */
	while (r->print_fd >= 0 || r->exited >= 0) {
		struct pollfd fds[] = {{.fd = r->print_fd, .events = POLLIN},
				       {.fd = r->say_fd, .events = POLLIN},
				       {.fd = r->exited, .events = POLLIN}};
		int64_t left = r->deadline_ms - clock_mono_ms();

		*code_out = ERR_TIMEOUT;
		if (left <= 0)
			return false;
		if (poll(fds, 3, (int)left) <= 0)
			continue;
		*code_out = ERR_LIMIT;
		if (fds[0].revents != 0 && !take(&r->print_fd, &r->printed, true))
			return false;
		if (fds[1].revents != 0)
			(void)take(&r->say_fd, &r->said, false);
		if (fds[2].revents != 0 && fds[0].revents == 0 && fds[1].revents == 0)
			break;
	}
	return true;
}

/* Returns its status as waitpid has it. */
static int reap(const struct running *r, bool finished)
{
	int status = -1;

	/* Also what it left behind. */
	(void)kill(-r->pid, SIGKILL);
	if (!finished)
		(void)kill(r->pid, SIGKILL);
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* --- what came out --------------------------------------------------------------------- */

static struct span first_line(const struct buf *text)
{
	struct span line = buf_span(text);

	return span_trim(span_first(line, span_find(line, '\n')));
}

static bool holds(struct span text, struct span part)
{
	return part.len > 0 && text.len >= part.len &&
	       memmem(text.data, text.len, part.data, part.len) != NULL;
}

/* ": what it says", printable; nothing where it tells what it prints. */
static void add_said(const struct running *r, char *text_out, size_t size)
{
	struct span said = first_line(&r->said);
	struct span secret = first_line(&r->printed);
	size_t at = 0;

	text_out[0] = '\0';
	if (said.len == 0 || holds(said, secret))
		return;
	for (size_t i = 0; i < said.len && at + 3 < size; i++) {
		if (at == 0) {
			text_out[at++] = ':';
			text_out[at++] = ' ';
		}
		text_out[at++] = said.data[i] >= ' ' && said.data[i] < 0x7f ? said.data[i] : '?';
	}
	text_out[at] = '\0';
}

static int judge(const struct running *r, int code, int status, struct err *why)
{
	char said[120];

	add_said(r, said, sizeof(said));
	if (code == ERR_TIMEOUT)
		return err_set(why, ERR_TIMEOUT, "the command did not end in time%s", said);
	if (code == ERR_LIMIT)
		return err_set(why, ERR_IO, "the command prints more than %d octets",
			       COMMAND_OUTPUT_MAX);
	if (WIFSIGNALED(status))
		return err_set(why, ERR_IO, "the command was ended by signal %d%s",
			       WTERMSIG(status), said);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(why, ERR_IO, "the command ended with status %d%s",
			       WIFEXITED(status) ? WEXITSTATUS(status) : -1, said);
	if (first_line(&r->printed).len == 0)
		return err_set(why, ERR_IO, "the command prints nothing%s", said);
	return ERR_OK;
}

int command_run(const char *command, int timeout_ms, struct buf *output, struct err *why)
{
	struct running r = {.exited = -1, .print_fd = -1, .say_fd = -1};
	int code, ended = ERR_OK;

	buf_init(&r.printed, COMMAND_OUTPUT_MAX);
	buf_init(&r.said, SAID_MAX);
	r.deadline_ms = clock_mono_ms() + timeout_ms;
	code = start(&r, command, why);
	if (code == ERR_OK) {
		bool finished = watch(&r, &ended);
		int status = reap(&r, finished);

		code = judge(&r, finished ? ERR_OK : ended, status, why);
	}
	if (code == ERR_OK && buf_append_span(output, first_line(&r.printed)) != ERR_OK)
		code = err_set(why, ERR_IO, "the command prints too much in one line");
	close_fd(&r.print_fd);
	close_fd(&r.say_fd);
	close_fd(&r.exited);
	buf_wipe(&r.printed);
	buf_wipe(&r.said);
	return code;
}
