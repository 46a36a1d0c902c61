/* relay/smtp/xclient.c - inside of a session: a trusted peer tells who its client is */
#include "relay/smtp/xclient.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "relay/smtp/auth.h"
#include "relay/smtp/starttls.h"
#include "relay/wire/xclient.h"

/* The attributes of one command. */
struct claim {
	bool given[XCLIENT_NAMES];
	struct xclient_attribute attributes[XCLIENT_NAMES];
};

bool xclient_is_offered(const struct smtp_session *session)
{
	/* Whoever is behind a proxy's UNKNOWN has the proxy's address, but not its word. */
	return listener_of(session)->xclient && !session->veiled &&
	       version_trusts(session->version, session->listener, &session->peer);
}

/* False: refused. */
static bool may_say(struct smtp_session *session)
{
	if (!listener_of(session)->xclient) {
		session_refuse(session, 502, "5.5.1", "Command not offered here");
	} else if (!xclient_is_offered(session)) {
		log_info("refused", LOG_S("session", session->client.session),
			 LOG_S("client", session->client.address),
			 LOG_S("reason", "XCLIENT from an address that is not trusted"));
		session_refuse(session, 550, "5.7.0", "Insufficient authorization");
	} else if (session->stage != STAGE_START && session->stage != STAGE_READY) {
		session_refuse(session, 503, "5.5.1", "A mail transaction is under way");
	} else {
		return true;
	}
	return false;
}

/* A name said twice counts as said last. False: refused. */
static bool parse(struct smtp_session *session, enum xclient_command command, struct span argument,
		  struct claim *claim)
{
	struct xclient_attribute attribute;
	struct err why;
	size_t count = 0;
	int code;

	memset(claim->given, 0, sizeof(claim->given));
	while ((code = xclient_next(command, &argument, &attribute, &why)) == ERR_OK) {
		claim->given[attribute.name] = true;
		claim->attributes[attribute.name] = attribute;
		count++;
	}
	if (code == ERR_NOT_FOUND && count > 0)
		return true;
	session_refuse(session, 501, "5.5.4",
		       code == ERR_NOT_FOUND ? "attribute=value is wanted" : why.text);
	return false;
}

/* Its text; "" when it was not given, or is not known. */
static const char *text_of(const struct claim *claim, enum xclient_name name)
{
	return claim->given[name] ? claim->attributes[name].text : "";
}

/* --- XCLIENT --------------------------------------------------------------- */

static void copy(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text);
}

static int port_of(const char *text)
{
	uint64_t port = 0;

	(void)span_to_u64(span_of(text), 65535, &port);
	return (int)port;
}

/* The chain of those whose word it is, the newest last; what does not fit is in the log. */
static void add_via(struct smtp_client *client)
{
	size_t len = strlen(client->via);
	size_t room = sizeof(client->via) - len;
	const char *comma = len > 0 ? ", " : "";

	if (strlen(comma) + strlen(client->address) < room)
		(void)snprintf(client->via + len, room, "%s%s", comma, client->address);
}

static void take_address(struct smtp_session *session, const struct claim *claim)
{
	struct smtp_client *client = &session->client;
	struct peer_address peer = {.unknown = true};

	if (!claim->given[XCLIENT_ADDR])
		return;
	add_via(client);
	/* The wire's parser has found it to be an address. */
	if (text_of(claim, XCLIENT_ADDR)[0] != '\0')
		(void)peer_address_parse(span_of(text_of(claim, XCLIENT_ADDR)), &peer);
	session->peer = peer;
	peer_address_format(&peer, client->address);
	/* What we knew ourselves was about the old one. */
	if (!session->name_claimed)
		client->name[0] = '\0';
	if (!session->port_claimed)
		client->port = 0;
}

static void take_name_and_port(struct smtp_session *session, const struct claim *claim)
{
	struct smtp_client *client = &session->client;

	if (claim->given[XCLIENT_NAME]) {
		session->name_claimed = true;
		copy(client->name, sizeof(client->name), text_of(claim, XCLIENT_NAME));
	}
	if (claim->given[XCLIENT_PORT]) {
		session->port_claimed = true;
		client->port = port_of(text_of(claim, XCLIENT_PORT));
	}
}

/* Back to the greeting, or behind an EHLO that HELO= stands for. */
static void take_stage(struct smtp_session *session, const struct claim *claim)
{
	struct smtp_client *client = &session->client;
	const char *hello = text_of(claim, XCLIENT_HELO);

	session_reset(session);
	copy(client->helo, sizeof(client->helo), hello);
	client->esmtp = client->lmtp || strcmp(text_of(claim, XCLIENT_PROTO), "ESMTP") == 0;
	session->stage = hello[0] != '\0' ? STAGE_READY : STAGE_START;
}

static void log_claim(const struct smtp_session *session, const struct claim *claim)
{
	const struct smtp_client *client = &session->client;

	log_info("xclient", LOG_S("session", client->session), LOG_S("client", client->address),
		 LOG_I("port", client->port), LOG_S("via", client->via),
		 LOG_S("name", client->name), LOG_S("helo", client->helo),
		 LOG_S("user", client->user),
		 LOG_S("destination", text_of(claim, XCLIENT_DESTADDR)),
		 LOG_S("destination_port", text_of(claim, XCLIENT_DESTPORT)));
}

/* The certificate was the proxy's: nobody behind it is the proxy, has its scope or logs in as it.
 */
static void take_claim(struct smtp_session *session, const struct claim *claim)
{
	starttls_forget_client(session);
	take_name_and_port(session, claim);
	take_address(session, claim);
	auth_take_word(session, text_of(claim, XCLIENT_LOGIN));
	take_stage(session, claim);
	log_claim(session, claim);
}

static void greet_again(struct smtp_session *session)
{
	static const char reason[] = "not in the listener's networks";

	if (version_admits(session->version, session->listener, &session->peer)) {
		opening_greet(session);
		return;
	}
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address), LOG_S("via", session->client.via),
		 LOG_S("reason", reason), LOG_S("listener", session->client.listener));
	session_reply(session, 554, "5.7.1", "Access denied");
	session_close(session, reason);
}

void verb_xclient(struct smtp_session *session, struct span argument)
{
	struct claim claim;

	if (!may_say(session) || !parse(session, COMMAND_XCLIENT, argument, &claim))
		return;
	take_claim(session, &claim);
	greet_again(session);
}

/* --- XFORWARD -------------------------------------------------------------- */

/* One line of a header holds it (RFC 5322 2.1.1), with room for what stands around it. */
#define FORWARDED_MAX 900

/* Allocated while there is something to tell. */
struct xforward {
	struct claim claim;
	char text[FORWARDED_MAX + 1];
};

const char *xforward_text(const struct smtp_session *session)
{
	return session->forwarded != NULL ? session->forwarded->text : NULL;
}

void xforward_forget(struct smtp_session *session)
{
	mem_free(session->forwarded);
	session->forwarded = NULL;
}

static void add_word(struct buf *out, const char *label, const char *word)
{
	if (word[0] != '\0')
		(void)buf_printf(out, "%s%s", label, word);
}

/* What does not fit any more is left out: it is for people. */
static void format_forwarded(struct xforward *forwarded)
{
	const struct claim *claim = &forwarded->claim;
	const char *address = text_of(claim, XCLIENT_ADDR);
	const char *name = text_of(claim, XCLIENT_NAME);
	struct buf out;

	buf_init(&out, FORWARDED_MAX);
	(void)buf_printf(&out, "%s [%s%s]", name[0] != '\0' ? name : "unknown",
			 strchr(address, ':') != NULL ? "IPv6:" : "",
			 address[0] != '\0' ? address : "unknown");
	add_word(&out, ":", text_of(claim, XCLIENT_PORT));
	add_word(&out, " helo=", text_of(claim, XCLIENT_HELO));
	add_word(&out, " proto=", text_of(claim, XCLIENT_PROTO));
	add_word(&out, " ident=", text_of(claim, XCLIENT_IDENT));
	add_word(&out, " source=", text_of(claim, XCLIENT_SOURCE));
	memcpy(forwarded->text, out.data, out.len + 1);
	buf_release(&out);
}

/* The first one begins with nothing known, later ones add to it (XFORWARD_README). */
static void merge(struct claim *into, const struct claim *claim)
{
	for (size_t i = 0; i < XCLIENT_NAMES; i++)
		if (claim->given[i]) {
			into->given[i] = true;
			into->attributes[i] = claim->attributes[i];
		}
}

void verb_xforward(struct smtp_session *session, struct span argument)
{
	struct claim claim;

	if (!may_say(session) || !parse(session, COMMAND_XFORWARD, argument, &claim))
		return;
	if (session->forwarded == NULL)
		session->forwarded = mem_zalloc(sizeof(*session->forwarded));
	merge(&session->forwarded->claim, &claim);
	format_forwarded(session->forwarded);
	session_reply(session, 250, "2.0.0", "Ok");
}
