/* relay/smtp/ehlo.c - HELO and EHLO, and what is offered in the answer (RFC 5321 4.1.1.1) */
#include "relay/smtp/auth.h"
#include "relay/smtp/starttls.h"
#include "relay/smtp/xclient.h"
#include "relay/wire/xclient.h"

#define ANSWER_MAX 2000

/* One row an EHLO keyword, in the order people read them. */
struct capability {
	const char *keyword;
	/* NULL: always */
	bool (*offered)(const struct smtp_session *session);
	/* Append the keyword's parameters, with a blank in front; NULL: it has none. */
	void (*add_parameters)(const struct smtp_session *session, struct buf *out);
};

static void add_size(const struct smtp_session *session, struct buf *out)
{
	(void)buf_printf(out, " %lld", (long long)options_of(session)->max_message_size);
}

/* RFC 9422 */
static void add_limits(const struct smtp_session *session, struct buf *out)
{
	(void)buf_printf(out, " RCPTMAX=%zu", options_of(session)->max_recipients);
}

static void add_xclient_names(const struct smtp_session *session, struct buf *out)
{
	(void)buf_printf(out, " %s", xclient_names(COMMAND_XCLIENT));
}

static void add_xforward_names(const struct smtp_session *session, struct buf *out)
{
	(void)buf_printf(out, " %s", xclient_names(COMMAND_XFORWARD));
}

static const struct capability capabilities[] = {
	{"PIPELINING", NULL, NULL},
	{"SIZE", NULL, add_size},
	{"8BITMIME", NULL, NULL},
	{"STARTTLS", starttls_is_offered, NULL},
	{"AUTH", auth_is_offered, auth_add_mechanisms},
	{"ENHANCEDSTATUSCODES", NULL, NULL},
	{"SMTPUTF8", NULL, NULL},
	{"DSN", NULL, NULL},
	{"LIMITS", NULL, add_limits},
	{"CHUNKING", NULL, NULL},
	{"HELP", NULL, NULL},
	{"XCLIENT", xclient_is_offered, add_xclient_names},
	{"XFORWARD", xclient_is_offered, add_xforward_names},
};

static void take_hello(struct smtp_session *session, struct span name, bool esmtp)
{
	session_reset(session);
	memcpy(session->client.helo, name.data, name.len);
	session->client.helo[name.len] = '\0';
	session->client.esmtp = esmtp;
	session->stage = STAGE_READY;
}

void verb_helo(struct smtp_session *session, struct span argument)
{
	take_hello(session, argument, false);
	session_reply(session, 250, "", options_of(session)->hostname);
}

void verb_ehlo(struct smtp_session *session, struct span argument)
{
	struct buf text;

	take_hello(session, argument, true);
	buf_init(&text, ANSWER_MAX);
	(void)buf_printf(&text, "%s", options_of(session)->hostname);
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		const struct capability *row = &capabilities[i];

		if (row->offered != NULL && !row->offered(session))
			continue;
		(void)buf_printf(&text, "\n%s", row->keyword);
		if (row->add_parameters != NULL)
			row->add_parameters(session, &text);
	}
	session_reply(session, 250, "", text.data);
	buf_release(&text);
}
