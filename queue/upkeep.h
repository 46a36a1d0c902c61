/* queue/upkeep.h - what the writer does between jobs: checkpoints and sweeping; private to queue/
 */
#ifndef STAGEPOST_QUEUE_UPKEEP_H
#define STAGEPOST_QUEUE_UPKEEP_H

#include <stdbool.h>

#include "queue/writer.h"

/* Keep count of the log (sqlite3_wal_hook); once, after the database was opened. */
void upkeep_watch_log(struct store *store);
/* After a batch: only what must not wait. `is_awaited`: small jobs wait for the next one. */
void upkeep_after_batch(struct store *store, bool is_awaited);
/* Some time has passed: upkeep_when_idle has something to do again. */
bool upkeep_is_due(struct store *store);
/* Nothing has come for a while. Does a bounded piece; true: there is more to do. */
bool upkeep_when_idle(struct store *store);
/* The last thing before closing. */
void upkeep_at_close(struct store *store);

/* The chunks of these messages are nobody's: remove them bit by bit. */
struct doomed *doomed_new(void);
void doomed_free(struct doomed **doomed);
void doomed_add(struct store *store, int64_t message);
bool doomed_any(const struct store *store);
/* At start: all that a crash left. */
int doomed_load(struct store *store, struct err *why);

#endif
