/* queue/sweep.h - the writer's side of retention, and its pace; private to queue/ (public:
 * queue/retention.h) */
#ifndef STAGEPOST_QUEUE_SWEEP_H
#define STAGEPOST_QUEUE_SWEEP_H

#include <stdbool.h>

#include "queue/retention.h"
#include "queue/writer.h"

/* `options` NULL: nothing goes. */
struct sweep *sweep_new(const struct retention_options *options);
void sweep_free(struct sweep **sweep);

/* At start. */
int sweep_restore(struct store *store, struct err *why);
/* Something is to go now. Asked after each batch, so it costs next to nothing. */
bool sweep_is_due(struct store *store);
/* A transaction that removes some of it. False: it failed, and is due again in a while. */
bool sweep_step(struct store *store);
/* The last thing: what is still to be written down. */
void sweep_at_close(struct store *store);

/* Of the options in force. */
int64_t sweep_max_bytes(const struct store *store);
int64_t sweep_max_messages(const struct store *store);
/* So close to max_bytes that the next mail may be refused for it: no time to be polite. */
bool sweep_is_urgent(const struct store *store);

#endif
