/* relay/filter/let_out.h - who gets a message by a rule that overrides the whitelist */
#ifndef STAGEPOST_RELAY_FILTER_LET_OUT_H
#define STAGEPOST_RELAY_FILTER_LET_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "queue/reader.h"
#include "relay/filter/judge.h"

/*
 * Addressees that no entry allows and a rule lets leave all the same. The
 * header of that one message names them like those that the list allows
 * (DESIGN P5): each of these very mailboxes, and nobody else whom the rule
 * might let leave, since it gets the message from us anyway.
 */
struct let_out;

/* Some rule that overrides the whitelist is met by the message: only then is there anybody. */
bool let_out_may_be(const struct rule_matches *rules);

/*
 * Those of `rows` whom at->rules let leave now, by the list in `at`, without
 * policy and hook; in `arena`. NULL: nobody. Pure.
 */
const struct let_out *let_out_find(const struct judge_case *at, const struct addressee *rows,
				   size_t count, struct arena *arena);
/* `set` may be NULL. Only a form that is ever sent is in it (DESIGN 4.6). */
bool let_out_holds(const struct let_out *set, const struct address *address);

#endif
