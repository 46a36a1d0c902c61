/* queue/intake.h - what of the list is still on its way into its table; private to queue/ */
#ifndef STAGEPOST_QUEUE_INTAKE_H
#define STAGEPOST_QUEUE_INTAKE_H

#include "queue/whitelist.h"
#include "queue/writer.h"

/* The list's revision, and the intake whose lines move (0: none), of one moment. */
struct list_state {
	int64_t revision;
	int64_t moving;
};
int list_state_read(struct db *db, struct list_state *state_out, struct err *why);
int list_revision_write(struct db *db, int64_t revision, struct err *why);

/* In the writer, in a transaction: lines that say something of this entry arrive first. */
int intake_settle_entry(struct store *store, int64_t moving, int64_t entry, struct err *why);
int intake_settle_pattern(struct store *store, int64_t moving, const char *pattern,
			  struct err *why);

/* At start: what a killed daemon was writing is given up. In a transaction. */
int intake_restore(struct store *store, struct err *why);
/* A transaction that moves or sweeps some lines, while store->has_intake. False: it failed. */
bool intake_step(struct store *store);

#endif
