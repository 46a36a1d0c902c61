/* cli/source.h - the queue to read: the API's, or the database's while no daemon answers */
#ifndef STAGEPOST_CLI_SOURCE_H
#define STAGEPOST_CLI_SOURCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ulid.h"
#include "cli/tool.h"

/* What a command line asks for. NULL, 0: not asked. */
struct source_filter {
	const char *state;
	const char *to;
	const char *from;
	const char *subject;
	const char *q;
	int64_t since; /* milliseconds since 1970 */
	size_t limit;  /* 0: all */
};

/*
 * The parameters of a list of the API's, behind its path. `address`: what that
 * list calls a part of the recipient's. `after`: its cursor, or "".
 */
void source_filter_write(const struct source_filter *filter, const char *address, size_t limit,
			 const char *after, struct buf *path);

/*
 * Each returns how the tool ends, TOOL_OK with its output. The JSON is the
 * API's (INTERFACE 4), wherever it was read. Falling back to the database is
 * said on standard error; with --url there is nothing to fall back to.
 */

/* *items_out: an array of recipients, newest first; *more_out: the limit cut it. */
int source_recipients(struct tool *tool, const struct source_filter *filter, json_t **items_out,
		      bool *more_out);
int source_message(struct tool *tool, const struct ulid *id, json_t **message_out);
/* The stored bytes to tool->raw. */
int source_body(struct tool *tool, const struct ulid *id);
/* The copy that leaves. Only the daemon knows its policy: there is nothing to fall back to. */
int source_sent(struct tool *tool, const struct ulid *id);
/* Longer ones name no part. */
#define SOURCE_PART_MAX 200
/* What it says in plain text, its HTML, or one of its parts decoded, to tool->raw. */
int source_text(struct tool *tool, const struct ulid *id);
int source_html(struct tool *tool, const struct ulid *id);
int source_part(struct tool *tool, const struct ulid *id, const char *number);
int source_stats(struct tool *tool, json_t **stats_out);

#endif
