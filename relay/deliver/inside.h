/* relay/deliver/inside.h - what the parts of the scheduler share; everything here is its thread's
 */
#ifndef STAGEPOST_RELAY_DELIVER_INSIDE_H
#define STAGEPOST_RELAY_DELIVER_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "queue/delivery.h"
#include "relay/deliver/deliver.h"
#include "relay/deliver/bouncer.h"
#include "relay/deliver/event.h"
#include "relay/deliver/hop_tls.h"
#include "relay/deliver/job.h"
#include "relay/deliver/keyring.h"
#include "relay/deliver/outcome.h"
#include "relay/deliver/resolve.h"
#include "relay/deliver/uplink.h"
#include "relay/deliver/worker.h"

#define IN_HAND_MAX    256 /* recipients claimed and not settled */
#define IN_HAND_LOW    128 /* claim more below this */
#define LEASE_MS       (10 * 60 * 1000)
#define EXPIRE_EACH_MS (60 * 1000)
#define TICK_MS	       1000
#define IDLE_LINK_MS   (10 * 1000) /* a connection nobody needs is closed */
#define LINK_LIFE_MS   (5 * 60 * 1000)
#define REST_FIRST_MS  1000 /* after trouble with a next hop, doubling */
#define REST_MAX_MS    (60 * 1000)
#define REDIALS_MAX    2

/* After credentials were refused, doubling. */
#define LOGIN_REST_MS	  (60 * 1000)
#define LOGIN_REST_MAX_MS (15 * 60 * 1000)

/* The memory of one claim: lives until its last recipient is settled. */
struct batch {
	struct arena *arena;
	size_t recipients;
};

/* One connection as the scheduler sees it. */
struct link {
	struct link *next;
	struct deliver *deliver;
	struct way *way;
	struct uplink *uplink;
	enum link_state { LINK_OPENING, LINK_IDLE, LINK_BUSY, LINK_CLOSING } state;
	int64_t opened_ms;
	int64_t since_ms; /* in this state */
	bool used;	  /* a job was given to it */
	/* answers on their way from the loop; each fills its own fields */
	struct event opened, done, lost, closed;
	int open_code;
	char open_why[240];
	enum trouble open_trouble;
	struct job *done_job;
	bool done_alive;
	char lost_why[240];
	bool is_lost; /* `lost` has arrived; `done` of a crossing job is still to come */
};

/* A route at work. */
struct way {
	struct plan *plan;
	const struct route_options *options;
	struct hop_tls *tls; /* NULL: none, or tls_why */
	struct err tls_why;
	struct job *first, *last; /* waiting for a connection and a worker */
	size_t waiting;		  /* recipients of them */
	size_t jobs_waiting;
	struct link *links;
	size_t opening, idle, busy, closing;
	int failures;	       /* outages in a row */
	int64_t trouble_ms;    /* when the last of them was noticed */
	struct key *key;       /* to log in with; NULL: the route does not */
	bool logged_in;	       /* its credentials were right the last time */
	int login_failures;    /* refusals of them in a row */
	int64_t refused_ms;    /* when the last of them was noticed */
	bool paused;	       /* when it was looked at last */
	bool unreachable;      /* the last dial failed and there is no other connection */
	enum trouble trouble;  /* of the last dial that failed */
	int64_t rest_until_ms; /* monotonic: no dial before */
	uint64_t delivered, deferred, failed;
	char last_error[200];
	int64_t last_error_at;
};

/* One version of the options. */
struct plan {
	struct plan *next;
	const struct delivery_options *options;
	struct way *ways;
	size_t users; /* jobs and links */
	bool old;
	void (*done)(void *ctx);
	void *done_ctx;
};

/* A store job whose answer comes to the scheduler. */
struct claim_call {
	struct claim claim; /* first */
	struct event event;
	struct deliver *deliver;
	bool busy;
};
struct settle_call {
	struct settle settle; /* first */
	struct event event;
	struct deliver *deliver;
	bool busy;
	struct job *jobs;
	int64_t not_before_ms; /* after a failure */
};
struct renew_call {
	struct renew renew; /* first */
	struct event event;
	struct deliver *deliver;
	bool busy;
	int64_t next_ms;
};
struct expire_call; /* these are defined in upkeep.c */
struct unpark_call;

struct deliver {
	struct deliver_env env;
	pthread_t thread;
	struct channel *inbox;
	struct resolver *resolver;
	struct keyring *keyring; /* NULL while no route has logged in */
	struct bouncer *bouncer;
	struct worker **workers;
	struct worker **idle_workers; /* a stack */
	size_t worker_count, idle_count;
	size_t next_loop, next_way;

	struct plan *plan;  /* in force */
	struct plan *plans; /* all that are still used, `plan` among them */
	struct job *jobs;   /* all in hand */
	size_t in_hand;	    /* recipients */
	struct job *decided_first, *decided_last;

	struct claim_call claim;
	struct settle_call settle;
	struct renew_call renew;
	struct expire_call *expire;
	struct unpark_call *unpark;
	bool unpark_wanted;  /* something may be parked that need not be any more */
	int64_t next_due_at; /* wall clock */
	int64_t claimed_ms;  /* monotonic: when room for more was last found or made */
	bool maybe_due;	     /* claim without asking the clock */

	struct event wake_event, stop_event;
	atomic_bool wake_sent;
	atomic_bool stop_sent;
	atomic_llong stop_grace_ms;
	bool stopping, closed_links;
	int64_t stop_deadline_ms;

	pthread_mutex_t status_lock;
	struct route_status *status;
	size_t status_count;
};

/* scheduler.c */
void *scheduler_run(void *arg);
/* A call is answered in the writer thread: `event` goes to the inbox. */
void scheduler_answer(struct deliver *d, struct event *event);

/* plan.c */
struct plan *plan_new(struct deliver *d, const struct delivery_options *options);
void plan_use(struct plan *plan);
void plan_leave(struct deliver *d, struct plan *plan);
/* No job or connection uses it any more: tell its owner, forget it. */
void plan_end_unused(struct deliver *d);

/* intake.c: claims become jobs */
void intake_start(struct deliver *d);
void intake_claim(struct deliver *d, int64_t now);

/* pool.c: connections */
void pool_start_jobs(struct deliver *d);
void pool_dial(struct deliver *d, struct way *way);
void pool_tidy(struct deliver *d, struct way *way, int64_t now_ms);
void pool_close(struct way *way, bool busy_too);
size_t pool_links(const struct way *way);
void way_push(struct way *way, struct job *job, bool front);
struct job *way_pop(struct way *way);
/* Give up all that wait: `transition` DEFER with the reason, or UNCLAIM until `again_at`. */
void way_give_up(struct deliver *d, struct way *way, enum transition transition, const char *reason,
		 int64_t again_at);

/* settle.c: outcomes */
void settle_start(struct deliver *d);
struct job *settle_new_job(struct deliver *d, struct batch *batch,
			   const struct claimed_message *message, struct way *way);
/* Every recipient gets the same outcome; job->trouble is what kind it is. */
void settle_all(struct deliver *d, struct job *job, enum transition transition, const char *reason,
		int64_t again_at);
/*
 * Outcomes are in job->outcomes: log them and have them stored. What would
 * wait too long expires; where the sender must be told, the report goes into
 * the store with the outcomes.
 */
void settle_told(struct deliver *d, struct job *job);
/* From the record. */
void settle_attempt(struct deliver *d, struct job *job);
void settle_submit(struct deliver *d);
void settle_renew(struct deliver *d, int64_t now_ms);

/* upkeep.c: expiry, pauses that ended, numbers */
void upkeep_start(struct deliver *d);
void upkeep_stop(struct deliver *d);
void upkeep_expire(struct deliver *d, int64_t now_ms);
/* Look at the pauses; what waited for one that has ended is made due. */
void upkeep_unpark(struct deliver *d, int64_t now_ms);
bool upkeep_is_busy(const struct deliver *d);
void upkeep_status(struct deliver *d);

#endif
