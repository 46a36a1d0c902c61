/* relay/handin.c - messages that come by the API: the same acceptance as by SMTP */
#include <config.h>

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "relay/inside.h"
#include "relay/smtp/data.h"

#define POLL_MS 4 /* how often back-pressure is looked at again, as sessions do */

/*
 * One message on its way in. With one thread at a time: the API's, or between
 * `wait` and `ready` the loop's.
 */
struct handin {
	struct daemon *daemon;
	const struct config *config; /* held */
	struct smtp_client client;
	struct data data;
	void *transaction; /* the intake's; NULL: given up, `refusal` says why */
	struct smtp_answer refusal;
	/* while waiting */
	struct loop_task task;
	struct loop_timer timer;
	int64_t waits_since;
	void (*ready)(void *ctx);
	void *ctx;
	/* of finish */
	char id[ULID_TEXT_SIZE];
	struct handin_end end;
};

static void tell(const struct smtp_answer *from, struct handin_answer *to)
{
	to->code = from->code;
	snprintf(to->text, sizeof(to->text), "%s%s%s", from->enhanced,
		 from->enhanced[0] != '\0' ? " " : "", from->text);
}

static void release(struct handin *h)
{
	budget_leave(&h->daemon->budget, h);
	versions_release(h->daemon->versions, h->config);
	mem_free(h);
}

static void limits(void *ctx, int64_t *bytes_out, size_t *recipients_out)
{
	struct daemon *daemon = ctx;
	const struct config *config = versions_acquire(daemon->versions);

	*bytes_out = config->smtp.max_message_size;
	*recipients_out = config->smtp.max_recipients;
	versions_release(daemon->versions, config);
}

/* --- envelope --------------------------------------------------------------------- */

/* RFC 5321 4.1.3: who has no name is called by his address. */
static void name_client(struct smtp_client *client, const struct handin_from *from)
{
	unsigned char random[8];

	secret_random(random, sizeof(random));
	secret_hex(random, sizeof(random), client->session);
	snprintf(client->address, sizeof(client->address), "%s", from->address);
	if (strcmp(from->address, "unix") == 0)
		snprintf(client->helo, sizeof(client->helo), "localhost");
	else
		snprintf(client->helo, sizeof(client->helo), "[%s%s]",
			 strchr(from->address, ':') != NULL ? "IPv6:" : "", from->address);
	snprintf(client->user, sizeof(client->user), "%s", from->actor);
	client->with = MESSAGE_HANDED_IN;
	client->listener = "api";
}

static void storing(void *ctx, struct new_message *message)
{
	struct handin *h = ctx;

	ulid_format(&message->id, h->id);
	h->end.storing(h->end.ctx, message);
}

static void finished(void *ctx)
{
	struct handin *h = ctx;

	h->end.finished(h->end.ctx);
}

static void *begin(void *ctx, const struct handin_from *from, const struct address *sender,
		   struct handin_answer *answer_out)
{
	struct daemon *daemon = ctx;
	struct handin *h = mem_zalloc(sizeof(*h));
	const struct smtp_mail mail = {
		.sender = *sender, .declared_size = from->size, .smtputf8 = sender->utf8};
	struct intake_guest guest = {.storing = storing, .finished = finished, .ctx = h};
	struct smtp_answer answer = {.code = 0};

	h->daemon = daemon;
	h->config = versions_acquire(daemon->versions);
	h->client.scope = from->scope;
	name_client(&h->client, from);
	guest.smtp = &h->config->smtp;
	guest.policy = &h->config->policy;
	h->transaction = intake_begin(daemon->intake, &guest, &h->client, &mail, &answer);
	if (h->transaction != NULL)
		return h;
	tell(&answer, answer_out);
	release(h);
	return NULL;
}

static bool recipient(void *handin, const struct address *address, struct handin_answer *answer_out)
{
	struct handin *h = handin;
	const struct smtp_recipient recipient = {.address = *address};
	struct smtp_answer answer;

	smtp_answer_set(&answer, 250, "2.1.5", "Ok");
	if (intake_ops.recipient(h->transaction, &recipient, &answer))
		return true;
	tell(&answer, answer_out);
	return false;
}

static bool content(void *handin, struct handin_answer *answer_out)
{
	struct handin *h = handin;
	struct smtp_answer answer;

	smtp_answer_set(&answer, 451, "4.3.0", "Local error, please try again later");
	data_init(&h->data, DATA_CHUNKED);
	if (intake_ops.data_begin(h->transaction, &answer))
		return true;
	tell(&answer, answer_out);
	return false;
}

/* --- bytes ------------------------------------------------------------------------- */

static void give_up(struct handin *h)
{
	intake_ops.abort(h->transaction);
	h->transaction = NULL;
	budget_leave(&h->daemon->budget, h);
}

/* True: back-pressure. */
static bool take(struct handin *h, struct span piece)
{
	int64_t max = h->config->smtp.max_message_size;

	if (h->transaction == NULL)
		return false;
	if (h->data.facts.size <= max)
		return intake_ops.data(h->transaction, piece);
	smtp_answer_set(&h->refusal, 552, "5.3.4", "Message size exceeds the limit of %lld octets",
			(long long)max);
	give_up(h);
	return false;
}

static bool data(void *handin, struct span bytes)
{
	struct handin *h = handin;
	struct span piece;
	bool full = false;

	while (data_next(&h->data, &bytes, &piece) == DATA_PIECE)
		full = take(h, piece) || full;
	return h->transaction != NULL && (full || !budget_lets(&h->daemon->budget, h));
}

/* As a session: over the budget it waits so long, then others may have what it holds. */
static bool may_go_on(struct handin *h)
{
	bool lets = budget_lets(&h->daemon->budget, h);

	if (lets || clock_mono_ms() - h->waits_since <= h->config->smtp.memory_wait_ms)
		return lets && intake_ops.ready(h->transaction);
	smtp_answer_set(&h->refusal, 452, "4.3.1", "Insufficient memory");
	give_up(h);
	return true;
}

static void look_again(struct loop_timer *timer)
{
	struct handin *h = (struct handin *)((char *)timer - offsetof(struct handin, timer));

	if (may_go_on(h))
		h->ready(h->ctx); /* and it is no longer ours */
	else
		loop_timer_set(&h->timer, POLL_MS);
}

static void begin_waiting(struct loop_task *task)
{
	struct handin *h = (struct handin *)((char *)task - offsetof(struct handin, task));

	loop_timer_init(&h->timer, h->daemon->loops[0], look_again);
	look_again(&h->timer);
}

static void wait_for_room(void *handin, void (*ready)(void *ctx), void *ctx)
{
	struct handin *h = handin;

	h->ready = ready;
	h->ctx = ctx;
	h->waits_since = clock_mono_ms();
	h->task.run = begin_waiting;
	if (!loop_post(h->daemon->loops[0], &h->task))
		ready(ctx);
}

/* --- the end -------------------------------------------------------------------------- */

static void finish(void *handin, const struct handin_end *end)
{
	struct handin *h = handin;
	struct span piece;

	h->end = *end;
	if (data_end(&h->data, &piece))
		(void)take(h, piece);
	budget_leave(&h->daemon->budget, h);
	if (h->transaction != NULL)
		intake_ops.finish(h->transaction, &h->data.facts);
	else
		h->end.finished(h->end.ctx);
}

static void log_handed_in(const struct handin *h)
{
	log_info("handed_in", LOG_S("session", h->client.session), LOG_S("message", h->id),
		 LOG_S("actor", h->client.user), LOG_S("client", h->client.address));
}

static int settle(void *handin, struct handin_answer *answer_out)
{
	struct handin *h = handin;
	struct smtp_answer answer = h->refusal;
	int code = ERR_OK;

	if (h->transaction != NULL) {
		code = intake_result(h->transaction);
		intake_ops.settle(h->transaction, &answer);
	}
	if (answer.code == 250) {
		atomic_fetch_add(&h->daemon->handed_in, 1);
		log_handed_in(h);
	}
	tell(&answer, answer_out);
	release(h);
	return code;
}

static void abandon(void *handin)
{
	struct handin *h = handin;

	if (h->transaction != NULL)
		intake_ops.abort(h->transaction);
	release(h);
}

const struct handin_ops daemon_handin_ops = {
	.limits = limits,
	.begin = begin,
	.recipient = recipient,
	.content = content,
	.data = data,
	.wait = wait_for_room,
	.finish = finish,
	.settle = settle,
	.abort = abandon,
};
