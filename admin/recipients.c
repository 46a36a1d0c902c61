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

	if (text != NULL && when_parse(span_of(text), &wall_ms, &why) != ERR_OK)
		call_mistake(call, pointer, "%s", why.text);
	return wall_ms;
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
	query->message.subject = call_text(call, "subject", FILTER_MAX);
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
	       is_given(m->from) || is_given(m->subject) || is_given(query->reason);
}

static void read_bulk(struct call *call, struct bulk *bulk)
{
	int64_t limit = 0, seconds;
	char *about;

	call_only_members(call, bulk->transition == TRANSITION_RELEASE
					? "address state reason from subject since until after "
					  "limit max_seconds note all dry_run to"
					: "address state reason from subject since until after "
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

static json_t *judged(const struct bulk *bulk, const struct recipient_row *row,
		      const struct whitelist_snapshot *list)
{
	const struct judge_case at = {
		.list = list, .scope = span_of(row->scope), .now = clock_steady_wall_ms()};
	const char *text = bulk->to != NULL ? bulk->to : row->recipient.address;
	struct address address;
	struct verdict verdict;
	struct err why;

	if (address_parse(span_of(text), &address, &why) != ERR_OK)
		return json_null();
	judge_address(&at, &address, &verdict);
	return view_verdict(&verdict);
}

static json_t *view_rows(struct call *call, const struct bulk *bulk,
			 const struct recipient_row *rows, size_t count)
{
	const struct whitelist_snapshot *list = whitelist_acquire(call->api->env.whitelist);
	json_t *items = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *item = view_recipient_row(&rows[i]);

		if (bulk->transition == TRANSITION_RELEASE)
			(void)json_object_set_new(item, "judged", judged(bulk, &rows[i], list));
		(void)json_array_append_new(items, item);
	}
	whitelist_release(&list);
	return items;
}

static void dry_run(struct call *call, struct bulk *bulk)
{
	struct recipient_row *rows;
	int64_t total = 0;
	size_t count = 0;
	struct err why;
	int code;

	bulk->query.states = bulk_states(bulk->transition);
	bulk->query.limit = SHOWN;
	code = queue_recipient_count(call_reader(call), &bulk->query, &total, &why);
	if (code == ERR_OK)
		code = queue_recipient_list(call_reader(call), &bulk->query, call->arena, &rows,
					    &count, &why);
	if (code != ERR_OK)
		call_error(call, code, &why);
	else
		call_reply(call, 200,
			   json_pack("{s:b, s:I, s:o}", "dry_run", 1, "count", (json_int_t)total,
				     "items", view_rows(call, bulk, rows, count)));
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
	cursor_format_id(CURSOR_RECIPIENTS, bulk->query.before_id, next);
	call_reply(call, bulk->wished > 0 ? 202 : 200,
		   json_pack("{s:I, s:I, s:I, s:I, s:s?, s:s?, s:o}", "changed",
			     (json_int_t)bulk->changed, "wished", (json_int_t)bulk->wished,
			     "refused", (json_int_t)bulk->refused, "passed",
			     (json_int_t)bulk->passed, "detail", detail, "next",
			     bulk->more ? next : NULL, "delivery", delivery_view(call->api)));
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
