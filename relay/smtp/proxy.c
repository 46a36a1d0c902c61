/* relay/smtp/proxy.c - inside of a session: the PROXY header in front of everything else */
#include "relay/smtp/proxy.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "relay/smtp/census.h"
#include "relay/wire/proxy.h"

/* The specification asks for 3 seconds at least: one lost segment must not matter. */
#define HEADER_MS 5000
#define FACT_MAX  64 /* octets of one thing the proxy tells */

void proxy_begin(struct smtp_session *session)
{
	int64_t command_ms = options_of(session)->command_timeout_ms;

	session->phase = PHASE_PROXY;
	stream_deadline(session->stream, command_ms < HEADER_MS ? command_ms : HEADER_MS);
}

static void note_refused(struct smtp_session *session, enum smtp_turned_away number,
			 const char *reason)
{
	atomic_fetch_add(&session->house->counters->connections_refused[number], 1);
	if (session->client.via[0] == '\0')
		log_info("refused", LOG_S("session", session->client.session),
			 LOG_S("client", session->client.address), LOG_S("reason", reason),
			 LOG_S("listener", session->client.listener));
	else
		log_info("refused", LOG_S("session", session->client.session),
			 LOG_S("client", session->client.address),
			 LOG_S("via", session->client.via), LOG_S("reason", reason),
			 LOG_S("listener", session->client.listener));
}

void proxy_refuse(struct smtp_session *session, const char *reason)
{
	note_refused(session, SMTP_PROXY, reason);
	/* Not even TLS has begun: nobody is there who could read a reply. */
	session_close(session, reason);
}

/* --- whose word it is ------------------------------------------------------ */

/* For the log and a trace field: words of printable ASCII, nothing that opens or closes a comment.
 */
static void add_fact(struct buf *via, const char *label, struct span fact)
{
	if (fact.len == 0)
		return;
	(void)buf_append_text(via, label);
	for (size_t i = 0; i < fact.len && i < FACT_MAX; i++) {
		char c = fact.data[i];
		bool shown = ascii_is_alnum(c) || (c != '\0' && strchr(".-_:@=+*", c) != NULL);

		(void)buf_append_char(via, shown ? c : '?');
	}
}

/* The session's address is still the proxy's here. */
static void note_via(struct smtp_session *session, const struct proxy_header *header)
{
	struct smtp_client *client = &session->client;
	struct buf via;

	buf_init(&via, sizeof(client->via) - 1);
	(void)buf_append_text(&via, client->address);
	if (header->tls.is_used) {
		add_fact(&via, " ", header->tls.version);
		add_fact(&via, " ", header->tls.cipher);
		if (header->tls.has_certificate && header->tls.verify == 0)
			add_fact(&via, " certificate ", header->tls.common_name);
	}
	add_fact(&via, " for ", header->authority);
	memcpy(client->via, via.data, via.len + 1);
	buf_release(&via);
}

/* --- admitting ------------------------------------------------------------- */

/* Where TLS comes first nobody could read it. */
static void say(struct smtp_session *session, int code, const char *enhanced, const char *text)
{
	if (listener_of(session)->tls != LISTENER_TLS_IMPLICIT)
		session_reply(session, code, enhanced, text);
}

static bool admit(struct smtp_session *session, bool has_addresses)
{
	size_t max = options_of(session)->max_connections_per_client;

	if (has_addresses && !version_admits(session->version, session->listener, &session->peer)) {
		note_refused(session, SMTP_NOT_IN_NETWORKS, "not in the listener's networks");
		say(session, 554, "5.7.1", "Access denied");
		session_close(session, "not in the listener's networks");
		return false;
	}
	if (census_name(session->house->census, &session->peer, max) != CENSUS_OK) {
		note_refused(session, SMTP_TOO_MANY_OF_CLIENT,
			     "too many connections from this client");
		say(session, 421, "4.7.0", "Too many connections from your address");
		session_close(session, "too many connections from this client");
		return false;
	}
	session->counted = session->peer;
	return true;
}

/* Where the client connected to, as the proxy says. */
static void note_ends(struct smtp_client *client, const struct proxy_header *header)
{
	struct peer_address own;
	char address[PEER_ADDRESS_TEXT_SIZE];
	int port = 0;

	peer_address_from(&header->destination, &own, &port);
	peer_address_format(&own, address);
	(void)snprintf(client->proxied, sizeof(client->proxied), "%.46s %d %.46s %d",
		       client->address, client->port, address, port);
}

static void take(struct smtp_session *session, const struct proxy_header *header)
{
	struct smtp_client *client = &session->client;

	if (header->unique_id.len > 0)
		log_debug("proxied", LOG_S("session", client->session),
			  LOG_SPAN("id", header->unique_id));
	session->veiled = !header->has_addresses && !header->local;
	if (!header->has_addresses)
		return;
	note_via(session, header);
	peer_address_from(&header->source, &session->peer, &client->port);
	peer_address_format(&session->peer, client->address);
	note_ends(client, header);
}

bool proxy_step(struct smtp_session *session)
{
	struct proxy_header header;
	struct err why;
	size_t len = 0;
	int code = proxy_parse(stream_input(session->stream), &header, &len, &why);

	if (code == ERR_BUSY)
		return false;
	if (code != ERR_OK) {
		err_prefix(&why, code, "PROXY header");
		proxy_refuse(session, why.text);
		return false;
	}
	take(session, &header);
	/* What stands behind it is the client's: TLS, or SMTP that came too early. */
	stream_consume(session->stream, len);
	stream_deadline(session->stream, 0);
	if (!admit(session, header.has_addresses))
		return false;
	opening_admitted(session);
	return true;
}
