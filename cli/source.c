/* cli/source.c - the queue to read: the API's, or the database's while no daemon answers */
#include <config.h>

#include "cli/source.h"

#include <stdio.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/offline.h"

#define PAGE 500

/* The daemon is not there, and the data may be on this machine. */
static bool falls_back(const struct tool *tool, int code)
{
	return code == ERR_CLOSED && tool->url == NULL;
}

/*
 * One GET. TOOL_OK with *body_out; TOOL_OK with NULL when the database is to
 * be read instead; else complained.
 */
static int get(struct tool *tool, const char *path, json_t **body_out)
{
	struct client_reply reply;
	struct err why;
	int code = client_call(tool, "GET", path, NULL, &reply, &why);

	*body_out = NULL;
	if (falls_back(tool, code))
		return TOOL_OK;
	if (code != ERR_OK)
		return client_fail(tool, code, &why);
	if (reply.status != 200 || reply.body == NULL) {
		code = client_refused(&reply);
		json_decref(reply.body);
		return code;
	}
	*body_out = reply.body;
	return TOOL_OK;
}

void source_filter_write(const struct source_filter *filter, const char *address, size_t limit,
			 const char *after, struct buf *path)
{
	char since[CLOCK_RFC3339_SIZE];
	char number[24];

	snprintf(number, sizeof(number), "%zu", limit);
	client_add_parameter(path, "limit", number);
	client_add_parameter(path, "state", filter->state);
	client_add_parameter(path, address, filter->to);
	client_add_parameter(path, "from", filter->from);
	client_add_parameter(path, "subject", filter->subject);
	client_add_parameter(path, "q", filter->q);
	if (filter->since != 0) {
		clock_format_rfc3339(filter->since, since);
		client_add_parameter(path, "since", since);
	}
	client_add_parameter(path, "after", after[0] != '\0' ? after : NULL);
}

/* Where a list has come to. */
struct paging {
	json_t *items;
	char after[128]; /* the cursor, "" at the start */
	bool more;
	bool is_gone; /* no daemon */
};

/* Else nobody would see why what is due does not leave. */
static void note_pause(const json_t *delivery)
{
	char pause[TOOL_PAUSE_SIZE];

	tool_pause_text(delivery, "reason", pause);
	if (pause[0] != '\0')
		tool_note("delivery is %s", pause);
}

static int add_page(struct tool *tool, const struct source_filter *filter, struct paging *paging)
{
	size_t have = json_array_size(paging->items);
	size_t limit = PAGE;
	struct buf path;
	json_t *page;
	int ends;

	if (filter->limit != 0 && filter->limit - have < PAGE)
		limit = filter->limit - have;
	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/recipients");
	source_filter_write(filter, "address", limit, paging->after, &path);
	ends = get(tool, path.data, &page);
	buf_release(&path);
	if (ends != TOOL_OK)
		return ends;
	if (paging->after[0] == '\0')
		note_pause(json_object_get(page, "delivery"));
	paging->is_gone = page == NULL;
	(void)json_array_extend(paging->items, json_object_get(page, "items"));
	snprintf(paging->after, sizeof(paging->after), "%s", tool_text(page, "next"));
	paging->more = paging->after[0] != '\0';
	json_decref(page);
	return TOOL_OK;
}

int source_recipients(struct tool *tool, const struct source_filter *filter, json_t **items_out,
		      bool *more_out)
{
	struct paging paging = {.items = json_array()};
	int ends;

	do
		ends = add_page(tool, filter, &paging);
	while (ends == TOOL_OK && paging.more &&
	       (filter->limit == 0 || json_array_size(paging.items) < filter->limit));
	if (ends == TOOL_OK && paging.is_gone && json_array_size(paging.items) == 0) {
		json_decref(paging.items);
		return offline_recipients(tool, filter, items_out, more_out);
	}
	if (ends == TOOL_OK && paging.is_gone)
		ends = tool_fail(TOOL_UNREACHABLE,
				 "the daemon went away in the middle of the list");
	if (ends != TOOL_OK) {
		json_decref(paging.items);
		return ends;
	}
	*items_out = paging.items;
	*more_out = paging.more;
	return TOOL_OK;
}

static void message_path(const struct ulid *id, const char *tail, char *path_out, size_t size)
{
	char text[ULID_TEXT_SIZE];

	ulid_format(id, text);
	snprintf(path_out, size, "/api/v1/messages/%s%s", text, tail);
}

int source_message(struct tool *tool, const struct ulid *id, json_t **message_out)
{
	char path[80];
	int ends;

	message_path(id, "", path, sizeof(path));
	ends = get(tool, path, message_out);
	if (ends == TOOL_OK && *message_out == NULL)
		return offline_message(tool, id, message_out);
	return ends;
}

/* How a download came out. */
static int ended(const struct tool *tool, int code, struct client_reply *reply,
		 const struct err *why)
{
	if (code != ERR_OK)
		return client_fail(tool, code, why);
	code = reply->status == 200 ? TOOL_OK : client_refused(reply);
	json_decref(reply->body);
	return code;
}

/* `offline`: to be asked while no daemon answers, or NULL. */
static int download(struct tool *tool, const struct ulid *id, const char *tail,
		    int (*offline)(struct tool *tool, const struct ulid *id))
{
	struct client_reply reply;
	struct err why;
	char path[80];
	int code;

	message_path(id, tail, path, sizeof(path));
	code = client_download(tool, path, tool->raw, &reply, &why);
	if (offline != NULL && falls_back(tool, code))
		return offline(tool, id);
	return ended(tool, code, &reply, &why);
}

int source_body(struct tool *tool, const struct ulid *id)
{
	return download(tool, id, "/raw", offline_body);
}

int source_sent(struct tool *tool, const struct ulid *id)
{
	return download(tool, id, "/sent", NULL);
}

int source_text(struct tool *tool, const struct ulid *id)
{
	return download(tool, id, "/text", offline_text);
}

int source_html(struct tool *tool, const struct ulid *id)
{
	return download(tool, id, "/html", offline_html);
}

int source_part(struct tool *tool, const struct ulid *id, const char *number)
{
	struct client_reply reply;
	struct err why;
	char path[80 + SOURCE_PART_MAX];
	char tail[16 + SOURCE_PART_MAX];
	int code;

	snprintf(tail, sizeof(tail), "/parts/%s", number);
	message_path(id, tail, path, sizeof(path));
	code = client_download(tool, path, tool->raw, &reply, &why);
	if (falls_back(tool, code))
		return offline_part(tool, id, number);
	return ended(tool, code, &reply, &why);
}

int source_stats(struct tool *tool, json_t **stats_out)
{
	json_t *status;
	int ends = get(tool, "/api/v1/status", &status);

	if (ends != TOOL_OK)
		return ends;
	if (status == NULL)
		return offline_stats(tool, stats_out);
	*stats_out = json_incref(json_object_get(status, "queue"));
	json_decref(status);
	return TOOL_OK;
}
