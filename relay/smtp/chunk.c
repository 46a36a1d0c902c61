/* relay/smtp/chunk.c - BDAT: a message in pieces of announced size (RFC 3030 2) */
#include "base/log.h"
#include "relay/smtp/command.h"
#include "relay/smtp/hold.h"
#include "relay/smtp/verb.h"

/* Where the content ends nobody knows: unread it could run as commands. */
static void hang_up(struct smtp_session *session, int code, const char *enhanced, const char *text)
{
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address), LOG_I("code", code),
		 LOG_S("reason", text));
	session_reply(session, code, enhanced, text);
	session_close(session, "BDAT whose content is not looked at");
}

void verb_hang_up_on_content(struct smtp_session *session)
{
	hang_up(session, 501, "5.5.4", "BDAT size [LAST] is wanted; closing");
}

/* False: it is not time for a BDAT, *answer_out says why. */
static bool is_in_order(const struct smtp_session *session, struct smtp_answer *answer_out)
{
	if (session->stage == STAGE_START || !session->client.esmtp)
		smtp_answer_set(answer_out, 503, "5.5.1", "Say %s first",
				session->client.lmtp ? "LHLO" : "EHLO");
	else if (session->stage == STAGE_READY)
		smtp_answer_set(answer_out, 503, "5.5.1", "Say MAIL first");
	else if (session->stage == STAGE_MAIL && session->rcpt_refused && !session->client.lmtp)
		smtp_answer_set(answer_out, 554, "5.5.1", "No valid recipients");
	else if (session->stage == STAGE_MAIL)
		smtp_answer_set(answer_out, 503, "5.5.1", "Say RCPT first");
	else
		return true;
	return false;
}

/* Before the first chunk of a message, as before a 354. */
static bool begin_message(struct smtp_session *session, struct smtp_answer *answer_out)
{
	const struct smtp_backend_ops *backend = session->house->backend;

	smtp_answer_set(answer_out, 451, "4.3.0", "Local error, please try again later");
	if (session->stage == STAGE_CHUNK)
		return true;
	if (backend->data_begin != NULL && !backend->data_begin(session->transaction, answer_out))
		return false;
	transfer_begin_chunks(session);
	return true;
}

/* The clock of the message starts behind the delay: it is not the client's. */
static void begin_late(struct smtp_session *session)
{
	int64_t size = session->transfer.chunk_size;
	bool last = session->transfer.last;

	transfer_begin_chunks(session);
	transfer_chunk(session, size, last);
}

static void begin_chunk(struct smtp_session *session, int64_t size, bool last,
			struct smtp_answer *answer)
{
	if (answer->delay_ms == 0) {
		transfer_chunk(session, size, last);
		return;
	}
	session->transfer.chunk_size = size;
	session->transfer.last = last;
	answer->code = 0;
	hold_begin(session, answer, begin_late);
}

void verb_bdat(struct smtp_session *session, struct span argument)
{
	struct smtp_answer answer;
	int64_t size = 0;
	bool last = false;
	int code = command_parse_chunk(argument, &size, &last);

	if (code == ERR_LIMIT)
		hang_up(session, 552, "5.3.4", "The chunk is larger than any message; closing");
	else if (code != ERR_OK)
		verb_hang_up_on_content(session);
	else if (is_in_order(session, &answer) && begin_message(session, &answer))
		begin_chunk(session, size, last, &answer);
	else if (answer.disconnect && answer.delay_ms == 0)
		session_answer(session, &answer);
	else
		transfer_stray_chunk(session, size, last, &answer);
}
