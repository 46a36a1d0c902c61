/* relay/config_override.c - `-o a.b.0.c=value`: settings from the command line, over the file */
#include "relay/config_read.h"

#define SOURCE "-o"

static bool is_number(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.data[i]))
			return false;
	return text.len > 0;
}

/* Anything that begins as YAML lists, mappings and quoted texts do is YAML; the rest is itself. */
static struct document_node *parse_value(struct config_reader *reader, struct span value,
					 const char *path)
{
	struct document_node *node;

	if (value.len > 0 && strchr("[{\"'", value.data[0]) != NULL) {
		node = config_read_document(reader, value, SOURCE, path);
		node->mark = (struct document_mark){0, 0};
		return node;
	}
	node = document_new(reader->scratch, DOCUMENT_SCALAR, SOURCE);
	node->text = span_make(arena_span_dup(reader->scratch, value), value.len);
	node->plain = value.len > 0;
	return node;
}

/* The child that `name` names, made if need be. NULL: reported. */
static struct document_node *step(struct config_reader *reader, struct document_node *node,
				  struct span name, const char *path)
{
	enum document_kind want = is_number(name) ? DOCUMENT_SEQUENCE : DOCUMENT_MAPPING;
	struct document_node *child;
	uint64_t index = 0;

	if (config_read_is_absent(node))
		document_replace(node, document_new(reader->scratch, want, SOURCE));
	if (node->kind != want) {
		config_report_add_at(reader->report, false, SOURCE, (struct document_mark){0, 0},
				     path,
				     want == DOCUMENT_SEQUENCE ? "a number is for items of a list"
							       : "there is nothing below it");
		return NULL;
	}
	if (want == DOCUMENT_SEQUENCE && (span_to_u64(name, DOCUMENT_MAX_NODES, &index) != ERR_OK ||
					  index > document_count(node))) {
		config_report_add_at(reader->report, false, SOURCE, (struct document_mark){0, 0},
				     path, "the list has not that many items");
		return NULL;
	}
	child = want == DOCUMENT_SEQUENCE ? document_item(node, index) : document_find(node, name);
	if (child == NULL) {
		child = document_new(reader->scratch, DOCUMENT_SCALAR, SOURCE);
		child->plain = true; /* absent until something is put below or in its place */
		document_append(node, want == DOCUMENT_MAPPING ? name : span_make(NULL, 0), child);
	}
	return child;
}

void config_read_override(struct config_reader *reader, struct document_node *root,
			  const char *setting)
{
	const char *copy = arena_strdup(reader->scratch, setting);
	size_t equals = span_find(span_of(copy), '=');
	struct span keys = span_first(span_of(copy), equals);
	const char *path = arena_span_dup(reader->scratch, keys);
	struct document_node *node = root;

	if (equals == strlen(copy) || keys.len == 0) {
		config_report_add_at(reader->report, false, SOURCE, (struct document_mark){0, 0},
				     path, "KEY=VALUE was expected, as in smtp.max_recipients=5");
		return;
	}
	if (span_ends_fold(keys, span_of(".password")) || span_ends_fold(keys, span_of(".token")))
		config_report_add_at(reader->report, true, SOURCE, (struct document_mark){0, 0},
				     path,
				     "everybody on this machine can read a command line: "
				     "password_file and token_file are for secrets");
	while (keys.data != NULL && node != NULL)
		node = step(reader, node, span_cut(&keys, '.'), path);
	if (node != NULL)
		document_replace(node,
				 parse_value(reader, span_skip(span_of(copy), equals + 1), path));
}
