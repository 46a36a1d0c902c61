/* relay/wire/xclient.h - the attributes of XCLIENT and XFORWARD, read and written
 *
 * Postfix's XCLIENT_README and XFORWARD_README. Bytes in, bytes out: who may say it, and what it
 * changes, is relay/smtp/xclient.h.
 */
#ifndef STAGEPOST_RELAY_WIRE_XCLIENT_H
#define STAGEPOST_RELAY_WIRE_XCLIENT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define XCLIENT_VALUE_MAX 255 /* octets, as they come and decoded */

enum xclient_command { COMMAND_XCLIENT, COMMAND_XFORWARD };

enum xclient_name {
	XCLIENT_NAME,
	XCLIENT_ADDR,
	XCLIENT_PORT,
	XCLIENT_PROTO,
	XCLIENT_HELO,
	XCLIENT_LOGIN, /* of XCLIENT only, like the next two */
	XCLIENT_DESTADDR,
	XCLIENT_DESTPORT,
	XCLIENT_IDENT, /* of XFORWARD only, like the next */
	XCLIENT_SOURCE,
	XCLIENT_NAMES /* how many there are */
};

enum xclient_state {
	XCLIENT_KNOWN,
	XCLIENT_UNAVAILABLE, /* [UNAVAILABLE]: there is none */
	XCLIENT_TEMPUNAVAIL  /* [TEMPUNAVAIL]: not known now (a name's look-up failed) */
};

struct xclient_attribute {
	enum xclient_name name;
	enum xclient_state state;
	/*
	 * Decoded, printable ASCII; "" unless it is known. NAME: letters, digits,
	 * '.', '-'. ADDR and DESTADDR: an address as inet_pton reads it, without
	 * "IPV6:". PORT and DESTPORT: a decimal 0 to 65535. PROTO: "SMTP" or
	 * "ESMTP", of XFORWARD any word. SOURCE: "LOCAL" or "REMOTE". HELO, and
	 * the words of XFORWARD: what might disturb a trace field is '?'. LOGIN
	 * may hold blanks; it is refused, not changed, when it holds other octets.
	 */
	char text[XCLIENT_VALUE_MAX + 1];
};

/*
 * Cut the next attribute off the front of *rest; blanks (SP) around it go with
 * it. ERR_NOT_FOUND: none is left. ERR_SYNTAX: no name=value, a name the
 * command does not have, or a value that is none of that attribute.
 * ERR_LIMIT: a value too long. What is not xtext stands for itself, as senders
 * older than Postfix 2.3 wrote it. Pure.
 */
int xclient_next(enum xclient_command command, struct span *rest,
		 struct xclient_attribute *attribute_out, struct err *why);

/*
 * Append " NAME=value" as xclient_next reads it, with the "IPV6:" that an IPv6
 * address has on the wire. ERR_LIMIT: a value too long once coded, or out's
 * ceiling; nothing is appended.
 */
int xclient_format(const struct xclient_attribute *attribute, struct buf *out);

/* The names a command has, as its EHLO line lists them: "NAME ADDR PORT ...". */
const char *xclient_names(enum xclient_command command);
/* One name, upper case. */
const char *xclient_name_text(enum xclient_name name);

#endif
