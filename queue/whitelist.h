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
	int64_t expired_at; /* seen to be over: it stays so whatever the clock says. 0: no */
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

/*
 * A change of very many lines, with nobody in its way: written in steps that
 * nobody sees, in force by one short commit as one revision, whole or not at
 * all. Its lines then move to their place in the store's own time; every
 * reader and every other change sees them as if they were there.
 *
 *   queue_whitelist_write until written == count   (ids of ADD lines are set)
 *   queue_whitelist_commit until !again            (again: lines of an earlier one still move)
 *   or queue_whitelist_give_up, which cannot fail for good: what is left is swept
 *
 * A REPLACE keeps pattern, scope and action. ERR_STALE: a line no longer fits
 * the list as it is; or, of commit, what the lines touch was changed since
 * `since_revision`, or anything was and `is_exclusive` is set.
 */
struct whitelist_intake {
	struct store_job job; /* first */
	struct whitelist_change *changes;
	size_t count;
	int64_t since_revision; /* of the list that the changes were made from */
	bool is_exclusive;
	const char *actor;
	int64_t now;
	void *prepared;	  /* for on_intake (queue/store.h); taken with ERR_OK and !again */
	size_t written;	  /* out; 0 at first */
	bool again;	  /* out */
	int64_t revision; /* out: of the list afterwards */

	int64_t id;	 /* private; 0 at first */
	int64_t next_id; /* private */
	int64_t begun;	 /* private: not committed yet */
	size_t reached;	 /* private */
};
void queue_whitelist_write(struct store *store, struct store_job *job);
void queue_whitelist_commit(struct store *store, struct store_job *job);
void queue_whitelist_give_up(struct store *store, struct store_job *job);
/* Changes of more lines than this are worth it: fewer hold the writer for some milliseconds. */
#define WHITELIST_INTAKE_LEAST 1000

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

/*
 * Write down which entries are over by `now`, so that they stay it when the
 * clock is set back and the daemon is started again (CASES S170). A line of
 * the trail for each; no new revision: nobody decided anything.
 */
struct whitelist_expire {
	struct store_job job; /* first */
	int64_t now;
	size_t expired;	 /* out: how many were over now; some at a time */
	int64_t next_at; /* out: when the next one will be, or was; 0: none */
};
void queue_whitelist_expire(struct store *store, struct store_job *job);

/* Reading (queue/reader.h). Return false from `row` to stop. Strings live during the call. In no
 * order. */
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

/*
 * What became of the list, the newest first (queue/whitelist_history.c). A
 * change of many lines is as many rows of one revision.
 */
struct whitelist_past {
	int64_t id; /* of the row, for the next page */
	int64_t at;
	const char *actor;
	const char *action;  /* "whitelist.add", ".replace", ".remove", ".expire" */
	const char *pattern; /* as it was called then */
	int64_t entry;
	int64_t revision;   /* that the change made; 0: not known any more */
	const char *before; /* JSON or NULL */
	const char *after;
};
/* Filters that are NULL or 0 are off. `scope`: of the entry before and after. */
struct whitelist_past_query {
	int64_t entry;
	const char *pattern; /* canonical, the whole of it */
	const char *scope;
	int64_t since;
	int64_t before_id;
	size_t limit;
};
int queue_whitelist_history(struct store_reader *reader, const struct whitelist_past_query *query,
			    bool (*row)(void *ctx, const struct whitelist_past *past), void *ctx,
			    struct err *why);

/*
 * For each of `count` entries, in their order, the row with the same pattern,
 * scope and action, or NULL: one look-up each, all in one version of the list.
 */
struct whitelist_match {
	size_t count;
	const struct entry *(*wanted)(void *ctx, size_t i);
	void (*row)(void *ctx, size_t i, const struct entry *present);
	void *ctx;
};
int queue_whitelist_match(struct store_reader *reader, const struct whitelist_match *match,
			  int64_t *revision_out, struct err *why);

#endif
