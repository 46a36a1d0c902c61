/* tests/unit/filter/copy.h - the header of a copy that leaves, and what must be in it */
#ifndef STAGEPOST_TESTS_UNIT_FILTER_COPY_H
#define STAGEPOST_TESTS_UNIT_FILTER_COPY_H

#include "relay/filter/outbound.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define COPY_NOW  1000000
#define COPY_ROOM (16u << 20)

/* What stands in the place of a field, and in front of what it was. */
#define OF_TO	   "X-Stagepost-Original-To:"
#define UNREADABLE " \"unreadable (blocked)\" <unreadable@blocked.invalid>\r\n"

static const struct list_row copy_list_rows[] = {
	{"ok.example", 1, false, NULL, 0},
	{"alice@allowed.example", 2, false, NULL, 0},
	{"bad@ok.example", 3, true, NULL, 0},
	{"shop.example", 4, false, "shop", 0},
	{"old@expired.example", 5, false, NULL, COPY_NOW - 1},
	{"a%b@odd.example", 6, false, NULL, 0},
	{NULL, 0, false, NULL, 0},
};

struct copy_how {
	enum header_policy header_policy;
	const char *tag;
	const char *scope;
	bool over_limit;
};

struct copy_row {
	const char *section;
	const char *want; /* NULL: as it is */
};

/* The copy of `section`; out is new. */
static inline void copy_make(const struct copy_how *how, struct span section, struct buf *out,
			     struct outbound_count *count_out)
{
	const struct policy_options policy = {.header_policy = how->header_policy,
					      .subject_tag = how->tag};
	struct whitelist *list = list_of(copy_list_rows);
	struct outbound_case at = {.policy = &policy,
				   .list = whitelist_acquire(list),
				   .scope = span_of(how->scope),
				   .now = COPY_NOW,
				   .header_parsed = !how->over_limit};

	buf_init(out, COPY_ROOM);
	ck_assert_int_eq(outbound_header(&at, span_of(""), section, out, count_out), ERR_OK);
	whitelist_release(&at.list);
	whitelist_free(&list);
}

static inline void copy_check_row(const struct copy_how *how, const struct copy_row *row)
{
	const char *want = row->want != NULL ? row->want : row->section;
	struct outbound_count count;
	struct buf out, again;

	copy_make(how, span_of(row->section), &out, &count);
	ck_assert_msg(span_is(buf_span(&out), want), "of\n%s\ncame\n%.*s\nnot\n%s", row->section,
		      (int)out.len, out.data, want);
	ck_assert_msg((count.addresses + count.subjects > 0) == (row->want != NULL), "%s",
		      row->section);
	/* A second relay changes nothing any more. */
	copy_make(how, buf_span(&out), &again, &count);
	ck_assert_msg(span_is(buf_span(&again), want), "again\n%.*s\nnot\n%s", (int)again.len,
		      again.data, want);
	buf_release(&out);
	buf_release(&again);
}

static inline void copy_check_rows(const struct copy_how *how, const struct copy_row *rows)
{
	for (; rows->section != NULL; rows++)
		copy_check_row(how, rows);
}

#endif
