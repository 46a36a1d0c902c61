/* cli/pages.c - a list of the daemon's, fetched page after page */
#include "cli/pages.h"

#include <stdio.h>

#include "cli/client.h"

#define PAGE_MAX 1000

static int fetch_one(struct tool *tool, const struct buf *list, size_t limit, struct buf *after,
		     json_t *items)
{
	struct buf path;
	char number[24];
	json_t *page;
	int ends;

	snprintf(number, sizeof(number), "%zu", limit);
	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append(&path, list->data, list->len);
	client_add_parameter(&path, "limit", number);
	client_add_parameter(&path, "after", after->len > 0 ? after->data : NULL);
	ends = client_ask(tool, "GET", path.data, NULL, &page);
	buf_release(&path);
	if (ends != TOOL_OK)
		return ends;
	(void)json_array_extend(items, json_object_get(page, "items"));
	buf_clear(after);
	(void)buf_append_text(after, tool_text(page, "next"));
	json_decref(page);
	return TOOL_OK;
}

int pages_fetch(struct tool *tool, const struct buf *path, size_t limit, json_t **items_out)
{
	json_t *items = json_array();
	struct buf after;
	int ends;

	buf_init(&after, CLIENT_PATH_ROOM);
	do {
		size_t left = limit - json_array_size(items);

		ends = fetch_one(tool, path, limit == 0 || left > PAGE_MAX ? PAGE_MAX : left,
				 &after, items);
	} while (ends == TOOL_OK && after.len > 0 &&
		 (limit == 0 || json_array_size(items) < limit));
	buf_release(&after);
	if (ends == TOOL_OK)
		*items_out = items;
	else
		json_decref(items);
	return ends;
}
