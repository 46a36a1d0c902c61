/* relay/deliver/vouch.c - the next hop is told of the original client: PROXY and XCLIENT */
#include "relay/deliver/vouch.h"

#include <assert.h>
#include <stdio.h>

#include "relay/wire/proxy.h"
#include "relay/wire/xclient.h"

#define LINE_MAX_BYTES 510 /* RFC 5321 4.5.3.1.4, without its CRLF */
#define LINES_MAX      4

/* --- PROXY --------------------------------------------------------------------------- */

static void set_addresses(const struct uplink *u, struct proxy_header *header)
{
	const struct client *client = &u->env.client;
	char own[STREAM_NAME_SIZE], peer[STREAM_NAME_SIZE];

	stream_own_name(u->far, own);
	if (client_source(client, &header->source)) {
		client_destination(client, own, &header->destination);
		header->has_addresses = true;
	} else if (header->version == PROXY_V1) {
		stream_peer_name(u->far, peer);
		header->has_addresses = client_endpoint(own, &header->source) &&
					client_endpoint(peer, &header->destination);
	} else {
		header->local = true;
	}
}

void vouch_header(struct uplink *u)
{
	struct proxy_header header = {
		.version = u->env.route->proxy_protocol == ROUTE_PROXY_V1 ? PROXY_V1 : PROXY_V2};
	struct buf out;
	int code;

	if (u->env.route->proxy_protocol == ROUTE_PROXY_OFF)
		return;
	set_addresses(u, &header);
	buf_init(&out, PROXY_HEADER_MAX);
	code = proxy_format(&header, &out);
	assert(code == ERR_OK); /* addresses alone have a bounded length */
	(void)stream_write(u->far, buf_span(&out));
	buf_release(&out);
}

/* --- XCLIENT ---------------------------------------------------------------------------- */

static void know(struct xclient_attribute *attribute, const char *text)
{
	attribute->state = text[0] != '\0' ? XCLIENT_KNOWN : XCLIENT_UNAVAILABLE;
	(void)snprintf(attribute->text, sizeof(attribute->text), "%s", text);
}

static void know_port(struct xclient_attribute *attribute, int port)
{
	char text[16] = "";

	if (port > 0)
		(void)snprintf(text, sizeof(text), "%d", port);
	know(attribute, text);
}

/* The words of a trace field that Postfix and we ourselves take. */
static bool is_hello(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if (!ascii_is_alnum(*c) && strchr(".-_:[]", *c) == NULL)
			return false;
	return text[0] != '\0';
}

static void know_destination(struct xclient_attribute *attribute, const struct uplink *u)
{
	char own[STREAM_NAME_SIZE], address[CLIENT_ADDRESS_SIZE];
	struct sockaddr_storage destination;
	int port;

	stream_own_name(u->far, own);
	client_destination(&u->env.client, own, &destination);
	port = client_endpoint_parts(&destination, address);
	if (attribute->name == XCLIENT_DESTPORT)
		know_port(attribute, port);
	else
		know(attribute, address);
}

/* False: there is nothing to say about it. */
static bool fill(const struct uplink *u, struct xclient_attribute *attribute)
{
	const struct client *client = &u->env.client;

	switch (attribute->name) {
	case XCLIENT_NAME: know(attribute, client->name); break;
	case XCLIENT_ADDR: know(attribute, client->address); break;
	case XCLIENT_PORT: know_port(attribute, client->port); break;
	/* Of the two that XCLIENT has. */
	case XCLIENT_PROTO:
		know(attribute, strcmp(client->protocol, "SMTP") == 0 ? "SMTP" : "ESMTP");
		break;
	case XCLIENT_HELO: know(attribute, is_hello(client->helo) ? client->helo : ""); break;
	/* Where the route logs in the session is that user's. */
	case XCLIENT_LOGIN:
		know(attribute, client->user);
		return client->user[0] != '\0' && u->env.key == NULL;
	case XCLIENT_DESTADDR:
	case XCLIENT_DESTPORT: know_destination(attribute, u); break;
	default: return false;
	}
	return true;
}

/* " NAME=value"; what grows too long once coded is not available, a login not said. */
static void format(const struct uplink *u, enum xclient_name name, struct buf *out)
{
	struct xclient_attribute attribute = {.name = name};

	if (!fill(u, &attribute) || xclient_format(&attribute, out) == ERR_OK ||
	    name == XCLIENT_LOGIN)
		return;
	attribute.state = XCLIENT_UNAVAILABLE;
	(void)xclient_format(&attribute, out);
}

/*
 * The commands, the last one first. Postfix forgets LOGIN, PROTO and HELO when
 * a later command does not repeat them, and may not take a second one once it
 * knows the address: so what matters most is said last.
 */
static size_t compose(const struct uplink *u, char lines[LINES_MAX][LINE_MAX_BYTES + 1])
{
	static const enum xclient_name order[] = {XCLIENT_ADDR,	    XCLIENT_LOGIN,   XCLIENT_PROTO,
						  XCLIENT_NAME,	    XCLIENT_HELO,    XCLIENT_PORT,
						  XCLIENT_DESTADDR, XCLIENT_DESTPORT};
	size_t count = 0, len = 0;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		struct buf text;

		if ((u->caps.xclient & 1U << order[i]) == 0)
			continue;
		buf_init(&text, LINE_MAX_BYTES);
		format(u, order[i], &text);
		if (text.len > 0 && (count == 0 || len + text.len > LINE_MAX_BYTES)) {
			assert(count < LINES_MAX); /* two values of 255 fit in any case */
			len = (size_t)snprintf(lines[count++], LINE_MAX_BYTES + 1, "XCLIENT");
		}
		if (text.len > 0)
			len += (size_t)snprintf(lines[count - 1] + len, LINE_MAX_BYTES + 1 - len,
						"%.*s", SPAN_ARG(buf_span(&text)));
		buf_release(&text);
	}
	return count;
}

static void say_next(struct uplink *u)
{
	char lines[LINES_MAX][LINE_MAX_BYTES + 1];
	char line[LINE_MAX_BYTES + 3];
	size_t count = compose(u, lines);

	if (u->vouch_said == count) {
		u->vouched = true;
		prologue_hello(u);
		return;
	}
	u->vouch_said++;
	(void)snprintf(line, sizeof(line), "%s\r\n", lines[count - u->vouch_said]);
	uplink_say(u, line, u->env.route->command_timeout_ms);
}

bool vouch_is_wanted(const struct uplink *u)
{
	return u->env.route->xclient && !u->vouched && client_is_known(&u->env.client);
}

void vouch_begin(struct uplink *u)
{
	u->state = UPLINK_VOUCHING;
	if (u->caps.xclient == 0) {
		prologue_failed(u, ERR_UNSUPPORTED,
				"the route wants XCLIENT and the next hop does not offer it to us");
		return;
	}
	u->vouch_said = 0;
	say_next(u);
}

/* Who takes XCLIENT from whom is a matter of configuration, there and here. */
static void refused(struct uplink *u, const struct reply *reply)
{
	char text[160], whole[200];

	reply_summary(reply, text, sizeof(text));
	(void)snprintf(whole, sizeof(whole), "XCLIENT: %d %s", reply->code, text);
	prologue_failed(u, ERR_UNSUPPORTED, whole);
}

void vouch_on_reply(struct uplink *u, const struct reply *reply)
{
	/* 220 begins the session anew; some say 250 as to other commands. */
	if (reply->code / 100 == 5)
		refused(u, reply);
	else if (reply->code != 220 && reply->code != 250)
		prologue_refused(u, "XCLIENT", reply);
	else
		say_next(u);
}

const char *vouch_hello(const struct uplink *u)
{
	return u->vouched && is_hello(u->env.client.helo) ? u->env.client.helo : NULL;
}
