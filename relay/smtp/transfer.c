/* relay/smtp/transfer.c - a message on its way in: back-pressure, limits, and its end */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/smtp/hold.h"
#include "relay/smtp/session_state.h"

#define BLOCKED_POLL_MS 4 /* how often back-pressure is looked at again */

static bool lacks_memory(const struct smtp_session *session)
{
	return session->house->budget != NULL && !budget_lets(session->house->budget, session);
}

void transfer_leave(struct smtp_session *session)
{
	if (session->house->budget != NULL)
		budget_leave(session->house->budget, session);
}

static void begin(struct smtp_session *session, enum data_mode mode)
{
	struct session_transfer *transfer = &session->transfer;

	*transfer = (struct session_transfer){.chunked = mode == DATA_CHUNKED};
	data_init(&transfer->data, mode);
	transfer->started_at = clock_mono_ms();
	transfer->heard_at = transfer->started_at;
	loop_timer_set(&session->clock, options_of(session)->data_grace_ms);
}

/* No command is waited for any more: the clock watches the pace. */
static void expect_octets(struct smtp_session *session)
{
	session->phase = PHASE_DATA;
	session->deadline_set = false;
	stream_deadline(session->stream, 0);
}

void transfer_begin(struct smtp_session *session)
{
	begin(session, DATA_DOTTED);
	expect_octets(session);
}

/* One clock for all chunks of a message and what lies between them: cutting it fine is no way out.
 */
void transfer_begin_chunks(struct smtp_session *session)
{
	begin(session, DATA_CHUNKED);
	session->stage = STAGE_CHUNK;
}

void transfer_chunk(struct smtp_session *session, int64_t size, bool last)
{
	struct session_transfer *transfer = &session->transfer;

	transfer->chunk_size = size;
	transfer->chunk_left = size;
	transfer->last = last;
	transfer->heard_at = clock_mono_ms();
	expect_octets(session);
}

void transfer_stray_chunk(struct smtp_session *session, int64_t size, bool last,
			  const struct smtp_answer *answer)
{
	begin(session, DATA_CHUNKED);
	session->transfer.stray = true;
	session->transfer.refusal = *answer;
	transfer_chunk(session, size, last);
}

/* The rest of the message is read and thrown away; the client gets the answer at its end. */
static void refuse_rest(struct smtp_session *session)
{
	void *transaction = session->transaction;

	session->transaction = NULL;
	transfer_leave(session);
	session->house->backend->abort(transaction);
}

static void block(struct smtp_session *session)
{
	session->transfer.blocked = true;
	session->transfer.blocked_at = clock_mono_ms();
	stream_pause(session->stream);
	loop_timer_set(&session->clock, BLOCKED_POLL_MS);
}

/* The client is not to blame for the time we did not read. */
static void unblock(struct smtp_session *session)
{
	struct session_transfer *transfer = &session->transfer;
	int64_t now = clock_mono_ms();

	transfer->blocked = false;
	transfer->started_at += now - transfer->blocked_at;
	transfer->heard_at = now;
	stream_resume(session->stream);
	loop_timer_set(&session->clock, options_of(session)->data_grace_ms);
}

/* True: back-pressure. */
static bool take_piece(struct smtp_session *session, struct span piece)
{
	struct session_transfer *transfer = &session->transfer;
	int64_t max = options_of(session)->max_message_size;

	if (session->transaction == NULL)
		return false;
	if (transfer->data.facts.size > max) {
		smtp_answer_set(&transfer->refusal, 552, "5.3.4",
				"Message size exceeds the limit of %lld octets", (long long)max);
		refuse_rest(session);
		return false;
	}
	return session->house->backend->data(session->transaction, piece) || lacks_memory(session);
}

/* There may be more of them than the client reads at once. */
void transfer_begin_answers(struct smtp_session *session)
{
	session->phase = PHASE_ANSWERS;
}

/* RFC 2033 4.2: LMTP answers for each recipient, in their order; it is the same for all here. */
static void answer_message(struct smtp_session *session, const struct smtp_answer *answer,
			   size_t recipients)
{
	const struct smtp_answer late = {.code = 0, .delay_ms = answer->delay_ms};

	session->phase = PHASE_COMMAND;
	if (!session->client.lmtp || recipients < 2) {
		session_answer(session, answer);
		return;
	}
	session->transfer.refusal = *answer;
	session->transfer.refusal.delay_ms = 0;
	session->transfer.answers_left = recipients;
	if (answer->delay_ms > 0 && !session->stopping)
		hold_begin(session, &late, transfer_begin_answers);
	else
		transfer_begin_answers(session);
}

void transfer_answer(struct smtp_session *session)
{
	struct session_transfer *transfer = &session->transfer;

	assert(transfer->answers_left > 0);
	if (--transfer->answers_left == 0)
		session->phase = PHASE_COMMAND;
	session_answer(session, &transfer->refusal);
}

/*
 * What was over the limits was aborted long ago; the session goes on
 * (RFC 1870 6.1 (3)). `recipients`: for how many an answer is due.
 */
static void answer_refusal(struct smtp_session *session, size_t recipients)
{
	struct smtp_answer answer = session->transfer.refusal;

	session_reset(session);
	atomic_fetch_add(&session->house->counters->messages_refused, 1);
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address), LOG_I("code", answer.code),
		 LOG_S("reason", answer.text), LOG_I("bytes", session->transfer.data.facts.size));
	answer_message(session, &answer, recipients);
}

static void end_of_data(struct smtp_session *session)
{
	loop_timer_stop(&session->clock);
	transfer_leave(session);
	if (session->transaction == NULL) {
		answer_refusal(session, session->recipients);
		return;
	}
	session->phase = PHASE_VERDICT;
	session->awaits_settle = true;
	session->house->backend->finish(session->transaction, &session->transfer.data.facts);
}

static void end_of_last_chunk(struct smtp_session *session)
{
	struct span piece;

	/* At most a line end: there is no room to wait for. */
	if (data_end(&session->transfer.data, &piece))
		(void)take_piece(session, piece);
	end_of_data(session);
}

/* RFC 2033 4.2: behind a last chunk an LMTP client waits for an answer for each recipient. */
static void end_of_stray_chunk(struct smtp_session *session)
{
	const struct session_transfer *transfer = &session->transfer;
	const struct smtp_answer *refusal = &transfer->refusal;

	loop_timer_stop(&session->clock);
	if (transfer->last && session->client.lmtp && session->recipients > 1)
		answer_message(session, refusal, session->recipients);
	else if (refusal->delay_ms > 0)
		session_answer(session, refusal);
	else
		session_refuse(session, refusal->code, refusal->enhanced, refusal->text);
}

/* RFC 3030 2: each chunk gets its own answer, and only when all of it was taken. */
static void end_of_chunk(struct smtp_session *session)
{
	struct session_transfer *transfer = &session->transfer;
	char text[64];

	session->phase = PHASE_COMMAND;
	if (transfer->stray) {
		end_of_stray_chunk(session);
	} else if (transfer->last) {
		end_of_last_chunk(session);
	} else if (session->transaction == NULL) {
		answer_refusal(session, 1);
	} else {
		(void)snprintf(text, sizeof(text), "%lld octets received",
			       (long long)transfer->chunk_size);
		session_reply(session, 250, "2.0.0", text);
	}
}

/* What of the input belongs to the message, and at most that. */
static struct span message_input(const struct smtp_session *session)
{
	const struct session_transfer *transfer = &session->transfer;
	struct span input = stream_input(session->stream);

	if (transfer->chunked && (uint64_t)transfer->chunk_left < input.len)
		return span_first(input, (size_t)transfer->chunk_left);
	return input;
}

static void count_taken(struct smtp_session *session, size_t taken)
{
	struct session_transfer *transfer = &session->transfer;

	stream_consume(session->stream, taken);
	transfer->octets += (int64_t)taken;
	transfer->chunk_left -= transfer->chunked ? (int64_t)taken : 0;
	transfer->heard_at = clock_mono_ms();
}

bool transfer_step(struct smtp_session *session)
{
	struct session_transfer *transfer = &session->transfer;
	struct span input = message_input(session);
	size_t len = input.len;
	enum data_step step = DATA_MORE;
	struct span piece;
	bool full = false;

	if (transfer->blocked)
		return false;
	if (transfer->chunked && transfer->chunk_left == 0) {
		end_of_chunk(session);
		return true;
	}
	if (len == 0)
		return false;
	if (transfer->stray)
		input = span_skip(input, len);
	while (!full && (step = data_next(&transfer->data, &input, &piece)) == DATA_PIECE)
		full = take_piece(session, piece);
	count_taken(session, len - input.len);
	if (full)
		block(session);
	else if (step == DATA_END)
		end_of_data(session);
	return !full;
}

static void poll_blocked(struct smtp_session *session)
{
	struct session_transfer *transfer = &session->transfer;
	const struct smtp_backend_ops *backend = session->house->backend;
	bool ready = backend->ready == NULL || backend->ready(session->transaction);
	bool over = lacks_memory(session);

	if (ready && !over) {
		unblock(session);
	} else if (over &&
		   clock_mono_ms() - transfer->blocked_at > options_of(session)->memory_wait_ms) {
		/* What it holds is of use to those who come to their end. */
		smtp_answer_set(&transfer->refusal, 452, "4.3.1", "Insufficient memory");
		refuse_rest(session);
		unblock(session);
	} else {
		loop_timer_set(&session->clock, BLOCKED_POLL_MS);
	}
}

/*
 * When a client this slow must be done with: after the grace and the time its
 * octets may take at the lowest rate (S074), or when it has said nothing for
 * as long as a command may take.
 */
static int64_t patience_ends_at(const struct smtp_session *session)
{
	const struct smtp_options *options = options_of(session);
	const struct session_transfer *transfer = &session->transfer;
	int64_t idle = transfer->heard_at + options->command_timeout_ms;
	int64_t slow;

	if (options->data_min_rate <= 0)
		return idle;
	slow = transfer->started_at + options->data_grace_ms +
	       transfer->octets * 1000 / options->data_min_rate;
	return slow < idle ? slow : idle;
}

void transfer_on_clock(struct smtp_session *session)
{
	int64_t left;

	if (session->transfer.blocked) {
		poll_blocked(session);
		return;
	}
	left = patience_ends_at(session) - clock_mono_ms();
	if (left > 0) {
		loop_timer_set(&session->clock, left);
		return;
	}
	session_reply(session, 421, "4.4.2", "Timeout: the message comes too slowly");
}

void transfer_finished(struct smtp_session *session)
{
	struct session_counters *counters = session->house->counters;
	struct smtp_answer answer;
	void *transaction = session->transaction;
	size_t recipients = session->recipients;

	assert(session->awaits_settle);
	smtp_answer_set(&answer, 250, "2.0.0", "Ok");
	session->house->backend->settle(transaction, &answer);
	session->transaction = NULL;
	session->awaits_settle = false;
	if (answer.code / 100 == 2)
		atomic_fetch_add(&counters->messages, 1);
	else
		atomic_fetch_add(&counters->messages_refused, 1);
	if (session->phase == PHASE_GONE)
		return;
	session_reset(session);
	session->errors = 0;
	session->junk = 0;
	answer_message(session, &answer, recipients);
}
