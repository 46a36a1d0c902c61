/* base/thread.c - a thread with a name, and without signals */
#include <config.h> /* pthread_setname_np */

#include "base/thread.h"

#include <signal.h>
#include <string.h>

int thread_start(const char *name, void *(*run)(void *ctx), void *ctx, pthread_t *thread_out,
		 struct err *why)
{
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int failed;

	/* A thread begins with the mask of who makes it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, NULL, run, ctx);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0)
		return err_set(why, ERR_IO, "no thread for %s: %s", name, strerror(failed));
	pthread_setname_np(thread, name);
	*thread_out = thread;
	return ERR_OK;
}
