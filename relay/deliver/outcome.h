/* relay/deliver/outcome.h - what an attempt means for each recipient (pure) */
#ifndef STAGEPOST_RELAY_DELIVER_OUTCOME_H
#define STAGEPOST_RELAY_DELIVER_OUTCOME_H

#include <stdint.h>

#include "queue/delivery.h"
#include "relay/deliver/bounce.h"
#include "relay/deliver/job.h"
#include "relay/deliver/trouble.h"

/* How one recipient came out. `reply` points into the job, NULL: none. */
struct outcome {
	enum transition
		transition; /* DELIVER, DEFER, FAIL, EXPIRE, DROP, HOLD, REDIRECT or UNCLAIM */
	bool in_doubt;
	bool on_demand; /* a fault rule wants it: its report is made whatever delivery.bounces says
			 */
	int64_t again_at;   /* for UNCLAIM; DEFER goes by the schedule */
	const char *parked; /* for UNCLAIM, or NULL: settlement.parked */
	const struct hop_reply *reply;
	enum trouble trouble;	 /* why it is not delivered */
	enum bounce_action told; /* to the sender; decided with the outcomes of the whole job */
	char reason[400];
};

/*
 * From the record of the dialogue and libesmtp's own status. 2xx to RCPT and
 * to the final dot, seen by both: delivered. 4xx: later. 5xx: failed, that
 * recipient only (MAIL, DATA and the final dot: all). 421 and 530 always
 * later: they speak of the connection and of our configuration, not of the
 * recipient. Whatever is unclear or where the two disagree: later; when the
 * final dot was sent and nobody knows what became of it, in doubt, and held
 * the BACKOFF_DOUBT_MAXth time (DESIGN P3).
 */
void outcome_decide(const struct job *job, const struct job_recipient *recipient,
		    struct outcome *outcome_out);

/*
 * RFC 5321 4.5.3.1.10: a next hop that takes some recipients and then says
 * "too many" gets the others in a transaction of their own, at once: that is
 * no failed attempt of theirs. With job->outcomes decided; as some were
 * delivered each time, there is an end to it.
 */
void outcome_next_transaction(struct job *job);

/* RFC 3463, of an outcome that no reply tells of. NULL: the reply does, or nothing is known. */
const char *outcome_status(const struct job *job, const struct outcome *outcome);

/* One more wait is one too many (delivery.expire_after): what would be put off has expired. */
void outcome_expire(const struct job *job, const struct job_recipient *recipient, int64_t now,
		    struct outcome *outcome);

/*
 * The settlement for it, with the time of the next attempt. Strings are
 * borrowed from job, recipient and outcome.
 */
void outcome_settle(const struct job *job, const struct job_recipient *recipient,
		    const struct outcome *outcome, int64_t now, uint32_t random,
		    struct settlement *settlement_out);

#endif
