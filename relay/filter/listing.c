/* relay/filter/listing.c - a listing: its entries, what was wrong with it, and comparing two */
#include "relay/filter/listing.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "relay/filter/listing_private.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* --- formats --- */

static const char *const formats[] = {
	[LISTING_TEXT] = "text",       [LISTING_CSV] = "csv",	      [LISTING_JSON] = "json",
	[LISTING_MAILDEV] = "maildev", [LISTING_MAILPIT] = "mailpit",
};
#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

const char *listing_format_name(enum listing_format format)
{
	return formats[format];
}

bool listing_format_find(struct span name, enum listing_format *format_out)
{
	for (size_t i = LISTING_TEXT; i < FORMAT_COUNT; i++)
		if (span_is(name, formats[i])) {
			*format_out = (enum listing_format)i;
			return true;
		}
	return false;
}

bool listing_format_is_written(enum listing_format format)
{
	return format == LISTING_TEXT || format == LISTING_CSV || format == LISTING_JSON;
}

/* --- mistakes --- */

bool reading_is_over(const struct reading *reading)
{
	return reading->mistakes >= LISTING_MISTAKES_MAX;
}

void reading_mistake(struct reading *reading, struct place place, const char *format, ...)
{
	struct listing_mistake mistake = {.line = place.line, .column = place.column};
	va_list args;

	if (reading_is_over(reading))
		return;
	reading->mistakes++;
	if (place.pointer != NULL)
		(void)snprintf(mistake.pointer, sizeof(mistake.pointer), "%s", place.pointer);
	va_start(args, format);
	(void)vsnprintf(mistake.why.text, sizeof(mistake.why.text), format, args);
	va_end(args);
	reading->tell(reading->ctx, &mistake);
}

void reading_broken(struct reading *reading, const struct tokens *tokens)
{
	reading_mistake(reading, (struct place){tokens->line, tokens->column, NULL}, "%s",
			tokens->why.text);
}

void reading_expect_end(struct reading *reading, struct tokens *tokens)
{
	if (!reading_is_over(reading) && tokens_next(tokens) != TOKEN_END)
		reading_broken(reading, tokens);
}

/* --- the same twice --- */

static int compare_keys(const struct entry *a, const struct entry *b)
{
	int order = strcmp(a->pattern, b->pattern);

	if (order == 0)
		order = strcmp(a->scope, b->scope);
	return order != 0 ? order : (int)a->action - (int)b->action;
}

static int compare_rows(const void *left, const void *right)
{
	const struct row *a = *(const struct row *const *)left;
	const struct row *b = *(const struct row *const *)right;
	int order = compare_keys(&a->entry, &b->entry);

	return order != 0 ? order : (a > b) - (a < b);
}

static bool is_same_text(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

bool listing_is_same(const struct entry *a, const struct entry *b)
{
	return is_same_text(a->note, b->note) && is_same_text(a->owner, b->owner) &&
	       a->expires_at == b->expires_at;
}

static void sort(struct listing *listing)
{
	listing->sorted = arena_array(listing->arena, listing->count, sizeof(listing->sorted[0]));
	for (size_t i = 0; i < listing->count; i++)
		listing->sorted[i] = &listing->rows[i];
	qsort(listing->sorted, listing->count, sizeof(listing->sorted[0]), compare_rows);
}

static void tell_repeat(struct reading *reading, const struct row *row, const struct row *first)
{
	struct place place = {row->line, 0, NULL};
	char pointer[64];

	if (reading->base != NULL) {
		(void)snprintf(pointer, sizeof(pointer), "%s/%zu/pattern", reading->base,
			       row->place);
		place.pointer = pointer;
	}
	reading_mistake(reading, place,
			"%s stands in line %zu already, with another note, owner or time",
			row->entry.pattern, first->line);
}

/* Mark what stands there twice by taking its pattern away. */
static void mark_repeats(struct reading *reading)
{
	struct listing *listing = reading->listing;
	const struct row *first = NULL;

	for (size_t i = 0; i < listing->count; i++) {
		const struct row *row = listing->sorted[i];

		if (first == NULL || compare_keys(&first->entry, &row->entry) != 0) {
			first = row;
			continue;
		}
		if (!listing_is_same(&first->entry, &row->entry))
			tell_repeat(reading, row, first);
		listing->rows[row - listing->rows].line = 0;
		listing->repeats++;
	}
}

static void drop_repeats(struct listing *listing)
{
	size_t kept = 0;

	if (listing->repeats == 0)
		return;
	for (size_t i = 0; i < listing->count; i++)
		if (listing->rows[i].line != 0)
			listing->rows[kept++] = listing->rows[i];
	listing->count = kept;
	sort(listing);
}

/* --- reading --- */

bool lines_next(struct lines *lines, struct span *line_out)
{
	size_t end;

	if (lines->rest.len == 0)
		return false;
	end = span_find(lines->rest, '\n');
	*line_out = span_first(lines->rest, end);
	lines->rest = span_skip(lines->rest, end + 1);
	lines->number++;
	if (line_out->len > 0 && line_out->data[line_out->len - 1] == '\r')
		line_out->len--;
	return true;
}

/* Where the first octet stands that is no UTF-8; there is one. */
static size_t find_not_utf8(struct span text)
{
	size_t at = 0;

	for (;;) {
		size_t len = 1;

		while (len <= 4 && !span_is_utf8(span_first(span_skip(text, at), len)))
			len++;
		if (len > 4)
			return at;
		at += len;
		assert(at < text.len);
	}
}

static void tell_not_utf8(struct reading *reading, struct span text)
{
	struct lines lines = {text, 0};
	struct span line;

	while (lines_next(&lines, &line) && !reading_is_over(reading))
		if (!span_is_utf8(line))
			reading_mistake(reading,
					(struct place){lines.number, find_not_utf8(line) + 1, NULL},
					"not UTF-8");
}

static void read_all(struct reading *reading, enum listing_format format, struct span text)
{
	static void (*const readers[])(struct reading *, struct span) = {
		[LISTING_TEXT] = listing_read_text,	  [LISTING_CSV] = listing_read_csv,
		[LISTING_JSON] = listing_read_json,	  [LISTING_MAILDEV] = listing_read_maildev,
		[LISTING_MAILPIT] = listing_read_mailpit,
	};

	if (text.len > LISTING_BYTES_MAX) {
		reading_mistake(reading, (struct place){0, 0, NULL}, "longer than %zu octets",
				LISTING_BYTES_MAX);
		return;
	}
	if (!span_is_utf8(text)) {
		tell_not_utf8(reading, text);
		return;
	}
	if (span_is(span_first(text, strlen(BYTE_ORDER_MARK)), BYTE_ORDER_MARK))
		text = span_skip(text, strlen(BYTE_ORDER_MARK));
	readers[format](reading, text);
}

int listing_read(enum listing_format format, struct span text,
		 const struct listing_options *options,
		 void (*tell)(void *ctx, const struct listing_mistake *mistake), void *ctx,
		 struct listing **listing_out)
{
	struct listing *listing = mem_zalloc(sizeof(*listing));
	struct reading reading = {.listing = listing, .options = options, .tell = tell, .ctx = ctx};

	listing->arena = arena_new();
	read_all(&reading, format, text);
	sort(listing);
	mark_repeats(&reading);
	drop_repeats(listing);
	if (reading.mistakes > 0) {
		listing_free(&listing);
		return ERR_SYNTAX;
	}
	*listing_out = listing;
	return ERR_OK;
}

void listing_free(struct listing **listing)
{
	if (*listing == NULL)
		return;
	arena_free(&(*listing)->arena);
	mem_free((*listing)->rows);
	mem_free(*listing);
	*listing = NULL;
}

size_t listing_count(const struct listing *listing)
{
	return listing->count;
}

const struct entry *listing_entry(const struct listing *listing, size_t i)
{
	assert(i < listing->count);
	return &listing->rows[i].entry;
}

size_t listing_repeats(const struct listing *listing)
{
	return listing->repeats;
}

/* --- comparing --- */

size_t listing_find(const struct listing *listing, const struct entry *entry)
{
	size_t low = 0;
	size_t high = listing->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_keys(&listing->sorted[middle]->entry, entry);

		if (order == 0)
			return (size_t)(listing->sorted[middle] - listing->rows);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return listing->count;
}

void listing_compare(const struct listing *now, const struct listing *wanted,
		     void (*row)(void *ctx, const struct entry *before, const struct entry *after),
		     void *ctx)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct entry *before = &now->rows[i].entry;
		size_t at = listing_find(wanted, before);
		const struct entry *after = at < wanted->count ? &wanted->rows[at].entry : NULL;

		if (after == NULL || !listing_is_same(before, after))
			row(ctx, before, after);
	}
	for (size_t i = 0; i < wanted->count; i++)
		if (listing_find(now, &wanted->rows[i].entry) == now->count)
			row(ctx, NULL, &wanted->rows[i].entry);
}
