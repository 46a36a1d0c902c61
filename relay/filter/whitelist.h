/* relay/filter/whitelist.h - the whitelist in force: immutable snapshots, and verdicts from them */
#ifndef STAGEPOST_RELAY_FILTER_WHITELIST_H
#define STAGEPOST_RELAY_FILTER_WHITELIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "queue/whitelist.h"
#include "relay/mail/address.h"

/*
 * The live list: a big immutable base and a small delta (adds, tombstones),
 * merged in the background (DESIGN 4.5). Publishing costs microseconds.
 */
struct whitelist;
/* One version of it. Reference-counted; never changes. */
struct whitelist_snapshot;

/* Empty: nothing is allowed. Starts the thread that merges. */
struct whitelist *whitelist_new(void);
/* All snapshots must have been released. Joins the thread. */
void whitelist_free(struct whitelist **list);

/*
 * Build the base from stored rows: begin, add each, end. One thread; what was
 * there before stays in force until the end and is then replaced whole. A row
 * that is not in canonical form is counted (CASES S163): if it allows it never
 * matches, else it denies every address until it is taken away.
 */
void whitelist_load_begin(struct whitelist *list);
void whitelist_load_add(struct whitelist *list, const struct entry *entry);
void whitelist_load_end(struct whitelist *list, int64_t revision, size_t *bad_rows_out);

/*
 * Make a committed change the version in force for every whitelist_acquire
 * from now on. One thread at a time (the store's writer). Microseconds for
 * each line; merging into the base happens in a thread of the list's own.
 */
void whitelist_publish(struct whitelist *list, const struct whitelist_change *changes, size_t count,
		       int64_t revision);

/*
 * The same for a change of very many lines, its long part ahead of time and
 * in any thread: prepare (ADD lines have their ids), then publish, which takes
 * it and costs microseconds. Of what REPLACE and REMOVE name nothing changes in between.
 */
struct whitelist_prepared;
struct whitelist_prepared *whitelist_prepare(struct whitelist *list,
					     const struct whitelist_change *changes, size_t count);
void whitelist_prepared_free(struct whitelist_prepared **prepared);
void whitelist_publish_prepared(struct whitelist *list, struct whitelist_prepared **prepared,
				int64_t revision);

/*
 * What would be in force with these changes, for whoever asks what they would
 * mean: nobody else gets it, and it is in force nowhere. Each ADD needs an id
 * of its own, below 0. Any thread; release it like any other.
 */
const struct whitelist_snapshot *
whitelist_preview(struct whitelist *list, const struct whitelist_change *changes, size_t count);

/* Any thread. The version in force now; release it soon (a session turn, one delivery). */
const struct whitelist_snapshot *whitelist_acquire(struct whitelist *list);
void whitelist_release(const struct whitelist_snapshot **snapshot);

int64_t whitelist_revision(const struct whitelist_snapshot *snapshot);
size_t whitelist_size(const struct whitelist_snapshot *snapshot);
/* Some allow entry in force, not expired by now, is `*`: shown as a warning everywhere. */
bool whitelist_allows_all(const struct whitelist_snapshot *snapshot);
/* What it holds in memory, and how much of that is the patterns and scopes themselves. */
void whitelist_bytes(const struct whitelist_snapshot *snapshot, size_t *bytes_out,
		     size_t *string_bytes_out);

enum verdict_kind { VERDICT_DELIVER, VERDICT_DROP, VERDICT_HOLD, VERDICT_REDIRECT, VERDICT_REJECT };

enum verdict_reason {
	REASON_ALLOWED,	    /* entry names the one that allows it */
	REASON_DENIED,	    /* entry names the one that denies it */
	REASON_NOT_LISTED,  /* no entry matches */
	REASON_EMPTY_LIST,  /* there is no entry at all */
	REASON_EXPIRED,	    /* the only match has expired; entry names it */
	REASON_UNSAFE_FORM, /* unsafe address form (DESIGN 4.6), also where a domain, glob or `*`
			       entry would allow it but for its form */
	REASON_HOOK,	    /* no entry allows it, and the policy hook does (overrides_whitelist) */
	REASON_RESERVED, /* the self-test's domain (relay/filter/reserved.h): no entry allows it */
	REASON_POLICY,	 /* no entry allows it, and policy.default decided otherwise than drop;
			    entry may name one that has expired */
	REASON_RULE	 /* the rule named decided, whatever the entry says */
};

struct verdict {
	enum verdict_kind kind;
	enum verdict_reason reason;
	int64_t entry;			     /* 0: none */
	int64_t revision;		     /* of the snapshot */
	char pattern[ADDRESS_TEXT_SIZE + 2]; /* the entry's pattern, "" for none */
	/* the nearest miss, "" for none; only from verdict_explain. In this order: an entry that
	 * has expired, one of another scope, one that fails by the address's form, the address
	 * without its sub-address tag, a glob with the same literal start, a parent domain, the
	 * sub-domains of the domain itself */
	char nearest[ADDRESS_TEXT_SIZE + 2];
	bool nearest_elsewhere; /* it allows the address, but in another scope */
	/* The name of the rule that decided (relay/filter/rule_match.h), borrowed; NULL for none.
	 */
	const char *rule;
	/* VERDICT_REDIRECT: who stands for it, as address_format() prints it. Borrowed from who
	 * said so; NULL else. */
	const char *redirect_to;
};

/*
 * Pure: the same arguments give the same answer. Deny wins; order never
 * matters; scope "" entries count for all. Of several entries that allow (or
 * deny) the most specific is named. VERDICT_DELIVER or VERDICT_DROP only:
 * policy.default is applied by policy_apply. Well under a microsecond at
 * 1,000,000 entries, no allocation.
 */
void verdict_judge(const struct whitelist_snapshot *snapshot, const struct address *address,
		   struct span scope, int64_t now, struct verdict *verdict_out);
/* The same, and looks for the nearest miss when it is not allowed (a few look-ups more). */
void verdict_explain(const struct whitelist_snapshot *snapshot, const struct address *address,
		     struct span scope, int64_t now, struct verdict *verdict_out);
/* The same for people who may see nothing of other scopes: no entry of one is the nearest. */
void verdict_explain_within(const struct whitelist_snapshot *snapshot,
			    const struct address *address, struct span scope, int64_t now,
			    struct verdict *verdict_out);

const char *verdict_kind_name(enum verdict_kind kind); /* "deliver" */
/* A sentence for a person: "allowed by *.example.com", "no entry allows it". */
void verdict_sentence(const struct verdict *verdict, char *text_out, size_t size);

/* Hit counters (memory only): a recipient that was delivered to, or that the entry denied when it
 * was offered. Any thread. */
void whitelist_count_hit(struct whitelist *list, int64_t entry, int64_t now);
/* Take and reset what was counted since the last call; returns how many were written (at most max).
 */
size_t whitelist_take_hits(struct whitelist *list, struct entry_hits *hits_out, size_t max);

#endif
