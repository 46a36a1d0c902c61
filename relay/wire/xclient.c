/* relay/wire/xclient.c - the attributes of XCLIENT and XFORWARD, read and written */
#include "relay/wire/xclient.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>

#include "relay/wire/xtext.h"

#define UNAVAILABLE "[UNAVAILABLE]"
#define TEMPUNAVAIL "[TEMPUNAVAIL]"
#define IPV6_PREFIX "IPV6:"
#define WORD_MAX    64

static const char *const names[XCLIENT_NAMES] = {
	[XCLIENT_NAME] = "NAME",	 [XCLIENT_ADDR] = "ADDR",	  [XCLIENT_PORT] = "PORT",
	[XCLIENT_PROTO] = "PROTO",	 [XCLIENT_HELO] = "HELO",	  [XCLIENT_LOGIN] = "LOGIN",
	[XCLIENT_DESTADDR] = "DESTADDR", [XCLIENT_DESTPORT] = "DESTPORT", [XCLIENT_IDENT] = "IDENT",
	[XCLIENT_SOURCE] = "SOURCE",
};

const char *xclient_names(enum xclient_command command)
{
	return command == COMMAND_XCLIENT ? "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
					  : "NAME ADDR PORT PROTO HELO IDENT SOURCE";
}

const char *xclient_name_text(enum xclient_name name)
{
	assert(name < XCLIENT_NAMES);
	return names[name];
}

static bool has_name(enum xclient_command command, enum xclient_name name)
{
	if (name <= XCLIENT_HELO)
		return true;
	return (name <= XCLIENT_DESTPORT) == (command == COMMAND_XCLIENT);
}

static int find_name(enum xclient_command command, struct span text, enum xclient_name *name_out)
{
	for (unsigned i = 0; i < XCLIENT_NAMES; i++)
		if (has_name(command, (enum xclient_name)i) && span_is_fold(text, names[i])) {
			*name_out = (enum xclient_name)i;
			return ERR_OK;
		}
	return ERR_SYNTAX;
}

/* --- values ---------------------------------------------------------------- */

static bool is_host_char(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-';
}

static bool is_hello_char(char c)
{
	return is_host_char(c) || c == '_' || c == ':' || c == '[' || c == ']';
}

/* May stand anywhere in a trace field: no blank, nothing that opens or closes something. */
static bool is_word_char(char c)
{
	return c > 32 && c < 127 && strchr("()<>[]\\\",;", c) == NULL;
}

static bool is_printable(char c)
{
	return c >= 32 && c < 127;
}

static bool all(const char *text, bool (*is)(char c))
{
	for (; *text != '\0'; text++)
		if (!is(*text))
			return false;
	return true;
}

static int mask(char *text, bool (*is)(char c))
{
	for (; *text != '\0'; text++)
		if (!is(*text))
			*text = '?';
	return ERR_OK;
}

static int fold_address(char *text)
{
	unsigned char bytes[16];
	size_t len = strlen(text);

	if (span_starts_fold(span_make(text, len), IPV6_PREFIX)) {
		memmove(text, text + strlen(IPV6_PREFIX), len - strlen(IPV6_PREFIX) + 1);
		return inet_pton(AF_INET6, text, bytes) == 1 ? ERR_OK : ERR_SYNTAX;
	}
	/* Some proxies forget the prefix. */
	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1
		       ? ERR_OK
		       : ERR_SYNTAX;
}

/* As the one spelling of `choices` that it is. */
static int fold_choice(char *text, const char *first, const char *second)
{
	const char *found = span_is_fold(span_of(text), first) ? first : second;

	if (!span_is_fold(span_of(text), found))
		return ERR_SYNTAX;
	memcpy(text, found, strlen(found) + 1);
	return ERR_OK;
}

static int check_port(const char *text)
{
	uint64_t port;

	return strlen(text) <= 5 ? span_to_u64(span_of(text), 65535, &port) : ERR_SYNTAX;
}

/* Is it one, and how we keep it. */
static int settle_value(enum xclient_command command, enum xclient_name name, char *text)
{
	switch (name) {
	case XCLIENT_NAME: return all(text, is_host_char) ? ERR_OK : ERR_SYNTAX;
	case XCLIENT_ADDR:
	case XCLIENT_DESTADDR: return fold_address(text);
	case XCLIENT_PORT:
	case XCLIENT_DESTPORT: return check_port(text) == ERR_OK ? ERR_OK : ERR_SYNTAX;
	case XCLIENT_PROTO:
		if (command == COMMAND_XCLIENT)
			return fold_choice(text, "SMTP", "ESMTP");
		return strlen(text) <= WORD_MAX ? mask(text, is_word_char) : ERR_LIMIT;
	case XCLIENT_HELO: return mask(text, is_hello_char);
	case XCLIENT_LOGIN: return all(text, is_printable) ? ERR_OK : ERR_SYNTAX;
	case XCLIENT_IDENT: return mask(text, is_word_char);
	case XCLIENT_SOURCE: return fold_choice(text, "LOCAL", "REMOTE");
	case XCLIENT_NAMES: break;
	}
	return ERR_SYNTAX;
}

static int decode(struct span raw, char text_out[XCLIENT_VALUE_MAX + 1])
{
	struct buf decoded;
	struct span value = raw;

	buf_init(&decoded, XCLIENT_VALUE_MAX);
	if (xtext_decode(raw, &decoded) == ERR_OK)
		value = buf_span(&decoded);
	memcpy(text_out, value.data, value.len);
	text_out[value.len] = '\0';
	buf_release(&decoded);
	return memchr(text_out, '\0', value.len) == NULL ? ERR_OK : ERR_SYNTAX;
}

static int parse_value(enum xclient_command command, struct span raw,
		       struct xclient_attribute *attribute)
{
	int code;

	attribute->text[0] = '\0';
	attribute->state = XCLIENT_UNAVAILABLE;
	if (span_is_fold(raw, UNAVAILABLE))
		return ERR_OK;
	attribute->state = XCLIENT_TEMPUNAVAIL;
	if (span_is_fold(raw, TEMPUNAVAIL))
		return ERR_OK;
	attribute->state = XCLIENT_KNOWN;
	if (raw.len == 0)
		return ERR_SYNTAX;
	if (raw.len > XCLIENT_VALUE_MAX)
		return ERR_LIMIT;
	code = decode(raw, attribute->text);
	return code == ERR_OK ? settle_value(command, attribute->name, attribute->text) : code;
}

int xclient_next(enum xclient_command command, struct span *rest,
		 struct xclient_attribute *attribute_out, struct err *why)
{
	struct xclient_attribute found;
	struct span after = *rest;
	struct span text, name;
	int code;

	while (after.len > 0 && after.data[0] == ' ')
		after = span_skip(after, 1);
	if (after.len == 0) {
		*rest = after;
		return ERR_NOT_FOUND;
	}
	text = span_cut(&after, ' ');
	name = span_first(text, span_find(text, '='));
	if (name.len == text.len)
		return err_set(why, ERR_SYNTAX, "attribute=value is wanted");
	if (find_name(command, name, &found.name) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "no such attribute");
	code = parse_value(command, span_skip(text, name.len + 1), &found);
	if (code != ERR_OK)
		return err_set(why, code, "bad value of %s", names[found.name]);
	*rest = after;
	*attribute_out = found;
	return ERR_OK;
}

/* --- writing --------------------------------------------------------------- */

static int append_value(const struct xclient_attribute *attribute, struct buf *out)
{
	bool address = attribute->name == XCLIENT_ADDR || attribute->name == XCLIENT_DESTADDR;
	int code = ERR_OK;

	if (attribute->state != XCLIENT_KNOWN)
		return buf_append_text(out, attribute->state == XCLIENT_UNAVAILABLE ? UNAVAILABLE
										    : TEMPUNAVAIL);
	if (address && strchr(attribute->text, ':') != NULL)
		code = buf_append_text(out, IPV6_PREFIX);
	return code == ERR_OK ? xtext_encode(span_of(attribute->text), out) : code;
}

int xclient_format(const struct xclient_attribute *attribute, struct buf *out)
{
	size_t before = out->len;
	size_t value_at;
	int code = buf_printf(out, " %s=", xclient_name_text(attribute->name));

	value_at = out->len;
	if (code == ERR_OK)
		code = append_value(attribute, out);
	if (code == ERR_OK && out->len - value_at > XCLIENT_VALUE_MAX)
		code = ERR_LIMIT;
	if (code != ERR_OK)
		buf_truncate(out, before);
	return code;
}
