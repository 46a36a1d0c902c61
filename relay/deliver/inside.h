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
#include "relay/deliver/client.h"
#include "relay/deliver/event.h"
#include "relay/deliver/hop_tls.h"
#include "relay/deliver/host.h"
#include "relay/deliver/job.h"
#include "relay/deliver/keyring.h"
#include "relay/deliver/outcome.h"
#include "relay/deliver/own_login.h"
#include "relay/deliver/rate.h"
#include "relay/deliver/resolve.h"
#include "relay/deliver/uplink.h"
#include "relay/deliver/worker.h"

#define IN_HAND_MAX	 256  /* jobs claimed and not settled */
#define IN_HAND_LOW	 128  /* claim more below this */
#define RECIPIENTS_MAX	 4096 /* of them all: this is what they need memory for */
#define LEASE_MS	 (10 * 60 * 1000)
#define IDLE_MS		 (60 * 1000) /* so long it may sleep when nothing is to be done */
#define CLAIM_EACH_MS	 250	     /* also with half of our hands full */
#define TICK_MS		 1000
#define IDLE_LINK_MS	 (10 * 1000) /* a connection nobody needs is closed */
#define LINK_LIFE_MS	 (5 * 60 * 1000)
#define STARVED_MS	 1000 /* no descriptors to be had: so long nothing is started */
#define TURN_MS		 1000 /* a connection serves so long before it makes room for others */
#define REDIALS_MAX	 2
#define HOSTS_TOLD_MAX	 200
#define DESTINATIONS_MAX 1000 /* of a route, those that are only remembered */

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
	struct destination *to;
	struct host *host;
	struct uplink *uplink;
	enum link_state { LINK_OPENING, LINK_IDLE, LINK_BUSY, LINK_CLOSING } state;
	int64_t opened_ms;
	int64_t since_ms; /* in this state */
	bool probe;	  /* dialled to find out whether the host is well again */
	bool used;	  /* a job was given to it */
	/* answers on their way from the loop; each fills its own fields */
	struct event opened, done, lost, closed;
	int open_code;
	char open_why[240];
	enum trouble open_trouble;
	struct job *done_job;
	bool done_alive;
	bool is_lost; /* `lost` has arrived; `done` of a crossing job is still to come */
};

/* Connections by state; `probing` of those that are opening are probes. */
struct link_counts {
	size_t opening, probing, idle, busy, closing;
};

/*
 * Where mail of a route goes that may share connections: all of it, as a rule.
 * Made when there is mail for it, freed when it is idle (destination.c).
 */
struct destination {
	struct destination *next;
	struct way *way;
	char *key;
	struct client client; /* the next hop is told of it; else unknown */
	/* lookup.c: whose hosts they are, for routes that look them up; "": no look-up */
	char domain[256];
	char hop[HOST_TEXT_SIZE]; /* the policy hook's choice instead of its hosts; "": none */
	struct own_login *own;	  /* and of what to log in with there; NULL: as the route */
	struct lookup *lookup;	  /* under way */
	int64_t targets_until_ms; /* then they are asked for again */
	struct host names;	  /* how asking goes; no host of anybody */
	char refusal[200];	  /* nothing can be sent there, ever; "": it can */
	enum trouble refusal_trouble;
	struct target *targets;
	size_t target_count;
	struct job *first, *last; /* waiting for a connection and a worker */
	size_t waiting;		  /* recipients of them */
	size_t jobs_waiting;
	size_t jobs_running;	  /* with a worker or an uplink */
	int64_t waiting_since_ms; /* the line was empty before */
	int64_t moved_ms;	  /* a job left the line for a worker, or it was cut (park.c) */
	bool proved;		  /* the last message got an answer */
	int64_t turn;		  /* of the job that left the line last */
	struct link *links;
	struct link_counts count;
};

/* A route at work. */
struct way {
	struct deliver *deliver;
	struct plan *plan;
	const struct route_options *options;
	struct hop_tls *tls; /* NULL: none, or tls_why */
	struct err tls_why;
	struct key *key; /* to log in with; NULL: the route does not */
	struct login_health login;
	struct host *hosts; /* those of the options first, in their order */
	struct destination *destinations;
	size_t destination_count;
	bool looks_up;		  /* one of its hosts is "mx:" */
	bool has_hops;		  /* some mail goes where the policy hook said */
	size_t lookups;		  /* under way */
	struct link_counts count; /* of all destinations, as are */
	size_t waiting;
	size_t jobs_waiting;
	bool paused; /* when it was looked at last */
	int64_t starved_until_ms;
	struct rate rate;
	uint64_t delivered, deferred, failed;
	struct histogram_view attempts;	  /* messages; histogram_prompt */
	struct histogram_view deliveries; /* recipients; histogram_patient */
	uint64_t troubles[TROUBLE_COUNT]; /* recipients that were not delivered, by kind */
	char last_error[200];
	int64_t last_error_at;

	/* park.c */
	char *parked_as;   /* the name its mail is parked under */
	bool maybe_parked; /* there may be such mail */
	size_t coming;	   /* recipients made due for it that were not claimed yet */
	int64_t coming_since_ms;
	bool parked_again; /* of what came back some could not be taken */
	int64_t return_wait_ms, no_return_before_ms;
	bool paced; /* `pace` is known: settled a second, in the last one */
	size_t pace;
	int64_t paced_since_ms;
	uint64_t paced_from;
};

/* One version of the options. */
struct plan {
	struct plan *next;
	const struct delivery_options *options;
	struct way *ways;
	char *unrouted_as; /* park.c: the name of what has no route, under this division */
	size_t users;	   /* jobs and links */
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
	struct arena *arena;   /* of recipients that stand for others; NULL: there are none */
	int64_t not_before_ms; /* after a failure */
};
struct renew_call {
	struct renew renew; /* first */
	struct event event;
	struct deliver *deliver;
	bool busy;
	int64_t next_ms;
};
struct unpark_call; /* park.c */
struct halt;	    /* halt.c */

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
	size_t jobs_in_hand;
	struct job *decided_first, *decided_last;

	struct claim_call claim;
	struct settle_call settle;
	struct renew_call renew;
	struct unpark_call *unpark;
	size_t next_unpark;
	bool others_parked;	 /* there may be mail parked for a route that is no more */
	int64_t clock_offset_ms; /* when it was last looked at */
	int64_t next_due_at;	 /* wall clock */
	int64_t claimed_ms;	 /* monotonic: the last claim */
	bool maybe_due;		 /* claim without asking the clock */

	struct event wake_event, stop_event;
	atomic_bool wake_sent;
	atomic_bool stop_sent;
	atomic_llong stop_grace_ms;
	bool stopping, closed_links;
	int64_t stop_deadline_ms;

	struct halt *halt;
	struct outbound_count rewritten; /* in the copies that were delivered */
	struct handshakes handshakes;	 /* any thread */

	pthread_mutex_t status_lock;
	struct outbound_count rewritten_status;
	struct breaker_status breaker_status;
	struct route_status *status;
	size_t status_count;
	struct host_status *hosts;
	size_t host_count;
	int64_t hosts_ms; /* when they were written */
};

/* scheduler.c */
void *scheduler_run(void *arg);
/* A call is answered in the writer thread: `event` goes to the inbox. */
void scheduler_answer(struct deliver *d, struct event *event);

/* plan.c */
struct plan *plan_new(struct deliver *d, const struct delivery_options *options);
void plan_use(struct plan *plan);
/* Made when it is needed first. */
struct keyring *plan_keyring(struct deliver *d);
void plan_leave(struct deliver *d, struct plan *plan);
/* No job or connection uses it any more: tell its owner, forget it. */
void plan_end_unused(struct deliver *d);

/* intake.c: claims become jobs */
void intake_start(struct deliver *d);
void intake_claim(struct deliver *d, int64_t now);

/* destination.c: what waits, and for whom */
/* The job stands in the line of its destination, which is made if need be. */
void way_push(struct way *way, struct job *job, bool front);
/* Give up all that wait: `transition` DEFER with the reason, or UNCLAIM until `again_at`. */
void way_give_up(struct deliver *d, struct way *way, enum transition transition, const char *reason,
		 int64_t again_at);
/* A connection could be had or be dialled: false means that all its hosts rest. */
bool way_may_try(const struct way *way, int64_t now_ms);
/* Its credentials were refused, which is not tried again now. */
bool way_login_rests(const struct way *way, int64_t now_ms);
/* The same of those that this destination uses, its own or its route's. */
bool destination_login_rests(const struct destination *to, int64_t now_ms);
struct login_health *destination_login(struct destination *to);
/* Those of `before`, of the same route in the version that ends, are as they were. */
void way_init(struct deliver *d, struct way *way, struct plan *plan,
	      const struct route_options *options, const struct way *before);
void way_release(struct way *way);
/* Forget destinations that nobody needs any more. */
void way_forget(struct way *way, int64_t now_ms);
void destination_give_up(struct deliver *d, struct destination *to, enum transition transition,
			 const char *reason, int64_t again_at);
/* For a connection that carried something before, or not. NULL: none of them wants it. */
struct job *destination_take(struct destination *to, bool used);
/* Its hosts are not those of the whole route. */
bool destination_is_apart(const struct destination *to);
/* Behind the others. */
void destination_push(struct destination *to, struct job *job);
/*
 * The hosts of the options in their order; those of `list` stand where "mx:" does. NULL: there are
 * none.
 */
void destination_set_targets(struct destination *to, const struct mx_list *list);
void destination_leave_targets(struct destination *to);
/* Without `host` and those of the look-up that rank behind it; returns how many of them are left.
 */
size_t destination_cut(struct destination *to, const struct host *host);
/* How many of the waiting want a connection that carried nothing yet: they stand in front. */
size_t destination_fresh_wanted(const struct destination *to);
bool destination_may_try(const struct destination *to, int64_t now_ms);
enum trouble destination_trouble_kind(const struct destination *to);
/* Why nothing can be sent there now, every host with its own reason. */
void destination_trouble(const struct destination *to, char *text_out, size_t size);

/* lookup.c: the hosts of a domain */
/* Targets are known, or none are needed; else those that wait do so for the answer, or are given
 * up.
 */
bool lookup_is_ready(struct deliver *d, struct destination *to);
/* Nobody waits for those that are under way. */
void lookup_end(struct way *way);
/* Connecting to one that was found would have reached our own listener. */
void lookup_found_ours(struct destination *to, const struct host *host);

/* link.c: one connection */
void link_dial(struct deliver *d, struct destination *to, struct host *host, bool probe);
void link_set_state(struct link *link, enum link_state state);
/* Idle: with a QUIT; else at once. It is forgotten when the uplink has answered. */
void link_close(struct link *link);
/* An event of a job's: libesmtp has returned. */
void link_worker_done(struct deliver *d, struct event *event);

/* pool.c: connections */
void pool_start_jobs(struct deliver *d);
/* Until mail that a rate holds back may go; -1: there is none. */
int64_t pool_wait_ms(const struct deliver *d);
void pool_tidy(struct deliver *d, struct way *way, int64_t now_ms);
void pool_close(struct way *way, bool busy_too);
size_t pool_links(const struct way *way);

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

/*
 * park.c: what a route can't take now (it is paused, its next hop rests, its
 * line is long; or there is none) goes back into the store under the route's name, found by no
 * claim, with the reason; no attempt is counted. It comes back in steps, the oldest first,
 * when the route has room, and one of it when a next hop that had trouble may be tried again.
 */
void park_start(struct deliver *d);
void park_stop(struct deliver *d);
void park_name_ways(struct plan *plan);
void park_forget_names(struct plan *plan);
/* The outcome of the recipient at `index`: it waits for a configuration that has a route for it. */
void park_without_route(const struct job *job, size_t index);
/* All that waits: it is paused, by whom and why. */
void way_park_paused(struct deliver *d, struct way *way);
/* No dial made it: that was an attempt for the first in the line, the others only wait. */
void destination_unreachable(struct deliver *d, struct destination *to, const char *why);
/* How many more recipients its line takes. */
size_t way_room(const struct way *way);
/* So many more recipients are in our hands that go this way. */
void way_claimed(struct way *way, size_t count);
/* Look at all routes: what can't be taken goes. */
void park_relieve(struct deliver *d);
/* The outcomes of the job are stored. */
void park_settled(struct deliver *d, const struct job *job);
/* Look at the pauses; have made due what can be taken again. */
void park_return(struct deliver *d, int64_t now_ms);
/* Something may be parked: look again soon. */
bool park_is_awaited(const struct deliver *d);
bool park_is_busy(const struct deliver *d);

/* halt.c: policy.breaker */
int halt_start(struct deliver *d, struct err *why);
void halt_stop(struct deliver *d);
/* May the job be given to a worker? It is counted then. False: delivery stands still. */
bool halt_allows(struct deliver *d, const struct job *job);
bool halt_is_on(const struct deliver *d);
/* A job for more recipients than this would never be allowed. */
size_t halt_room(const struct deliver *d, size_t most);
void halt_note(struct deliver *d, int64_t minute, int64_t recipients);
void halt_watch(struct deliver *d, int64_t now_ms);
bool halt_is_busy(const struct deliver *d);
void halt_status(struct deliver *d, struct breaker_status *status_out);

/* upkeep.c: numbers */
void upkeep_status(struct deliver *d);

#endif
