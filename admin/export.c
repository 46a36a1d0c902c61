/* admin/export.c - the whitelist as a text that the import takes */
#include "admin/handlers.h"

#include <stdio.h>

#include "queue/whitelist.h"
#include "relay/filter/listing.h"

#define PAGE_ROWS                                                                                  \
	1000 /* in one short read: a slow reader must not hold the log of the database             \
	      */

/*
 * A list of one version: pages of it are read while they are sent, and where
 * the list changes in between the connection is cut, so that nobody takes a
 * mixture for a list.
 */
struct parcel {
	struct readers *readers;
	enum listing_format format;
	char scope[AUTH_SCOPE_MAX + 1];
	bool has_scope;
	int64_t revision;
	int64_t last_id;
	bool has_begun;
	bool is_over;
	bool is_first;
	struct buf block;
};

static bool on_row(void *ctx, const struct entry *entry)
{
	struct parcel *parcel = ctx;

	switch (listing_write(parcel->format, entry, parcel->is_first, &parcel->block)) {
	case ERR_OK: parcel->is_first = false; break;
	case ERR_LIMIT: return false; /* the next page begins with it */
	default: break; /* malformed, and denies nothing: in force it never matches either */
	}
	parcel->last_id = entry->id;
	return true;
}

/* The next page. ERR_STALE: the list has changed. */
static int read_page(struct parcel *parcel, struct store_reader *reader, struct err *why)
{
	struct whitelist_query query = {
		.scope = parcel->has_scope ? parcel->scope : NULL,
		.after_id = parcel->last_id,
		.limit = PAGE_ROWS,
	};
	int64_t before = parcel->last_id;
	int64_t revision = 0;
	int code;

	if (!parcel->has_begun)
		(void)listing_begin(parcel->format, &parcel->block);
	code = queue_whitelist_list(reader, &query, &revision, on_row, parcel, why);
	if (code != ERR_OK)
		return code;
	if (parcel->has_begun && revision != parcel->revision)
		return err_set(why, ERR_STALE, "the list was changed in the meantime");
	parcel->has_begun = true;
	parcel->revision = revision;
	if (parcel->last_id == before) {
		(void)listing_end(parcel->format, &parcel->block);
		parcel->is_over = true;
	}
	return ERR_OK;
}

static size_t export_read(void *source, char *bytes_out, size_t max)
{
	struct parcel *parcel = source;
	size_t len;

	while (parcel->block.len == 0 && !parcel->is_over) {
		struct store_reader *reader = readers_take(parcel->readers);
		struct err why;
		int code = read_page(parcel, reader, &why);

		readers_give(parcel->readers, reader);
		if (code != ERR_OK)
			return 0;
	}
	if (parcel->block.len == 0)
		return HTTP_SOURCE_END;
	len = parcel->block.len < max ? parcel->block.len : max;
	memcpy(bytes_out, parcel->block.data, len);
	buf_consume(&parcel->block, len);
	return len;
}

static void export_release(void *source)
{
	struct parcel *parcel = source;

	buf_release(&parcel->block);
	mem_free(parcel);
}

static void reply(struct call *call, struct parcel *parcel)
{
	static const struct {
		const char *type;
		const char *file;
	} kinds[] = {
		[LISTING_TEXT] = {"text/plain; charset=utf-8", "whitelist.txt"},
		[LISTING_CSV] = {"text/csv; charset=utf-8; header=present", "whitelist.csv"},
		[LISTING_JSON] = {"application/json", "whitelist.json"},
	};
	char disposition[64];

	(void)snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"",
		       kinds[parcel->format].file);
	http_reply_header(call->http, "Content-Disposition", disposition);
	call_etag(call, parcel->revision);
	http_reply_stream(call->http, 200, kinds[parcel->format].type, HTTP_SIZE_UNKNOWN,
			  &(struct http_source){export_read, export_release, parcel});
}

/* False: told why. */
static bool read_params(struct call *call, struct parcel *parcel)
{
	const char *format = call_param(call, "format");
	const char *scope = call_param_scope(call);

	parcel->format = LISTING_TEXT;
	if (format != NULL && (!listing_format_find(span_of(format), &parcel->format) ||
			       !listing_format_is_written(parcel->format)))
		call_mistake(call, "format", "none of text, csv or json");
	parcel->has_scope = scope != NULL;
	if (scope != NULL && !call_is_scope(scope))
		call_mistake(call, "scope", "only letters, digits, '.', '_' and '-'");
	else if (scope != NULL)
		(void)snprintf(parcel->scope, sizeof(parcel->scope), "%s", scope);
	return !call_refused(call);
}

void handle_whitelist_export(struct call *call)
{
	struct parcel *parcel = mem_zalloc(sizeof(*parcel));
	struct err why;
	int code;

	parcel->readers = call->api->readers;
	parcel->is_first = true;
	buf_init(&parcel->block, PAGE_ROWS * 256 + LISTING_WRITTEN_MAX);
	if (!read_params(call, parcel)) {
		export_release(parcel);
		return;
	}
	/* What fails can be told only before the first byte. */
	code = read_page(parcel, call_reader(call), &why);
	if (code != ERR_OK) {
		export_release(parcel);
		call_error(call, code, &why);
		return;
	}
	reply(call, parcel);
}
