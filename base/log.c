/* base/log.c - one event, one line, for people (text) or machines (JSON lines) */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#define LINE_MAX_BYTES	8192
#define VALUE_MAX_BYTES 512

static _Atomic int current_format = LOG_TEXT;
static _Atomic int current_level = LOG_INFO;
static _Atomic int current_fd = STDERR_FILENO;
static _Atomic uint64_t dropped;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_configure(const struct log_options *options)
{
	atomic_store(&current_format, (int)options->format);
	atomic_store(&current_level, (int)options->level);
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load(&current_level);
}

uint64_t log_dropped(void)
{
	return atomic_load(&dropped);
}

void log_redirect(int fd)
{
	atomic_store(&current_fd, fd);
}

/* One UTF-8 character or one escaped byte. Returns the bytes used. C1 controls and the bidi marks
 * are escaped too. */
static size_t put_char(struct buf *line, struct span s)
{
	unsigned char c = (unsigned char)s.data[0];

	if (c == '"' || c == '\\') {
		buf_printf(line, "\\%c", c);
		return 1;
	}
	if (c >= 0x20 && c < 0x7f) {
		buf_append_char(line, (char)c);
		return 1;
	}
	for (size_t len = 2; c >= 0xc2 && len <= 4 && len <= s.len; len++) {
		struct span one = span_first(s, len);

		if (!span_is_utf8(one))
			continue;
		if (c == 0xc2 && (unsigned char)s.data[1] < 0xa0)
			break;
		if (c == 0xe2 &&
		    ((unsigned char)s.data[1] == 0x80 || (unsigned char)s.data[1] == 0x81))
			break;
		buf_append_span(line, one);
		return len;
	}
	buf_printf(line, "\\u%04x", c);
	return 1;
}

static void put_quoted(struct buf *line, struct span value)
{
	bool cut = value.len > VALUE_MAX_BYTES;

	value = span_first(value, VALUE_MAX_BYTES);
	buf_append_char(line, '"');
	while (value.len > 0)
		value = span_skip(value, put_char(line, value));
	buf_append_text(line, cut ? "...\"" : "\"");
}

/* A text value without blanks, quotes, `=` and controls needs no quotes. */
static bool is_plain(struct span value)
{
	if (value.len == 0 || value.len > VALUE_MAX_BYTES)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c <= 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return true;
}

static void put_value(struct buf *line, const struct log_field *field, bool json)
{
	if (field->kind == LOG_FIELD_INT)
		buf_printf(line, "%lld", (long long)field->number);
	else if (field->kind == LOG_FIELD_BOOL)
		buf_append_text(line, field->number ? "true" : "false");
	else if (!json && is_plain(field->text))
		buf_append_span(line, field->text);
	else
		put_quoted(line, field->text);
}

static void put_line(struct buf *line, bool json, enum log_level level, const char *event,
		     const struct log_field *fields, size_t count)
{
	char now[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(clock_wall_ms(), now);
	buf_printf(line, json ? "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"" : "%s %s %s",
		   now, level_names[level], event);
	for (size_t i = 0; i < count; i++) {
		size_t before = line->len;

		if (fields[i].kind == LOG_FIELD_SPAN && fields[i].text.data == NULL)
			continue;
		buf_printf(line, json ? ",\"%s\":" : " %s=", fields[i].key);
		put_value(line, &fields[i], json);
		if (line->len > LINE_MAX_BYTES - 64) {
			buf_truncate(line, before);
			break;
		}
	}
	buf_append_text(line, json ? "}\n" : "\n");
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
	       size_t count)
{
	struct buf line;
	ssize_t put;

	if (!log_wants(level))
		return;
	buf_init(&line, LINE_MAX_BYTES);
	put_line(&line, atomic_load(&current_format) == LOG_JSON, level, event, fields, count);
	do {
		put = write(atomic_load(&current_fd), line.data, line.len);
	} while (put < 0 && errno == EINTR);
	if (put != (ssize_t)line.len)
		atomic_fetch_add(&dropped, 1);
	buf_release(&line);
}
