/* relay/smtp/transaction.c - MAIL, RCPT and DATA (RFC 5321 4.1.1.2 to 4.1.1.4) */
#include "relay/smtp/auth.h"
#include "relay/smtp/command.h"
#include "relay/smtp/hold.h"
#include "relay/smtp/starttls.h"
#include "relay/smtp/xclient.h"

#define IN_VAIN_MAX 1000 /* RCPT that are right but get a no, before it counts as an error */

static struct command_limits limits_of(const struct smtp_session *session)
{
	return (struct command_limits){.max_message_size = options_of(session)->max_message_size,
				       .esmtp = session->client.esmtp,
				       .smtputf8 = session->smtputf8,
				       .auth = listener_of(session)->auth != LISTENER_AUTH_OFF};
}

void verb_mail(struct smtp_session *session, struct span argument)
{
	const struct command_limits limits = limits_of(session);
	struct smtp_mail mail;
	struct smtp_answer answer;

	if (starttls_refuses_mail(session) || auth_refuses_mail(session))
		return;
	if (!command_parse_mail(argument, &limits, &mail, &answer)) {
		session_refuse(session, answer.code, answer.enhanced, answer.text);
		return;
	}
	mail.forwarded = xforward_text(session);
	mail.line = session->line;
	smtp_answer_set(&answer, 250, "2.1.0", "Ok");
	session->transaction = session->house->backend->begin(session->house->backend_ctx, session,
							      &session->client, &mail, &answer);
	if (session->transaction != NULL) {
		session->stage = STAGE_MAIL;
		session->smtputf8 = mail.smtputf8;
	}
	session_answer(session, &answer);
}

/* Not the client's mistake, unless it goes on and on. */
static void answer_no(struct smtp_session *session, const struct smtp_answer *answer)
{
	if (++session->in_vain > IN_VAIN_MAX && answer->delay_ms == 0 && !answer->disconnect)
		session_refuse(session, answer->code, answer->enhanced, answer->text);
	else
		session_answer(session, answer);
}

/* RFC 5321 4.5.3.1.10: those before it stay valid. */
static void too_many_recipients(struct smtp_session *session)
{
	struct smtp_answer answer;

	smtp_answer_set(&answer, 452, "4.5.3", "Too many recipients");
	answer_no(session, &answer);
}

void verb_rcpt(struct smtp_session *session, struct span argument)
{
	const struct command_limits limits = limits_of(session);
	struct smtp_recipient recipient;
	struct smtp_answer answer;

	if (session->recipients >= options_of(session)->max_recipients) {
		too_many_recipients(session);
		return;
	}
	if (!command_parse_rcpt(argument, &limits, &recipient, &answer)) {
		session->rcpt_refused = true;
		session_refuse(session, answer.code, answer.enhanced, answer.text);
		return;
	}
	recipient.line = session->line;
	smtp_answer_set(&answer, 250, "2.1.5", "Ok");
	if (session->house->backend->recipient(session->transaction, &recipient, &answer)) {
		session->recipients++;
		session->stage = STAGE_RCPT;
		session_answer(session, &answer);
	} else {
		session->rcpt_refused = true;
		answer_no(session, &answer);
	}
}

void verb_close_on_content(struct smtp_session *session)
{
	if (session->stream != NULL && stream_input(session->stream).len > 0)
		session_close(session, "content behind a refused DATA");
}

static void begin_data(struct smtp_session *session)
{
	session_reply(session, 354, "", "End data with <CR><LF>.<CR><LF>");
	if (session->stream != NULL)
		transfer_begin(session);
}

void verb_data(struct smtp_session *session, struct span argument)
{
	const struct smtp_backend_ops *backend = session->house->backend;
	struct smtp_answer answer;

	smtp_answer_set(&answer, 451, "4.3.0", "Local error, please try again later");
	if (backend->data_begin != NULL && !backend->data_begin(session->transaction, &answer)) {
		if (answer.delay_ms > 0) {
			hold_begin(session, &answer, verb_close_on_content);
			return;
		}
		session_answer(session, &answer);
	} else if (answer.delay_ms > 0) {
		answer.code = 0;
		hold_begin(session, &answer, begin_data);
	} else {
		begin_data(session);
	}
}
