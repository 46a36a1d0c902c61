/*
 * tests/fuzz/fuzz_mime.c - relay/mail/mime.c and what its parts are shown with (transfer.c,
 * charset.c, html_text.c, html_frame.c): parts lie in their parent and never overlap, and nothing
 * depends on how the bytes were cut.
 */
#include <config.h> /* memmem */

#include <string.h>

#include "relay/mail/mime.h"

#include "base/buf.h"
#include "base/err.h"
#include "relay/mail/charset.h"
#include "relay/mail/html_frame.h"
#include "relay/mail/html_text.h"
#include "tests/fuzz/fuzz.h"

/* Pieces of a few octets; `seed` says which. */
static struct span piece_cut(struct span *rest, unsigned *seed)
{
	struct span piece;

	*seed = *seed * 1103515245 + 12345;
	piece = span_first(*rest, 1 + (*seed >> 16) % 23);
	*rest = span_skip(*rest, piece.len);
	return piece;
}

static struct mime *walk(struct span message, unsigned seed)
{
	struct mime *mime = mime_new();

	if (seed == 0)
		(void)mime_feed(mime, message);
	for (struct span rest = message; seed != 0 && rest.len > 0;)
		if (!mime_feed(mime, piece_cut(&rest, &seed)))
			break;
	mime_end(mime, (int64_t)message.len);
	return mime;
}

static bool same_text(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static void check_same(const struct mime_part *a, const struct mime_part *b)
{
	assert(same_text(a->number, b->number) && same_text(a->type, b->type));
	assert(same_text(a->charset, b->charset) && same_text(a->filename, b->filename));
	assert(same_text(a->content_id, b->content_id) && same_text(a->trouble, b->trouble));
	assert(a->parent == b->parent && a->encoding == b->encoding);
	assert(a->header_at == b->header_at && a->body_at == b->body_at && a->end_at == b->end_at);
	assert(a->decoded_size == b->decoded_size && a->is_container == b->is_container);
}

static void check_text(const char *text)
{
	struct span span = span_of(text);

	assert(text == NULL || (span_is_utf8(span) && span.len <= MIME_TEXT_MAX));
	for (size_t i = 0; i < span.len; i++)
		assert((unsigned char)span.data[i] >= 0x20 && span.data[i] != 0x7f);
}

/* Where the last part of each depth ended: the next one begins no earlier. */
static void check_place(const struct mime *mime, size_t index, int64_t size, int64_t *ends)
{
	const struct mime_part *part = mime_part(mime, index);

	assert(part->is_whole && part->depth <= MIME_DEPTH_MAX);
	assert(0 <= part->header_at && part->header_at <= part->body_at);
	assert(part->body_at <= part->end_at && part->end_at <= size);
	assert(part->decoded_size >= 0);
	assert(part->decoded_size <= part->end_at - part->body_at);
	assert(part->header_at >= ends[part->depth]);
	ends[part->depth] = part->end_at;
	for (unsigned i = part->depth + 1; i <= MIME_DEPTH_MAX; i++)
		ends[i] = part->body_at;
	assert((index == 0) == (part->parent == MIME_NONE));
	if (index > 0) {
		const struct mime_part *parent = mime_part(mime, part->parent);

		assert(part->parent < index && parent->is_container);
		assert(part->depth == parent->depth + 1);
		assert(parent->body_at <= part->header_at && part->end_at <= parent->end_at);
	}
	if (part->number[0] != '\0')
		assert(mime_find(mime, span_of(part->number)) == index);
	else
		assert(part->is_container);
}

static void decode(const struct mime_part *part, struct span body, unsigned seed, struct buf *out)
{
	struct transfer transfer;

	transfer_init(&transfer, part->is_container ? TRANSFER_IDENTITY : part->encoding);
	while (body.len > 0) {
		size_t before = out->len;
		struct span piece = seed != 0 ? piece_cut(&body, &seed) : body;

		transfer_decode(&transfer, piece, out);
		assert(out->len - before <= piece.len + TRANSFER_HELD_MAX);
		if (seed == 0)
			break;
	}
	transfer_end(&transfer, out);
}

static void convert(const struct mime_part *part, struct span bytes, unsigned seed, struct buf *out)
{
	struct charset_stream stream;

	charset_stream_init(&stream, span_of(part->charset), out);
	if (seed == 0)
		charset_stream_write(&stream, bytes);
	while (seed != 0 && bytes.len > 0) {
		charset_stream_write(&stream, piece_cut(&bytes, &seed));
		assert(span_is_utf8(buf_span(out)));
	}
	charset_stream_end(&stream);
	assert(!stream.writer.full && span_is_utf8(buf_span(out)));
}

static void to_text(struct span html, unsigned seed, struct buf *out)
{
	struct html_text *text = html_text_new();

	if (seed == 0)
		html_text_write(text, html, out);
	while (seed != 0 && html.len > 0)
		html_text_write(text, piece_cut(&html, &seed), out);
	html_text_end(text, out);
	html_text_free(&text);
}

static void to_frame(struct span html, unsigned seed, struct buf *out)
{
	struct html_frame frame;

	html_frame_init(&frame);
	while (html.len > 0) {
		struct span piece = seed != 0 ? piece_cut(&html, &seed) : html;

		while (html_frame_next(&frame, &piece, out)) {
			assert(frame.id.len <= HTML_FRAME_ID_MAX);
			(void)buf_append_text(out, "cid:");
			(void)buf_append_span(out, buf_span(&frame.id));
		}
		if (seed == 0)
			break;
	}
	html_frame_end(&frame, out);
	html_frame_release(&frame);
}

/* One of these tags is left. */
static bool connects(struct span html)
{
	static const char *const names[] = {"link", "iframe", "frame"};

	for (size_t i = 0; i < html.len; i++)
		for (size_t n = 0; html.data[i] == '<' && n < 3; n++) {
			struct span rest = span_skip(html, i + 1);

			if (span_starts_fold(rest, names[n]) &&
			    !span_starts_fold(span_skip(rest, strlen(names[n])), "-x"))
				return true;
		}
	return false;
}

static bool is_broken(struct span text)
{
	return memmem(text.data, text.len, "\xef\xbf\xbd", 3) != NULL;
}

static void check_content(const struct mime_part *part, struct span message, unsigned seed)
{
	size_t len = (size_t)(part->end_at - part->body_at);
	struct span body = span_first(span_skip(message, (size_t)part->body_at), len);
	struct buf bytes[2], converted[2], text[2], framed[2];

	for (int i = 0; i < 2; i++) {
		unsigned cut = i == 0 ? 0 : seed;

		buf_init(&bytes[i], body.len + TRANSFER_HELD_MAX);
		decode(part, body, cut, &bytes[i]);
		assert((int64_t)bytes[i].len == part->decoded_size);
		buf_init(&converted[i], CHARSET_GROWTH * (bytes[i].len + CHARSET_HELD_MAX));
		convert(part, buf_span(&bytes[i]), cut, &converted[i]);
		buf_init(&text[i], 2 * converted[i].len + HTML_TEXT_HELD_MAX);
		to_text(buf_span(&converted[i]), cut, &text[i]);
		buf_init(&framed[i], 2 * converted[i].len + HTML_FRAME_HELD_MAX);
		to_frame(buf_span(&converted[i]), cut, &framed[i]);
		assert(framed[i].len >= converted[i].len && !connects(buf_span(&framed[i])));
	}
	assert(span_equal(buf_span(&bytes[0]), buf_span(&bytes[1])));
	if (span_equal(buf_span(&converted[0]), buf_span(&converted[1]))) {
		assert(span_equal(buf_span(&text[0]), buf_span(&text[1])));
		assert(span_equal(buf_span(&framed[0]), buf_span(&framed[1])));
	} else { /* what is broken iconv may see broken elsewhere */
		assert(is_broken(buf_span(&converted[0])) && is_broken(buf_span(&converted[1])));
	}
	for (int i = 0; i < 2; i++) {
		buf_release(&bytes[i]);
		buf_release(&converted[i]);
		buf_release(&text[i]);
		buf_release(&framed[i]);
	}
}

/* The first octet chooses the cuts; a line feed stands for a line end, as the store has no others.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned seed = size > 0 ? data[0] + 1U : 1;
	int64_t ends[MIME_DEPTH_MAX + 1] = {0};
	struct mime *whole, *pieces;
	struct buf message;

	buf_init(&message, 2 * size + 1);
	for (size_t i = 1; i < size; i++)
		(void)(data[i] == '\n' ? buf_append_text(&message, "\r\n")
				       : buf_append_char(&message, (char)data[i]));
	whole = walk(buf_span(&message), 0);
	pieces = walk(buf_span(&message), seed);
	assert(mime_count(whole) >= 1 && mime_count(whole) <= MIME_PARTS_MAX);
	assert(mime_count(whole) == mime_count(pieces));
	assert(mime_is_over_limit(whole) == mime_is_over_limit(pieces));
	for (size_t i = 0; i < mime_count(whole); i++) {
		const struct mime_part *part = mime_part(whole, i);

		check_same(part, mime_part(pieces, i));
		check_place(whole, i, (int64_t)message.len, ends);
		check_text(part->type);
		check_text(part->filename);
		check_text(part->content_id);
		check_text(part->disposition);
		if (!part->is_container)
			check_content(part, buf_span(&message), seed);
	}
	mime_free(&whole);
	mime_free(&pieces);
	buf_release(&message);
	return 0;
}
