/* relay/deliver/bouncer.c - a thread that makes the reports of failed mail ready for the store */
#include "relay/deliver/bouncer.h"

#include <assert.h>

#include "base/clock.h"
#include "base/crew.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/reader.h"
#include "relay/deliver/outcome.h"
#include "relay/filter/judge.h"

struct bouncer {
	struct store *store;
	struct whitelist *whitelist;
	struct channel *inbox; /* the scheduler's */
	struct crew *crew;     /* one thread; all below is its own */
	struct store_reader *reader;
	struct buf head; /* of the original */
	struct buf text;
};

void report_free(struct report **report)
{
	struct arena *arena;

	if (*report == NULL)
		return;
	arena = (*report)->arena;
	body_free(&(*report)->body);
	arena_free(&arena);
	*report = NULL;
}

/* --- whom to tell what -------------------------------------------------------------------- */

int64_t bouncer_delay_at(const struct job *job, const struct claimed_recipient *claimed)
{
	if (!job->options->bounces || claimed->delay_told ||
	    !bounce_has_addressee(job->message->sender, job->message->origin) ||
	    !bounce_is_wanted(claimed->notify, BOUNCE_DELAYED))
		return INT64_MAX;
	return claimed->waiting_since + BOUNCE_DELAY_MS;
}

static enum bounce_action delayed(const struct job *job, size_t index, int64_t now)
{
	int64_t at = bouncer_delay_at(job, job->recipients[index].claimed);

	return now >= at ? BOUNCE_DELAYED : BOUNCE_NOTHING;
}

/* What the outcome is in the words of a report. */
static enum bounce_action action_of(const struct job *job, size_t index, int64_t now)
{
	const struct outcome *outcome = &job->outcomes[index];

	switch (outcome->transition) {
	case TRANSITION_FAIL:
	case TRANSITION_EXPIRE: return BOUNCE_FAILED;
	case TRANSITION_DELIVER:
		/* RFC 3461 5.2.1: what was asked went on with the message. */
		if (job->record.dsn_offered)
			return BOUNCE_NOTHING;
		return job_is_lmtp(job) ? BOUNCE_DELIVERED : BOUNCE_RELAYED;
	case TRANSITION_UNCLAIM:
		return outcome->parked != NULL ? delayed(job, index, now) : BOUNCE_NOTHING;
	case TRANSITION_DEFER: return delayed(job, index, now);
	default: return BOUNCE_NOTHING;
	}
}

static enum bounce_action told(const struct job *job, size_t index, int64_t now)
{
	const struct outcome *outcome = &job->outcomes[index];
	enum bounce_action action = action_of(job, index, now);

	if (action == BOUNCE_NOTHING || !(job->options->bounces || outcome->on_demand) ||
	    !bounce_is_wanted(job->recipients[index].claimed->notify, action))
		return BOUNCE_NOTHING;
	return action;
}

bool bouncer_decide(struct job *job, int64_t now)
{
	bool any = false;

	if (!bounce_has_addressee(job->message->sender, job->message->origin))
		return false;
	for (size_t i = 0; i < job->count; i++) {
		job->outcomes[i].told = told(job, i, now);
		any |= job->outcomes[i].told != BOUNCE_NOTHING;
	}
	return any;
}

static void fill_recipients(const struct job *job, struct arena *arena, struct bounce *bounce)
{
	struct bounce_recipient *list = arena_array(arena, job->count, sizeof(*list));

	for (size_t i = 0; i < job->count; i++) {
		const struct outcome *outcome = &job->outcomes[i];
		const struct hop_reply *reply = outcome->reply;
		enum bounce_action action = job->outcomes[i].told;
		bool said = reply != NULL;

		if (action == BOUNCE_NOTHING)
			continue;
		if (action == BOUNCE_DELAYED && job->options->expire_after_ms > 0)
			bounce->retry_until = job->recipients[i].claimed->waiting_since +
					      job->options->expire_after_ms;
		list[bounce->recipient_count++] = (struct bounce_recipient){
			.action = action,
			.address = job->recipients[i].claimed->address,
			.orcpt = job->recipients[i].claimed->orcpt,
			.status = outcome_status(job, outcome),
			.reply_code = said ? reply->code : 0,
			.reply_enhanced = said ? reply->enhanced : NULL,
			.reply_text = said ? reply->text : NULL,
			.remote = job->record.remote[0] != '\0' ? job->record.remote : NULL,
			.reason = outcome->reason,
		};
	}
	bounce->recipients = list;
}

/* --- one report ------------------------------------------------------------------------------ */

/* DESIGN 4.7: it passes the same filter as any mail. What is not clearly allowed does not leave. */
static int judge(struct bouncer *b, const struct job *job, struct report *report, struct err *why)
{
	const struct claimed_message *m = job->message;
	struct new_recipient *list = report->recipients;
	struct judge_case at;
	struct address address;
	struct verdict verdict;
	int code = address_parse(span_of(m->sender), &address, why);

	if (code != ERR_OK)
		return code;
	at = job_case(job->options, m, whitelist_acquire(b->whitelist), clock_steady_wall_ms());
	judge_address(&at, &address, &verdict);
	list[0] = judge_recipient(&address, &verdict, report->arena);
	if (list[0].state == STATE_REDIRECTED &&
	    judge_redirect(&at, list[0].ruling.redirect_to, report->arena, &list[1]))
		report->message.recipient_count = 2;
	whitelist_release(&at.list);
	return ERR_OK;
}

static int write_text(struct bouncer *b, const struct bounce *bounce, struct report *report,
		      struct err *why)
{
	struct new_message *message = &report->message;
	struct bounce_facts facts;
	struct buf received;

	buf_clear(&b->text);
	if (bounce_write(bounce, &b->text, &facts) != ERR_OK)
		return err_set(why, ERR_LIMIT, "the report is too long");
	buf_init(&received, 1024);
	if (bounce_received(bounce, &received) == ERR_OK)
		message->received_field = arena_span_dup(report->arena, buf_span(&received));
	buf_release(&received);
	assert(message->received_field != NULL); /* a host name is at most 255 octets */
	message->size = (int64_t)b->text.len;
	message->header_size = facts.header_size;
	message->body_8bit = facts.has_8bit;
	message->smtputf8 = facts.smtputf8;
	return ERR_OK;
}

static void describe(const struct job *job, const struct bounce *bounce, struct report *report)
{
	char id[ULID_TEXT_SIZE];

	ulid_format(&bounce->id, id);
	report->told = bounce->recipient_count;
	report->message = (struct new_message){
		.id = bounce->id,
		.received_at = bounce->now,
		.sender = "",
		.header_parsed = true,
		.scope = arena_strdup(report->arena, job->message->scope),
		.subject = bounce_subject(bounce),
		.message_id = arena_printf(report->arena, "<%s@%s>", id, bounce->hostname),
		.origin = "bounce",
		.recipients = report->recipients,
		.recipient_count = 1,
	};
}

static bool has_failures(const struct bounce *bounce)
{
	for (size_t i = 0; i < bounce->recipient_count; i++)
		if (bounce->recipients[i].action == BOUNCE_FAILED)
			return true;
	return false;
}

static int make(struct bouncer *b, const struct job *job, struct report *report, struct err *why)
{
	const struct claimed_message *m = job->message;
	struct bounce bounce = {.hostname = job->options->hostname,
				.now = clock_wall_ms(),
				.original_id = m->id,
				.arrived_at = m->received_at,
				.sender = m->sender,
				.smtputf8 = m->smtputf8,
				.envid = m->envid,
				.ret = m->ret,
				.size = m->size,
				.header_size = m->header_size,
				.policy = job->options->policy};
	int code;

	buf_clear(&b->head);
	code = m->size > 0 ? queue_body_read(b->reader, &m->id, 0, &b->head, why) : ERR_OK;
	if (code != ERR_OK)
		return code;
	bounce.id = ulid_new(bounce.now);
	bounce.head = buf_span(&b->head);
	fill_recipients(job, report->arena, &bounce);
	describe(job, &bounce, report);
	code = judge(b, job, report, why);
	if (code == ERR_OK && report->recipients[0].state != STATE_QUEUED && !has_failures(&bounce))
		return err_set(why, ERR_DENIED, "good news goes to allowed senders only");
	if (code == ERR_OK)
		code = write_text(b, &bounce, report, why);
	if (code != ERR_OK)
		return code;
	report->body = body_new(b->store, NULL, NULL);
	body_append(report->body, buf_span(&b->text));
	return ERR_OK;
}

/* --- the thread ----------------------------------------------------------------------------------
 */

struct order {
	struct crew_job job; /* first */
	struct bouncer *bouncer;
	struct job *reported;
};

static void serve(struct crew_job *crew_job)
{
	struct order *order = (struct order *)crew_job;
	struct bouncer *b = order->bouncer;
	struct job *job = order->reported;
	struct arena *arena = arena_new();
	struct report *report = arena_zalloc(arena, sizeof(*report));
	char id[ULID_TEXT_SIZE];
	struct err why;
	int code;

	mem_free(order);
	report->arena = arena;
	code = make(b, job, report, &why);
	if (code != ERR_OK && code != ERR_DENIED) {
		ulid_format(&job->message->id, id);
		log_warning("no report", LOG_S("message", id), LOG_S("error", why.text));
	}
	if (code != ERR_OK)
		report_free(&report);
	job->report = report;
	if (!channel_send(b->inbox, &job->reported.item))
		assert(!"the inbox is open until everything was answered");
}

int bouncer_start(struct store *store, struct whitelist *whitelist, struct channel *inbox,
		  struct bouncer **bouncer_out, struct err *why)
{
	struct bouncer *b = mem_zalloc(sizeof(*b));
	int code = store_reader_open(store, &b->reader, why);

	if (code == ERR_OK)
		code = crew_new("bouncer", 1, &b->crew, why);
	if (code != ERR_OK) {
		store_reader_close(&b->reader);
		mem_free(b);
		return code;
	}
	b->store = store;
	b->whitelist = whitelist;
	b->inbox = inbox;
	buf_init(&b->head, BODY_CHUNK_BYTES);
	buf_init(&b->text, BOUNCE_MAX);
	*bouncer_out = b;
	return ERR_OK;
}

void bouncer_stop(struct bouncer **bouncer)
{
	struct bouncer *b = *bouncer;

	*bouncer = NULL;
	if (b == NULL)
		return;
	crew_free(&b->crew);
	store_reader_close(&b->reader);
	buf_release(&b->head);
	buf_release(&b->text);
	mem_free(b);
}

void bouncer_run(struct bouncer *bouncer, struct job *job)
{
	struct order *order = mem_zalloc(sizeof(*order));

	*order = (struct order){.job = {.run = serve}, .bouncer = bouncer, .reported = job};
	crew_give(bouncer->crew, &order->job);
}
