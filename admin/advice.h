/* admin/advice.h - what a change of the whitelist means, beside its answer (relay/filter/lint.h) */
#ifndef STAGEPOST_ADMIN_ADVICE_H
#define STAGEPOST_ADMIN_ADVICE_H

#include <jansson.h>
#include <stddef.h>

#include "admin/call.h"
#include "queue/whitelist.h"
#include "relay/filter/whitelist.h"

/*
 * `before`: the list without the change; the change is in force already.
 * Where the recipients seen can't be read their numbers are null: advice
 * never fails a change that was made.
 */
json_t *advice_of_entry(struct call *call, const struct entry *entry,
			const struct whitelist_snapshot *before);
/* The same for a change of many lines: what it means together, and warnings of single lines. */
json_t *advice_of_change(struct call *call, const struct whitelist_change *changes, size_t count,
			 const struct whitelist_snapshot *before);
/* The same of one that is not made: lines that add get an id for as long as it takes. */
json_t *advice_of_plan(struct call *call, struct whitelist_change *changes, size_t count);

#endif
