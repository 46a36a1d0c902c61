/* relay/smtp/opening.c - what comes between accept and the banner, step by step */
#include <stdio.h>

#include "base/log.h"
#include "relay/smtp/proxy.h"
#include "relay/smtp/starttls.h"

/* --- the banner ------------------------------------------------------------ */

void opening_greet(struct smtp_session *session)
{
	char text[400];

	(void)snprintf(text, sizeof(text), "%s %s Stagepost", options_of(session)->hostname,
		       session->client.lmtp ? "LMTP" : "ESMTP");
	session->phase = PHASE_COMMAND;
	session->greeted = true;
	session_reply(session, 220, "", text);
}

static void delay_greeting(struct smtp_session *session)
{
	int64_t delay = listener_of(session)->greeting_delay_ms;

	if (delay == 0) {
		opening_greet(session);
		return;
	}
	session->phase = PHASE_GREETING;
	loop_timer_set(&session->clock, delay);
}

/* RFC 5321 2.1 and 4.3.1: the client waits for the banner. */
void opening_refuse_early(struct smtp_session *session)
{
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address),
		 LOG_S("reason", "talked before the banner"));
	session_reply(session, 554, "5.5.0", "Talked before the banner");
	session_close(session, "talked before the banner");
}

/* --- before it ------------------------------------------------------------- */

void opening_admitted(struct smtp_session *session)
{
	log_debug("connected", LOG_S("session", session->client.session),
		  LOG_S("client", session->client.address), LOG_I("port", session->client.port),
		  LOG_S("via", session->client.via), LOG_S("listener", session->client.listener));
	if (listener_of(session)->tls == LISTENER_TLS_IMPLICIT)
		starttls_begin_implicit(session);
	else
		opening_secured(session);
}

static void on_name(void *ctx, const char *name)
{
	struct smtp_session *session = ctx;

	session->naming = NULL;
	loop_timer_stop(&session->clock);
	memcpy(session->client.name, name, strlen(name) + 1);
	log_debug("named", LOG_S("session", session->client.session),
		  LOG_S("client", session->client.address), LOG_S("name", name));
	delay_greeting(session);
	session_pump(session);
}

void opening_on_clock(struct smtp_session *session)
{
	reverse_forget(&session->naming);
	log_debug("named", LOG_S("session", session->client.session),
		  LOG_S("client", session->client.address), LOG_S("reason", "no answer in time"));
	delay_greeting(session);
}

void opening_secured(struct smtp_session *session)
{
	const struct reverse_asker asker = {
		.loop = session->house->loop, .on_answer = on_name, .ctx = session};

	if (listener_of(session)->resolve_client)
		session->naming = reverse_ask(session->house->reverse, &session->peer, &asker);
	if (session->naming == NULL) {
		delay_greeting(session);
		return;
	}
	session->phase = PHASE_NAMING;
	loop_timer_set(&session->clock, REVERSE_WAIT_MS);
}

void opening_begin(struct smtp_session *session)
{
	if (session->proxied)
		proxy_begin(session);
	else
		opening_admitted(session);
}
