/* relay/filter/rule.h - rules on what a message says of itself: one rule, and those in force */
#ifndef STAGEPOST_RELAY_FILTER_RULE_H
#define STAGEPOST_RELAY_FILTER_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/span.h"
#include "queue/rule.h"
#include "relay/filter/published.h"
#include "relay/filter/subject.h"

#define RULE_TAG_MAX   SUBJECT_TAG_MAX
#define RULE_VALUE_MAX 255
#define RULE_FIELD_MAX 77 /* of a field's name */

/* --- one rule: pure -------------------------------------------------------------------- */

/* Enabled, without a condition. No name, no action. */
void rule_init(struct rule *rule);
/*
 * Tell every mistake, with the member it is in ("recipient", "headers", …, as
 * the API and the configuration call it). Returns how many.
 */
size_t rule_check(const struct rule *rule,
		  void (*tell)(void *ctx, const char *member, const char *sentence), void *ctx);
/* Let its strings live in `arena`. */
void rule_keep(struct rule *rule, struct arena *arena);

const char *rule_action_name(enum rule_action action); /* "deliver" */
const char *rule_match_name(enum rule_match match);    /* "present" */
int rule_action_parse(struct span name, enum rule_action *action_out);
int rule_match_parse(struct span name, enum rule_match *match_out);

/* --- the rules in force ------------------------------------------------------------------ */

/*
 * Those of the configuration, then those of the store, each in their order.
 * What they decide: relay/filter/rule_match.h.
 */
struct rules;

struct rules *rules_new(void);
/* All editions must have been released. */
void rules_free(struct rules **rules);

/*
 * Any thread. Replace the rules of one source, for every rules_acquire from
 * now on. Returns how many rule_check refuses: one of these that would let go
 * or tag is left out, any other that is enabled drops all mail.
 */
size_t rules_publish(struct rules *rules, enum published_source source, const struct rule *rows,
		     size_t count);

/* Any thread, without a lock: the number of the edition in force; some rule is enabled. */
uint64_t rules_number(struct rules *rules);
bool rules_are_on(struct rules *rules);
/* Any thread. Give it back soon, with published_release. */
const struct edition *rules_acquire(struct rules *rules);

struct rule_view {
	const struct rule *rule; /* lives as long as the edition */
	enum published_source source;
	uint64_t matches; /* recipients it decided on, or messages it tags, when they came in */
};
void rule_view(const struct edition *rules, size_t index, struct rule_view *view_out);

#endif
