/* base/buf.c - bytes being built, with a ceiling from birth */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"

#define BUF_SMALLEST 64

void buf_init(struct buf *buf, size_t max)
{
	assert(max < SIZE_MAX / 4);
	*buf = (struct buf){.max = max};
}

static char *block_of(const struct buf *buf)
{
	return buf->data != NULL ? buf->data - buf->front : NULL;
}

void buf_release(struct buf *buf)
{
	mem_free(block_of(buf));
	buf_init(buf, buf->max);
}

void buf_wipe(struct buf *buf)
{
	if (buf->data != NULL)
		secret_wipe(block_of(buf), buf->front + buf->room);
	buf_release(buf);
}

void buf_clear(struct buf *buf)
{
	buf_consume(buf, buf->len);
}

/* Move the bytes back to the start of the block. */
static void close_gap(struct buf *buf)
{
	char *block = block_of(buf);

	if (buf->front == 0)
		return;
	memmove(block, buf->data, buf->len + 1);
	buf->room += buf->front;
	buf->front = 0;
	buf->data = block;
}

static void grow(struct buf *buf, size_t need)
{
	size_t size = buf->room > 0 ? buf->room : BUF_SMALLEST;

	while (size < need)
		size *= 2;
	if (size > buf->max + 1)
		size = buf->max + 1;
	buf->data = mem_realloc(buf->data, size);
	buf->room = size;
}

char *buf_reserve(struct buf *buf, size_t len)
{
	size_t need;

	if (len > buf->max || buf->len > buf->max - len)
		return NULL;
	need = buf->len + len + 1;
	if (need > buf->room) {
		/* Slide only when it frees at least half the block: keeps appends linear. */
		if (buf->front > 0)
			close_gap(buf);
		if (need > buf->room || buf->room - need < buf->room / 4)
			if (need > buf->room || buf->room < buf->max + 1)
				grow(buf, need);
	}
	buf->data[buf->len] = '\0';
	return buf->data + buf->len;
}

void buf_fill(struct buf *buf, size_t len)
{
	assert(buf->len + len < buf->room);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

int buf_append(struct buf *buf, const void *data, size_t len)
{
	char *room = buf_reserve(buf, len);

	if (room == NULL)
		return ERR_LIMIT;
	if (len > 0)
		memcpy(room, data, len);
	buf_fill(buf, len);
	return ERR_OK;
}

int buf_append_span(struct buf *buf, struct span s)
{
	return buf_append(buf, s.data, s.len);
}

int buf_append_text(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

int buf_append_char(struct buf *buf, char c)
{
	return buf_append(buf, &c, 1);
}

int buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	char *room;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		return ERR_LIMIT;
	room = buf_reserve(buf, (size_t)len);
	if (room == NULL)
		return ERR_LIMIT;
	va_start(args, format);
	vsnprintf(room, (size_t)len + 1, format, args);
	va_end(args);
	buf_fill(buf, (size_t)len);
	return ERR_OK;
}

void buf_consume(struct buf *buf, size_t len)
{
	if (buf->data == NULL)
		return;
	if (len >= buf->len) {
		char *block = block_of(buf);

		buf->room += buf->front;
		buf->front = 0;
		buf->data = block;
		buf->len = 0;
		buf->data[0] = '\0';
		return;
	}
	buf->data += len;
	buf->front += len;
	buf->room -= len;
	buf->len -= len;
}

void buf_truncate(struct buf *buf, size_t len)
{
	if (len >= buf->len)
		return;
	buf->len = len;
	buf->data[len] = '\0';
}

void buf_shrink(struct buf *buf)
{
	if (buf->data == NULL)
		return;
	if (buf->len == 0) {
		buf_release(buf);
		return;
	}
	close_gap(buf);
	buf->room = buf->len + 1;
	buf->data = mem_realloc(buf->data, buf->room);
}

char *buf_take(struct buf *buf, size_t *len_out)
{
	char *data;

	if (buf->data == NULL)
		buf_reserve(buf, 0);
	close_gap(buf);
	data = buf->data;
	if (len_out != NULL)
		*len_out = buf->len;
	buf_init(buf, buf->max);
	return data;
}
