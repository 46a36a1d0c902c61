/* relay/smtp/received.h - the trace field we put in front of every message (RFC 5321 4.4) */
#ifndef STAGEPOST_RELAY_SMTP_RECEIVED_H
#define STAGEPOST_RELAY_SMTP_RECEIVED_H

#include "base/buf.h"
#include "base/span.h"
#include "relay/smtp/smtp.h"

struct received {
	const struct smtp_client *client;
	const char *hostname;
	const char *id;	       /* the message's ULID */
	bool smtputf8;	       /* MAIL carried SMTPUTF8 */
	const char *forwarded; /* XFORWARD's word, or NULL */
	const char *recipient; /* the only one of the envelope, or NULL: no `for` (Bcc) */
	int64_t received_at;
};

/* Three lines or four with their CRLF; ERR_LIMIT at out's ceiling. */
int received_format(const struct received *received, struct buf *out);

/* "SMTP", "ESMTPSA", "UTF8LMTP" … (RFC 3848, RFC 6531 4.3). */
const char *received_protocol(const struct smtp_client *client, bool smtputf8);

#endif
