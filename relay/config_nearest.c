/* relay/config_nearest.c - what somebody who mistyped a name may have meant */
#include <stdio.h>

#include "relay/config_key.h"

#define WORD_MAX 32

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * Edits (insert, delete, replace, swap neighbours) from one to the other,
 * without regard to ASCII case. Longer words than WORD_MAX are never near.
 */
static size_t distance(struct span a, struct span b)
{
	size_t rows[3][WORD_MAX + 1]; /* the row before the last, the last, this one: by turns */

	if (a.len > WORD_MAX || b.len > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3];
		const size_t *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			char x = ascii_lower(a.data[i - 1]);
			char y = ascii_lower(b.data[j - 1]);

			row[j] = least(above[j - 1] + (x == y ? 0 : 1),
				       least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == ascii_lower(b.data[j - 2]) &&
			    y == ascii_lower(a.data[i - 2]))
				row[j] = least(row[j], above2[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

/* Nearer than *best and near enough to be a slip: a third of the letters. */
static bool is_nearer(struct span word, const char *known, size_t *best)
{
	size_t edits = distance(word, span_of(known));

	if (edits >= *best || edits > 1 + word.len / 4)
		return false;
	*best = edits;
	return true;
}

const char *config_word_nearest(const char *const *words, struct span word)
{
	const char *found = NULL;
	size_t best = WORD_MAX;

	for (; *words != NULL; words++)
		if (is_nearer(word, *words, &best))
			found = *words;
	return found;
}

/* The dotted path of `name` anywhere below `keys`, "" when there is none. */
static bool find_elsewhere(const struct config_key *keys, struct span name, const char *prefix,
			   char path_out[CONFIG_PATH_SIZE])
{
	for (; keys->name != NULL; keys++) {
		char path[CONFIG_PATH_SIZE];
		int len = snprintf(path, sizeof(path), "%s%s%s", prefix,
				   prefix[0] != '\0' ? "." : "", keys->name);

		if (len < 0 || (size_t)len + sizeof(".0") > sizeof(path))
			continue;
		if (span_is(name, keys->name)) {
			memcpy(path_out, path, (size_t)len + 1);
			return true;
		}
		if (keys->type == CONFIG_ITEMS)
			memcpy(path + len, ".0", sizeof(".0"));
		if (keys->keys != NULL && find_elsewhere(keys->keys, name, path, path_out))
			return true;
	}
	return false;
}

void config_key_nearest(const struct config_key *keys, struct span name,
			char path_out[CONFIG_PATH_SIZE])
{
	size_t best = WORD_MAX;

	path_out[0] = '\0';
	for (const struct config_key *key = keys; key->name != NULL; key++)
		if (is_nearer(name, key->name, &best))
			snprintf(path_out, CONFIG_PATH_SIZE, "%s", key->name);
	if (path_out[0] == '\0')
		find_elsewhere(config_keys, name, "", path_out);
}
