/* relay/filter/fault.h - failures on demand: the rules in force, and what they do to a message */
#ifndef STAGEPOST_RELAY_FILTER_FAULT_H
#define STAGEPOST_RELAY_FILTER_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "queue/fault.h"
#include "queue/message.h"
#include "relay/filter/fate.h"
#include "relay/filter/published.h"
#include "relay/mail/address.h"

#define FAULT_REPLY_MAX	   250
#define FAULT_DELAY_MAX_MS 600000 /* also of all delays of one answer together */
#define FAULT_ATTEMPTS_MAX 1000
#define FAULT_COUNT_MAX	   1000000000 /* skip, every, times */

/* --- one rule: pure -------------------------------------------------------------------- */

/* Everything as usual: enabled, at RCPT, for everybody, every time. No name, no action. */
void fault_init(struct fault *fault);
/*
 * Tell every mistake, with the member it is in ("recipient", "delay", …, as
 * the API and the configuration call it). Returns how many.
 */
size_t fault_check(const struct fault *fault,
		   void (*tell)(void *ctx, const char *member, const char *sentence), void *ctx);

/* Let its strings live in `arena`. */
void fault_keep(struct fault *fault, struct arena *arena);

const char *fault_action_name(enum fault_action action); /* "reject" */
const char *fault_stage_name(enum fault_stage stage);	 /* "rcpt" */
int fault_action_parse(struct span name, enum fault_action *action_out);
int fault_stage_parse(struct span name, enum fault_stage *stage_out);

/* --- the rules in force ------------------------------------------------------------------ */

/*
 * Those of the configuration, then those of the store, each in their order.
 * Published whole; readers hold an immutable set. How often a rule matched
 * and struck is counted in memory, and anew when what it says has changed
 * (its note, its place and whether it is enabled do not count as that).
 */
struct faults;

struct faults *faults_new(void);
/* All sets must have been released. */
void faults_free(struct faults **faults);

/*
 * Any thread. Replace the rules of one source, for every faults_acquire from
 * now on. What fault_check refuses never strikes; returns how many those are.
 */
size_t faults_publish(struct faults *faults, enum published_source source, const struct fault *rows,
		      size_t count);

/* Any thread, without a lock: some rule is enabled. */
bool faults_are_on(struct faults *faults);
/* Any thread. Give it back soon, with published_release. */
const struct edition *faults_acquire(struct faults *faults);

struct fault_view {
	const struct fault *fault; /* lives as long as the set */
	enum published_source source;
	uint64_t matches;
	uint64_t strikes;
};
void fault_set_view(const struct edition *set, size_t index, struct fault_view *view_out);

/* --- what they do ------------------------------------------------------------------------ */

/* Where a transaction stands. At DATA and behind it the recipients taken so far are looked at. */
struct fault_case {
	enum fault_stage stage;
	const struct address *sender;
	const struct address *recipient; /* FAULT_AT_RCPT */
	const struct new_recipient *recipients;
	size_t recipient_count;
	const char *user; /* "" for nobody */
	const char *scope;
};

struct fault_effect {
	int64_t delay_ms; /* before the answer, whatever it is */
	/* The rule that ends it, or decides a fate: NULL for none. Lives as long as the set. */
	const struct fault *by;
	/* REJECT: the answer. BOUNCE, DEFER: the fate of the recipient. */
	struct fate fate;
};

/*
 * Rule by rule: those that delay add up, the first that does anything else is
 * the last one looked at. `struck` is told of each rule that strikes. A rule
 * with a recipient matches at DATA and behind it when any recipient does, once a message.
 */
void fault_judge(const struct edition *set, const struct fault_case *at,
		 void (*struck)(void *ctx, const struct fault *rule), void *ctx,
		 struct fault_effect *effect_out);

#endif
