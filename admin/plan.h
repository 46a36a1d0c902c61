/* admin/plan.h - the changes that bring a listing into the whitelist */
#ifndef STAGEPOST_ADMIN_PLAN_H
#define STAGEPOST_ADMIN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "queue/reader.h"
#include "queue/whitelist.h"
#include "relay/filter/listing.h"

enum plan_kind {
	PLAN_ADD,    /* what is there already stays as it is */
	PLAN_UPDATE, /* it takes over note, owner and time */
	PLAN_REPLACE /* and what the listing does not have goes */
};

struct plan {
	enum plan_kind kind;
	const struct listing *listing;
	const char *scope; /* PLAN_REPLACE: the rest of the list is not its business; "": all is */

	/* out; strings are the listing's */
	struct whitelist_change *changes;
	size_t count;
	size_t added, changed, removed;
	int64_t revision; /* of the list that it was made from */

	size_t room;	/* private */
	bool *is_there; /* private */
};

/* Compare with the list as it is, in one version. May be made anew when that has changed. */
int plan_make(struct plan *plan, struct store_reader *reader, struct err *why);
void plan_release(struct plan *plan);

#endif
