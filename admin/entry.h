/* admin/entry.h - one entry of the whitelist, as a body has it */
#ifndef STAGEPOST_ADMIN_ENTRY_H
#define STAGEPOST_ADMIN_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/call.h"
#include "queue/whitelist.h"

#define ENTRY_MEMBERS "pattern action scope note owner expires_at expires_in"

/*
 * What call->body says; the rest of the entry stays as it is. Mistakes are
 * collected.
 */
void entry_read(struct call *call, struct entry *entry, int64_t now);
/* An allow for `*`: added only where somebody says that this is meant. */
bool entry_lets_all_out(const struct entry *entry);

#endif
