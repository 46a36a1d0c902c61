/* relay/mail/compose.c - a message made of texts and files, piece by piece */
#include "relay/mail/compose.h"

#include <assert.h>
#include <stdio.h>

#include "base/secret.h"
#include "base/ulid.h"
#include "relay/mail/encode.h"
#include "relay/mail/field.h"
#include "relay/mail/lexer.h"

#define BOUNDARY_SIZE (2 + 32 + 1)
#define PARTS_FIELDS  ((size_t)4096) /* of the header of one part */

/* The message is a row of these. */
struct piece {
	enum piece_kind { PIECE_LITERAL, PIECE_ENCODED } kind;
	struct span literal; /* what is still to be given */
	struct encode encode;
};

struct compose {
	struct arena *arena;
	struct piece *pieces;
	size_t count;
	size_t room;
	size_t at;
};

/* --- what may come in ------------------------------------------------------------------------ */

/* token of RFC 2045 5.1, off the front. */
static struct span take_token(struct span *rest)
{
	struct span all = *rest;
	size_t len = 0;

	while (len < all.len && all.data[len] > ' ' && all.data[len] <= '~' &&
	       strchr("()<>@,;:\\\"/[]?=", all.data[len]) == NULL)
		len++;
	*rest = span_skip(all, len);
	return span_first(all, len);
}

static bool takes_charset(struct span *rest)
{
	while (lexer_take(rest, ' '))
		;
	return span_is_fold(take_token(rest), "charset") && lexer_take(rest, '=') &&
	       take_token(rest).len > 0;
}

bool compose_is_type(struct span type)
{
	struct span rest = type;
	struct span main = take_token(&rest);

	if (type.len > COMPOSE_TYPE_MAX || main.len == 0 || !lexer_take(&rest, '/') ||
	    take_token(&rest).len == 0)
		return false;
	if (lexer_take(&rest, ';') && !takes_charset(&rest))
		return false;
	return rest.len == 0 && !span_is_fold(main, "multipart") && !span_is_fold(main, "message");
}

static bool is_base64_blank(char c)
{
	return ascii_is_blank(c) || c == '\r' || c == '\n';
}

bool compose_is_base64(struct span text)
{
	size_t digits = 0;
	size_t padding = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (is_base64_blank(c))
			continue;
		if (c == '=')
			padding++;
		else if (padding > 0 || !(ascii_is_alnum(c) || c == '+' || c == '/'))
			return false;
		digits++;
	}
	return digits % 4 == 0 && padding <= 2;
}

/* --- the row of pieces --------------------------------------------------------------------------
 */

static struct piece *add_piece(struct compose *c, enum piece_kind kind)
{
	assert(c->count < c->room);
	c->pieces[c->count] = (struct piece){.kind = kind};
	return &c->pieces[c->count++];
}

/* Copied. */
static void add_literal(struct compose *c, struct span text)
{
	add_piece(c, PIECE_LITERAL)->literal = span_make(arena_span_dup(c->arena, text), text.len);
}

static void add_encoded(struct compose *c, enum encode_kind kind, struct span bytes)
{
	encode_init(&add_piece(c, PIECE_ENCODED)->encode, kind, bytes);
}

/* "=_" stands in no quoted-printable and no base64, and nobody can guess the rest. */
static void make_boundary(char boundary_out[BOUNDARY_SIZE])
{
	unsigned char bytes[16];

	secret_random(bytes, sizeof(bytes));
	boundary_out[0] = '=';
	boundary_out[1] = '_';
	secret_hex(bytes, sizeof(bytes), boundary_out + 2);
}

static void add_boundary(struct compose *c, const char *boundary, bool last)
{
	char line[BOUNDARY_SIZE + 16];
	int len = snprintf(line, sizeof(line), "\r\n--%s%s\r\n", boundary, last ? "--" : "");

	add_literal(c, span_make(line, (size_t)len));
}

/* --- parts
 * ---------------------------------------------------------------------------------------- */

static void add_multipart(struct compose *c, const char *subtype, const char *boundary)
{
	char fields[160];
	int len = snprintf(fields, sizeof(fields),
			   "Content-Type: multipart/%s;\r\n boundary=\"%s\"\r\n", subtype,
			   boundary);

	add_literal(c, span_make(fields, (size_t)len));
}

static enum encode_kind add_text(struct compose *c, const char *subtype, struct span text)
{
	enum encode_kind kind = encode_choose(text);
	char fields[160];
	int len = snprintf(fields, sizeof(fields),
			   "Content-Type: text/%s; charset=%s\r\n"
			   "Content-Transfer-Encoding: %s\r\n\r\n",
			   subtype, span_is_ascii(text) ? "us-ascii" : "utf-8", encode_name(kind));

	add_literal(c, span_make(fields, (size_t)len));
	add_encoded(c, kind, text);
	return kind;
}

static bool ends_line(struct span text)
{
	char last = text.len > 0 ? text.data[text.len - 1] : '\n';

	return last == '\n' || last == '\r';
}

/* The whole message: then its last line wants an end. */
static void add_only_text(struct compose *c, const char *subtype, struct span text)
{
	if (add_text(c, subtype, text) == ENCODE_BASE64 || !ends_line(text))
		add_literal(c, span_of("\r\n"));
}

/* RFC 2183 2, RFC 2231 4: a name in ASCII is quoted, any other has its octets written out. */
static void put_filename(struct fold *fold, struct span name)
{
	static const char digits[] = "0123456789ABCDEF";
	char text[sizeof("filename*=utf-8''") + 3 * COMPOSE_FILENAME_MAX];
	bool ascii = span_is_ascii(name);
	int front = snprintf(text, sizeof(text), ascii ? "filename=\"" : "filename*=utf-8''");
	size_t len = (size_t)front;

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (ascii) {
			if (c == '"' || c == '\\')
				text[len++] = '\\';
			text[len++] = (char)c;
		} else if (ascii_is_alnum((char)c) || c == '.' || c == '-' || c == '_') {
			text[len++] = (char)c;
		} else {
			text[len++] = '%';
			text[len++] = digits[c >> 4];
			text[len++] = digits[c & 15];
		}
	}
	if (ascii)
		text[len++] = '"';
	fold_word(fold, span_make(text, len));
}

static void add_file(struct compose *c, const struct compose_file *file)
{
	struct fold fold;
	struct buf fields;

	assert(compose_is_type(span_of(file->type)) && file->filename.len <= COMPOSE_FILENAME_MAX &&
	       field_is_text(file->filename));
	buf_init(&fields, PARTS_FIELDS);
	fold_begin(&fold, &fields, "", span_of("Content-Type"));
	fold_word(&fold, span_of(file->type));
	(void)fold_end(&fold);
	fold_begin(&fold, &fields, "", span_of("Content-Disposition"));
	fold_word(&fold, span_of(file->filename.len > 0 ? "attachment;" : "attachment"));
	if (file->filename.len > 0)
		put_filename(&fold, file->filename);
	(void)fold_end(&fold);
	(void)buf_append_text(&fields, "Content-Transfer-Encoding: base64\r\n\r\n");
	add_literal(c, buf_span(&fields));
	buf_release(&fields);
	add_encoded(c, ENCODE_WRAP, file->base64);
}

/* The better one last (RFC 2046 5.1.4). */
static void add_both(struct compose *c, const struct compose_message *message)
{
	char boundary[BOUNDARY_SIZE];

	make_boundary(boundary);
	add_multipart(c, "alternative", boundary);
	add_boundary(c, boundary, false);
	(void)add_text(c, "plain", message->text);
	add_boundary(c, boundary, false);
	(void)add_text(c, "html", message->html);
	add_boundary(c, boundary, true);
}

static bool has_both(const struct compose_message *message)
{
	return message->text.data != NULL && message->html.data != NULL;
}

static void add_mixed(struct compose *c, const struct compose_message *message)
{
	char boundary[BOUNDARY_SIZE];

	make_boundary(boundary);
	add_multipart(c, "mixed", boundary);
	add_boundary(c, boundary, false);
	if (has_both(message))
		add_both(c, message);
	else if (message->html.data != NULL)
		(void)add_text(c, "html", message->html);
	else
		(void)add_text(c, "plain", message->text);
	for (size_t i = 0; i < message->file_count; i++) {
		add_boundary(c, boundary, false);
		add_file(c, &message->files[i]);
	}
	add_boundary(c, boundary, true);
}

struct compose *compose_begin(const struct compose_message *message, struct arena *arena)
{
	struct compose *c = arena_zalloc(arena, sizeof(*c));

	c->arena = arena;
	/* fields, the texts with what stands around them; boundary, fields, content of each file */
	c->room = 16 + 3 * message->file_count;
	c->pieces = arena_array(arena, c->room, sizeof(*c->pieces));
	add_piece(c, PIECE_LITERAL)->literal = message->fields;
	add_literal(c, span_of("MIME-Version: 1.0\r\n"));
	if (message->file_count > 0)
		add_mixed(c, message);
	else if (has_both(message))
		add_both(c, message);
	else if (message->html.data != NULL)
		add_only_text(c, "html", message->html);
	else
		add_only_text(c, "plain", message->text);
	return c;
}

/* --- pulling
 * -------------------------------------------------------------------------------------- */

static bool give_literal(struct piece *piece, size_t room, struct buf *out)
{
	struct span bytes = span_first(piece->literal, room);

	(void)buf_append_span(out, bytes);
	piece->literal = span_skip(piece->literal, bytes.len);
	return piece->literal.len == 0;
}

bool compose_next(struct compose *compose, struct buf *out)
{
	size_t begun = out->len;

	while (compose->at < compose->count) {
		struct piece *piece = &compose->pieces[compose->at];
		size_t room = COMPOSE_PIECE_MAX - (out->len - begun);
		bool done;

		if (room < ENCODE_STEP_MAX)
			break;
		done = piece->kind == PIECE_LITERAL ? give_literal(piece, room, out)
						    : encode_next(&piece->encode, room, out);
		if (!done)
			break;
		compose->at++;
	}
	return out->len > begun;
}
