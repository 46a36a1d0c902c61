/* queue/rule.h - rules on what a message says of itself, kept durably and in their order */
#ifndef STAGEPOST_QUEUE_RULE_H
#define STAGEPOST_QUEUE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/ordered.h"
#include "queue/reader.h"
#include "queue/store.h"

#define RULE_ROWS_MAX	 1000
#define RULE_HEADERS_MAX 16

/* Stored as these numbers. What they mean is relay/filter/rule.h's business. */
enum rule_action {
	RULE_DELIVER = 1,
	RULE_DROP = 2,
	RULE_HOLD = 3,
	RULE_REDIRECT = 4, /* to `redirect_to` */
	RULE_TAG = 5	   /* `tag` in front of the subject; the next rules are looked at */
};
enum rule_match { RULE_PRESENT = 1, RULE_ABSENT = 2, RULE_EXACT = 3, RULE_GLOB = 4 };

/* A condition on the header fields of one name. */
struct rule_header {
	const char *name;
	enum rule_match match;
	const char *value; /* for EXACT and GLOB; else "" */
};

/* One rule, of the store or of the configuration. Strings are never NULL ("": any, or none). */
struct rule {
	int64_t id; /* 0: to be added, or of the configuration */
	const char *name;
	bool enabled;
	enum rule_action action;
	const char *redirect_to;
	const char *tag;
	bool overrides_whitelist;
	/* all of them must hold */
	const char *sender;    /* a pattern, or "<>" */
	const char *recipient; /* a pattern */
	const char *client;    /* a network */
	const char *user;      /* a glob on who logged in */
	const char *listener;  /* a glob on where it came in */
	const char *scope;
	int64_t min_size; /* octets; 0: any */
	int64_t max_size;
	const struct rule_header *headers;
	size_t header_count;
	const char *note;
	/* of the store only */
	int64_t created_at;
	const char *created_by; /* may be NULL */
	int64_t revision;	/* of the change that wrote it: its ETag */
};

/*
 * One change, as `change` says (its row, id and name are taken from `rule`).
 * Afterwards its revision is filled in, and of a new one id and created_*.
 * Writes the audit row. store_options.on_rules runs before `done`.
 */
struct rule_apply {
	struct store_job job; /* first */
	struct rule rule;     /* REMOVE: only the id */
	struct ordered_change change;
	/* private: the rules as they are then */
	const struct rule *rows;
	size_t count;
};
void queue_rule_apply(struct store *store, struct store_job *job);

/* All of them in order; they live in `arena`. */
int queue_rule_list(struct store_reader *reader, struct arena *arena, const struct rule **rows_out,
		    size_t *count_out, struct err *why);

#endif
