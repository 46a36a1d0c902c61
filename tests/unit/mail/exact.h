/* tests/unit/mail/exact.h - addresses read at the very end of what may be read */
#ifndef STAGEPOST_TESTS_UNIT_MAIL_EXACT_H
#define STAGEPOST_TESTS_UNIT_MAIL_EXACT_H

#include "relay/mail/address.h"

/* A copy of the text behind which the next octet can't be read; until the next call. */
struct span exact_edge(struct span text);
/* address_parse_path of such a copy. */
int exact_parse(struct span text, enum address_path kind, struct address *address_out,
		struct err *why);
/* What is printed is read back as the same, and printed as before. */
void exact_check(const struct address *address);

#endif
