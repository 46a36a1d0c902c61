/* base/document.c - a YAML document as a plain tree that remembers where everything stood */
#include "base/document.h"

#include <stdio.h>
#include <yaml.h>

#include "base/mem.h"

struct builder {
	yaml_parser_t yaml;
	struct arena *arena;
	const char *source;
	const struct document_ops *ops;
	void *ctx;
	struct document_node *open[DOCUMENT_MAX_DEPTH]; /* the nodes we are inside of */
	size_t depth;
	struct document_node *root;
	struct span key; /* read, its value is still to come */
	struct document_mark key_mark;
	bool has_key;
	size_t nodes;
	size_t documents;
	int code;
	bool stop;
};

const char *document_kind_name(enum document_kind kind)
{
	static const char *const names[] = {"a value", "a mapping", "a list"};

	return names[kind];
}

struct document_node *document_new(struct arena *arena, enum document_kind kind, const char *source)
{
	struct document_node *node = arena_zalloc(arena, sizeof(*node));

	node->kind = kind;
	node->source = source;
	return node;
}

void document_append(struct document_node *parent, struct span key, struct document_node *child)
{
	child->key = key;
	child->next = NULL;
	if (parent->last != NULL)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

void document_replace(struct document_node *node, const struct document_node *value)
{
	struct document_node old = *node;

	*node = *value;
	node->key = old.key;
	node->key_mark = value->mark;
	node->next = old.next;
}

struct document_node *document_find(const struct document_node *node, struct span key)
{
	if (node == NULL || node->kind != DOCUMENT_MAPPING)
		return NULL;
	for (struct document_node *child = node->first; child != NULL; child = child->next)
		if (span_equal(child->key, key))
			return child;
	return NULL;
}

struct document_node *document_item(const struct document_node *node, size_t index)
{
	struct document_node *child;

	if (node == NULL || node->kind != DOCUMENT_SEQUENCE)
		return NULL;
	for (child = node->first; child != NULL && index > 0; index--)
		child = child->next;
	return child;
}

size_t document_count(const struct document_node *node)
{
	size_t count = 0;

	for (const struct document_node *child = node->first; child != NULL; child = child->next)
		count++;
	return count;
}

static struct document_mark mark_of(const yaml_mark_t *mark)
{
	return (struct document_mark){mark->line + 1, mark->column + 1};
}

static void complain(struct builder *b, int code, struct document_mark mark, const char *sentence)
{
	b->ops->on_mistake(b->ctx, b->source, mark, sentence);
	if (b->code == ERR_OK)
		b->code = code;
}

static void complain_and_stop(struct builder *b, int code, struct document_mark mark,
			      const char *sentence)
{
	complain(b, code, mark, sentence);
	b->ops->on_cut(b->ctx);
	b->stop = true;
}

/* The YAML itself is broken: libyaml says what and where; what follows can't be trusted. */
static void complain_yaml(struct builder *b)
{
	const yaml_parser_t *yaml = &b->yaml;
	struct document_mark mark = mark_of(&yaml->problem_mark);
	char sentence[200];
	size_t line = mark.line;

	if (yaml->error == YAML_READER_ERROR) {
		/* The reader knows an octet offset only. */
		snprintf(sentence, sizeof(sentence), "the text is not UTF-8 at octet %zu (%s)",
			 yaml->problem_offset, yaml->problem);
		mark = mark_of(&yaml->mark);
	} else if (yaml->context != NULL && strstr(yaml->context, "alias") != NULL) {
		/* Nearly always a bare * that was meant as itself. */
		mark = mark_of(&yaml->context_mark);
		snprintf(sentence, sizeof(sentence), "a value that begins with * needs quotes");
	} else if (yaml->context != NULL && yaml->context_mark.line + 1 != line) {
		snprintf(sentence, sizeof(sentence), "%s (%s that began in line %zu)",
			 yaml->problem, yaml->context, yaml->context_mark.line + 1);
	} else {
		snprintf(sentence, sizeof(sentence), "%s",
			 yaml->problem != NULL ? yaml->problem : "not YAML");
	}
	complain_and_stop(b, ERR_SYNTAX, mark, sentence);
}

static struct document_node *top(const struct builder *b)
{
	return b->depth > 0 ? b->open[b->depth - 1] : NULL;
}

static bool wants_key(const struct builder *b)
{
	return top(b) != NULL && top(b)->kind == DOCUMENT_MAPPING && !b->has_key;
}

/* Anchors and tags change what a value is without showing it there: not in a configuration. */
static void refuse_properties(struct builder *b, struct document_mark mark, const void *anchor,
			      const void *tag)
{
	if (anchor != NULL)
		complain(b, ERR_SYNTAX, mark, "anchors (&name) are not supported");
	if (tag != NULL)
		complain(b, ERR_SYNTAX, mark, "tags (!name) are not supported");
}

/* Hang the new node where it belongs. A duplicate is dropped, so that the first one counts. */
static void place(struct builder *b, struct document_node *node)
{
	struct document_node *parent = top(b);
	struct document_node *same;
	char sentence[200];

	if (parent == NULL) {
		b->root = node;
		return;
	}
	node->key_mark = b->key_mark;
	same = document_find(parent, b->key);
	if (b->has_key && same != NULL) {
		snprintf(sentence, sizeof(sentence),
			 "\"%.*s\" was given before, in line %zu, column %zu",
			 SPAN_ARG(span_first(b->key, 60)), same->key_mark.line,
			 same->key_mark.column);
		complain(b, ERR_SYNTAX, b->key_mark, sentence);
	} else {
		document_append(parent, b->has_key ? b->key : span_make(NULL, 0), node);
	}
	b->has_key = false;
}

static struct document_node *add_node(struct builder *b, enum document_kind kind,
				      struct document_mark mark)
{
	struct document_node *node;

	if (++b->nodes > DOCUMENT_MAX_NODES) {
		complain_and_stop(b, ERR_LIMIT, mark, "too many values");
		return NULL;
	}
	node = document_new(b->arena, kind, b->source);
	node->mark = mark;
	place(b, node);
	return node;
}

static void on_scalar(struct builder *b, const yaml_event_t *event)
{
	struct document_mark mark = mark_of(&event->start_mark);
	struct span text = {(const char *)event->data.scalar.value, event->data.scalar.length};
	struct document_node *node;

	refuse_properties(b, mark, event->data.scalar.anchor, event->data.scalar.tag);
	text.data = arena_span_dup(b->arena, text);
	if (memchr(text.data, '\0', text.len) != NULL)
		complain(b, ERR_SYNTAX, mark, "a NUL character is not allowed");
	if (wants_key(b)) {
		if (span_is(text, "<<"))
			complain(b, ERR_SYNTAX, mark, "merge keys (<<) are not supported");
		b->key = text;
		b->key_mark = mark;
		b->has_key = true;
		return;
	}
	node = add_node(b, DOCUMENT_SCALAR, mark);
	if (node == NULL)
		return;
	node->text = text;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static void on_open(struct builder *b, const yaml_event_t *event, enum document_kind kind)
{
	struct document_mark mark = mark_of(&event->start_mark);
	struct document_node *node;

	if (kind == DOCUMENT_MAPPING)
		refuse_properties(b, mark, event->data.mapping_start.anchor,
				  event->data.mapping_start.tag);
	else
		refuse_properties(b, mark, event->data.sequence_start.anchor,
				  event->data.sequence_start.tag);
	if (wants_key(b)) {
		complain_and_stop(b, ERR_SYNTAX, mark, "a key must be a plain name");
		return;
	}
	if (b->depth == DOCUMENT_MAX_DEPTH) {
		complain_and_stop(b, ERR_LIMIT, mark, "nested too deeply");
		return;
	}
	node = add_node(b, kind, mark);
	if (node != NULL)
		b->open[b->depth++] = node;
}

/* An alias stands for a value: keep the tree in step with an empty one. */
static void on_alias(struct builder *b, const yaml_event_t *event)
{
	struct document_mark mark = mark_of(&event->start_mark);

	complain(b, ERR_SYNTAX, mark,
		 "aliases (*name) are not supported; quote a value that begins with *");
	if (wants_key(b)) {
		b->key = span_of("*");
		b->key_mark = mark;
		b->has_key = true;
		return;
	}
	add_node(b, DOCUMENT_SCALAR, mark);
}

static void on_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++b->documents > 1)
			complain_and_stop(b, ERR_SYNTAX, mark_of(&event->start_mark),
					  "only one document is allowed in a file");
		break;
	case YAML_SCALAR_EVENT: on_scalar(b, event); break;
	case YAML_MAPPING_START_EVENT: on_open(b, event, DOCUMENT_MAPPING); break;
	case YAML_SEQUENCE_START_EVENT: on_open(b, event, DOCUMENT_SEQUENCE); break;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT: b->depth--; break;
	case YAML_ALIAS_EVENT: on_alias(b, event); break;
	case YAML_STREAM_END_EVENT: b->stop = true; break;
	default: break;
	}
}

static void run(struct builder *b)
{
	yaml_event_t event;

	while (!b->stop) {
		if (!yaml_parser_parse(&b->yaml, &event)) {
			complain_yaml(b);
			return;
		}
		on_event(b, &event);
		yaml_event_delete(&event);
	}
}

int document_parse(struct span text, const char *source, struct arena *arena,
		   const struct document_ops *ops, void *ctx, struct document_node **root_out)
{
	struct builder b = {.arena = arena, .source = source, .ops = ops, .ctx = ctx};

	if (text.len > DOCUMENT_MAX_BYTES) {
		complain_and_stop(&b, ERR_LIMIT, (struct document_mark){1, 1},
				  "the file is over 1 MiB");
	}
	*root_out = document_new(arena, DOCUMENT_MAPPING, source);
	if (!yaml_parser_initialize(&b.yaml)) {
		complain_and_stop(&b, ERR_LIMIT, (struct document_mark){0, 0},
				  "no memory for the parser");
		return b.code;
	}
	yaml_parser_set_encoding(&b.yaml, YAML_UTF8_ENCODING);
	/* The empty span has no data, which libyaml does not take. */
	yaml_parser_set_input_string(
		&b.yaml, (const unsigned char *)(text.data != NULL ? text.data : ""), text.len);
	run(&b);
	yaml_parser_delete(&b.yaml);
	if (b.root != NULL)
		*root_out = b.root;
	return b.code;
}
