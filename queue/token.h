/* queue/token.h - API tokens and the audit trail */
#ifndef STAGEPOST_QUEUE_TOKEN_H
#define STAGEPOST_QUEUE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "queue/reader.h"
#include "queue/store.h"

/* Stored as these numbers; each may do what the one before may. */
enum role { ROLE_READER = 1, ROLE_OPERATOR = 2, ROLE_ADMIN = 3 };

/* Only the SHA-256 of the secret is ever stored. */
struct token {
	int64_t id;
	const char *name; /* unique among those that are not revoked */
	enum role role;
	const char *scope; /* "" = all */
	int64_t created_at;
	const char *created_by;
	int64_t expires_at;   /* 0: never */
	int64_t last_used_at; /* 0: never; noted now and then (admin/token_use.h) */
	bool revoked;
};

struct token_create {
	struct store_job job; /* first */
	struct token token;   /* id is filled in */
	unsigned char digest[SECRET_SHA256_BYTES];
	const char *actor;
	int64_t now;
};
/* ERR_CONFLICT: the name is taken. */
void queue_token_create(struct store *store, struct store_job *job);

struct token_revoke {
	struct store_job job; /* first */
	int64_t id;
	const char *actor;
	int64_t now;
};
void queue_token_revoke(struct store *store, struct store_job *job);

/* It was used. No change of anything, so not in the trail, and a power cut may undo it. */
struct token_use {
	struct store_job job; /* first */
	int64_t id;
	int64_t now; /* only ever moves last_used_at forward */
};
void queue_token_use(struct store *store, struct store_job *job);

/* By the digest; ERR_NOT_FOUND also for revoked ones. Strings live in `arena`. Expiry is the
 * caller's to judge. */
int queue_token_find(struct store_reader *reader, const unsigned char digest[SECRET_SHA256_BYTES],
		     struct arena *arena, struct token *token_out, struct err *why);
/* By its number, also when it is revoked. ERR_NOT_FOUND. */
int queue_token_get(struct store_reader *reader, int64_t id, struct arena *arena,
		    struct token *token_out, struct err *why);
/* Those with a greater number than `after_id`, in their order; `limit` as in queue/reader.h. */
int queue_token_list(struct store_reader *reader, int64_t after_id, size_t limit,
		     bool (*row)(void *ctx, const struct token *token), void *ctx, struct err *why);
int queue_token_count(struct store_reader *reader, int64_t *count_out, struct err *why);

/* The audit trail is written by the verbs themselves; this reads it, newest first. */
struct audit_row {
	int64_t id;
	int64_t at;
	const char *actor;
	const char *action; /* "whitelist.add", "token.create", "recipient.hold", … */
	const char *subject;
	const char *before; /* JSON or NULL */
	const char *after;
};
int queue_audit_list(struct store_reader *reader, int64_t before_id, size_t limit,
		     bool (*row)(void *ctx, const struct audit_row *audit), void *ctx,
		     struct err *why);

#endif
