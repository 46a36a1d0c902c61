/* relay/filter/listing_text.c - lists of one pattern a line, with fields behind it: read */
#include "relay/filter/listing_private.h"

#define LINE_MAX_BYTES ((size_t)8192)

/* A line on its way: what is left of it, and where it began. */
struct line {
	struct reading *reading;
	struct span whole;
	struct span rest;
	size_t number;
};

static struct place place_at(const struct line *line, const char *at)
{
	return (struct place){line->number, (size_t)(at - line->whole.data) + 1, NULL};
}

static struct place place_here(const struct line *line)
{
	return line->rest.len > 0 ? place_at(line, line->rest.data)
				  : (struct place){line->number, line->whole.len + 1, NULL};
}

static void skip_blanks(struct line *line)
{
	size_t blanks = 0;

	while (blanks < line->rest.len && ascii_is_blank(line->rest.data[blanks]))
		blanks++;
	line->rest = span_skip(line->rest, blanks);
}

static size_t word_length(struct span text)
{
	size_t len = 0;

	while (len < text.len && !ascii_is_blank(text.data[len]))
		len++;
	return len;
}

/* "!", "deny " or "allow " in front. Behind it the pattern may begin with '!' or '#'. */
static enum entry_action take_action(struct line *line)
{
	struct span word = span_first(line->rest, word_length(line->rest));
	bool is_word = word.len < line->rest.len;
	enum entry_action action = ENTRY_ALLOW;

	if (line->rest.data[0] == '!') {
		line->rest = span_skip(line->rest, 1);
		action = ENTRY_DENY;
	} else if (is_word && (span_is_fold(word, "deny") || span_is_fold(word, "allow"))) {
		line->rest = span_skip(line->rest, word.len);
		action = span_is_fold(word, "deny") ? ENTRY_DENY : ENTRY_ALLOW;
	}
	skip_blanks(line);
	return action;
}

/* --- fields --- */

/* Behind the opening quote; \\ \" \n \t stand for what they do in C. */
static bool take_quoted(struct line *line, struct buf *value)
{
	static const char from[] = "\\\"nt";
	static const char to[] = "\\\"\n\t";

	for (;;) {
		char c = line->rest.len > 0 ? line->rest.data[0] : '\0';
		const char *escape = NULL;

		if (line->rest.len == 0)
			break;
		line->rest = span_skip(line->rest, 1);
		if (c == '"')
			return line->rest.len == 0 || ascii_is_blank(line->rest.data[0]);
		if (c == '\\') {
			if (line->rest.len > 0)
				escape = memchr(from, line->rest.data[0], strlen(from));
			if (escape == NULL)
				break;
			line->rest = span_skip(line->rest, 1);
			c = to[escape - from];
		}
		(void)buf_append_char(value, c);
	}
	return false;
}

static bool take_value(struct line *line, struct buf *value)
{
	size_t len = word_length(line->rest);

	if (line->rest.len > 0 && line->rest.data[0] == '"') {
		line->rest = span_skip(line->rest, 1);
		return take_quoted(line, value);
	}
	if (span_find(span_first(line->rest, len), '"') < len)
		return false;
	(void)buf_append_span(value, span_first(line->rest, len));
	line->rest = span_skip(line->rest, len);
	return true;
}

/* False: the rest of the line makes no sense any more. */
static bool take_field(struct line *line, struct draft *draft)
{
	struct place place = place_here(line);
	struct span word = span_first(line->rest, word_length(line->rest));
	size_t equals = span_find(word, '=');
	enum listing_field field = field_find(span_first(word, equals));
	struct buf value;
	bool good;

	if (equals == word.len || field == FIELD_COUNT || field == FIELD_PATTERN ||
	    field == FIELD_ACTION) {
		reading_mistake(line->reading, place,
				"one pattern a line; behind it only scope=, note=, owner=, "
				"expires_at=, expires_in=, allow_all=, or # and a comment");
		return false;
	}
	buf_init(&value, LINE_MAX_BYTES);
	line->rest = span_skip(line->rest, equals + 1);
	good = take_value(line, &value);
	if (good)
		draft_set(line->reading, draft, field, buf_span(&value), place);
	else
		reading_mistake(line->reading, place,
				"a value with blanks stands in \"…\", where only \\\\ \\\" \\n and "
				"\\t are escaped");
	buf_release(&value);
	return good;
}

static void read_entry(struct line *line, enum entry_action action)
{
	size_t len = word_length(line->rest);
	struct place place = place_here(line);
	struct draft draft;

	draft_begin(&draft, place);
	draft_set(line->reading, &draft, FIELD_PATTERN, span_first(line->rest, len), place);
	draft_set(line->reading, &draft, FIELD_ACTION,
		  span_of(action == ENTRY_DENY ? "deny" : "allow"), place);
	line->rest = span_skip(line->rest, len);
	for (skip_blanks(line); line->rest.len > 0 && line->rest.data[0] != '#'; skip_blanks(line))
		if (!take_field(line, &draft))
			return;
	reading_add(line->reading, &draft);
}

/* --- commas --- */

/* "a@example.com, b@example.com": how others write lists on one line. Only patterns then. */
static bool is_comma_list(const struct line *line)
{
	struct span word = span_first(line->rest, word_length(line->rest));
	struct span behind = span_trim(span_skip(line->rest, word.len));

	return span_find(word, ',') < word.len || (behind.len > 0 && behind.data[0] == ',');
}

static struct span without_comment(struct span text)
{
	for (size_t i = 1; i < text.len; i++)
		if (text.data[i] == '#' && ascii_is_blank(text.data[i - 1]))
			return span_first(text, i);
	return text;
}

static void read_commas(struct line *line, enum entry_action action)
{
	struct span rest = without_comment(line->rest);

	do {
		struct span one = span_first(rest, span_find(rest, ','));
		const char *at = one.data;
		enum entry_action its = action;
		bool last = one.len == rest.len;

		rest = span_skip(rest, one.len + 1);
		one = span_trim(one);
		if (one.len == 0 && last)
			break; /* the end, or a comma at the end of each line */
		if (one.len > 0)
			at = one.data;
		if (one.len > 0 && one.data[0] == '!') {
			its = ENTRY_DENY;
			one = span_trim(span_skip(one, 1));
		}
		reading_add_pattern(line->reading, one, its, place_at(line, at));
	} while (!reading_is_over(line->reading));
}

void listing_read_text(struct reading *reading, struct span text)
{
	struct lines lines = {text, 0};
	struct span whole;

	while (lines_next(&lines, &whole) && !reading_is_over(reading)) {
		struct line line = {reading, whole, whole, lines.number};
		enum entry_action action;

		if (whole.len > LINE_MAX_BYTES) {
			reading_mistake(reading, (struct place){lines.number, 0, NULL},
					"a line is longer than %zu octets", LINE_MAX_BYTES);
			continue;
		}
		skip_blanks(&line);
		if (line.rest.len == 0 || line.rest.data[0] == '#')
			continue;
		action = take_action(&line);
		if (is_comma_list(&line))
			read_commas(&line, action);
		else
			read_entry(&line, action);
	}
}
