/* relay/smtp/command_parameters.c - MAIL and RCPT with all they carry (RFC 5321 4.1.2 and
 * extensions) */
#include "relay/smtp/command.h"

#include <assert.h>

#include "relay/wire/dsn.h"
#include "relay/wire/parameter.h"
#include "relay/wire/xtext.h"

/* What is being filled, and what it is judged by. */
struct taking {
	const struct command_limits *limits;
	struct smtp_mail *mail;		  /* MAIL's */
	struct smtp_recipient *recipient; /* RCPT's */
	struct smtp_answer *answer;
};

/* One row a parameter that is offered. Each stands once (RFC 3461 4, RFC 1870 6). */
struct rule {
	const char *keyword;
	bool (*take)(struct taking *taking, const struct parameter *parameter);
};

static bool refuse_parameter(struct taking *taking, const struct parameter *parameter)
{
	smtp_answer_set(taking->answer, 555, "5.5.4", "Parameter %.*s is not supported",
			SPAN_ARG(span_first(parameter->keyword, 60)));
	return false;
}

static bool malformed(struct taking *taking, const char *sentence)
{
	smtp_answer_set(taking->answer, 501, "5.5.4", "%s", sentence);
	return false;
}

static void keep(char *text_out, size_t room, struct span value)
{
	assert(value.len < room);
	memcpy(text_out, value.data, value.len);
	text_out[value.len] = '\0';
}

/* --- MAIL ----------------------------------------------------------------- */

/* RFC 1870 4: up to 20 digits; a number that no counter holds is too large, never small. */
static bool take_size(struct taking *taking, const struct parameter *parameter)
{
	int64_t max = taking->limits->max_message_size;
	uint64_t size = 0;
	int code = parameter->value.len > 20 ? ERR_SYNTAX
					     : span_to_u64(parameter->value, (uint64_t)max, &size);

	if (code == ERR_OK) {
		taking->mail->declared_size = (int64_t)size;
		return true;
	}
	if (code != ERR_LIMIT)
		return malformed(taking, "SIZE takes up to 20 digits");
	smtp_answer_set(taking->answer, 552, "5.3.4",
			"Message size exceeds the limit of %lld octets", (long long)max);
	return false;
}

/* RFC 6152 2. BINARYMIME is not offered: an unsupported parameter. */
static bool take_body(struct taking *taking, const struct parameter *parameter)
{
	if (span_is_fold(parameter->value, "BINARYMIME"))
		return refuse_parameter(taking, parameter);
	taking->mail->body_8bit = span_is_fold(parameter->value, "8BITMIME");
	return taking->mail->body_8bit || span_is_fold(parameter->value, "7BIT") ||
	       malformed(taking, "BODY is 7BIT or 8BITMIME");
}

/* RFC 6531 3.4 */
static bool take_smtputf8(struct taking *taking, const struct parameter *parameter)
{
	taking->mail->smtputf8 = true;
	return !parameter->has_value || malformed(taking, "SMTPUTF8 takes no value");
}

static bool take_ret(struct taking *taking, const struct parameter *parameter)
{
	taking->mail->ret = dsn_ret_parse(parameter->value);
	return taking->mail->ret != NULL || malformed(taking, "RET is FULL or HDRS");
}

static bool take_envid(struct taking *taking, const struct parameter *parameter)
{
	if (!dsn_envid_is_valid(parameter->value))
		return malformed(taking, "ENVID is xtext of up to 100 printable characters");
	keep(taking->mail->envid, sizeof(taking->mail->envid), parameter->value);
	return true;
}

/* RFC 4954 5: "<>" or a mailbox in xtext. We trust nobody's word for it: it goes no further. */
static bool take_auth(struct taking *taking, const struct parameter *parameter)
{
	struct address address;
	struct buf text;
	bool good;

	if (!taking->limits->auth)
		return refuse_parameter(taking, parameter);
	buf_init(&text, ADDRESS_TEXT_SIZE);
	good = xtext_decode(parameter->value, &text) == ERR_OK &&
	       (span_is(buf_span(&text), "<>") ||
		address_parse(buf_span(&text), &address, NULL) == ERR_OK);
	buf_release(&text);
	return good || malformed(taking, "AUTH is <> or a mailbox in xtext");
}

static const struct rule mail_rules[] = {
	{"SIZE", take_size}, {"BODY", take_body},   {"SMTPUTF8", take_smtputf8},
	{"RET", take_ret},   {"ENVID", take_envid}, {"AUTH", take_auth},
	{NULL, NULL},
};

/* --- RCPT ----------------------------------------------------------------- */

static bool take_notify(struct taking *taking, const struct parameter *parameter)
{
	taking->recipient->notify = dsn_notify_parse(parameter->value);
	return taking->recipient->notify != NULL ||
	       malformed(taking, "NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY");
}

static bool take_orcpt(struct taking *taking, const struct parameter *parameter)
{
	if (!dsn_orcpt_is_valid(parameter->value, taking->limits->smtputf8))
		return malformed(taking, "ORCPT is type;address in xtext, printable characters");
	keep(taking->recipient->orcpt, sizeof(taking->recipient->orcpt), parameter->value);
	return true;
}

static const struct rule rcpt_rules[] = {
	{"NOTIFY", take_notify}, {"ORCPT", take_orcpt}, {NULL, NULL}};

/* --- both ------------------------------------------------------------------ */

static bool take_one(struct taking *taking, const struct rule *rules,
		     const struct parameter *parameter, unsigned *seen)
{
	unsigned i = 0;

	while (rules[i].keyword != NULL && !span_is_fold(parameter->keyword, rules[i].keyword))
		i++;
	if (rules[i].keyword == NULL || !taking->limits->esmtp)
		return refuse_parameter(taking, parameter);
	if ((*seen & 1U << i) != 0)
		return malformed(taking, "A parameter stands twice");
	*seen |= 1U << i;
	return rules[i].take(taking, parameter);
}

static bool take_all(struct taking *taking, const struct rule *rules, struct span rest)
{
	struct parameter parameter;
	struct err why;
	unsigned seen = 0;
	int code;

	while ((code = parameter_next(&rest, &parameter, &why)) == ERR_OK)
		if (!take_one(taking, rules, &parameter, &seen))
			return false;
	return code == ERR_NOT_FOUND || malformed(taking, why.text);
}

/* RFC 6531 3.1 (8), 3.4: without SMTPUTF8 addresses are ASCII. */
static bool is_fit(const struct address *address, bool smtputf8, struct smtp_answer *answer_out)
{
	if (smtputf8 || (!address->utf8 && !address->utf8_domain))
		return true;
	smtp_answer_set(answer_out, 553, "5.6.7", "This address needs SMTPUTF8 at MAIL");
	return false;
}

bool command_parse_mail(struct span argument, const struct command_limits *limits,
			struct smtp_mail *mail_out, struct smtp_answer *answer_out)
{
	struct smtp_mail mail = {.declared_size = -1};
	struct taking taking = {.limits = limits, .mail = &mail, .answer = answer_out};
	struct span rest;
	struct err why;

	if (command_parse_path(argument, ADDRESS_REVERSE_PATH, &mail.sender, &rest, &why) !=
	    ERR_OK) {
		smtp_answer_set(answer_out, 501, "5.1.7", "Bad sender address: %s", why.text);
		return false;
	}
	if (!take_all(&taking, mail_rules, rest) ||
	    !is_fit(&mail.sender, mail.smtputf8, answer_out))
		return false;
	*mail_out = mail;
	return true;
}

bool command_parse_rcpt(struct span argument, const struct command_limits *limits,
			struct smtp_recipient *recipient_out, struct smtp_answer *answer_out)
{
	struct smtp_recipient recipient = {.notify = NULL};
	struct taking taking = {.limits = limits, .recipient = &recipient, .answer = answer_out};
	struct span rest;
	struct err why;

	if (command_parse_path(argument, ADDRESS_FORWARD_PATH, &recipient.address, &rest, &why) !=
	    ERR_OK) {
		smtp_answer_set(answer_out, 501, "5.1.3", "Bad recipient address: %s", why.text);
		return false;
	}
	if (!take_all(&taking, rcpt_rules, rest) ||
	    !is_fit(&recipient.address, limits->smtputf8, answer_out))
		return false;
	*recipient_out = recipient;
	return true;
}
