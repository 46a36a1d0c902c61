/* admin/webhooks.c - webhooks as the API shows them, and their dead letters as a resource */
#include "admin/webhooks.h"

#include "admin/handlers.h"
#include "admin/page.h"
#include "admin/view.h"
#include "base/clock.h"
#include "queue/webhook.h"

size_t webhooks_read(const struct api *api, struct admin_webhook webhooks_out[ADMIN_WEBHOOKS_MAX])
{
	const struct admin_ops *ops = api->env.ops;

	return ops != NULL && ops->webhooks != NULL
		       ? ops->webhooks(api->env.ctx, webhooks_out, ADMIN_WEBHOOKS_MAX)
		       : 0;
}

/* --- webhooks ----------------------------------------------------------------------------------
 */

static json_t *view_events(unsigned events)
{
	json_t *names = json_array();

	for (size_t i = 0; i < WEBHOOK_EVENTS; i++)
		if ((events & 1U << i) != 0)
			(void)json_array_append_new(
				names, json_string(webhook_event_name((enum webhook_event)i)));
	return names;
}

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? view_text(text) : json_null();
}

static json_t *view_of(const struct admin_webhook *webhook)
{
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
		"name", view_text(webhook->name), "place", view_text(webhook->place), "events",
		view_events(webhook->events), "scope", view_text(webhook->scope), "signed",
		webhook->is_signed ? 1 : 0, "running", (json_int_t)webhook->running, "waiting",
		(json_int_t)webhook->waiting, "dead_letters", (json_int_t)webhook->dead, "sent",
		(json_int_t)webhook->sent, "failed", (json_int_t)webhook->failed, "lost",
		(json_int_t)webhook->lost, "last_sent_at", view_time(webhook->last_sent_at),
		"resting_until", view_time(webhook->resting_until), "last_error",
		text_or_null(webhook->last_error), "last_error_at",
		view_time(webhook->last_error_at));
}

void handle_webhooks(struct call *call)
{
	struct admin_webhook *webhooks =
		arena_array(call->arena, ADMIN_WEBHOOKS_MAX, sizeof(*webhooks));
	size_t count = webhooks_read(call->api, webhooks);
	json_t *items = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(items, view_of(&webhooks[i]));
	call_reply(call, 200, json_pack("{s:o, s:n}", "items", items, "next"));
}

/* --- dead letters: looking ---------------------------------------------------------------------
 */

/* The body was made by view_webhook. */
static json_t *view_event(struct span body)
{
	json_t *event = json_loadb(body.data, body.len, 0, NULL);

	return event != NULL ? event : json_null();
}

static json_t *view_dead(const struct webhook_call *dead)
{
	json_t *status = dead->status != 0 ? json_integer(dead->status) : json_null();

	return json_pack("{s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o}", "id", view_id(dead->id),
			 "webhook", view_text(dead->target), "type", view_text(dead->type),
			 "made_at", view_time(dead->made_at), "attempts", dead->attempts,
			 "last_attempt_at", view_time(dead->tried_at), "status", status, "error",
			 view_text(dead->error), "event", view_event(dead->body));
}

static bool dead_row(void *ctx, const struct webhook_call *dead)
{
	if (page_is_full(ctx))
		return false;
	page_add(ctx, dead->id, view_dead(dead));
	return true;
}

void handle_dead_letters(struct call *call)
{
	struct page page = page_of(call, CURSOR_DEAD_LETTERS);
	struct err why;
	int code;

	if (call_refused(call))
		return;
	code = queue_webhook_dead(call_reader(call), call_param(call, "webhook"), page.after,
				  page.limit + 1, dead_row, &page, &why);
	page_reply(call, &page, -1, code, &why);
}

void handle_dead_letter_get(struct call *call)
{
	struct webhook_call dead;
	struct err why;
	int64_t id;
	int code;

	if (!call_row_id(call, &id))
		return;
	code = queue_webhook_get(call_reader(call), id, call->arena, &dead, &why);
	if (code != ERR_OK)
		call_error(call, code, &why);
	else
		call_reply(call, 200, view_dead(&dead));
}

/* --- and acting ----------------------------------------------------------------------------------
 */

static void act_done(struct call *call)
{
	const struct webhook_act *act = call->work;

	if (act->job.code != ERR_OK)
		call_error(call, act->job.code, &act->job.why);
	else if (act->id != 0 && act->drop)
		call_reply(call, 204, NULL);
	else
		call_reply(call, 200, json_pack("{s:I}", "changed", (json_int_t)act->count));
}

/* `id` 0: all, or those of the webhook that the body names. */
static void act_on(struct call *call, bool drop, int64_t id)
{
	struct webhook_act *act = arena_zalloc(call->arena, sizeof(*act));

	call_only_members(call, id == 0 ? "webhook" : "");
	act->target = id == 0 ? call_text(call, "webhook", ADMIN_WEBHOOK_NAME_SIZE - 1) : NULL;
	if (call_refused(call))
		return;
	act->drop = drop;
	act->id = id;
	act->actor = call->caller.actor;
	act->now = clock_wall_ms();
	call->work = act;
	call_submit(call, queue_webhook_act, &act->job, act_done);
}

void handle_dead_letters_retry(struct call *call)
{
	act_on(call, false, 0);
}

void handle_dead_letters_drop(struct call *call)
{
	act_on(call, true, 0);
}

void handle_dead_letter_retry(struct call *call)
{
	int64_t id;

	if (call_row_id(call, &id))
		act_on(call, false, id);
}

void handle_dead_letter_drop(struct call *call)
{
	int64_t id;

	if (call_row_id(call, &id))
		act_on(call, true, id);
}
