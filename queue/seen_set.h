/* queue/seen_set.h - recipients noted in memory until they are written down; private to queue/ */
#ifndef STAGEPOST_QUEUE_SEEN_SET_H
#define STAGEPOST_QUEUE_SEEN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* What does not fit any more is not noted. */
#define SEEN_SET_MAX 8192

struct seen_item {
	char *address; /* ASCII lower case */
	char *scope;
	int64_t at;
	bool refused;
};

/* Each (address, scope) once, with what was noted last. The writer's own. */
struct seen_set;

struct seen_set *seen_set_new(void);
void seen_set_free(struct seen_set **set);
void seen_set_note(struct seen_set *set, struct span address, struct span scope, int64_t at,
		   bool refused);
size_t seen_set_count(const struct seen_set *set);
const struct seen_item *seen_set_item(const struct seen_set *set, size_t n);
/* Forget the items [from, from + count). */
void seen_set_forget(struct seen_set *set, size_t from, size_t count);

#endif
