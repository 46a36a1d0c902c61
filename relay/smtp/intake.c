/* relay/smtp/intake.c - the relay's backend: judge each recipient, store the message durably */
#include "relay/smtp/intake.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "queue/message.h"
#include "queue/news.h"
#include "queue/space.h"
#include "relay/filter/judge.h"
#include "relay/smtp/description.h"
#include "relay/smtp/envelope.h"
#include "relay/smtp/fault.h"

struct intake {
	struct store *store;
	struct whitelist *whitelist;
	struct budget *budget;
	struct faults *faults; /* NULL: none */
	struct rules *rules;   /* NULL: none */
	uint64_t seed;
};

/* One transaction. Owned by its session, or whoever stands for one, until settle or abort. */
struct intake_mail {
	struct accept accept;
	struct intake *intake;
	struct intake_guest guest; /* of a session, too */
	const struct smtp_client *client;
	struct arena *arena;
	struct address sender;
	struct envelope envelope;
	struct new_message message;
	char id[ULID_TEXT_SIZE];
	bool smtputf8;	       /* MAIL carried it */
	const char *forwarded; /* in the arena; NULL: nothing */
	struct body *body;
	int64_t counted; /* of its bytes in the budget */
	struct header_end header;
	struct smtp_answer refusal; /* code 0: none, but for its delay */
};

struct intake *intake_new(struct store *store, struct whitelist *whitelist, struct budget *budget)
{
	struct intake *intake = mem_zalloc(sizeof(*intake));

	intake->store = store;
	intake->whitelist = whitelist;
	intake->budget = budget;
	secret_random(&intake->seed, sizeof(intake->seed));
	return intake;
}

void intake_set_faults(struct intake *intake, struct faults *faults)
{
	intake->faults = faults;
}

void intake_set_rules(struct intake *intake, struct rules *rules)
{
	intake->rules = rules;
}

void intake_free(struct intake **intake)
{
	mem_free(*intake);
	*intake = NULL;
}

/* --- MAIL, RCPT ------------------------------------------------------------ */

/* The client need not send what could not be stored (S255). */
static bool has_room(const struct intake *intake, const struct smtp_client *client,
		     const struct smtp_mail *mail, struct smtp_answer *answer)
{
	char sender[ADDRESS_TEXT_SIZE];
	char path[ADDRESS_TEXT_SIZE + 2];
	struct err why;
	int code = store_room(intake->store, mail->declared_size, &why);

	if (code == ERR_OK)
		return true;
	smtp_answer_error(answer, code);
	address_format(&mail->sender, sender);
	(void)snprintf(path, sizeof(path), "<%s>", sender);
	log_warning("refused", LOG_S("session", client->session), LOG_S("client", client->address),
		    LOG_S("from", path), LOG_I("code", answer->code), LOG_S("reason", why.text));
	return false;
}

void *intake_begin(struct intake *intake, const struct intake_guest *guest,
		   const struct smtp_client *client, const struct smtp_mail *mail,
		   struct smtp_answer *answer)
{
	struct intake_mail *m;
	struct fault_case at = {.stage = FAULT_AT_MAIL, .sender = &mail->sender};
	char sender[ADDRESS_TEXT_SIZE];

	if (store_is_failed(intake->store)) {
		smtp_answer_error(answer, ERR_FATAL);
		return NULL;
	}
	if (!has_room(intake, client, mail, answer) ||
	    !smtp_fault_pass(intake->faults, client, &at, answer, NULL))
		return NULL;
	m = mem_zalloc(sizeof(*m));
	m->intake = intake;
	m->guest = *guest;
	m->client = client;
	m->arena = arena_new();
	m->sender = mail->sender;
	m->message.id = ulid_new(clock_wall_ms());
	ulid_format(&m->message.id, m->id);
	address_format(&mail->sender, sender);
	m->message.sender = arena_strdup(m->arena, sender);
	m->forwarded = arena_strdup(m->arena, mail->forwarded);
	m->message.body_8bit = mail->body_8bit;
	m->smtputf8 = mail->smtputf8;
	m->message.ret = mail->ret;
	if (mail->envid[0] != '\0')
		m->message.envid = arena_strdup(m->arena, mail->envid);
	if (mail->line.len > 0)
		m->message.command = arena_span_dup(m->arena, mail->line);
	envelope_init(&m->envelope, m->arena, intake->seed);
	return m;
}

static void tell_session(void *ctx)
{
	smtp_session_finished(ctx);
}

/* The version of its options does not change while a session has a transaction. */
static void *begin(void *ctx, struct smtp_session *session, const struct smtp_client *client,
		   const struct smtp_mail *mail, struct smtp_answer *answer)
{
	const struct intake_guest guest = {.smtp = smtp_session_options(session),
					   .policy = smtp_session_backend_options(session),
					   .finished = tell_session,
					   .ctx = session};

	return intake_begin(ctx, &guest, client, mail, answer);
}

/* --- rules: what the message says of itself --------------------------------- */

/* The message as far as it is known: all of it when `size` is. */
static struct rule_facts facts_of(const struct intake_mail *m, int64_t size)
{
	struct rule_facts facts = {.sender = &m->sender,
				   .client = m->client->address,
				   .user = m->client->user,
				   .listener = m->client->listener,
				   .scope = m->client->scope,
				   .size = size};

	if (size >= 0 && m->message.header_parsed) {
		facts.header_known = true;
		facts.section = span_first(body_head(m->body), (size_t)m->message.header_size);
	}
	return facts;
}

/* NULL: there are none, and nothing has to be given back. */
static const struct edition *rules_in_force(const struct intake_mail *m)
{
	struct rules *rules = m->intake->rules;

	return rules != NULL && rules_are_on(rules) ? rules_acquire(rules) : NULL;
}

/* It would be refused; what will be known of it later may let it leave. */
static bool may_be_allowed_yet(const struct intake_mail *m, const struct address *recipient)
{
	struct rule_facts facts = facts_of(m, -1);

	return rules_may_allow(m->intake->rules, &facts, recipient);
}

/*
 * Now all is known: rules on what the message says of itself, and whether who
 * stands for others is a recipient himself.
 */
static void decide(struct intake_mail *m, int64_t size)
{
	const struct edition *rules = rules_in_force(m);
	struct rule_facts facts = facts_of(m, size);
	struct judge_case at = {
		.policy = m->guest.policy, .scope = span_of(m->client->scope), .accepted = true};
	struct arena *scratch;

	if (rules == NULL && m->envelope.redirect == 0)
		return;
	scratch = arena_new();
	at.list = whitelist_acquire(m->intake->whitelist);
	at.now = clock_steady_wall_ms();
	if (rules != NULL) {
		at.rules = rule_match(rules, &facts, scratch);
		envelope_judge(&m->envelope, &at);
		rule_count_tags(at.rules);
	}
	envelope_redirect(&m->envelope, &at);
	whitelist_release(&at.list);
	arena_free(&scratch);
	if (rules != NULL)
		published_release(&rules);
}

/* Nothing of it is stored: who looks on hears of it here or never. */
static void tell_refused(const struct intake_mail *m, const char *recipient,
			 const struct verdict *verdict)
{
	const struct smtp_client *client = m->client;
	char sentence[2 * ADDRESS_TEXT_SIZE];

	verdict_sentence(verdict, sentence, sizeof(sentence));
	store_tell(m->intake->store,
		   &(struct news){.kind = NEWS_VERDICT,
				  .at = clock_wall_ms(),
				  .scope = client->scope,
				  .sender = m->message.sender,
				  .recipient = recipient,
				  .action = verdict_kind_name(verdict->kind),
				  .reason = sentence,
				  .entry = verdict->entry,
				  .rule = verdict->rule,
				  .listener = client->listener,
				  .client = client->address,
				  .user = client->user[0] != '\0' ? client->user : NULL});
}

/* False: not taken, *answer says why. */
static bool judge(struct intake_mail *m, const struct smtp_recipient *recipient,
		  const struct fate *fate, struct smtp_answer *answer)
{
	const struct policy_options *policy = m->guest.policy;
	struct judge_case at = {.list = whitelist_acquire(m->intake->whitelist),
				.policy = policy,
				.scope = span_of(m->client->scope),
				.now = clock_steady_wall_ms()};
	struct verdict verdict;
	char text[ADDRESS_TEXT_SIZE];

	judge_address(&at, &recipient->address, &verdict);
	whitelist_release(&at.list);
	/* One that allows is counted when its mail has left. */
	if (verdict.reason == REASON_DENIED)
		whitelist_count_hit(m->intake->whitelist, verdict.entry, at.now);
	/* What is to bounce later is accepted now, and what a rule may let leave. */
	if (verdict.kind == VERDICT_REJECT &&
	    (fate->action == FAULT_BOUNCE || may_be_allowed_yet(m, &recipient->address)))
		verdict.kind = VERDICT_DROP;
	if (verdict.kind == VERDICT_REJECT) {
		address_format(&recipient->address, text);
		smtp_answer_set(answer, 550, "5.7.1", "<%s>: recipient is not on the whitelist",
				text);
		tell_refused(m, text, &verdict);
		return false;
	}
	envelope_add(&m->envelope, recipient, &verdict);
	if (policy_screens(policy, &verdict))
		envelope_screen(&m->envelope);
	return true;
}

/* A stage at which the message as a whole is looked at. */
static bool pass_faults(struct intake_mail *m, enum fault_stage stage, struct smtp_answer *answer)
{
	struct fault_case at = {.stage = stage,
				.sender = &m->sender,
				.recipients = m->envelope.recipients,
				.recipient_count = m->envelope.count};

	return smtp_fault_pass(m->intake->faults, m->client, &at, answer, NULL);
}

static bool recipient(void *transaction, const struct smtp_recipient *recipient,
		      struct smtp_answer *answer)
{
	struct intake_mail *m = transaction;
	struct fault_case at = {
		.stage = FAULT_AT_RCPT, .sender = &m->sender, .recipient = &recipient->address};
	struct fate fate = {.attempts = 0};
	int64_t delay_ms;
	bool taken;

	if (envelope_holds(&m->envelope, &recipient->address))
		return true;
	if (!smtp_fault_pass(m->intake->faults, m->client, &at, answer, &fate))
		return false;
	delay_ms = answer->delay_ms;
	taken = judge(m, recipient, &fate, answer);
	answer->delay_ms = delay_ms;
	if (taken && fate.attempts > 0)
		envelope_doom(&m->envelope, &fate);
	return taken;
}

/* --- DATA ------------------------------------------------------------------ */

static bool data_begin(void *transaction, struct smtp_answer *answer)
{
	struct intake_mail *m = transaction;

	if (store_is_failed(m->intake->store)) {
		smtp_answer_error(answer, ERR_FATAL);
		return false;
	}
	if (!pass_faults(m, FAULT_AT_DATA, answer))
		return false;
	/* `ready` asks: no callback from the writer's thread is needed. */
	m->body = body_new(m->intake->store, NULL, NULL);
	return true;
}

static void count_held(struct intake_mail *m, int64_t held)
{
	if (m->intake->budget == NULL)
		return;
	budget_count(m->intake->budget, held - m->counted);
	m->counted = held;
}

static bool ready(void *transaction)
{
	struct intake_mail *m = transaction;

	count_held(m, body_held_bytes(m->body));
	return !body_is_backed_up(m->body) && !store_is_behind(m->intake->store);
}

static bool data(void *transaction, struct span bytes)
{
	struct intake_mail *m = transaction;

	header_end_look(&m->header, bytes);
	body_append(m->body, bytes);
	return !ready(m);
}

/* --- the end --------------------------------------------------------------- */

static void on_stored(struct store_job *job)
{
	struct intake_mail *m = job->ctx;

	m->guest.finished(m->guest.ctx);
}

static struct description description_of(const struct intake_mail *m)
{
	bool single = m->envelope.count == 1 && !m->envelope.has_special;

	return (struct description){.client = m->client,
				    .options = m->guest.smtp,
				    .arena = m->arena,
				    .id = m->id,
				    .forwarded = m->forwarded,
				    .smtputf8 = m->smtputf8,
				    .recipient = single ? m->envelope.recipients[0].address : NULL};
}

/* RFC 5321 6.3 */
static bool is_good_header(struct intake_mail *m, int64_t size)
{
	const struct description description = description_of(m);
	/* Without an empty line all of it is header. */
	int64_t header_size = m->header.size > 0 ? m->header.size : size;

	if (description_read(&description, body_head(m->body), header_size, &m->message) <=
	    m->guest.smtp->max_received)
		return true;
	smtp_answer_set(&m->refusal, 554, "5.4.6",
			"Routing loop detected: more than %zu Received fields",
			m->guest.smtp->max_received);
	return false;
}

static void describe(struct intake_mail *m, const struct smtp_data_facts *facts)
{
	const struct description description = description_of(m);

	description_complete(&description, body_head(m->body), facts, &m->message);
	m->message.recipients = m->envelope.recipients;
	m->message.recipient_count = m->envelope.count;
}

static void finish(void *transaction, const struct smtp_data_facts *facts)
{
	struct intake_mail *m = transaction;

	assert(body_size(m->body) == facts->size);
	if (!pass_faults(m, FAULT_AT_END, &m->refusal) || !is_good_header(m, facts->size)) {
		body_free(&m->body);
		m->guest.finished(m->guest.ctx);
		return;
	}
	decide(m, facts->size);
	describe(m, facts);
	if (m->guest.storing != NULL)
		m->guest.storing(m->guest.ctx, &m->message);
	m->accept = (struct accept){
		.job = {.done = on_stored, .ctx = m}, .message = &m->message, .body = m->body};
	m->body = NULL;
	queue_accept(m->intake->store, &m->accept.job);
}

/* --- what becomes of it ---------------------------------------------------- */

static void mail_free(struct intake_mail *m)
{
	count_held(m, 0);
	body_free(&m->body);
	envelope_release(&m->envelope);
	arena_free(&m->arena);
	mem_free(m);
}

static const char *in_brackets(struct intake_mail *m)
{
	return arena_printf(m->arena, "<%s>", m->message.sender);
}

static void log_accepted(struct intake_mail *m)
{
	log_info("accepted", LOG_S("session", m->client->session), LOG_S("message", m->id),
		 LOG_S("from", in_brackets(m)), LOG_I("recipients", m->envelope.count),
		 LOG_I("deliver", m->envelope.deliver), LOG_I("drop", m->envelope.drop),
		 LOG_I("bytes", m->message.size), LOG_I("hold", m->envelope.hold),
		 LOG_I("redirect", m->envelope.redirect), LOG_I("screen", m->envelope.screen));
	if (m->forwarded != NULL)
		log_info("forwarded", LOG_S("session", m->client->session), LOG_S("message", m->id),
			 LOG_S("client", m->forwarded));
}

static void log_refused(struct intake_mail *m, const struct smtp_answer *answer, const char *why)
{
	enum log_level level = m->refusal.code != 0 ? LOG_INFO : LOG_WARNING;

	log_event(level, "refused", LOG_S("session", m->client->session),
		  LOG_S("client", m->client->address), LOG_S("from", in_brackets(m)),
		  LOG_I("code", answer->code), LOG_S("reason", why));
}

int intake_result(const void *transaction)
{
	const struct intake_mail *m = transaction;

	return m->refusal.code != 0 ? ERR_OK : m->accept.job.code;
}

static void settle(void *transaction, struct smtp_answer *answer)
{
	struct intake_mail *m = transaction;

	if (m->refusal.code != 0) {
		*answer = m->refusal;
		log_refused(m, answer, answer->text);
	} else if (m->accept.job.code == ERR_CONFLICT) {
		/* Of a guest that hands in the same thing twice, and has its answer. */
		smtp_answer_set(answer, 450, "4.3.0", "The same was handed in already");
	} else if (m->accept.job.code != ERR_OK) {
		smtp_answer_error(answer, m->accept.job.code);
		log_refused(m, answer, m->accept.job.why.text);
	} else {
		smtp_answer_set(answer, 250, "2.0.0", "Ok: queued as %s", m->id);
		log_accepted(m);
	}
	answer->delay_ms = m->refusal.delay_ms;
	mail_free(m);
}

static void abort_mail(void *transaction)
{
	mail_free(transaction);
}

const struct smtp_backend_ops intake_ops = {
	.begin = begin,
	.recipient = recipient,
	.data_begin = data_begin,
	.data = data,
	.ready = ready,
	.finish = finish,
	.settle = settle,
	.abort = abort_mail,
};
