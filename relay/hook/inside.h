/* relay/hook/inside.h - what the parts of the hook's thread share; everything here is its own */
#ifndef STAGEPOST_RELAY_HOOK_INSIDE_H
#define STAGEPOST_RELAY_HOOK_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/channel.h"
#include "base/mem.h"
#include "queue/reader.h"
#include "queue/screen.h"
#include "relay/hook/cache.h"
#include "relay/hook/decision.h"
#include "relay/hook/hook.h"
#include "relay/hook/request.h"

/* What reaches the thread from others. Embedded; in the channel at most once at a time. */
struct hook_event {
	struct channel_item item; /* first */
	void (*arrive)(struct hook *hook, struct hook_event *event);
};

/* Of libcurl's: who began it, first in it, and what is called when it is over. */
struct transfer {
	void (*finish)(struct hook *hook, struct transfer *transfer, CURLcode code);
};

/* A login that is asked about. */
struct login {
	struct transfer transfer; /* first */
	struct hook_event event;
	struct login *next;
	struct hook *hook;
	struct login_ask *ask;
	struct request request;
	uint64_t reloads;
	int64_t begun_ms;      /* monotonic, as is */
	int64_t not_before_ms; /* while it waits for its turn */
};

/* The memory of one claim: lives until its last ask is settled. */
struct batch {
	struct arena *arena;
	size_t users;
};

/* One recipient of an ask: what the list says, and then the hook. */
struct asked {
	const struct screened_recipient *recipient;
	bool listed; /* the list allows it; else no entry names it, and the hook may */
	struct decision decision;
	bool is_ours; /* the decision came from the list: the hook was not asked */
};

/* One question, its request, and what came of it. */
struct ask {
	struct transfer transfer; /* first */
	struct ask *next;	  /* waiting, running, or unsettled ones */
	struct hook *hook;
	struct batch *batch;
	const struct screened_message *message;
	struct asked *asked;
	size_t count;
	const struct screened_recipient **recipients; /* of `asked`, for the question */
	enum hook_dialect dialect;
	bool allow_route;
	uint64_t reloads; /* hook.reloads when it was made */
	bool sent;	  /* the request reached somebody, as far as we know */
	/* One for all of it: what is asked about together comes back together. */
	int64_t rest_ms;
	uint32_t random;
	bool has_key;
	struct cache_key key;
	struct request request;
	/* settling */
	struct screen_settle settle;
	struct screen_outcome *outcomes;
	struct new_recipient *redirects;
	struct arena *arena;
	struct hook_event event;
};

struct claim_call {
	struct screen_claim claim; /* first */
	struct hook_event event;
	struct hook *hook;
	bool busy;
};

struct hook {
	struct hook_env env;
	pthread_t thread;
	struct channel *inbox;
	struct store_reader *reader;
	struct cache *cache;
	const struct hook_options *options; /* in force */
	uint64_t reloads;		    /* how often they were replaced */
	CURLM *multi;

	struct claim_call claim;
	bool maybe_due;	 /* claim without asking the clock */
	int64_t next_at; /* wall clock */
	struct ask *waiting_first, *waiting_last;
	size_t waiting;
	struct ask *running;
	size_t running_count;
	size_t settling; /* given to the writer */
	struct ask *unsettled;
	int64_t settle_again_ms; /* monotonic */

	/* Nobody answered: a rest, and then one question to find out. */
	int failures;
	int64_t rest_until_ms; /* monotonic */

	struct login *logins_waiting; /* in their order */
	struct login *logins_running;
	size_t logins_running_count, login_count;
	bool refuses_logins;

	struct hook_event wake_event, stop_event, refuse_event;
	atomic_bool wake_sent, stop_sent, refuse_sent;
	bool stopping;

	pthread_mutex_t lock;
	struct hook_status status; /* under the lock */
};

/* hook.c */
void hook_send(struct hook *hook, struct hook_event *event);

/* screening.c: claims become questions */
void *screening_run(void *arg);

/* login.c: logins, beside them */
void logins_start(struct hook *hook);
/* Until one may be asked about; 0: now. INT64_MAX: none waits for that. */
int64_t logins_wait_ms(const struct hook *hook);
void logins_drop(struct hook *hook);

/* ask.c: one question */
struct ask *ask_new(struct hook *hook, struct batch *batch, const struct screened_message *message,
		    size_t count);
void ask_free(struct ask **ask);
/* Begin its request; answered from memory, or not to be asked: false, and it has its decisions. */
bool ask_begin(struct ask *ask);
/* The transfer is over. True: there was some answer. */
bool ask_answered(struct ask *ask, CURLcode code);

/* verdict.c: decisions become outcomes */
void ask_conclude(struct ask *ask);
void ask_settle(struct ask *ask);

/* Under the lock inside. */
void hook_count_request(struct hook *hook, bool cached);
void hook_note_error(struct hook *hook, const char *error);

#endif
