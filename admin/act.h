/* admin/act.h - what acts on one message and on many recipients share */
#ifndef STAGEPOST_ADMIN_ACT_H
#define STAGEPOST_ADMIN_ACT_H

#include "admin/call.h"
#include "queue/act.h"
#include "queue/reader.h"
#include "relay/filter/rule_match.h"
#include "relay/filter/whitelist.h"

/*
 * What a release must pass, in the writer thread: the list in force at that
 * moment, and what the rules in force when it was asked for say of each
 * message. As at acceptance, but for rules that hold: a person has answered them.
 */
struct release_judge {
	struct act_judge ops;
	struct whitelist *whitelist;
	struct arena *arena; /* of its strings; nobody else uses it while a job is with the store */
	/* private */
	const struct edition *rules; /* held; NULL: there are none */
	const struct rule_matches *of_all;
	const struct recipient_row *rows; /* by falling number; NULL: of_all counts for each */
	const struct rule_matches **of_row;
	size_t count;
};
/* Returns judge->ops, for act.judge; all of them outlive the job. */
const struct act_judge *release_judge_init(struct release_judge *judge, struct whitelist *whitelist,
					   struct arena *arena);
/* Ask the rules about one message, or about a page of recipients, which live as long. */
int release_judge_ask(struct call *call, struct release_judge *judge, const struct ulid *message,
		      struct err *why);
int release_judge_ask_rows(struct call *call, struct release_judge *judge,
			   const struct recipient_row *rows, size_t count, struct err *why);
/* As the job will be told. False: it is no address, or nothing is known of its message. */
bool release_judge_verdict(const struct release_judge *judge, const struct act_subject *subject,
			   struct verdict *verdict_out);
/* When the job is done; also of one that was never asked. */
void release_judge_release(struct release_judge *judge);

/* What a stored message says of itself, but for its header section. `sender` is filled. */
struct rule_facts act_facts(const struct new_message *m, struct address *sender);

/* The member `to` of a release, canonical; NULL: not given, or a mistake. */
const char *read_release_to(struct call *call);

#endif
