/*
 * tests/fuzz/fuzz_command.c - relay/smtp/command.c and command_parameters.c: a line of a client,
 * whole and with all its parameters. What is taken is fit to be stored and sent, what is refused
 * changes nothing and says why. The first octet chooses what the session is like.
 */
#include "relay/smtp/command.h"

#include <string.h>

#include "base/err.h"
#include "relay/wire/dsn.h"
#include "tests/fuzz/fuzz.h"

/* The address prints as something that is the same address again. */
static void check_address(const struct address *address, bool smtputf8)
{
	char text[ADDRESS_TEXT_SIZE];
	char again[ADDRESS_TEXT_SIZE];
	struct address parsed;
	struct err why;

	assert(smtputf8 || (!address->utf8 && !address->utf8_domain));
	address_format(address, text);
	if (address->form == ADDRESS_NULL)
		return;
	assert(address_parse(span_of(text), &parsed, &why) == ERR_OK);
	address_format(&parsed, again);
	assert(strcmp(text, again) == 0 && address_equal(address, &parsed));
}

/* A refusal is a reply a client can be given. */
static void check_refusal(const struct smtp_answer *answer)
{
	assert(answer->code == 501 || answer->code == 552 || answer->code == 553 ||
	       answer->code == 555);
	assert(answer->enhanced[0] == '5' && answer->text[0] != '\0');
}

/* Values that go to the store and to the next hop stand in one line of ASCII. */
static void check_text(const char *text)
{
	for (; *text != '\0'; text++)
		assert(*text >= 33 && *text <= 126);
}

static void check_mail(struct span argument, const struct command_limits *limits)
{
	struct smtp_mail mail;
	struct smtp_mail before;
	struct smtp_answer answer = {.code = 0};

	memset(&mail, 0x55, sizeof(mail));
	memcpy(&before, &mail, sizeof(before));
	if (!command_parse_mail(argument, limits, &mail, &answer)) {
		check_refusal(&answer);
		assert(memcmp(&mail, &before, sizeof(mail)) == 0);
		return;
	}
	assert(mail.declared_size >= -1 && mail.declared_size <= limits->max_message_size);
	assert(limits->esmtp || (mail.declared_size == -1 && !mail.smtputf8 && mail.ret == NULL));
	assert(mail.ret == NULL || dsn_ret_parse(span_of(mail.ret)) == mail.ret);
	assert(mail.envid[0] == '\0' || dsn_envid_is_valid(span_of(mail.envid)));
	check_text(mail.envid);
	check_address(&mail.sender, mail.smtputf8);
}

static void check_rcpt(struct span argument, const struct command_limits *limits)
{
	struct smtp_recipient recipient;
	struct smtp_recipient before;
	struct smtp_answer answer = {.code = 0};

	memset(&recipient, 0x55, sizeof(recipient));
	memcpy(&before, &recipient, sizeof(before));
	if (!command_parse_rcpt(argument, limits, &recipient, &answer)) {
		check_refusal(&answer);
		assert(memcmp(&recipient, &before, sizeof(recipient)) == 0);
		return;
	}
	assert(recipient.notify == NULL ||
	       dsn_notify_parse(span_of(recipient.notify)) == recipient.notify);
	assert(recipient.orcpt[0] == '\0' ||
	       dsn_orcpt_is_valid(span_of(recipient.orcpt), limits->smtputf8));
	if (!limits->smtputf8)
		check_text(recipient.orcpt);
	check_address(&recipient.address, limits->smtputf8);
}

static void check_chunk(struct span argument)
{
	int64_t size = -1;
	bool last = false;

	if (command_parse_chunk(argument, &size, &last) == ERR_OK)
		assert(size >= 0 && size <= COMMAND_CHUNK_MAX);
	else
		assert(size == -1 && !last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned bits = size > 0 ? data[0] : 0;
	struct span line = span_make((const char *)data + (size > 0), size - (size > 0));
	const struct command_limits limits = {.max_message_size = 50000000,
					      .esmtp = (bits & 1) != 0,
					      .smtputf8 = (bits & 2) != 0,
					      .auth = (bits & 4) != 0};
	struct command command;

	/* As a session gives it: one line without its end, and without controls. */
	if (span_find(line, '\n') < line.len || line.len > COMMAND_LINE_MAX)
		return 0;
	command_split(line, &command);
	assert(fuzz_is_inside(command.verb, line) && fuzz_is_inside(command.argument, line));
	(void)command_is_foreign(line);
	if (command_is_hello_name(command.argument))
		assert(command.argument.len <= ADDRESS_DOMAIN_MAX);
	if (span_is_fold(command.verb, "BDAT"))
		assert(command_announces_octets(line));
	if (command_has_control(line))
		return 0;
	check_mail(command.argument, &limits);
	check_rcpt(command.argument, &limits);
	check_chunk(command.argument);
	return 0;
}
