/* admin/call.h - one API request on its way through a handler: what was asked, what to answer */
#ifndef STAGEPOST_ADMIN_CALL_H
#define STAGEPOST_ADMIN_CALL_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/admin.h"
#include "admin/auth.h"
#include "admin/http.h"
#include "admin/readers.h"
#include "admin/session.h"
#include "admin/token_use.h"
#include "admin/traffic.h"
#include "base/crew.h"
#include "base/mem.h"
#include "base/span.h"
#include "queue/store.h"

#define CALL_PARAMS_MAX 12
#define CALL_BODY_DEPTH 32 /* of nested arrays and objects */
#define CALL_LIST_LIMIT 1000
#define CALL_LIST_USUAL 100

struct feed;	    /* admin/feed.h */
struct handin_room; /* admin/handin.h */

/* What all requests share; read-only but for what has a lock of its own. */
struct api {
	struct admin_env env;
	struct readers *readers;
	struct auth_failures *failures;
	struct token_uses *uses;
	struct sessions *sessions;
	struct crew *crew;     /* one thread, for what takes long */
	_Atomic bool stopping; /* what takes long ends early */
	struct feed *feed;
	int64_t stream_comment_ms; /* a stream is never silent for longer */
	struct traffic *traffic;
	struct handin_room *handin_room;
};

struct route;

/* Owned by admin/routes.c; lives as long as its request. One thread at a time. */
struct call {
	const struct api *api;
	struct http_request *http;
	const struct route *route;
	struct caller caller;
	struct span cookie;	/* the secret of the caller's session; empty: by no session */
	struct session session; /* only with `cookie` */
	struct arena *arena;	/* dies with the call: what a store job borrows goes here */
	struct span id;		/* what stands for {…} in the route's pattern */
	struct span part;	/* and for the second one, where there are two */
	struct {
		const char *name;
		const char *value;
	} params[CALL_PARAMS_MAX];
	size_t param_count;
	/* Values of the one parameter of a route that may come several times, in order. */
	const char **repeated;
	size_t repeated_count;
	size_t repeated_room; /* private */
	json_t *body;	      /* an object, or NULL */
	json_t *mistakes;     /* a problem being collected, or NULL */
	struct store_reader *reader;
	void (*then)(struct call *call);
	bool waited; /* for something to happen: how long says nothing */
	void *work;  /* the handler's own, between call_submit and `then`; in the arena */
	/* At the end, answered or not: drop what `work` has outside of the arena. May be NULL. */
	void (*forget)(struct call *call);
	struct crew_job job;		   /* private */
	void (*labour)(struct call *call); /* private */
	bool at_labour;			   /* private; the labour itself does not look at it */
};

/* --- answering: exactly one of these, or call_submit --- */

/*
 * For json_dump_callback; `out` is a struct buf. A `<` stands inside of strings only, and is
 * written so that nothing in an answer can end a script or begin a tag, wherever it is pasted
 * (S322).
 */
int call_append_json(const char *bytes, size_t len, void *out);
/* Append JSON as call_reply sends it. ERR_LIMIT: out's ceiling. */
int call_write(const json_t *json, struct buf *out);
/* Takes `body`; NULL sends none. */
void call_reply(struct call *call, int status, json_t *body);
void call_problem(struct call *call, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Takes `problem` (admin/problem.h), for one that carries more. */
void call_reply_problem(struct call *call, int status, json_t *problem);
/* A failure of the queue or a parser, by its code. */
void call_error(struct call *call, int code, const struct err *why);
void call_etag(struct call *call, int64_t revision);
/* False: an If-Match was given that does not hold, and 412 was replied. */
bool call_if_match(struct call *call, int64_t revision, bool *given_out);

/*
 * Hand `job` to the store and answer in `then`, once job->done has been
 * called. The job and all it borrows belong to the store until then.
 */
void call_submit(struct call *call, void (*submit)(struct store *, struct store_job *),
		 struct store_job *job, void (*then)(struct call *call));
/*
 * Do what takes long in a thread of its own, one call at a time, and answer
 * in `then`. `labour` may read, but neither answer nor submit.
 */
void call_labour(struct call *call, void (*labour)(struct call *call),
		 void (*then)(struct call *call));
/*
 * Suspend, and answer in `then`: the caller sees to it that http_resume is
 * called, by somebody else's thread.
 */
void call_suspend(struct call *call, void (*then)(struct call *call));
/* A reading connection for this stretch of the handler; given back when it returns. */
struct store_reader *call_reader(struct call *call);
void call_give_reader(struct call *call);

/* --- what was asked: mistakes are collected, so that all of them are told at once --- */

/* Remember a mistake. `where`: a JSON pointer, or a query parameter's name. */
void call_mistake(struct call *call, const char *where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* True when there were any: the 400 has been replied then. */
bool call_refused(struct call *call);

/* Query parameters, decoded. NULL: not given. */
const char *call_param(const struct call *call, const char *name);
size_t call_param_limit(struct call *call);
/* `true` or `false`; `otherwise` when not given. */
bool call_param_flag(struct call *call, const char *name, bool otherwise);
/* A time or an age ("2h"); 0 when it is not given. */
int64_t call_param_time(struct call *call, const char *name);
/* `after`, 0 when not given. */
int64_t call_param_cursor(struct call *call, int kind);
/* `scope`, NULL when not given: what a caller that is limited to one may see is that scope. */
const char *call_param_scope(struct call *call);
/* The {id} of the path as a row number; when it is none, 404 was replied and false returned. */
bool call_row_id(struct call *call, int64_t *id_out);

/* Parse a body: one object, no key twice, at most CALL_BODY_DEPTH deep, nothing behind it. */
int call_parse_body(struct span text, json_t **body_out, struct err *why);
/* `names` is a list with blanks between; every other member is a mistake. */
void call_only_members(struct call *call, const char *names);
bool call_has_member(const struct call *call, const char *name);
/*
 * A text member of at most `max` octets without control characters (but line
 * ends and TAB); NULL when it is not there or null.
 */
const char *call_text(struct call *call, const char *name, size_t max);
bool call_bool(struct call *call, const char *name);
/*
 * An integer member; false, and nothing is written, when it is not there,
 * null, or a mistake.
 */
bool call_number(struct call *call, const char *name, int64_t min, int64_t max,
		 int64_t *number_out);
/* expires_at or expires_in, 0: neither, or null. Must lie ahead of `now`. */
int64_t call_expiry(struct call *call, int64_t now);
/* A scope: "" or up to AUTH_SCOPE_MAX letters, digits, '.', '_', '-'. */
bool call_is_scope(const char *text);
/*
 * The scope a request acts in: the member `scope`, or the caller's own. A
 * caller that is limited to one can't name another: a mistake.
 */
const char *call_scope(struct call *call);

#endif
