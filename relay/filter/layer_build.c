/* relay/filter/layer_build.c - making layers: from changes, and from other layers */
#include "relay/filter/layer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "relay/filter/layer_private.h"
#include "relay/filter/pattern.h"

/* One line of a change as it came. */
struct line {
	int64_t id;
	uint32_t order;
	uint32_t ref; /* 0: no entry stands for this id after the line */
	bool buries;  /* hides an older entry */
};

struct layer_builder {
	char *records;
	size_t used;
	size_t room;
	struct line *lines;
	size_t line_count;
	size_t line_room;
};

static size_t item_size(size_t text_len, size_t scope_len)
{
	size_t size = offsetof(struct layer_item, text) + text_len + 1 + scope_len + 1;

	return (size + LAYER_UNIT - 1) / LAYER_UNIT * LAYER_UNIT;
}

struct layer_builder *layer_builder_new(void)
{
	struct layer_builder *builder = mem_zalloc(sizeof(*builder));

	builder->used = LAYER_UNIT; /* reference 0 is none */
	builder->room = LAYER_UNIT;
	builder->records = mem_zalloc(LAYER_UNIT);
	return builder;
}

void layer_builder_free(struct layer_builder **builder)
{
	if (*builder == NULL)
		return;
	mem_free((*builder)->records);
	mem_free((*builder)->lines);
	mem_free(*builder);
	*builder = NULL;
}

static void add_line(struct layer_builder *builder, int64_t id, uint32_t ref, bool buries)
{
	if (builder->line_count == builder->line_room) {
		builder->line_room = builder->line_room > 0 ? 2 * builder->line_room : 8;
		builder->lines =
			mem_regrow(builder->lines, builder->line_room, sizeof(*builder->lines));
	}
	assert(builder->line_count < UINT32_MAX);
	builder->lines[builder->line_count] =
		(struct line){id, (uint32_t)builder->line_count, ref, buries};
	builder->line_count++;
}

static struct layer_item *add_record(struct layer_builder *builder, size_t size, uint32_t *ref_out)
{
	struct layer_item *item;

	if (builder->room - builder->used < size) {
		builder->room = 2 * builder->room + size;
		builder->records = mem_realloc(builder->records, builder->room);
	}
	assert(builder->used / LAYER_UNIT <= UINT32_MAX);
	*ref_out = (uint32_t)(builder->used / LAYER_UNIT);
	item = (struct layer_item *)(void *)(builder->records + builder->used);
	builder->used += size;
	return item;
}

static uint8_t prefix_length(const struct pattern *pattern)
{
	size_t len = span_find(pattern->local, '*');

	return (uint8_t)(len < LAYER_PREFIX_MAX ? len : LAYER_PREFIX_MAX);
}

static uint32_t add_entry(struct layer_builder *builder, const struct entry *entry,
			  const struct pattern *pattern)
{
	struct span text = span_of(pattern->text);
	struct span scope = span_of(entry->scope);
	uint32_t ref;
	struct layer_item *item = add_record(builder, item_size(text.len, scope.len), &ref);

	item->id = entry->id;
	/* Once it was over it is over, also where the clock says otherwise now (CASES S170). */
	item->expires_at = entry->expired_at != 0 ? 1 : entry->expires_at;
	item->text_len = (uint16_t)text.len;
	item->scope_len = (uint16_t)scope.len;
	item->local_len = (uint8_t)pattern->local.len;
	item->prefix_len = pattern->kind == ENTRY_GLOB ? prefix_length(pattern) : 0;
	item->kind = (uint8_t)pattern->kind;
	item->action = (uint8_t)entry->action;
	memcpy(item->text, text.data, text.len + 1);
	memcpy(item->text + text.len + 1, scope.len > 0 ? scope.data : "", scope.len + 1);
	return ref;
}

/* The store may have been edited by hand (CASES S163): only what we would have written counts. */
static bool parse_row(const struct entry *entry, struct pattern *pattern_out)
{
	struct err ignored;

	return entry->pattern != NULL &&
	       pattern_parse(span_of(entry->pattern), pattern_out, &ignored) == ERR_OK &&
	       pattern_out->kind == entry->kind &&
	       span_is(span_of(entry->pattern), pattern_out->text) &&
	       (entry->action == ENTRY_ALLOW || entry->action == ENTRY_DENY) &&
	       span_of(entry->scope).len <= UINT16_MAX;
}

/* What a row denies that can't be read is not known, so it is everything (DESIGN P1). */
static uint32_t add_denial(struct layer_builder *builder, const struct entry *row)
{
	struct entry all = *row;
	struct pattern pattern;

	all.pattern = "*";
	all.kind = ENTRY_ALL;
	all.action = ENTRY_DENY;
	all.scope = span_of(row->scope).len <= UINT16_MAX ? row->scope : "";
	if (!parse_row(&all, &pattern))
		assert(!"\"*\" is a pattern");
	return add_entry(builder, &all, &pattern);
}

bool layer_builder_put(struct layer_builder *builder, const struct entry *entry, bool replaces)
{
	struct pattern pattern;
	bool good = parse_row(entry, &pattern);

	if (good)
		add_line(builder, entry->id, add_entry(builder, entry, &pattern), replaces);
	else if (entry->action != ENTRY_ALLOW)
		add_line(builder, entry->id, add_denial(builder, entry), replaces);
	else if (replaces)
		add_line(builder, entry->id, 0, replaces);
	return good;
}

void layer_builder_remove(struct layer_builder *builder, int64_t id)
{
	add_line(builder, id, 0, true);
}

/* --- indexing ------------------------------------------------------------------------------- */

static void set_slot(struct layer_table *table, size_t at, uint64_t hash, uint32_t value)
{
	table->slots[at].tag = (uint32_t)(hash >> 32);
	table->slots[at].value = value;
}

static void index_exact(struct layer *layer, struct layer_item *item, uint32_t ref)
{
	uint64_t hash = layer_hash(layer_item_text(item), layer->seed);
	size_t at;

	item->next = layer_find_exact(layer, hash, layer_item_text(item), &at);
	set_slot(&layer->exact, at, hash, ref);
}

static void index_glob(struct layer *layer, struct layer_item *item, uint32_t ref,
		       uint64_t domain_hash)
{
	struct span prefix = span_first(layer_item_text(item), item->prefix_len);
	bool below = layer_item_is_below(item);
	uint64_t hash = layer_glob_hash(domain_hash, below, prefix);
	size_t at;

	item->next = layer_find_group(layer, hash, layer_item_domain(item), below, prefix, &at);
	set_slot(&layer->globs, at, hash, ref);
}

static struct layer_node *find_or_add_node(struct layer *layer, struct span domain, uint64_t hash,
					   uint32_t name)
{
	size_t at;
	uint32_t number = layer_find_node(layer, hash, domain, &at);

	if (number == 0) {
		number = (uint32_t)layer->node_count++;
		layer->nodes[number] = (struct layer_node){.name = name};
		set_slot(&layer->domains, at, hash, number);
	}
	return &layer->nodes[number];
}

static void index_domain(struct layer *layer, struct layer_item *item, uint32_t ref)
{
	struct span domain = layer_item_domain(item);
	uint64_t hash = layer_hash(domain, layer->seed);
	struct layer_node *node = find_or_add_node(layer, domain, hash, ref);
	bool below = layer_item_is_below(item);

	layer->has_below |= below;
	if (item->kind == ENTRY_GLOB) {
		node->prefixes[below] |= (uint64_t)1 << item->prefix_len;
		index_glob(layer, item, ref, hash);
	} else {
		uint32_t *chain = below ? &node->below : &node->domain;

		item->next = *chain;
		*chain = ref;
	}
}

static void index_item(struct layer *layer, uint32_t ref)
{
	struct layer_item *item = layer_item_at(layer, ref);

	if (item->kind == ENTRY_EXACT) {
		index_exact(layer, item, ref);
	} else if (item->kind == ENTRY_ALL) {
		item->next = layer->all;
		layer->all = ref;
	} else {
		index_domain(layer, item, ref);
	}
}

static void index_graves(struct layer *layer)
{
	layer_table_init(&layer->graves, layer->buried_count);
	for (size_t i = 0; i < layer->buried_count; i++) {
		uint64_t hash = layer_id_hash(layer->buried[i], layer->seed);
		size_t at;

		layer_find_grave(layer, layer->buried[i], &at);
		set_slot(&layer->graves, at, hash, (uint32_t)(i + 1));
	}
}

void layer_index(struct layer *layer)
{
	size_t kinds[ENTRY_ALL + 1] = {0};
	size_t named;

	for (size_t i = 0; i < layer->count; i++)
		kinds[layer_item_at(layer, layer->by_id[i])->kind]++;
	named = kinds[ENTRY_DOMAIN] + kinds[ENTRY_SUBDOMAIN] + kinds[ENTRY_GLOB];
	layer_table_init(&layer->exact, kinds[ENTRY_EXACT]);
	layer_table_init(&layer->domains, named);
	layer_table_init(&layer->globs, kinds[ENTRY_GLOB]);
	if (named > 0) {
		layer->nodes = mem_array(named + 1, sizeof(*layer->nodes));
		layer->node_count = 1;
	}
	for (size_t i = 0; i < layer->count; i++)
		index_item(layer, layer->by_id[i]);
	index_graves(layer);
	if (named > 0)
		layer->nodes = mem_regrow(layer->nodes, layer->node_count, sizeof(*layer->nodes));
}

/* --- from changes --------------------------------------------------------------------------- */

static int compare_lines(const void *left, const void *right)
{
	const struct line *a = left;
	const struct line *b = right;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static bool is_sorted(const struct layer_builder *builder)
{
	for (size_t i = 1; i < builder->line_count; i++)
		if (builder->lines[i - 1].id > builder->lines[i].id)
			return false;
	return true;
}

/* The last line of an id decides what stands; any of its lines may have hidden an older entry. */
static void settle_lines(const struct layer_builder *builder, struct layer *layer)
{
	bool buries = false;

	for (size_t i = 0; i < builder->line_count; i++) {
		const struct line *line = &builder->lines[i];

		buries |= line->buries;
		if (i + 1 < builder->line_count && builder->lines[i + 1].id == line->id)
			continue;
		if (line->ref != 0)
			layer->by_id[layer->count++] = line->ref;
		if (buries)
			layer->buried[layer->buried_count++] = line->id;
		buries = false;
	}
}

/* Give back what was reserved and not used. */
static void trim(struct layer *layer, size_t room)
{
	if (room - layer->used > room / 8) {
		char *exact = layer_big_array(layer->used, 1);

		memcpy(exact, layer->records, layer->used);
		mem_free(layer->records);
		layer->records = exact;
	}
	layer->by_id = mem_regrow(layer->by_id, layer->count, sizeof(*layer->by_id));
	layer->buried = mem_regrow(layer->buried, layer->buried_count, sizeof(*layer->buried));
}

struct layer *layer_builder_finish(struct layer_builder **builder, uint64_t seed)
{
	struct layer_builder *b = *builder;
	size_t room;
	struct layer *layer = mem_zalloc(sizeof(*layer));

	layer->seed = seed;
	if (!is_sorted(b))
		qsort(b->lines, b->line_count, sizeof(*b->lines), compare_lines);
	layer->records = b->records;
	layer->used = b->used;
	room = b->room;
	b->records = NULL;
	layer->by_id = mem_array(b->line_count, sizeof(*layer->by_id));
	layer->buried = mem_array(b->line_count, sizeof(*layer->buried));
	settle_lines(b, layer);
	layer_builder_free(builder);
	trim(layer, room);
	layer_index(layer);
	return layer;
}

/* --- from layers ---------------------------------------------------------------------------- */

struct merge {
	const struct layer *const *layers;
	size_t count;
	size_t *next; /* cursor of each layer */
};

/* The layer whose next entry has the smallest id; of equal ids the uppermost. count: all done. */
static size_t pick(const struct merge *merge, int64_t *id_out)
{
	size_t best = merge->count;

	for (size_t i = 0; i < merge->count; i++) {
		int64_t id;

		if (merge->next[i] == merge->layers[i]->count)
			continue;
		id = layer_entry_id(merge->layers[i], merge->next[i]);
		if (best == merge->count || id <= *id_out) {
			best = i;
			*id_out = id;
		}
	}
	return best;
}

static bool is_hidden(const struct merge *merge, size_t layer, int64_t id)
{
	for (size_t above = layer + 1; above < merge->count; above++)
		if (layer_buries(merge->layers[above], id))
			return true;
	return false;
}

static void copy_item(struct layer *to, const struct layer_item *item)
{
	size_t size = item_size(item->text_len, item->scope_len);

	memcpy(to->records + to->used, item, size);
	assert(to->used / LAYER_UNIT <= UINT32_MAX);
	to->by_id[to->count++] = (uint32_t)(to->used / LAYER_UNIT);
	to->used += size;
}

static void merge_entries(struct merge *merge, struct layer *to)
{
	int64_t id = 0;
	size_t from;

	while ((from = pick(merge, &id)) < merge->count) {
		const struct layer *layer = merge->layers[from];
		uint32_t ref = layer->by_id[merge->next[from]];

		if (!is_hidden(merge, from, id))
			copy_item(to, layer_item_at(layer, ref));
		for (size_t i = 0; i < merge->count; i++)
			if (merge->next[i] < merge->layers[i]->count &&
			    layer_entry_id(merge->layers[i], merge->next[i]) == id)
				merge->next[i]++;
	}
}

/* Both ascending; the union goes behind each other into `to`, which has room. */
static void merge_tombstones(const struct layer *layer, struct layer *to, int64_t *old)
{
	size_t old_count = to->buried_count;
	size_t a = 0;
	size_t b = 0;
	size_t n = 0;

	memcpy(old, to->buried, old_count * sizeof(*old));
	while (a < old_count || b < layer->buried_count) {
		bool take_old = b == layer->buried_count ||
				(a < old_count && old[a] <= layer->buried[b]);
		int64_t id = take_old ? old[a++] : layer->buried[b++];

		if (n == 0 || to->buried[n - 1] != id)
			to->buried[n++] = id;
	}
	to->buried_count = n;
}

struct layer *layer_merge(const struct layer *const *layers, size_t count, bool bottom,
			  uint64_t seed)
{
	struct layer *to = mem_zalloc(sizeof(*to));
	struct merge merge = {layers, count, mem_array(count, sizeof(size_t))};
	size_t entries = 0;
	size_t buried = 0;
	size_t bytes = LAYER_UNIT;

	to->seed = seed;
	for (size_t i = 0; i < count; i++) {
		entries += layers[i]->count;
		buried += bottom ? 0 : layers[i]->buried_count;
		bytes += layers[i]->used;
	}
	to->records = layer_big_array(bytes, 1);
	to->used = LAYER_UNIT;
	to->by_id = mem_array(entries, sizeof(*to->by_id));
	to->buried = mem_array(buried, sizeof(*to->buried));
	merge_entries(&merge, to);
	if (!bottom) {
		int64_t *old = mem_array(buried, sizeof(*old));

		for (size_t i = 0; i < count; i++)
			merge_tombstones(layers[i], to, old);
		mem_free(old);
	}
	mem_free(merge.next);
	trim(to, bytes);
	layer_index(to);
	return to;
}
