/*
 * relay/filter/defang.c - address fields without the addresses that the list does not allow.
 *
 * A field is left alone or written anew: what is copied into a new one is
 * only what cannot be read in two ways.
 */
#include "relay/filter/defang.h"

#include <stdio.h>

#include "base/err.h"
#include "base/secret.h"
#include "relay/mail/address_list.h"
#include "relay/mail/encoded_word.h"
#include "relay/mail/fold.h"
#include "relay/mail/header.h"

#define DISPLAY_MAX 100 /* octets of a display name that are kept */
#define LOCAL_MAX   64	/* RFC 5321 4.5.3.1.1 */
#define SOURCE_MAX  600 /* octets of an allowed item that is copied as it is */

/* --- addresses --------------------------------------------------------------------------- */

/* A dot-atom of characters that no mail system gives a meaning: no `%`, no `!`, no `?` (of "=?").
 */
static bool is_harmless(struct span text)
{
	const struct span others = span_of("_+-'~");
	bool dot = true;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '.' ? dot : !ascii_is_alnum(c) && span_find(others, c) == others.len)
			return false;
		dot = c == '.';
	}
	return !dot;
}

/* What may stand around a `=`: "=40" is an `@` for those who decode too much. */
static bool is_harmless_pair(struct span local, struct span domain)
{
	return is_harmless(local) && is_harmless(domain) && !span_starts_fold(domain, "40") &&
	       local.len + 1 + domain.len <= LOCAL_MAX;
}

static bool is_harmless_local(struct span text)
{
	size_t equals = span_find(text, '=');

	return equals == text.len
		       ? is_harmless(text)
		       : is_harmless_pair(span_first(text, equals), span_skip(text, equals + 1));
}

static void put_hash(struct span local, struct span domain, char text_out[DEFANG_TEXT_SIZE])
{
	unsigned char digest[SECRET_SHA256_BYTES];
	char hex[33];
	struct buf key;

	buf_init(&key, local.len + 1 + domain.len);
	(void)buf_append_span(&key, local);
	(void)buf_append_char(&key, '@');
	(void)buf_append_span(&key, domain);
	for (size_t i = 0; i < key.len; i++)
		key.data[i] = ascii_lower(key.data[i]);
	secret_sha256(buf_span(&key), digest);
	buf_release(&key);
	for (size_t i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	snprintf(text_out, DEFANG_TEXT_SIZE, "%s@" DEFANG_DOMAIN, hex);
}

void defang_text(struct span local, struct span domain, char text_out[DEFANG_TEXT_SIZE])
{
	if (is_harmless_pair(local, domain))
		snprintf(text_out, DEFANG_TEXT_SIZE, "%.*s=%.*s@" DEFANG_DOMAIN, (int)local.len,
			 local.data, (int)domain.len, domain.data);
	else
		put_hash(local, domain, text_out);
}

bool defang_allows(const struct defang *at, const struct address *address)
{
	struct verdict verdict;

	if (span_is_fold(span_of(address->domain), DEFANG_DOMAIN))
		return (address->form == ADDRESS_PLAIN || address->form == ADDRESS_LISTED_ONLY) &&
		       is_harmless_local(span_of(address->local));
	verdict_judge(at->list, address, at->scope, at->now, &verdict);
	return verdict.kind == VERDICT_DELIVER ||
	       (verdict_is_unlisted(&verdict) && let_out_holds(at->let_out, address));
}

/* What cannot even be an envelope address is not on any list. */
static bool item_is_allowed(const struct defang *at, const struct address_item *item,
			    struct address *address_out)
{
	struct err ignored;

	return address_item_address(item, address_out, &ignored) == ERR_OK &&
	       defang_allows(at, address_out);
}

/* --- display names ------------------------------------------------------------------------ */

/* `text` is not empty. An `@`, also as its wide and small forms (U+FF20, U+FE6B): its length, or 0.
 */
static size_t at_sign_length(struct span text)
{
	if (text.data[0] == '@')
		return 1;
	if (text.len >= 3 && (memcmp(text.data, "\xef\xbc\xa0", 3) == 0 ||
			      memcmp(text.data, "\xef\xb9\xab", 3) == 0))
		return 3;
	return 0;
}

/* Of an encoded word, or of an `@` for those who decode without one. */
static bool begins_escape(struct span text)
{
	return span_starts_fold(text, "=?") || span_starts_fold(text, "=40");
}

/*
 * Append `text` as people see it, but so that nobody finds an address in it:
 * encoded words are decoded, what still looks like one is broken up, and
 * `@` becomes a word. Long ones are cut.
 */
static void put_display(struct span text, struct buf *out)
{
	struct span left;
	struct buf shown;

	buf_init(&shown, DISPLAY_MAX);
	header_decode_display(text, &shown);
	left = span_trim(buf_span(&shown));
	while (left.len > 0) {
		size_t sign = at_sign_length(left);

		if (sign > 0) {
			(void)buf_append_text(out, " at ");
		} else {
			(void)buf_append_char(out, left.data[0]);
			if (begins_escape(left))
				(void)buf_append_char(out, ' ');
		}
		left = span_skip(left, sign > 0 ? sign : 1);
	}
	buf_release(&shown);
}

static bool is_printable(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] > '~')
			return false;
	return true;
}

/* `tail` directly behind it. At most a few DISPLAY_MAX octets. */
static void write_quoted(struct fold *fold, struct span text, const char *tail)
{
	struct buf word;

	buf_init(&word, 2 * text.len + 2 + strlen(tail));
	(void)buf_append_char(&word, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			(void)buf_append_char(&word, '\\');
		(void)buf_append_char(&word, text.data[i]);
	}
	(void)buf_append_char(&word, '"');
	(void)buf_append_text(&word, tail);
	fold_word(fold, buf_span(&word));
	buf_release(&word);
}

/* A phrase (RFC 5322 3.2.5) that shows `text`, in ASCII. */
static void write_phrase(struct fold *fold, struct span text, const char *tail)
{
	char word[ENCODED_WORD_SIZE];

	if (is_printable(text)) {
		write_quoted(fold, text, tail);
		return;
	}
	while (text.len > 0) {
		text = span_skip(text, encoded_word_format(text, word));
		fold_word(fold, span_of(word));
	}
	/* RFC 2047 5 (3): a blank between an encoded word and a special. */
	if (tail[0] != '\0')
		fold_word(fold, span_of(tail));
}

/* --- the list ------------------------------------------------------------------------------ */

/* A list being written. */
struct writer {
	const struct defang *at;
	struct fold fold;
	bool comma;	   /* the next element is not the first */
	bool wrote;	   /* anything at all */
	bool in_group;	   /* of the list that is read */
	bool group_open;   /* it was written */
	bool group_filled; /* it has members in the list that is read */
	struct buf group;  /* its name */
};

static void begin_element(struct writer *w)
{
	if (w->comma)
		fold_join(&w->fold, ",");
	w->comma = true;
	w->wrote = true;
}

static void open_group(struct writer *w)
{
	if (w->group_open)
		return;
	begin_element(w);
	write_phrase(&w->fold, buf_span(&w->group), ":");
	w->group_open = true;
	w->comma = false;
}

/* One whose members were all taken away goes with them. */
static void end_group(struct writer *w)
{
	if (!w->in_group)
		return;
	if (!w->group_filled)
		open_group(w);
	if (w->group_open) {
		fold_join(&w->fold, ";");
		w->comma = true;
	}
	w->in_group = false;
	w->group_open = false;
}

static void begin_group(struct writer *w, const struct address_item *item)
{
	buf_clear(&w->group);
	put_display(item->display, &w->group);
	if (w->group.len == 0)
		(void)buf_append_text(&w->group, "group");
	w->in_group = true;
	w->group_filled = false;
}

static void write_angle(struct fold *fold, const char *text)
{
	char angle[ADDRESS_TEXT_SIZE + 2];

	snprintf(angle, sizeof(angle), "<%s>", text);
	fold_word(fold, span_of(angle));
}

static void write_blocked(struct writer *w, const struct address_item *item)
{
	char text[DEFANG_TEXT_SIZE];
	struct buf display;

	/* Room for what put_display makes of three texts, each `@` four octets. */
	buf_init(&display, 16 * DISPLAY_MAX);
	put_display(item->display, &display);
	if (display.len == 0) {
		put_display(item->local, &display);
		(void)buf_append_text(&display, " at ");
		put_display(item->domain, &display);
	}
	(void)buf_append_text(&display, DEFANG_MARK);
	write_phrase(&w->fold, buf_span(&display), "");
	buf_release(&display);
	defang_text(item->local, item->domain, text);
	write_angle(&w->fold, text);
}

static size_t count_of(struct span text, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == c ? 1 : 0;
	return count;
}

/*
 * Nobody can read another address out of it than we do: plain ASCII, one `@`
 * that is the address's own, no encoded word, no blanks inside the address.
 */
static bool is_unambiguous(const struct address_item *item, struct span source)
{
	struct span spec = item->spec;
	size_t at = span_find(spec, '@');

	if (source.len > SOURCE_MAX || !is_printable(source) || count_of(source, '@') != 1)
		return false;
	for (size_t i = 0; i < source.len; i++)
		if (begins_escape(span_skip(source, i)))
			return false;
	return span_equal(span_first(spec, at), item->local) &&
	       span_equal(span_skip(spec, at + 1), item->domain);
}

static void write_allowed(struct writer *w, const struct address_item *item,
			  const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];
	struct buf source;

	buf_init(&source, item->source.len + 16 * DISPLAY_MAX);
	(void)header_unfold(span_trim(item->source), &source);
	if (is_unambiguous(item, buf_span(&source))) {
		fold_word(&w->fold, buf_span(&source));
	} else {
		buf_clear(&source);
		put_display(item->display, &source);
		if (source.len > 0)
			write_phrase(&w->fold, buf_span(&source), "");
		address_format(address, text);
		write_angle(&w->fold, text);
	}
	buf_release(&source);
}

static void write_mailbox(struct writer *w, const struct address_item *item)
{
	struct address address;
	bool allowed = item_is_allowed(w->at, item, &address);

	w->group_filled = true;
	if (!allowed && w->at->strip)
		return;
	if (w->in_group)
		open_group(w);
	begin_element(w);
	if (allowed)
		write_allowed(w, item, &address);
	else
		write_blocked(w, item);
}

static void write_list(struct writer *w, struct span body)
{
	struct address_list list;
	struct address_item item;

	address_list_init(&list, body);
	while (address_list_next(&list, &item)) {
		if (!item.in_group)
			end_group(w);
		if (item.kind == ADDRESS_ITEM_GROUP)
			begin_group(w, &item);
		else
			write_mailbox(w, &item);
	}
	end_group(w);
	address_list_release(&list);
}

/* Is it a list, and is every address in it allowed? */
static bool look(const struct defang *at, struct span body, bool *allowed_out)
{
	struct address_list list;
	struct address_item item;
	struct address address;
	bool whole = true;

	*allowed_out = true;
	address_list_init(&list, body);
	while (whole && address_list_next(&list, &item)) {
		whole = item.kind != ADDRESS_ITEM_BROKEN;
		if (item.kind == ADDRESS_ITEM_MAILBOX && *allowed_out)
			*allowed_out = item_is_allowed(at, &item, &address);
	}
	address_list_release(&list);
	return whole;
}

int defang_addresses(const struct defang *at, struct span name, struct span body, bool readable,
		     struct buf *out, enum defang_fate *fate_out)
{
	struct writer w = {.at = at};
	size_t before = out->len;
	bool allowed;
	bool broken = !look(at, body, &allowed) || !readable;
	int code;

	if (allowed && !broken) {
		*fate_out = DEFANG_AS_IS;
		return ERR_OK;
	}
	fold_begin(&w.fold, out, "", name);
	buf_init(&w.group, 16 * DISPLAY_MAX);
	if (!broken) {
		write_list(&w, body);
	} else if (!at->strip) {
		write_quoted(&w.fold, span_of("unreadable" DEFANG_MARK), "");
		write_angle(&w.fold, DEFANG_UNREADABLE);
		w.wrote = true;
	}
	buf_release(&w.group);
	code = fold_end(&w.fold);
	if (code != ERR_OK || !w.wrote)
		buf_truncate(out, before);
	if (code == ERR_OK)
		*fate_out = w.wrote ? DEFANG_REWRITTEN : DEFANG_REMOVED;
	return code;
}
