/* relay/filter/subject.c - policy.subject_tag in front of the Subject of what leaves */
#include <config.h> /* memmem */

#include "relay/filter/subject.h"

#include "base/err.h"
#include "relay/mail/encoded_word.h"
#include "relay/mail/fold.h"
#include "relay/mail/header.h"

static bool contains(struct span text, struct span part)
{
	return text.len > 0 && memmem(text.data, text.len, part.data, part.len) != NULL;
}

/* As people see it, wherever it stands: "Re: [staging] x" is an answer to one that had it. */
static bool is_tagged(struct span tag, struct span body)
{
	struct buf shown;
	bool tagged;

	/* A byte that is no character becomes three. */
	buf_init(&shown, 4 * body.len);
	header_decode_display(body, &shown);
	tagged = contains(buf_span(&shown), tag);
	buf_release(&shown);
	return tagged;
}

static bool needs_encoding(struct span tag)
{
	return !span_is_ascii(tag) || contains(tag, span_of("=?"));
}

/* `rest`, which begins with no blank, does not begin with a fold either: a word would run into it.
 */
static bool touches(struct span rest)
{
	return rest.len > 0 && rest.data[0] != '\r' && rest.data[0] != '\n';
}

/*
 * An encoded word needs a blank on either side, and that one is not shown
 * between two of them: then it has to stand inside (RFC 2047 6.2).
 */
static void write_encoded(struct fold *fold, struct span tag, struct span rest)
{
	bool spaced = ascii_is_blank(tag.data[tag.len - 1]);
	struct encoded_word next;
	char word[ENCODED_WORD_SIZE];

	if (!spaced || !encoded_word_parse(rest, &next))
		tag = span_trim(tag);
	while (tag.len > 0) {
		tag = span_skip(tag, encoded_word_format(tag, word));
		fold_word(fold, span_of(word));
	}
	if (touches(rest))
		fold_join(fold, " ");
}

static void write_plain(struct fold *fold, struct span tag, struct span rest)
{
	bool spaced = ascii_is_blank(tag.data[tag.len - 1]);
	struct encoded_word next;

	fold_word(fold, span_trim(tag));
	if (touches(rest) && (spaced || encoded_word_parse(rest, &next)))
		fold_join(fold, " ");
}

int subject_tag(const char *tag, struct span name, struct span body, struct buf *out,
		bool *tagged_out)
{
	struct span text = span_of(tag);
	size_t before = out->len;
	struct fold fold;

	if (is_tagged(span_trim(text), body)) {
		*tagged_out = false;
		return ERR_OK;
	}
	while (body.len > 0 && ascii_is_blank(body.data[0]))
		body = span_skip(body, 1);
	fold_begin(&fold, out, "", name);
	if (needs_encoding(text))
		write_encoded(&fold, text, body);
	else
		write_plain(&fold, text, body);
	fold_body(&fold, body);
	if (fold_end(&fold) != ERR_OK) {
		buf_truncate(out, before);
		return fold.code;
	}
	*tagged_out = true;
	return ERR_OK;
}
