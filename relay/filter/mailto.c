/* relay/filter/mailto.c - "mailto:" in List-* without the addresses that the list does not allow
 * (RFC 2369 2, RFC 6068) */
#include "relay/filter/defang.h"

#include <stdio.h>

#include "base/err.h"
#include "relay/mail/fold.h"
#include "relay/mail/lexer.h"

#define URI_WORD_MAX   900 /* octets written in one piece */
#define UNREADABLE_URI "<mailto:" DEFANG_UNREADABLE ">"

/* `text` without blanks, line ends and controls: all of them are ignored in a URI (RFC 2369 2). */
static void compact(struct span text, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] > ' ' || (unsigned char)text.data[i] >= 0x80)
			(void)buf_append_char(out, text.data[i]);
}

static bool has_mailto(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (span_starts_fold(span_skip(text, i), "mailto:"))
			return true;
	return false;
}

/* What "%41" at the front stands for (RFC 3986 2.1); -1: there is none. */
static int escaped_octet(struct span text)
{
	int high, low;

	if (text.len < 3 || text.data[0] != '%')
		return -1;
	high = ascii_hex_value(text.data[1]);
	low = ascii_hex_value(text.data[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Percent-encoding undone; what is not one stays. `out` has room for `text`. */
static void decode(struct span text, struct buf *out)
{
	buf_clear(out);
	while (text.len > 0) {
		int octet = escaped_octet(text);

		(void)buf_append_char(out, octet < 0 ? text.data[0] : (char)octet);
		text = span_skip(text, octet < 0 ? 1 : 3);
	}
}

/* One URI being looked at, or written anew. */
struct uri {
	const struct defang *at;
	struct buf *scratch; /* room for the URI */
	struct buf *out;     /* "<mailto:…>"; NULL: only look */
	bool allowed;	     /* all of its addresses */
	bool wrote;	     /* some address */
};

/* What RFC 6068 2 wants encoded in an address. */
static void put_encoded(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (ascii_is_alnum(*text) || strchr("@._-+~=", *text) != NULL)
			(void)buf_append_char(out, *text);
		else
			(void)buf_printf(out, "%%%02X", (unsigned char)*text);
	}
}

static void put_address(struct uri *uri, const char *text)
{
	(void)buf_append_text(uri->out, uri->wrote ? "," : "");
	put_encoded(uri->out, text);
	uri->wrote = true;
}

/* `text`: percent-encoded, one address. */
static void take_address(struct uri *uri, struct span text)
{
	char print[ADDRESS_TEXT_SIZE];
	char blocked[DEFANG_TEXT_SIZE];
	struct address address;
	struct err ignored;
	bool known;

	decode(text, uri->scratch);
	known = address_parse(buf_span(uri->scratch), &address, &ignored) == ERR_OK;
	if (known && defang_allows(uri->at, &address)) {
		address_format(&address, print);
		if (uri->out != NULL)
			put_address(uri, print);
		return;
	}
	uri->allowed = false;
	if (uri->out == NULL)
		return;
	if (!known) {
		put_address(uri, DEFANG_UNREADABLE);
		return;
	}
	defang_text(span_of(address.local), span_of(address.domain), blocked);
	put_address(uri, blocked);
}

/* An empty list has none; an encoded comma is part of an address. */
static void take_addresses(struct uri *uri, struct span list)
{
	while (list.len > 0)
		take_address(uri, span_cut(&list, ','));
}

/* As the most lenient reader might see it: without blanks, controls and 8-bit octets. */
static struct span lenient_name(struct span name, struct buf *scratch)
{
	size_t len = 0;

	decode(name, scratch);
	for (size_t i = 0; i < scratch->len; i++)
		if (scratch->data[i] > ' ' && scratch->data[i] < 127)
			scratch->data[len++] = scratch->data[i];
	buf_truncate(scratch, len);
	return buf_span(scratch);
}

/* to=…, cc=… and bcc=… name more addresses; a reader may know "&amp;" too. */
static void take_query(struct uri *uri, struct span query)
{
	while (query.len > 0) {
		struct span value = span_cut(&query, '&');
		struct span name;

		if (span_starts_fold(value, "amp;"))
			value = span_skip(value, strlen("amp;"));
		name = lenient_name(span_cut(&value, '='), uri->scratch);
		if (span_is_fold(name, "to") || span_is_fold(name, "cc") ||
		    span_is_fold(name, "bcc"))
			take_addresses(uri, value);
	}
}

/* `text` is compact. */
static void take_uri(struct uri *uri, struct span text)
{
	struct span path;

	uri->allowed = true;
	if (!span_starts_fold(text, "mailto:")) {
		/* Not one, but somebody might find one in it: "URL:mailto:…". */
		uri->allowed = span_starts_fold(text, "http") || !has_mailto(text);
		return;
	}
	text = span_skip(text, strlen("mailto:"));
	path = span_cut(&text, '?');
	take_addresses(uri, path);
	take_query(uri, text);
}

/* --- the field ----------------------------------------------------------------------------- */

enum element { ELEMENT_END, ELEMENT_URI, ELEMENT_WORD, ELEMENT_BROKEN };

/* The next `<URI>`, made compact, or word ("NO"); comments and commas go by. */
static enum element next_element(struct span *rest, struct buf *text)
{
	size_t end;

	do
		if (!lexer_cfws(rest))
			return ELEMENT_BROKEN;
	while (lexer_take(rest, ','));
	if (rest->len == 0)
		return ELEMENT_END;
	if (lexer_take(rest, '<')) {
		end = span_find(*rest, '>');
		/* A second `<`: who begins again there reads another URI. */
		if (end == rest->len || span_find(*rest, '<') < end)
			return ELEMENT_BROKEN;
		compact(span_first(*rest, end), text);
		*rest = span_skip(*rest, end + 1);
		return ELEMENT_URI;
	}
	compact(lexer_atom(rest), text);
	return text->len > 0 ? ELEMENT_WORD : ELEMENT_BROKEN;
}

/* A field being looked at, and then written. */
struct field {
	const struct defang *at;
	struct buf text;    /* the element */
	struct buf scratch; /* of the URI */
	struct buf uri;	    /* as it is written */
	struct fold fold;
	bool wrote;
};

/* False: it can't be read. `allowed` becomes false when one is not. */
static bool look(struct field *f, struct span rest, bool *allowed)
{
	struct uri uri = {.at = f->at, .scratch = &f->scratch};
	enum element element;

	while ((element = next_element(&rest, &f->text)) != ELEMENT_END) {
		if (element == ELEMENT_BROKEN)
			return false;
		take_uri(&uri, buf_span(&f->text));
		*allowed = *allowed && uri.allowed;
	}
	return true;
}

static void write_text(struct field *f, struct span text)
{
	if (f->wrote)
		fold_join(&f->fold, ",");
	f->wrote = true;
	if (text.len <= URI_WORD_MAX) {
		fold_word(&f->fold, text);
		return;
	}
	/* RFC 2369 2: folds inside the brackets are no part of the URI. */
	fold_join(&f->fold, "\r\n ");
	f->fold.column = 1;
	fold_body(&f->fold, text);
}

/* Not in one piece: a fold inside an address would make another one of it. */
static bool is_too_long(struct span uri)
{
	return uri.len > URI_WORD_MAX - 2 && span_starts_fold(uri, "mailto:");
}

static void write_uri(struct field *f)
{
	struct uri uri = {.at = f->at, .scratch = &f->scratch};
	struct span text = buf_span(&f->text);

	take_uri(&uri, text);
	uri.allowed = uri.allowed && !is_too_long(text);
	if (!uri.allowed && f->at->strip)
		return;
	buf_clear(&f->uri);
	(void)buf_append_char(&f->uri, '<');
	if (uri.allowed) {
		(void)buf_append_span(&f->uri, text);
	} else {
		uri.out = &f->uri;
		(void)buf_append_text(&f->uri, "mailto:");
		take_uri(&uri, text);
		if (!uri.wrote)
			put_address(&uri, DEFANG_UNREADABLE);
	}
	if (is_too_long(span_skip(buf_span(&f->uri), 1))) {
		write_text(f, span_of(UNREADABLE_URI));
		return;
	}
	(void)buf_append_char(&f->uri, '>');
	write_text(f, buf_span(&f->uri));
}

static void write_elements(struct field *f, struct span rest)
{
	enum element element;

	while ((element = next_element(&rest, &f->text)) != ELEMENT_END) {
		if (element == ELEMENT_URI)
			write_uri(f);
		else
			write_text(f, buf_span(&f->text));
	}
}

static int write_field(struct field *f, struct span name, struct span body, bool broken,
		       struct buf *out)
{
	fold_begin(&f->fold, out, "", name);
	if (!broken)
		write_elements(f, body);
	else if (!f->at->strip)
		write_text(f, span_of(UNREADABLE_URI));
	return fold_end(&f->fold);
}

static bool is_of_interest(struct field *f, struct span body)
{
	compact(body, &f->text);
	return has_mailto(buf_span(&f->text));
}

int defang_mailto(const struct defang *at, struct span name, struct span body, bool readable,
		  struct buf *out, enum defang_fate *fate_out)
{
	struct field f = {.at = at};
	size_t before = out->len;
	bool allowed = true;
	int code = ERR_OK;

	buf_init(&f.text, body.len);
	buf_init(&f.scratch, body.len);
	/* An address of three octets and a comma becomes one of DEFANG_TEXT_SIZE. */
	buf_init(&f.uri, body.len * DEFANG_TEXT_SIZE);
	if (is_of_interest(&f, body)) {
		bool broken = !look(&f, body, &allowed) || !readable;

		allowed = allowed && !broken;
		if (!allowed)
			code = write_field(&f, name, body, broken, out);
	}
	if (code != ERR_OK || (!allowed && !f.wrote))
		buf_truncate(out, before);
	if (code == ERR_OK)
		*fate_out = allowed ? DEFANG_AS_IS : f.wrote ? DEFANG_REWRITTEN : DEFANG_REMOVED;
	buf_release(&f.text);
	buf_release(&f.scratch);
	buf_release(&f.uri);
	return code;
}
