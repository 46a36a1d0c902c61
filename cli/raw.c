/* cli/raw.c - bytes of somebody's to standard output: as they are, but not to a terminal */
#include <config.h>

#include "cli/raw.h"

#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/text.h"

#define LINE_ROOM ((size_t)64 * 1024) /* a longer line is cleaned in pieces */

struct raw {
	struct buf line; /* whose end has not come yet */
};

/* Up to the next tab or the end. */
static void write_clean(struct span text)
{
	struct buf clean;

	buf_init(&clean, 8 * LINE_ROOM);
	text_clean(&clean, text);
	(void)fwrite(clean.data, 1, clean.len, stdout);
	buf_release(&clean);
}

static void write_line(struct raw *raw, const char *end)
{
	struct span rest = buf_span(&raw->line);

	/* A CR in front of a line end is part of it (RFC 5322 2.1). */
	if (end[0] != '\0' && rest.len > 0 && rest.data[rest.len - 1] == '\r')
		rest = span_first(rest, rest.len - 1);
	while (rest.len > 0) {
		size_t tab = span_find(rest, '\t');

		write_clean(span_first(rest, tab));
		if (tab < rest.len)
			fputc('\t', stdout);
		rest = span_skip(rest, tab < rest.len ? tab + 1 : tab);
	}
	fputs(end, stdout);
	buf_clear(&raw->line);
}

static ssize_t on_write(void *ctx, const char *bytes, size_t len)
{
	struct raw *raw = ctx;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n')
			write_line(raw, "\n");
		else if (buf_append_char(&raw->line, bytes[i]) != ERR_OK) {
			write_line(raw, "");
			(void)buf_append_char(&raw->line, bytes[i]);
		}
	}
	return ferror(stdout) != 0 ? 0 : (ssize_t)len;
}

static int on_close(void *ctx)
{
	struct raw *raw = ctx;

	write_line(raw, "");
	buf_release(&raw->line);
	mem_free(raw);
	return 0;
}

FILE *raw_open(void)
{
	static const cookie_io_functions_t functions = {.write = on_write, .close = on_close};
	struct raw *raw;
	FILE *out;

	if (isatty(STDOUT_FILENO) != 1)
		return stdout;
	raw = mem_zalloc(sizeof(*raw));
	buf_init(&raw->line, LINE_ROOM);
	out = fopencookie(raw, "w", functions);
	if (out != NULL)
		return out;
	buf_release(&raw->line);
	mem_free(raw);
	return NULL;
}

void raw_close(FILE *out)
{
	if (out != NULL && out != stdout)
		(void)fclose(out);
}
