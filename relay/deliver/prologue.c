/* relay/deliver/prologue.c - from a route's hosts to a connection that is ready for MAIL */
#include "relay/deliver/uplink_inside.h"

#include <stddef.h>
#include <stdio.h>

static void try_next_address(struct uplink *u);
static void try_next_host(struct uplink *u);

/* This address does not do: note it and go on with the next one. */
void prologue_failed(struct uplink *u, int code, const char *why)
{
	char text[200];

	/* It may stand in what is dropped now. */
	snprintf(text, sizeof(text), "%.199s", why);
	uplink_drop_far(u);
	err_set(&u->why, code, "%s: %s", u->remote, text);
	try_next_address(u);
}

static void say_hello(struct uplink *u, const char *verb, enum uplink_state next)
{
	char line[300];

	snprintf(line, sizeof(line), "%s %.255s\r\n", verb, u->env.hostname);
	u->state = next;
	uplink_say(u, line, u->env.route->command_timeout_ms);
}

void prologue_greeting(struct uplink *u)
{
	u->state = UPLINK_GREETING;
	stream_deadline(u->far, u->env.route->command_timeout_ms);
}

static bool is_lmtp(const struct uplink *u)
{
	return u->env.route->protocol == ROUTE_LMTP;
}

/* RFC 2033 4.1: so that nobody takes one protocol for the other. */
void prologue_hello(struct uplink *u)
{
	say_hello(u, is_lmtp(u) ? "LHLO" : "EHLO", UPLINK_EHLO);
}

void prologue_refused(struct uplink *u, const char *what, const struct reply *reply)
{
	char text[160], whole[200];

	reply_summary(reply, text, sizeof(text));
	snprintf(whole, sizeof(whole), "%s: %d %s", what, reply->code, text);
	prologue_failed(u, ERR_IO, whole);
}

static void ready(struct uplink *u)
{
	stream_deadline(u->far, 0);
	uplink_opened(u, ERR_OK);
}

static bool wants_tls(const struct uplink *u)
{
	return u->env.route->tls == ROUTE_TLS_REQUIRED || u->env.route->tls == ROUTE_TLS_IMPLICIT;
}

static void secure(struct uplink *u)
{
	const struct stream_tls_client client = {
		.context = u->env.tls,
		.name = u->host.name,
		.handshake_ms = u->env.route->command_timeout_ms,
	};
	struct err why;
	size_t discarded = 0;
	int code;

	u->state = UPLINK_SECURING;
	code = stream_start_tls_as_client(u->far, &client, &discarded, &why);
	if (code < 0)
		prologue_failed(u, code, why.text);
	else if (discarded > 0)
		/* RFC 3207 4.2, CVE-2011-0411: somebody put replies in front of the handshake. */
		prologue_failed(u, ERR_DENIED, "plain text was injected behind STARTTLS");
}

static void start_tls(struct uplink *u)
{
	if (!u->caps.starttls) {
		prologue_failed(u, ERR_UNSUPPORTED,
				"the route wants TLS and the next hop does not offer STARTTLS");
		return;
	}
	u->state = UPLINK_STARTTLS;
	uplink_say(u, "STARTTLS\r\n", u->env.route->command_timeout_ms);
}

void prologue_next(struct uplink *u)
{
	if (wants_tls(u) && !u->secured)
		start_tls(u);
	else
		ready(u);
}

static void on_ehlo_reply(struct uplink *u, const struct reply *reply)
{
	if (reply->code / 100 == 5 && !wants_tls(u) && !is_lmtp(u)) {
		say_hello(u, "HELO", UPLINK_HELO);
	} else if (reply->code != 250) {
		prologue_refused(u, is_lmtp(u) ? "LHLO" : "EHLO", reply);
	} else {
		hop_caps_parse(reply, &u->caps);
		prologue_next(u);
	}
}

void prologue_on_reply(struct uplink *u, const struct reply *reply)
{
	switch (u->state) {
	case UPLINK_GREETING:
		if (reply->code != 220)
			prologue_refused(u, "greeting", reply);
		else
			prologue_hello(u);
		break;
	case UPLINK_EHLO: on_ehlo_reply(u, reply); break;
	case UPLINK_HELO:
		if (reply->code != 250)
			prologue_refused(u, "HELO", reply);
		else
			prologue_next(u);
		break;
	case UPLINK_STARTTLS:
		if (reply->code != 220)
			prologue_refused(u, "STARTTLS", reply);
		else
			secure(u);
		break;
	default: prologue_failed(u, ERR_SYNTAX, "the next hop spoke out of turn");
	}
}

void prologue_secured(struct uplink *u)
{
	u->secured = true;
	if (u->env.route->tls == ROUTE_TLS_IMPLICIT) {
		prologue_greeting(u);
	} else {
		prologue_hello(u);
	}
}

/* --- opening --------------------------------------------------------------------------- */

void prologue_connected(struct uplink *u)
{
	if (u->env.route->tls == ROUTE_TLS_IMPLICIT) {
		secure(u);
		return;
	}
	prologue_greeting(u);
}

/* source_address is numeric: the configuration was checked for it. */
static int connect_to(struct uplink *u, const struct resolve_address *address, struct err *why)
{
	const char *source = u->env.route->source_address;
	struct resolve_result from = {.count = 0};
	struct route_host host = {.port = "0"};

	if (source != NULL && source[0] != '\0' && !route_host_is_unix(&u->host)) {
		snprintf(host.name, sizeof(host.name), "%s", source);
		if (resolve_numeric(&host, &from) < 0)
			return err_set(why, ERR_SYNTAX, "source_address \"%s\" is no address",
				       source);
	}
	return uplink_connect(u, address, from.count > 0 ? &from.addresses[0] : NULL, why);
}

/* "mail.example.com[192.0.2.1]:25", as the logs of other servers have it. */
static void name_remote(struct uplink *u, const struct resolve_address *address)
{
	struct span text = span_of(address->text);
	size_t colon = span_find_last(text, ':');
	struct span ip = span_first(text, colon);

	if (ip.len > 2 && ip.data[0] == '[')
		ip = span_make(ip.data + 1, ip.len - 2);
	if (route_host_is_unix(&u->host) || span_equal(ip, span_of(u->host.name)))
		snprintf(u->remote, sizeof(u->remote), "%s", address->text);
	else
		snprintf(u->remote, sizeof(u->remote), "%.100s[%.*s]%s", u->host.name, SPAN_ARG(ip),
			 address->text + colon);
}

static void try_next_address(struct uplink *u)
{
	while (u->address_next < u->query.result.count) {
		const struct resolve_address *address =
			&u->query.result.addresses[u->address_next++];
		struct err why;

		name_remote(u, address);
		if (u->env.is_own_listener != NULL &&
		    u->env.is_own_listener(u->env.own_ctx, address->text)) {
			err_set(&u->why, ERR_DENIED, "%s is a listener of our own: mail would loop",
				address->text);
			continue;
		}
		u->state = UPLINK_CONNECTING;
		if (connect_to(u, address, &why) == ERR_OK)
			return;
		err_set(&u->why, ERR_IO, "%s: %s", u->remote, why.text);
	}
	try_next_host(u);
}

static void on_resolved(struct loop_task *task)
{
	struct uplink *u = (struct uplink *)((char *)task - offsetof(struct uplink, query.task));

	if (u->closing) { /* uplink_close had to wait for us */
		u->state = UPLINK_DEAD;
		u->ops->on_closed(u->ctx);
		return;
	}
	if (u->query.code < 0) {
		u->why = u->query.why;
		try_next_host(u);
		return;
	}
	u->address_next = 0;
	try_next_address(u);
}

static void try_next_host(struct uplink *u)
{
	const struct route_options *route = u->env.route;

	if (u->host_tried >= route->host_count) {
		uplink_opened(u, ERR_IO);
		return;
	}
	u->query.result.count = 0;
	u->address_next = 0;
	if (route_host_parse(span_of(route->hosts[u->host_tried++]), &u->host, &u->why) < 0) {
		try_next_host(u);
		return;
	}
	if (resolve_numeric(&u->host, &u->query.result) == ERR_OK) {
		try_next_address(u);
		return;
	}
	u->state = UPLINK_RESOLVING;
	u->query.host = u->host;
	u->query.loop = u->env.loop;
	u->query.task.run = on_resolved;
	resolver_ask(u->env.resolver, &u->query);
}

void prologue_begin(struct uplink *u)
{
	err_set(&u->why, ERR_IO, "the route has no hosts");
	try_next_host(u);
}

bool prologue_is_looking_up(const struct uplink *u)
{
	return u->state == UPLINK_RESOLVING;
}
