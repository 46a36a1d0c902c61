/* relay/smtp/received.c - the trace field we put in front of every message (RFC 5321 4.4) */
#include "relay/smtp/received.h"

#include "base/clock.h"
#include "base/err.h"

const char *received_protocol(const struct smtp_client *client, bool smtputf8)
{
	/* By login, TLS, UTF-8: the names are registered, not put together. */
	static const char *const esmtp[] = {"ESMTP",	"ESMTPA",    "ESMTPS",	  "ESMTPSA",
					    "UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"};
	static const char *const lmtp[] = {"LMTP",     "LMTPA",	    "LMTPS",	 "LMTPSA",
					   "UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"};
	unsigned row = (client->user[0] != '\0' ? 1U : 0U) | (client->tls[0] != '\0' ? 2U : 0U) |
		       (smtputf8 ? 4U : 0U);

	if (client->with != NULL)
		return client->with;
	if (client->lmtp)
		return lmtp[row];
	return client->esmtp ? esmtp[row] : "SMTP";
}

/* TCP-info: the address of the connection, or a trusted proxy's word; never the client's own. */
static int add_client(const struct smtp_client *client, struct buf *out)
{
	bool v6 = strchr(client->address, ':') != NULL;

	int code;

	if (strcmp(client->address, "unix") == 0)
		code = buf_printf(out, "Received: from %s (unix socket)\r\n", client->helo);
	else if (strcmp(client->address, "unknown") == 0)
		code = buf_printf(out, "Received: from %s (unknown)\r\n", client->helo);
	else
		code = buf_printf(out, "Received: from %s (%s%s[%s%s])\r\n", client->helo,
				  client->name, client->name[0] != '\0' ? " " : "",
				  v6 ? "IPv6:" : "", client->address);
	if (code == ERR_OK && client->via[0] != '\0')
		code = buf_printf(out, "\t(via %s)\r\n", client->via);
	return code;
}

int received_format(const struct received *received, struct buf *out)
{
	const struct smtp_client *client = received->client;
	char date[CLOCK_RFC5322_SIZE];
	int code = add_client(client, out);

	clock_format_rfc5322(received->received_at, date);
	if (code == ERR_OK && received->forwarded != NULL)
		code = buf_printf(out, "\t(forwarded for %s)\r\n", received->forwarded);
	if (code == ERR_OK)
		code = buf_printf(out, "\tby %s with %s%s%s%s id %s", received->hostname,
				  received_protocol(client, received->smtputf8),
				  client->tls[0] != '\0' ? " (" : "", client->tls,
				  client->tls[0] != '\0' ? ")" : "", received->id);
	if (code != ERR_OK)
		return code;
	if (received->recipient != NULL)
		return buf_printf(out, "\r\n\tfor <%s>; %s\r\n", received->recipient, date);
	return buf_printf(out, ";\r\n\t%s\r\n", date);
}
