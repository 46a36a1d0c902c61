/* cli/token.c - stagepost token list, create, revoke */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
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

static void print_tokens(const json_t *items)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < json_array_size(items); i++)
		add_token(table, json_array_get(items, i));
	tool_print_table(table);
	table_free(&table);
}

static int run_list(struct tool *tool, int argc, char **argv)
{
	bool all = false;
	const struct tool_option options[] = {{"--all", NULL, &all}, {NULL, NULL, NULL}};
	json_t *items;
	int ends = tool_only_options(tool, options, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	ends = fetch(tool, all, &items);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print_tokens(items);
	if (json_array_size(items) == 0)
		ends = tool_fail(TOOL_NO, "there is no token");
	json_decref(items);
	return ends;
}

const struct command command_token_list = {
	"token list", "[--all]", "The API tokens, without their secrets",
	"  --all    also those that were revoked\n"
	"\nLAST USED is exact to a minute. Exit status 1 when there is none.\n",
	run_list};

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
	const struct tool_option options[] = {{"--role", &given.role, NULL},
					      {"--scope", &given.scope, NULL},
					      {"--expires", &given.expires, NULL},
					      {NULL, NULL, NULL}};
	int count;
	int ends = tool_options(tool, options, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "the name of one token is needed");
	given.name = argv[0];
	return send_token(tool, &given);
}

const struct command command_token_create = {
	"token create", "NAME [--role reader|operator|admin] [--scope SCOPE] [--expires TIME]",
	"Make an API token and print its secret, this once",
	"  --role ROLE     reader (usual) looks; operator also changes the whitelist, the\n"
	"                  rules and the queue; admin also makes tokens and reads the trail\n"
	"  --scope SCOPE   sees and changes only what belongs to this scope\n"
	"  --expires TIME  30m, 12h, 90d, or a time such as 2026-12-31T18:00:00Z\n"
	"\nOnly the secret goes to standard output. Exit status 1 when there is a token of\n"
	"this name that was not revoked.\n",
	run_create};

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
	const struct tool_option none[] = {{NULL, NULL, NULL}};
	long long id = 0;
	int count;
	int ends = tool_options(tool, none, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "the name or the id of one token is needed");
	ends = find(tool, argv[0], &id);
	return ends == TOOL_OK ? revoke(tool, id) : ends;
}

const struct command command_token_revoke = {
	"token revoke", "NAME|ID", "Take an API token out of force",
	"It is refused from the next request on, and its name is free again.\n"
	"\nExit status 1 when there is no such token.\n",
	run_revoke};
