/* cli/fault.c - stagepost fault list, add, remove */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/when.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/rows.h"

static const struct table_column columns[] = {
	{"ID", true, 0, 0, NULL},	   {"NAME", false, 8, 0, NULL},
	{"ACTION", false, 0, 0, NULL},	   {"AT", false, 0, 1, NULL},
	{"RECIPIENT", false, 12, 0, NULL}, {"SENDER", false, 12, 2, NULL},
	{"WHAT", false, 12, 1, NULL},	   {"WHEN", false, 0, 3, NULL},
	{"STRIKES", true, 0, 0, NULL},
};

/* --- list -------------------------------------------------------------------- */

static void describe(const json_t *rule, char *text, size_t size)
{
	long long delay = tool_number(rule, "delay_ms");
	long long attempts = tool_number(rule, "attempts");
	char number[48];

	text[0] = '\0';
	if (!json_is_null(json_object_get(rule, "code"))) {
		snprintf(number, sizeof(number), "%lld", tool_number(rule, "code"));
		rows_add_words(text, size, number);
	}
	rows_add_words(text, size, tool_text(rule, "enhanced"));
	rows_add_words(text, size, tool_text(rule, "text"));
	if (delay > 0) {
		snprintf(number, sizeof(number), "after %lld ms", delay);
		rows_add_words(text, size, number);
	}
	if (strcmp(tool_text(rule, "action"), "defer") == 0) {
		snprintf(number, sizeof(number), "%lld %s", attempts,
			 attempts == 1 ? "time" : "times");
		rows_add_words(text, size, number);
	}
}

static void describe_rhythm(const json_t *rule, char *text, size_t size)
{
	static const struct {
		const char *name;
		long long usual;
	} parts[] = {{"after", 0}, {"every", 1}, {"times", 0}};
	char part[48];

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		long long number = tool_number(rule, parts[i].name);

		if (number == parts[i].usual)
			continue;
		snprintf(part, sizeof(part), "%s %lld", parts[i].name, number);
		rows_add_words(text, size, part);
	}
	if (json_is_false(json_object_get(rule, "enabled")))
		snprintf(text, size, "off");
}

static void add_rule(struct table *table, const json_t *rule)
{
	char id[24];
	char what[500];
	char when[120];
	char strikes[24];

	rows_format_id(rule, id, sizeof(id));
	describe(rule, what, sizeof(what));
	describe_rhythm(rule, when, sizeof(when));
	snprintf(strikes, sizeof(strikes), "%lld", tool_number(rule, "strikes"));
	table_add(table, (const char *[]){id, tool_text(rule, "name"), tool_text(rule, "action"),
					  tool_text(rule, "stage"), tool_text(rule, "recipient"),
					  tool_text(rule, "sender"), what, when, strikes});
}

static const struct rows faults = {.noun = "fault rule",
				   .path = "/api/v1/faults",
				   .none = "there is no fault rule: nothing fails on purpose",
				   .columns = columns,
				   .column_count = sizeof(columns) / sizeof(columns[0]),
				   .add = add_rule};

static int run_list(struct tool *tool, int argc, char **argv)
{
	return rows_list(tool, &faults, argc, argv);
}

const struct command command_fault_list = {
	.name = "fault list",
	.operands = "",
	.summary = "Failures on demand, in the order they are looked at",
	.notes = "Exit status 1 when there is none.\n",
	.examples = {"stagepost fault list", "stagepost fault list --json"},
	.run = run_list,
};

/* --- add --------------------------------------------------------------------- */

struct add_options {
	const char *name;
	const char *action;
	const char *recipient;
	const char *sender;
	const char *user;
	const char *scope;
	const char *stage;
	const char *code;
	const char *enhanced;
	const char *text;
	const char *delay;
	const char *attempts;
	const char *after;
	const char *every;
	const char *times;
	const char *before;
	const char *note;
	bool off;
};

static int set_delay(json_t *rule, const char *value)
{
	struct err why;
	int64_t ms;

	if (value == NULL)
		return TOOL_OK;
	if (when_parse_duration(span_of(value), &ms, &why) != ERR_OK)
		return tool_fail(TOOL_USAGE, "--delay: \"%s\" is no time like 300ms, 5s or 2m",
				 value);
	(void)json_object_set_new(rule, "delay_ms", json_integer((json_int_t)ms));
	return TOOL_OK;
}

static int set_texts(json_t *rule, const struct add_options *given)
{
	const struct rows_text texts[] = {
		{"name", given->name},		 {"action", given->action},
		{"recipient", given->recipient}, {"sender", given->sender},
		{"user", given->user},		 {"scope", given->scope},
		{"stage", given->stage},	 {"enhanced", given->enhanced},
		{"text", given->text},		 {"note", given->note},
	};

	return rows_set_texts(rule, texts, sizeof(texts) / sizeof(texts[0]));
}

static int set_numbers(json_t *rule, const struct add_options *given)
{
	const struct {
		const char *name;
		const char *option;
		const char *value;
	} numbers[] = {
		{"code", "--code", given->code},    {"attempts", "--attempts", given->attempts},
		{"after", "--after", given->after}, {"every", "--every", given->every},
		{"times", "--times", given->times},
	};
	int ends = set_delay(rule, given->delay);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && ends == TOOL_OK; i++)
		ends = rows_set_number(rule, numbers[i].name, numbers[i].option, numbers[i].value);
	if (given->off)
		(void)json_object_set_new(rule, "enabled", json_false());
	return ends;
}

static int send_rule(struct tool *tool, const struct add_options *given)
{
	json_t *rule = json_object();
	json_t *added = NULL;
	int ends = set_texts(rule, given);

	if (ends == TOOL_OK)
		ends = set_numbers(rule, given);
	if (ends == TOOL_OK)
		ends = rows_set_before(tool, &faults, rule, given->before);
	if (ends == TOOL_OK)
		ends = rows_send(tool, &faults, ROWS_NEW, rule, &added);
	json_decref(rule);
	json_decref(added);
	return ends;
}

static int run_add(struct tool *tool, int argc, char **argv)
{
	struct add_options given = {0};
	int count;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 2)
		return tool_misuse(tool, count < 2 ? "a name and an action are needed"
						   : "one name and one action at a time");
	given.name = argv[0];
	given.action = argv[1];
	return send_rule(tool, &given);
}

static const struct command_option add_options[] = {
	OPTION_VALUE("--recipient", "PATTERN", NULL, struct add_options, recipient,
		     "as in the whitelist; without it everybody"),
	OPTION_VALUE("--sender", "PATTERN", NULL, struct add_options, sender, "likewise, or <>"),
	OPTION_VALUE("--user", "GLOB", NULL, struct add_options, user, "who logged in"),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct add_options, scope,
		     "only mail that came in with this scope"),
	OPTION_VALUE("--stage", "STAGE", "mail rcpt data end", struct add_options, stage,
		     "mail, rcpt (usual), data or end"),
	OPTION_VALUE("--code", "N", NULL, struct add_options, code,
		     "of the answer (usual: 550, of defer 451)"),
	OPTION_VALUE("--enhanced", "X.Y.Z", NULL, struct add_options, enhanced,
		     "its enhanced status code (usual: 5.1.1, of defer 4.3.0)"),
	OPTION_VALUE("--text", "TEXT", NULL, struct add_options, text, "its words"),
	OPTION_VALUE("--delay", "TIME", NULL, struct add_options, delay,
		     "300ms, 5s, 2m; at most 10m"),
	OPTION_VALUE("--attempts", "N", NULL, struct add_options, attempts, "of defer"),
	OPTION_VALUE("--after", "N", NULL, struct add_options, after,
		     "let N matches go by first (usual: 0)"),
	OPTION_VALUE("--every", "N", NULL, struct add_options, every,
		     "then strike each N-th (usual: 1)"),
	OPTION_VALUE("--times", "N", NULL, struct add_options, times,
		     "N times in all (usual: 0, without end)"),
	OPTION_VALUE("--before", "NAME|ID", NULL, struct add_options, before,
		     "look at it before that rule; without it it comes last"),
	OPTION_VALUE("--note", "TEXT", NULL, struct add_options, note, "why it is here"),
	OPTION_FLAG("--off", struct add_options, off, "add it, but do not enable it"),
	OPTION_END,
};

const struct command command_fault_add = {
	.name = "fault add",
	.operands = "NAME reject|delay|disconnect|bounce|defer",
	.operand_words = {NULL, "reject delay disconnect bounce defer"},
	.summary = "Let mail fail on purpose, the same way every time",
	.about = "  reject      answer with --code, --enhanced, --text\n"
		 "  delay       answer after --delay\n"
		 "  disconnect  close the connection without an answer\n"
		 "  bounce      accept, fail later with a report to the sender\n"
		 "  defer       accept, put the first --attempts tries off, then deliver\n",
	.options = add_options,
	.notes = "Exit status 1 when there is a rule of this name.\n",
	.examples = {"stagepost fault add busy defer --attempts 2 --recipient 'qa-*@example.com'",
		     "stagepost fault add full reject --code 452 --text 'mailbox full' --every 10"},
	.run = run_add,
};

/* --- remove ------------------------------------------------------------------ */

static int run_remove(struct tool *tool, int argc, char **argv)
{
	return rows_remove(tool, &faults, argc, argv);
}

const struct command command_fault_remove = {
	.name = "fault remove",
	.operands = "NAME|ID",
	.summary = "Take a fault rule away",
	.notes = "What it decided for recipients that were accepted already still happens.\n"
		 "\nExit status 1 when there is no such rule, or it stands in the configuration.\n",
	.examples = {"stagepost fault remove busy", "stagepost fault remove 3"},
	.run = run_remove,
};
