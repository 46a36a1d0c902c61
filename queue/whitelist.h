/* queue/whitelist.h - the rows of the whitelist, kept durably, revision by revision */
#ifndef STAGEPOST_QUEUE_WHITELIST_H
#define STAGEPOST_QUEUE_WHITELIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/reader.h"
#include "queue/store.h"

/* Stored as these numbers. What they mean is relay/filter/pattern.h's business. */
enum entry_kind {
	ENTRY_EXACT = 1,
	ENTRY_DOMAIN = 2,
	ENTRY_SUBDOMAIN = 3,
	ENTRY_GLOB = 4,
	ENTRY_ALL = 5
};
enum entry_action { ENTRY_ALLOW = 1, ENTRY_DENY = 2 };

/* `pattern` is canonical already: the store compares it byte by byte. Strings borrowed. */
struct entry {
	int64_t id; /* 0 for one to be added */
	const char *pattern;
	enum entry_kind kind;
	enum entry_action action;
	const char *scope; /* "" = every scope; never NULL */
	const char *note;  /* NULL or text */
	const char *owner;
	int64_t created_at;
	const char *created_by;
	int64_t expires_at; /* 0: never */
	int64_t hits;
	int64_t last_hit_at; /* 0: never */
	int64_t revision;    /* of the change that wrote it: its ETag */
};

enum entry_operation { ENTRY_ADD = 1, ENTRY_REPLACE = 2, ENTRY_REMOVE = 3 };

/* One line of a change. For ADD the id is filled in by the store before on_whitelist sees it. */
struct whitelist_change {
	enum entry_operation operation;
	struct entry entry;	 /* ADD, REPLACE: the new row; REMOVE: only id matters (the rest is
				    filled in) */
	int64_t expect_revision; /* REPLACE, REMOVE: the row's revision must be this; 0: any */
	/* out, on ERR_CONFLICT or ERR_STALE for this line */
	int64_t existing_id;
};

/*
 * Apply all changes as one new revision, or none of them.
 * ERR_CONFLICT: an ADD or REPLACE meets (pattern, scope, action) of another row;
 * ERR_NOT_FOUND: no such id; ERR_STALE: expect_* does not hold.
 * Writes the audit rows (before, after). on_whitelist runs before done.
 */
struct whitelist_apply {
	struct store_job job; /* first */
	struct whitelist_change *changes;
	size_t count;
	int64_t expect_list_revision; /* -1: any */
	const char *actor;
	int64_t now;
	int64_t revision; /* out: the list's revision afterwards */
	size_t failed_at; /* out: index of the line that was refused */
};
void queue_whitelist_apply(struct store *store, struct store_job *job);

/* Add to the hit counters; changes no revision. */
struct entry_hits {
	int64_t id;
	int64_t hits;
	int64_t last_hit_at;
};
struct whitelist_hits {
	struct store_job job; /* first */
	const struct entry_hits *hits;
	size_t count;
};
void queue_whitelist_hits(struct store *store, struct store_job *job);

/* Reading (queue/reader.h). Return false from `row` to stop. Strings live during the call. */
int queue_whitelist_snapshot(struct store_reader *reader, int64_t *revision_out,
			     bool (*row)(void *ctx, const struct entry *entry), void *ctx,
			     struct err *why);

/* A page, by id upwards. Filters that are NULL, "" or 0 are off; scope NULL: every scope. */
struct whitelist_query {
	const char
		*contains; /* in pattern, note or owner; ASCII case-insensitive, taken literally */
	const char *scope;
	enum entry_action action; /* 0: both */
	int64_t after_id;
	size_t limit;
};
int queue_whitelist_list(struct store_reader *reader, const struct whitelist_query *query,
			 int64_t *revision_out, bool (*row)(void *ctx, const struct entry *entry),
			 void *ctx, struct err *why);
int queue_whitelist_get(struct store_reader *reader, int64_t id,
			bool (*row)(void *ctx, const struct entry *entry), void *ctx,
			struct err *why);

#endif
