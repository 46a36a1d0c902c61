/* cli/apart.c - work in a process of its own, so that somebody is left to clear up behind it */
#include <config.h>

#include "cli/apart.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What was to be ignored (nohup) stays so. */
static void add_unless_ignored(sigset_t *set, int number)
{
	struct sigaction now;

	if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
		sigaddset(set, number);
}

static sigset_t ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	add_unless_ignored(&set, SIGINT);
	add_unless_ignored(&set, SIGTERM);
	add_unless_ignored(&set, SIGHUP);
	add_unless_ignored(&set, SIGQUIT);
	return set;
}

/* 0, or the signal that came first. The child was reaped, and *status_out is its. */
static int see_it_through(pid_t child, const sigset_t *awaited, int *status_out)
{
	int asked = 0;
	int number;

	for (;;) {
		pid_t reaped = waitpid(child, status_out, WNOHANG);

		assert(reaped == child || reaped == 0);
		if (reaped == child)
			return asked;
		if (sigwait(awaited, &number) != 0 || number == SIGCHLD)
			continue;
		asked = number;
		(void)kill(child, SIGKILL);
	}
}

int apart_run(int (*work)(void *ctx), void *ctx, struct apart_end *end_out, struct err *why)
{
	const struct sigaction usual = {.sa_handler = SIG_DFL};
	sigset_t awaited = ending_signals();
	sigset_t before;
	pid_t child;
	int status = 0;

	/* Ignored, a child would vanish unseen. */
	(void)sigaction(SIGCHLD, &usual, NULL);
	sigaddset(&awaited, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &awaited, &before);
	(void)fflush(NULL);
	child = fork();
	if (child == 0) {
		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		exit(work(ctx));
	}
	if (child > 0)
		end_out->signal = see_it_through(child, &awaited, &status);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0)
		return err_set(why, ERR_IO, "no process can be made: %s", strerror(errno));
	/* A key on the terminal reaches both. */
	if (end_out->signal == 0 && WIFSIGNALED(status))
		end_out->signal = WTERMSIG(status);
	end_out->status = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
	return ERR_OK;
}

void apart_raise(int signal)
{
	const struct sigaction usual = {.sa_handler = SIG_DFL};

	(void)sigaction(signal, &usual, NULL);
	(void)raise(signal);
}
