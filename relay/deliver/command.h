/* relay/deliver/command.h - run a command of the configuration and take what it prints */
#ifndef STAGEPOST_RELAY_DELIVER_COMMAND_H
#define STAGEPOST_RELAY_DELIVER_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

#define COMMAND_OUTPUT_MAX (16 * 1024)

/*
 * `command` by /bin/sh -c, in a process group of its own, with nothing to read
 * and no descriptor of ours, the signals as a shell has them. Appends to `output`
 * the first line of what it prints, without its line end and blanks around it. Blocks
 * for at most `timeout_ms`: then the group is killed. ERR_IO: it can't be run, failed,
 * prints nothing, or more than COMMAND_OUTPUT_MAX; ERR_TIMEOUT. `why` has the first line
 * of what it says on stderr, unless that repeats what it prints.
 */
int command_run(const char *command, int timeout_ms, struct buf *output, struct err *why);

#endif
