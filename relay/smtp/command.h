/* relay/smtp/command.h - one command line of a client, taken apart (RFC 5321 4.1) */
#ifndef STAGEPOST_RELAY_SMTP_COMMAND_H
#define STAGEPOST_RELAY_SMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"
#include "relay/mail/address.h"
#include "relay/smtp/smtp.h"

#define COMMAND_LINE_MAX 4096 /* octets with the line end; RFC 5321 4.5.3.1.4 asks for 512 */

/* Spans into the line. */
struct command {
	struct span verb;     /* up to the first blank */
	struct span argument; /* behind that one blank, without blanks at the end */
};

/* `line` without its line end. Pure, like everything here. */
void command_split(struct span line, struct command *command_out);

/* A control octet (NUL and CR included) stands in it: no command of RFC 5321 holds one. */
bool command_has_control(struct span line);

/*
 * Not SMTP at all: an HTTP request line, or a header field of one. A browser
 * made to speak to us must not get its body run as commands.
 */
bool command_is_foreign(struct span line);

/*
 * BDAT, or a misspelled one: what follows the line is content, which must
 * never run as commands (RFC 3030 2).
 */
bool command_announces_octets(struct span line);

#define COMMAND_CHUNK_MAX ((int64_t)2 << 30) /* no setting lets a message be larger */
/*
 * BDAT's argument: the size in digits, LAST or nothing behind it. ERR_SYNTAX;
 * ERR_LIMIT: above COMMAND_CHUNK_MAX.
 */
int command_parse_chunk(struct span argument, int64_t *size_out, bool *last_out);

/*
 * EHLO or HELO argument: a host name in a loose spelling (letters, digits and
 * . - _ : , 255 octets) or an address literal. Loose, because it is only shown.
 */
bool command_is_hello_name(struct span argument);

/*
 * The argument of MAIL or RCPT: "FROM:<…>" or "TO:<…>", nothing between colon
 * and bracket (RFC 5321 4.1.1.2), then the end or a blank and parameters.
 * ERR_SYNTAX, ERR_LIMIT as address_parse_path. *parameters_out is for
 * parameter_next().
 */
int command_parse_path(struct span argument, enum address_path kind, struct address *address_out,
		       struct span *parameters_out, struct err *why);

/* What parameters may be. */
struct command_limits {
	int64_t max_message_size;
	bool esmtp;    /* EHLO was used; without it there are no parameters */
	bool smtputf8; /* for RCPT: MAIL carried SMTPUTF8 */
	bool auth;     /* logins are taken here: AUTH= is understood (RFC 4954 5) */
};
/*
 * All of MAIL's argument. False: *answer_out says why (501 5.1.7, 501 5.5.4,
 * 552 5.3.4, 553 5.6.7, 555 5.5.4) and *mail_out is untouched.
 */
bool command_parse_mail(struct span argument, const struct command_limits *limits,
			struct smtp_mail *mail_out, struct smtp_answer *answer_out);
/* All of RCPT's, in the same way (501 5.1.3, 501 5.5.4, 553 5.6.7, 555 5.5.4). */
bool command_parse_rcpt(struct span argument, const struct command_limits *limits,
			struct smtp_recipient *recipient_out, struct smtp_answer *answer_out);

#endif
