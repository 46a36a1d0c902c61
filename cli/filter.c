/* cli/filter.c - the filters of queue commands, from the command line */
#include "cli/filter.h"

#include "base/clock.h"
#include "base/when.h"
#include "queue/state.h"

#define LIMIT_MAX 10000000

int filter_read(const struct tool *tool, const struct filter_options *options, size_t usual_limit,
		struct source_filter *filter_out)
{
	enum state state;
	uint64_t limit = usual_limit;
	int64_t since = 0;
	struct err why;

	if (options->state != NULL && state_parse(span_of(options->state), &state) != ERR_OK)
		return tool_misuse(tool, "there is no state \"%s\"", options->state);
	if (options->limit != NULL &&
	    span_to_u64(span_of(options->limit), LIMIT_MAX, &limit) != ERR_OK)
		return tool_misuse(tool, "--limit is a number, 0 for all");
	if (options->since != NULL &&
	    when_parse_past(span_of(options->since), clock_wall_ms(), &since, &why) != ERR_OK)
		return tool_misuse(tool, "--since is an age like 4h or a time like "
					 "2026-11-21T10:00:00Z");
	*filter_out = (struct source_filter){.state = options->state,
					     .to = options->to,
					     .from = options->from,
					     .subject = options->subject,
					     .q = options->q,
					     .since = since,
					     .limit = (size_t)limit};
	return TOOL_OK;
}

bool filter_is_empty(const struct filter_options *options)
{
	return options->state == NULL && options->to == NULL && options->from == NULL &&
	       options->subject == NULL && options->q == NULL && options->since == NULL &&
	       options->limit == NULL;
}
