/* admin/routes.h - the table of what the API answers, and the way of a request through it */
#ifndef STAGEPOST_ADMIN_ROUTES_H
#define STAGEPOST_ADMIN_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/call.h"
#include "admin/http.h"
#include "base/span.h"
#include "queue/token.h"

#define ROUTE_NO_TOKEN ((enum role)0)

struct route {
	const char *method;
	const char *pattern; /* "/api/v1/whitelist/{id}": at most ROUTES_IDS {…}, whole segments */
	enum role role;	     /* the least that may; ROUTE_NO_TOKEN: anybody */
	bool whole_relay;    /* not for tokens that are limited to a scope */
	size_t body_limit;   /* 0: no body */
	bool body_required;
	const char *params; /* names of query parameters with blanks between; "" = none */
	void (*handle)(struct call *call);
};

/* All of them. admin/openapi.json describes exactly these; a test holds the two together. */
const struct route *routes_all(size_t *count_out);

/*
 * The route for `method` and `path`, and what stands for its {…} in order. NULL: no
 * such route; *allow_out (a buffer of ROUTES_ALLOW_SIZE) then lists the methods
 * that the path does have, "" when there is no such path. HEAD is answered by GET.
 * Nothing is decoded: a path with a '%' in it is no path of ours.
 */
#define ROUTES_ALLOW_SIZE 64
#define ROUTES_IDS	  2
const struct route *routes_find(struct span method, struct span path,
				struct span ids_out[ROUTES_IDS], char *allow_out);

/* For http_start; its ctx is a struct api. */
extern const struct http_ops routes_http_ops;

#endif
