/* admin/value.h - cursors as the API writes them */
#ifndef STAGEPOST_ADMIN_VALUE_H
#define STAGEPOST_ADMIN_VALUE_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/*
 * Where a page ended. Opaque to clients and checked when it comes back: one
 * made for another list, or typed by hand, is ERR_SYNTAX. A cursor survives
 * the deletion of the row it names.
 */
enum cursor_kind {
	CURSOR_WHITELIST = 'w',
	CURSOR_MESSAGES = 'm',
	CURSOR_RECIPIENTS = 'r',
	CURSOR_AUDIT = 'a',
	CURSOR_HISTORY = 'h',
	CURSOR_TOKENS = 't',
	CURSOR_DEAD_LETTERS = 'd'
};
#define CURSOR_TEXT_SIZE 48

void cursor_format_id(enum cursor_kind kind, int64_t id, char text_out[CURSOR_TEXT_SIZE]);
int cursor_parse_id(enum cursor_kind kind, struct span text, int64_t *id_out, struct err *why);

#endif
