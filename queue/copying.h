/* queue/copying.h - the writer's side of a backup; private to queue/ (public: queue/backup.h) */
#ifndef STAGEPOST_QUEUE_COPYING_H
#define STAGEPOST_QUEUE_COPYING_H

#include <stdbool.h>

#include "queue/writer.h"

struct copying;
struct copying *copying_new(const char *data_dir);
/* Also removes what is left of a copy. */
void copying_free(struct copying **copying);

/* Before the store is used: a copy that a killed daemon left. */
void copying_clean(struct store *store);
/* There is something to copy. */
bool copying_is_due(const struct store *store);
/* A piece of it; outside of a transaction. */
void copying_step(struct store *store);
/* From time to time: a copy that nobody fetched goes. */
void copying_tidy(struct store *store);

#endif
