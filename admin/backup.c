/* admin/backup.c - a copy of the database: begun, watched, fetched and removed */
#include <config.h>

#include "admin/handlers.h"

#include <errno.h>
#include <unistd.h>

#include "admin/view.h"
#include "base/clock.h"
#include "queue/backup.h"

static const char *state_name_of(enum backup_state state)
{
	switch (state) {
	case BACKUP_COPYING: return "copying";
	case BACKUP_READY: return "ready";
	case BACKUP_FAILED: return "failed";
	case BACKUP_NONE: break;
	}
	return "none";
}

static void reply_status(struct call *call, int status_code)
{
	struct backup_status status;

	store_backup(call->api->env.store, &status);
	call_reply(call, status_code,
		   json_pack("{s:s, s:I, s:I, s:o, s:o, s:o}", "state", state_name_of(status.state),
			     "done_bytes", (json_int_t)status.done_bytes, "total_bytes",
			     (json_int_t)status.total_bytes, "began_at", view_time(status.began_at),
			     "ended_at", view_time(status.ended_at), "detail",
			     status.state == BACKUP_FAILED ? view_text(status.why.text)
							   : json_null()));
}

void handle_backup_get(struct call *call)
{
	reply_status(call, 200);
}

/* --- begin and end ---------------------------------------------------------------------- */

static void begun(struct call *call)
{
	const struct backup_request *request = call->work;

	if (request->job.code != ERR_OK)
		call_error(call, request->job.code, &request->job.why);
	else
		reply_status(call, 202);
}

static void ended(struct call *call)
{
	const struct backup_request *request = call->work;

	if (request->job.code != ERR_OK)
		call_error(call, request->job.code, &request->job.why);
	else
		call_reply(call, 204, NULL);
}

static void submit(struct call *call, void (*verb)(struct store *, struct store_job *),
		   void (*then)(struct call *call))
{
	struct backup_request *request = arena_zalloc(call->arena, sizeof(*request));

	request->actor = call->caller.actor;
	request->now = clock_wall_ms();
	call->work = request;
	call_submit(call, verb, &request->job, then);
}

void handle_backup_begin(struct call *call)
{
	submit(call, queue_backup_begin, begun);
}

void handle_backup_end(struct call *call)
{
	submit(call, queue_backup_end, ended);
}

/* --- the bytes --------------------------------------------------------------------------- */

struct download {
	int fd;
};

static size_t download_read(void *source, char *bytes_out, size_t max)
{
	const struct download *download = source;
	ssize_t got;

	do
		got = read(download->fd, bytes_out, max);
	while (got < 0 && errno == EINTR);
	return got > 0 ? (size_t)got : 0;
}

static void download_release(void *source)
{
	struct download *download = source;

	close(download->fd);
	mem_free(download);
}

void handle_backup_content(struct call *call)
{
	struct download *download;
	int64_t size = 0;
	struct err why;
	int fd;
	int code = store_backup_open(call->api->env.store, &fd, &size, &why);

	if (code != ERR_OK) {
		call_error(call, code, &why);
		return;
	}
	download = mem_zalloc(sizeof(*download));
	download->fd = fd;
	http_reply_header(call->http, "Content-Disposition",
			  "attachment; filename=\"stagepost.db\"");
	http_reply_stream(call->http, 200, "application/vnd.sqlite3", (uint64_t)size,
			  &(struct http_source){download_read, download_release, download});
}
