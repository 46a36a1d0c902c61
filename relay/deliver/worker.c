/* relay/deliver/worker.c - the one file that sees libesmtp */
#include <config.h> /* SCHED_BATCH */

#include "relay/deliver/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <libesmtp.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "queue/reader.h"
#include "relay/deliver/body.h"
#include "relay/deliver/dial.h"

#define PIECE_MAX (16 * 1024)
/* What expires meanwhile is looked at again; what the list says anew is at any age. */
#define HEADER_FRESH_MS 100

/*
 * libesmtp edits headers (LIBESMTP 7), so it gets one it has nothing to add to
 * or take from; the uplink puts the real one in its place.
 */
static const char stand_in[] = "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
			       "From: <>\r\n"
			       "Message-Id: <0@stand-in.invalid>\r\n"
			       "\r\n";

struct worker {
	pthread_t thread;
	struct channel *orders;
	struct channel *inbox;
	struct whitelist *whitelist;
	struct store_reader *reader;
	struct rules *rules;
	/* the job in hand */
	struct order {
		struct channel_item item; /* first */
		struct job *job;
		int fd;
	} order;
	struct buf chunk; /* what was read and not yet given away: starts at `at` */
	size_t at;
	int64_t sequence; /* of the next chunk to read */
	int64_t left;	  /* body octets still to be given to libesmtp */
	size_t line;	  /* octets given of the line under way, since its last cut */
	bool cut;	  /* the line was cut: a line end, which the carry removes, is due */
	char last;	  /* the last octet given */
	bool began;	  /* the stand-in header was given */
	int64_t revision; /* of the list the header was written by */
	int64_t header_at_ms;
};

static int read_chunk(struct worker *w, struct err *why)
{
	size_t before = w->chunk.len;
	int code =
		queue_body_read(w->reader, &w->order.job->message->id, w->sequence, &w->chunk, why);

	if (code == ERR_OK && w->chunk.len == before)
		code = err_set(why, ERR_IO, "chunk %lld of the stored message is missing",
			       (long long)w->sequence);
	if (code == ERR_OK)
		w->sequence++;
	return code;
}

/* What a client declared (BODY) may be too much: the octets decide. */
static int look_for_8bit(struct worker *w, struct err *why)
{
	struct job *job = w->order.job;
	int64_t seen = 0;
	int code = ERR_OK;

	while (code == ERR_OK && seen < job->message->size && !job->needs_8bit) {
		buf_clear(&w->chunk);
		code = read_chunk(w, why);
		job->needs_8bit = span_has_8bit(buf_span(&w->chunk));
		seen += (int64_t)w->chunk.len;
	}
	buf_clear(&w->chunk);
	w->sequence = 0;
	return code;
}

/*
 * Who gets the message because a rule overrides the list. What the rules said
 * while they were other ones does not count (relay/deliver/guard.c).
 */
static int find_let_out(struct worker *w, const struct whitelist_snapshot *list,
			struct arena *arena, const struct let_out **set_out, struct err *why)
{
	const struct job *job = w->order.job;
	struct judge_case at = job_case(job->options, job->message, list, clock_steady_wall_ms());
	const struct addressee *rows;
	size_t count;
	int code;

	*set_out = NULL;
	at.rules = job->rules.matches;
	if (!let_out_may_be(at.rules) || !job_rules_hold(&job->rules, w->rules))
		return ERR_OK;
	code = queue_message_addressees(w->reader, &job->message->id, arena, &rows, &count, why);
	if (code == ERR_OK)
		*set_out = let_out_find(&at, rows, count, arena);
	return code;
}

/* By the list and the rules that are in force now (DESIGN 5). */
static int write_header(struct worker *w, struct err *why)
{
	struct job *job = w->order.job;
	const struct claimed_message *m = job->message;
	const struct policy_options policy = job_rules_policy(&job->rules, job->options->policy);
	struct outbound_case at = {.policy = &policy,
				   .list = whitelist_acquire(w->whitelist),
				   .scope = span_of(m->scope),
				   .now = clock_steady_wall_ms(),
				   .header_parsed = m->header_parsed};
	struct arena *scratch = arena_new();
	int code = find_let_out(w, at.list, scratch, &at.let_out, why);

	if (code == ERR_OK &&
	    (buf_append_text(&job->header, m->received_field) != ERR_OK ||
	     outbound_header(&at, span_of(m->added_fields), span_first(buf_span(&w->chunk), w->at),
			     &job->header, &job->rewritten) != ERR_OK))
		code = err_set(why, ERR_LIMIT, "the header section grows too large");
	arena_free(&scratch);
	w->revision = whitelist_revision(at.list);
	w->header_at_ms = clock_mono_ms();
	whitelist_release(&at.list);
	return code;
}

static bool is_fresh(struct worker *w)
{
	const struct whitelist_snapshot *list = whitelist_acquire(w->whitelist);
	bool fresh = whitelist_revision(list) == w->revision &&
		     job_rules_hold(&w->order.job->rules, w->rules) &&
		     clock_mono_ms() - w->header_at_ms < HEADER_FRESH_MS;

	whitelist_release(&list);
	return fresh;
}

/*
 * The next hop wants the message: it may have taken its time, and the list of now
 * counts for the header as it did for RCPT. The carry sends it behind the stand-in.
 */
static int write_header_again(struct worker *w)
{
	struct err ignored;

	if (is_fresh(w))
		return ERR_OK;
	buf_clear(&w->order.job->header);
	return write_header(w, &ignored);
}

/* Read as far as the header section goes and write the header of the copy that leaves. */
static int prepare(struct worker *w, struct err *why)
{
	struct job *job = w->order.job;
	const struct claimed_message *m = job->message;
	int code;

	buf_clear(&w->chunk);
	w->sequence = 0;
	if (m->header_size > OUTBOUND_SECTION_MAX)
		return err_set(why, ERR_LIMIT, "a header section of %lld bytes can't be rewritten",
			       (long long)m->header_size);
	job->needs_8bit = false;
	if (m->body_8bit && job->options->eight_bit == EIGHT_BIT_FAIL) {
		code = look_for_8bit(w, why);
		if (code < 0)
			return code;
	}
	do {
		code = m->size > 0 ? read_chunk(w, why) : ERR_OK;
		if (code < 0)
			return code;
	} while ((int64_t)w->chunk.len < m->header_size);
	w->at = (size_t)m->header_size;
	w->left = m->size - m->header_size;
	job_rules_prepare(&job->rules, w->rules, m, span_first(buf_span(&w->chunk), w->at));
	code = write_header(w, why);
	if (code != ERR_OK)
		return code;
	job->body_size = w->left;
	atomic_store(&job->header_ready, true);
	return ERR_OK;
}

/* Nothing more will come: end the line, once. */
static const char *end_body(struct worker *w, int *len)
{
	struct job *job = w->order.job;

	*len = 0;
	if (job->body_size == 0 || w->last == '\n' || atomic_load(&job->line_end_added))
		return NULL;
	atomic_store(&job->line_end_added, true);
	*len = 2;
	return "\r\n";
}

/* What libesmtp may have at once: up to the next cut. */
static size_t up_to_cut(struct worker *w, struct span text)
{
	size_t at = 0;

	while (at < text.len && !w->cut) {
		size_t take;

		w->cut = body_line_take(&w->line, span_skip(text, at), &take) == BODY_LINE_CUT;
		at += take;
	}
	return at;
}

static const char *next_piece(struct worker *w, int *len)
{
	struct err why;
	size_t piece;

	if (w->cut) {
		w->cut = false;
		*len = 2;
		return "\r\n";
	}
	if (w->left == 0)
		return end_body(w, len);
	if (w->at == w->chunk.len) {
		buf_clear(&w->chunk);
		w->at = 0;
		if (read_chunk(w, &why) < 0) {
			/* libesmtp takes errno for the sign to break off without a dot. */
			*len = 0;
			errno = EIO;
			return NULL;
		}
	}
	piece = w->chunk.len - w->at;
	if (piece > PIECE_MAX)
		piece = PIECE_MAX;
	if ((int64_t)piece > w->left)
		piece = (size_t)w->left;
	piece = up_to_cut(w, span_make(w->chunk.data + w->at, piece));
	w->at += piece;
	w->left -= (int64_t)piece;
	w->last = w->chunk.data[w->at - 1];
	*len = (int)piece;
	return w->chunk.data + w->at - piece;
}

/* libesmtp's message callback: len NULL means "from the start", which it asks for once. */
static const char *on_body(void **ctx, int *len, void *arg)
{
	struct worker *w = arg;
	const char *piece = stand_in;

	(void)ctx;
	if (len == NULL) {
		assert(!w->began);
		return NULL;
	}
	*len = (int)sizeof(stand_in) - 1;
	if (w->began) {
		piece = next_piece(w, len);
	} else if (write_header_again(w) != ERR_OK) {
		/* libesmtp takes errno for the sign to break off without a dot. */
		*len = 0;
		errno = EIO;
		return NULL;
	}
	w->began = true;
	if (piece != NULL || w->left == 0)
		errno = 0;
	return piece;
}

static void set_timeouts(smtp_session_t session)
{
	static const int phases[] = {Timeout_GREETING, Timeout_ENVELOPE, Timeout_DATA,
				     Timeout_TRANSFER, Timeout_DATA2};

	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		long set = smtp_set_timeout(session, phases[i], WORKER_TIMEOUT_MS);

		assert(set == WORKER_TIMEOUT_MS);
	}
}

static void keep_view(struct job *job, smtp_message_t message, const smtp_recipient_t *recipients)
{
	job->esmtp.transfer_code = smtp_message_transfer_status(message)->code;
	for (size_t i = 0; i < job->count; i++) {
		struct job_recipient *recipient = &job->recipients[i];

		recipient->esmtp_code = smtp_recipient_status(recipients[i])->code;
		recipient->esmtp_complete = smtp_recipient_check_complete(recipients[i]) != 0;
	}
}

static void hold_session(struct worker *w)
{
	struct job *job = w->order.job;
	smtp_recipient_t recipients[JOB_RECIPIENTS_MAX];
	smtp_session_t session = smtp_create_session();
	smtp_message_t message;

	assert(session != NULL && job->count <= JOB_RECIPIENTS_MAX);
	smtp_set_server(session, DIAL_SERVER);
	smtp_set_hostname(session, "stagepost");
	set_timeouts(session);
	message = smtp_add_message(session);
	smtp_set_reverse_path(message, job->sender_text);
	smtp_set_messagecb(message, on_body, w);
	for (size_t i = 0; i < job->count; i++)
		recipients[i] = smtp_add_recipient(message, job->recipients[i].text);
	w->began = false;
	w->last = '\0';
	w->line = 0;
	w->cut = false;
	dial_begin(w->order.fd);
	smtp_start_session(session);
	dial_end();
	job->esmtp.ran = true;
	job->esmtp.error = smtp_errno();
	keep_view(job, message, recipients);
	smtp_destroy_session(session);
}

static void do_order(struct worker *w)
{
	struct job *job = w->order.job;

	job->prepare_code = prepare(w, &job->prepare_why);
	if (job->prepare_code == ERR_OK)
		hold_session(w);
	else
		close(w->order.fd);
	channel_send(w->inbox, &job->worker_done.item);
}

static void *run(void *arg)
{
	static const struct sched_param none;
	struct worker *w = arg;

	/* What wakes a worker is a loop with more to do: no need to push it off its processor. */
	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);

	while (channel_wait(w->orders, -1))
		while (channel_take(w->orders) != NULL)
			do_order(w);
	return NULL;
}

static void release(struct worker *w)
{
	channel_free(&w->orders);
	store_reader_close(&w->reader);
	buf_release(&w->chunk);
	mem_free(w);
}

int worker_start(struct store *store, struct whitelist *whitelist, struct rules *rules,
		 struct channel *inbox, struct worker **worker_out, struct err *why)
{
	struct worker *w = mem_zalloc(sizeof(*w));
	int code = store_reader_open(store, &w->reader, why);

	w->whitelist = whitelist;
	w->rules = rules;
	w->inbox = inbox;
	w->orders = channel_new();
	/* Room for the header section's chunks and one more. */
	buf_init(&w->chunk, OUTBOUND_SECTION_MAX + 2 * BODY_CHUNK_BYTES);
	/* It takes no SIGPIPE: libesmtp writes with write(2) (LIBESMTP 10). */
	if (code == ERR_OK)
		code = thread_start("worker", run, w, &w->thread, why);
	if (code < 0) {
		release(w);
		return code;
	}
	*worker_out = w;
	return ERR_OK;
}

void worker_stop(struct worker **worker)
{
	if (*worker == NULL)
		return;
	channel_close((*worker)->orders);
	pthread_join((*worker)->thread, NULL);
	release(*worker);
	*worker = NULL;
}

void worker_run(struct worker *worker, struct job *job, int fd)
{
	worker->order.job = job;
	worker->order.fd = fd;
	if (!channel_send(worker->orders, &worker->order.item))
		assert(!"a stopped worker was given a job");
}
