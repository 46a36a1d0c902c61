/* cli/client.h - the daemon's API, over its unix socket or a URL; the file that sees libcurl */
#ifndef STAGEPOST_CLI_CLIENT_H
#define STAGEPOST_CLI_CLIENT_H

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/tool.h"

struct client_reply {
	long status;
	json_t *body;  /* NULL when there was none, or no JSON; json_decref() it */
	char etag[64]; /* "" without one */
};

/* A request that is more than a method, a path and JSON. What is NULL is left out. */
struct client_request {
	const char *method;
	const char *path;
	const char *type; /* of `body`; NULL: JSON */
	struct span body;
	const char *if_match;
	FILE *out; /* where an answer of status 200 goes, byte for byte as it comes */
	/*
	 * Or who takes it, piece by piece: false ends it. Such an answer may go on
	 * for ever, as long as it says something now and then.
	 */
	bool (*take)(void *ctx, struct span bytes);
	void *ctx;
	const char *last_event_id; /* the header */
	struct progress
		*progress; /* shown while `body` goes out and the answer is waited for; or NULL */
};

/*
 * One request: `path` begins with "/api/v1/"; `body` may be NULL. ERR_OK with
 * whatever status came; ERR_CLOSED: the daemon does not answer; ERR_DENIED:
 * the socket or the token file may not be used; ERR_IO: anything else.
 */
int client_call(struct tool *tool, const char *method, const char *path, const json_t *body,
		struct client_reply *reply_out, struct err *why);
int client_send(struct tool *tool, const struct client_request *request,
		struct client_reply *reply_out, struct err *why);
/* GET whose answer, when it is 200, goes to `out` byte for byte as it comes. */
int client_download(struct tool *tool, const char *path, FILE *out, struct client_reply *reply_out,
		    struct err *why);
void client_free(struct client **client);

/*
 * client_call for commands that need the daemon: TOOL_OK with the body when
 * the status is 2xx; else complains and returns how the tool ends.
 */
int client_ask(struct tool *tool, const char *method, const char *path, const json_t *body,
	       json_t **body_out);
/*
 * DELETE `path` (…/ID) and say so: {"id": …, "removed": true}, or "Removed: `what`". How the tool
 * ends.
 */
int client_remove(struct tool *tool, const char *path, long long id, const char *what);
/* Complain about what client_call returned. */
int client_fail(const struct tool *tool, int code, const struct err *why);
/* Complain about a reply that is not 2xx. */
int client_refused(const struct client_reply *reply);

/* "?name=value" or "&name=value", percent-encoded; nothing when value is NULL. */
void client_add_parameter(struct buf *path, const char *name, const char *value);
/* One segment of a path, percent-encoded. */
void client_add_segment(struct buf *path, struct span segment);
/* For buf_init: no command line is that long. What is too long for a request client_call refuses.
 */
#define CLIENT_PATH_ROOM ((size_t)16 * 1024 * 1024)

#endif
