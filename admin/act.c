/* admin/act.c - what a person does to a message: retry, hold, release, cancel, delete */
#include "admin/act.h"

#include <stdio.h>

#include "admin/delivery.h"
#include "admin/handlers.h"
#include "base/clock.h"
#include "queue/reader.h"
#include "relay/filter/judge.h"
#include "relay/mail/address.h"

#define RECIPIENTS_MAX 1000
#define REASON_MAX     500

/* --- the judgement that release must pass (P1) ---------------------------------------------------
 */

/* NULL with `known` false: its message went, or came, meanwhile. */
static const struct rule_matches *matches_of(const struct release_judge *judge, int64_t recipient,
					     bool *known_out)
{
	size_t low = 0, high = judge->count;

	*known_out = true;
	if (judge->rules == NULL || judge->rows == NULL)
		return judge->of_all;
	while (low < high) {
		size_t at = low + (high - low) / 2;

		if (judge->rows[at].recipient.id > recipient)
			low = at + 1;
		else
			high = at;
	}
	*known_out = low < judge->count && judge->rows[low].recipient.id == recipient &&
		     judge->of_row[low] != NULL;
	return *known_out ? judge->of_row[low] : NULL;
}

bool release_judge_verdict(const struct release_judge *judge, const struct act_subject *subject,
			   struct verdict *verdict_out)
{
	struct judge_case at = {.scope = span_of(subject->scope), .released = true};
	struct address address;
	struct err why;
	bool known;

	at.rules = matches_of(judge, subject->recipient, &known);
	if (!known || address_parse(span_of(subject->address), &address, &why) != ERR_OK)
		return false;
	at.list = whitelist_acquire(judge->whitelist);
	at.now = clock_steady_wall_ms();
	judge_address(&at, &address, verdict_out);
	whitelist_release(&at.list);
	return true;
}

/* In the writer thread, with the list in force at that moment. */
static bool judge_now(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	struct release_judge *judge = ctx;
	struct verdict verdict;

	if (!release_judge_verdict(judge, subject, &verdict)) {
		ruling_out->reason = "its address or its message can't be read";
		return false;
	}
	*ruling_out = judge_ruling(&verdict, judge->arena);
	return verdict.kind == VERDICT_DELIVER;
}

const struct act_judge *release_judge_init(struct release_judge *judge, struct whitelist *whitelist,
					   struct arena *arena)
{
	*judge = (struct release_judge){
		.ops = {judge_now, judge}, .whitelist = whitelist, .arena = arena};
	return &judge->ops;
}

void release_judge_release(struct release_judge *judge)
{
	if (judge->rules != NULL)
		published_release(&judge->rules);
}

/* False: there are no rules to ask. */
static bool begin_asking(struct call *call, struct release_judge *judge)
{
	struct rules *rules = call->api->env.rules;

	if (rules == NULL || !rules_are_on(rules))
		return false;
	judge->rules = rules_acquire(rules);
	return true;
}

/* Within its limits the header lies in the first chunk. */
static int read_section(struct call *call, const struct new_message *m, struct buf *chunk,
			struct rule_facts *facts, struct err *why)
{
	int code = ERR_OK;

	if (!facts->header_known || m->size == 0)
		return ERR_OK;
	code = queue_body_read(call_reader(call), &m->id, 0, chunk, why);
	facts->header_known = m->header_size <= (int64_t)chunk->len;
	facts->section = span_first(buf_span(chunk), (size_t)m->header_size);
	return code;
}

/* What the rules say of a message; *matches_out is NULL when it is gone. */
static int ask_about(struct call *call, struct release_judge *judge, const struct ulid *id,
		     const struct rule_matches **matches_out, struct err *why)
{
	struct new_message m;
	struct rule_facts facts;
	struct address sender;
	struct buf chunk;
	int code = queue_message_read(call_reader(call), id, judge->arena, &m, why);

	*matches_out = NULL;
	if (code != ERR_OK)
		return code == ERR_NOT_FOUND ? ERR_OK : code;
	facts = act_facts(&m, &sender);
	buf_init(&chunk, BODY_CHUNK_BYTES);
	if (rules_ask_header(judge->rules))
		code = read_section(call, &m, &chunk, &facts, why);
	if (code == ERR_OK)
		*matches_out = rule_match(judge->rules, &facts, judge->arena);
	buf_release(&chunk);
	return code == ERR_NOT_FOUND ? ERR_OK : code;
}

int release_judge_ask(struct call *call, struct release_judge *judge, const struct ulid *message,
		      struct err *why)
{
	return begin_asking(call, judge) ? ask_about(call, judge, message, &judge->of_all, why)
					 : ERR_OK;
}

int release_judge_ask_rows(struct call *call, struct release_judge *judge,
			   const struct recipient_row *rows, size_t count, struct err *why)
{
	int code = ERR_OK;

	if (!begin_asking(call, judge))
		return ERR_OK;
	judge->rows = rows;
	judge->count = count;
	judge->of_row = arena_array(judge->arena, count + 1, sizeof(const struct rule_matches *));
	for (size_t i = 0; code == ERR_OK && i < count; i++) {
		const struct ulid *id = &rows[i].recipient.message;

		if (i > 0 && ulid_equal(id, &rows[i - 1].recipient.message))
			judge->of_row[i] = judge->of_row[i - 1];
		else
			code = ask_about(call, judge, id, &judge->of_row[i], why);
	}
	return code;
}

/* --- the request
 * ------------------------------------------------------------------------------------ */

struct work {
	struct act act;
	struct release_judge judge;
};

static void forget(struct call *call)
{
	struct work *work = call->work;

	if (work != NULL)
		release_judge_release(&work->judge);
}

/* False: replied. A message of another scope is none at all for a caller that is limited to one. */
static bool find_id(struct call *call, struct ulid *id_out)
{
	struct message_view view;
	struct err why;
	int code = ulid_parse(call->id, id_out);

	if (code == ERR_OK && call->caller.scope[0] != '\0') {
		code = queue_message_show(call_reader(call), id_out, call->arena, &view, &why);
		if (code == ERR_OK && strcmp(call->caller.scope, view.m.scope) != 0)
			code = ERR_NOT_FOUND;
	}
	if (code == ERR_SYNTAX || code == ERR_NOT_FOUND)
		call_problem(call, 404, "there is no such message");
	else if (code != ERR_OK)
		call_error(call, code, &why);
	return code == ERR_OK;
}

static const char *read_address(struct call *call, const char *pointer, json_t *value)
{
	char canonical[ADDRESS_TEXT_SIZE];
	struct err why = {"must be a string"};
	struct address address;

	if (!json_is_string(value) ||
	    address_parse(span_of(json_string_value(value)), &address, &why) != ERR_OK) {
		call_mistake(call, pointer, "%s", why.text);
		return NULL;
	}
	address_format(&address, canonical);
	return arena_strdup(call->arena, canonical);
}

const char *read_release_to(struct call *call)
{
	json_t *to = json_object_get(call->body, "to");

	return to == NULL || json_is_null(to) ? NULL : read_address(call, "/to", to);
}

/* Without the member: all of them. An empty list is a mistake, it would mean all as well. */
static void read_recipients(struct call *call, struct act *act)
{
	json_t *list = json_object_get(call->body, "recipients");
	const char **addresses;
	char pointer[48];
	json_t *one;
	size_t i;

	if (list == NULL)
		return;
	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > RECIPIENTS_MAX) {
		call_mistake(call, "/recipients", "must be an array of 1 to %d addresses",
			     RECIPIENTS_MAX);
		return;
	}
	addresses = arena_array(call->arena, json_array_size(list), sizeof(*addresses));
	json_array_foreach(list, i, one)
	{
		(void)snprintf(pointer, sizeof(pointer), "/recipients/%zu", i);
		addresses[i] = read_address(call, pointer, one);
	}
	act->addresses = addresses;
	act->address_count = json_array_size(list);
}

static const char *detail_of(const struct act *act)
{
	if (act->refused > 0)
		return act->job.why.text;
	if (act->wished == 0)
		return NULL;
	/* A hold that was wished, taken back: that is done at once. */
	return act->transition == TRANSITION_RELEASE
		       ? "what was asked while it is being delivered is taken back"
		       : "asked: it is being delivered, and what comes of that is what counts";
}

static void act_done(struct call *call)
{
	struct work *work = call->work;
	const struct act *act = &work->act;

	if (act->job.code != ERR_OK) {
		call_error(call, act->job.code, &act->job.why);
		return;
	}
	/* RFC 9110 15.3.3: asked for, and what comes of it is not ours to say. */
	call_reply(call, act->wished > 0 ? 202 : 200,
		   json_pack("{s:I, s:I, s:I, s:s?, s:o}", "changed", (json_int_t)act->changed,
			     "wished", (json_int_t)act->wished, "refused", (json_int_t)act->refused,
			     "detail", detail_of(act), "delivery", delivery_view(call->api)));
}

struct rule_facts act_facts(const struct new_message *m, struct address *sender)
{
	return (struct rule_facts){.sender = rule_sender(m->sender, sender),
				   .client = m->client_address,
				   .user = m->user,
				   .listener = m->listener,
				   .scope = m->scope,
				   .size = m->size,
				   .header_known = m->header_parsed};
}

static void act_on(struct call *call, enum transition transition)
{
	struct work *work = arena_zalloc(call->arena, sizeof(*work));

	bool releases = transition == TRANSITION_RELEASE;
	struct err why;
	int code;

	call_only_members(call, releases ? "recipients reason to" : "recipients reason");
	read_recipients(call, &work->act);
	if (releases)
		work->act.to = read_release_to(call);
	work->act.reason = call_text(call, "reason", REASON_MAX);
	if (call_refused(call) || !find_id(call, &work->act.message))
		return;
	work->act.transition = transition;
	work->act.actor = call->caller.actor;
	work->act.now = clock_wall_ms();
	work->act.judge = release_judge_init(&work->judge, call->api->env.whitelist, call->arena);
	call->work = work;
	call->forget = forget;
	code = releases ? release_judge_ask(call, &work->judge, &work->act.message, &why) : ERR_OK;
	if (code != ERR_OK)
		call_error(call, code, &why);
	else
		call_submit(call, queue_act, &work->act.job, act_done);
}

void handle_message_retry(struct call *call)
{
	act_on(call, TRANSITION_RETRY);
}

void handle_message_hold(struct call *call)
{
	act_on(call, TRANSITION_HOLD);
}

void handle_message_release(struct call *call)
{
	act_on(call, TRANSITION_RELEASE);
}

void handle_message_cancel(struct call *call)
{
	act_on(call, TRANSITION_CANCEL);
}

static void delete_done(struct call *call)
{
	const struct message_delete *request = call->work;

	if (request->job.code != ERR_OK)
		call_error(call, request->job.code, &request->job.why);
	else if (request->wished) /* RFC 9110 15.3.3: not done yet */
		call_reply(call, 202,
			   json_pack("{s:s}", "detail",
				     "it is being delivered, and goes with what comes of that"));
	else
		call_reply(call, 204, NULL);
}

void handle_message_delete(struct call *call)
{
	struct message_delete *request = arena_zalloc(call->arena, sizeof(*request));

	request->when_settled = call_param_flag(call, "when_settled", false);
	if (call_refused(call) || !find_id(call, &request->message))
		return;
	request->actor = call->caller.actor;
	request->now = clock_wall_ms();
	call->work = request;
	call_submit(call, queue_message_delete, &request->job, delete_done);
}
