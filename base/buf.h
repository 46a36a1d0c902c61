/* base/buf.h - bytes being built, with a ceiling from birth */
#ifndef STAGEPOST_BASE_BUF_H
#define STAGEPOST_BASE_BUF_H

#include <stddef.h>

#include "base/span.h"

/*
 * Grows on demand up to `max` bytes and never past it. Read data/len freely,
 * change them only through the calls below. Between calls data[len] is NUL
 * when len > 0 or data is not NULL. Bytes taken off the front by buf_consume
 * cost nothing until the next growth.
 */
struct buf {
	char *data;
	size_t len;
	size_t max;
	size_t room;  /* private: bytes allocated behind data, NUL included */
	size_t front; /* private: consumed bytes in front of data */
};

void buf_init(struct buf *buf, size_t max);
void buf_release(struct buf *buf);
/* The same for secrets: whatever is in its memory is overwritten first. */
void buf_wipe(struct buf *buf);
/* Forget the bytes, keep the memory. */
void buf_clear(struct buf *buf);

/* Each adds all of it or nothing: ERR_OK, or ERR_LIMIT when it would pass `max`. */
int buf_append(struct buf *buf, const void *data, size_t len);
int buf_append_span(struct buf *buf, struct span s);
int buf_append_text(struct buf *buf, const char *text);
int buf_append_char(struct buf *buf, char c);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Room for at least `len` more bytes, to be filled by the caller and then
 * counted with buf_fill(). NULL when it would pass `max`.
 */
char *buf_reserve(struct buf *buf, size_t len);
void buf_fill(struct buf *buf, size_t len);

/* Drop `len` bytes (at most all) from the front, or keep only the first `len`. */
void buf_consume(struct buf *buf, size_t len);
void buf_truncate(struct buf *buf, size_t len);
/* Give unused memory back (idle connections). */
void buf_shrink(struct buf *buf);

/* Hand the bytes over as a NUL-terminated block for mem_free(); the buf is empty afterwards. */
char *buf_take(struct buf *buf, size_t *len_out);

static inline struct span buf_span(const struct buf *buf)
{
	return span_make(buf->data, buf->len);
}

#endif
