/* relay/smtp/received.c - the trace field we put in front of every message (RFC 5321 4.4) */
#include "relay/smtp/received.h"

#include "base/clock.h"
#include "base/err.h"

const char *received_protocol(const struct smtp_client *client)
{
	return client->esmtp ? "ESMTP" : "SMTP";
}

/* TCP-info: the address as the connection has it, not as the client names itself. */
static int add_client(const struct smtp_client *client, struct buf *out)
{
	bool v6 = strchr(client->address, ':') != NULL;

	if (strcmp(client->address, "unix") == 0)
		return buf_printf(out, "Received: from %s (unix socket)\r\n", client->helo);
	return buf_printf(out, "Received: from %s ([%s%s])\r\n", client->helo, v6 ? "IPv6:" : "",
			  client->address);
}

int received_format(const struct received *received, struct buf *out)
{
	const struct smtp_client *client = received->client;
	char date[CLOCK_RFC5322_SIZE];
	int code = add_client(client, out);

	clock_format_rfc5322(received->received_at, date);
	if (code == ERR_OK)
		code = buf_printf(out, "\tby %s with %s id %s", received->hostname,
				  received_protocol(client), received->id);
	if (code != ERR_OK)
		return code;
	if (received->recipient != NULL)
		return buf_printf(out, "\r\n\tfor <%s>; %s\r\n", received->recipient, date);
	return buf_printf(out, ";\r\n\t%s\r\n", date);
}
