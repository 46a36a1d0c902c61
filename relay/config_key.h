/* relay/config_key.h - every key of the configuration: its name, form, default and place */
#ifndef STAGEPOST_RELAY_CONFIG_KEY_H
#define STAGEPOST_RELAY_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/config_check.h"
#include "relay/config_value.h"

/* In brackets: what stands in the struct at `offset` (and at `count_offset`). */
enum config_type {
	CONFIG_TEXT,	 /* const char * */
	CONFIG_BOOL,	 /* bool */
	CONFIG_CHOICE,	 /* an enum; its values are the indexes into `choices` plus first_choice */
	CONFIG_COUNT,	 /* size_t */
	CONFIG_SIZE,	 /* int64_t, octets */
	CONFIG_DECIMAL,	 /* int64_t, thousandths */
	CONFIG_TIME,	 /* int64_t, milliseconds */
	CONFIG_TEXTS,	 /* const char *const *, size_t */
	CONFIG_TIMES,	 /* const int64_t *, size_t */
	CONFIG_PATTERNS, /* const struct pattern *, size_t */
	CONFIG_SECTION,	 /* nothing of its own: `keys` lie in the same struct */
	CONFIG_ITEMS,	 /* an array of structs of item_size, each described by `keys`; size_t */
	CONFIG_MAP,	 /* the same, written `first: second`: `keys` are two, both CONFIG_TEXT */
	CONFIG_LATER	 /* nothing: a known name that this version does not build */
};

struct config_key {
	const char *name; /* NULL ends a table */
	enum config_type type;
	size_t offset;
	size_t count_offset;
	/*
	 * The default, as YAML. NULL: the key must be given (CONFIG_TEXT, CONFIG_TEXTS), or
	 * config.c fills it in. CONFIG_LATER: what is in force.
	 */
	const char *fallback;
	bool required;
	bool restart;		   /* a change needs a restart */
	bool secret;		   /* CONFIG_TEXT: never shown */
	bool unique;		   /* CONFIG_TEXT in items: no two may be equal */
	struct config_range range; /* of the value; of a list: how many items */
	struct config_range each;  /* CONFIG_TIMES: of one item */
	const char *never;	   /* CONFIG_TIME: a word for 0, beside the times of the range */
	const char *const *choices;
	int first_choice;
	config_check_fn *check;
	const struct config_key *keys;
	size_t item_size;
};

/* The top level; offsets are into struct config. In the order people read them. */
extern const struct config_key config_keys[];

/* The key `name` in a table, or NULL. */
const struct config_key *config_key_find(const struct config_key *keys, struct span name);

/*
 * What somebody who wrote `name` may have meant: the nearest name in `keys`
 * by edit distance, or the dotted path of the very name elsewhere ("smtp.max_errors"), or "".
 */
#define CONFIG_PATH_SIZE 128
void config_key_nearest(const struct config_key *keys, struct span name,
			char path_out[CONFIG_PATH_SIZE]);
/* The nearest of `words` (NULL ends them), or NULL. */
const char *config_word_nearest(const char *const *words, struct span word);

#endif
