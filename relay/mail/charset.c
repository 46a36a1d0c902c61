/*
 * relay/mail/charset.c - charsets for display. The ones that make up nearly all mail are tables
 * here; others that mail is written in (charset_name.h) go through iconv, whose modules are only
 * ever asked to decode.
 */
#include "relay/mail/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>

#include "base/err.h"
#include "relay/mail/charset_name.h"

#define OPENINGS_MAX 64
#define REPLACEMENT  0xfffd

/* 0x80..0x9f of windows-1252; 0 where it has nothing. */
static const uint16_t windows_1252[32] = {
	0x20ac, 0,	0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
	0x2039, 0x0152, 0,	0x017d, 0,	0,	0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,	0x017e, 0x0178,
};

static uint32_t from_ascii(unsigned char byte)
{
	return byte < 0x80 ? byte : REPLACEMENT;
}

static uint32_t from_latin1(unsigned char byte)
{
	return byte;
}

static uint32_t from_latin9(unsigned char byte)
{
	switch (byte) {
	case 0xa4: return 0x20ac;
	case 0xa6: return 0x0160;
	case 0xa8: return 0x0161;
	case 0xb4: return 0x017d;
	case 0xb8: return 0x017e;
	case 0xbc: return 0x0152;
	case 0xbd: return 0x0153;
	case 0xbe: return 0x0178;
	default: return byte;
	}
}

static uint32_t from_windows_1252(unsigned char byte)
{
	return byte < 0x80 || byte > 0x9f ? byte : windows_1252[byte - 0x80];
}

static const struct table {
	const char *name;
	uint32_t (*from)(unsigned char byte);
} tables[] = {{"us-ascii", from_ascii},	    {"ascii", from_ascii},
	      {"iso-8859-1", from_latin1},  {"latin1", from_latin1},
	      {"iso-8859-15", from_latin9}, {"windows-1252", from_windows_1252},
	      {"cp1252", from_windows_1252}};

static const struct table *table_find(struct span charset)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (span_is_fold(charset, tables[i].name))
			return &tables[i];
	return NULL;
}

static bool is_utf8(struct span charset)
{
	return span_is_fold(charset, "utf-8") || span_is_fold(charset, "utf8");
}

static void decoder_close(struct charset_writer *writer)
{
	if (writer->decoder != NULL)
		iconv_close(writer->decoder);
	writer->decoder = NULL;
	writer->name = NULL;
}

/* Have `writer->decoder` be the one for `charset`; words in a row mostly share it. */
static bool decoder_open(struct charset_writer *writer, struct span charset)
{
	const char *name = charset_name_find(charset);
	iconv_t decoder;

	if (name == NULL)
		return false;
	if (writer->name != NULL && strcmp(name, writer->name) == 0)
		return writer->decoder != NULL;
	if (writer->openings >= OPENINGS_MAX)
		return false;
	writer->openings++;
	decoder_close(writer);
	writer->name = name;
	decoder = iconv_open("UTF-8", name);
	if (decoder != (iconv_t)-1)
		writer->decoder = decoder;
	return writer->decoder != NULL;
}

void charset_writer_init(struct charset_writer *writer, struct buf *out)
{
	*writer = (struct charset_writer){.out = out};
}

void charset_writer_release(struct charset_writer *writer)
{
	decoder_close(writer);
}

bool charset_is_known(struct charset_writer *writer, struct span charset)
{
	return is_utf8(charset) || table_find(charset) != NULL || decoder_open(writer, charset);
}

static size_t utf8_encode(uint32_t c, char text_out[4])
{
	if (c < 0x80) {
		text_out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		text_out[0] = (char)(0xc0 | c >> 6);
		text_out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	text_out[0] = (char)(0xe0 | c >> 12);
	text_out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	text_out[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

static void put(struct charset_writer *writer, const char *text, size_t len)
{
	if (!writer->full && buf_append(writer->out, text, len) != ERR_OK)
		writer->full = true;
}

/* One character of the basic plane, made harmless. */
static void put_char(struct charset_writer *writer, uint32_t c)
{
	char text[4];

	if (writer->lines && (c == '\t' || c == '\r' || c == '\n'))
		; /* as it is */
	else if (c == '\t')
		c = ' ';
	else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		c = REPLACEMENT;
	put(writer, text, utf8_encode(c, text));
}

/* Length of the valid character at the front, 0 when there is none. */
static size_t utf8_length(struct span text)
{
	for (size_t len = 1; len <= 4 && len <= text.len; len++)
		if (span_is_utf8(span_first(text, len)))
			return len;
	return 0;
}

static void write_utf8(struct charset_writer *writer, struct span text)
{
	while (text.len > 0 && !writer->full) {
		size_t len = utf8_length(text);
		unsigned char first = (unsigned char)text.data[0];

		if (len <= 1)
			put_char(writer, len == 1 ? first : REPLACEMENT);
		else if (first == 0xc2 && (unsigned char)text.data[1] < 0xa0)
			put_char(writer, REPLACEMENT);
		else
			put(writer, text.data, len);
		text = span_skip(text, len > 0 ? len : 1);
	}
}

/*
 * One call's worth of output; false when the input is used up. With `more` to
 * come, a character that is not whole yet is left.
 */
static bool decode_some(struct charset_writer *writer, char **in, size_t *left, bool more)
{
	char chunk[512];
	char *out = chunk;
	size_t room = sizeof(chunk);
	size_t result = iconv(writer->decoder, in, left, &out, &room);
	bool full = result == (size_t)-1 && errno == E2BIG && room < sizeof(chunk);
	bool is_cut = result == (size_t)-1 && errno == EINVAL && more && *left <= CHARSET_HELD_MAX;

	write_utf8(writer, span_make(chunk, sizeof(chunk) - room));
	if (result != (size_t)-1 || is_cut)
		return false;
	if (full)
		return true;
	put_char(writer, REPLACEMENT);
	if (*left > 0) {
		(*in)++;
		(*left)--;
	}
	return *left > 0;
}

/* Some decoders hold a character back to combine it with the next one. */
static void decoder_flush(struct charset_writer *writer)
{
	char chunk[64];
	char *out = chunk;
	size_t room = sizeof(chunk);

	iconv(writer->decoder, NULL, NULL, &out, &room);
	write_utf8(writer, span_make(chunk, sizeof(chunk) - room));
}

/* Returns how many bytes at the end are left for the next call. */
static size_t decode(struct charset_writer *writer, struct span bytes, bool more)
{
	struct buf copy; /* iconv's input is not const */
	size_t left = bytes.len;
	char *in;

	if (left == 0)
		return 0;
	buf_init(&copy, left);
	(void)buf_append_span(&copy, bytes);
	in = copy.data;
	while (!writer->full && decode_some(writer, &in, &left, more))
		;
	buf_release(&copy);
	return left;
}

static void write_iconv(struct charset_writer *writer, struct span bytes)
{
	iconv(writer->decoder, NULL, NULL, NULL, NULL);
	(void)decode(writer, bytes, false);
	decoder_flush(writer);
}

static void write_table(struct charset_writer *writer, const struct table *table, struct span bytes)
{
	for (size_t i = 0; i < bytes.len && !writer->full; i++) {
		unsigned char byte = (unsigned char)bytes.data[i];
		uint32_t c = table->from(byte);

		put_char(writer, c != 0 ? c : REPLACEMENT);
	}
}

void charset_write(struct charset_writer *writer, struct span charset, struct span bytes)
{
	const struct table *table = table_find(charset);

	if (is_utf8(charset))
		write_utf8(writer, bytes);
	else if (table != NULL)
		write_table(writer, table, bytes);
	else if (decoder_open(writer, charset))
		write_iconv(writer, bytes);
}

/* --- a text in pieces --------------------------------------------------------------------------
 */

/* How many octets at the end are the front of a character, 0..3. */
static size_t utf8_tail(struct span text)
{
	for (size_t len = 1; len <= 3 && len <= text.len; len++) {
		unsigned char c = (unsigned char)text.data[text.len - len];
		size_t whole = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if (c >= 0xc0)
			return whole > len ? len : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

void charset_stream_init(struct charset_stream *stream, struct span charset, struct buf *out)
{
	*stream = (struct charset_stream){.writer = {.out = out, .lines = true}};
	if (charset.len == 0 || charset.len >= sizeof(stream->charset) ||
	    span_is_fold(charset, "us-ascii") || span_is_fold(charset, "ascii") ||
	    !charset_is_known(&stream->writer, charset))
		charset = span_of("utf-8");
	memcpy(stream->charset, charset.data, charset.len);
}

/* Returns how many bytes at the end are left. */
static size_t convert(struct charset_stream *stream, struct span bytes, bool more)
{
	struct span charset = span_of(stream->charset);
	size_t left = 0;

	if (is_utf8(charset)) {
		left = more ? utf8_tail(bytes) : 0;
		write_utf8(&stream->writer, span_first(bytes, bytes.len - left));
	} else if (table_find(charset) != NULL) {
		write_table(&stream->writer, table_find(charset), bytes);
	} else {
		left = decode(&stream->writer, bytes, more);
		if (!more)
			decoder_flush(&stream->writer);
	}
	return left;
}

static void convert_with_held(struct charset_stream *stream, struct span bytes, bool more)
{
	struct buf all;
	size_t left;

	buf_init(&all, stream->held_len + bytes.len);
	(void)buf_append(&all, stream->held, stream->held_len);
	(void)buf_append_span(&all, bytes);
	left = convert(stream, buf_span(&all), more);
	if (left > sizeof(stream->held)) /* only when `out` is full */
		left = 0;
	if (left > 0)
		memcpy(stream->held, all.data + all.len - left, left);
	stream->held_len = left;
	buf_release(&all);
}

void charset_stream_write(struct charset_stream *stream, struct span bytes)
{
	if (bytes.len > 0)
		convert_with_held(stream, bytes, true);
}

void charset_stream_end(struct charset_stream *stream)
{
	convert_with_held(stream, span_make(NULL, 0), false);
	charset_stream_release(stream);
}

void charset_stream_release(struct charset_stream *stream)
{
	charset_writer_release(&stream->writer);
}
