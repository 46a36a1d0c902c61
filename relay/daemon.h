/* relay/daemon.h - the parts put together: start in order, run, stop in reverse */
#ifndef STAGEPOST_RELAY_DAEMON_H
#define STAGEPOST_RELAY_DAEMON_H

#include <stddef.h>

#include "base/err.h"
#include "relay/config.h"

/* Where the configuration came from, so that SIGHUP can read it again. Borrowed for the daemon's
 * life. */
struct daemon_source {
	const char *path; /* NULL: no file */
	const char *const *overrides;
	size_t override_count;
};

/*
 * Run until SIGTERM, SIGINT or a failure of the store. Takes the
 * configuration. Returns ERR_OK after a clean stop; else the code that the
 * part which could not start (or the store) gave, with its sentence.
 * Main thread only, once a process.
 */
int daemon_run(const struct daemon_source *source, struct config *config_take, struct err *why);

#endif
