/* cli/offline.c - the queue read from the database itself, without a daemon */
#include <config.h>

#include "cli/offline.h"

#include <stdio.h>

#include "admin/content.h"
#include "admin/rendering.h"
#include "admin/view.h"
#include "base/mem.h"
#include "queue/reader.h"

#define PAGE 500

static int open_reader(struct tool *tool, struct store_reader **reader_out)
{
	struct err why;
	int code = store_reader_open_offline(tool->data_dir, reader_out, &why);

	if (code == ERR_OK) {
		tool_note("no daemon answers; reading %s/stagepost.db itself", tool->data_dir);
		return TOOL_OK;
	}
	if (code == ERR_DENIED)
		return tool_fail(TOOL_DENIED, "no daemon answers, and %s", why.text);
	return tool_fail(TOOL_UNREACHABLE,
			 "no daemon answers at %s/admin.sock, and %s; --data-dir says where its "
			 "data is",
			 tool->data_dir, why.text);
}

/* The end of every call here: complains where there is something to complain about. */
static int close_reader(struct store_reader **reader, int code, const struct err *why)
{
	store_reader_close(reader);
	if (code == ERR_OK)
		return TOOL_OK;
	return tool_fail(code == ERR_NOT_FOUND ? TOOL_NO : TOOL_IO, "%s", why->text);
}

/* --- recipients -------------------------------------------------------------- */

static int make_query(const struct source_filter *filter, struct recipient_query *query_out)
{
	*query_out = (struct recipient_query){.message = {.to = filter->to,
							  .from = filter->from,
							  .subject = filter->subject,
							  .q = filter->q,
							  .since = filter->since}};
	if (filter->state != NULL &&
	    state_parse(span_of(filter->state), &query_out->message.state) != ERR_OK)
		return tool_fail(TOOL_USAGE, "there is no state \"%s\"", filter->state);
	return TOOL_OK;
}

/* As GET /api/v1/recipients shows it. */
static json_t *view_row(const struct recipient_row *row)
{
	json_t *json = view_recipient(&row->recipient, false);

	(void)json_object_set_new(json, "sender", view_text(row->sender));
	(void)json_object_set_new(json, "size", json_integer(row->size));
	(void)json_object_set_new(json, "received_at", view_time(row->received_at));
	return json;
}

static int read_page(struct store_reader *reader, struct recipient_query *query, size_t wanted,
		     json_t *items, bool *more_out, struct err *why)
{
	struct arena *arena = arena_new();
	struct recipient_page page = {.more = false};
	int code;

	query->limit = wanted;
	code = queue_recipient_list(reader, query, arena, &page, why);
	for (size_t i = 0; code == ERR_OK && i < page.count; i++)
		(void)json_array_append_new(items, view_row(&page.rows[i]));
	query->before_id = page.next;
	*more_out = page.more;
	arena_free(&arena);
	return code;
}

int offline_recipients(struct tool *tool, const struct source_filter *filter, json_t **items_out,
		       bool *more_out)
{
	struct recipient_query query;
	struct store_reader *reader;
	json_t *items = json_array();
	struct err why;
	int ends = make_query(filter, &query);
	int code = ERR_OK;

	if (ends == TOOL_OK)
		ends = open_reader(tool, &reader);
	if (ends != TOOL_OK) {
		json_decref(items);
		return ends;
	}
	*more_out = true;
	while (code == ERR_OK && *more_out &&
	       (filter->limit == 0 || json_array_size(items) < filter->limit)) {
		size_t left = filter->limit - json_array_size(items);

		code = read_page(reader, &query, filter->limit == 0 || left > PAGE ? PAGE : left,
				 items, more_out, &why);
	}
	ends = close_reader(&reader, code, &why);
	if (ends == TOOL_OK)
		*items_out = items;
	else
		json_decref(items);
	return ends;
}

/* --- one message ------------------------------------------------------------- */

static json_t *read_header(struct store_reader *reader, const struct new_message *m)
{
	struct buf chunk;
	struct err why;
	json_t *json;

	buf_init(&chunk, BODY_CHUNK_BYTES);
	if (queue_body_read(reader, &m->id, 0, &chunk, &why) != ERR_OK)
		buf_clear(&chunk);
	json = view_header(span_first(buf_span(&chunk), (size_t)m->header_size));
	buf_release(&chunk);
	return json;
}

/* As GET /api/v1/messages/{id} shows it, but for what only a daemon knows. */
static int view_whole(struct store_reader *reader, const struct message_view *view, void *ctx,
		      struct err *why)
{
	json_t **message_out = ctx;
	struct mime *mime;
	int code = content_walk(reader, &view->m, NULL, span_make(NULL, 0), &mime, why);

	if (code != ERR_OK)
		return code;
	*message_out = view_message(view, true);
	(void)json_object_set_new(*message_out, "header", read_header(reader, &view->m));
	(void)json_object_set_new(*message_out, "content", content_view(mime));
	mime_free(&mime);
	return ERR_OK;
}

/* What is done with one message that was found; `ctx` is the doer's own. */
typedef int (*message_act)(struct store_reader *reader, const struct message_view *view, void *ctx,
			   struct err *why);

static int with_message(struct tool *tool, const struct ulid *id, message_act act, void *ctx)
{
	struct store_reader *reader;
	struct message_view view;
	struct arena *arena;
	struct err why;
	int code;
	int ends = open_reader(tool, &reader);

	if (ends != TOOL_OK)
		return ends;
	arena = arena_new();
	code = queue_message_show(reader, id, arena, &view, &why);
	if (code == ERR_OK)
		code = act(reader, &view, ctx, &why);
	arena_free(&arena);
	return close_reader(&reader, code, &why);
}

int offline_message(struct tool *tool, const struct ulid *id, json_t **message_out)
{
	return with_message(tool, id, view_whole, message_out);
}

static int write_body(struct store_reader *reader, const struct ulid *id, FILE *out,
		      struct err *why)
{
	struct buf chunk;
	int code = ERR_OK;

	buf_init(&chunk, BODY_CHUNK_BYTES);
	for (int64_t sequence = 0; code == ERR_OK; sequence++) {
		buf_clear(&chunk);
		code = queue_body_read(reader, id, sequence, &chunk, why);
		if (code != ERR_OK || chunk.len == 0)
			break;
		if (fwrite(chunk.data, 1, chunk.len, out) != chunk.len)
			code = err_set(why, ERR_IO, "the output could not be written");
	}
	buf_release(&chunk);
	return code;
}

int offline_body(struct tool *tool, const struct ulid *id)
{
	struct store_reader *reader;
	struct message_view view;
	struct arena *arena;
	struct err why;
	int code;
	int ends = open_reader(tool, &reader);

	if (ends != TOOL_OK)
		return ends;
	/* A message that is not there has no bytes either: asked first, to tell the two apart. */
	arena = arena_new();
	code = queue_message_show(reader, id, arena, &view, &why);
	arena_free(&arena);
	if (code == ERR_OK)
		code = write_body(reader, id, tool->raw, &why);
	return close_reader(&reader, code, &why);
}

/* --- what is in it ----------------------------------------------------------- */

/* Which part, and how: MIME_NONE with a sentence, or its index. */
struct choice {
	size_t (*choose)(const struct mime *mime, const char *number,
			 enum rendering_form *form_out);
	const char *number;
	const char *missing;
	FILE *out;
};

static int read_chunk(void *ctx, const struct ulid *id, int64_t sequence, struct buf *out)
{
	struct err ignored;

	return queue_body_read(ctx, id, sequence, out, &ignored);
}

static int write_rendering(struct rendering *rendering, FILE *out, struct err *why)
{
	char block[16384];
	size_t len;

	while ((len = rendering_read(rendering, block, sizeof(block))) != HTTP_SOURCE_END) {
		if (len == 0)
			return err_set(why, ERR_IO, "the message could not be read to its end");
		if (fwrite(block, 1, len, out) != len)
			return err_set(why, ERR_IO, "the output could not be written");
	}
	return ERR_OK;
}

static int write_choice(struct store_reader *reader, const struct message_view *view, void *ctx,
			struct err *why)
{
	const struct new_message *m = &view->m;
	const struct choice *choice = ctx;
	struct rendering_options options = {.id = m->id, .read_chunk = read_chunk, .ctx = reader};
	struct rendering *rendering;
	struct mime *mime;
	int code = content_walk(reader, m, NULL, span_make(NULL, 0), &mime, why);

	if (code != ERR_OK)
		return code;
	options.mime = mime;
	options.part = choice->choose(mime, choice->number, &options.form);
	if (options.part != MIME_NONE) {
		rendering = rendering_new(&options);
		code = write_rendering(rendering, choice->out, why);
		rendering_free(&rendering);
	} else {
		code = err_set(why, ERR_NOT_FOUND, "%s", choice->missing);
	}
	mime_free(&mime);
	return code;
}

static int offline_choice(struct tool *tool, const struct ulid *id, struct choice *choice)
{
	choice->out = tool->raw;
	return with_message(tool, id, write_choice, choice);
}

static size_t choose_text(const struct mime *mime, const char *number,
			  enum rendering_form *form_out)
{
	(void)number;
	return rendering_find_text(mime, form_out);
}

static size_t choose_html(const struct mime *mime, const char *number,
			  enum rendering_form *form_out)
{
	(void)number;
	*form_out = RENDERING_HTML;
	return mime_find_body(mime, "text/html");
}

static size_t choose_part(const struct mime *mime, const char *number,
			  enum rendering_form *form_out)
{
	*form_out = RENDERING_BYTES;
	return mime_find(mime, span_of(number));
}

int offline_text(struct tool *tool, const struct ulid *id)
{
	return offline_choice(
		tool, id,
		&(struct choice){choose_text, NULL, "the message has neither text nor HTML", NULL});
}

int offline_html(struct tool *tool, const struct ulid *id)
{
	return offline_choice(tool, id,
			      &(struct choice){choose_html, NULL, "the message has no HTML", NULL});
}

int offline_part(struct tool *tool, const struct ulid *id, const char *number)
{
	return offline_choice(
		tool, id,
		&(struct choice){choose_part, number, "the message has no such part", NULL});
}

/* --- numbers ----------------------------------------------------------------- */

int offline_stats(struct tool *tool, json_t **stats_out)
{
	struct store_reader *reader;
	struct queue_stats stats;
	struct err why;
	int code;
	int ends = open_reader(tool, &reader);

	if (ends != TOOL_OK)
		return ends;
	code = queue_stats_offline(reader, &stats, &why);
	if (code == ERR_OK)
		*stats_out = json_pack("{s:I, s:I, s:o, s:o}", "messages",
				       (json_int_t)stats.messages, "bytes", (json_int_t)stats.bytes,
				       "recipients", view_states(stats.by_state), "oldest_due_at",
				       view_time(stats.oldest_due_at));
	return close_reader(&reader, code, &why);
}
