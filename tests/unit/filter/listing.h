/* tests/unit/filter/listing.h - reading a listing and keeping what was told */
#ifndef STAGEPOST_TESTS_UNIT_FILTER_LISTING_H
#define STAGEPOST_TESTS_UNIT_FILTER_LISTING_H

#include <stdio.h>

#include "relay/filter/listing.h"
#include "relay/filter/pattern.h"
#include "tests/unit/unit.h"

#define LISTING_NOW 1000000

struct told {
	size_t count;
	size_t line; /* of the first */
	size_t column;
	char pointer[100];
	char text[240];
	char last_pointer[100]; /* of the last */
	size_t last_line;
};

static inline void listing_tell(void *ctx, const struct listing_mistake *mistake)
{
	struct told *told = ctx;

	ck_assert(mistake->why.text[0] != '\0');
	told->last_line = mistake->line;
	snprintf(told->last_pointer, sizeof(told->last_pointer), "%s", mistake->pointer);
	if (told->count++ > 0)
		return;
	told->line = mistake->line;
	told->column = mistake->column;
	snprintf(told->pointer, sizeof(told->pointer), "%s", mistake->pointer);
	snprintf(told->text, sizeof(told->text), "%s", mistake->why.text);
}

/* NULL when it was refused. */
static inline struct listing *listing_of(enum listing_format format, struct span text,
					 bool allow_all, struct told *told)
{
	const struct listing_options options = {.now = LISTING_NOW, .allow_all = allow_all};
	struct listing *listing = NULL;
	int code;

	*told = (struct told){.count = 0};
	code = listing_read(format, text, &options, listing_tell, told, &listing);
	ck_assert((code == ERR_OK) == (told->count == 0) && (code == ERR_OK) == (listing != NULL));
	ck_assert(told->count <= LISTING_MISTAKES_MAX);
	return listing;
}

/* "allow a@x.test;deny b@x.test": what was read, in order. */
static inline void listing_print(const struct listing *listing, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < listing_count(listing) && len < size; i++) {
		const struct entry *entry = listing_entry(listing, i);

		len += (size_t)snprintf(out + len, size - len, "%s%s%s", i > 0 ? ";" : "",
					entry->action == ENTRY_DENY ? "!" : "", entry->pattern);
	}
}

/* The text is taken, and becomes these entries. */
static inline void listing_check_taken(enum listing_format format, const char *text, bool allow_all,
				       const char *want)
{
	struct told told;
	struct listing *listing = listing_of(format, span_of(text), allow_all, &told);
	char got[500];

	ck_assert_msg(listing != NULL, "%s: line %zu, column %zu: %s", text, told.line, told.column,
		      told.text);
	listing_print(listing, got, sizeof(got));
	ck_assert_str_eq(got, want);
	listing_free(&listing);
}

/* What a refusal tells first. */
struct mistake {
	size_t line;
	size_t column;
	const char *pointer; /* NULL: whatever */
	const char *says;    /* part of the sentence */
	size_t count;	     /* how many mistakes it has; 0: some */
};

static inline void listing_check_refused(enum listing_format format, const char *text,
					 bool allow_all, struct mistake want)
{
	struct told told;
	struct listing *listing = listing_of(format, span_of(text), allow_all, &told);

	ck_assert_msg(listing == NULL, "%s was taken", text);
	ck_assert_msg(told.line == want.line && told.column == want.column,
		      "%s: line %zu, column %zu: %s", text, told.line, told.column, told.text);
	ck_assert_msg(want.count == 0 || told.count == want.count, "%s: %zu mistakes", text,
		      told.count);
	ck_assert(want.pointer == NULL || strcmp(told.pointer, want.pointer) == 0);
	ck_assert_msg(strstr(told.text, want.says) != NULL, "%s: %s", text, told.text);
}

/* Deny wins, order never matters: the slow way. */
static inline bool listing_allows(const struct listing *listing, const char *text)
{
	struct address address;
	bool allowed = false;

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	for (size_t i = 0; i < listing_count(listing); i++) {
		const struct entry *entry = listing_entry(listing, i);
		struct pattern pattern;

		ck_assert_int_eq(pattern_parse(span_of(entry->pattern), &pattern, NULL), ERR_OK);
		if (entry->action == ENTRY_DENY && pattern_covers(&pattern, &address))
			return false;
		if (entry->action == ENTRY_ALLOW)
			allowed = allowed || pattern_matches(&pattern, &address);
	}
	return allowed;
}

#endif
