/* cli/filter.h - the filters of queue commands, from the command line */
#ifndef STAGEPOST_CLI_FILTER_H
#define STAGEPOST_CLI_FILTER_H

#include "cli/source.h"
#include "cli/tool.h"

/* As they stand on the command line. */
struct filter_options {
	const char *state;
	const char *to;
	const char *from;
	const char *since;
	const char *limit;
};

/* For the command's option table, five lines. */
#define FILTER_OPTIONS(options)                                                                    \
	{"--state", &(options).state, NULL}, {"--to", &(options).to, NULL},                        \
		{"--from", &(options).from, NULL}, {"--since", &(options).since, NULL},            \
	{                                                                                          \
		"--limit", &(options).limit, NULL                                                  \
	}

#define FILTER_HELP                                                                                \
	"  --state STATE   queued, delivering, deferred, held, delivered, redirected, dropped,\n"  \
	"                  failed, expired, cancelled or screening\n"                              \
	"  --to TEXT       part of the recipient's address\n"                                      \
	"  --from TEXT     part of the sender's address\n"                                         \
	"  --since TIME    received since: an age (30m, 4h, 7d) or 2026-11-21T10:00:00Z\n"

/* TOOL_OK, or complained. `usual_limit` where --limit is not given. */
int filter_read(const struct tool *tool, const struct filter_options *options, size_t usual_limit,
		struct source_filter *filter_out);
bool filter_is_empty(const struct filter_options *options);

#endif
