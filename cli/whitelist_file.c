/* cli/whitelist_file.c - stagepost whitelist import, export */
#include <config.h>

#include "cli/whitelist_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/progress.h"
#include "cli/raw.h"

/* --- files ------------------------------------------------------------------- */

static int find_format(const struct tool *tool, const char *name, const char *format,
		       enum listing_format *format_out)
{
	struct span file = span_of(name);

	*format_out = LISTING_TEXT;
	if (format != NULL) {
		if (!listing_format_find(span_of(format), format_out))
			return tool_misuse(tool, "--format is one of " LISTING_FORMATS);
	} else if (span_ends_fold(file, span_of(".csv"))) {
		*format_out = LISTING_CSV;
	} else if (span_ends_fold(file, span_of(".json"))) {
		*format_out = LISTING_JSON;
	}
	return TOOL_OK;
}

static int read_all(FILE *in, struct list_file *file)
{
	char *room;
	size_t len;

	do {
		room = buf_reserve(&file->text, 65536);
		if (room == NULL)
			return tool_fail(TOOL_USAGE, "%s is longer than %zu octets", file->name,
					 LISTING_BYTES_MAX);
		len = fread(room, 1, 65536, in);
		buf_fill(&file->text, len);
	} while (len > 0);
	if (ferror(in) != 0)
		return tool_fail(TOOL_IO, "%s can't be read: %s", file->name, strerror(errno));
	return TOOL_OK;
}

int list_file_read(const struct tool *tool, const char *name, const char *format,
		   struct list_file *file_out)
{
	bool is_stdin = strcmp(name, "-") == 0;
	int ends = find_format(tool, name, format, &file_out->format);
	FILE *in;

	file_out->name = is_stdin ? "standard input" : name;
	buf_init(&file_out->text, LISTING_BYTES_MAX + 2 * 65536);
	if (ends != TOOL_OK)
		return ends;
	in = is_stdin ? stdin : fopen(name, "re");
	if (in == NULL)
		return tool_fail(TOOL_IO, "%s can't be read: %s", name, strerror(errno));
	ends = read_all(in, file_out);
	if (!is_stdin)
		fclose(in);
	return ends;
}

int list_file_options(struct tool *tool, void *given, int argc, char **argv)
{
	int count;
	int ends = option_read(tool, given, argc, argv, &count);

	if (ends == TOOL_OK && count != 1)
		ends = tool_misuse(tool, "one file is needed, or - for standard input");
	return ends;
}

void list_file_release(struct list_file *file)
{
	buf_release(&file->text);
}

void list_print_counts(const char *prefix, const struct list_count *counts, size_t count)
{
	const char *between = prefix;

	for (size_t i = 0; i < count; i++)
		if (counts[i].count != 0) {
			printf("%s%lld %s", between, counts[i].count, counts[i].what);
			between = ", ";
		}
	printf("%s\n", between == prefix ? "nothing to do" : "");
}

void list_print_advice(const json_t *advice)
{
	json_t *warning;
	size_t i;

	if (tool_text(advice, "summary")[0] != '\0')
		tool_print_clean(tool_text(advice, "summary"));
	json_array_foreach(json_object_get(advice, "warnings"), i, warning) tool_note(
		"warning: %s: %s", tool_text(warning, "pattern"), tool_text(warning, "text"));
}

/* --- import ------------------------------------------------------------------ */

struct import_options {
	const char *format;
	const char *scope;
	bool dry_run;
	bool update;
	bool allow_all;
};

static void print_changes(const json_t *changes)
{
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)changes, i, entry)
	{
		char line[700];

		snprintf(line, sizeof(line), "%s %s%s%s%s",
			 tool_number(entry, "id") != 0 ? "~" : "+",
			 strcmp(tool_text(entry, "action"), "deny") == 0 ? "deny " : "",
			 tool_text(entry, "pattern"),
			 tool_text(entry, "scope")[0] != '\0' ? " scope=" : "",
			 tool_text(entry, "scope"));
		tool_print_clean(line);
	}
}

static void print_import(const struct tool *tool, const struct import_options *given,
			 const json_t *answer)
{
	const struct list_count counts[] = {
		{given->dry_run ? "would be added" : "added", tool_number(answer, "added")},
		{given->dry_run ? "would be changed" : "changed", tool_number(answer, "changed")},
		{"there already", tool_number(answer, "unchanged")},
		{"repeated in the file", tool_number(answer, "repeated")},
		{"of them expired", tool_number(answer, "expired")},
	};

	if (tool->format != TOOL_TEXT) {
		tool_print_json(tool, answer);
		return;
	}
	print_changes(json_object_get(answer, "changes"));
	list_print_counts("Entries: ", counts, sizeof(counts) / sizeof(counts[0]));
	list_print_advice(json_object_get(answer, "lint"));
}

static int refuse_list(const struct list_file *file, const struct client_reply *reply)
{
	const json_t *errors = json_object_get(reply->body, "errors");
	json_t *one;
	size_t i;

	if (reply->status != 400 || json_array_size(errors) == 0)
		return client_refused(reply);
	json_array_foreach((json_t *)(uintptr_t)errors, i, one)
		tool_note("%s: %s", file->name, tool_text(one, "detail"));
	if (json_array_size(errors) >= LISTING_MISTAKES_MAX)
		tool_note("%s: there may be more mistakes", file->name);
	return TOOL_USAGE;
}

static int send_list(struct tool *tool, const struct import_options *given,
		     const struct list_file *file)
{
	struct client_request request = {.method = "POST", .type = "application/octet-stream"};
	struct progress progress = progress_make(tool, "importing");
	struct client_reply reply;
	struct err why;
	struct buf path;
	int ends;

	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/whitelist/import");
	client_add_parameter(&path, "format", listing_format_name(file->format));
	client_add_parameter(&path, "scope", given->scope);
	client_add_parameter(&path, "dry_run", given->dry_run ? "true" : NULL);
	client_add_parameter(&path, "mode", given->update ? "update" : NULL);
	client_add_parameter(&path, "allow_all", given->allow_all ? "true" : NULL);
	request.path = path.data;
	request.body = file->text.len > 0 ? buf_span(&file->text) : span_make("\n", 1);
	request.progress = &progress;
	ends = client_send(tool, &request, &reply, &why);
	progress_wipe(&progress);
	buf_release(&path);
	if (ends != ERR_OK)
		return client_fail(tool, ends, &why);
	if (reply.status == 200)
		print_import(tool, given, reply.body);
	else
		ends = refuse_list(file, &reply);
	json_decref(reply.body);
	return ends;
}

static int run_import(struct tool *tool, int argc, char **argv)
{
	struct import_options given = {0};
	struct list_file file;
	int ends = list_file_options(tool, &given, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	ends = list_file_read(tool, argv[0], given.format, &file);
	if (ends == TOOL_OK)
		ends = send_list(tool, &given, &file);
	list_file_release(&file);
	return ends;
}

static const struct command_option import_options[] = {
	LIST_FILE_FORMAT(struct import_options, format),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct import_options, scope,
		     "of entries that name none"),
	OPTION_FLAG("--update", struct import_options, update,
		    "take over note, owner and time of entries that are there already"),
	OPTION_FLAG("--dry-run", struct import_options, dry_run, "only show what would come"),
	OPTION_FLAG("--allow-all", struct import_options, allow_all,
		    "yes, I mean * where it stands there"),
	OPTION_END,
};

const struct command command_whitelist_import = {
	.name = "whitelist import",
	.operands = "FILE",
	.operand_words = {WORDS_FILE},
	.summary = "Add all entries of a file, or none",
	.about = "FILE is - for standard input. What is in the list already stays as it is.\n",
	.options = import_options,
	.notes = "The format is told in stagepost-whitelist(5). Exit status 64 when there is a "
		 "mistake\n"
		 "in the file: each is printed with its line, and nothing was added.\n",
	.examples = {"stagepost whitelist import staging.whitelist",
		     "stagepost whitelist import --format maildev --dry-run auto-relay.json"},
	.run = run_import,
};

/* --- export ------------------------------------------------------------------ */

static int download(struct tool *tool, const char *path, FILE *out)
{
	struct client_reply reply;
	struct err why;
	int ends = client_download(tool, path, out, &reply, &why);

	if (ends != ERR_OK)
		return client_fail(tool, ends, &why);
	ends = reply.status == 200 ? TOOL_OK : client_refused(&reply);
	json_decref(reply.body);
	return ends;
}

/* What somebody wrote in a note is not for the terminal to obey. */
static int download_as_it_is(struct tool *tool, const char *path)
{
	FILE *out = raw_open();
	int ends;

	if (out == NULL)
		return tool_fail(TOOL_IO, "the output can't be written");
	ends = download(tool, path, out);
	raw_close(out);
	return ends;
}

/* A line an entry: what comes is one document, which is taken apart here. */
static int download_lines(struct tool *tool, const char *path)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ends;

	if (out == NULL)
		return tool_fail(TOOL_IO, "no memory for the list");
	ends = download(tool, path, out);
	fclose(out);
	if (ends == TOOL_OK) {
		json_t *list = json_loadb(text, len, 0, NULL);

		tool_print_items(tool, json_object_get(list, "entries"));
		json_decref(list);
	}
	free(text);
	return ends;
}

struct export_given {
	const char *format;
	const char *scope;
};

static int run_export(struct tool *tool, int argc, char **argv)
{
	struct export_given given = {.format = NULL};
	struct buf path;
	int ends = option_read_only(tool, &given, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT && given.format != NULL && strcmp(given.format, "json") != 0)
		return tool_misuse(tool, "--format %s and JSON exclude each other", given.format);
	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/whitelist/export");
	client_add_parameter(&path, "format", tool->format != TOOL_TEXT ? "json" : given.format);
	client_add_parameter(&path, "scope", given.scope);
	ends = tool->format == TOOL_LINES ? download_lines(tool, path.data)
					  : download_as_it_is(tool, path.data);
	buf_release(&path);
	return ends;
}

static const struct command_option export_options[] = {
	OPTION_VALUE("--format", "FORMAT", "text csv json", struct export_given, format,
		     "text (usual), csv or json"),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct export_given, scope,
		     "only the entries of this scope"),
	OPTION_END,
};

const struct command command_whitelist_export = {
	.name = "whitelist export",
	.operands = "",
	.summary = "Print the whitelist as a file that import and apply take",
	.options = export_options,
	.examples = {"stagepost whitelist export > staging.whitelist",
		     "stagepost whitelist export --format csv --scope shop > shop.csv"},
	.run = run_export,
};
