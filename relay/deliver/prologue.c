/* relay/deliver/prologue.c - from a route's hosts to a connection that is ready for MAIL */
#include "relay/deliver/uplink_inside.h"

#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "relay/deliver/vouch.h"

static void try_next_address(struct uplink *u);
static void dial_again(struct uplink *u);

void prologue_failed_as(struct uplink *u, enum trouble trouble, int code, const char *why)
{
	struct err sentence;
	char text[200];

	if (login_is_away(u)) {
		login_note_failure(u, code, why);
		return;
	}
	securing_failed(u);
	/* It may stand in what is dropped now. */
	snprintf(text, sizeof(text), "%.199s", securing_explain(u, why, &sentence));
	if (securing_tries_again(u, code, text)) {
		dial_again(u);
		return;
	}
	uplink_drop_far(u);
	u->why_code = err_set(&u->why, code, "%s: %s", u->remote, text);
	u->trouble = trouble;
	try_next_address(u);
}

/*
 * Between the wish for TLS and the end of the handshake what fails is TLS;
 * behind it, too, when TLS 1.3 complains about our certificate.
 */
static bool is_about_tls(const struct uplink *u, int code)
{
	return u->state == UPLINK_STARTTLS || u->state == UPLINK_SECURING ||
	       (u->state == UPLINK_EHLO && (code == ERR_UNSUPPORTED || u->tls.alert != 0));
}

void prologue_failed(struct uplink *u, int code, const char *why)
{
	enum trouble trouble = trouble_of_code(code);

	if (code != ERR_TIMEOUT && is_about_tls(u, code))
		trouble = TROUBLE_TLS;
	prologue_failed_as(u, trouble, code, why);
}

static void say_hello(struct uplink *u, const char *verb, enum uplink_state next)
{
	const char *name = vouch_hello(u);
	char line[300];

	snprintf(line, sizeof(line), "%s %.255s\r\n", verb, name != NULL ? name : u->env.hostname);
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
	u->caps = (struct hop_caps){0}; /* what was offered before counts no more */
	say_hello(u, is_lmtp(u) ? "LHLO" : "EHLO", UPLINK_EHLO);
}

void prologue_refused(struct uplink *u, const char *what, const struct reply *reply)
{
	char text[160], whole[200];

	reply_summary(reply, text, sizeof(text));
	snprintf(whole, sizeof(whole), "%s: %d %s", what, reply->code, text);
	prologue_failed_as(u, is_about_tls(u, ERR_IO) ? TROUBLE_TLS : trouble_of_reply(reply->code),
			   ERR_IO, whole);
}

static void ready(struct uplink *u)
{
	stream_deadline(u->far, 0);
	securing_note(u);
	uplink_opened(u, ERR_OK);
}

void prologue_next(struct uplink *u)
{
	if (securing_is_next(u))
		securing_say(u);
	/* Before AUTH: XCLIENT begins the session anew, and a login would be forgotten. */
	else if (vouch_is_wanted(u))
		vouch_begin(u);
	else if (login_is_wanted(u))
		login_begin(u);
	else
		ready(u);
}

static void on_ehlo_reply(struct uplink *u, const struct reply *reply)
{
	if (reply->code / 100 == 5 && !securing_is_required(u) && !is_lmtp(u)) {
		say_hello(u, "HELO", UPLINK_HELO);
	} else if (reply->code != 250) {
		prologue_refused(u, is_lmtp(u) ? "LHLO" : "EHLO", reply);
	} else {
		hop_caps_parse(reply, &u->caps);
		prologue_next(u);
	}
}

static void out_of_turn(struct uplink *u)
{
	prologue_failed(u, ERR_SYNTAX, "the next hop spoke out of turn");
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
	case UPLINK_STARTTLS: securing_on_reply(u, reply); break;
	case UPLINK_VOUCHING: vouch_on_reply(u, reply); break;
	case UPLINK_LOGIN:
		if (login_is_away(u))
			out_of_turn(u);
		else
			login_on_reply(u, reply);
		break;
	default: out_of_turn(u);
	}
}

/* --- opening --------------------------------------------------------------------------- */

void prologue_connected(struct uplink *u)
{
	vouch_header(u);
	if (u->env.route->tls == ROUTE_TLS_IMPLICIT)
		securing_begin(u);
	else
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
		/* Not from another one then: who asks for an address may have a rule behind it. */
		if (from.addresses[0].sockaddr.ss_family != address->sockaddr.ss_family)
			return err_set(why, ERR_UNSUPPORTED,
				       "source_address %s is of another family than this address",
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

static bool dial(struct uplink *u, const struct resolve_address *address)
{
	struct err why;

	u->state = UPLINK_CONNECTING;
	if (connect_to(u, address, &why) == ERR_OK)
		return true;
	u->why_code = err_set(&u->why, ERR_IO, "%s: %s", u->remote, why.text);
	u->trouble = TROUBLE_NETWORK;
	return false;
}

/* The same address once more, on a connection of which nothing is spoilt. */
static void dial_again(struct uplink *u)
{
	uplink_drop_far(u);
	if (!dial(u, &u->query.result.addresses[u->address_next - 1]))
		try_next_address(u);
}

static void try_next_address(struct uplink *u)
{
	securing_forget(u);
	while (u->address_next < u->query.result.count && clock_mono_ms() < u->give_up_ms) {
		const struct resolve_address *address =
			&u->query.result.addresses[u->address_next++];

		name_remote(u, address);
		if (u->env.is_own_listener != NULL &&
		    u->env.is_own_listener(u->env.own_ctx, address->text)) {
			u->why_code = err_set(&u->why, ERR_CONFLICT,
					      "%s is a listener of our own: mail would loop",
					      u->remote);
			u->trouble = TROUBLE_CONFIGURATION;
			continue;
		}
		if (dial(u, address))
			return;
	}
	/* ERR_DENIED is for credentials only (login.c). */
	uplink_opened(u, u->why_code == ERR_CONFLICT ? ERR_CONFLICT : ERR_IO);
}

/*
 * However many addresses never answer (S229): all together they take no
 * longer than two of them would, and the last one is tried too.
 */
static void begin_connecting(struct uplink *u)
{
	int64_t limit = u->env.route->connect_timeout_ms;
	int64_t count = (int64_t)u->query.result.count;

	u->why_code = err_set(&u->why, ERR_IO, "%s has no address", u->host.name);
	u->trouble = TROUBLE_NETWORK;
	u->address_next = 0;
	u->give_up_ms = clock_mono_ms() + 2 * limit;
	u->connect_ms = count > 2 ? 2 * limit / count : limit;
	try_next_address(u);
}

static void on_resolved(struct loop_task *task)
{
	struct uplink *u = (struct uplink *)((char *)task - offsetof(struct uplink, query.task));

	if (u->closing) { /* uplink_close had to wait for us */
		uplink_closed(u);
		return;
	}
	if (u->query.code < 0) {
		u->why = u->query.why;
		u->trouble = TROUBLE_NETWORK;
		uplink_opened(u, u->query.code);
		return;
	}
	begin_connecting(u);
}

void prologue_begin(struct uplink *u)
{
	if (resolve_numeric(&u->host, &u->query.result) == ERR_OK) {
		begin_connecting(u);
		return;
	}
	u->state = UPLINK_RESOLVING;
	u->query.host = u->host;
	u->query.dns = u->env.dns;
	u->query.loop = u->env.loop;
	u->query.task.run = on_resolved;
	resolver_ask(u->env.resolver, &u->query);
}

bool prologue_is_looking_up(const struct uplink *u)
{
	return u->state == UPLINK_RESOLVING;
}
