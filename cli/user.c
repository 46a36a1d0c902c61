/* cli/user.c - stagepost user add, remove, list, passwd: who may log in at the listeners */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/document.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/prompt.h"
#include "cli/users_file.h"
#include "relay/smtp/users.h"

#define DEFAULT_CONFIG "/etc/stagepost/stagepost.yaml"
#define DEFAULT_FILE   "/etc/stagepost/users"
#define LINE_ROOM      8192

static int ends_with(int code)
{
	switch (code) {
	case ERR_OK: return TOOL_OK;
	case ERR_DENIED: return TOOL_DENIED;
	case ERR_SYNTAX: return TOOL_USAGE;
	default: return TOOL_IO;
	}
}

static void wipe(struct buf *bytes)
{
	if (bytes->data != NULL)
		secret_wipe(bytes->data, bytes->len);
	buf_release(bytes);
}

/* --- where the file is ------------------------------------------------------- */

/* What all of these commands may be told. */
struct place {
	const char *file;
	const char *config;
};
#define PLACE_OPTIONS                                                                              \
	OPTION_VALUE(                                                                              \
		"--file", "FILE", WORDS_FILE, struct given, place.file,                            \
		"the users file; default: users.file of the configuration, else " DEFAULT_FILE),   \
		OPTION_VALUE("--config", "FILE", WORDS_FILE, struct given, place.config,           \
			     "the daemon's configuration; default " DEFAULT_CONFIG)

/* What the command line says. */
struct given {
	struct place place;
	const char *scheme;
	const char *scope;
};

static void ignore_mistake(void *ctx, const char *source, struct document_mark mark,
			   const char *sentence)
{
}

static void ignore_cut(void *ctx)
{
}

/* users.file of a configuration: it stays in the arena. NULL: it names none. */
static const char *file_in(struct arena *arena, struct span text)
{
	static const struct document_ops ops = {.on_mistake = ignore_mistake, .on_cut = ignore_cut};
	const struct document_node *node;
	struct document_node *root;

	(void)document_parse(text, "", arena, &ops, NULL, &root);
	node = document_find(document_find(root, span_of("users")), span_of("file"));
	return node != NULL && node->kind == DOCUMENT_SCALAR && node->text.len > 0 ? node->text.data
										   : NULL;
}

/* Sets place->file, with what it points to in the arena. */
static int find_file(struct place *place, struct arena *arena)
{
	const char *config = place->config != NULL ? place->config : DEFAULT_CONFIG;
	char *text = arena_alloc(arena, DOCUMENT_MAX_BYTES + 1);
	FILE *stream;
	size_t len;

	if (place->file != NULL)
		return TOOL_OK;
	place->file = DEFAULT_FILE;
	stream = fopen(config, "re");
	if (stream == NULL)
		return place->config == NULL ? TOOL_OK
					     : tool_fail(TOOL_IO, "%s can't be read: %m", config);
	len = fread(text, 1, DOCUMENT_MAX_BYTES + 1, stream);
	fclose(stream);
	text = (char *)(uintptr_t)file_in(arena, span_make(text, len));
	if (text != NULL)
		place->file = text;
	if (strstr(place->file, "${") != NULL)
		return tool_fail(TOOL_USAGE,
				 "%s names the users file by the environment: say --file", config);
	return TOOL_OK;
}

static int options_of(struct tool *tool, struct given *given, struct arena *arena, int argc,
		      char **argv, int *count_out)
{
	int ends = option_read(tool, given, argc, argv, count_out);

	return ends != TOOL_OK ? ends : find_file(&given->place, arena);
}

/* --- changes ----------------------------------------------------------------- */

/* What is asked for one user. */
struct wish {
	const char *name;
	const char *scope;
	enum credential_scheme scheme; /* CREDENTIAL_SCHEMES: as it was */
};

struct found {
	const struct users_file *file;
	size_t mistakes;
};

static void tell_mistake(void *ctx, size_t line, const char *sentence)
{
	struct found *found = ctx;

	found->mistakes++;
	tool_note("%s:%zu: %s", found->file->path, line, sentence);
}

/* Write it, and tell what the daemon would say. */
static int save(struct users_file *file)
{
	struct found found = {.file = file};
	struct err why;
	int code = users_file_save(file, &why);

	if (code != ERR_OK)
		return tool_fail(ends_with(code), "%s", why.text);
	(void)users_parse(buf_span(&file->text), tell_mistake, &found, NULL);
	if (found.mistakes > 0)
		tool_note("until that is mended stagepostd does not take the file");
	else
		tool_note("stagepostd reads it at its next reload (SIGHUP)");
	return TOOL_OK;
}

/* NAME:SECRET[:SCOPE] */
static int make_line(const struct wish *wish, struct span secret, struct buf *line)
{
	struct err why;
	int code = buf_printf(line, "%s:", wish->name);

	if (code == ERR_OK)
		code = credential_make(wish->scheme, secret, line, &why);
	if (code == ERR_OK && wish->scope[0] != '\0')
		code = buf_printf(line, ":%s", wish->scope);
	return code == ERR_OK ? TOOL_OK : tool_fail(ends_with(code), "%s", why.text);
}

static int put(struct users_file *file, struct span old, const struct wish *wish,
	       struct span secret)
{
	struct buf line;
	struct err why;
	int ends;

	buf_init(&line, LINE_ROOM);
	ends = make_line(wish, secret, &line);
	if (ends == TOOL_OK && users_file_put(file, old, buf_span(&line), &why) != ERR_OK)
		ends = tool_fail(TOOL_IO, "%s", why.text);
	wipe(&line);
	return ends == TOOL_OK ? save(file) : ends;
}

static int open_file(const struct place *place, struct users_file *file)
{
	struct err why;
	int code = users_file_open(place->file, file, &why);

	return code == ERR_OK ? TOOL_OK : tool_fail(ends_with(code), "%s", why.text);
}

static int check_wish(struct tool *tool, const char *scheme, struct wish *wish)
{
	if (!users_is_name(span_of(wish->name)))
		return tool_misuse(tool,
				   "\"%s\" can't be a user's name: no colons, no control "
				   "characters, no blanks at its ends, no # in front",
				   wish->name);
	wish->scheme = CREDENTIAL_SCHEMES;
	if (scheme != NULL && !credential_scheme_find(span_of(scheme), &wish->scheme))
		return tool_misuse(tool, "--scheme is yescrypt, scram-sha-256 or plain");
	if (wish->scope[0] != '\0' && !users_is_scope(wish->scope))
		return tool_misuse(tool,
				   "a scope has at most 63 letters, digits, dots, hyphens and "
				   "underscores");
	return TOOL_OK;
}

/* What is done with the file and the secret (empty: only look whether it would be). */
typedef int change_fn(struct users_file *file, const struct wish *wish, struct span secret);

static int run_change(const struct place *place, change_fn *change, const struct wish *wish,
		      struct span secret)
{
	struct users_file file;
	int ends = open_file(place, &file);

	if (ends != TOOL_OK)
		return ends;
	ends = change(&file, wish, secret);
	users_file_close(&file);
	return ends;
}

/* The file is not locked while somebody thinks of a password. */
static int change_with_secret(const struct place *place, change_fn *change, const struct wish *wish)
{
	char question[SASL_NAME_MAX + 32];
	struct buf secret;
	struct err why;
	int ends = run_change(place, change, wish, span_of(""));
	int code;

	if (ends != TOOL_OK)
		return ends;
	(void)snprintf(question, sizeof(question), "Password of %s", wish->name);
	buf_init(&secret, PROMPT_MAX + 1);
	code = prompt_secret(question, &secret, &why);
	ends = code == ERR_OK ? run_change(place, change, wish, buf_span(&secret))
			      : tool_fail(ends_with(code), "%s", why.text);
	wipe(&secret);
	return ends;
}

static int add(struct users_file *file, const struct wish *wish, struct span secret)
{
	if (users_file_find(file, wish->name).data != NULL)
		return tool_fail(TOOL_NO,
				 "%s is there already; \"user passwd\" gives another password",
				 wish->name);
	return secret.len > 0 ? put(file, (struct span){NULL, 0}, wish, secret) : TOOL_OK;
}

static int run_add(struct tool *tool, int argc, char **argv)
{
	struct given given = {.scheme = "yescrypt", .scope = ""};
	struct wish wish;
	struct arena *arena = arena_new();
	int count;
	int ends = options_of(tool, &given, arena, argc, argv, &count);

	if (ends == TOOL_OK && count != 1)
		ends = tool_misuse(tool, "one name is needed");
	wish = (struct wish){.name = argv[0], .scope = given.scope};
	if (ends == TOOL_OK)
		ends = check_wish(tool, given.scheme, &wish);
	if (ends == TOOL_OK)
		ends = change_with_secret(&given.place, add, &wish);
	arena_free(&arena);
	return ends;
}

/* --- passwd ------------------------------------------------------------------ */

/* What stands behind the second colon. */
static struct span scope_of(struct span line)
{
	(void)span_cut(&line, ':');
	(void)span_cut(&line, ':');
	return span_trim(line);
}

/* The kind it is of now; yescrypt where that can't be told. */
static enum credential_scheme scheme_of(struct span line)
{
	char *text;
	struct credential credential = {.scheme = CREDENTIAL_YESCRYPT};

	(void)span_cut(&line, ':');
	text = mem_span_dup(span_cut(&line, ':'));
	(void)credential_parse(text, &credential, NULL);
	secret_wipe(text, strlen(text));
	mem_free(text);
	return credential.scheme;
}

static int change_password(struct users_file *file, const struct wish *wish, struct span secret)
{
	struct span line = users_file_find(file, wish->name);
	struct wish kept = *wish;
	char scope[USERS_SCOPE_SIZE + 1];

	if (line.data == NULL)
		return tool_fail(TOOL_NO, "%s is not there", wish->name);
	if (secret.len == 0)
		return TOOL_OK;
	(void)snprintf(scope, sizeof(scope), "%.*s", SPAN_ARG(scope_of(line)));
	kept.scope = scope;
	if (wish->scheme == CREDENTIAL_SCHEMES)
		kept.scheme = scheme_of(line);
	return put(file, line, &kept, secret);
}

static int run_passwd(struct tool *tool, int argc, char **argv)
{
	struct given given = {.scope = ""};
	struct wish wish;
	struct arena *arena = arena_new();
	int count;
	int ends = options_of(tool, &given, arena, argc, argv, &count);

	if (ends == TOOL_OK && count != 1)
		ends = tool_misuse(tool, "one name is needed");
	wish = (struct wish){.name = argv[0], .scope = given.scope};
	if (ends == TOOL_OK)
		ends = check_wish(tool, given.scheme, &wish);
	if (ends == TOOL_OK)
		ends = change_with_secret(&given.place, change_password, &wish);
	arena_free(&arena);
	return ends;
}

/* --- remove ------------------------------------------------------------------ */

/* All of them or none. */
static int remove_all(const struct place *place, int count, char **names)
{
	struct users_file file;
	int ends = open_file(place, &file);

	if (ends != TOOL_OK)
		return ends;
	for (int i = 0; i < count && ends == TOOL_OK; i++) {
		struct span line = users_file_find(&file, names[i]);

		if (line.data == NULL)
			ends = tool_fail(TOOL_NO, "%s is not there", names[i]);
		else
			users_file_remove(&file, line);
	}
	if (ends == TOOL_OK)
		ends = save(&file);
	users_file_close(&file);
	return ends;
}

static int run_remove(struct tool *tool, int argc, char **argv)
{
	struct given given = {.scope = ""};
	struct arena *arena = arena_new();
	int count;
	int ends = options_of(tool, &given, arena, argc, argv, &count);

	if (ends == TOOL_OK && count == 0)
		ends = tool_misuse(tool, "a name is needed");
	if (ends == TOOL_OK)
		ends = remove_all(&given.place, count, argv);
	arena_free(&arena);
	return ends;
}

/* --- list -------------------------------------------------------------------- */

static const struct table_column columns[] = {
	{"NAME", false, 8, 0, NULL}, {"SCHEME", false, 0, 0, NULL}, {"SCOPE", false, 0, 0, NULL}};

static void tell_loading(void *ctx, size_t line, const char *sentence)
{
	if (line > 0)
		tool_note("%s:%zu: %s", (const char *)ctx, line, sentence);
	else
		tool_note("%s %s", (const char *)ctx, sentence);
}

static void print_users(const struct tool *tool, const struct users *users)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_t *items = json_array();
	struct users_entry entry;

	for (size_t i = 0; users_entry(users, i, &entry); i++) {
		const char *scheme = credential_scheme_name(entry.scheme);

		table_add(table, (const char *[]){entry.name, scheme, entry.scope});
		(void)json_array_append_new(items,
					    json_pack("{s:s, s:s, s:s}", "name", entry.name,
						      "scheme", scheme, "scope", entry.scope));
	}
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else
		tool_print_table(tool, table);
	json_decref(items);
	table_free(&table);
}

static int list(const struct tool *tool, const struct place *place)
{
	struct users *users = NULL;
	int ends = TOOL_OK;

	if (access(place->file, R_OK) != 0)
		return tool_fail(TOOL_IO, "%s can't be read: %m", place->file);
	if (users_load(place->file, tell_loading, (void *)(uintptr_t)place->file, &users) != ERR_OK)
		return tool_fail(TOOL_NO, "stagepostd would not take this file");
	if (users_count(users) == 0 && tool->format == TOOL_TEXT)
		ends = tool_fail(TOOL_NO, "%s names nobody", place->file);
	else
		print_users(tool, users);
	users_free(&users);
	return ends;
}

static int run_list(struct tool *tool, int argc, char **argv)
{
	struct given given = {.scope = ""};
	struct arena *arena = arena_new();
	int count;
	int ends = options_of(tool, &given, arena, argc, argv, &count);

	if (ends == TOOL_OK && count > 0)
		ends = tool_misuse(tool, "\"%s\" is one word too many", argv[0]);
	if (ends == TOOL_OK)
		ends = list(tool, &given.place);
	arena_free(&arena);
	return ends;
}

#define SCHEME(help)                                                                               \
	OPTION_VALUE("--scheme", "SCHEME", "yescrypt scram-sha-256 plain", struct given, scheme,   \
		     "yescrypt (a hash), scram-sha-256 (good for that mechanism, too) or plain "   \
		     "(in the clear; CRAM-MD5 needs it); " help)
#define SECRET_ABOUT                                                                               \
	"The password is asked for, or read from standard input when that is no terminal.\n"

static const struct command_option add_options[] = {
	SCHEME("usual: yescrypt"),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct given, scope,
		     "the whitelist scope of this user's mail"),
	PLACE_OPTIONS,
	OPTION_END,
};
static const struct command_option passwd_options[] = {
	SCHEME("without it: of the kind it was"),
	PLACE_OPTIONS,
	OPTION_END,
};
static const struct command_option place_options[] = {PLACE_OPTIONS, OPTION_END};

const struct command command_user_add = {
	.name = "user add",
	.operands = "NAME",
	.summary = "Let somebody log in at the listeners",
	.about = SECRET_ABOUT,
	.options = add_options,
	.notes = "Exit status 1 when the name is there already.\n",
	.examples = {"stagepost user add shop --scope shop",
		     "stagepost user add ci --file ./users < ci.password"},
	.run = run_add,
};

const struct command command_user_passwd = {
	.name = "user passwd",
	.operands = "NAME",
	.summary = "Give a user another password",
	.about = SECRET_ABOUT,
	.options = passwd_options,
	.notes = "Exit status 1 when the name is not there.\n",
	.examples = {"stagepost user passwd shop", "stagepost user passwd shop --scheme plain"},
	.run = run_passwd,
};

const struct command command_user_remove = {
	.name = "user remove",
	.operands = "NAME...",
	.summary = "Take users away",
	.options = place_options,
	.notes = "Exit status 1, and nothing changed, when one is not there.\n",
	.examples = {"stagepost user remove shop", "stagepost user remove shop ci --file ./users"},
	.run = run_remove,
};

const struct command command_user_list = {
	.name = "user list",
	.operands = "",
	.summary = "Who may log in",
	.options = place_options,
	.notes = "Exit status 1 when nobody may.\n",
	.examples = {"stagepost user list", "stagepost user list --file ./users --json"},
	.run = run_list,
};
