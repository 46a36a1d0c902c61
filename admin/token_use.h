/* admin/token_use.h - when tokens were last used, written down now and then */
#ifndef STAGEPOST_ADMIN_TOKEN_USE_H
#define STAGEPOST_ADMIN_TOKEN_USE_H

#include <stdint.h>

#include "queue/store.h"

/* What last_used_at is exact to: a token in steady use costs one write in this time. */
#define TOKEN_USE_EVERY_MS 60000

struct token_uses;

/* The store outlives it. */
struct token_uses *token_uses_new(struct store *store);
void token_uses_free(struct token_uses **uses);
/*
 * Token `id` was used; the store says it was last used at `last_used_at`. Any
 * thread; waits for nobody.
 */
void token_uses_note(struct token_uses *uses, int64_t id, int64_t last_used_at, int64_t now);

#endif
