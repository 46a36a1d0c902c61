/* cli/webhook.c - stagepost webhook list, retry, drop */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/pages.h"
#include "cli/table.h"
#include "cli/text.h"

#define WEBHOOKS "/api/v1/webhooks"
#define LETTERS	 WEBHOOKS "/dead-letters"

/* --- list -------------------------------------------------------------------- */

static const struct table_column webhook_columns[] = {
	{"NAME", false, 8, 0, NULL},	   {"TO", false, 12, 3, NULL},
	{"WAITING", true, 0, 0, NULL},	   {"DEAD", true, 0, 0, NULL},
	{"SENT", true, 0, 0, NULL},	   {"FAILED", true, 0, 0, NULL},
	{"LOST", true, 0, 1, NULL},	   {"LAST SENT", true, 0, 2, NULL},
	{"LAST ERROR", false, 12, 4, NULL}};
static const struct table_column letter_columns[] = {
	{"ID", true, 0, 0, NULL},	   {"WEBHOOK", false, 8, 2, NULL},
	{"EVENT", false, 0, 0, NULL},	   {"AGE", true, 0, 0, NULL},
	{"ATTEMPTS", true, 0, 1, NULL},	   {"MESSAGE", false, 0, 4, NULL},
	{"RECIPIENT", false, 12, 3, NULL}, {"ERROR", false, 12, 0, NULL}};

struct list_given {
	bool dead;
	const char *webhook;
};

static void add_webhook(struct table *table, const json_t *webhook)
{
	static const char *const names[] = {"waiting", "dead_letters", "sent", "failed", "lost"};
	char numbers[5][24];
	char sent[TEXT_SHORT_SIZE];

	for (size_t i = 0; i < 5; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%lld", tool_number(webhook, names[i]));
	tool_age(webhook, "last_sent_at", sent);
	table_add(table, (const char *[]){tool_text(webhook, "name"), tool_text(webhook, "place"),
					  numbers[0], numbers[1], numbers[2], numbers[3],
					  numbers[4], sent, tool_text(webhook, "last_error")});
}

static void add_letter(struct table *table, const json_t *letter)
{
	const json_t *event = json_object_get(letter, "event");
	char id[24], attempts[24];
	char age[TEXT_SHORT_SIZE];

	snprintf(id, sizeof(id), "%lld", tool_number(letter, "id"));
	snprintf(attempts, sizeof(attempts), "%lld", tool_number(letter, "attempts"));
	tool_age(letter, "made_at", age);
	table_add(table,
		  (const char *[]){id, tool_text(letter, "webhook"), tool_text(letter, "type"), age,
				   attempts, tool_text(event, "message"),
				   tool_text(event, "recipient"), tool_text(letter, "error")});
}

static void print(struct tool *tool, const json_t *items, bool dead)
{
	struct table *table =
		dead ? table_new(letter_columns, sizeof(letter_columns) / sizeof(letter_columns[0]))
		     : table_new(webhook_columns,
				 sizeof(webhook_columns) / sizeof(webhook_columns[0]));

	for (size_t i = 0; i < json_array_size(items); i++)
		(dead ? add_letter : add_webhook)(table, json_array_get(items, i));
	tool_print_table(tool, table);
	table_free(&table);
}

static int fetch(struct tool *tool, const struct list_given *given, json_t **items_out)
{
	json_t *answer = NULL;
	struct buf path;
	int ends;

	if (!given->dead) {
		ends = client_ask(tool, "GET", WEBHOOKS, NULL, &answer);
		*items_out = ends == TOOL_OK ? json_incref(json_object_get(answer, "items")) : NULL;
		json_decref(answer);
		return ends;
	}
	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, LETTERS);
	client_add_parameter(&path, "webhook", given->webhook);
	ends = pages_fetch(tool, &path, 0, items_out);
	buf_release(&path);
	return ends;
}

static int run_list(struct tool *tool, int argc, char **argv)
{
	struct list_given given = {.dead = false};
	json_t *items = NULL;
	int ends = option_read_only(tool, &given, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	if (given.webhook != NULL && !given.dead)
		return tool_misuse(tool, "--webhook goes with --dead");
	ends = fetch(tool, &given, &items);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print(tool, items, given.dead);
	if (json_array_size(items) == 0)
		ends = tool_fail(TOOL_NO, given.dead ? "there is no dead letter"
						     : "no webhook is configured");
	json_decref(items);
	return ends;
}

static const struct command_option list_options[] = {
	OPTION_FLAG("--dead", struct list_given, dead,
		    "the dead letters: events that were tried too often, or refused"),
	OPTION_VALUE("--webhook", "NAME", NULL, struct list_given, webhook,
		     "only dead letters of this one"),
	OPTION_END,
};

const struct command command_webhook_list = {
	.name = "webhook list",
	.operands = "",
	.summary = "The webhooks and how they fare, or their dead letters",
	.options = list_options,
	.notes = "SENT, FAILED and LOST are since the start. Exit status 1 when there is none.\n",
	.examples = {"stagepost webhook list", "stagepost webhook list --dead --webhook ci"},
	.run = run_list,
};

/* --- retry, drop -------------------------------------------------------------- */

struct act_given {
	bool all;
	const char *webhook;
};

/* How many it was done to, of one or of all. */
static int ask_one(struct tool *tool, const char *verb, const char *id, long long *count)
{
	bool drops = strcmp(verb, "drop") == 0;
	json_t *answer = NULL;
	struct buf path;
	int ends;

	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, LETTERS "/");
	client_add_segment(&path, span_of(id));
	if (!drops)
		(void)buf_append_text(&path, "/retry");
	ends = client_ask(tool, drops ? "DELETE" : "POST", path.data, NULL, &answer);
	buf_release(&path);
	json_decref(answer);
	*count += ends == TOOL_OK ? 1 : 0;
	return ends;
}

static int ask_all(struct tool *tool, const char *verb, const char *webhook, long long *count)
{
	json_t *body = json_pack("{s:s?}", "webhook", webhook);
	json_t *answer = NULL;
	char path[80];
	int ends;

	snprintf(path, sizeof(path), LETTERS "/%s", verb);
	ends = client_ask(tool, "POST", path, body, &answer);
	json_decref(body);
	*count = ends == TOOL_OK ? tool_number(answer, "changed") : 0;
	json_decref(answer);
	return ends;
}

static void say(struct tool *tool, const char *verb, long long count)
{
	json_t *json;

	if (tool->format == TOOL_TEXT) {
		printf("%s: %lld dead letter%s\n",
		       strcmp(verb, "drop") == 0 ? "Dropped" : "To be sent", count,
		       count == 1 ? "" : "s");
		return;
	}
	json = json_pack("{s:I}", "changed", (json_int_t)count);
	tool_print_json(tool, json);
	json_decref(json);
}

static int run_act(struct tool *tool, const char *verb, int argc, char **argv)
{
	struct act_given given = {.all = false};
	long long done = 0;
	int count = 0;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if ((count > 0) == given.all)
		return tool_misuse(tool, "ids of dead letters are needed, or --all");
	if (given.webhook != NULL && !given.all)
		return tool_misuse(tool, "--webhook goes with --all");
	if (given.all)
		ends = ask_all(tool, verb, given.webhook, &done);
	/* The others are done all the same. */
	for (int i = 0; i < count; i++) {
		int one = ask_one(tool, verb, argv[i], &done);

		ends = one != TOOL_OK ? one : ends;
	}
	if (done > 0 || ends == TOOL_OK)
		say(tool, verb, done);
	return ends == TOOL_OK && done == 0 ? TOOL_NO : ends;
}

static int run_retry(struct tool *tool, int argc, char **argv)
{
	return run_act(tool, "retry", argc, argv);
}

static int run_drop(struct tool *tool, int argc, char **argv)
{
	return run_act(tool, "drop", argc, argv);
}

static const struct command_option act_options[] = {
	OPTION_FLAG("--all", struct act_given, all, "all dead letters"),
	OPTION_VALUE("--webhook", "NAME", NULL, struct act_given, webhook,
		     "with --all: only those of this one"),
	OPTION_END,
};

const struct command command_webhook_retry = {
	.name = "webhook retry",
	.operands = "ID...|--all",
	.summary = "Send dead letters of webhooks once more",
	.options = act_options,
	.notes = "Each has as many tries again as the schedule of its webhook gives. Exit status\n"
		 "1 when there is none, or its webhook is configured no more.\n",
	.examples = {"stagepost webhook retry 7 8", "stagepost webhook retry --all --webhook ci"},
	.run = run_retry,
};

const struct command command_webhook_drop = {
	.name = "webhook drop",
	.operands = "ID...|--all",
	.summary = "Forget dead letters of webhooks",
	.options = act_options,
	.notes = "Exit status 1 when there is none.\n",
	.examples = {"stagepost webhook drop 7", "stagepost webhook drop --all"},
	.run = run_drop,
};
