/* relay/smtp/command.c - one command line of a client, taken apart (RFC 5321 4.1) */
#include "relay/smtp/command.h"

#include "relay/wire/parameter.h"

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

static bool refuse_parameter(const struct parameter *parameter, struct smtp_answer *answer_out)
{
	smtp_answer_set(answer_out, 555, "5.5.4", "Parameter %.*s is not supported",
			SPAN_ARG(span_first(parameter->keyword, 60)));
	return false;
}

/* RFC 1870 4: up to 20 digits; a number that no counter holds is too large, never small. */
static bool take_size(struct span value, int64_t max, struct smtp_mail *mail,
		      struct smtp_answer *answer_out)
{
	uint64_t size = 0;
	int code = value.len > 20 ? ERR_SYNTAX : span_to_u64(value, (uint64_t)max, &size);

	if (code == ERR_OK && mail->declared_size < 0) {
		mail->declared_size = (int64_t)size;
		return true;
	}
	if (code == ERR_LIMIT)
		smtp_answer_set(answer_out, 552, "5.3.4",
				"Message size exceeds the limit of %lld octets", (long long)max);
	else
		smtp_answer_set(answer_out, 501, "5.5.4",
				"SIZE takes up to 20 digits and stands once");
	return false;
}

/* RFC 6152 2. BINARYMIME needs CHUNKING, which is not offered: an unsupported parameter. */
static bool take_body(const struct parameter *parameter, bool *seen, struct smtp_mail *mail,
		      struct smtp_answer *answer_out)
{
	if (span_is_fold(parameter->value, "BINARYMIME"))
		return refuse_parameter(parameter, answer_out);
	if (*seen || (!span_is_fold(parameter->value, "7BIT") &&
		      !span_is_fold(parameter->value, "8BITMIME"))) {
		smtp_answer_set(answer_out, 501, "5.5.4", "BODY is 7BIT or 8BITMIME, once");
		return false;
	}
	*seen = true;
	mail->body_8bit = span_is_fold(parameter->value, "8BITMIME");
	return true;
}

static bool take_mail_parameter(const struct parameter *parameter,
				const struct command_limits *limits, bool *seen_body,
				struct smtp_mail *mail, struct smtp_answer *answer_out)
{
	if (!limits->esmtp)
		return refuse_parameter(parameter, answer_out);
	if (span_is_fold(parameter->keyword, "SIZE"))
		return take_size(parameter->value, limits->max_message_size, mail, answer_out);
	if (span_is_fold(parameter->keyword, "BODY"))
		return take_body(parameter, seen_body, mail, answer_out);
	return refuse_parameter(parameter, answer_out);
}

bool command_parse_mail(struct span argument, const struct command_limits *limits,
			struct smtp_mail *mail_out, struct smtp_answer *answer_out)
{
	struct smtp_mail mail = {.declared_size = -1};
	struct parameter parameter;
	struct span rest;
	struct err why;
	bool seen_body = false;
	int code = command_parse_path(argument, ADDRESS_REVERSE_PATH, &mail.sender, &rest, &why);

	if (code != ERR_OK) {
		smtp_answer_set(answer_out, 501, "5.1.7", "Bad sender address: %s", why.text);
		return false;
	}
	while ((code = parameter_next(&rest, &parameter, &why)) == ERR_OK)
		if (!take_mail_parameter(&parameter, limits, &seen_body, &mail, answer_out))
			return false;
	if (code != ERR_NOT_FOUND) {
		smtp_answer_set(answer_out, 501, "5.5.4", "%s", why.text);
		return false;
	}
	*mail_out = mail;
	return true;
}

bool command_parse_rcpt(struct span argument, struct smtp_recipient *recipient_out,
			struct smtp_answer *answer_out)
{
	struct smtp_recipient recipient = {.notify = NULL};
	struct parameter parameter;
	struct span rest;
	struct err why;
	int code =
		command_parse_path(argument, ADDRESS_FORWARD_PATH, &recipient.address, &rest, &why);

	if (code != ERR_OK) {
		smtp_answer_set(answer_out, 501, "5.1.3", "Bad recipient address: %s", why.text);
		return false;
	}
	code = parameter_next(&rest, &parameter, &why);
	if (code == ERR_OK)
		return refuse_parameter(&parameter, answer_out);
	if (code != ERR_NOT_FOUND) {
		smtp_answer_set(answer_out, 501, "5.5.4", "%s", why.text);
		return false;
	}
	*recipient_out = recipient;
	return true;
}
