/* relay/filter/pattern.h - one whitelist pattern (INTERFACE 5): parse, canonical print, kind */
#ifndef STAGEPOST_RELAY_FILTER_PATTERN_H
#define STAGEPOST_RELAY_FILTER_PATTERN_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "queue/whitelist.h"
#include "relay/mail/address.h"

/* Pattern text: at most a local part and a domain with `*`s and a NUL. */
#define PATTERN_TEXT_SIZE (ADDRESS_TEXT_SIZE + 2)

struct pattern {
	char text[PATTERN_TEXT_SIZE]; /* canonical: all of it ASCII lower case, domain as A-labels
				       */
	enum entry_kind kind;
	/* parts of `text`; local is empty for kinds without one, may hold `*` for ENTRY_GLOB */
	struct span local;
	struct span domain; /* without a leading dot */
	bool subdomains;    /* the domain part was ".example.com" or "*.example.com" */
};

/*
 * Exactly one pattern, or ERR_SYNTAX/ERR_LIMIT with the reason. `*` alone
 * parses (kind ENTRY_ALL); whether it may be added is the API's business.
 * The spans point into *pattern_out: copy with pattern_copy, not with `=`.
 */
int pattern_parse(struct span text, struct pattern *pattern_out, struct err *why);

/* Does it match a deliverable address? Slow and plain: the reference for the snapshot and its
 * tests. */
bool pattern_matches(const struct pattern *pattern, const struct address *address);

/* Linear-time `*` match, no other wildcard. */
bool glob_matches(struct span glob, struct span text);

#endif
