/* admin/bulk.h - one act on every recipient that a filter lets through, step by step */
#ifndef STAGEPOST_ADMIN_BULK_H
#define STAGEPOST_ADMIN_BULK_H

#include "admin/act.h"
#include "queue/reader.h"

/*
 * In the call's arena. Newest first; accepting mail goes on between the steps
 * (queue/act.h). What comes in meanwhile is not looked at.
 */
#define BULK_TIME_MS 10000 /* usually: a caller that waits much longer gives up */

struct bulk {
	/* the caller's */
	enum transition transition;
	struct recipient_query query; /* states 0: those that the transition is for */
	const char *reason;	      /* the person's own words, or NULL */
	const char *to;		      /* RELEASE: to this mailbox instead; canonical or NULL */
	int64_t entry;		      /* RELEASE: only what this entry lets go; 0: any */
	bool dry;		      /* nothing is done, and what would be is counted */
	size_t limit;		      /* at most so many are looked at; 0: all, as time permits */
	int64_t time_ms;	      /* no new step begins after so long; there is always one */
	const char *about;	      /* the filter as JSON, for the audit; or NULL */
	void (*then)(struct call *call, struct bulk *bulk);
	void *ctx; /* for `then` */
	/* out, when `then` is called */
	int code; /* ERR_OK, or what stopped it; what was done before stays done */
	struct err why;
	size_t changed, wished, refused, passed;
	struct err refusal; /* of the first one that was refused */
	bool more;	    /* time or limit came first: go on with query.before_id as it is */
	/* private */
	struct release_judge judge;
	struct act_step step;
	int64_t ids[ACT_STEP_MAX];
	size_t seen;
	int64_t until_ms;
};

/*
 * Acts, then calls `then`, which answers the call; perhaps before it returns.
 * Uses call->work, and call->forget where the caller has not set it.
 */
void bulk_run(struct call *call, struct bulk *bulk);
/* At the end of the call (call.forget), and before its judge is begun anew. NULL: nothing. */
void bulk_forget(struct bulk *bulk);
/* The states that a transition is for: 1U << STATE_X of each. */
unsigned bulk_states(enum transition transition);

#endif
