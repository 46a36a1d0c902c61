/* queue/history.h - what happened to a recipient, line by line; private to queue/ */
#ifndef STAGEPOST_QUEUE_HISTORY_H
#define STAGEPOST_QUEUE_HISTORY_H

#include "queue/message.h"
#include "queue/reader.h"
#include "queue/writer.h"

/* Append `item` as number `sequence` (1, 2, …; the caller keeps recipient.events). */
int history_add(struct store *store, int64_t recipient, int64_t sequence,
		const struct history_item *item, enum state state, struct err *why);

/*
 * A later judgement takes the place of the one in the recipient's row. The
 * first time that changes anything, what was said at acceptance is kept as
 * number 0; until then the reader derives it from the row.
 */
int history_new_ruling(struct store *store, int64_t recipient, const struct ruling *ruling,
		       struct err *why);

/* Everything about a recipient of `message`, "accepted" first; strings in `arena`. */
int history_read(struct db *db, const struct recipient_view *recipient,
		 const struct new_message *message, enum state accepted_state, struct arena *arena,
		 const struct history_item **items_out, size_t *count_out, struct err *why);

#endif
