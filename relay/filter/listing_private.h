/* relay/filter/listing_private.h - what the readers of the formats share; private to listing*.c */
#ifndef STAGEPOST_RELAY_FILTER_LISTING_PRIVATE_H
#define STAGEPOST_RELAY_FILTER_LISTING_PRIVATE_H

#include "base/mem.h"
#include "relay/filter/listing.h"
#include "relay/filter/pattern.h"
#include "relay/filter/tokens.h"

/* The same names in text (name=value), in CSV's first row and as members in JSON. */
enum listing_field {
	FIELD_PATTERN,
	FIELD_ACTION,
	FIELD_SCOPE,
	FIELD_NOTE,
	FIELD_OWNER,
	FIELD_EXPIRES_AT,
	FIELD_EXPIRES_IN,
	FIELD_ALLOW_ALL,
	FIELD_COUNT
};
#define FIELD_SIZE_MAX (LISTING_NOTE_MAX + 1)

/* FIELD_COUNT: none of this name. ASCII case does not matter. */
enum listing_field field_find(struct span name);
const char *field_name(enum listing_field field);
/* A view of an entry has it too, but it can't be set: passed over. */
bool field_is_passed_over(struct span name);

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

/* A listing being read. */
struct reading {
	struct listing *listing;
	const struct listing_options *options;
	void (*tell)(void *ctx, const struct listing_mistake *mistake);
	void *ctx;
	size_t mistakes;
	const char *base; /* of a list in JSON: the pointer of the array; else NULL */
	size_t drafts;	  /* entries looked at, also those that were refused */
	/* JSON may say allow_all behind the entries: the first `*` that needs it waits for that */
	struct {
		size_t line; /* 0: none */
		size_t column;
		char pointer[80];
	} all;
};

/* Where something stands. */
struct place {
	size_t line;
	size_t column;
	const char *pointer; /* NULL or "": none */
};

/* No use to go on: LISTING_MISTAKES_MAX mistakes, or more entries than may be. */
bool reading_is_over(const struct reading *reading);
void reading_mistake(struct reading *reading, struct place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One entry as it was written. */
struct draft {
	struct place place;
	bool refused; /* a mistake was told already */
	struct {
		bool given;
		size_t line;
		size_t column;
		size_t len;
		char text[FIELD_SIZE_MAX];
	} fields[FIELD_COUNT];
};

void draft_begin(struct draft *draft, struct place place);
/* Copied. A field twice, or one that is too long, is a mistake. */
void draft_set(struct reading *reading, struct draft *draft, enum listing_field field,
	       struct span text, struct place place);
/* Judge it as a whole and put it in. */
void reading_add(struct reading *reading, struct draft *draft);
/* allow_all was not said for the whole text either. */
void reading_refuse_all(struct reading *reading);
/* The same for a pattern with an action and nothing else. */
void reading_add_pattern(struct reading *reading, struct span pattern, enum entry_action action,
			 struct place place);

/* The lines of a text, without their ends. */
struct lines {
	struct span rest;
	size_t number; /* of the line given last, from 1 */
};
bool lines_next(struct lines *lines, struct span *line_out);

/* One for each format: reads all of `text`, which is UTF-8 without a byte order mark. */
void listing_read_text(struct reading *reading, struct span text);
void listing_read_csv(struct reading *reading, struct span text);
void listing_read_json(struct reading *reading, struct span text);
void listing_read_maildev(struct reading *reading, struct span text);
void listing_read_mailpit(struct reading *reading, struct span text);

/* `tokens` stand at their end, or the text is broken there: told then. */
void reading_expect_end(struct reading *reading, struct tokens *tokens);
void reading_broken(struct reading *reading, const struct tokens *tokens);

#endif
