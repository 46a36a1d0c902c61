/* relay/filter/listing.c - a listing: its entries, what was wrong with it, and comparing two */
#include "relay/filter/listing.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/when.h"
#include "relay/filter/listing_private.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct row {
	struct entry entry;
	size_t line;
	size_t place; /* among the entries of the text */
};

struct listing {
	struct arena *arena;
	struct row *rows;
	size_t count;
	size_t room;
	size_t repeats;
	const struct row **sorted; /* by pattern, scope and action */
};

/* --- formats and fields --- */

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

static const struct {
	const char *name;
	size_t max; /* octets */
} fields[FIELD_COUNT] = {
	[FIELD_PATTERN] = {"pattern", 2 * PATTERN_TEXT_SIZE},
	[FIELD_ACTION] = {"action", 16},
	[FIELD_SCOPE] = {"scope", LISTING_SCOPE_MAX},
	[FIELD_NOTE] = {"note", LISTING_NOTE_MAX},
	[FIELD_OWNER] = {"owner", LISTING_OWNER_MAX},
	[FIELD_EXPIRES_AT] = {"expires_at", 64},
	[FIELD_EXPIRES_IN] = {"expires_in", 32},
	[FIELD_ALLOW_ALL] = {"allow_all", 16},
};

enum listing_field field_find(struct span name)
{
	size_t i = 0;

	while (i < FIELD_COUNT && !span_is_fold(name, fields[i].name))
		i++;
	return (enum listing_field)i;
}

const char *field_name(enum listing_field field)
{
	return fields[field].name;
}

bool field_is_passed_over(struct span name)
{
	static const char *const names[] = {"id",	  "kind", "created_at",	 "created_by",
					    "expired_at", "hits", "last_hit_at", "revision"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is_fold(name, names[i]))
			return true;
	return false;
}

bool listing_is_scope(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) && memchr("._-", text.data[i], 3) == NULL)
			return false;
	return text.len <= LISTING_SCOPE_MAX;
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

/* --- one entry --- */

void draft_begin(struct draft *draft, struct place place)
{
	draft->place = place;
	draft->refused = false;
	for (size_t i = 0; i < FIELD_COUNT; i++)
		draft->fields[i].given = false;
}

void draft_set(struct reading *reading, struct draft *draft, enum listing_field field,
	       struct span text, struct place place)
{
	const char *name = fields[field].name;

	if (draft->fields[field].given || text.len > fields[field].max) {
		if (draft->fields[field].given)
			reading_mistake(reading, place, "%s is given twice", name);
		else
			reading_mistake(reading, place, "%s is longer than %zu octets", name,
					fields[field].max);
		draft->refused = true;
		return;
	}
	draft->fields[field].given = true;
	draft->fields[field].line = place.line;
	draft->fields[field].column = place.column;
	draft->fields[field].len = text.len;
	if (text.len > 0)
		memcpy(draft->fields[field].text, text.data, text.len);
}

static struct span text_of(const struct draft *draft, enum listing_field field)
{
	return draft->fields[field].given
		       ? span_make(draft->fields[field].text, draft->fields[field].len)
		       : span_make(NULL, 0);
}

/* A mistake in one field: its own place, and its name behind the entry's pointer. */
static void wrong(struct reading *reading, struct draft *draft, enum listing_field field,
		  const char *sentence)
{
	struct place place = draft->place;
	char pointer[sizeof(((struct listing_mistake *)NULL)->pointer)];

	if (draft->fields[field].given) {
		place.line = draft->fields[field].line;
		place.column = draft->fields[field].column;
	}
	if (reading->base != NULL) {
		(void)snprintf(pointer, sizeof(pointer), "%s/%s", place.pointer,
			       fields[field].name);
		place.pointer = pointer;
	}
	reading_mistake(reading, place, "%s", sentence);
	draft->refused = true;
}

static void take_pattern(struct reading *reading, struct draft *draft, struct entry *entry)
{
	struct pattern pattern;
	struct err why;

	if (pattern_parse(text_of(draft, FIELD_PATTERN), &pattern, &why) != ERR_OK) {
		wrong(reading, draft, FIELD_PATTERN, why.text);
		return;
	}
	entry->pattern = arena_strdup(reading->listing->arena, pattern.text);
	entry->kind = pattern.kind;
}

static void take_action(struct reading *reading, struct draft *draft, struct entry *entry)
{
	struct span action = text_of(draft, FIELD_ACTION);

	entry->action = ENTRY_ALLOW;
	if (span_is_fold(action, "deny"))
		entry->action = ENTRY_DENY;
	else if (action.len > 0 && !span_is_fold(action, "allow"))
		wrong(reading, draft, FIELD_ACTION, "neither allow nor deny");
}

static void take_scope(struct reading *reading, struct draft *draft, struct entry *entry)
{
	const char *own = reading->options->scope != NULL ? reading->options->scope : "";
	struct span scope = text_of(draft, FIELD_SCOPE);

	if (!draft->fields[FIELD_SCOPE].given)
		scope = span_of(own);
	if (!listing_is_scope(scope))
		wrong(reading, draft, FIELD_SCOPE, "only letters, digits, '.', '_' and '-'");
	else if (reading->options->only_scope && !span_is(scope, own))
		wrong(reading, draft, FIELD_SCOPE, "another scope than you are limited to");
	else
		entry->scope = arena_span_dup(reading->listing->arena, scope);
}

/* As the API has it for one entry: line ends and TAB, and no other control characters. */
static const char *take_text(struct reading *reading, struct draft *draft, enum listing_field field)
{
	struct span text = text_of(draft, field);

	for (size_t i = 0; i < text.len; i++)
		if (((unsigned char)text.data[i] < ' ' && text.data[i] != '\n' &&
		     text.data[i] != '\t') ||
		    text.data[i] == 127) {
			wrong(reading, draft, field, "holds a control character");
			return NULL;
		}
	return text.len > 0 ? arena_span_dup(reading->listing->arena, text) : NULL;
}

/* A time that has passed is taken: what was exported comes back as it was. */
static void take_expiry(struct reading *reading, struct draft *draft, struct entry *entry)
{
	struct span at = text_of(draft, FIELD_EXPIRES_AT);
	struct span in = text_of(draft, FIELD_EXPIRES_IN);
	struct err why;
	int64_t ms;

	if (at.len > 0 && in.len > 0) {
		wrong(reading, draft, FIELD_EXPIRES_IN, "expires_at is given already");
	} else if (in.len > 0) {
		if (reading->options->fixed_times)
			wrong(reading, draft, FIELD_EXPIRES_IN,
			      "would be another time whenever the list is read: use expires_at");
		else if (when_parse_duration(in, &ms, &why) != ERR_OK)
			wrong(reading, draft, FIELD_EXPIRES_IN, why.text);
		else
			entry->expires_at = reading->options->now + ms;
	} else if (at.len > 0) {
		if (when_parse(at, &ms, &why) != ERR_OK)
			wrong(reading, draft, FIELD_EXPIRES_AT, why.text);
		else if (ms <= 0) /* 0 would be never */
			wrong(reading, draft, FIELD_EXPIRES_AT, "lies before 1970");
		else
			entry->expires_at = ms;
	}
}

static const char sentence_all[] = "\"*\" lets everything out: it takes allow_all to mean it";

void reading_refuse_all(struct reading *reading)
{
	if (reading->all.line > 0)
		reading_mistake(reading,
				(struct place){reading->all.line, reading->all.column,
					       reading->all.pointer},
				"%s", sentence_all);
}

static void wait_for_all(struct reading *reading, const struct draft *draft)
{
	if (reading->all.line > 0)
		return;
	reading->all.line = draft->fields[FIELD_PATTERN].line;
	reading->all.column = draft->fields[FIELD_PATTERN].column;
	(void)snprintf(reading->all.pointer, sizeof(reading->all.pointer), "%s/pattern",
		       draft->place.pointer);
}

/* `*` opens the whole list: somebody has to say so. */
static void check_all(struct reading *reading, struct draft *draft, const struct entry *entry)
{
	struct span said = text_of(draft, FIELD_ALLOW_ALL);
	bool yes = span_is_fold(said, "yes") || span_is_fold(said, "true");

	if (said.len > 0 && !yes && !span_is_fold(said, "no") && !span_is_fold(said, "false"))
		wrong(reading, draft, FIELD_ALLOW_ALL, "neither yes nor no");
	else if (entry->pattern == NULL || entry->kind != ENTRY_ALL ||
		 entry->action != ENTRY_ALLOW || yes || reading->options->allow_all)
		return;
	else if (reading->base != NULL)
		wait_for_all(reading, draft);
	else
		wrong(reading, draft, FIELD_PATTERN, sentence_all);
}

static void append(struct listing *listing, const struct entry *entry, size_t line, size_t place)
{
	if (listing->count == listing->room) {
		listing->room = listing->room > 0 ? 2 * listing->room : 64;
		listing->rows = mem_regrow(listing->rows, listing->room, sizeof(listing->rows[0]));
	}
	listing->rows[listing->count++] = (struct row){*entry, line, place};
}

void reading_add(struct reading *reading, struct draft *draft)
{
	size_t max = reading->options->max_entries > 0 ? reading->options->max_entries
						       : LISTING_ENTRIES_MAX;
	struct entry entry = {.scope = ""};
	size_t place = reading->drafts++;

	if (!draft->fields[FIELD_PATTERN].given && !draft->refused)
		wrong(reading, draft, FIELD_PATTERN, "the pattern is missing");
	else if (draft->fields[FIELD_PATTERN].given)
		take_pattern(reading, draft, &entry);
	take_action(reading, draft, &entry);
	take_scope(reading, draft, &entry);
	entry.note = take_text(reading, draft, FIELD_NOTE);
	entry.owner = take_text(reading, draft, FIELD_OWNER);
	take_expiry(reading, draft, &entry);
	check_all(reading, draft, &entry);
	if (draft->refused)
		return;
	if (reading->listing->count >= max) {
		reading_mistake(reading, draft->place, "more than %zu entries", max);
		reading->mistakes = LISTING_MISTAKES_MAX;
		return;
	}
	append(reading->listing, &entry, draft->place.line, place);
}

void reading_add_pattern(struct reading *reading, struct span pattern, enum entry_action action,
			 struct place place)
{
	struct draft draft;

	draft_begin(&draft, place);
	draft_set(reading, &draft, FIELD_PATTERN, pattern, place);
	draft_set(reading, &draft, FIELD_ACTION, span_of(action == ENTRY_DENY ? "deny" : "allow"),
		  place);
	reading_add(reading, &draft);
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

/* Where the first octet stands that is no UTF-8, or `text.len`. */
static size_t find_not_utf8(struct span text)
{
	size_t at = 0;

	while (at < text.len) {
		size_t len = 1;

		while (len <= 4 && !span_is_utf8(span_first(span_skip(text, at), len)))
			len++;
		if (len > 4)
			break;
		at += len;
	}
	return at < text.len ? at : text.len;
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
