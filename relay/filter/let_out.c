/* relay/filter/let_out.c - who gets a message by a rule that overrides the whitelist */
#include "relay/filter/let_out.h"

#include <stdlib.h>
#include <string.h>

struct let_out {
	const char **keys; /* in order */
	size_t count;
};

/* The print with its domain folded: the same for what address_equal calls the same. */
static void key_of(const struct address *address, char key_out[ADDRESS_TEXT_SIZE])
{
	size_t at;

	address_format(address, key_out);
	at = span_find_last(span_of(key_out), '@');
	for (char *c = key_out + at; *c != '\0'; c++)
		*c = ascii_lower(*c);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool let_out_may_be(const struct rule_matches *rules)
{
	return rules != NULL && rule_may_override(rules);
}

static bool is_let_out(const struct judge_case *at, const struct addressee *row,
		       struct address *address_out)
{
	struct judge_case own = *at;
	struct verdict verdict;
	struct err ignored;

	if (address_parse(span_of(row->address), address_out, &ignored) != ERR_OK)
		return false;
	own.released = row->released;
	judge_address(&own, address_out, &verdict);
	return verdict.kind == VERDICT_DELIVER && verdict.reason == REASON_RULE;
}

const struct let_out *let_out_find(const struct judge_case *at, const struct addressee *rows,
				   size_t count, struct arena *arena)
{
	struct let_out *set;
	struct address address;
	char key[ADDRESS_TEXT_SIZE];

	if (!let_out_may_be(at->rules))
		return NULL;
	set = arena_zalloc(arena, sizeof(*set));
	set->keys = arena_array(arena, count, sizeof(*set->keys));
	for (size_t i = 0; i < count; i++)
		if (is_let_out(at, &rows[i], &address)) {
			key_of(&address, key);
			set->keys[set->count++] = arena_strdup(arena, key);
		}
	qsort(set->keys, set->count, sizeof(*set->keys), compare);
	return set->count > 0 ? set : NULL;
}

bool let_out_holds(const struct let_out *set, const struct address *address)
{
	char key[ADDRESS_TEXT_SIZE];
	const char *wanted = key;

	if (set == NULL || (address->form != ADDRESS_PLAIN && address->form != ADDRESS_LISTED_ONLY))
		return false;
	key_of(address, key);
	return bsearch(&wanted, set->keys, set->count, sizeof(*set->keys), compare) != NULL;
}
