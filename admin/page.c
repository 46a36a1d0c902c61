/* admin/page.c - one page of a list whose rows have numbers */
#include "admin/page.h"

struct page page_of(struct call *call, enum cursor_kind kind)
{
	return (struct page){.kind = kind,
			     .limit = call_param_limit(call),
			     .after = call_param_cursor(call, (int)kind)};
}

bool page_is_full(struct page *page)
{
	page->more = json_array_size(page->items) == page->limit;
	return page->more;
}

void page_add(struct page *page, int64_t id, json_t *item)
{
	if (page->items == NULL)
		page->items = json_array();
	(void)json_array_append_new(page->items, item);
	page->last_id = id;
}

void page_reply(struct call *call, struct page *page, int64_t revision, int code,
		const struct err *why)
{
	json_t *items = page->items != NULL ? page->items : json_array();
	char next[CURSOR_TEXT_SIZE];
	json_t *json;

	if (code != ERR_OK) {
		json_decref(items);
		call_error(call, code, why);
		return;
	}
	cursor_format_id(page->kind, page->last_id, next);
	json = json_pack("{s:o, s:s?}", "items", items, "next", page->more ? next : NULL);
	if (revision >= 0) {
		call_etag(call, revision);
		(void)json_object_set_new(json, "revision", json_integer((json_int_t)revision));
	}
	call_reply(call, 200, json);
}
