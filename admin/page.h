/* admin/page.h - one page of a list whose rows have numbers */
#ifndef STAGEPOST_ADMIN_PAGE_H
#define STAGEPOST_ADMIN_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/call.h"
#include "admin/value.h"

/* Ask for page.limit + 1 rows: the last one tells whether there is another page. */
struct page {
	enum cursor_kind kind;
	size_t limit;
	int64_t after; /* the id where the page before ended; 0: this is the first */
	json_t *items;
	int64_t last_id;
	bool more;
};

/* Reads `limit` and `after`. */
struct page page_of(struct call *call, enum cursor_kind kind);
/* In a callback that gets rows: true when it holds all it may, and the row is not wanted. */
bool page_is_full(struct page *page);
/* Takes `item`. */
void page_add(struct page *page, int64_t id, json_t *item);
/*
 * Answer with it, or with the failure that reading ended in. `revision` of the
 * list as a whole becomes its ETag, too; below 0: it has none.
 */
void page_reply(struct call *call, struct page *page, int64_t revision, int code,
		const struct err *why);

#endif
