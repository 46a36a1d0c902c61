/* tests/fuzz/session_backend.c - where the sessions of fuzz_session put their mail */
#include "tests/fuzz/session_backend.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define BODY_MAX 65536

struct transaction {
	struct loop_task finished; /* first */
	struct session_backend *backend;
	struct smtp_session *session;
	struct taken_mail *mail;
	char local[65];	    /* the sender's */
	bool begun;	    /* data_begin said yes */
	bool finishing;	    /* finish was called */
	unsigned not_ready; /* so often `ready` says no */
};

void session_backend_init(struct session_backend *backend, struct loop *loop)
{
	*backend = (struct session_backend){.loop = loop};
	backend->last = &backend->first;
}

void taken_mail_free(struct taken_mail **mail)
{
	if (*mail == NULL)
		return;
	buf_release(&(*mail)->recipients);
	buf_release(&(*mail)->body);
	mem_free(*mail);
	*mail = NULL;
}

struct taken_mail *session_backend_next(struct session_backend *backend)
{
	struct taken_mail *mail = backend->first;

	if (mail == NULL)
		return NULL;
	backend->first = mail->next;
	if (backend->first == NULL)
		backend->last = &backend->first;
	return mail;
}

/* True: nothing but trouble. */
static bool make_trouble(struct session_backend *backend, const char *local,
			 struct smtp_answer *answer)
{
	answer->delay_ms = strstr(local, "slow") != NULL;
	if (strstr(local, "gone") != NULL) {
		answer->disconnect = true;
		backend->hung_up = true;
		return true;
	}
	if (strstr(local, "refused") == NULL)
		return false;
	answer->code = 550;
	memcpy(answer->enhanced, "5.7.1", sizeof("5.7.1"));
	return true;
}

static void *begin(void *ctx, struct smtp_session *session, const struct smtp_client *client,
		   const struct smtp_mail *mail, struct smtp_answer *answer)
{
	struct session_backend *backend = ctx;
	struct transaction *t;

	assert(client->helo[0] != '\0' && strlen(client->address) > 0);
	if (make_trouble(backend, mail->sender.local, answer))
		return NULL;
	t = mem_zalloc(sizeof(*t));
	t->backend = backend;
	t->session = session;
	t->mail = mem_zalloc(sizeof(*t->mail));
	t->not_ready = strstr(mail->sender.local, "full") != NULL ? 2 : 0;
	strcpy(t->local, mail->sender.local);
	address_format(&mail->sender, t->mail->sender);
	buf_init(&t->mail->recipients, BODY_MAX);
	buf_init(&t->mail->body, BODY_MAX);
	backend->begun++;
	return t;
}

static bool recipient(void *transaction, const struct smtp_recipient *recipient,
		      struct smtp_answer *answer)
{
	struct transaction *t = transaction;
	char text[ADDRESS_TEXT_SIZE];

	assert(!t->begun && !t->finishing);
	if (make_trouble(t->backend, recipient->address.local, answer))
		return false;
	address_format(&recipient->address, text);
	assert(buf_printf(&t->mail->recipients, "%s ", text) == ERR_OK);
	return true;
}

static bool data_begin(void *transaction, struct smtp_answer *answer)
{
	struct transaction *t = transaction;

	assert(t->mail->recipients.len > 0 && !t->begun);
	answer->delay_ms = strstr(t->local, "slow") != NULL;
	t->begun = strstr(t->local, "nodata") == NULL;
	return t->begun;
}

static bool data(void *transaction, struct span bytes)
{
	struct transaction *t = transaction;

	assert(t->begun && !t->finishing);
	assert(buf_append_span(&t->mail->body, bytes) == ERR_OK);
	return t->not_ready > 0;
}

static bool ready(void *transaction)
{
	struct transaction *t = transaction;

	t->not_ready -= t->not_ready > 0;
	return t->not_ready == 0;
}

static void tell(struct loop_task *task)
{
	smtp_session_finished(((struct transaction *)task)->session);
}

static void finish(void *transaction, const struct smtp_data_facts *facts)
{
	struct transaction *t = transaction;

	assert(t->begun && !t->finishing);
	assert(facts->size == (int64_t)t->mail->body.len);
	t->finishing = true;
	t->finished.run = tell;
	if (strstr(t->local, "late") == NULL)
		smtp_session_finished(t->session);
	else if (!loop_post(t->backend->loop, &t->finished))
		assert(!"the loop has been stopped");
}

static void release(struct transaction *t)
{
	taken_mail_free(&t->mail);
	mem_free(t);
}

static void settle(void *transaction, struct smtp_answer *answer)
{
	struct transaction *t = transaction;
	struct session_backend *backend = t->backend;

	assert(t->finishing && answer->code == 250);
	backend->settled++;
	if (strstr(t->local, "bad") != NULL) {
		smtp_answer_set(answer, 554, "5.6.0", "Not this one");
	} else {
		*backend->last = t->mail;
		backend->last = &t->mail->next;
		t->mail = NULL;
	}
	answer->delay_ms = strstr(t->local, "slow") != NULL;
	release(t);
}

static void abort_mail(void *transaction)
{
	struct transaction *t = transaction;

	assert(!t->finishing);
	t->backend->aborted++;
	release(t);
}

const struct smtp_backend_ops session_backend_ops = {
	.begin = begin,
	.recipient = recipient,
	.data_begin = data_begin,
	.data = data,
	.ready = ready,
	.finish = finish,
	.settle = settle,
	.abort = abort_mail,
};
