/*
 * tests relay/filter: the snapshot against a slow plain oracle. Entries and
 * addresses are made of few short pieces, so that they collide, nest and
 * nearly match all the time; the list is loaded, changed and merged on the way.
 */
#include <stdio.h>

#include "base/mem.h"
#include "tests/unit/filter/draw.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define ROUNDS	  40
#define ENTRIES	  400
#define CHANGES	  60 /* publishes a round */
#define ADDRESSES 60
#define NOW	  100

static const char *const pieces[] = {"a", "b", "ab", "A", "a.b", "a+b", "a-", "aa", "x_", "0"};
static const char *const specials[] = {"%", "!", "=", "/", "'", "a%b", "*"};
static const char *const labels[] = {"a", "b", "ab", "a-b", "test", "b0", "B", "com"};
static const char *const scopes[] = {"", "", "s", "S", "t"};

struct row {
	struct list_row row;
	struct pattern pattern;
	bool live;
};

static void make_local(char *out, size_t size, bool stars)
{
	size_t len = 0;
	uint32_t count = 1 + draw(3);

	out[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		const char *piece = pieces[draw(sizeof(pieces) / sizeof(pieces[0]))];

		if (stars && draw(2) == 0)
			piece = "*";
		else if (!stars && draw(8) == 0)
			piece = specials[draw(sizeof(specials) / sizeof(specials[0]))];
		len += (size_t)snprintf(out + len, size - len, "%s", piece);
	}
}

static void make_domain(char *out, size_t size, uint32_t least)
{
	size_t len = 0;
	uint32_t count = least + draw(3);

	for (uint32_t i = 0; i < count; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i > 0 ? "." : "",
					labels[draw(sizeof(labels) / sizeof(labels[0]))]);
}

static void make_pattern(char *out, size_t size)
{
	char local[64];
	char domain[64];
	uint32_t shape = draw(20);

	make_local(local, sizeof(local), shape >= 14);
	make_domain(domain, sizeof(domain), 1 + (draw(4) > 0));
	if (shape < 6)
		snprintf(out, size, "%s@%s", local, domain);
	else if (shape < 9)
		snprintf(out, size, "%s", domain);
	else if (shape < 12)
		snprintf(out, size, ".%s", domain);
	else if (shape == 12)
		snprintf(out, size, draw(8) == 0 ? "*" : "%s@.%s", local, domain);
	else
		snprintf(out, size, "%s@%s%s", local, draw(2) != 0 ? "." : "", domain);
}

static void make_row(struct row *row, int64_t id)
{
	char text[200];

	do
		make_pattern(text, sizeof(text));
	while (pattern_parse(span_of(text), &row->pattern, NULL) != ERR_OK);
	row->row = (struct list_row){.pattern = row->pattern.text,
				     .id = id,
				     .deny = draw(5) == 0,
				     .scope = scopes[draw(5)],
				     .expires_at = draw(3) == 0 ? NOW - 2 + draw(5) : 0};
	row->live = true;
}

static void make_address(struct address *address)
{
	char local[64];
	char domain[64];
	char text[200];

	do {
		make_local(local, sizeof(local), false);
		make_domain(domain, sizeof(domain), 1 + (draw(6) > 0));
		snprintf(text, sizeof(text), "%s@%s", local, domain);
	} while (address_parse(span_of(text), address, NULL) != ERR_OK);
}

struct answer {
	bool deny;
	bool allow;
	bool expired;
};

/* INTERFACE 5, word by word. */
static struct answer ask_oracle(const struct row *rows, size_t count, const struct address *address,
				const char *scope)
{
	struct answer answer = {false, false, false};

	for (size_t i = 0; i < count; i++) {
		const struct list_row *row = &rows[i].row;
		bool expired = row->expires_at != 0 && row->expires_at <= NOW;

		if (!rows[i].live || (row->scope[0] != '\0' && strcmp(row->scope, scope) != 0))
			continue;
		if (row->deny)
			answer.deny |= !expired && pattern_covers(&rows[i].pattern, address);
		else if (pattern_matches(&rows[i].pattern, address))
			*(expired ? &answer.expired : &answer.allow) = true;
	}
	return answer;
}

static const struct row *find(const struct row *rows, size_t count, int64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].live && rows[i].row.id == id)
			return &rows[i];
	return NULL;
}

static size_t compare(struct whitelist *list, const struct row *rows, size_t count)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

	for (size_t i = 0; i < ADDRESSES; i++) {
		const char *scope = scopes[draw(5)];
		struct address address;
		struct answer answer;
		struct verdict verdict;
		const struct row *named;

		make_address(&address);
		answer = ask_oracle(rows, count, &address, scope);
		verdict_judge(snapshot, &address, span_of(scope), NOW, &verdict);
		ck_assert_msg((verdict.kind == VERDICT_DELIVER) == (answer.allow && !answer.deny),
			      "%s@%s scope %s: %d by %s", address.local, address.domain, scope,
			      verdict.reason, verdict.pattern);
		ck_assert((verdict.reason == REASON_DENIED) == answer.deny);
		ck_assert((verdict.reason == REASON_EXPIRED) ==
			  (answer.expired && !answer.allow && !answer.deny));
		named = find(rows, count, verdict.entry);
		ck_assert((verdict.entry == 0) ==
			  (!answer.allow && !answer.deny && !answer.expired));
		ck_assert(verdict.entry == 0 ||
			  (named != NULL && named->row.deny == answer.deny &&
			   pattern_covers(&named->pattern, &address) &&
			   strcmp(named->pattern.text, verdict.pattern) == 0));
	}
	whitelist_release(&snapshot);
	return ADDRESSES;
}

/* A few lines at once: new ones, others in place of old ones, removals. */
static void change(struct whitelist *list, struct row *rows, size_t *count, size_t room)
{
	struct whitelist_change changes[4] = {{0}};
	struct pattern patterns[4];
	size_t lines = 1 + draw(4);

	for (size_t i = 0; i < lines; i++) {
		uint32_t what = draw(3);
		struct row *row = &rows[draw((uint32_t)*count)];

		if (what == 0 && *count < room) {
			row = &rows[(*count)++];
			make_row(row, (int64_t)*count);
			changes[i].operation = ENTRY_ADD;
		} else if (what == 1 && row->live) {
			make_row(row, row->row.id);
			changes[i].operation = ENTRY_REPLACE;
		} else {
			row->live = false;
			changes[i].operation = ENTRY_REMOVE;
		}
		changes[i].entry = list_entry(&row->row, &patterns[i]);
	}
	whitelist_publish(list, changes, lines, 2);
}

START_TEST(same_answers)
{
	size_t room = ENTRIES + CHANGES * 4;
	size_t pairs = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct row *rows = mem_array(room, sizeof(*rows));
		struct whitelist *list = whitelist_new();
		/* a base that stays below, one that is folded, or none */
		size_t count = (size_t)(round % 3 == 0 ? ENTRIES : round % 3 == 1 ? 20 : 1);
		size_t bad;

		whitelist_load_begin(list);
		for (size_t i = 0; i < count; i++) {
			struct pattern pattern;
			struct entry entry;

			make_row(&rows[i], (int64_t)i + 1);
			entry = list_entry(&rows[i].row, &pattern);
			whitelist_load_add(list, &entry);
		}
		whitelist_load_end(list, 1, &bad);
		ck_assert_uint_eq(bad, 0);
		for (int i = 0; i < CHANGES; i++) {
			pairs += compare(list, rows, count) * count;
			change(list, rows, &count, room);
		}
		whitelist_free(&list);
		mem_free(rows);
	}
	ck_assert_uint_ge(pairs, 200000);
}
END_TEST

UNIT_MAIN("filter/oracle", same_answers)
