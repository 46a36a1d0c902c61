/* relay/mail/field.c - what stands in the fields of a message that we make */
#include "relay/mail/field.h"

#include <assert.h>

#include "relay/mail/encoded_word.h"
#include "relay/mail/lexer.h"

#define WORD_MAX	 900 /* of fold_word */
#define ENCODED_TEXT_MAX 63  /* octets of an encoded word that are text (RFC 2047 2) */
#define QUOTED_MAX	 76  /* a longer string would not fit into a line of FOLD_LINE_USUAL */

/* --- what may come in ------------------------------------------------------------------------ */

/* U+0080 to U+009F, U+2028, U+2029; `rest` is valid UTF-8. */
static bool is_wide_control(struct span rest)
{
	const unsigned char *c = (const unsigned char *)rest.data;

	if (rest.len >= 2 && c[0] == 0xc2)
		return c[1] < 0xa0;
	return rest.len >= 3 && c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9);
}

bool field_is_text(struct span text)
{
	if (text.len > FIELD_TEXT_MAX || !span_is_utf8(text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < ' ' && c != '\t') || c == 127 || is_wide_control(span_skip(text, i)))
			return false;
	}
	return true;
}

bool field_is_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == ':')
			return false;
	return name.len > 0 && name.len <= FIELD_NAME_MAX;
}

/* --- unstructured text ------------------------------------------------------------------------ */

static bool holds(struct span text, const char *two)
{
	for (size_t i = 0; i + 1 < text.len; i++)
		if (text.data[i] == two[0] && text.data[i + 1] == two[1])
			return true;
	return false;
}

/* Printable ASCII in words with one blank between them, none too long for a line. */
static bool is_plain(struct span text)
{
	struct span rest = text;

	if (!span_is_ascii(text) || holds(text, "=?") || span_find(text, '\t') < text.len)
		return false;
	while (rest.len > 0) {
		struct span word = span_cut(&rest, ' ');

		if (word.len == 0 || word.len > WORD_MAX)
			return false;
	}
	return text.len > 0 && text.data[text.len - 1] != ' ';
}

/*
 * What surely fits behind the name on its line: a field that begins with a
 * fold is shown with a blank in front by some.
 */
static struct span first_part(const struct fold *fold, struct span text)
{
	size_t used = fold->column + 1 + ENCODED_WORD_SIZE - 1 - ENCODED_TEXT_MAX;
	size_t len = used < FOLD_LINE_USUAL ? (FOLD_LINE_USUAL - used) / 3 : 0;

	if (len >= text.len)
		return text;
	while (len > 0 && ((unsigned char)text.data[len] & 0xc0) == 0x80)
		len--;
	return len > 0 ? span_first(text, len) : text;
}

static void put_encoded(struct fold *fold, struct span text)
{
	char word[ENCODED_WORD_SIZE];

	while (text.len > 0 && fold->code == 0) {
		size_t taken = encoded_word_format(text, word);

		fold_word(fold, span_of(word));
		text = span_skip(text, taken);
	}
}

static void put_words(struct fold *fold, struct span text)
{
	while (text.len > 0)
		fold_word(fold, span_cut(&text, ' '));
}

void field_text(struct fold *fold, struct span text)
{
	assert(field_is_text(text));
	if (is_plain(text)) {
		put_words(fold, text);
	} else if (text.len > 0) {
		struct span first = first_part(fold, text);

		put_encoded(fold, first);
		put_encoded(fold, span_skip(text, first.len));
	}
}

/* --- mailboxes ---------------------------------------------------------------------------------
 */

/* Words of atext, which a phrase may hold as they are. */
static bool is_phrase(struct span name)
{
	while (name.len > 0) {
		struct span word = span_cut(&name, ' ');

		if (lexer_atom(&word).len == 0 || word.len > 0)
			return false;
	}
	return true;
}

/* As one quoted string, when that is short enough to stand on a line. */
static bool put_quoted(struct fold *fold, struct span name)
{
	char text[QUOTED_MAX];
	size_t len = 0;

	text[len++] = '"';
	for (size_t i = 0; i < name.len; i++) {
		bool pair = name.data[i] == '"' || name.data[i] == '\\';

		if (len + (pair ? 2 : 1) + 1 > sizeof(text))
			return false;
		if (pair)
			text[len++] = '\\';
		text[len++] = name.data[i];
	}
	text[len++] = '"';
	fold_word(fold, span_make(text, len));
	return true;
}

static void put_name(struct fold *fold, struct span name)
{
	bool ascii = span_is_ascii(name) && !holds(name, "=?") && span_find(name, '\t') == name.len;

	if (ascii && is_plain(name) && is_phrase(name))
		put_words(fold, name);
	else if (!ascii || !put_quoted(fold, name))
		put_encoded(fold, name);
}

void field_mailbox(struct fold *fold, struct span name, const struct address *address)
{
	char text[1 + ADDRESS_TEXT_SIZE + 1];
	size_t len;

	assert(field_is_text(name) && address->form != ADDRESS_NULL);
	address_format(address, text + 1);
	len = strlen(text + 1);
	if (name.len == 0) {
		fold_word(fold, span_make(text + 1, len));
		return;
	}
	put_name(fold, name);
	text[0] = '<';
	text[len + 1] = '>';
	fold_word(fold, span_make(text, len + 2));
}
