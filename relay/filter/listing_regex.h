/* relay/filter/listing_regex.h - one regular expression as patterns; private to listing*.c */
#ifndef STAGEPOST_RELAY_FILTER_LISTING_REGEX_H
#define STAGEPOST_RELAY_FILTER_LISTING_REGEX_H

#include "relay/filter/listing_private.h"

struct regex_source {
	struct span text;
	enum entry_action action;
	struct place place;  /* of its first character */
	bool counts_columns; /* the others stand behind it, one an octet */
};

/*
 * Add the patterns that match the same plain addresses in lower case as the
 * expression, which is RE2's: found anywhere in the address unless anchored,
 * with regard to case unless it begins with (?i). Else a mistake that names
 * what has no pattern.
 */
void listing_add_regex(struct reading *reading, const struct regex_source *source);

#endif
