/* relay/hook/hook.h - the policy hook as a whole: a script of somebody's is asked about recipients
 */
#ifndef STAGEPOST_RELAY_HOOK_HOOK_H
#define STAGEPOST_RELAY_HOOK_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "queue/store.h"
#include "relay/filter/whitelist.h"
#include "relay/wire/login.h"

enum hook_dialect {
	HOOK_JSON, /* one POST a message (relay/hook/json.h) */
	HOOK_NGINX /* one GET a recipient, as nginx's auth_http asks (relay/hook/nginx.h) */
};
enum hook_on_error { HOOK_RETRY, HOOK_HOLD, HOOK_DROP };
/* How MAIL and RCPT are shown to scripts of nginx. */
enum hook_commands { HOOK_COMMANDS_RAW, HOOK_COMMANDS_CANONICAL };

/* One more header field of every request. */
struct hook_header {
	const char *name;
	const char *value;
};

/* `policy.hook`, and what of delivery it follows. Owned by the configuration. */
struct hook_options {
	const char *url; /* http://, https://, unix:/path:/uri; "": nobody is asked */
	enum hook_dialect dialect;
	int64_t timeout_ms;
	int64_t cache_ms; /* so long an answer stands for the same question; 0: never */
	size_t concurrency;
	bool allow_route;
	bool overrides_whitelist;
	bool pass_client_certificate; /* nginx: all of it, as Auth-SSL-Cert */
	enum hook_commands commands;
	const struct hook_header *headers;
	size_t header_count;
	const char *const *auth; /* names of SASL mechanisms: such logins are asked about */
	size_t auth_count;
	enum hook_on_error on_error;
	const int64_t *schedule_ms; /* delivery.schedule: when it is asked again */
	size_t schedule_count;
	int64_t expire_after_ms; /* delivery.expire_after */
};

/* Any thread. ERR_OK, or what is wrong with the URL. */
int hook_check_url(struct span url, struct err *why);

struct hook;

struct hook_env {
	struct store *store;
	struct whitelist *whitelist;
	struct rules *rules; /* NULL: there are none */
};

/*
 * Starts the thread that asks. It asks about recipients in state screening,
 * which are accepted and durable and not delivered: nobody at the front door waits
 * for it (DESIGN P6). Without a url it lets go what still is in that state.
 * Only a recipient that the list allows is asked about, or with overrides_whitelist one that
 * no entry names; an answer is stored with what it causes. `options` stay valid until
 * replaced or stopped.
 */
int hook_start(const struct hook_env *env, const struct hook_options *options,
	       struct hook **hook_out, struct err *why);
/* Any thread. The old options may be freed after `done` was called. */
void hook_reload(struct hook *hook, const struct hook_options *options, void (*done)(void *ctx),
		 void *ctx);
/* Any thread: there may be something to ask about (store_options.on_ask). */
void hook_wake(struct hook *hook);
/*
 * Any thread: is this login right (nginx's dialect; MTA 1.2, C12)? `ask` stays the caller's, who
 * leaves it alone until done was called, in the hook's thread. Whatever fails: LOGIN_UNKNOWN.
 */
void hook_login(struct hook *hook, struct login_ask *ask);
/* Any thread, from now on and also of those under way: LOGIN_UNKNOWN. */
void hook_refuse_logins(struct hook *hook);
/* What is being asked is asked again after the next start. No login may be under way. Joins. */
void hook_stop(struct hook **hook);

/* Numbers are since the start; of recipients but for `requests` and `cached`. */
struct hook_status {
	bool asks; /* there is a url */
	enum hook_dialect dialect;
	bool reachable; /* the last request got some answer, or none was made */
	size_t running; /* requests under way */
	uint64_t requests;
	uint64_t cached; /* questions answered from memory */
	uint64_t allowed, dropped, held, redirected;
	uint64_t undecided;	/* answers that decided nothing, and none at all */
	int64_t last_answer_at; /* wall clock; 0: never */
	int64_t resting_until;	/* wall clock: nobody is asked before; 0: no rest */
	char last_error[200];	/* "": none since the last decision */
	int64_t last_error_at;
};
/* Any thread. */
void hook_status(struct hook *hook, struct hook_status *status_out);

#endif
