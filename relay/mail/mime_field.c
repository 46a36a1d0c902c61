/* relay/mail/mime_field.c - reading a value and its parameters, as RFC 2231 has cut them up */
#include "relay/mail/mime_field.h"

#include <stdio.h>

#include "relay/mail/charset.h"
#include "relay/mail/header.h"
#include "relay/mail/lexer.h"

#define PIECES_MAX 64 /* of one parameter: more than 4 KiB of a name on lines of 78 */

/* --- the value ------------------------------------------------------------------------------- */

/* RFC 2045 5.1 */
static bool is_token(char c)
{
	return c > ' ' && c < 127 && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static struct span token_take(struct span *rest)
{
	struct span token;
	size_t len = 0;

	while (len < rest->len && is_token(rest->data[len]))
		len++;
	token = span_first(*rest, len);
	*rest = span_skip(*rest, len);
	return token;
}

static int append_folded(struct span token, struct buf *out)
{
	int code = buf_append_span(out, token);

	for (size_t i = out->len - token.len; code == ERR_OK && i < out->len; i++)
		out->data[i] = ascii_lower(out->data[i]);
	return code;
}

int mime_field_value(struct span *rest, struct buf *out)
{
	struct span left = *rest;
	size_t before = out->len;
	struct span token;
	int code;

	lexer_cfws(&left);
	token = token_take(&left);
	if (token.len == 0)
		return ERR_SYNTAX;
	code = append_folded(token, out);
	lexer_cfws(&left);
	if (code == ERR_OK && lexer_take(&left, '/')) {
		lexer_cfws(&left);
		token = token_take(&left);
		code = token.len > 0 ? buf_append_char(out, '/') : ERR_SYNTAX;
		if (code == ERR_OK)
			code = append_folded(token, out);
	}
	if (code == ERR_OK)
		*rest = left;
	else
		buf_truncate(out, before);
	return code;
}

/* --- parameters, as they stand there --------------------------------------------------------- */

/* Up to and including the next `;`, whatever is in between; false at the end. */
static bool semicolon_take(struct span *rest)
{
	while (rest->len > 0 && !lexer_take(rest, ';')) {
		if (lexer_at(*rest, '"'))
			lexer_quoted(rest, NULL);
		else if (lexer_at(*rest, '('))
			lexer_cfws(rest);
		else
			*rest = span_skip(*rest, 1);
		if (rest->len == 0)
			return false;
	}
	return rest->len > 0;
}

static struct span run_take(struct span *rest, const char *stop)
{
	struct span run;
	size_t len = 0;

	while (len < rest->len &&
	       (rest->data[len] == '\0' || strchr(stop, rest->data[len]) == NULL))
		len++;
	run = span_first(*rest, len);
	*rest = span_skip(*rest, len);
	return run;
}

/* A quoted string with its quotes, or what stands there bare, blanks inside it too. */
static struct span value_take(struct span *rest)
{
	struct span before = *rest;

	if (!lexer_at(*rest, '"'))
		return span_trim(run_take(rest, ";\"(\r\n"));
	lexer_quoted(rest, NULL);
	return span_first(before, before.len - rest->len);
}

static bool parameter_next(struct span *rest, struct span *name_out, struct span *value_out)
{
	while (semicolon_take(rest)) {
		lexer_cfws(rest);
		*name_out = run_take(rest, "=; \t\r\n\"(");
		lexer_cfws(rest);
		if (name_out->len > 0 && lexer_take(rest, '=')) {
			lexer_cfws(rest);
			*value_out = value_take(rest);
			return true;
		}
	}
	return false;
}

/* --- and as they belong together (RFC 2231 3, 4) ---------------------------------------------- */

struct piece {
	struct span value; /* data NULL: not there */
	bool coded;	   /* percent signs, and in the first a charset */
};

struct gathered {
	struct piece plain;
	struct piece whole; /* name* */
	struct piece pieces[PIECES_MAX];
};

static void keep_first(struct piece *piece, struct span value, bool coded)
{
	if (piece->value.data == NULL)
		*piece = (struct piece){span_make(value.data != NULL ? value.data : "", value.len),
					coded};
}

/* What is behind the parameter's own name: "", "*", "*0" or "*0*". */
static void sort_in(struct gathered *all, struct span tail, struct span value)
{
	bool coded = tail.len > 1 && tail.data[tail.len - 1] == '*';
	uint64_t number;

	if (tail.len == 0)
		keep_first(&all->plain, value, false);
	else if (span_is(tail, "*"))
		keep_first(&all->whole, value, true);
	else if (tail.data[0] == '*' &&
		 span_to_u64(span_make(tail.data + 1, tail.len - 1 - (coded ? 1 : 0)),
			     PIECES_MAX - 1, &number) == ERR_OK)
		keep_first(&all->pieces[number], value, coded);
}

static void gather(struct span rest, const char *name, struct gathered *all_out)
{
	struct span wanted = span_of(name);
	struct span found, value;

	*all_out = (struct gathered){0};
	while (parameter_next(&rest, &found, &value))
		if (span_equal_fold(span_first(found, wanted.len), wanted))
			sort_in(all_out, span_skip(found, wanted.len), value);
}

static void percent_decode(struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		int high = i + 2 < text.len ? ascii_hex_value(text.data[i + 1]) : -1;
		int low = i + 2 < text.len ? ascii_hex_value(text.data[i + 2]) : -1;

		if (c == '%' && high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		}
		(void)buf_append_char(out, c); /* there is room for all of `text` */
	}
}

/* What a parameter comes to. */
struct content {
	struct buf bytes;
	bool coded; /* of the charset named here; else encoded words may be in it */
	char charset[CHARSET_NAME_SIZE];
};

/* charset'language'text: the charset is cut off the front. */
static struct span charset_cut(struct span text, char charset_out[CHARSET_NAME_SIZE])
{
	size_t first = span_find(text, '\'');
	size_t second = first + 1 + span_find(span_skip(text, first + 1), '\'');

	if (second >= text.len)
		return text;
	(void)snprintf(charset_out, CHARSET_NAME_SIZE, "%.*s", SPAN_ARG(span_first(text, first)));
	return span_skip(text, second + 1);
}

static void piece_append(const struct piece *piece, bool is_first, struct content *content)
{
	struct span rest = piece->value;
	struct span text = rest;
	struct buf unquoted;

	buf_init(&unquoted, rest.len);
	if (lexer_at(rest, '"')) {
		lexer_quoted(&rest, &unquoted);
		text = buf_span(&unquoted);
	}
	if (is_first && piece->coded)
		text = charset_cut(text, content->charset);
	if (piece->coded)
		percent_decode(text, &content->bytes);
	else
		(void)buf_append_span(&content->bytes, text);
	buf_release(&unquoted);
}

static bool is_there(const struct piece *piece)
{
	return piece->value.data != NULL;
}

/* content_release() in any case. */
static bool content_read(struct span rest, const char *name, struct content *content_out)
{
	struct gathered all;
	const struct piece *first;

	*content_out = (struct content){0};
	buf_init(&content_out->bytes, rest.len);
	gather(rest, name, &all);
	first = is_there(&all.whole)	   ? &all.whole
		: is_there(&all.pieces[0]) ? &all.pieces[0]
					   : &all.plain;
	if (!is_there(first))
		return false;
	content_out->coded = first->coded;
	piece_append(first, true, content_out);
	for (size_t i = 1; first == &all.pieces[0] && i < PIECES_MAX && is_there(&all.pieces[i]);
	     i++)
		piece_append(&all.pieces[i], false, content_out);
	return true;
}

int mime_field_bytes(struct span rest, const char *name, struct buf *out)
{
	struct content content;
	int code = ERR_NOT_FOUND;

	if (content_read(rest, name, &content))
		code = buf_append_span(out, buf_span(&content.bytes));
	buf_release(&content.bytes);
	return code;
}

static void convert(const struct content *content, struct buf *out)
{
	struct span charset = span_of(content->charset);
	struct charset_writer writer;

	charset_writer_init(&writer, out);
	if (charset.len == 0)
		charset = span_of("utf-8");
	else if (!charset_is_known(&writer, charset))
		charset = span_of("us-ascii");
	charset_write(&writer, charset, buf_span(&content->bytes));
	charset_writer_release(&writer);
}

int mime_field_text(struct span rest, const char *name, struct buf *out)
{
	struct content content;
	bool found = content_read(rest, name, &content);

	if (found && content.coded)
		convert(&content, out);
	else if (found)
		header_decode_display(buf_span(&content.bytes), out);
	buf_release(&content.bytes);
	return found ? ERR_OK : ERR_NOT_FOUND;
}
