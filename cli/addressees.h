/* cli/addressees.h - for whom a message is: words of a command line, fields of a header */
#ifndef STAGEPOST_CLI_ADDRESSEES_H
#define STAGEPOST_CLI_ADDRESSEES_H

#include <stddef.h>

#include "base/err.h"
#include "base/span.h"
#include "relay/mail/address.h"

/* A growing list; {0} is an empty one. */
struct addressees {
	struct address *items;
	size_t count;
	size_t room; /* private */
};

void addressees_release(struct addressees *addressees);

/*
 * Add every mailbox of `list`, which is written like the body of a To field. A
 * mailbox without a domain ("root", "Cron <root>") is one of `domain`. ERR_SYNTAX,
 * ERR_LIMIT: one of them can't be read, `why` names it; those in front of it were added.
 */
int addressees_add(struct addressees *addressees, struct span list, const char *domain,
		   struct err *why);

#endif
