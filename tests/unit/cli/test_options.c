/* tests the options of cli/tool.c and the paths of cli/client.c */
#include "cli/tool.h"

#include <stdio.h>

#include "cli/client.h"
#include "tests/unit/unit.h"

#define ARGS_MAX 12

static const struct command command = {"test it", "ID", "A test", "", NULL};

/* The values that the options got. */
struct given {
	const char *state;
	bool all;
	int count;
	int ends;
	struct tool tool;
	char *args[ARGS_MAX];
	char text[200];
};

/* `line`: words with single blanks between them. */
static void parse(struct given *given, const char *line)
{
	const struct tool_option options[] = {
		{"--state", &given->state, NULL}, {"--all", NULL, &given->all}, {NULL, NULL, NULL}};
	int argc = 0;

	*given = (struct given){.tool = {.command = &command}};
	snprintf(given->text, sizeof(given->text), "%s", line);
	for (char *at = given->text; *at != '\0' && argc < ARGS_MAX; argc++) {
		given->args[argc] = at;
		at += span_find(span_of(at), ' ');
		if (*at == ' ')
			*at++ = '\0';
	}
	given->ends = tool_options(&given->tool, options, argc, given->args, &given->count);
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
					  "-x",	       "--states=a", "--json=1"};
	struct given given;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		parse(&given, bad[i]);
		ck_assert_msg(given.ends == TOOL_USAGE, "%s", bad[i]);
	}
	parse(&given, "--help --nothing");
	ck_assert_int_eq(given.ends, -1);
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

UNIT_MAIN("cli/options", options_and_operands_mix, mistakes_are_usage, parameters_are_encoded,
	  json_members_that_are_not_there_are_empty)
