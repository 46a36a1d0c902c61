/* admin/http_inside.h - a request and its server from the inside; for admin/http*.c only */
#ifndef STAGEPOST_ADMIN_HTTP_INSIDE_H
#define STAGEPOST_ADMIN_HTTP_INSIDE_H

#include <microhttpd.h>

#include "admin/connection.h"
#include "admin/http.h"
#include "admin/hygiene.h"

#define DOORS_MAX	  2 /* TCP and the unix socket */
#define REPLY_HEADERS_MAX 8

struct http_server {
	struct MHD_Daemon *doors[DOORS_MAX];
	size_t door_count;
	struct http_options options;
	struct connections *connections;
};

enum phase { PHASE_HEADER, PHASE_ANSWERED, PHASE_BODY, PHASE_SUSPENDED, PHASE_REPLIED };

struct http_request {
	struct http_server *server;
	struct connection *connection;
	struct MHD_Connection *mhd;
	enum phase phase;
	char *target; /* a copy: the library cuts its own in place */
	struct hygiene hygiene;
	struct buf body;
	size_t body_limit;
	size_t body_came;
	bool body_over;	  /* more came than the limit allows */
	bool body_open;	  /* put aside while there is more of it to come */
	int64_t began_at; /* less the time that it was aside */
	int64_t aside_at;
	/* NULL: `body` takes it. */
	void (*piece)(void *ctx, struct http_request *request, struct span bytes);
	void (*then)(void *ctx, struct http_request *request);
	void *data;
	struct {
		char *name;
		char *value;
	} headers[REPLY_HEADERS_MAX];
	size_t header_count;
	struct MHD_Response *response; /* until it is queued */
	int status;
	int64_t complete_us; /* monotonic: when its header, then when its body was there */
	int64_t replied_us;
};

#endif
