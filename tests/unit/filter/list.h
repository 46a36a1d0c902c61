/* tests/unit/filter/list.h - small lists for tests: rows in, whitelist out */
#ifndef STAGEPOST_TESTS_UNIT_FILTER_LIST_H
#define STAGEPOST_TESTS_UNIT_FILTER_LIST_H

#include <check.h>

#include "relay/filter/pattern.h"
#include "relay/filter/whitelist.h"

struct list_row {
	const char *pattern; /* as a person writes it; NULL ends the table */
	int64_t id;
	bool deny;
	const char *scope; /* NULL: every scope */
	int64_t expires_at;
};

/* `pattern` is the caller's and must outlive the entry. */
static inline struct entry list_entry(const struct list_row *row, struct pattern *pattern)
{
	struct err why;

	ck_assert_msg(pattern_parse(span_of(row->pattern), pattern, &why) == ERR_OK, "%s: %s",
		      row->pattern, why.text);
	return (struct entry){.id = row->id,
			      .pattern = pattern->text,
			      .kind = pattern->kind,
			      .action = row->deny ? ENTRY_DENY : ENTRY_ALLOW,
			      .scope = row->scope != NULL ? row->scope : "",
			      .expires_at = row->expires_at};
}

static inline struct whitelist *list_of(const struct list_row *rows)
{
	struct whitelist *list = whitelist_new();
	size_t bad;

	whitelist_load_begin(list);
	for (; rows->pattern != NULL; rows++) {
		struct pattern pattern;
		struct entry entry = list_entry(rows, &pattern);

		whitelist_load_add(list, &entry);
	}
	whitelist_load_end(list, 1, &bad);
	ck_assert_uint_eq(bad, 0);
	return list;
}

#endif
