/* cli/token.c - stagepost token list, create, revoke */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/pages.h"
#include "cli/rows.h"
#include "cli/text.h"

#define TOKENS "/api/v1/tokens"

static const struct table_column columns[] = {
	{"ID", true, 0, 0, NULL},      {"NAME", false, 8, 0, NULL},
	{"ROLE", false, 0, 0, NULL},   {"SCOPE", false, 0, 2, NULL},
	{"EXPIRES", true, 0, 0, NULL}, {"LAST USED", true, 0, 1, NULL},
	{"CREATED", true, 0, 3, NULL}, {"BY", false, 8, 4, NULL},
	{"STATE", false, 0, 0, NULL},
};

/* Newest last; `all`: also those that were revoked. */
static int fetch(struct tool *tool, bool all, json_t **items_out)
{
	struct buf path;
	json_t *items;
	int ends;

	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, TOKENS);
	ends = pages_fetch(tool, &path, 0, &items);
	buf_release(&path);
	if (ends != TOOL_OK)
		return ends;
	for (size_t i = json_array_size(items); !all && i-- > 0;)
		if (json_is_true(json_object_get(json_array_get(items, i), "revoked")))
			(void)json_array_remove(items, i);
	*items_out = items;
	return TOOL_OK;
}

static bool is_over(const json_t *token)
{
	long long expires = tool_time(token, "expires_at");

	return expires != 0 && expires <= clock_wall_ms();
}

/* --- list -------------------------------------------------------------------- */

static void add_token(struct table *table, const json_t *token)
{
	long long expires = tool_time(token, "expires_at");
	bool revoked = json_is_true(json_object_get(token, "revoked"));
	char id[24];
	char left[TEXT_SHORT_SIZE] = "";
	char used[TEXT_SHORT_SIZE];
	char created[TEXT_SHORT_SIZE];

	snprintf(id, sizeof(id), "%lld", tool_number(token, "id"));
	if (expires != 0 && !is_over(token))
		text_duration(expires - clock_wall_ms(), left);
	tool_age(token, "last_used_at", used);
	tool_age(token, "created_at", created);
	table_add(table, (const char *[]){id, tool_text(token, "name"), tool_text(token, "role"),
					  tool_text(token, "scope"), left, used, created,
					  tool_text(token, "created_by"),
					  revoked	   ? "revoked"
					  : is_over(token) ? "expired"
							   : "good"});
}

static void print_tokens(const struct tool *tool, const json_t *items)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < json_array_size(items); i++)
		add_token(table, json_array_get(items, i));
	tool_print_table(tool, table);
	table_free(&table);
}

struct list_given {
	bool all;
};

static int run_list(struct tool *tool, int argc, char **argv)
{
	struct list_given given = {false};
	json_t *items;
	int ends = option_read_only(tool, &given, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	ends = fetch(tool, given.all, &items);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print_tokens(tool, items);
	if (json_array_size(items) == 0)
		ends = tool_fail(TOOL_NO, "there is no token");
	json_decref(items);
	return ends;
}

static const struct command_option list_options[] = {
	OPTION_FLAG("--all", struct list_given, all, "also those that were revoked"),
	OPTION_END,
};

const struct command command_token_list = {
	.name = "token list",
	.operands = "",
	.summary = "The API tokens, without their secrets",
	.options = list_options,
	.notes = "LAST USED is exact to a minute. Exit status 1 when there is none.\n",
	.examples = {"stagepost token list", "stagepost token list --all --json"},
	.run = run_list,
};

/* --- create ------------------------------------------------------------------ */

struct create_options {
	const char *name;
	const char *role;
	const char *scope;
	const char *expires;
};

/* The secret alone goes to standard output, for $(…); what it is to standard error. */
static void say_created(const json_t *token)
{
	const char *scope = tool_text(token, "scope");
	long long expires = tool_time(token, "expires_at");
	char left[TEXT_SHORT_SIZE] = "";

	if (expires != 0)
		text_duration(expires - clock_wall_ms(), left);
	tool_note("token %lld: %s (%s%s%s%s%s), shown this once", tool_number(token, "id"),
		  tool_text(token, "name"), tool_text(token, "role"),
		  scope[0] != '\0' ? ", scope " : "", scope, expires != 0 ? ", for " : "", left);
	tool_print_clean(tool_text(token, "secret"));
}

static int send_token(struct tool *tool, const struct create_options *given)
{
	const struct rows_text texts[] = {
		{"name", given->name},
		{"role", given->role},
		{"scope", given->scope},
		{rows_expiry_member(given->expires), given->expires},
	};
	json_t *token = json_object();
	json_t *created = NULL;
	int ends = rows_set_texts(token, texts, sizeof(texts) / sizeof(texts[0]));

	if (ends == TOOL_OK)
		ends = client_ask(tool, "POST", TOKENS, token, &created);
	json_decref(token);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_json(tool, created);
	else
		say_created(created);
	json_decref(created);
	return TOOL_OK;
}

static int run_create(struct tool *tool, int argc, char **argv)
{
	struct create_options given = {0};
	int count;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "the name of one token is needed");
	given.name = argv[0];
	return send_token(tool, &given);
}

static const struct command_option create_options[] = {
	OPTION_VALUE("--role", "ROLE", "reader operator admin", struct create_options, role,
		     "reader (usual) looks; operator also changes the whitelist, the rules and the "
		     "queue; admin also makes tokens and reads the trail"),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct create_options, scope,
		     "sees and changes only what belongs to this scope"),
	OPTION_VALUE("--expires", "TIME", NULL, struct create_options, expires,
		     "30m, 12h, 90d, or a time such as 2026-12-31T18:00:00Z; without it: never"),
	OPTION_END,
};

const struct command command_token_create = {
	.name = "token create",
	.operands = "NAME",
	.summary = "Make an API token and print its secret, this once",
	.options = create_options,
	.notes = "Only the secret goes to standard output. Exit status 1 when there is a token of\n"
		 "this name that was not revoked.\n",
	.examples = {"stagepost token create ci --role operator --expires 90d",
		     "stagepost token create shop --scope shop > shop.token"},
	.run = run_create,
};

/* --- revoke ------------------------------------------------------------------ */

/* The number of the token of this name that is in force; a name of digits only is a number. */
static int find(struct tool *tool, const char *name, long long *id_out)
{
	uint64_t number = 0;
	json_t *items;
	int ends;

	if (span_to_u64(span_of(name), INT64_MAX, &number) != ERR_OK) {
		ends = fetch(tool, false, &items);
		if (ends != TOOL_OK)
			return ends;
		for (size_t i = 0; i < json_array_size(items); i++) {
			const json_t *token = json_array_get(items, i);

			if (strcmp(tool_text(token, "name"), name) == 0)
				number = (uint64_t)tool_number(token, "id");
		}
		json_decref(items);
	}
	if (number == 0)
		return tool_fail(TOOL_NO, "there is no token %s", name);
	*id_out = (long long)number;
	return TOOL_OK;
}

static int revoke(struct tool *tool, long long id)
{
	json_t *answer = NULL;
	char path[80];
	int ends;

	snprintf(path, sizeof(path), TOKENS "/%lld", id);
	ends = client_ask(tool, "DELETE", path, NULL, &answer);
	json_decref(answer);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format == TOOL_TEXT) {
		printf("Revoked: token %lld\n", id);
		return TOOL_OK;
	}
	answer = json_pack("{s:I, s:b}", "id", (json_int_t)id, "revoked", 1);
	tool_print_json(tool, answer);
	json_decref(answer);
	return TOOL_OK;
}

static int run_revoke(struct tool *tool, int argc, char **argv)
{
	long long id = 0;
	int count;
	int ends = option_read(tool, NULL, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "the name or the id of one token is needed");
	ends = find(tool, argv[0], &id);
	return ends == TOOL_OK ? revoke(tool, id) : ends;
}

const struct command command_token_revoke = {
	.name = "token revoke",
	.operands = "NAME|ID",
	.summary = "Take an API token out of force",
	.notes = "It is refused from the next request on, and its name is free again.\n"
		 "\nExit status 1 when there is no such token.\n",
	.examples = {"stagepost token revoke ci", "stagepost token revoke 3"},
	.run = run_revoke,
};
