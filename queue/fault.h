/* queue/fault.h - failures on demand: the rules, kept durably and in their order */
#ifndef STAGEPOST_QUEUE_FAULT_H
#define STAGEPOST_QUEUE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/ordered.h"
#include "queue/reader.h"
#include "queue/store.h"

#define FAULT_ROWS_MAX 1000

/* Stored as these numbers. What they do is relay/filter/fault.h's business. */
enum fault_action {
	FAULT_REJECT = 1,     /* answer with code, enhanced, reply */
	FAULT_DELAY = 2,      /* answer late */
	FAULT_DISCONNECT = 3, /* close without an answer */
	FAULT_BOUNCE = 4,     /* accept, fail later with a report to the sender */
	FAULT_DEFER = 5	      /* accept, put the first `attempts` tries off, then deliver */
};
enum fault_stage { FAULT_AT_MAIL = 1, FAULT_AT_RCPT = 2, FAULT_AT_DATA = 3, FAULT_AT_END = 4 };

/* One rule, of the store or of the configuration. Strings are never NULL ("": any, or the usual).
 */
struct fault {
	int64_t id; /* 0: to be added, or of the configuration */
	const char *name;
	bool enabled;
	enum fault_action action;
	enum fault_stage stage;
	const char *recipient; /* a pattern */
	const char *sender;    /* a pattern, or "<>" */
	const char *user;      /* a glob on who logged in */
	const char *scope;
	size_t code; /* 0: the usual one of the action */
	const char *enhanced;
	const char *reply;
	int64_t delay_ms;
	size_t attempts; /* FAULT_DEFER: how many are put off */
	size_t skip;	 /* so many matches go by first */
	size_t every;	 /* then each so manieth strikes; at least 1 */
	size_t times;	 /* so often in all; 0: without end */
	const char *note;
	/* of the store only */
	int64_t created_at;
	const char *created_by; /* may be NULL */
	int64_t revision;	/* of the change that wrote it: its ETag */
};

/*
 * One change, as `change` says (its row, id and name are taken from `fault`).
 * Afterwards its revision is filled in, and of a new one id and created_*.
 * Writes the audit row. store_options.on_faults runs before `done`.
 */
struct fault_apply {
	struct store_job job; /* first */
	struct fault fault;   /* REMOVE: only the id */
	struct ordered_change change;
	/* private: the rules as they are then */
	const struct fault *rows;
	size_t count;
};
void queue_fault_apply(struct store *store, struct store_job *job);

/* All of them in order; they live in `arena`. */
int queue_fault_list(struct store_reader *reader, struct arena *arena,
		     const struct fault **rows_out, size_t *count_out, struct err *why);

#endif
