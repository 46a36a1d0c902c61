/* queue/handin.h - a message that somebody handed in by the API: who, and what he was told */
#ifndef STAGEPOST_QUEUE_HANDIN_H
#define STAGEPOST_QUEUE_HANDIN_H

#include <stdint.h>

#include "base/secret.h"
#include "queue/message.h"
#include "queue/reader.h"

/* How long the same key gets the same answer. */
#define HANDIN_KEY_MS ((int64_t)24 * 60 * 60 * 1000)

/*
 * Stored with its message, or not at all (new_message.handin). With a key
 * that is not yet HANDIN_KEY_MS old queue_accept stores nothing and ends in
 * ERR_CONFLICT: queue_handin_find tells what was answered the first time.
 */
struct handin {
	const char *actor; /* for the audit trail */
	/* SHA-256 of the caller and his key; NULL: he gave none. */
	const unsigned char *key;
	const unsigned char *request; /* SHA-256 of what was asked; with a key */
	struct span answer;	      /* with a key */
};

struct handin_past {
	unsigned char request[SECRET_SHA256_BYTES];
	struct span answer; /* in the arena */
};
/* ERR_NOT_FOUND: nobody used the key in the HANDIN_KEY_MS before `now`. */
int queue_handin_find(struct store_reader *reader, const unsigned char *key, int64_t now,
		      struct arena *arena, struct handin_past *past_out, struct err *why);

/* --- private to queue/ --- */

/* In the writer, inside a transaction, before a row was changed: ERR_CONFLICT. */
int handin_check(struct store *store, const struct new_message *message, struct err *why);
/* Some of the answers may be too old. Asked after each batch, so it costs next to nothing. */
bool handin_is_due(struct store *store);
/* Inside a transaction: forget some of them. */
int handin_forget(struct store *store, struct err *why);
/* The same, once message `number` has its rows: its line of the trail, and the answer. */
int handin_store(struct store *store, int64_t number, const struct new_message *message,
		 struct err *why);

#endif
