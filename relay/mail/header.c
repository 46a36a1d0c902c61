/*
 * relay/mail/header.c - the header section field by field. Lines end in CRLF, because the message
 * was made canonical before it was stored; a lone CR or LF here is a byte like any other.
 */
#include "relay/mail/header.h"

#include "base/err.h"
#include "relay/mail/charset.h"
#include "relay/mail/encoded_word.h"

/* Bytes up to and including the next CRLF, or all of them. */
static size_t line_length(struct span text)
{
	size_t at = 0;

	while (at < text.len) {
		const char *cr = memchr(text.data + at, '\r', text.len - at);

		if (cr == NULL)
			return text.len;
		at = (size_t)(cr - text.data) + 1;
		if (at < text.len && text.data[at] == '\n')
			return at + 1;
	}
	return text.len;
}

static bool at_empty_line(struct span text)
{
	return text.len >= 2 && text.data[0] == '\r' && text.data[1] == '\n';
}

static bool ends_in_crlf(struct span text)
{
	return text.len >= 2 && text.data[text.len - 2] == '\r' && text.data[text.len - 1] == '\n';
}

size_t header_section_length(struct span message)
{
	struct span rest = message;

	while (rest.len > 0) {
		if (at_empty_line(rest))
			return message.len - rest.len + 2;
		rest = span_skip(rest, line_length(rest));
	}
	return message.len;
}

void header_init(struct header *header, struct span section)
{
	*header = (struct header){
		.rest = section, .room = HEADER_BYTES_MAX, .fields_max = HEADER_FIELDS_MAX};
}

void header_init_unlimited(struct header *header, struct span section)
{
	*header = (struct header){.rest = section, .room = SIZE_MAX, .fields_max = SIZE_MAX};
}

/* The first line and every line behind it that begins with a blank. */
static size_t field_length(struct span text)
{
	size_t len = line_length(text);

	while (len < text.len && ascii_is_blank(text.data[len]))
		len += line_length(span_skip(text, len));
	return len;
}

static bool name_is_valid(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] < 33 || name.data[i] > 126)
			return false;
	return name.len > 0;
}

static void field_split(struct span raw, struct header_field *field)
{
	struct span text = span_first(raw, raw.len - (ends_in_crlf(raw) ? 2 : 0));
	size_t colon = span_find(text, ':');

	*field = (struct header_field){.raw = raw, .body = text, .malformed = true};
	if (colon == text.len)
		return;
	field->name = span_trim(span_first(text, colon));
	field->body = span_skip(text, colon + 1);
	/* RFC 5322 4.5.8 allows blanks between the name and the colon, but no fold. */
	field->malformed = !name_is_valid(field->name) || ascii_is_blank(raw.data[0]) ||
			   span_find(span_first(text, colon), '\n') < colon;
}

bool header_next(struct header *header, struct header_field *field_out)
{
	size_t len;

	if (header->over_limit || header->rest.len == 0 || at_empty_line(header->rest))
		return false;
	len = field_length(header->rest);
	if (len > header->room || header->fields >= header->fields_max) {
		header->over_limit = true;
		return false;
	}
	field_split(span_first(header->rest, len), field_out);
	header->rest = span_skip(header->rest, len);
	header->room -= len;
	header->fields++;
	return true;
}

bool header_find(struct span section, const char *name, struct header_field *field_out)
{
	struct header header;
	struct header_field field;

	header_init(&header, section);
	while (header_next(&header, &field)) {
		if (!field.malformed && span_is_fold(field.name, name)) {
			*field_out = field;
			return true;
		}
	}
	return false;
}

/* Line ends of `body` cost nothing; everything else is kept. */
static size_t unfolded_length(struct span body)
{
	size_t len = 0;

	while (body.len > 0) {
		struct span line = span_first(body, line_length(body));

		len += line.len - (ends_in_crlf(line) ? 2 : 0);
		body = span_skip(body, line.len);
	}
	return len;
}

int header_unfold(struct span body, struct buf *out)
{
	if (unfolded_length(body) > out->max - out->len)
		return err_set(NULL, ERR_LIMIT, "no room");
	while (body.len > 0) {
		struct span line = span_first(body, line_length(body));
		int code = buf_append(out, line.data, line.len - (ends_in_crlf(line) ? 2 : 0));

		if (code != ERR_OK)
			return code;
		body = span_skip(body, line.len);
	}
	return ERR_OK;
}

/*
 * A run of encoded words with nothing but blanks between them (RFC 2047 6.2).
 * Senders cut characters in two at word ends, so bytes of one charset are
 * joined before they are converted. Returns the length of the run.
 */
static size_t words_decode(struct span text, const struct encoded_word *first,
			   struct charset_writer *writer)
{
	struct encoded_word word = *first;
	struct buf bytes;
	size_t used = 0;
	bool more = true;

	buf_init(&bytes, text.len);
	while (more) {
		struct span charset = word.charset;
		size_t gap = 0;

		encoded_word_append(&word, &bytes);
		used += word.length;
		while (used + gap < text.len && ascii_is_blank(text.data[used + gap]))
			gap++;
		more = encoded_word_parse(span_skip(text, used + gap), &word);
		if (!more || !span_equal_fold(charset, word.charset)) {
			charset_write(writer, charset, buf_span(&bytes));
			buf_clear(&bytes);
		}
		more = more && charset_is_known(writer, word.charset);
		if (more)
			used += gap;
	}
	buf_release(&bytes);
	return used;
}

static void text_decode(struct span text, struct charset_writer *writer)
{
	while (text.len > 0 && !writer->full) {
		struct encoded_word word;
		size_t plain = 0;

		while (plain < text.len && text.data[plain] != '=')
			plain++;
		charset_write(writer, span_of("utf-8"), span_first(text, plain));
		text = span_skip(text, plain);
		if (text.len == 0)
			break;
		if (encoded_word_parse(text, &word) && charset_is_known(writer, word.charset)) {
			text = span_skip(text, words_decode(text, &word, writer));
			continue;
		}
		charset_write(writer, span_of("utf-8"), span_first(text, 1));
		text = span_skip(text, 1);
	}
}

void header_decode_display(struct span body, struct buf *out)
{
	struct charset_writer writer;
	struct buf text;

	charset_writer_init(&writer, out);
	buf_init(&text, body.len);
	if (header_unfold(span_trim(body), &text) == ERR_OK)
		text_decode(buf_span(&text), &writer);
	buf_release(&text);
	charset_writer_release(&writer);
}
