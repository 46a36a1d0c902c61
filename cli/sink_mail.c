/* cli/sink_mail.c - a sink's backend: take every message, or refuse as told */
#include <config.h>

#include "cli/sink_mail.h"

#include <stdio.h>

#include "admin/view.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crew.h"
#include "base/mem.h"
#include "base/ulid.h"

struct sink {
	struct sink_options options;
	struct crew *crew; /* one thread, for mails whose last byte has come */
};

/* One transaction; as a job it belongs to the writing thread until that says finished. */
struct mail {
	struct crew_job job; /* first */
	struct sink *sink;
	struct smtp_session *session;
	json_t *envelope;
	json_t *recipients; /* in the envelope */
	struct buf bytes;
	struct smtp_answer answer;
};

/* --- in the writing thread --------------------------------------------------- */

static void write_down(struct mail *mail)
{
	struct sink *sink = mail->sink;
	struct ulid id = ulid_new(clock_wall_ms());
	char name[ULID_TEXT_SIZE];
	struct err why;
	int code = ERR_OK;

	ulid_format(&id, name);
	if (sink->options.maildir != NULL)
		code = maildir_add(sink->options.maildir, name, buf_span(&mail->bytes),
				   mail->envelope, &why);
	if (code != ERR_OK) {
		smtp_answer_set(&mail->answer, code == ERR_FULL ? 452 : 451, "4.3.0", "%s",
				why.text);
		return;
	}
	smtp_answer_set(&mail->answer, 250, "2.0.0", "Ok: taken as %s", name);
	if (sink->options.on_message != NULL)
		sink->options.on_message(sink->options.ctx, mail->envelope);
}

static void write_and_tell(struct crew_job *job)
{
	struct mail *mail = (struct mail *)job;

	write_down(mail);
	smtp_session_finished(mail->session);
}

int sink_start(const struct sink_options *options, struct sink **sink_out, struct err *why)
{
	struct sink *sink = mem_zalloc(sizeof(*sink));
	int code = crew_new("sink", 1, &sink->crew, why);

	if (code != ERR_OK) {
		mem_free(sink);
		return code;
	}
	sink->options = *options;
	*sink_out = sink;
	return ERR_OK;
}

void sink_stop(struct sink **sink)
{
	if (*sink == NULL)
		return;
	crew_free(&(*sink)->crew);
	mem_free(*sink);
	*sink = NULL;
}

/* --- in the session's loop --------------------------------------------------- */

static bool refuses(const struct sink *sink, enum fail_stage stage, const struct address *recipient,
		    struct smtp_answer *answer)
{
	int code = fail_find(sink->options.fail, stage, recipient);

	if (code == 0)
		return false;
	smtp_answer_set(answer, code, code < 500 ? "4.0.0" : "5.0.0",
			"Refused by this sink's --fail");
	return true;
}

static void *begin(void *ctx, struct smtp_session *session, const struct smtp_client *client,
		   const struct smtp_mail *smtp_mail, struct smtp_answer *answer)
{
	struct sink *sink = ctx;
	char sender[ADDRESS_TEXT_SIZE];
	struct mail *mail;

	if (refuses(sink, FAIL_MAIL, NULL, answer))
		return NULL;
	mail = mem_zalloc(sizeof(*mail));
	mail->job.run = write_and_tell;
	mail->sink = sink;
	mail->session = session;
	buf_init(&mail->bytes, (size_t)smtp_session_options(session)->max_message_size * 2);
	address_format(&smtp_mail->sender, sender);
	mail->recipients = json_array();
	mail->envelope = json_pack("{s:n, s:o, s:o, s:o, s:o, s:b, s:o}", "file", "received_at",
				   view_time(clock_wall_ms()), "client", view_text(client->address),
				   "helo", view_text(client->helo), "sender", view_text(sender),
				   "body_8bit", smtp_mail->body_8bit ? 1 : 0, "recipients",
				   mail->recipients);
	return mail;
}

static bool add_recipient(void *transaction, const struct smtp_recipient *recipient,
			  struct smtp_answer *answer)
{
	struct mail *mail = transaction;
	char text[ADDRESS_TEXT_SIZE];

	if (refuses(mail->sink, FAIL_RCPT, &recipient->address, answer))
		return false;
	address_format(&recipient->address, text);
	(void)json_array_append_new(mail->recipients, view_text(text));
	return true;
}

static bool begin_data(void *transaction, struct smtp_answer *answer)
{
	struct mail *mail = transaction;

	return !refuses(mail->sink, FAIL_DATA, NULL, answer);
}

static bool take_data(void *transaction, struct span bytes)
{
	struct mail *mail = transaction;

	/* The session has counted: it discards what is over max_message_size itself. */
	(void)buf_append_span(&mail->bytes, bytes);
	budget_count(mail->sink->options.budget, (int64_t)bytes.len);
	return false;
}

static void finish(void *transaction, const struct smtp_data_facts *facts)
{
	struct mail *mail = transaction;

	(void)json_object_set_new(mail->envelope, "size", json_integer(facts->size));
	if (refuses(mail->sink, FAIL_END, NULL, &mail->answer))
		smtp_session_finished(mail->session);
	else
		crew_give(mail->sink->crew, &mail->job);
}

static void forget(void *transaction)
{
	struct mail *mail = transaction;

	budget_count(mail->sink->options.budget, -(int64_t)mail->bytes.len);
	buf_release(&mail->bytes);
	json_decref(mail->envelope);
	mem_free(mail);
}

static void settle(void *transaction, struct smtp_answer *answer)
{
	struct mail *mail = transaction;

	*answer = mail->answer;
	forget(mail);
}

const struct smtp_backend_ops sink_ops = {
	.begin = begin,
	.recipient = add_recipient,
	.data_begin = begin_data,
	.data = take_data,
	.finish = finish,
	.settle = settle,
	.abort = forget,
};
