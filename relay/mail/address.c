/*
 * relay/mail/address.c - envelope addresses by the strict grammar of RFC 5321 4.1.2 and RFC 6531.
 * What it lets through is printed again from the parsed value: nobody downstream sees the raw
 * bytes.
 */
#include "relay/mail/address.h"

#include <assert.h>

#include "relay/mail/domain.h"

#define PATH_MAX_OCTETS 256 /* RFC 5321 4.5.3.1.3, brackets included */
#define TEXT_MAX_OCTETS (PATH_MAX_OCTETS - 2)

/* RFC 5322 3.2.3; RFC 6531 3.3 adds UTF8-non-ascii (validity is checked for the whole at once). */
static bool is_atext(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* The bytes a domain, sub-domain or `*` entry may let out (CASES S134). */
static bool local_is_plain(const char *local)
{
	if (!ascii_is_alnum(local[0]))
		return false;
	for (size_t i = 1; local[i] != '\0'; i++)
		if (!ascii_is_alnum(local[i]) && strchr("._+-", local[i]) == NULL)
			return false;
	return true;
}

/* What is parsed begins as zeros, so every text in it ends where its last octet was put. */

/*
 * Quoted-string of RFC 5321 (no folding, no controls). A pair keeps its
 * backslash only where the character needs it, so that one mailbox has one
 * print. *length_out is what was read, with both quotes.
 */
static int quoted_parse(struct span text, struct address *parsed, size_t *length_out,
			struct err *why)
{
	size_t out = 0;
	size_t i = 1;

	parsed->local[out++] = '"';
	for (; i < text.len && text.data[i] != '"'; i++) {
		char c = text.data[i];
		bool pair = c == '\\';

		if (pair && ++i < text.len)
			c = text.data[i];
		if ((unsigned char)c < 32 || c == 127)
			return err_set(why, ERR_SYNTAX, "a quoted local part holds a control");
		if (pair && (unsigned char)c >= 0x80)
			return err_set(why, ERR_SYNTAX, "a backslash before a non-ASCII character");
		if (i + 1 >= ADDRESS_LOCAL_MAX)
			return err_set(why, ERR_LIMIT, "the local part is longer than %d octets",
				       ADDRESS_LOCAL_MAX);
		if (c == '"' || c == '\\')
			parsed->local[out++] = '\\';
		parsed->local[out++] = c;
	}
	if (i >= text.len)
		return err_set(why, ERR_SYNTAX, "a quoted local part has no end");
	parsed->local[out] = '"';
	parsed->quoted = true;
	*length_out = i + 1;
	return ERR_OK;
}

/* Dot-string: atoms with single dots between them. */
static int dot_string_parse(struct span text, struct address *parsed, size_t *length_out,
			    struct err *why)
{
	size_t len = 0;
	bool atom = false;

	for (; len < text.len && text.data[len] != '@'; len++) {
		bool dot = text.data[len] == '.';

		if (dot ? !atom : !is_atext(text.data[len]))
			return err_set(why, ERR_SYNTAX,
				       dot ? "the local part has a dot with nothing before it"
					   : "the local part holds a character that must be "
					     "quoted or left out");
		atom = !dot;
	}
	if (!atom)
		return err_set(why, ERR_SYNTAX,
			       len == 0 ? "the local part is missing"
					: "the local part ends with a dot");
	if (len > ADDRESS_LOCAL_MAX)
		return err_set(why, ERR_LIMIT, "the local part is longer than %d octets",
			       ADDRESS_LOCAL_MAX);
	memcpy(parsed->local, text.data, len);
	*length_out = len;
	return ERR_OK;
}

static int local_parse(struct span text, struct address *parsed, size_t *length_out,
		       struct err *why)
{
	struct span local;
	int code;

	if (text.len > 0 && text.data[0] == '"')
		code = quoted_parse(text, parsed, length_out, why);
	else
		code = dot_string_parse(text, parsed, length_out, why);
	if (code != ERR_OK)
		return code;
	local = span_of(parsed->local);
	parsed->utf8 = !span_is_ascii(local);
	if (parsed->utf8 && !span_is_utf8(local))
		return err_set(why, ERR_SYNTAX, "the local part is not valid UTF-8");
	return ERR_OK;
}

static int literal_parse(struct span text, struct address *parsed, struct err *why)
{
	assert(text.len <= TEXT_MAX_OCTETS);
	if (text.data[text.len - 1] != ']' ||
	    !domain_literal_is_valid(span_make(text.data + 1, text.len - 2)))
		return err_set(why, ERR_SYNTAX, "not a valid address literal");
	memcpy(parsed->domain, text.data, text.len);
	parsed->literal = true;
	return ERR_OK;
}

/* DESIGN 4.6: what could be read in two ways is never delivered. */
static enum address_form form_of(const struct address *parsed, const struct domain_shape *shape)
{
	if (parsed->quoted || parsed->literal || parsed->source_route || parsed->utf8 ||
	    shape->numeric_end)
		return ADDRESS_UNSAFE;
	if (shape->labels < 2 || shape->false_ace || !local_is_plain(parsed->local))
		return ADDRESS_LISTED_ONLY;
	return ADDRESS_PLAIN;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ), the whole of `text`. */
static int mailbox_parse(struct span text, struct address *parsed, struct err *why)
{
	struct domain_shape shape = {.utf8 = false};
	size_t len;
	int code = local_parse(text, parsed, &len, why);

	if (code != ERR_OK)
		return code;
	text = span_skip(text, len);
	if (text.len == 0 || text.data[0] != '@')
		return err_set(why, ERR_SYNTAX, "no @ and domain behind the local part");
	text = span_skip(text, 1);
	if (text.len > 0 && text.data[0] == '[')
		code = literal_parse(text, parsed, why);
	else
		code = domain_parse(text, parsed->domain, &shape, why);
	if (code != ERR_OK)
		return code;
	/* A-labels can be longer than the U-labels that were counted on the way in. */
	if (strlen(parsed->local) + 1 + strlen(parsed->domain) > TEXT_MAX_OCTETS)
		return err_set(why, ERR_LIMIT, "the address is longer than %d octets",
			       TEXT_MAX_OCTETS);
	parsed->utf8_domain = shape.utf8;
	parsed->form = form_of(parsed, &shape);
	return ERR_OK;
}

/*
 * A-d-l = At-domain *( "," At-domain ) ":" (RFC 5321 4.1.2, appendix C). The
 * hosts must be well formed; then they are dropped.
 */
static int route_skip(struct span *text, struct err *why)
{
	for (;;) {
		char name[ADDRESS_DOMAIN_MAX + 1];
		struct domain_shape shape;
		size_t end = 0;
		int code;

		if (text->len == 0 || text->data[0] != '@')
			return err_set(why, ERR_SYNTAX, "a source route needs @ before each host");
		*text = span_skip(*text, 1);
		while (end < text->len && text->data[end] != ',' && text->data[end] != ':')
			end++;
		if (end == text->len)
			return err_set(why, ERR_SYNTAX, "the local part is missing");
		code = domain_parse(span_first(*text, end), name, &shape, why);
		if (code != ERR_OK)
			return code;
		*text = span_skip(*text, end);
		if (text->data[0] == ':')
			break;
		*text = span_skip(*text, 1);
	}
	*text = span_skip(*text, 1);
	return ERR_OK;
}

static void postmaster_set(struct span text, struct address *parsed)
{
	memcpy(parsed->local, text.data, text.len);
	parsed->form = ADDRESS_POSTMASTER;
}

/* What stands between the angle brackets, when it is not empty. */
static int inside_parse(struct span inside, bool postmaster, bool route, struct address *parsed,
			struct err *why)
{
	if (postmaster && span_is_fold(inside, "postmaster")) {
		postmaster_set(inside, parsed);
		return ERR_OK;
	}
	if (route && inside.data[0] == '@') {
		int code = route_skip(&inside, why);

		if (code != ERR_OK)
			return code;
		parsed->source_route = true;
	}
	return mailbox_parse(inside, parsed, why);
}

int address_parse_path(struct span text, enum address_path kind, struct address *address_out,
		       struct err *why)
{
	struct address parsed = {.form = ADDRESS_NULL};
	struct span inside;

	if (text.len > PATH_MAX_OCTETS)
		return err_set(why, ERR_LIMIT, "the path is longer than %d octets",
			       PATH_MAX_OCTETS);
	if (text.len < 2 || text.data[0] != '<' || text.data[text.len - 1] != '>')
		return err_set(why, ERR_SYNTAX, "no angle brackets around the address");
	inside = span_make(text.data + 1, text.len - 2);
	if (inside.len == 0 && kind == ADDRESS_FORWARD_PATH)
		return err_set(why, ERR_SYNTAX, "a recipient cannot be the null address");
	if (inside.len > 0) {
		int code = inside_parse(inside, kind == ADDRESS_FORWARD_PATH, true, &parsed, why);

		if (code != ERR_OK)
			return code;
	}
	*address_out = parsed;
	return ERR_OK;
}

int address_parse(struct span text, struct address *address_out, struct err *why)
{
	struct address parsed = {.form = ADDRESS_NULL};
	int code;

	if (text.len > TEXT_MAX_OCTETS)
		return err_set(why, ERR_LIMIT, "the address is longer than %d octets",
			       TEXT_MAX_OCTETS);
	if (text.len == 0)
		return err_set(why, ERR_SYNTAX, "the address is empty");
	code = inside_parse(text, true, false, &parsed, why);
	if (code != ERR_OK)
		return code;
	*address_out = parsed;
	return ERR_OK;
}

void address_format(const struct address *address, char text_out[ADDRESS_TEXT_SIZE])
{
	size_t local = strlen(address->local);
	size_t domain = strlen(address->domain);

	memcpy(text_out, address->local, local);
	if (domain > 0) {
		text_out[local++] = '@';
		memcpy(text_out + local, address->domain, domain);
	}
	text_out[local + domain] = '\0';
}

void address_key(const struct address *address, char text_out[ADDRESS_TEXT_SIZE])
{
	address_format(address, text_out);
	for (size_t i = 0; text_out[i] != '\0'; i++)
		text_out[i] = ascii_lower(text_out[i]);
}

bool address_equal(const struct address *a, const struct address *b)
{
	struct span local_a = span_of(a->local);
	struct span local_b = span_of(b->local);

	if (!span_equal_fold(span_of(a->domain), span_of(b->domain)))
		return false;
	/* RFC 5321 2.4: of all local parts only postmaster's case means nothing. */
	if (a->form == ADDRESS_POSTMASTER && b->form == ADDRESS_POSTMASTER)
		return true;
	return span_equal(local_a, local_b);
}
