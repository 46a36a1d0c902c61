/* cli/rule.c - stagepost rule list, add, change, remove */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/rows.h"

#define WHAT_SIZE 600

static const struct table_column columns[] = {
	{"ID", true, 0, 0, NULL},	{"NAME", false, 8, 0, NULL},
	{"ACTION", false, 8, 0, NULL},	{"RECIPIENT", false, 12, 1, NULL},
	{"SENDER", false, 12, 2, NULL}, {"CONDITIONS", false, 16, 0, NULL},
	{"STATE", false, 0, 3, NULL},	{"MATCHES", true, 0, 4, NULL},
};

/* --- list -------------------------------------------------------------------- */

static void describe_action(const json_t *rule, char *text, size_t size)
{
	snprintf(text, size, "%s", tool_text(rule, "action"));
	rows_add_words(text, size, tool_text(rule, "redirect_to"));
	rows_add_words(text, size, tool_text(rule, "tag"));
}

/* As --header takes it. */
static void describe_header(const json_t *header, char *text, size_t size)
{
	const char *match = tool_text(header, "match");
	const char *name = tool_text(header, "name");
	char words[WHAT_SIZE];

	if (strcmp(match, "glob") == 0)
		snprintf(words, sizeof(words), "%s: %s", name, tool_text(header, "value"));
	else if (strcmp(match, "exact") == 0)
		snprintf(words, sizeof(words), "%s=%s", name, tool_text(header, "value"));
	else
		snprintf(words, sizeof(words), "%s%s", strcmp(match, "absent") == 0 ? "!" : "",
			 name);
	rows_add_words(text, size, words);
}

static void describe_number(const json_t *rule, const char *name, const char *word, char *text,
			    size_t size)
{
	char words[48];

	if (!json_is_integer(json_object_get(rule, name)))
		return;
	snprintf(words, sizeof(words), "%s %lld octets", word, tool_number(rule, name));
	rows_add_words(text, size, words);
}

static void describe(const json_t *rule, char *text, size_t size)
{
	static const char *const members[] = {"client", "user", "listener", "scope"};
	const json_t *headers = json_object_get(rule, "headers");
	char words[WHAT_SIZE];

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *value = tool_text(rule, members[i]);

		if (value[0] == '\0')
			continue;
		snprintf(words, sizeof(words), "%s %s", members[i], value);
		rows_add_words(text, size, words);
	}
	describe_number(rule, "min_size", "from", text, size);
	describe_number(rule, "max_size", "up to", text, size);
	for (size_t i = 0; i < json_array_size(headers); i++)
		describe_header(json_array_get(headers, i), text, size);
}

static void add_rule(struct table *table, const json_t *rule)
{
	bool off = json_is_false(json_object_get(rule, "enabled"));
	bool overrides = json_is_true(json_object_get(rule, "overrides_whitelist"));
	char id[24];
	char action[500];
	char what[WHAT_SIZE];
	char matches[24];

	rows_format_id(rule, id, sizeof(id));
	describe_action(rule, action, sizeof(action));
	describe(rule, what, sizeof(what));
	snprintf(matches, sizeof(matches), "%lld", tool_number(rule, "matches"));
	table_add(table,
		  (const char *[]){id, tool_text(rule, "name"), action,
				   tool_text(rule, "recipient"), tool_text(rule, "sender"), what,
				   off	       ? "off"
				   : overrides ? "overrides the whitelist"
					       : "on",
				   matches});
}

static const struct rows rules = {.noun = "rule",
				  .path = "/api/v1/rules",
				  .none = "there is no rule: the whitelist decides",
				  .columns = columns,
				  .column_count = sizeof(columns) / sizeof(columns[0]),
				  .add = add_rule};

static int run_list(struct tool *tool, int argc, char **argv)
{
	return rows_list(tool, &rules, argc, argv);
}

const struct command command_rule_list = {
	.name = "rule list",
	.operands = "",
	.summary = "Rules on what messages say of themselves, in their order",
	.notes = "The first that decides counts. Exit status 1 when there is none.\n",
	.examples = {"stagepost rule list", "stagepost rule list --json"},
	.run = run_list,
};

/* --- what a rule is made of ---------------------------------------------------- */

struct given {
	const char *name;
	const char *action;
	const char *redirect_to;
	const char *tag;
	const char *sender;
	const char *recipient;
	const char *client;
	const char *user;
	const char *listener;
	const char *scope;
	const char *min_size;
	const char *max_size;
	const char *note;
	const char *before;
	struct option_values headers;
	bool no_headers;
	bool overrides;
	bool narrows;
	bool on;
	bool off;
};

static json_t *text_of(struct span text)
{
	json_t *json = json_stringn(text.len > 0 ? text.data : "", text.len);

	return json != NULL ? json : json_string("");
}

/* "Subject: *invoice*", "X-Env=prod", "List-Id", "!List-Id". */
static json_t *make_header(const char *given)
{
	struct span text = span_of(given);
	size_t colon = span_find(text, ':');
	size_t equals = span_find(text, '=');
	size_t at = colon < equals ? colon : equals;
	bool absent = text.data[0] == '!' && at == text.len;
	json_t *header = json_object();

	if (at < text.len)
		(void)json_object_set_new(header, "value",
					  text_of(span_trim(span_skip(text, at + 1))));
	(void)json_object_set_new(header, "match",
				  json_string(at == colon && at < text.len ? "glob"
					      : at < text.len		   ? "exact"
					      : absent			   ? "absent"
									   : "present"));
	text = span_skip(span_first(text, at), absent ? 1 : 0);
	(void)json_object_set_new(header, "name", text_of(span_trim(text)));
	return header;
}

static int set_texts(json_t *rule, const struct given *given)
{
	const struct rows_text texts[] = {
		{"name", given->name},
		{"action", given->action},
		{"redirect_to", given->redirect_to},
		{"tag", given->tag},
		{"sender", given->sender},
		{"recipient", given->recipient},
		{"client", given->client},
		{"user", given->user},
		{"listener", given->listener},
		{"scope", given->scope},
		{"note", given->note},
	};

	return rows_set_texts(rule, texts, sizeof(texts) / sizeof(texts[0]));
}

static int set_rest(struct tool *tool, json_t *rule, const struct given *given)
{
	int ends = rows_set_size(rule, "min_size", "--min-size", given->min_size);

	if (ends == TOOL_OK)
		ends = rows_set_size(rule, "max_size", "--max-size", given->max_size);
	if (ends == TOOL_OK)
		ends = rows_set_before(tool, &rules, rule, given->before);
	if (given->headers.count > 0 || given->no_headers) {
		json_t *headers = json_array();

		for (size_t i = 0; i < given->headers.count; i++)
			(void)json_array_append_new(headers, make_header(given->headers.items[i]));
		(void)json_object_set_new(rule, "headers", headers);
	}
	if (given->on || given->off)
		(void)json_object_set_new(rule, "enabled", json_boolean(given->on));
	if (given->overrides || given->narrows)
		(void)json_object_set_new(rule, "overrides_whitelist",
					  json_boolean(given->overrides));
	return ends;
}

/* Sends it, and says what came of it. */
static int send_rule(struct tool *tool, const struct given *given, long long id)
{
	json_t *rule = json_object();
	json_t *stored = NULL;
	int ends = set_texts(rule, given);

	if (ends == TOOL_OK)
		ends = set_rest(tool, rule, given);
	if (ends == TOOL_OK)
		ends = rows_send(tool, &rules, id, rule, &stored);
	json_decref(rule);
	if (json_is_true(json_object_get(stored, "overrides_whitelist")) &&
	    json_is_true(json_object_get(stored, "enabled")))
		tool_note("it overrides the whitelist: mail that no entry allows may leave");
	json_decref(stored);
	return ends;
}

static int read_options(struct tool *tool, struct given *given, int argc, char **argv,
			int *count_out)
{
	int ends = option_read(tool, given, argc, argv, count_out);

	if (ends == TOOL_OK && ((given->on && given->off) || (given->overrides && given->narrows)))
		return tool_misuse(tool, "that contradicts itself");
	return ends;
}

#define ACTIONS "deliver drop hold redirect tag"
#define CONDITIONS                                                                                 \
	OPTION_VALUE("--recipient", "PATTERN", NULL, struct given, recipient,                      \
		     "as in the whitelist; without it everybody"),                                 \
		OPTION_VALUE("--sender", "PATTERN", NULL, struct given, sender,                    \
			     "likewise, or <>"),                                                   \
		OPTION_VALUE("--client", "NETWORK", NULL, struct given, client,                    \
			     "where it came from: 10.0.0.0/8"),                                    \
		OPTION_VALUE("--user", "GLOB", NULL, struct given, user, "who logged in"),         \
		OPTION_VALUE("--listener", "GLOB", NULL, struct given, listener,                   \
			     "where it came in"),                                                  \
		OPTION_VALUE("--scope", "SCOPE", NULL, struct given, scope,                        \
			     "only mail that came in with this scope"),                            \
		OPTION_LIST("--header", "CONDITION", NULL, struct given, headers,                  \
			    "may be given several times: \"Subject: *invoice*\" (a glob), "        \
			    "\"X-Env=prod\" (exactly), \"List-Id\" (there is one), \"!List-Id\" "  \
			    "(there is none)"),                                                    \
		OPTION_VALUE("--min-size", "SIZE", NULL, struct given, min_size,                   \
			     "octets, or 64K, 10M: with all of the header"),                       \
		OPTION_VALUE("--max-size", "SIZE", NULL, struct given, max_size, "likewise")
#define PLACE                                                                                      \
	OPTION_VALUE("--to", "ADDRESS", NULL, struct given, redirect_to, "of redirect"),           \
		OPTION_VALUE("--tag", "TEXT", NULL, struct given, tag, "of tag"),                  \
		OPTION_VALUE("--before", "NAME|ID", NULL, struct given, before,                    \
			     "look at it before that rule; without it a new one comes last"),      \
		OPTION_VALUE("--note", "TEXT", NULL, struct given, note, "why it is here")

/* --- add --------------------------------------------------------------------- */

static int run_add(struct tool *tool, int argc, char **argv)
{
	struct given given = {.name = NULL};
	int count;
	int ends = read_options(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 2)
		return tool_misuse(tool, count < 2 ? "a name and an action are needed"
						   : "one name and one action at a time");
	given.name = argv[0];
	given.action = argv[1];
	return send_rule(tool, &given, ROWS_NEW);
}

static const struct command_option add_options[] = {
	CONDITIONS,
	PLACE,
	OPTION_FLAG("--overrides-whitelist", struct given, overrides,
		    "of deliver: also what no entry allows (never what one denies)"),
	OPTION_FLAG("--off", struct given, off, "add it, but do not enable it"),
	OPTION_END,
};

const struct command command_rule_add = {
	.name = "rule add",
	.operands = "NAME deliver|drop|hold|redirect|tag",
	.operand_words = {NULL, ACTIONS},
	.summary = "Decide by what a message says of itself",
	.about = "All conditions must hold; the first rule that decides counts. A rule can only\n"
		 "narrow what the whitelist allows.\n\n"
		 "  deliver   let it leave: no later rule is looked at\n"
		 "  drop      keep it\n"
		 "  hold      keep it until a person releases it\n"
		 "  redirect  send it to --to instead, which is judged itself\n"
		 "  tag       put --tag in front of the subject, look at the next rules\n",
	.options = add_options,
	.notes = "Exit status 1 when there is a rule of this name.\n",
	.examples = {"stagepost rule add prod drop --header X-Env=production",
		     "stagepost rule add big hold --min-size 5M --before prod"},
	.run = run_add,
};

/* --- change ------------------------------------------------------------------ */

static int run_change(struct tool *tool, int argc, char **argv)
{
	struct given given = {.name = NULL};
	long long id = 0;
	int count;
	int ends = read_options(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "the name or the id of one rule is needed");
	ends = rows_find(tool, &rules, argv[0], &id);
	return ends == TOOL_OK ? send_rule(tool, &given, id) : ends;
}

static const struct command_option change_options[] = {
	OPTION_VALUE("--name", "NAME", NULL, struct given, name, "call it so"),
	OPTION_VALUE("--action", "ACTION", ACTIONS, struct given, action,
		     "deliver, drop, hold, redirect or tag"),
	CONDITIONS,
	OPTION_FLAG("--no-headers", struct given, no_headers,
		    "take all conditions on the header away"),
	PLACE,
	OPTION_FLAG("--overrides-whitelist", struct given, overrides,
		    "of deliver: also what no entry allows (never what one denies)"),
	OPTION_FLAG("--narrows", struct given, narrows, "not that any more"),
	OPTION_FLAG("--on", struct given, on, "enable it"),
	OPTION_FLAG("--off", struct given, off, "or not"),
	OPTION_END,
};

const struct command command_rule_change = {
	.name = "rule change",
	.operands = "NAME|ID",
	.summary = "Change a rule, or its place",
	.about = "What is not given stays; \"\" takes a condition away. Conditions on the header "
		 "that\n"
		 "are given replace all there were.\n",
	.options = change_options,
	.notes = "Exit status 1 when there is no such rule, or it stands in the configuration.\n",
	.examples = {"stagepost rule change prod --off",
		     "stagepost rule change big --min-size 10M --recipient ''"},
	.run = run_change,
};

/* --- remove ------------------------------------------------------------------ */

static int run_remove(struct tool *tool, int argc, char **argv)
{
	return rows_remove(tool, &rules, argc, argv);
}

const struct command command_rule_remove = {
	.name = "rule remove",
	.operands = "NAME|ID",
	.summary = "Take a rule away",
	.notes = "Mail that is queued because of it is judged again before it is sent.\n"
		 "\nExit status 1 when there is no such rule, or it stands in the configuration.\n",
	.examples = {"stagepost rule remove prod", "stagepost rule remove 7"},
	.run = run_remove,
};
