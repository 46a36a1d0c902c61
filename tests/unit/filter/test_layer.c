/* tests relay/filter/layer.c: keys whose hashes are alike, the longest local parts, odd rows */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/filter/layer_private.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define SEED 1
/* So many give some pairs with one tag that begin at one slot of the smallest table. */
#define NAMES 600000
#define FIRST 100000 /* all with as many digits: the names differ in nothing else */

struct draw {
	uint64_t alike;
	uint32_t number;
};

static int compare(const void *left, const void *right)
{
	const struct draw *a = left;
	const struct draw *b = right;

	return (a->alike > b->alike) - (a->alike < b->alike);
}

/* Two numbers whose names come to one tag and one of four slots. */
static void find_pair(uint64_t (*hash)(uint32_t number), uint32_t pair[2])
{
	struct draw *draws = mem_array(NAMES, sizeof(*draws));
	size_t at = 1;

	for (uint32_t i = 0; i < NAMES; i++)
		draws[i] = (struct draw){hash(FIRST + i) & 0xffffffff00000003u, FIRST + i};
	qsort(draws, NAMES, sizeof(*draws), compare);
	while (at < NAMES && draws[at - 1].alike != draws[at].alike)
		at++;
	ck_assert_uint_lt(at, NAMES);
	pair[0] = draws[at - 1].number;
	pair[1] = draws[at].number;
	mem_free(draws);
}

/* The number between two words. */
static char *print(char text[64], const char *before, uint32_t number, const char *behind)
{
	snprintf(text, 64, "%s%u%s", before, number, behind);
	return text;
}

static uint64_t hash_text(const char *before, uint32_t number, const char *behind)
{
	char text[64];

	return layer_hash(span_of(print(text, before, number, behind)), SEED);
}

static uint64_t hash_exact(uint32_t number)
{
	return hash_text("a", number, "@x.test");
}

static uint64_t hash_domain(uint32_t number)
{
	return hash_text("d", number, ".test");
}

/* Small numbers are spread too evenly to meet. */
static int64_t id_of(uint32_t number)
{
	uint64_t id = number;

	id = (id ^ id << 21) * 6364136223846793005u;
	id ^= id >> 31;
	return (int64_t)(id * 1442695040888963407u >> 1);
}

static uint64_t hash_id(uint32_t number)
{
	return layer_id_hash(id_of(number), SEED);
}

static uint64_t hash_group(uint32_t number)
{
	char text[64];
	uint64_t domain = layer_hash(span_of("x.test"), SEED);

	return layer_glob_hash(domain, false, span_of(print(text, "p", number, "")));
}

static void put(struct layer_builder *builder, const char *text, int64_t id)
{
	struct list_row row = {.pattern = text, .id = id};
	struct pattern pattern;
	struct entry entry = list_entry(&row, &pattern);

	ck_assert(layer_builder_put(builder, &entry, false));
}

static struct layer *layer_of(const char *const *patterns, size_t count)
{
	struct layer_builder *builder = layer_builder_new();

	for (size_t i = 0; i < count; i++)
		put(builder, patterns[i], (int64_t)i + 1);
	return layer_builder_finish(&builder, SEED);
}

struct visits {
	size_t count;
	int64_t id;
};

static void on_visit(void *ctx, const struct layer_item *item)
{
	struct visits *visits = ctx;

	visits->count++;
	visits->id = item->id;
}

/* The one entry that matches, 0: none; of a domain somebody in it is asked for. */
static int64_t match(const struct layer *layer, const char *given)
{
	struct visits visits = {0};
	struct address address;
	struct layer_key key;
	char text[100];

	snprintf(text, sizeof(text), "%s%s", strchr(given, '@') == NULL ? "a@" : "", given);
	ck_assert_msg(address_parse(span_of(text), &address, NULL) == ERR_OK, "%s", text);
	layer_key_init(&key, &address, SEED);
	layer_match(layer, &key, on_visit, &visits);
	ck_assert_uint_le(visits.count, 1);
	return visits.id;
}

/* One of a pair alone, in either order, and both. */
static void expect_apart(uint64_t (*hash)(uint32_t number), const char *before,
			 const char *behind_pattern, const char *behind_address)
{
	char patterns[2][64], addresses[2][64];
	const char *list[2] = {patterns[0], patterns[1]};
	struct layer *layer;
	uint32_t pair[2];

	find_pair(hash, pair);
	for (size_t i = 0; i < 2; i++) {
		print(patterns[i], before, pair[i], behind_pattern);
		print(addresses[i], before, pair[i], behind_address);
	}
	layer = layer_of(list, 2);
	ck_assert_int_eq(match(layer, addresses[0]), 1);
	ck_assert_int_eq(match(layer, addresses[1]), 2);
	layer_free(layer);
	for (size_t i = 0; i < 2; i++) {
		layer = layer_of(&list[i], 1);
		ck_assert_int_eq(match(layer, addresses[i]), 1);
		ck_assert_int_eq(match(layer, addresses[1 - i]), 0);
		layer_free(layer);
	}
}

START_TEST(addresses_with_one_tag)
{
	expect_apart(hash_exact, "a", "@x.test", "@x.test");
}
END_TEST

START_TEST(domains_with_one_tag)
{
	expect_apart(hash_domain, "d", ".test", ".test");
}
END_TEST

/* With another byte behind it, so that a shorter number is no prefix of a longer one. */
START_TEST(globs_with_one_tag)
{
	expect_apart(hash_group, "p", "*@x.test", "x@x.test");
}
END_TEST

START_TEST(tombstones_with_one_tag)
{
	struct layer_builder *builder = layer_builder_new();
	struct layer *layer;
	uint32_t pair[2];

	find_pair(hash_id, pair);
	layer_builder_remove(builder, id_of(pair[0]));
	layer = layer_builder_finish(&builder, SEED);
	ck_assert(layer_buries(layer, id_of(pair[0])));
	ck_assert(!layer_buries(layer, id_of(pair[1])));
	layer_free(layer);
}
END_TEST

/* RFC 5321 4.5.3.1.1: 64 octets; the groups of globs tell 63 of them apart. */
START_TEST(the_longest_local_parts)
{
	char a[65], glob[80], other[80], fits[80], not [80];
	const char *patterns[] = {glob, other};
	struct layer *layer;

	memset(a, 'a', 64);
	a[64] = '\0';
	snprintf(glob, sizeof(glob), "%.63s*@x.test", a);
	snprintf(other, sizeof(other), "%.62sb*@x.test", a);
	snprintf(fits, sizeof(fits), "%.64s@x.test", a);
	snprintf(not, sizeof(not ), "%.62sc@x.test", a);
	layer = layer_of(patterns, 2);
	ck_assert_int_eq(match(layer, fits), 1);
	ck_assert_int_eq(match(layer, fits + 1), 1);
	ck_assert_int_eq(match(layer, fits + 2), 0);
	ck_assert_int_eq(match(layer, not ), 0);
	layer_free(layer);
}
END_TEST

START_TEST(rows_that_are_none)
{
	static char scope[70000];
	struct entry row = {.id = 1,
			    .pattern = "a@x.test",
			    .kind = ENTRY_EXACT,
			    .action = ENTRY_ALLOW,
			    .scope = ""};
	struct layer_builder *builder = layer_builder_new();
	struct entry odd = row;

	ck_assert(layer_builder_put(builder, &row, false));
	odd.action = (enum entry_action)0;
	ck_assert(!layer_builder_put(builder, &odd, false));
	odd = row;
	odd.action = (enum entry_action)77;
	ck_assert(!layer_builder_put(builder, &odd, false));
	odd = row;
	odd.kind = ENTRY_DOMAIN;
	ck_assert(!layer_builder_put(builder, &odd, false));
	odd = row;
	odd.pattern = NULL;
	ck_assert(!layer_builder_put(builder, &odd, false));
	odd = row;
	odd.pattern = "A@x.test";
	ck_assert(!layer_builder_put(builder, &odd, false));
	odd = row;
	memset(scope, 's', sizeof(scope) - 1);
	odd.scope = scope;
	ck_assert(!layer_builder_put(builder, &odd, false));
	scope[65535] = '\0';
	odd.id = 2;
	ck_assert(layer_builder_put(builder, &odd, false));
	layer_builder_free(&builder);
	ck_assert_ptr_null(builder);
	layer_builder_free(&builder);
	layer_free(NULL);
}
END_TEST

static struct layer *numbered(const int64_t *ids, size_t count, const int64_t *buried,
			      size_t buried_count)
{
	struct layer_builder *builder = layer_builder_new();
	struct entry row = {
		.pattern = "a@x.test", .kind = ENTRY_EXACT, .action = ENTRY_ALLOW, .scope = ""};

	for (size_t i = 0; i < buried_count; i++)
		layer_builder_remove(builder, buried[i]);
	for (size_t i = 0; i < count; i++) {
		row.id = ids[i];
		ck_assert(layer_builder_put(builder, &row, false));
	}
	return layer_builder_finish(&builder, SEED);
}

START_TEST(entries_come_in_any_order)
{
	static const int64_t ids[] = {9, 7, 4, 2};
	struct layer *layer = numbered(ids, 4, NULL, 0);

	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(layer_entry_id(layer, i), ids[3 - i]);
		ck_assert_int_eq(layer_find_id(layer, ids[i])->id, ids[i]);
	}
	layer_free(layer);
}
END_TEST

/* What is new hides nothing; tombstones of two layers become one list. */
START_TEST(only_what_is_removed_is_buried)
{
	static const int64_t low[] = {3, 7};
	static const int64_t high[] = {3, 5, 8};
	static const int64_t new_ids[] = {4, 9};
	static const int64_t want[] = {3, 5, 7, 8};
	struct layer *layers[] = {numbered(new_ids, 2, low, 2), numbered(NULL, 0, high, 3)};
	struct layer *merged = layer_merge((const struct layer *const *)layers, 2, false, SEED);

	ck_assert_uint_eq(layers[0]->buried_count, 2);
	ck_assert(!layer_buries(layers[0], 4) && !layer_buries(layers[0], 9));
	ck_assert_uint_eq(merged->buried_count, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(merged->buried[i], want[i]);
	layer_free(layers[0]);
	layer_free(layers[1]);
	layer_free(merged);
}
END_TEST

/* As the claim of so many octets an entry is measured. */
START_TEST(what_a_layer_takes)
{
	static const struct list_row rows[] = {{.pattern = "a@x.test", .id = 1},
					       {.pattern = "@y.test", .id = 2, .scope = "shop"},
					       {.pattern = "b*@z.test", .id = 3}};
	struct layer_builder *builder = layer_builder_new();
	size_t table = 4 * sizeof(struct layer_slot);
	struct layer *layer;
	size_t strings;

	for (size_t i = 0; i < 3; i++) {
		struct pattern pattern;
		struct entry entry = list_entry(&rows[i], &pattern);

		ck_assert(layer_builder_put(builder, &entry, false));
	}
	layer_builder_remove(builder, 4);
	layer = layer_builder_finish(&builder, SEED);
	ck_assert_uint_eq(layer_bytes(layer, &strings),
			  sizeof(*layer) + layer->used + 3 * sizeof(uint32_t) + sizeof(int64_t) +
				  3 * sizeof(struct layer_node) + 4 * table);
	ck_assert_uint_eq(strings, strlen("a@x.test") + strlen("y.test") + strlen("shop") +
					   strlen("b*@z.test") + 6);
	layer_free(layer);
}
END_TEST

START_TEST(parts_of_an_item)
{
	static const char *const patterns[] = {"*", ".x.test", "x.test", "a@x.test", "a@.x.test"};
	static const struct {
		bool below;
		const char *domain;
	} want[] = {{false, "*"},
		    {true, "x.test"},
		    {false, "x.test"},
		    {false, "x.test"},
		    {true, "x.test"}};
	struct layer *layer = layer_of(patterns, 5);

	for (size_t i = 0; i < 5; i++) {
		const struct layer_item *item = layer_entry(layer, i);

		ck_assert_int_eq(item->id, (int64_t)i + 1);
		ck_assert_int_eq(layer_item_is_below(item), want[i].below);
		ck_assert(span_is(layer_item_domain(item), want[i].domain));
	}
	ck_assert_ptr_null(layer_find_id(layer, 0));
	ck_assert_ptr_null(layer_find_id(layer, 6));
	layer_free(layer);
}
END_TEST

UNIT_MAIN("filter/layer", addresses_with_one_tag, domains_with_one_tag, globs_with_one_tag,
	  tombstones_with_one_tag, the_longest_local_parts, rows_that_are_none,
	  entries_come_in_any_order, only_what_is_removed_is_buried, what_a_layer_takes,
	  parts_of_an_item)
