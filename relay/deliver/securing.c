/* relay/deliver/securing.c - TLS, by STARTTLS or from the first octet on, and what follows when it
 * fails
 */
#include "relay/deliver/uplink_inside.h"

#include <stdio.h>

bool securing_is_required(const struct uplink *u)
{
	return u->env.route->tls == ROUTE_TLS_REQUIRED || u->env.route->tls == ROUTE_TLS_IMPLICIT;
}

static bool is_opportunistic(const struct uplink *u)
{
	return u->env.route->tls == ROUTE_TLS_OPPORTUNISTIC;
}

bool securing_is_next(const struct uplink *u)
{
	if (u->secured)
		return false;
	return securing_is_required(u) ||
	       (is_opportunistic(u) && u->caps.starttls && !u->without_tls);
}

void securing_say(struct uplink *u)
{
	if (!u->caps.starttls) {
		prologue_failed(u, ERR_UNSUPPORTED,
				"the route wants TLS and the next hop does not offer STARTTLS");
		return;
	}
	u->state = UPLINK_STARTTLS;
	uplink_say(u, "STARTTLS\r\n", u->env.route->command_timeout_ms);
}

void securing_on_reply(struct uplink *u, const struct reply *reply)
{
	if (reply->code == 220)
		securing_begin(u);
	else
		prologue_refused(u, "STARTTLS", reply);
}

void securing_begin(struct uplink *u)
{
	struct err why;
	size_t discarded = 0;
	int code;

	if (u->env.tls == NULL) {
		prologue_failed(u, ERR_UNSUPPORTED,
				u->env.tls_why != NULL ? u->env.tls_why : "TLS is not set up");
		return;
	}
	u->state = UPLINK_SECURING;
	code = hop_tls_begin(&u->tls, u->env.tls, &u->host, u->far,
			     u->env.route->command_timeout_ms, &discarded, &why);
	if (code < 0)
		prologue_failed(u, code, why.text);
	else if (discarded > 0)
		/* RFC 3207 4.2, CVE-2011-0411: somebody put replies in front of the handshake. */
		prologue_failed(u, ERR_DENIED, "plain text was injected behind STARTTLS");
}

void securing_done(struct uplink *u)
{
	u->secured = true;
	hop_tls_secured(&u->tls, u->far);
	if (u->env.handshakes != NULL)
		handshakes_add(u->env.handshakes, stream_tls(u->far));
	snprintf(u->tls_facts, sizeof(u->tls_facts), "%s", u->tls.facts);
	if (u->env.route->tls == ROUTE_TLS_IMPLICIT)
		prologue_greeting(u);
	else
		prologue_hello(u); /* RFC 3207 4.2: what was offered in clear counts no more */
}

const char *securing_explain(const struct uplink *u, const char *why, struct err *sentence_out)
{
	return u->tls.tls != NULL ? hop_tls_explain(&u->tls, why, sentence_out) : why;
}

void securing_failed(const struct uplink *u)
{
	if (u->state == UPLINK_SECURING && u->env.handshakes != NULL)
		handshakes_add_failed(u->env.handshakes);
}

/* A login that there is no clear text for would only end there, and hide why. */
static bool may_go_without(const struct uplink *u)
{
	return is_opportunistic(u) && (!login_is_wanted(u) || u->env.route->auth_without_tls);
}

/* In TLS 1.3 the next hop may refuse our certificate, or that there is none, behind the handshake.
 */
static bool was_in_tls(const struct uplink *u)
{
	return u->state == UPLINK_STARTTLS || u->state == UPLINK_SECURING ||
	       (u->secured && u->state == UPLINK_EHLO && u->tls.alert != 0);
}

/*
 * RFC 7435 3: what would have gone in clear anyway is not kept back because
 * TLS does not work. Injection is not such a case: somebody is there.
 */
bool securing_tries_again(struct uplink *u, int code, const char *why)
{
	bool blamed = u->state == UPLINK_SECURING && hop_tls_blames_session(&u->tls);

	if (code == ERR_DENIED || !was_in_tls(u))
		return false;
	/* Who says nothing at all has been waited for long enough. */
	if (blamed && !u->without_session && code != ERR_TIMEOUT) {
		u->without_session = true;
		return true;
	}
	if (!may_go_without(u) || u->without_tls)
		return false;
	u->without_tls = true;
	snprintf(u->tls_facts, sizeof(u->tls_facts), "none: %s", why);
	return true;
}

void securing_note(struct uplink *u)
{
	if (is_opportunistic(u) && !u->secured && !u->without_tls)
		snprintf(u->tls_facts, sizeof(u->tls_facts),
			 "none: the next hop does not offer STARTTLS");
}

void securing_forget(struct uplink *u)
{
	u->without_session = false;
	u->without_tls = false;
	u->tls_facts[0] = '\0';
}
