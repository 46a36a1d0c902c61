/* relay/filter/reserved.h - the domain that no entry can allow: the self-test's own (P1) */
#ifndef STAGEPOST_RELAY_FILTER_RESERVED_H
#define STAGEPOST_RELAY_FILTER_RESERVED_H

#include <stdbool.h>

#include "base/span.h"

/*
 * Mail to it is accepted like any other and never leaves, whatever the list
 * says, `*` included. It lies below a name that never exists (RFC 6761 6.4).
 */
#define RESERVED_DOMAIN "selftest.stagepost.invalid"

/* That domain, or one below it; `domain` is an A-label form in any case. */
bool reserved_is(struct span domain);

#endif
