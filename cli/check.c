/* cli/check.c - stagepost check: what would happen to these addresses */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/rows.h"

#define AT_ONCE 1000 /* what the API takes */

static const struct table_column columns[] = {
	{"ADDRESS", false, 16, 0, NULL}, {"VERDICT", false, 0, 0, tool_state_colour},
	{"ENTRY", true, 0, 2, NULL},	 {"REASON", false, 20, 0, NULL},
	{"NEAREST", false, 8, 1, NULL},	 {"INSTEAD", false, 16, 1, NULL},
};

static void add_item(struct table *table, const json_t *item)
{
	const json_t *entry = json_object_get(item, "entry");
	const json_t *target = json_object_get(item, "redirect_to");
	char number[24] = "";
	char instead[512] = "";

	if (json_is_object(target))
		snprintf(instead, sizeof(instead), "%s: %s", tool_text(target, "address"),
			 tool_text(target, "verdict"));
	if (json_is_integer(entry))
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(entry));
	table_add(table,
		  (const char *[]){tool_text(item, "input"), tool_text(item, "verdict"), number,
				   tool_text(item, "reason"), tool_text(item, "nearest"), instead});
}

static bool all_deliver(const json_t *items)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)items, i,
			   item) if (strcmp(tool_text(item, "verdict"), "deliver") !=
				     0) return false;
	return true;
}

/* A message to try the rules on. */
struct given {
	const char *scope;
	const char *sender;
	const char *client;
	const char *user;
	const char *listener;
	const char *size;
	struct option_values headers;
};

/* "Subject: x" */
static int add_field(json_t *fields, const char *given)
{
	struct span text = span_of(given);
	size_t colon = span_find(text, ':');
	struct span value = span_trim(span_skip(text, colon + 1));
	json_t *field;

	if (colon == 0 || colon == text.len)
		return tool_fail(TOOL_USAGE, "--header \"%s\" is not NAME: VALUE", given);
	field = json_object();
	(void)json_object_set_new(field, "name", json_stringn(text.data, colon));
	if (json_object_set_new(field, "value",
				json_stringn(value.len > 0 ? value.data : "", value.len)) != 0) {
		json_decref(field);
		return tool_fail(TOOL_USAGE, "\"%s\" is no UTF-8", given);
	}
	(void)json_array_append_new(fields, field);
	return TOOL_OK;
}

/* Nothing of it given: the rules are left out. */
static int set_message(json_t *request, const struct given *given)
{
	json_t *message = json_object();
	json_t *fields = json_array();
	const struct rows_text texts[] = {{"sender", given->sender},
					  {"client", given->client},
					  {"user", given->user},
					  {"listener", given->listener}};
	int ends = rows_set_texts(message, texts, sizeof(texts) / sizeof(texts[0]));

	if (ends == TOOL_OK)
		ends = rows_set_size(message, "size", "--size", given->size);
	for (size_t i = 0; ends == TOOL_OK && i < given->headers.count; i++)
		ends = add_field(fields, given->headers.items[i]);
	if (given->headers.count > 0)
		(void)json_object_set(message, "headers", fields);
	if (ends == TOOL_OK && json_object_size(message) > 0)
		(void)json_object_set(request, "message", message);
	json_decref(fields);
	json_decref(message);
	return ends;
}

/* Up to AT_ONCE addresses; their answers onto `items`. */
static int ask(struct tool *tool, int count, char **addresses, const struct given *given,
	       json_t *items)
{
	json_t *recipients = json_array();
	json_t *request = json_object();
	json_t *answer;
	int ends = TOOL_OK;

	for (int i = 0; i < count && ends == TOOL_OK; i++)
		if (json_array_append_new(recipients, json_string(addresses[i])) != 0)
			ends = tool_fail(TOOL_USAGE, "\"%s\" is no UTF-8", addresses[i]);
	(void)json_object_set_new(request, "recipients", recipients);
	if (ends == TOOL_OK)
		ends = rows_set_text(request, "scope", given->scope);
	if (ends == TOOL_OK)
		ends = set_message(request, given);
	if (ends == TOOL_OK)
		ends = client_ask(tool, "POST", "/api/v1/check", request, &answer);
	json_decref(request);
	if (ends != TOOL_OK)
		return ends;
	(void)json_array_extend(items, json_object_get(answer, "items"));
	json_decref(answer);
	return TOOL_OK;
}

static void print_items(const struct tool *tool, const json_t *items)
{
	struct table *table;
	json_t *item;
	size_t i;

	if (tool->format != TOOL_TEXT) {
		tool_print_items(tool, items);
		return;
	}
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach((json_t *)(uintptr_t)items, i, item) add_item(table, item);
	tool_print_table(tool, table);
	table_free(&table);
}

static int run_check(struct tool *tool, int argc, char **argv)
{
	struct given given = {.scope = NULL};
	json_t *items;
	int count;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count == 0)
		return tool_misuse(tool, "an address is needed");
	items = json_array();
	for (int at = 0; at < count && ends == TOOL_OK; at += AT_ONCE)
		ends = ask(tool, count - at < AT_ONCE ? count - at : AT_ONCE, argv + at, &given,
			   items);
	if (ends == TOOL_OK) {
		print_items(tool, items);
		ends = all_deliver(items) ? TOOL_OK : TOOL_NO;
	}
	json_decref(items);
	return ends;
}

static const struct command_option options[] = {
	OPTION_VALUE("--scope", "SCOPE", NULL, struct given, scope,
		     "as if the mail came in with this scope"),
	OPTION_VALUE("--sender", "ADDRESS", NULL, struct given, sender, "a message from it"),
	OPTION_VALUE("--client", "ADDRESS", NULL, struct given, client,
		     "that comes from this IP address"),
	OPTION_VALUE("--user", "NAME", NULL, struct given, user, "from who logged in so"),
	OPTION_VALUE("--listener", "ADDRESS", NULL, struct given, listener, "by this listener"),
	OPTION_VALUE("--size", "SIZE", NULL, struct given, size, "of so many octets, or 64K, 10M"),
	OPTION_LIST("--header", "FIELD", NULL, struct given, headers,
		    "with this field, \"NAME: VALUE\"; may be given several times"),
	OPTION_END,
};

const struct command command_check = {
	.name = "check",
	.operands = "ADDRESS...",
	.summary = "What would happen to mail for these addresses",
	.about = "Nothing is sent. With one of the options behind --scope the rules are tried on "
		 "such a\n"
		 "message; what is not given is not known, and in doubt rules that keep mail are "
		 "taken\n"
		 "to be met.\n",
	.options = options,
	.notes = "Exit status 0 when all of them would be delivered, 1 when one would not.\n",
	.examples = {"stagepost check alice@example.com bob@example.com",
		     "stagepost check dave@example.com --header 'X-Env: production'"},
	.run = run_check,
};
