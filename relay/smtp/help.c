/* relay/smtp/help.c - HELP: for whoever speaks to the port by hand (RFC 5321 4.1.1.8) */
#include "relay/smtp/auth.h"
#include "relay/smtp/starttls.h"
#include "relay/smtp/verb.h"
#include "relay/smtp/xclient.h"

#define ANSWER_MAX 500

/* One row a command that is of use here. */
struct topic {
	const char *verb;
	const char *syntax;
	enum { IN_BOTH, IN_SMTP, IN_LMTP } where;
	bool (*offered)(const struct smtp_session *session); /* NULL: always */
};

static const struct topic topics[] = {
	{"EHLO", "EHLO your-host-name: what is offered", IN_SMTP, NULL},
	{"HELO", "HELO your-host-name: without extensions", IN_SMTP, NULL},
	{"LHLO", "LHLO your-host-name: what is offered", IN_LMTP, NULL},
	{"STARTTLS", "STARTTLS: go on encrypted", IN_BOTH, starttls_is_offered},
	{"AUTH", "AUTH mechanism [initial-response]: log in; see EHLO for the mechanisms", IN_BOTH,
	 auth_is_offered},
	{"XCLIENT", "XCLIENT attribute=value ...: on behalf of which client", IN_BOTH,
	 xclient_is_offered},
	{"MAIL",
	 "MAIL FROM:<address> [SIZE=octets] [BODY=7BIT|8BITMIME] [SMTPUTF8]\n"
	 "[RET=FULL|HDRS] [ENVID=xtext]",
	 IN_BOTH, NULL},
	{"RCPT",
	 "RCPT TO:<address> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;xtext]\n"
	 "250 says that it was taken, not that it may leave: the whitelist decides",
	 IN_BOTH, NULL},
	{"DATA", "DATA: the message, ended by a line with nothing but a dot", IN_BOTH, NULL},
	{"BDAT", "BDAT octets [LAST]: a piece of the message", IN_BOTH, NULL},
	{"RSET", "RSET: forget MAIL and RCPT", IN_BOTH, NULL},
	{"NOOP", "NOOP: nothing", IN_BOTH, NULL},
	{"VRFY", "VRFY address: 252, whatever it is", IN_BOTH, NULL},
	{"HELP", "HELP [command]", IN_BOTH, NULL},
	{"QUIT", "QUIT: the end", IN_BOTH, NULL},
};

static bool is_here(const struct smtp_session *session, const struct topic *topic)
{
	bool known = topic->where == IN_BOTH || (topic->where == IN_LMTP) == session->client.lmtp;

	return known && (topic->offered == NULL || topic->offered(session));
}

static void list_all(struct smtp_session *session)
{
	struct buf text;

	buf_init(&text, ANSWER_MAX);
	(void)buf_append_text(
		&text, "Stagepost takes mail for any recipient and delivers to those it may\n"
		       "HELP with one of these says more:\n");
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		if (is_here(session, &topics[i]))
			(void)buf_printf(&text, "%s%s", i > 0 ? " " : "", topics[i].verb);
	session_reply(session, 214, "2.0.0", text.data);
	buf_release(&text);
}

void verb_help(struct smtp_session *session, struct span argument)
{
	if (argument.len == 0) {
		list_all(session);
		return;
	}
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		if (span_is_fold(argument, topics[i].verb) && is_here(session, &topics[i])) {
			session_reply(session, 214, "2.0.0", topics[i].syntax);
			return;
		}
	session_reply(session, 504, "5.5.4", "No help on that; HELP alone lists what there is");
}
