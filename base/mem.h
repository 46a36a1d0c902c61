/* base/mem.h - memory that is there or ends the process, and arenas */
#ifndef STAGEPOST_BASE_MEM_H
#define STAGEPOST_BASE_MEM_H

#include <stddef.h>

#include "base/span.h"

/*
 * These abort when memory ends: a size that a peer picks is capped before it
 * gets here. Free with mem_free (accepts NULL).
 */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
/* count * size, checked for overflow, zeroed. */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
/* old or new array of `count` items of `size`, checked for overflow. */
void *mem_regrow(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
/* NULL gives NULL. */
char *mem_strdup(const char *text);
/* A C string of the span's bytes; a NUL inside the span ends the string early for C readers. */
char *mem_span_dup(struct span s) __attribute__((malloc, returns_nonnull));
void mem_free(void *ptr);
/*
 * Give free pages back to the system, where the allocator keeps them: after a
 * peak that long-lived pieces have broken up. Some milliseconds; any thread.
 */
void mem_trim(void);

/*
 * An arena: many small things with one death. Everything taken from it is
 * freed by arena_free and by nothing else. One thread at a time.
 */
struct arena;

struct arena *arena_new(void);
void arena_free(struct arena **arena);
/* The same when secrets are in it: overwritten first. */
void arena_wipe(struct arena **arena);
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
void *arena_zalloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
void *arena_array(struct arena *arena, size_t count, size_t size)
	__attribute__((malloc, returns_nonnull));
/* A NUL-terminated copy. */
char *arena_span_dup(struct arena *arena, struct span s) __attribute__((malloc, returns_nonnull));
/* NULL gives NULL. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
