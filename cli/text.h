/* cli/text.h - words for a terminal: nothing in mail may move its cursor */
#ifndef STAGEPOST_CLI_TEXT_H
#define STAGEPOST_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * Append `text` so that it is safe to show on one line: control characters
 * (C0, DEL, C1), line separators, and what turns the writing direction or is
 * invisible come out as \n, \t, \x1b, \u{202e}; bytes that are no UTF-8 as \xff.
 * A backslash stays one: the result is for eyes, not for reading back.
 */
void text_clean(struct buf *out, struct span text);

/*
 * Columns that cleaned text takes: by wcwidth where the thread's locale has a
 * UTF-8 charset (text_use_utf8), else roughly.
 */
size_t text_width(struct span clean);
/* The longest front of cleaned text that takes at most `width` columns. */
struct span text_front(struct span clean, size_t width);

/*
 * For this thread, until it ends: characters (LC_CTYPE) are those of UTF-8,
 * whatever the environment says. Where there is no such locale nothing changes.
 */
void text_use_utf8(void);

#define TEXT_SHORT_SIZE 32
/* "42s", "5m", "3h", "12d"; below a second "0s". */
void text_duration(int64_t ms, char text_out[TEXT_SHORT_SIZE]);
/* "512", "4.7k", "25M": octets, in steps of 1024. */
void text_size(int64_t bytes, char text_out[TEXT_SHORT_SIZE]);

#endif
