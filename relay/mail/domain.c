/*
 * relay/mail/domain.c - domain names and address literals. One rule for RCPT, patterns, routes and
 * configuration: what a name looks like is judged on its A-label form, never on what was typed.
 */
#include "relay/mail/domain.h"

#include <idn2.h>

/* UTS 46 mapping as look-ups do it: width, case and composition must not make a second name. */
#define IDNA_FLAGS (IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT)

static bool is_hex(char c)
{
	return ascii_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* "1", "0177", "0x7f": inet_aton() takes a name that ends so for an IPv4 address. */
static bool label_is_number(struct span label)
{
	bool hex = span_starts_fold(label, "0x");

	for (size_t i = hex ? 2 : 0; i < label.len; i++)
		if (hex ? !is_hex(label.data[i]) : !ascii_is_digit(label.data[i]))
			return false;
	return true;
}

static int label_check(struct span label, struct err *why)
{
	if (label.len == 0)
		return err_set(why, ERR_SYNTAX, "a domain has an empty label or a dot at its end");
	if (label.len > DOMAIN_LABEL_MAX)
		return err_set(why, ERR_LIMIT, "a domain label is longer than %d octets",
			       DOMAIN_LABEL_MAX);
	for (size_t i = 0; i < label.len; i++)
		if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-')
			return err_set(why, ERR_SYNTAX,
				       "a domain holds something else than letters, digits, "
				       "hyphens and dots");
	if (label.data[0] == '-' || label.data[label.len - 1] == '-')
		return err_set(why, ERR_SYNTAX, "a domain label begins or ends with a hyphen");
	return ERR_OK;
}

static int idna_ascii(const char *name, char **ascii_out, struct err *why)
{
	int code = idn2_lookup_u8((const uint8_t *)name, (uint8_t **)ascii_out, IDNA_FLAGS);

	if (code == IDN2_OK)
		return ERR_OK;
	if (code == IDN2_TOO_BIG_DOMAIN || code == IDN2_TOO_BIG_LABEL ||
	    code == IDN2_PUNYCODE_BIG_OUTPUT)
		return err_set(why, ERR_LIMIT, "an internationalised domain is too long");
	return err_set(why, ERR_SYNTAX, "not a valid internationalised domain: %s",
		       idn2_strerror(code));
}

/* Does every "xn--" label survive the way to Unicode and back (RFC 5890 2.3.2.1)? */
static bool ace_is_true(const char *name)
{
	char *ascii = NULL;
	bool same;

	if (idna_ascii(name, &ascii, NULL) != ERR_OK)
		return false;
	same = span_equal_fold(span_of(name), span_of(ascii));
	idn2_free(ascii);
	return same;
}

static int shape_measure(const char *name, struct domain_shape *shape, struct err *why)
{
	struct span rest = span_of(name);
	bool ace = false;

	if (rest.len > DOMAIN_LENGTH_MAX)
		return err_set(why, ERR_LIMIT, "a domain is longer than %d octets",
			       DOMAIN_LENGTH_MAX);
	for (bool more = true; more;) {
		struct span label;
		int code;

		more = span_find(rest, '.') < rest.len;
		label = span_cut(&rest, '.');
		code = label_check(label, why);
		if (code != ERR_OK)
			return code;
		ace = ace || span_starts_fold(label, "xn--");
		shape->numeric_end = label_is_number(label);
		shape->labels++;
	}
	shape->false_ace = ace && !ace_is_true(name);
	return ERR_OK;
}

/* `name` (ADDRESS_DOMAIN_MAX + 1 bytes) from U-labels, in place. */
static int name_convert(char *name, struct err *why)
{
	char *ascii = NULL;
	size_t len;
	int code;

	if (!span_is_utf8(span_of(name)))
		return err_set(why, ERR_SYNTAX, "a domain is not valid UTF-8");
	code = idna_ascii(name, &ascii, why);
	if (code != ERR_OK)
		return code;
	len = strlen(ascii);
	if (len <= ADDRESS_DOMAIN_MAX)
		memcpy(name, ascii, len + 1);
	else
		code = err_set(why, ERR_LIMIT, "an internationalised domain is too long");
	idn2_free(ascii);
	return code;
}

int domain_parse(struct span text, char text_out[ADDRESS_DOMAIN_MAX + 1],
		 struct domain_shape *shape_out, struct err *why)
{
	struct domain_shape shape = {.utf8 = false};
	char name[ADDRESS_DOMAIN_MAX + 1];
	int code = ERR_OK;

	if (text.len == 0)
		return err_set(why, ERR_SYNTAX, "the domain is missing");
	if (text.len > ADDRESS_DOMAIN_MAX)
		return err_set(why, ERR_LIMIT, "a domain is longer than %d octets",
			       ADDRESS_DOMAIN_MAX);
	if (span_find(text, '\0') < text.len)
		return err_set(why, ERR_SYNTAX, "a domain holds a NUL");
	memcpy(name, text.data, text.len);
	name[text.len] = '\0';
	shape.utf8 = !span_is_ascii(text);
	if (shape.utf8)
		code = name_convert(name, why);
	if (code == ERR_OK)
		code = shape_measure(name, &shape, why);
	if (code != ERR_OK)
		return code;
	memcpy(text_out, name, strlen(name) + 1);
	*shape_out = shape;
	return ERR_OK;
}

int domain_to_ascii(struct span text, char text_out[ADDRESS_DOMAIN_MAX + 1], struct err *why)
{
	char name[ADDRESS_DOMAIN_MAX + 1];
	struct domain_shape shape;
	int code = domain_parse(text, name, &shape, why);

	if (code != ERR_OK)
		return code;
	if (shape.numeric_end)
		return err_set(why, ERR_SYNTAX, "a domain ends in a number");
	if (shape.false_ace)
		return err_set(why, ERR_SYNTAX, "a label begins with xn-- and is not an A-label");
	for (size_t i = 0; name[i] != '\0'; i++)
		name[i] = ascii_lower(name[i]);
	memcpy(text_out, name, strlen(name) + 1);
	return ERR_OK;
}

/* RFC 5321 4.1.3: four Snum of one to three digits, 0..255. */
static bool ipv4_is_valid(struct span text)
{
	size_t parts = 0;

	for (bool more = true; more; parts++) {
		struct span part;
		uint64_t value;

		more = span_find(text, '.') < text.len;
		part = span_cut(&text, '.');
		if (part.len > 3 || span_to_u64(part, 255, &value) != ERR_OK)
			return false;
	}
	return parts == 4;
}

static size_t hex_run(struct span text)
{
	size_t len = 0;

	while (len < text.len && is_hex(text.data[len]))
		len++;
	return len;
}

/*
 * RFC 5321 4.1.3: eight groups, or "::" for at least two of them; the last
 * two may be written as an IPv4 address.
 */
static bool ipv6_is_valid(struct span text)
{
	bool gap = span_starts_fold(text, "::");
	size_t groups = 0;

	text = span_skip(text, gap ? 2 : 0);
	while (text.len > 0) {
		size_t len = hex_run(text);

		if (len < text.len && text.data[len] == '.') {
			if (!ipv4_is_valid(text))
				return false;
			groups += 2;
			break;
		}
		if (len == 0 || len > 4)
			return false;
		groups++;
		text = span_skip(text, len);
		if (text.len == 0)
			break;
		if (text.data[0] != ':' || text.len == 1)
			return false;
		text = span_skip(text, 1);
		if (text.data[0] == ':') {
			if (gap)
				return false;
			gap = true;
			text = span_skip(text, 1);
		}
	}
	return gap ? groups <= 6 : groups == 8;
}

/* General-address-literal: Standardized-tag ":" 1*dcontent. */
static bool general_is_valid(struct span tag, struct span content)
{
	if (tag.len == 0 || !ascii_is_alnum(tag.data[tag.len - 1]) || content.len == 0)
		return false;
	for (size_t i = 0; i < tag.len; i++)
		if (!ascii_is_alnum(tag.data[i]) && tag.data[i] != '-')
			return false;
	for (size_t i = 0; i < content.len; i++)
		if (content.data[i] < 33 || content.data[i] > 126 || content.data[i] == '[' ||
		    content.data[i] == '\\' || content.data[i] == ']')
			return false;
	return true;
}

bool domain_literal_is_valid(struct span inside)
{
	size_t colon = span_find(inside, ':');

	if (span_starts_fold(inside, "ipv6:"))
		return ipv6_is_valid(span_skip(inside, 5));
	if (colon == inside.len)
		return ipv4_is_valid(inside);
	return general_is_valid(span_first(inside, colon), span_skip(inside, colon + 1));
}
