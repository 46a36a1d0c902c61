/* relay/config_read.c - from a document to structs, by the table of keys */
#include "relay/config_read.h"

#include <assert.h>

#include "relay/filter/pattern.h"

#define VALUE_MAX_BYTES 65536

/* One value on its way: the key that describes it, where it stands, where it goes. */
struct place {
	const struct config_key *key;
	struct document_node *node;
	const char *path;
	char *base;
};

static void on_mistake(void *ctx, const char *source, struct document_mark mark,
		       const char *sentence);
static void on_cut(void *ctx);

struct parsing {
	struct config_reader *reader;
	const char *path;
};

static void on_mistake(void *ctx, const char *source, struct document_mark mark,
		       const char *sentence)
{
	const struct parsing *parsing = ctx;

	/* A setting of the command line has no lines. */
	if (parsing->path[0] != '\0')
		mark = (struct document_mark){0, 0};
	config_report_add_at(parsing->reader->report, false, source, mark, parsing->path, sentence);
}

static void on_cut(void *ctx)
{
	const struct parsing *parsing = ctx;

	parsing->reader->cut = true;
}

struct document_node *config_read_document(struct config_reader *reader, struct span text,
					   const char *source, const char *path)
{
	static const struct document_ops ops = {.on_mistake = on_mistake, .on_cut = on_cut};
	struct parsing parsing = {reader, path};
	struct document_node *root;

	document_parse(text, source, reader->scratch, &ops, &parsing, &root);
	return root;
}

bool config_read_is_absent(const struct document_node *node)
{
	if (node == NULL)
		return true;
	return node->kind == DOCUMENT_SCALAR && node->plain &&
	       (node->text.len == 0 || span_is(node->text, "~") || span_is(node->text, "null"));
}

static void complain(struct config_reader *reader, const struct place *at, const char *sentence)
{
	config_report_add(reader->report, false, at->node, at->path, "%s", sentence);
}

static struct place place_item(struct config_reader *reader, const struct place *list,
			       struct document_node *node, size_t index)
{
	struct place at = *list;

	at.node = node;
	at.path = arena_printf(reader->scratch, "%s.%zu", list->path, index);
	return at;
}

static bool is_kind(struct config_reader *reader, const struct place *at, enum document_kind kind)
{
	if (at->node->kind == kind)
		return true;
	config_report_add(reader->report, false, at->node, at->path, "%s was expected, not %s",
			  document_kind_name(kind), document_kind_name(at->node->kind));
	return false;
}

/* The scalar with its ${NAME}s replaced, in the configuration's arena. False: reported. */
static bool read_text(struct config_reader *reader, const struct place *at, struct span *text_out)
{
	struct buf text;
	struct err why;
	int code;

	if (!is_kind(reader, at, DOCUMENT_SCALAR))
		return false;
	if (config_read_is_absent(at->node)) {
		complain(reader, at, "has no value (write \"\" for an empty one)");
		return false;
	}
	buf_init(&text, VALUE_MAX_BYTES);
	code = config_expand(at->node->text, &text, &why);
	if (code == ERR_OK)
		*text_out = span_make(arena_span_dup(reader->arena, buf_span(&text)), text.len);
	else
		complain(reader, at, why.text);
	buf_wipe(&text);
	return code == ERR_OK;
}

/* Numbers and the like stand without quotes, unless the quotes are there for a ${NAME}. */
static bool read_bare(struct config_reader *reader, const struct place *at, const char *what,
		      struct span *text_out)
{
	if (!read_text(reader, at, text_out))
		return false;
	if (at->node->plain || span_find(at->node->text, '$') < at->node->text.len)
		return true;
	config_report_add(reader->report, false, at->node, at->path,
			  "%s was expected, not a text in quotes", what);
	return false;
}

static bool read_checked(struct config_reader *reader, const struct place *at, struct span *text)
{
	struct err why;

	if (!read_text(reader, at, text))
		return false;
	if (at->key->check == NULL || at->key->check(*text, &why) == ERR_OK)
		return true;
	complain(reader, at, why.text);
	return false;
}

static bool read_bool(struct config_reader *reader, const struct place *at, bool *value_out)
{
	struct span text;
	struct err why;

	if (!read_bare(reader, at, "true or false", &text))
		return false;
	if (config_parse_bool(text, value_out, &why) == ERR_OK)
		return true;
	complain(reader, at, why.text);
	return false;
}

static bool read_number(struct config_reader *reader, const struct place *at,
			struct config_range range, int64_t *value_out)
{
	bool is_time = at->key->type == CONFIG_TIME || at->key->type == CONFIG_TIMES;
	bool is_size = at->key->type == CONFIG_SIZE;
	struct span text;
	struct err why;
	int code;

	if (!read_bare(reader, at, is_time ? "a time" : is_size ? "a size" : "a number", &text))
		return false;
	if (at->key->never != NULL && span_is(text, at->key->never)) {
		*value_out = 0;
		return true;
	}
	if (is_time)
		code = config_parse_time(text, range, value_out, &why);
	else if (is_size)
		code = config_parse_size(text, range, value_out, &why);
	else if (at->key->type == CONFIG_DECIMAL)
		code = config_parse_decimal(text, range, value_out, &why);
	else
		code = config_parse_number(text, range, value_out, &why);
	if (code != ERR_OK && at->key->never != NULL)
		config_report_add(reader->report, false, at->node, at->path, "%s, or %s", why.text,
				  at->key->never);
	else if (code != ERR_OK)
		complain(reader, at, why.text);
	return code == ERR_OK;
}

/* "text, json or x". */
static const char *list_choices(struct config_reader *reader, const struct config_key *key)
{
	const char *all = "";

	for (size_t i = 0; key->choices[i] != NULL; i++)
		all = arena_printf(reader->scratch, "%s%s%s", all,
				   i == 0			 ? ""
				   : key->choices[i + 1] != NULL ? ", "
								 : " or ",
				   key->choices[i]);
	return all;
}

static void read_choice(struct config_reader *reader, const struct place *at, int *value_out)
{
	const struct config_key *key = at->key;
	char quoted[CONFIG_QUOTED_SIZE];
	const char *near;
	struct span text;

	if (!read_text(reader, at, &text))
		return;
	for (int i = 0; key->choices[i] != NULL; i++) {
		if (!span_is(text, key->choices[i]))
			continue;
		*value_out = key->first_choice + i;
		return;
	}
	near = config_word_nearest(key->choices, text);
	config_report_add(reader->report, false, at->node, at->path,
			  "%s was expected, not %s%s%s%s", list_choices(reader, key),
			  config_quote(text, quoted), near != NULL ? "; did you mean " : "",
			  near != NULL ? near : "", near != NULL ? "?" : "");
}

/* As many items as the key allows. False: reported. */
static bool has_room(struct config_reader *reader, const struct place *at, size_t *count_out)
{
	const struct config_range *range = &at->key->range;

	*count_out = 0;
	for (const struct document_node *node = at->node->first; node != NULL; node = node->next)
		++*count_out;
	if ((int64_t)*count_out >= range->min && (int64_t)*count_out <= range->max)
		return true;
	if (*count_out == 0)
		complain(reader, at, "the list must not be empty");
	else
		config_report_add(reader->report, false, at->node, at->path,
				  "%zu items are too many: at most %d", *count_out,
				  (int)range->max);
	return false;
}

/* False: reported, or not there at all. */
static bool is_good_list(struct config_reader *reader, const struct place *at, size_t *count_out)
{
	return is_kind(reader, at, DOCUMENT_SEQUENCE) && has_room(reader, at, count_out);
}

static void put_list(const struct place *at, const void *list, size_t count)
{
	memcpy(at->base + at->key->offset, &list, sizeof(list));
	memcpy(at->base + at->key->count_offset, &count, sizeof(count));
}

static void read_texts(struct config_reader *reader, const struct place *at, size_t count)
{
	const char **texts = arena_array(reader->arena, count + 1, sizeof(*texts));
	size_t i = 0;

	for (struct document_node *node = at->node->first; node != NULL; node = node->next, i++) {
		struct place item = place_item(reader, at, node, i);
		struct span text = span_of("");

		read_checked(reader, &item, &text);
		texts[i] = text.data;
	}
	put_list(at, texts, count);
}

static void read_times(struct config_reader *reader, const struct place *at, size_t count)
{
	int64_t *times = arena_array(reader->arena, count, sizeof(*times));
	size_t i = 0;

	for (struct document_node *node = at->node->first; node != NULL; node = node->next, i++) {
		struct place item = place_item(reader, at, node, i);

		read_number(reader, &item, at->key->each, &times[i]);
	}
	put_list(at, times, count);
}

static void read_patterns(struct config_reader *reader, const struct place *at, size_t count)
{
	struct pattern *patterns = arena_array(reader->arena, count, sizeof(*patterns));
	size_t i = 0;

	for (struct document_node *node = at->node->first; node != NULL; node = node->next, i++) {
		struct place item = place_item(reader, at, node, i);
		struct span text;
		struct err why;

		if (read_text(reader, &item, &text) &&
		    pattern_parse(text, &patterns[i], &why) != ERR_OK)
			complain(reader, &item, why.text);
	}
	put_list(at, patterns, count);
}

static const char *text_at(const char *base, const struct config_key *key)
{
	const char *text;

	memcpy(&text, base + key->offset, sizeof(text));
	return text;
}

/* No earlier item says the same. Two addresses with port 0 become two ports. */
static void check_unique(struct config_reader *reader, const struct place *list,
			 const struct config_key *key, const char *items, size_t index)
{
	const char *text = text_at(items + index * list->key->item_size, key);
	struct document_node *item = document_item(list->node, index);
	struct document_node *node = document_find(item, span_of(key->name));
	char quoted[CONFIG_QUOTED_SIZE];

	if (text == NULL || span_ends_fold(span_of(text), span_of(":0")))
		return;
	for (size_t i = 0; i < index; i++) {
		const char *other = text_at(items + i * list->key->item_size, key);

		if (other == NULL || strcmp(text, other) != 0)
			continue;
		config_report_add(
			reader->report, false, node != NULL ? node : item,
			arena_printf(reader->scratch, "%s.%zu.%s", list->path, index, key->name),
			"%s is already that of %s.%zu", config_quote(span_of(text), quoted),
			list->path, i);
		return;
	}
}

static void read_items(struct config_reader *reader, const struct place *at, size_t count)
{
	const struct config_key *key = at->key;
	char *items = arena_array(reader->arena, count, key->item_size);
	size_t i = 0;

	for (struct document_node *node = at->node->first; node != NULL; node = node->next, i++) {
		struct place item = place_item(reader, at, node, i);

		if (is_kind(reader, &item, DOCUMENT_MAPPING))
			config_read_keys(reader, key->keys, node, item.path,
					 items + i * key->item_size);
	}
	for (const struct config_key *one = key->keys; one->name != NULL; one++)
		for (i = 0; one->unique && i < count; i++)
			check_unique(reader, at, one, items, i);
	put_list(at, items, count);
}

/* The forms that are one scalar. */
static void read_scalar(struct config_reader *reader, const struct place *at)
{
	char *target = at->base + at->key->offset;
	struct span text;
	int64_t number;
	size_t count;
	bool flag;

	assert(at->key->type <= CONFIG_TIME);
	switch (at->key->type) {
	case CONFIG_TEXT:
		if (read_checked(reader, at, &text))
			memcpy(target, &text.data, sizeof(text.data));
		break;
	case CONFIG_BOOL:
		if (read_bool(reader, at, &flag))
			memcpy(target, &flag, sizeof(flag));
		break;
	case CONFIG_COUNT:
		if (!read_number(reader, at, at->key->range, &number))
			break;
		count = (size_t)number;
		memcpy(target, &count, sizeof(count));
		break;
	case CONFIG_SIZE:
	case CONFIG_DECIMAL:
	case CONFIG_TIME:
		if (read_number(reader, at, at->key->range, &number))
			memcpy(target, &number, sizeof(number));
		break;
	case CONFIG_CHOICE: read_choice(reader, at, (int *)(void *)target); break;
	default: break;
	}
}

/* A mapping whose keys are values, too. */
static void read_map(struct config_reader *reader, const struct place *at)
{
	const struct config_key *key = at->key;
	size_t count = 0;
	char *items, *item;

	if (!is_kind(reader, at, DOCUMENT_MAPPING) || !has_room(reader, at, &count))
		return;
	item = items = arena_array(reader->arena, count + 1, key->item_size);
	for (struct document_node *node = at->node->first; node != NULL; node = node->next) {
		struct document_node name = *node;
		const char *path = arena_printf(reader->scratch, "%s.%.*s", at->path,
						SPAN_ARG(span_first(node->key, 64)));
		struct place first = {&key->keys[0], &name, path, item};
		struct place second = {&key->keys[1], node, path, item};

		name.kind = DOCUMENT_SCALAR;
		name.text = node->key;
		name.mark = node->key_mark;
		name.plain = false;
		read_scalar(reader, &first);
		read_scalar(reader, &second);
		item += key->item_size;
	}
	put_list(at, items, count);
}

static bool is_same_value(const struct document_node *a, const struct document_node *b)
{
	const struct document_node *x = a->first;
	const struct document_node *y = b->first;

	if (a->kind != b->kind || !span_equal(a->text, b->text))
		return false;
	for (; x != NULL && y != NULL; x = x->next, y = y->next)
		if (!span_equal(x->key, y->key) || !is_same_value(x, y))
			return false;
	return x == NULL && y == NULL;
}

static bool is_value(struct config_reader *reader, const struct document_node *node,
		     const char *yaml)
{
	return yaml != NULL &&
	       is_same_value(node, config_read_document(reader, span_of(yaml), "default", "-"));
}

/* The value is never shown: it may be a secret. */
static void check_later(struct config_reader *reader, const struct place *at)
{
	const struct config_key *key = at->key;

	if (config_read_is_absent(at->node) || is_value(reader, at->node, key->fallback))
		return;
	config_report_add(reader->report, false, at->node, at->path,
			  "is not supported by this version (leave it out or write %s)",
			  key->fallback);
}

static void read_value(struct config_reader *reader, const struct place *at)
{
	size_t count;

	switch (at->key->type) {
	case CONFIG_LATER: check_later(reader, at); break;
	case CONFIG_SECTION:
		if (is_kind(reader, at, DOCUMENT_MAPPING))
			config_read_keys(reader, at->key->keys, at->node, at->path, at->base);
		break;
	case CONFIG_MAP: read_map(reader, at); break;
	case CONFIG_TEXTS:
	case CONFIG_TIMES:
	case CONFIG_PATTERNS:
	case CONFIG_ITEMS:
		if (!is_good_list(reader, at, &count))
			break;
		if (at->key->type == CONFIG_TEXTS)
			read_texts(reader, at, count);
		else if (at->key->type == CONFIG_TIMES)
			read_times(reader, at, count);
		else if (at->key->type == CONFIG_PATTERNS)
			read_patterns(reader, at, count);
		else
			read_items(reader, at, count);
		break;
	default: read_scalar(reader, at); break;
	}
}

static void report_unknown(struct config_reader *reader, const struct config_key *keys,
			   const struct document_node *node, const char *path)
{
	struct document_node at = *node;
	char nearest[CONFIG_PATH_SIZE];

	at.mark = node->key_mark;
	config_key_nearest(keys, node->key, nearest);
	if (nearest[0] != '\0')
		config_report_add(reader->report, false, &at, path, "unknown key; did you mean %s?",
				  nearest);
	else
		config_report_add(reader->report, false, &at, path, "unknown key");
}

/* Nothing is given: the default, if there is one. `parent` is where it could have stood. */
static void read_default(struct config_reader *reader, struct place *at,
			 const struct document_node *parent)
{
	static struct document_node none = {.kind = DOCUMENT_MAPPING};

	if (at->key->required && !reader->cut)
		config_report_add(reader->report, false, parent, at->path, "is missing");
	if (at->key->type == CONFIG_SECTION) {
		at->node = &none;
		read_value(reader, at);
	} else if (at->key->fallback != NULL && at->key->type != CONFIG_LATER) {
		at->node = config_read_document(reader, span_of(at->key->fallback), "default", "-");
		read_value(reader, at);
	}
}

void config_read_keys(struct config_reader *reader, const struct config_key *keys,
		      struct document_node *node, const char *path, char *base)
{
	const char *dot = path[0] != '\0' ? "." : "";

	for (struct document_node *child = node->first; child != NULL; child = child->next)
		if (config_key_find(keys, child->key) == NULL)
			report_unknown(reader, keys, child,
				       arena_printf(reader->scratch, "%s%s%.*s", path, dot,
						    SPAN_ARG(span_first(child->key, 64))));
	for (const struct config_key *key = keys; key->name != NULL; key++) {
		struct place at = {key, document_find(node, span_of(key->name)),
				   arena_printf(reader->scratch, "%s%s%s", path, dot, key->name),
				   base};
		bool is_scalar = key->type <= CONFIG_TIME;

		/* A key with nothing behind it is a mistake for a value, and an empty list or
		 * section otherwise. */
		if (at.node == NULL || (!is_scalar && config_read_is_absent(at.node)))
			read_default(reader, &at, node);
		else
			read_value(reader, &at);
	}
}
