/* cli/offline.h - the queue read from the database itself, without a daemon */
#ifndef STAGEPOST_CLI_OFFLINE_H
#define STAGEPOST_CLI_OFFLINE_H

#include "cli/source.h"

/* As in cli/source.h; only reading. */
int offline_recipients(struct tool *tool, const struct source_filter *filter, json_t **items_out,
		       bool *more_out);
int offline_message(struct tool *tool, const struct ulid *id, json_t **message_out);
int offline_body(struct tool *tool, const struct ulid *id);
int offline_text(struct tool *tool, const struct ulid *id);
int offline_html(struct tool *tool, const struct ulid *id);
int offline_part(struct tool *tool, const struct ulid *id, const char *number);
int offline_stats(struct tool *tool, json_t **stats_out);

#endif
