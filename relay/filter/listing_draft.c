/* relay/filter/listing_draft.c - one entry of a listing: its fields as they were written, judged */
#include <stdio.h>

#include "base/when.h"
#include "relay/filter/listing_private.h"

/* --- fields --- */

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
		listing->room = 2 * listing->room + 64;
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
