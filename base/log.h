/* base/log.h - one event, one line, for people (text) or machines (JSON lines) */
#ifndef STAGEPOST_BASE_LOG_H
#define STAGEPOST_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum log_level {
	LOG_ERROR,   /* a person must act */
	LOG_WARNING, /* mail is late because of us */
	LOG_INFO,    /* a message, an attempt, an admin change */
	LOG_DEBUG
};

enum log_format { LOG_TEXT, LOG_JSON };

struct log_options {
	enum log_format format;
	enum log_level level; /* what is less important is left out */
};

/* Plain names end up in the line as they are: keys and event are our own literals. */
struct log_field {
	const char *key;
	enum { LOG_FIELD_SPAN, LOG_FIELD_INT, LOG_FIELD_BOOL } kind;
	struct span text;
	int64_t number;
};

#define LOG_S(k, v)    ((struct log_field){(k), LOG_FIELD_SPAN, span_of(v), 0})
#define LOG_SPAN(k, v) ((struct log_field){(k), LOG_FIELD_SPAN, (v), 0})
#define LOG_I(k, v)    ((struct log_field){(k), LOG_FIELD_INT, {NULL, 0}, (int64_t)(v)})
#define LOG_B(k, v)    ((struct log_field){(k), LOG_FIELD_BOOL, {NULL, 0}, (v) ? 1 : 0})

/*
 * log_info("accepted", LOG_S("message", id), LOG_I("recipients", 3));
 *
 * Writes one line to standard error with one write(2). Values may come from
 * peers: control bytes, quotes and bytes that are not UTF-8 are escaped and
 * each value is cut at 512 bytes. A value that is a NULL string is left out.
 * Never blocks the mail: a line that can't be written is counted and dropped
 * (log_dropped). Any thread; only edges log (STYLE.md).
 */
#define log_event(level, event, ...)                                                               \
	log_write((level), (event), (const struct log_field[]){__VA_ARGS__},                       \
		  sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define log_error(event, ...)	log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_WARNING, event, __VA_ARGS__)
#define log_info(event, ...)	log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)	log_event(LOG_DEBUG, event, __VA_ARGS__)

void log_write(enum log_level level, const char *event, const struct log_field *fields,
	       size_t count);

/* Any thread; in force for the next line. The default is text, info. */
void log_configure(const struct log_options *options);
bool log_wants(enum log_level level);
/* Lines that could not be written since the start. */
uint64_t log_dropped(void);
/* For tests: lines go to this descriptor instead of standard error. */
void log_redirect(int fd);

#endif
