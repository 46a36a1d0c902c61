/* relay/filter/listing_json.c - lists as the API speaks them: read */
#include "relay/filter/listing_private.h"

#include <stdio.h>

#define POINTER_SIZE 80

/* A list of entries on its way. */
struct list {
	struct reading *reading;
	struct tokens tokens;
	size_t index;
	bool allow_all; /* said for the whole list */
	bool has_allow_all;
	unsigned members; /* of the entry so far, a bit for each field */
	struct draft draft;
	char pointer[POINTER_SIZE]; /* of the entry */
};

static struct place place_of(const struct list *list, const char *pointer)
{
	return (struct place){list->tokens.line, list->tokens.column, pointer};
}

/* RFC 6901: '~' and '/' in a name are escaped. What is too long is cut. */
static void point_to(const char *parent, struct span name, char pointer_out[POINTER_SIZE])
{
	size_t len = (size_t)snprintf(pointer_out, POINTER_SIZE, "%s/", parent);

	for (size_t i = 0; i < name.len && len + 3 < POINTER_SIZE; i++) {
		if (name.data[i] == '~' || name.data[i] == '/') {
			pointer_out[len++] = '~';
			pointer_out[len++] = name.data[i] == '~' ? '0' : '1';
		} else if (name.data[i] != '\0' && (unsigned char)name.data[i] < 0x80) {
			pointer_out[len++] = name.data[i];
		}
	}
	pointer_out[len] = '\0';
}

/* --- one entry --- */

/* The value of a member that can be set. False: the text is broken. */
static bool take_member(struct list *list, enum listing_field field, const char *pointer)
{
	enum token token = tokens_next(&list->tokens);
	struct place place = place_of(list, pointer);
	bool is_bool = token == TOKEN_TRUE || token == TOKEN_FALSE;
	struct span text = is_bool ? span_of(token == TOKEN_TRUE ? "yes" : "no")
				   : tokens_text(&list->tokens);

	if (field == FIELD_ALLOW_ALL ? is_bool : token == TOKEN_STRING)
		draft_set(list->reading, &list->draft, field, text, place);
	else if (token == TOKEN_NULL && field != FIELD_PATTERN && field != FIELD_ACTION)
		return true; /* as good as nothing */
	else if (token != TOKEN_BROKEN) {
		reading_mistake(list->reading, place, "must be %s",
				field == FIELD_ALLOW_ALL ? "true or false" : "a string");
		list->draft.refused = true;
		return tokens_skip(&list->tokens, token);
	}
	return token != TOKEN_BROKEN;
}

/* Null or not: which of the two is meant nobody knows (RFC 8259 4). */
static bool refuse_second(struct list *list, struct span name, const char *pointer)
{
	char text[32];
	enum token token;

	(void)snprintf(text, sizeof(text), "%.*s", (int)name.len, name.data);
	token = tokens_next(&list->tokens);
	if (token == TOKEN_BROKEN)
		return false;
	reading_mistake(list->reading, place_of(list, pointer), "%s is given twice", text);
	list->draft.refused = true;
	return tokens_skip(&list->tokens, token);
}

/* Behind TOKEN_NAME. False: the text is broken. */
static bool read_member(struct list *list)
{
	struct span name = tokens_text(&list->tokens);
	enum listing_field field = field_find(name);
	char pointer[POINTER_SIZE];

	point_to(list->pointer, name, pointer);
	/* Names of JSON have a case. */
	if (field != FIELD_COUNT && span_is(name, field_name(field))) {
		bool is_first = (list->members >> field & 1) == 0;

		list->members |= 1U << field;
		return is_first ? take_member(list, field, pointer)
				: refuse_second(list, name, pointer);
	}
	if (!field_is_passed_over(name)) {
		reading_mistake(list->reading, place_of(list, pointer), "unknown member");
		list->draft.refused = true;
	}
	return tokens_skip(&list->tokens, tokens_next(&list->tokens));
}

/* A string is a pattern alone. False: the text is broken. */
static bool read_entry(struct list *list, enum token token)
{
	struct place place;

	(void)snprintf(list->pointer, sizeof(list->pointer), "%s/%zu", list->reading->base,
		       list->index);
	place = place_of(list, list->pointer);
	draft_begin(&list->draft, place);
	list->members = 0;
	if (token == TOKEN_STRING) {
		draft_set(list->reading, &list->draft, FIELD_PATTERN, tokens_text(&list->tokens),
			  place);
	} else if (token == TOKEN_OBJECT) {
		while ((token = tokens_next(&list->tokens)) == TOKEN_NAME)
			if (!read_member(list))
				return false;
		if (token == TOKEN_BROKEN)
			return false;
	} else {
		list->reading->drafts++;
		reading_mistake(list->reading, place, "must be an object, or a pattern");
		return tokens_skip(&list->tokens, token);
	}
	reading_add(list->reading, &list->draft);
	return true;
}

/* Behind '['. False: the text is broken, or it is no use to go on. */
static bool read_array(struct list *list, const char *base)
{
	enum token token;

	list->reading->base = base;
	for (list->index = 0; (token = tokens_next(&list->tokens)) != TOKEN_ARRAY_END;
	     list->index++)
		if (token == TOKEN_BROKEN || !read_entry(list, token) ||
		    reading_is_over(list->reading))
			return false;
	return true;
}

/* --- the document --- */

/* What GET answers has `next`, too: where it is none, there are more entries than these. */
static bool read_next(struct list *list)
{
	enum token token = tokens_next(&list->tokens);

	if (token != TOKEN_NULL && token != TOKEN_BROKEN)
		reading_mistake(list->reading, place_of(list, "/next"),
				"this is a page of a longer list: GET /api/v1/whitelist/export has "
				"all of it");
	return tokens_skip(&list->tokens, token);
}

/* For all of the entries, wherever it stands. False: the text is broken. */
static bool read_allow_all(struct list *list)
{
	enum token token = tokens_next(&list->tokens);

	if (list->has_allow_all && token != TOKEN_BROKEN)
		reading_mistake(list->reading, place_of(list, "/allow_all"),
				"allow_all is given twice");
	list->has_allow_all = true;
	list->allow_all = token == TOKEN_TRUE;
	if (token != TOKEN_TRUE && token != TOKEN_FALSE && token != TOKEN_BROKEN)
		reading_mistake(list->reading, place_of(list, "/allow_all"),
				"must be true or false");
	return tokens_skip(&list->tokens, token);
}

/* Behind TOKEN_NAME. False: the text is broken, or it is no use to go on. */
static bool read_top(struct list *list, bool *found)
{
	struct span name = tokens_text(&list->tokens);
	bool is_entries = span_is(name, "entries");
	bool is_list = is_entries || span_is(name, "items");
	char pointer[POINTER_SIZE];

	point_to("", name, pointer);
	if (span_is(name, "next"))
		return read_next(list);
	if (span_is(name, "allow_all"))
		return read_allow_all(list);
	if (span_is(name, "revision"))
		return tokens_skip(&list->tokens, tokens_next(&list->tokens));
	if (!is_list || *found) {
		reading_mistake(list->reading, place_of(list, pointer),
				is_list ? "a second list" : "unknown member");
		return tokens_skip(&list->tokens, tokens_next(&list->tokens));
	}
	*found = true;
	if (tokens_next(&list->tokens) == TOKEN_ARRAY)
		return read_array(list, is_entries ? "/entries" : "/items");
	reading_mistake(list->reading, place_of(list, pointer), "must be an array");
	return false;
}

static bool read_object(struct list *list)
{
	bool found = false;
	enum token token;

	while ((token = tokens_next(&list->tokens)) == TOKEN_NAME)
		if (!read_top(list, &found))
			return false;
	if (!found && token == TOKEN_OBJECT_END)
		reading_mistake(list->reading, (struct place){0, 0, "/entries"},
				"must be an array of entries");
	return token == TOKEN_OBJECT_END;
}

void listing_read_json(struct reading *reading, struct span text)
{
	struct list list = {.reading = reading};
	enum token token;
	bool whole = false;

	tokens_init(&list.tokens, text);
	token = tokens_next(&list.tokens);
	if (token == TOKEN_ARRAY)
		whole = read_array(&list, "");
	else if (token == TOKEN_OBJECT)
		whole = read_object(&list);
	else if (token != TOKEN_BROKEN)
		reading_mistake(reading, (struct place){1, 1, NULL},
				"must be an array of entries, or an object with one");
	if (whole)
		reading_expect_end(reading, &list.tokens);
	else if (list.tokens.broken)
		reading_broken(reading, &list.tokens);
	if (!list.allow_all)
		reading_refuse_all(reading);
	tokens_release(&list.tokens);
}
