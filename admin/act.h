/* admin/act.h - what acts on one message and on many recipients share */
#ifndef STAGEPOST_ADMIN_ACT_H
#define STAGEPOST_ADMIN_ACT_H

#include "admin/call.h"
#include "queue/act.h"
#include "relay/filter/rule_match.h"
#include "relay/filter/whitelist.h"

/* What a release must pass, in the writer thread: the list in force at that moment. */
struct release_judge {
	struct act_judge ops;
	struct whitelist *whitelist;
	const struct rule_matches
		*rules;	     /* of the one message; NULL: they are asked when it is sent */
	struct arena *arena; /* of its strings; nobody else uses it while a job is with the store */
};
/* Returns judge->ops, for act.judge; all of them outlive the job. */
const struct act_judge *release_judge_init(struct release_judge *judge, struct whitelist *whitelist,
					   struct arena *arena);

/* What a stored message says of itself, but for its header section. `sender` is filled. */
struct rule_facts act_facts(const struct new_message *m, struct address *sender);

/* The member `to` of a release, canonical; NULL: not given, or a mistake. */
const char *read_release_to(struct call *call);

#endif
