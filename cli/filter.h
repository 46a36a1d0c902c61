/* cli/filter.h - the filters of queue commands, from the command line */
#ifndef STAGEPOST_CLI_FILTER_H
#define STAGEPOST_CLI_FILTER_H

#include "cli/option.h"
#include "cli/source.h"
#include "cli/tool.h"

/* As they stand on the command line. */
struct filter_options {
	const char *state;
	const char *to;
	const char *from;
	const char *subject;
	const char *q;
	const char *since;
	const char *limit;
};

/* As the API names them; a test holds it to queue/state.h. */
#define FILTER_STATES                                                                              \
	"queued delivering deferred held delivered redirected dropped failed expired cancelled "   \
	"screening"

#define FILTER_SINCE(type)                                                                         \
	OPTION_VALUE("--since", "TIME", NULL, type, filter.since,                                  \
		     "only since then: an age (30m, 4h, 7d) or a time like 2026-11-21T10:00:00Z")
/* For the command's option table: `type` has the member `struct filter_options filter`. */
#define FILTER_OPTIONS(type)                                                                       \
	OPTION_VALUE("--state", "STATE", FILTER_STATES, type, filter.state,                        \
		     "queued, delivering, deferred, held, delivered, redirected, dropped, "        \
		     "failed, expired, cancelled or screening"),                                   \
		OPTION_VALUE("--to", "TEXT", NULL, type, filter.to,                                \
			     "part of the recipient's address"),                                   \
		OPTION_VALUE("--from", "TEXT", NULL, type, filter.from,                            \
			     "part of the sender's address"),                                      \
		OPTION_VALUE("--subject", "TEXT", NULL, type, filter.subject,                      \
			     "words, each a part of the subject"),                                 \
		OPTION_VALUE("--match", "TEXT", NULL, type, filter.q,                              \
			     "words, each a part of the subject, of the sender, of the "           \
			     "recipient or of the Message-ID; or a message's id"),                 \
		FILTER_SINCE(type)
#define FILTER_LIMIT(type, help) OPTION_VALUE("--limit", "N", NULL, type, filter.limit, help)

/* TOOL_OK, or complained. `usual_limit` where --limit is not given. */
int filter_read(const struct tool *tool, const struct filter_options *options, size_t usual_limit,
		struct source_filter *filter_out);
bool filter_is_empty(const struct filter_options *options);

#endif
