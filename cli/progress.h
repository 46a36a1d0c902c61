/* cli/progress.h - how far long work has come, for a person who waits */
#ifndef STAGEPOST_CLI_PROGRESS_H
#define STAGEPOST_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/tool.h"

/*
 * One line on standard error that is written over and over, and is gone at the
 * end: only when that is a terminal, and neither --quiet nor JSON was asked for.
 */
struct progress {
	const char *what; /* "copying" */
	bool shows;
	bool is_drawn;
	int64_t drawn_at; /* by the monotonic clock */
};

/* `what` is borrowed. */
struct progress progress_make(const struct tool *tool, const char *what);
/* So much of it is done; `total` 0: nobody knows how much there is. */
void progress_show(struct progress *progress, int64_t done, int64_t total);
/* Take the line away: at the end, and before anything else is said. */
void progress_wipe(struct progress *progress);

#endif
