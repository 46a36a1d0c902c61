/* base/document.h - a YAML document as a plain tree that remembers where everything stood */
#ifndef STAGEPOST_BASE_DOCUMENT_H
#define STAGEPOST_BASE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/span.h"

/*
 * The part of YAML that means one thing only: mappings with scalar keys,
 * sequences and scalars. Aliases, anchors, tags, merge keys, several
 * documents and duplicate keys are mistakes, each with its place.
 */

#define DOCUMENT_MAX_BYTES ((size_t)1 << 20)
#define DOCUMENT_MAX_DEPTH 16
#define DOCUMENT_MAX_NODES 20000

/* Both count from 1; columns count characters, as editors do. {0, 0}: no place in a file. */
struct document_mark {
	size_t line;
	size_t column;
};

enum document_kind { DOCUMENT_SCALAR, DOCUMENT_MAPPING, DOCUMENT_SEQUENCE };

/*
 * One value. Inside a mapping `key` names it; in a sequence key is empty.
 * Children of a mapping or sequence hang on `first` and `next` in the order
 * of the file. Owned by the arena given to document_parse.
 */
struct document_node {
	enum document_kind kind;
	struct document_mark mark;
	const char *source; /* the name given to document_parse */
	struct span text;   /* DOCUMENT_SCALAR: its characters, NUL-terminated behind the span */
	bool plain;	    /* DOCUMENT_SCALAR: written without quotes and not as a block */
	struct span key;
	struct document_mark key_mark;
	struct document_node *first;
	struct document_node *last;
	struct document_node *next;
};

struct document_ops {
	/* Every mistake, in the order of the text. */
	void (*on_mistake)(void *ctx, const char *source, struct document_mark mark,
			   const char *sentence);
	/* The mistake just told ended the reading: the tree holds what stood before it. */
	void (*on_cut)(void *ctx);
};

/*
 * Build the tree of `text`. `source` (a file name) must live as long as the
 * arena. An empty text gives an empty mapping, a plain scalar without
 * characters stays a scalar. Always gives a tree: what was read up to the
 * first error of the YAML itself (after that nothing more can be trusted).
 * Returns ERR_OK, or ERR_SYNTAX or ERR_LIMIT when anything was reported to `ops`.
 */
int document_parse(struct span text, const char *source, struct arena *arena,
		   const struct document_ops *ops, void *ctx, struct document_node **root_out);

/* The value of `key` in a mapping, or NULL; NULL too when `node` is no mapping. */
struct document_node *document_find(const struct document_node *node, struct span key);
/* Item `index` of a sequence, or NULL. */
struct document_node *document_item(const struct document_node *node, size_t index);
size_t document_count(const struct document_node *node);

/* Trees by hand (defaults, command line). All in `arena`, without a place. */
struct document_node *document_new(struct arena *arena, enum document_kind kind,
				   const char *source);
void document_append(struct document_node *parent, struct span key, struct document_node *child);
/* Put `value` where the value of `node` was; key and neighbours stay. */
void document_replace(struct document_node *node, const struct document_node *value);

/* "a mapping", "a list", "a value": for sentences. */
const char *document_kind_name(enum document_kind kind);

#endif
