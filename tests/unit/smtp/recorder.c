/* tests/unit/smtp/recorder.c - a backend that remembers what it was given */
#include "tests/unit/smtp/recorder.h"

#include <check.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

struct transaction {
	struct recorder *recorder;
	struct smtp_session *session;
	struct recorded recorded;
	bool data_begun;
};

void recorder_init(struct recorder *recorder)
{
	memset(recorder, 0, sizeof(*recorder));
	pthread_mutex_init(&recorder->lock, NULL);
}

void recorder_release(struct recorder *recorder)
{
	for (size_t i = 0; i < recorder->count; i++)
		buf_release(&recorder->mails[i].body);
	ck_assert_uint_eq(recorder->begun, recorder->aborted + recorder->settled);
	pthread_mutex_destroy(&recorder->lock);
}

static size_t locked(struct recorder *recorder, const size_t *number)
{
	size_t copy;

	pthread_mutex_lock(&recorder->lock);
	copy = *number;
	pthread_mutex_unlock(&recorder->lock);
	return copy;
}

size_t recorder_count(struct recorder *recorder)
{
	return locked(recorder, &recorder->count);
}

size_t recorder_aborted(struct recorder *recorder)
{
	return locked(recorder, &recorder->aborted);
}

bool recorder_is_waiting(struct recorder *recorder)
{
	bool waiting;

	pthread_mutex_lock(&recorder->lock);
	waiting = recorder->waiting != NULL;
	pthread_mutex_unlock(&recorder->lock);
	return waiting;
}

void recorder_let_go(struct recorder *recorder)
{
	struct smtp_session *session;

	pthread_mutex_lock(&recorder->lock);
	session = recorder->waiting;
	recorder->waiting = NULL;
	pthread_mutex_unlock(&recorder->lock);
	ck_assert_ptr_nonnull(session);
	smtp_session_finished(session);
}

static void count(struct recorder *recorder, size_t *number)
{
	pthread_mutex_lock(&recorder->lock);
	(*number)++;
	pthread_mutex_unlock(&recorder->lock);
}

static void *begin(void *ctx, struct smtp_session *session, const struct smtp_client *client,
		   const struct smtp_mail *mail, struct smtp_answer *answer)
{
	struct transaction *t;

	if (strcmp(mail->sender.local, "refused") == 0) {
		smtp_answer_set(answer, 550, "5.7.1", "not you");
		return NULL;
	}
	if (strcmp(mail->sender.local, "gone") == 0) {
		answer->disconnect = true;
		return NULL;
	}
	t = mem_zalloc(sizeof(*t));
	t->recorder = ctx;
	if (strcmp(mail->sender.local, "slow") == 0)
		answer->delay_ms = t->recorder->delay_ms;
	t->session = session;
	t->recorded.mail = *mail;
	t->recorded.mail.forwarded = NULL; /* borrowed for this call */
	(void)snprintf(t->recorded.forwarded, sizeof(t->recorded.forwarded), "%s",
		       mail->forwarded != NULL ? mail->forwarded : "");
	t->recorded.client = *client;
	buf_init(&t->recorded.body, 64 << 20);
	count(ctx, &t->recorder->begun);
	return t;
}

static bool recipient(void *transaction, const struct smtp_recipient *recipient,
		      struct smtp_answer *answer)
{
	struct transaction *t = transaction;
	struct recorded *r = &t->recorded;
	char text[ADDRESS_TEXT_SIZE];
	size_t used = strlen(r->recipients);

	address_format(&recipient->address, text);
	if (strncmp(text, "reject", 6) == 0) {
		smtp_answer_set(answer, 550, "5.7.1", "<%s>: no", text);
		return false;
	}
	if (strncmp(text, "slow", 4) == 0)
		answer->delay_ms = t->recorder->delay_ms;
	(void)snprintf(r->recipients + used, sizeof(r->recipients) - used, "%s ", text);
	r->recipient_count++;
	return true;
}

static bool data_begin(void *transaction, struct smtp_answer *answer)
{
	struct transaction *t = transaction;

	bool refused = strncmp(t->recorded.mail.sender.local, "nodata", 6) == 0;

	if (refused)
		smtp_answer_set(answer, 451, "4.3.0", "not now");
	if (strstr(t->recorded.mail.sender.local, "slow") != NULL)
		answer->delay_ms = t->recorder->delay_ms;
	if (refused)
		return false;
	t->data_begun = true;
	return true;
}

static bool data(void *transaction, struct span bytes)
{
	struct transaction *t = transaction;
	bool block;

	ck_assert(t->data_begun);
	ck_assert_int_eq(buf_append_span(&t->recorded.body, bytes), ERR_OK);
	pthread_mutex_lock(&t->recorder->lock);
	block = t->recorder->blocks > 0 && t->recorder->blocks--;
	pthread_mutex_unlock(&t->recorder->lock);
	return block;
}

static bool ready(void *transaction)
{
	struct transaction *t = transaction;

	return !t->recorder->never_ready;
}

static void finish(void *transaction, const struct smtp_data_facts *facts)
{
	struct transaction *t = transaction;
	bool hold;

	t->recorded.facts = *facts;
	pthread_mutex_lock(&t->recorder->lock);
	hold = t->recorder->hold_finish;
	if (hold)
		t->recorder->waiting = t->session;
	pthread_mutex_unlock(&t->recorder->lock);
	if (!hold)
		smtp_session_finished(t->session);
}

static void settle(void *transaction, struct smtp_answer *answer)
{
	struct transaction *t = transaction;
	struct recorder *recorder = t->recorder;

	pthread_mutex_lock(&recorder->lock);
	ck_assert_uint_lt(recorder->count, RECORDER_MAILS);
	recorder->mails[recorder->count++] = t->recorded;
	recorder->settled++;
	if (recorder->final.code != 0)
		*answer = recorder->final;
	pthread_mutex_unlock(&recorder->lock);
	mem_free(t);
}

static void abort_mail(void *transaction)
{
	struct transaction *t = transaction;

	count(t->recorder, &t->recorder->aborted);
	buf_release(&t->recorded.body);
	mem_free(t);
}

const struct smtp_backend_ops recorder_ops = {
	.begin = begin,
	.recipient = recipient,
	.data_begin = data_begin,
	.data = data,
	.ready = ready,
	.finish = finish,
	.settle = settle,
	.abort = abort_mail,
};
