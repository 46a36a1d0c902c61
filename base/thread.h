/* base/thread.h - a thread with a name, and without signals */
#ifndef STAGEPOST_BASE_THREAD_H
#define STAGEPOST_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

/*
 * Any thread. Starts run(ctx), which whoever starts it joins. No signal is
 * taken there, as they are the main thread's; a broken pipe is for the call
 * that met it. `name`, up to 15 bytes, is what ps and gdb show. ERR_IO when the
 * system gives no more threads; *thread_out is untouched then.
 */
int thread_start(const char *name, void *(*run)(void *ctx), void *ctx, pthread_t *thread_out,
		 struct err *why);

#endif
