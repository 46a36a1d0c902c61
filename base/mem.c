/* base/mem.c - memory that is there or ends the process, and arenas */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/secret.h"

#define ARENA_BLOCK_BYTES 4064
#define ARENA_ALIGN	  16

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	_Alignas(ARENA_ALIGN) char bytes[];
};

struct arena {
	struct arena_block *blocks;
};

static void *must_have(void *ptr)
{
	if (ptr == NULL) {
		fputs("stagepost: out of memory\n", stderr);
		abort();
	}
	return ptr;
}

static size_t must_multiply(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total)) {
		fputs("stagepost: size overflow\n", stderr);
		abort();
	}
	return total;
}

void *mem_alloc(size_t size)
{
	return must_have(malloc(size > 0 ? size : 1));
}

void *mem_zalloc(size_t size)
{
	return must_have(calloc(1, size > 0 ? size : 1));
}

void *mem_array(size_t count, size_t size)
{
	return mem_zalloc(must_multiply(count, size));
}

void *mem_realloc(void *old, size_t size)
{
	return must_have(realloc(old, size > 0 ? size : 1));
}

void *mem_regrow(void *old, size_t count, size_t size)
{
	return mem_realloc(old, must_multiply(count, size));
}

char *mem_strdup(const char *text)
{
	return text != NULL ? mem_span_dup(span_of(text)) : NULL;
}

char *mem_span_dup(struct span s)
{
	char *copy = mem_alloc(s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}

void mem_free(void *ptr)
{
	free(ptr);
}

void mem_trim(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}

struct arena *arena_new(void)
{
	return mem_zalloc(sizeof(struct arena));
}

void arena_free(struct arena **arena)
{
	struct arena_block *block;

	if (*arena == NULL)
		return;
	block = (*arena)->blocks;
	while (block != NULL) {
		struct arena_block *next = block->next;

		mem_free(block);
		block = next;
	}
	mem_free(*arena);
	*arena = NULL;
}

void arena_wipe(struct arena **arena)
{
	if (*arena == NULL)
		return;
	for (struct arena_block *block = (*arena)->blocks; block != NULL; block = block->next)
		secret_wipe(block->bytes, block->used);
	arena_free(arena);
}

/* Large wishes get a block of their own behind the head, so that the head's rest stays usable. */
static struct arena_block *add_block(struct arena *arena, size_t size)
{
	bool own = size > ARENA_BLOCK_BYTES;
	size_t room = own ? size : ARENA_BLOCK_BYTES;
	struct arena_block *block = mem_alloc(sizeof(*block) + room);

	block->size = room;
	block->used = 0;
	if (own && arena->blocks != NULL) {
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	} else {
		block->next = arena->blocks;
		arena->blocks = block;
	}
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	size_t rounded;
	void *ptr;

	if (size > SIZE_MAX / 2)
		must_have(NULL);
	rounded = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (block == NULL || block->size - block->used < rounded)
		block = add_block(arena, rounded);
	ptr = block->bytes + block->used;
	block->used += rounded;
	return ptr;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
	return memset(arena_alloc(arena, size), 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	return arena_zalloc(arena, must_multiply(count, size));
}

char *arena_span_dup(struct arena *arena, struct span s)
{
	char *copy = arena_alloc(arena, s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text != NULL ? arena_span_dup(arena, span_of(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_list again;
	char *text;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		len = 0;
	text = arena_alloc(arena, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return text;
}
