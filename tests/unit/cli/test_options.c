/* tests cli/option.c and the paths of cli/client.c */
#include "cli/option.h"

#include <stdio.h>

#include "cli/client.h"
#include "cli/filter.h"
#include "cli/tool.h"
#include "queue/state.h"
#include "tests/unit/unit.h"

#define ARGS_MAX 12

/* The values that the options got. */
struct given {
	const char *state;
	bool all;
	struct option_values headers;
	int count;
	int ends;
	struct tool tool;
	char *args[ARGS_MAX];
	char text[200];
};

static const struct command_option options[] = {
	OPTION_VALUE("--state", "STATE", FILTER_STATES, struct given, state, "in this state"),
	OPTION_FLAG("--all", struct given, all, "all of them"),
	OPTION_LIST("--header", "FIELD", NULL, struct given, headers, "several of them"),
	OPTION_END,
};
static const struct command command = {.name = "test it",
				       .operands = "ID",
				       .summary = "A test",
				       .options = options,
				       .examples = {"stagepost test it", "stagepost test it 1"}};

/* `line`: words with single blanks between them. */
static void parse(struct given *given, const char *line)
{
	int argc = 0;

	*given = (struct given){.tool = {.command = &command}};
	snprintf(given->text, sizeof(given->text), "%s", line);
	for (char *at = given->text; *at != '\0' && argc < ARGS_MAX; argc++) {
		given->args[argc] = at;
		at += span_find(span_of(at), ' ');
		if (*at == ' ')
			*at++ = '\0';
	}
	given->ends = option_read(&given->tool, given, argc, given->args, &given->count);
}

START_TEST(options_and_operands_mix)
{
	struct given given;

	parse(&given, "one --state held two --all --json three");
	ck_assert_int_eq(given.ends, TOOL_OK);
	ck_assert_int_eq(given.count, 3);
	ck_assert_str_eq(given.args[0], "one");
	ck_assert_str_eq(given.args[2], "three");
	ck_assert_str_eq(given.state, "held");
	ck_assert(given.all);
	ck_assert_int_eq(given.tool.format, TOOL_JSON);
	parse(&given, "--state=queued --jsonl --data-dir=/x -- --all -");
	ck_assert_int_eq(given.ends, TOOL_OK);
	ck_assert_str_eq(given.state, "queued");
	ck_assert(!given.all);
	ck_assert_int_eq(given.count, 2);
	ck_assert_str_eq(given.args[0], "--all");
	ck_assert_str_eq(given.args[1], "-");
	ck_assert_int_eq(given.tool.format, TOOL_LINES);
	ck_assert_str_eq(given.tool.data_dir, "/x");
	parse(&given, "--state= x");
	ck_assert_str_eq(given.state, "");
}
END_TEST

START_TEST(mistakes_are_usage)
{
	static const char *const bad[] = {"--nothing", "--state",    "x --all=yes",
					  "-x",	       "--states=a", "--json=1",
					  "--header",  "--header=",  "--color=pink"};
	struct given given;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		parse(&given, bad[i]);
		ck_assert_msg(given.ends == TOOL_USAGE, "%s", bad[i]);
	}
	parse(&given, "--help --nothing");
	ck_assert_int_eq(given.ends, -1);
}
END_TEST

START_TEST(what_is_given_several_times_is_kept_in_order)
{
	struct given given;

	parse(&given, "--header a one --header=b=c --header --all");
	ck_assert_int_eq(given.ends, TOOL_OK);
	ck_assert_int_eq(given.count, 1);
	ck_assert_uint_eq(given.headers.count, 3);
	ck_assert_str_eq(given.headers.items[0], "a");
	ck_assert_str_eq(given.headers.items[1], "b=c");
	ck_assert_str_eq(given.headers.items[2], "--all");
}
END_TEST

START_TEST(more_than_there_is_room_for_is_usage)
{
	char *args[OPTION_VALUES_MAX + 1];
	char word[] = "--header=x";
	struct given given = {.tool = {.command = &command}};
	int count;

	for (int i = 0; i <= OPTION_VALUES_MAX; i++)
		args[i] = word;
	ck_assert_int_eq(option_read(&given.tool, &given, OPTION_VALUES_MAX, args, &count),
			 TOOL_OK);
	given.headers.count = 0;
	ck_assert_int_eq(option_read(&given.tool, &given, OPTION_VALUES_MAX + 1, args, &count),
			 TOOL_USAGE);
}
END_TEST

/* One that is missing would not be completed, one too many would be refused. */
START_TEST(the_states_that_are_completed_are_all_there_are)
{
	struct span rest = span_of(FILTER_STATES);
	enum state state;
	int count = 0;

	for (; rest.len > 0; count++)
		ck_assert_int_eq(state_parse(span_cut(&rest, ' '), &state), ERR_OK);
	ck_assert_int_eq(count, STATE_COUNT - 1);
}
END_TEST

START_TEST(parameters_are_encoded)
{
	struct buf path;

	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/recipients");
	client_add_parameter(&path, "state", NULL);
	client_add_parameter(&path, "address", "a+b&c=d@\xc3\xbc.example/?#%\r\n");
	client_add_parameter(&path, "limit", "5");
	ck_assert_str_eq(path.data, "/api/v1/recipients"
				    "?address=a%2Bb%26c%3Dd%40%C3%BC.example%2F%3F%23%25%0D%0A"
				    "&limit=5");
	buf_release(&path);
}
END_TEST

START_TEST(json_members_that_are_not_there_are_empty)
{
	json_t *json = json_pack("{s:s, s:n, s:i, s:s}", "text", "x", "nothing", "number", 7, "at",
				 "1970-01-01T00:00:01.500Z");

	ck_assert_str_eq(tool_text(json, "text"), "x");
	ck_assert_str_eq(tool_text(json, "nothing"), "");
	ck_assert_str_eq(tool_text(json, "number"), "");
	ck_assert_str_eq(tool_text(NULL, "text"), "");
	ck_assert_int_eq(tool_number(json, "number"), 7);
	ck_assert_int_eq(tool_number(json, "text"), 0);
	ck_assert_int_eq(tool_time(json, "at"), 1500);
	ck_assert_int_eq(tool_time(json, "text"), 0);
	json_decref(json);
}
END_TEST

UNIT_MAIN("cli/options", options_and_operands_mix, mistakes_are_usage,
	  what_is_given_several_times_is_kept_in_order, more_than_there_is_room_for_is_usage,
	  the_states_that_are_completed_are_all_there_are, parameters_are_encoded,
	  json_members_that_are_not_there_are_empty)
