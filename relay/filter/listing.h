/* relay/filter/listing.h - the whitelist as text: read from what people have, written and compared
 */
#ifndef STAGEPOST_RELAY_FILTER_LISTING_H
#define STAGEPOST_RELAY_FILTER_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "queue/whitelist.h"

/*
 * stagepost-whitelist(5) describes the first three, which are also written, and
 * what of the last two can be translated. MailDev's rules and regular
 * expressions are taken only where the entries they become give the same
 * answer for every plain address (DESIGN 4.6, in lower case); else refused
 * with the reason. Addresses of other forms never match more than they did.
 */
enum listing_format {
	LISTING_TEXT = 1, /* one pattern a line, fields behind it */
	LISTING_CSV,	  /* RFC 4180; the first row names the columns */
	LISTING_JSON,	  /* what GET and POST of the API speak */
	LISTING_MAILDEV,  /* MailDev's rules: the last match wins */
	LISTING_MAILPIT	  /* regular expressions of Mailpit and smtprelay */
};
#define LISTING_FORMATS "text, csv, json, maildev or mailpit"

const char *listing_format_name(enum listing_format format);
/* False: there is none of this name. */
bool listing_format_find(struct span name, enum listing_format *format_out);
/* text, csv and json. */
bool listing_format_is_written(enum listing_format format);

#define LISTING_BYTES_MAX    ((size_t)128 * 1024 * 1024)
#define LISTING_ENTRIES_MAX  ((size_t)1000 * 1000)
#define LISTING_MISTAKES_MAX 100 /* are told; reading ends there */
#define LISTING_NOTE_MAX     1000
#define LISTING_OWNER_MAX    200
#define LISTING_SCOPE_MAX    64

/* "" or up to LISTING_SCOPE_MAX letters, digits, '.', '_', '-'. */
bool listing_is_scope(struct span text);

struct listing_options {
	const char *scope;  /* of entries that name none; NULL: "" */
	bool only_scope;    /* a line that names another scope is a mistake */
	bool allow_all;	    /* an allow entry `*` needs no allow_all of its own */
	bool fixed_times;   /* expires_in is a mistake: the text is read more than once */
	int64_t now;	    /* where expires_in counts from; wall clock */
	size_t max_entries; /* 0: LISTING_ENTRIES_MAX */
};

struct listing_mistake {
	size_t line;	   /* from 1; 0: the text as a whole */
	size_t column;	   /* in octets, from 1; 0: the line as a whole */
	char pointer[100]; /* where the text is JSON: RFC 6901; else "" */
	struct err why;
};

/* What was read. Owns its strings; immutable. */
struct listing;

/*
 * All of it or nothing: ERR_SYNTAX or ERR_LIMIT after `tell` has had every
 * mistake, the first LISTING_MISTAKES_MAX of them. A line that says exactly the
 * same as one before it counts as a repeat; with another note, owner or time
 * it is a mistake. An entry that has expired is taken as it is. Pure; any thread.
 */
int listing_read(enum listing_format format, struct span text,
		 const struct listing_options *options,
		 void (*tell)(void *ctx, const struct listing_mistake *mistake), void *ctx,
		 struct listing **listing_out);
void listing_free(struct listing **listing);

/* In the order of the text. */
size_t listing_count(const struct listing *listing);
/* id, created_* and revision are 0; borrowed. */
const struct entry *listing_entry(const struct listing *listing, size_t i);
size_t listing_repeats(const struct listing *listing);

/* The one with the same pattern, scope and action; listing_count() when there is none. */
size_t listing_find(const struct listing *listing, const struct entry *entry);
/* Note, owner and time are the same. */
bool listing_is_same(const struct entry *a, const struct entry *b);

/*
 * Compare: `row` gets each difference once, first what goes and what changes
 * (in the order of `now`), then what comes (in the order of `wanted`). `before`
 * is NULL for what comes, `after` for what goes. Entries are the same by
 * pattern, scope and action; they differ by note, owner and time.
 */
void listing_compare(const struct listing *now, const struct listing *wanted,
		     void (*row)(void *ctx, const struct entry *before, const struct entry *after),
		     void *ctx);

/*
 * Write `entry` into `out` in a format that is written: begin, each entry,
 * end. Reading it back gives the same list. ERR_LIMIT: no room in `out`;
 * ERR_SYNTAX: the row is malformed (a foreign hand was in the database), and
 * as it denies nothing it was left out. One that may deny is written as what it
 * is in force, a denial of everything in its scope.
 */
int listing_begin(enum listing_format format, struct buf *out);
int listing_write(enum listing_format format, const struct entry *entry, bool is_first,
		  struct buf *out);
int listing_end(enum listing_format format, struct buf *out);
/* An entry takes no more than this. */
#define LISTING_WRITTEN_MAX ((size_t)16 * 1024)

#endif
