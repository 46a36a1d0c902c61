/* cli/apart.h - work in a process of its own, so that somebody is left to clear up behind it */
#ifndef STAGEPOST_CLI_APART_H
#define STAGEPOST_CLI_APART_H

#include "base/err.h"

struct apart_end {
	int status; /* what `work` returned */
	int signal; /* not 0: the signal that ended it before it returned */
};

/*
 * Run `work` in a child, and see it to its end. A signal that asks this process
 * to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT) ends the child instead, wherever it
 * is; the caller removes what it left behind and then ends by apart_raise. From
 * one thread only. ERR_IO: no child could be made, and nothing was done.
 */
int apart_run(int (*work)(void *ctx), void *ctx, struct apart_end *end_out, struct err *why);

/* End this process by the signal, so that whoever waits for it sees what it was. */
void apart_raise(int signal);

#endif
