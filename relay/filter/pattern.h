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

/*
 * What one line of the whitelist means. The canonical forms:
 *   EXACT      local@domain
 *   DOMAIN     domain
 *   SUBDOMAIN  .domain              (at any depth, not the domain itself)
 *   GLOB       glob@domain, glob@.domain, local@.domain
 *   ALL        *
 * A `*` stands in the local part of a GLOB and nowhere else, so every pattern
 * but ALL names a literal domain it can be found by.
 */
struct pattern {
	char text[PATTERN_TEXT_SIZE]; /* canonical: ASCII lower case, domain as A-labels */
	enum entry_kind kind;
	/* parts of `text`; local is empty for kinds without one, may hold `*` for ENTRY_GLOB */
	struct span local;
	struct span domain; /* without a leading dot; empty for ENTRY_ALL */
	bool subdomains;    /* the domain part was ".example.com" or "*.example.com" */
};

/*
 * Exactly one pattern, or ERR_SYNTAX/ERR_LIMIT with the reason. `*` alone
 * parses (kind ENTRY_ALL); whether it may be added is the API's business. A
 * pattern that names the self-test's domain (relay/filter/reserved.h) is refused.
 * The spans point into *pattern_out: copy with pattern_copy, not with `=`.
 */
int pattern_parse(struct span text, struct pattern *pattern_out, struct err *why);
void pattern_copy(struct pattern *to, const struct pattern *from);

/*
 * The words of the pattern cover the address, and its form can be delivered
 * at all (ADDRESS_PLAIN or ADDRESS_LISTED_ONLY). This is how a deny entry is
 * read: in doubt it covers.
 */
bool pattern_covers(const struct pattern *pattern, const struct address *address);

/*
 * The pattern allows the address: covers it, and anything but an exact
 * pattern only an ADDRESS_PLAIN (DESIGN 4.6), nor the self-test's domain. Slow and plain: the
 * reference for the snapshot and its tests.
 */
bool pattern_matches(const struct pattern *pattern, const struct address *address);

/* Every address that `inner` covers is covered by `outer`. In doubt: false. */
bool pattern_includes(const struct pattern *outer, const struct pattern *inner);
/* Some address may be covered by both. In doubt: true. */
bool pattern_meets(const struct pattern *a, const struct pattern *b);

/* `*` stands for any run of bytes, also none; no other wildcard. ASCII case does not matter. Worst
 * case glob.len * text.len steps, no recursion. */
bool glob_matches(struct span glob, struct span text);

#endif
