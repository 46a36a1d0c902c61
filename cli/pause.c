/* cli/pause.c - stagepost pause, resume: delivery, or one route of it, stands still or goes on */
#include <config.h>

#include <stdio.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"

static void set_path(struct buf *path, const char *route, const char *verb)
{
	buf_init(path, CLIENT_PATH_ROOM);
	(void)buf_append_text(path, "/api/v1/");
	if (route != NULL) {
		(void)buf_append_text(path, "routes/");
		client_add_segment(path, span_of(route));
	} else {
		(void)buf_append_text(path, "delivery");
	}
	(void)buf_printf(path, "/%s", verb);
}

static int act(struct tool *tool, const char *route, const char *verb, const char *reason)
{
	struct buf path;
	json_t *body = json_object();
	json_t *answer;
	int ends;

	if (reason != NULL)
		(void)json_object_set_new(body, "reason", json_string(reason));
	set_path(&path, route, verb);
	ends = client_ask(tool, "POST", path.data, body, &answer);
	buf_release(&path);
	json_decref(body);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_json(tool, answer);
	else
		printf("%s %s\n", route != NULL ? route : "Delivery",
		       json_is_true(json_object_get(answer, "paused"))
			       ? "stands still; mail is accepted and waits"
			       : "goes on");
	json_decref(answer);
	return TOOL_OK;
}

struct pause_given {
	const char *reason;
};

static int run_pause(struct tool *tool, int argc, char **argv)
{
	struct pause_given given = {NULL};
	int count = 0;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count > 1)
		return tool_misuse(tool, "one route at a time");
	return act(tool, count == 1 ? argv[0] : NULL, "pause", given.reason);
}

static int run_resume(struct tool *tool, int argc, char **argv)
{
	int count = 0;
	int ends = option_read(tool, NULL, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count > 1)
		return tool_misuse(tool, "one route at a time");
	return act(tool, count == 1 ? argv[0] : NULL, "resume", NULL);
}

static const struct command_option pause_options[] = {
	OPTION_VALUE("--reason", "TEXT", NULL, struct pause_given, reason,
		     "shown wherever somebody asks why mail does not leave"),
	OPTION_END,
};

const struct command command_pause = {
	.name = "pause",
	.operands = "[ROUTE]",
	.summary = "Stop delivery, or one route; accepting goes on",
	.options = pause_options,
	.notes =
		"It stays so over restarts, until it is resumed. What is being sent is finished.\n",
	.examples = {"stagepost pause --reason 'load test'", "stagepost pause default"},
	.run = run_pause,
};
const struct command command_resume = {
	.name = "resume",
	.operands = "[ROUTE]",
	.summary = "Let delivery, or one route, go on",
	.notes = "Also what the breaker (policy.breaker) stopped: it then counts anew. A route "
		 "that\n"
		 "was paused by its name stays so until it is resumed by its name.\n",
	.examples = {"stagepost resume", "stagepost resume default"},
	.run = run_resume,
};
