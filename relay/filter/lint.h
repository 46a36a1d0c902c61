/* relay/filter/lint.h - what an entry would mean, told to the person who adds it */
#ifndef STAGEPOST_RELAY_FILTER_LINT_H
#define STAGEPOST_RELAY_FILTER_LINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "queue/whitelist.h"
#include "relay/filter/pattern.h"
#include "relay/filter/whitelist.h"

/* Advice only: nothing here decides what leaves. Pure; any thread. */

/* An entry, and the list as it was without it, and is with it. */
struct lint_case {
	const struct whitelist_snapshot *before;
	const struct whitelist_snapshot *after;
	const struct pattern *pattern; /* lint_count: NULL for a change of the list as a whole */
	enum entry_action action;
	struct span scope;
	int64_t id;	    /* the entry's own: an older form of it in `before` covers nothing */
	int64_t expires_at; /* 0: never */
	int64_t now;
};

enum lint_kind {
	LINT_EVERYTHING, /* `*` that allows */
	LINT_PUBLIC,	 /* all of a domain where anybody can have an address */
	LINT_WIDE,	 /* all below a top-level domain, or one like co.uk; one letter and `*` */
	LINT_DENIED,	 /* an entry that denies covers all of it: it allows nothing */
	LINT_COVERED,	 /* another entry says the same for all of it already */
	LINT_OVER	 /* it has expired before it begins */
};

struct lint_warning {
	enum lint_kind kind;
	int64_t entry;				/* LINT_DENIED, LINT_COVERED: which one; else 0 */
	char text[2 * PATTERN_TEXT_SIZE + 120]; /* a sentence */
};

#define LINT_WARNINGS_MAX 6 /* one a kind at most */
/* Returns how many were written. */
size_t lint_warnings(const struct lint_case *at,
		     struct lint_warning warnings_out[LINT_WARNINGS_MAX]);
const char *lint_kind_name(enum lint_kind kind); /* "public-domain" */

/* What was seen of recipients lately, and what the entry means for them. */
#define LINT_EXAMPLES 5
struct lint_tally {
	bool whole; /* set by the caller: of a change of the list as a whole */
	/* different addresses that the entry speaks of; `whole`: that the list allows afterwards */
	size_t matches;
	size_t allows; /* refused when they were seen, delivered now */
	size_t stops;  /* not refused when they were seen, and refused now */
	char examples[LINT_EXAMPLES][ADDRESS_TEXT_SIZE]; /* of those two, the first */
	size_t example_count;
	/* private: several scopes of one address are one */
	char last[ADDRESS_TEXT_SIZE];
	bool last_is_told, last_is_counted;
};
/* One of them; give all rows of an address one after the other. */
void lint_count(const struct lint_case *at, const char *address, struct span scope, bool refused,
		struct lint_tally *tally);
/*
 * "matches 3 of the 412 recipients seen in the last 30 days; allows 1 address
 * you have been dropping". `whole`: "allows 3 of the 412 recipients …"
 */
void lint_summary(const struct lint_tally *tally, int64_t seen, int days, struct buf *out);

#endif
