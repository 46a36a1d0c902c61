/* admin/recipients.c - retry, hold, release and cancel all recipients that a filter lets through */
#include "admin/bulk.h"

#include <stdlib.h>

#include "admin/delivery.h"
#include "admin/handlers.h"
#include "admin/value.h"
#include "admin/view.h"
#include "base/clock.h"
#include "base/when.h"
#include "relay/filter/judge.h"
#include "relay/mail/address.h"

#define FILTER_MAX  512 /* octets of a text filter */
#define NOTE_MAX    500
#define LIMIT_MAX   10000000
#define SECONDS_MAX 600
#define SHOWN	    10 /* of a dry run */

/* --- what is asked -------------------------------------------------------------------------------
 */

static int64_t read_time(struct call *call, const char *name, const char *pointer)
{
	const char *text = call_text(call, name, 64);
	int64_t wall_ms = 0;
	struct err why;

	if (text != NULL &&
	    when_parse_past(span_of(text), clock_wall_ms(), &wall_ms, &why) != ERR_OK)
		call_mistake(call, pointer, "%s", why.text);
	return wall_ms;
}

static const char *read_words(struct call *call, const char *name, const char *pointer)
{
	const char *text = call_text(call, name, FILTER_MAX);

	if (text != NULL && query_words(text) > QUERY_WORDS_MAX)
		call_mistake(call, pointer, "more than %d words", QUERY_WORDS_MAX);
	return text;
}

/* As the parameters of GET /recipients. */
static void read_filter(struct call *call, struct recipient_query *query)
{
	const char *state = call_text(call, "state", 32);
	const char *after = call_text(call, "after", CURSOR_TEXT_SIZE);
	struct err why;

	if (state != NULL && state_parse(span_of(state), &query->message.state) != ERR_OK)
		call_mistake(call, "/state", "no such state");
	query->message.to = call_text(call, "address", FILTER_MAX);
	query->message.from = call_text(call, "from", FILTER_MAX);
	query->message.subject = read_words(call, "subject", "/subject");
	query->message.q = read_words(call, "q", "/q");
	query->message.since = read_time(call, "since", "/since");
	query->message.until = read_time(call, "until", "/until");
	query->reason = call_text(call, "reason", FILTER_MAX);
	if (after != NULL &&
	    cursor_parse_id(CURSOR_RECIPIENTS, span_of(after), &query->before_id, &why) != ERR_OK)
		call_mistake(call, "/after", "%s", why.text);
}

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* A filter that got lost on the way must not become "everything". */
static bool has_filter(const struct recipient_query *query)
{
	const struct message_query *m = &query->message;

	return m->state != 0 || m->since != 0 || m->until != 0 || is_given(m->to) ||
	       is_given(m->from) || is_given(m->subject) || is_given(m->q) ||
	       is_given(query->reason);
}

static void read_bulk(struct call *call, struct bulk *bulk)
{
	int64_t limit = 0, seconds;
	char *about;

	call_only_members(call, bulk->transition == TRANSITION_RELEASE
					? "address state reason from subject q since until after "
					  "limit max_seconds note all dry_run to"
					: "address state reason from subject q since until after "
					  "limit max_seconds note all dry_run");
	read_filter(call, &bulk->query);
	if (!call_bool(call, "all") && !has_filter(&bulk->query))
		call_mistake(call, "", "say which: a filter, or \"all\": true");
	bulk->reason = call_text(call, "note", NOTE_MAX);
	if (bulk->transition == TRANSITION_RELEASE)
		bulk->to = read_release_to(call);
	if (call_number(call, "limit", 1, LIMIT_MAX, &limit))
		bulk->limit = (size_t)limit;
	bulk->time_ms = BULK_TIME_MS;
	if (call_number(call, "max_seconds", 0, SECONDS_MAX, &seconds))
		bulk->time_ms = seconds * 1000;
	about = json_dumps(call->body, JSON_COMPACT);
	bulk->about = arena_strdup(call->arena, about);
	free(about);
}

/* --- what would happen ---------------------------------------------------------------------------
 */

static json_t *judged(const struct bulk *bulk, const struct release_judge *judge,
		      const struct recipient_row *row)
{
	const struct act_subject subject = {.recipient = row->recipient.id,
					    .address = bulk->to != NULL ? bulk->to
									: row->recipient.address,
					    .scope = row->scope};
	struct verdict verdict;

	return release_judge_verdict(judge, &subject, &verdict) ? view_verdict(&verdict)
								: json_null();
}

/* The first ones; of a release with what is said of each. */
static int view_first(struct call *call, const struct bulk *bulk, json_t **items_out,
		      struct err *why)
{
	struct recipient_query query = bulk->query;
	struct release_judge judge;
	struct recipient_page page = {.count = 0};
	int code;

	(void)release_judge_init(&judge, call->api->env.whitelist, call->arena);
	query.limit = bulk->limit > 0 && bulk->limit < SHOWN ? bulk->limit : SHOWN;
	code = queue_recipient_list(call_reader(call), &query, call->arena, &page, why);
	if (code == ERR_OK && bulk->transition == TRANSITION_RELEASE)
		code = release_judge_ask_rows(call, &judge, page.rows, page.count, why);
	*items_out = json_array();
	for (size_t i = 0; code == ERR_OK && i < page.count; i++) {
		json_t *item = view_recipient_row(&page.rows[i]);

		if (bulk->transition == TRANSITION_RELEASE)
			(void)json_object_set_new(item, "judged",
						  judged(bulk, &judge, &page.rows[i]));
		(void)json_array_append_new(*items_out, item);
	}
	release_judge_release(&judge);
	return code;
}

static const char *next_of(const struct bulk *bulk, char next[CURSOR_TEXT_SIZE])
{
	cursor_format_id(CURSOR_RECIPIENTS, bulk->query.before_id, next);
	return bulk->more ? next : NULL;
}

/* What would be done, and the first of those that were asked about. */
static void reply_dry(struct call *call, struct bulk *bulk)
{
	char next[CURSOR_TEXT_SIZE];
	json_t *items = bulk->ctx;

	bulk->ctx = NULL;
	if (bulk->code != ERR_OK) {
		json_decref(items);
		call_error(call, bulk->code, &bulk->why);
		return;
	}
	call_reply(call, 200,
		   json_pack("{s:b, s:I, s:I, s:s?, s:s?, s:o}", "dry_run", 1, "count",
			     (json_int_t)bulk->changed + (json_int_t)bulk->wished, "refused",
			     (json_int_t)bulk->refused, "detail",
			     bulk->refused > 0 ? bulk->refusal.text : NULL, "next",
			     next_of(bulk, next), "items", items));
}

static void forget_dry(struct call *call)
{
	struct bulk *bulk = call->work;

	bulk_forget(bulk);
	json_decref(bulk->ctx);
}

/* By the same steps, each taken back: only what would be done is counted (queue/act.h). */
static void dry_run(struct call *call, struct bulk *bulk)
{
	json_t *items = NULL;
	struct err why;
	int code;

	bulk->query.states = bulk_states(bulk->transition);
	code = view_first(call, bulk, &items, &why);
	if (code != ERR_OK) {
		json_decref(items);
		call_error(call, code, &why);
		return;
	}
	bulk->dry = true;
	bulk->then = reply_dry;
	bulk->ctx = items;
	call->work = bulk;
	call->forget = forget_dry;
	bulk_run(call, bulk);
}

/* --- what happened -------------------------------------------------------------------------------
 */

static void reply(struct call *call, struct bulk *bulk)
{
	const char *detail = bulk->refused > 0 ? bulk->refusal.text : NULL;
	char next[CURSOR_TEXT_SIZE];

	if (bulk->code != ERR_OK) {
		call_error(call, bulk->code, &bulk->why);
		return;
	}
	call_reply(call, bulk->wished > 0 ? 202 : 200,
		   json_pack("{s:I, s:I, s:I, s:I, s:s?, s:s?, s:o}", "changed",
			     (json_int_t)bulk->changed, "wished", (json_int_t)bulk->wished,
			     "refused", (json_int_t)bulk->refused, "passed",
			     (json_int_t)bulk->passed, "detail", detail, "next",
			     next_of(bulk, next), "delivery", delivery_view(call->api)));
}

static void act_on(struct call *call, enum transition transition)
{
	struct bulk *bulk = arena_zalloc(call->arena, sizeof(*bulk));

	bulk->transition = transition;
	bulk->then = reply;
	read_bulk(call, bulk);
	if (call_refused(call))
		return;
	if (call_bool(call, "dry_run"))
		dry_run(call, bulk);
	else
		bulk_run(call, bulk);
}

void handle_recipients_retry(struct call *call)
{
	act_on(call, TRANSITION_RETRY);
}

void handle_recipients_hold(struct call *call)
{
	act_on(call, TRANSITION_HOLD);
}

void handle_recipients_release(struct call *call)
{
	act_on(call, TRANSITION_RELEASE);
}

void handle_recipients_cancel(struct call *call)
{
	act_on(call, TRANSITION_CANCEL);
}
