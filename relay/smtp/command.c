/* relay/smtp/command.c - one command line of a client, taken apart (RFC 5321 4.1) */
#include "relay/smtp/command.h"

void command_split(struct span line, struct command *command_out)
{
	struct span rest = line;

	while (rest.len > 0 && ascii_is_blank(rest.data[rest.len - 1]))
		rest.len--;
	command_out->verb = span_cut(&rest, ' ');
	command_out->argument = rest;
}

bool command_has_control(struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

/* "Host:", "Subject:": a token with its colon at once behind it. */
static bool is_header_field(struct span verb)
{
	size_t colon = span_find(verb, ':');

	if (colon == 0 || colon == verb.len)
		return false;
	for (size_t i = 0; i < colon; i++)
		if (!ascii_is_alnum(verb.data[i]) && verb.data[i] != '-')
			return false;
	return true;
}

bool command_is_foreign(struct span line)
{
	static const char *const methods[] = {"GET",	 "POST",    "PUT",   "HEAD",  "DELETE",
					      "CONNECT", "OPTIONS", "PATCH", "TRACE", "PRI"};
	struct command command;

	command_split(line, &command);
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (span_is(command.verb, methods[i]) && command.argument.len > 0)
			return true;
	return is_header_field(command.verb);
}

bool command_announces_octets(struct span line)
{
	return span_starts_fold(line, "BDAT") && (line.len == 4 || !ascii_is_alnum(line.data[4]));
}

int command_parse_chunk(struct span argument, int64_t *size_out, bool *last_out)
{
	struct span rest = argument;
	struct span digits = span_cut(&rest, ' ');
	bool has_rest = digits.len < argument.len;
	uint64_t size = 0;
	int code;

	if (has_rest && !span_is_fold(rest, "LAST"))
		return ERR_SYNTAX;
	code = span_to_u64(digits, (uint64_t)COMMAND_CHUNK_MAX, &size);
	if (code != ERR_OK)
		return code;
	*size_out = (int64_t)size;
	*last_out = has_rest;
	return ERR_OK;
}

static bool is_hello_char(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':';
}

bool command_is_hello_name(struct span argument)
{
	if (argument.len == 0 || argument.len > ADDRESS_DOMAIN_MAX)
		return false;
	if (argument.len > 2 && argument.data[0] == '[' && argument.data[argument.len - 1] == ']')
		argument = span_make(argument.data + 1, argument.len - 2);
	for (size_t i = 0; i < argument.len; i++)
		if (!is_hello_char(argument.data[i]))
			return false;
	return true;
}

/* Length of the path at the front of `text`: up to the first '>' outside quotes; 0: none. */
static size_t path_length(struct span text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == '>' && !quoted)
			return i + 1;
	}
	return 0;
}

int command_parse_path(struct span argument, enum address_path kind, struct address *address_out,
		       struct span *parameters_out, struct err *why)
{
	const char *word = kind == ADDRESS_REVERSE_PATH ? "FROM:" : "TO:";
	struct span text;
	size_t len;
	int code;

	if (!span_starts_fold(argument, word))
		return err_set(why, ERR_SYNTAX, "%s<address> is wanted", word);
	text = span_skip(argument, strlen(word));
	if (text.len > 0 && ascii_is_blank(text.data[0]))
		return err_set(why, ERR_SYNTAX, "no blank may stand behind the colon");
	if (text.len == 0 || text.data[0] != '<')
		return err_set(why, ERR_SYNTAX, "the address must stand in angle brackets");
	len = path_length(text);
	if (len == 0)
		return err_set(why, ERR_SYNTAX, "the closing angle bracket is missing");
	if (len < text.len && text.data[len] != ' ')
		return err_set(why, ERR_SYNTAX, "a blank must follow the closing angle bracket");
	code = address_parse_path(span_first(text, len), kind, address_out, why);
	if (code == ERR_OK)
		*parameters_out = span_skip(text, len);
	return code;
}
