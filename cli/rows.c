/* cli/rows.c - rows in an order of their own: what `fault` and `rule` share */
#include <config.h>

#include "cli/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/option.h"
#include "cli/text.h"

void rows_add_words(char *text, size_t size, const char *words)
{
	size_t len = strlen(text);

	if (words[0] != '\0')
		snprintf(text + len, size - len, "%s%s", len > 0 ? " " : "", words);
}

/* An age is counted by the daemon's clock, a time is passed on as it is. */
const char *rows_expiry_member(const char *text)
{
	return text != NULL && span_find(span_of(text), 'T') < strlen(text) ? "expires_at"
									    : "expires_in";
}

void rows_format_id(const json_t *row, char *text, size_t size)
{
	if (json_is_integer(json_object_get(row, "id")))
		snprintf(text, size, "%lld", tool_number(row, "id"));
	else
		snprintf(text, size, "config");
}

static void print(const struct tool *tool, const struct rows *rows, const json_t *items)
{
	struct table *table = table_new(rows->columns, rows->column_count);

	for (size_t i = 0; i < json_array_size(items); i++)
		rows->add(table, json_array_get(items, i));
	tool_print_table(tool, table);
	table_free(&table);
}

int rows_list(struct tool *tool, const struct rows *rows, int argc, char **argv)
{
	json_t *page;
	json_t *items;
	int ends = option_read_only(tool, NULL, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	ends = client_ask(tool, "GET", rows->path, NULL, &page);
	if (ends != TOOL_OK)
		return ends;
	items = json_object_get(page, "items");
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print(tool, rows, items);
	if (json_array_size(items) == 0)
		ends = tool_fail(TOOL_NO, "%s", rows->none);
	json_decref(page);
	return ends;
}

/* The id of the row with this name, 0 for none; -1: it stands in the configuration. */
static long long id_of(const json_t *items, const char *name)
{
	long long id = 0;
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)items, i, row)
	{
		if (strcmp(tool_text(row, "name"), name) != 0)
			continue;
		if (json_is_integer(json_object_get(row, "id")))
			return tool_number(row, "id");
		id = -1;
	}
	return id;
}

int rows_set_before(struct tool *tool, const struct rows *rows, json_t *row, const char *name)
{
	long long id = 0;
	int ends;

	if (name == NULL)
		return TOOL_OK;
	ends = rows_find(tool, rows, name, &id);
	if (ends == TOOL_OK)
		(void)json_object_set_new(row, "before", json_integer((json_int_t)id));
	return ends;
}

int rows_find(struct tool *tool, const struct rows *rows, const char *name, long long *id_out)
{
	uint64_t number;
	json_t *page;
	int ends;

	if (span_to_u64(span_of(name), INT64_MAX, &number) == ERR_OK) {
		*id_out = (long long)number;
		return TOOL_OK;
	}
	ends = client_ask(tool, "GET", rows->path, NULL, &page);
	if (ends != TOOL_OK)
		return ends;
	*id_out = id_of(json_object_get(page, "items"), name);
	json_decref(page);
	if (*id_out < 0)
		return tool_fail(TOOL_NO,
				 "%s stands in the daemon's configuration: change it there", name);
	if (*id_out == 0)
		return tool_fail(TOOL_NO, "there is no %s %s", rows->noun, name);
	return TOOL_OK;
}

int rows_remove(struct tool *tool, const struct rows *rows, int argc, char **argv)
{
	long long id = 0;
	char path[80];
	char what[80];
	int count;
	int ends = option_read(tool, NULL, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "the name or the id of one %s is needed", rows->noun);
	ends = rows_find(tool, rows, argv[0], &id);
	if (ends != TOOL_OK)
		return ends;
	snprintf(path, sizeof(path), "%s/%lld", rows->path, id);
	snprintf(what, sizeof(what), "%s %lld", rows->noun, id);
	return client_remove(tool, path, id, what);
}

/* "Added: bad-day (reject at rcpt), fault rule 3"; only fault rules have a stage. */
static void say_stored(const struct rows *rows, const char *done, const json_t *stored)
{
	const char *stage = tool_text(stored, "stage");
	char line[200];

	snprintf(line, sizeof(line), "%s: %s (%s%s%s), %s %lld", done, tool_text(stored, "name"),
		 tool_text(stored, "action"), stage[0] != '\0' ? " at " : "", stage, rows->noun,
		 tool_number(stored, "id"));
	tool_print_clean(line);
}

int rows_send(struct tool *tool, const struct rows *rows, long long id, const json_t *row,
	      json_t **stored_out)
{
	bool is_new = id == ROWS_NEW;
	char path[80];
	int ends;

	snprintf(path, sizeof(path), "%s/%lld", rows->path, id);
	ends = client_ask(tool, is_new ? "POST" : "PATCH", is_new ? rows->path : path, row,
			  stored_out);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_json(tool, *stored_out);
	else
		say_stored(rows, is_new ? "Added" : "Changed", *stored_out);
	return TOOL_OK;
}

int rows_set_text(json_t *row, const char *name, const char *value)
{
	if (value != NULL && json_object_set_new(row, name, json_string(value)) != 0)
		return tool_fail(TOOL_USAGE, "\"%s\" is no UTF-8", value);
	return TOOL_OK;
}

int rows_set_texts(json_t *row, const struct rows_text *texts, size_t count)
{
	int ends = TOOL_OK;

	for (size_t i = 0; i < count && ends == TOOL_OK; i++)
		ends = rows_set_text(row, texts[i].name, texts[i].value);
	return ends;
}

int rows_set_size(json_t *row, const char *name, const char *option, const char *value)
{
	struct err why;
	int64_t octets;

	if (value == NULL)
		return TOOL_OK;
	if (size_parse(span_of(value), &octets, &why) != ERR_OK)
		return tool_fail(TOOL_USAGE, "%s: \"%s\" is %s", option, value, why.text);
	(void)json_object_set_new(row, name, json_integer((json_int_t)octets));
	return TOOL_OK;
}

int rows_set_number(json_t *row, const char *name, const char *option, const char *value)
{
	uint64_t number;

	if (value == NULL)
		return TOOL_OK;
	if (span_to_u64(span_of(value), INT64_MAX, &number) != ERR_OK)
		return tool_fail(TOOL_USAGE, "%s: \"%s\" is no number", option, value);
	(void)json_object_set_new(row, name, json_integer((json_int_t)number));
	return TOOL_OK;
}
