/* relay/mail/fold.c - writing a header field: no line too long, none of blanks alone */
#include "relay/mail/fold.h"

#include <stdbool.h>

#include "base/err.h"

static void put(struct fold *fold, struct span text)
{
	if (fold->code == ERR_OK)
		fold->code = buf_append_span(fold->out, text);
	fold->column += text.len;
}

static void break_line(struct fold *fold)
{
	put(fold, span_of("\r\n"));
	fold->column = 0;
}

void fold_begin(struct fold *fold, struct buf *out, const char *prefix, struct span name)
{
	*fold = (struct fold){.out = out};
	put(fold, span_of(prefix));
	put(fold, name);
	put(fold, span_of(":"));
}

void fold_word(struct fold *fold, struct span word)
{
	if (fold->column + 1 + word.len > FOLD_LINE_USUAL)
		break_line(fold);
	put(fold, span_of(" "));
	put(fold, word);
}

void fold_join(struct fold *fold, const char *text)
{
	put(fold, span_of(text));
}

/*
 * Where to break a line that does not fit behind what stands on the line
 * under way: in front of the last blank that leaves more than blanks before
 * it; line.len: nowhere.
 */
static size_t find_break(const struct fold *fold, struct span line)
{
	bool filled = fold->column > 1; /* a single octet is the blank of a fold */
	size_t at = line.len;

	for (size_t i = 0; i < line.len && fold->column + i <= FOLD_LINE_MAX; i++) {
		if (!ascii_is_blank(line.data[i]))
			filled = true;
		else if (filled)
			at = i;
	}
	return at;
}

/* There is no blank: as far as it goes, but not inside a character (RFC 6532). */
static size_t cut_anywhere(const struct fold *fold, struct span line)
{
	size_t at = FOLD_LINE_MAX - fold->column;

	for (int i = 0; i < 3 && ((unsigned char)line.data[at] & 0xc0) == 0x80; i++)
		at--;
	return at;
}

static bool fits(const struct fold *fold, struct span line)
{
	return fold->column + line.len <= FOLD_LINE_MAX;
}

static size_t choose_break(const struct fold *fold, struct span line)
{
	size_t at = fits(fold, line) ? line.len : find_break(fold, line);

	return at < line.len || fits(fold, line) ? at : cut_anywhere(fold, line);
}

static struct span without_end_blanks(struct span line)
{
	while (line.len > 0 && ascii_is_blank(line.data[line.len - 1]))
		line.len--;
	return line;
}

/* At the start of a line: a fold wants one. Not of blanks alone. */
static struct span with_one_blank(struct span line)
{
	while (ascii_is_blank(line.data[0]) && ascii_is_blank(line.data[1]))
		line = span_skip(line, 1);
	return line;
}

/* In as many lines as it takes, none of them of blanks alone. */
static void put_long_line(struct fold *fold, struct span line)
{
	line = without_end_blanks(line);
	while (line.len > 0) {
		size_t at;

		if (fold->column == 0)
			line = with_one_blank(line);
		at = choose_break(fold, line);
		put(fold, span_first(line, at));
		line = span_skip(line, at);
		if (line.len == 0)
			break;
		break_line(fold);
		if (!ascii_is_blank(line.data[0]))
			put(fold, span_of(" "));
	}
}

static void put_line(struct fold *fold, struct span line)
{
	if (fits(fold, line))
		put(fold, line);
	else
		put_long_line(fold, line);
}

void fold_body(struct fold *fold, struct span body)
{
	while (body.len > 0 && fold->code == ERR_OK) {
		size_t end = span_find(body, '\n');
		size_t len = end;

		if (end < body.len && len > 0 && body.data[len - 1] == '\r')
			len--;
		put_line(fold, span_first(body, len));
		if (end < body.len) {
			put(fold, span_make(body.data + len, end + 1 - len));
			fold->column = 0;
		}
		body = span_skip(body, end + 1);
	}
}

int fold_end(struct fold *fold)
{
	break_line(fold);
	return fold->code;
}
