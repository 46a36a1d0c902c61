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

/* In the writer thread, with the list in force at that moment. */
static bool judge_now(void *ctx, const char *text, const char *scope, struct ruling *ruling_out)
{
	struct release_judge *judge = ctx;
	struct judge_case at = {.scope = span_of(scope), .rules = judge->rules, .released = true};
	struct address address;
	struct verdict verdict;
	struct err why;

	if (address_parse(span_of(text), &address, &why) != ERR_OK)
		return false;
	at.list = whitelist_acquire(judge->whitelist);
	at.now = clock_steady_wall_ms();
	judge_address(&at, &address, &verdict);
	whitelist_release(&at.list);
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

/* --- the request
 * ------------------------------------------------------------------------------------ */

struct work {
	struct act act;
	struct release_judge judge;
	const struct edition
		*rules; /* held while the job is with the store; NULL: none are asked */
};

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

	if (work->rules != NULL)
		published_release(&work->rules);
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

/* What the rules in force say of the message; one that can't be read is found out by the job. */
static void ask_rules(struct call *call, struct work *work)
{
	struct rules *rules = call->api->env.rules;
	struct store_reader *reader;
	struct message_view view;
	struct rule_facts facts;
	struct address sender;
	struct buf chunk;
	struct err why;

	if (rules == NULL || !rules_are_on(rules))
		return;
	reader = call_reader(call);
	if (queue_message_show(reader, &work->act.message, call->arena, &view, &why) != ERR_OK)
		return;
	facts = act_facts(&view.m, &sender);
	buf_init(&chunk, BODY_CHUNK_BYTES);
	/* Within its limits the header lies in the first chunk. */
	if (view.m.size > 0 &&
	    queue_body_read(reader, &work->act.message, 0, &chunk, &why) != ERR_OK)
		facts.header_known = false;
	facts.section = span_first(buf_span(&chunk), (size_t)view.m.header_size);
	work->rules = rules_acquire(rules);
	work->judge.rules = rule_match(work->rules, &facts, call->arena);
	buf_release(&chunk);
}

static void act_on(struct call *call, enum transition transition)
{
	struct work *work = arena_zalloc(call->arena, sizeof(*work));

	bool releases = transition == TRANSITION_RELEASE;

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
	if (releases)
		ask_rules(call, work);
	call->work = work;
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
	else
		call_reply(call, 204, NULL);
}

void handle_message_delete(struct call *call)
{
	struct message_delete *request = arena_zalloc(call->arena, sizeof(*request));

	if (!find_id(call, &request->message))
		return;
	request->actor = call->caller.actor;
	request->now = clock_wall_ms();
	call->work = request;
	call_submit(call, queue_message_delete, &request->job, delete_done);
}
