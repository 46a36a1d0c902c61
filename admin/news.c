/* admin/news.c - an event as the API shows it */
#include "admin/view.h"

#include <assert.h>

#include "admin/call.h"

/* Keys are literals, values were just made. */
static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new_nocheck(object, key, value);

	assert(failed == 0);
}

static void set_accepted(json_t *json, const struct news *news)
{
	int64_t by_state[STATE_COUNT];

	for (size_t i = 0; i < STATE_COUNT; i++)
		by_state[i] = news->by_state[i];
	set(json, "size", json_integer(news->size));
	set(json, "subject", view_text(news->subject));
	set(json, "message_id", view_text(news->message_id));
	set(json, "listener", view_text(news->listener));
	set(json, "client", view_text(news->client));
	set(json, "user", view_text(news->user));
	set(json, "origin", view_text(news->origin));
	set(json, "recipients", json_integer(news->count));
	set(json, "states", view_states(by_state));
}

static void set_verdict(json_t *json, const struct news *news)
{
	set(json, "verdict", view_text(news->action));
	set(json, "state", view_text(news->state));
	set(json, "reason", view_text(news->reason));
	set(json, "entry", view_id(news->entry));
	set(json, "rule", view_text(news->rule));
	set(json, "redirect_to", view_text(news->redirect_to));
	set(json, "client", view_text(news->client));
	set(json, "user", view_text(news->user));
}

static void set_history(json_t *json, const struct news *news)
{
	set(json, "event", view_text(news->action));
	set(json, "state", view_text(news->state));
	set(json, "reason", view_text(news->reason));
	set(json, "kind", view_text(news->trouble));
	set(json, "actor", view_text(news->actor));
	set(json, "entry", view_id(news->entry));
}

static void set_attempt(json_t *json, const struct news *news)
{
	set_history(json, news);
	set(json, "route", view_text(news->route));
	set(json, "remote", view_text(news->remote));
	set(json, "tls", view_text(news->tls));
	set(json, "reply", view_reply(news->reply_code, news->reply_enhanced, news->reply_text));
}

static void set_change(json_t *json, const struct news *news)
{
	set(json, "action", view_text(news->action));
	set(json, "actor", view_text(news->actor));
}

static void set_entry(json_t *json, const struct news *news)
{
	set_change(json, news);
	set(json, "entry", view_id(news->entry));
	set(json, "pattern", view_text(news->name));
	set(json, "entry_action", view_text(news->state));
	set(json, "changes", json_integer(news->count));
	set(json, "revision", view_id(news->revision));
}

static void set_delivery(json_t *json, const struct news *news)
{
	set_change(json, news);
	set(json, "route", view_text(news->route));
	set(json, "reason", view_text(news->reason));
}

static void set_named(json_t *json, const struct news *news)
{
	set_change(json, news);
	set(json, "name", view_text(news->name));
}

static void set_whose(json_t *json, const struct news *news)
{
	set(json, "message", news->has_message ? view_ulid(&news->message) : json_null());
	set(json, "sender", view_text(news->sender));
	if (news->recipient != NULL)
		set(json, "recipient", view_text(news->recipient));
}

json_t *view_news(const struct news *news)
{
	json_t *json = json_object();

	set(json, "at", view_time(news->at));
	set(json, "scope", view_text(news->scope != NULL ? news->scope : ""));
	if (news->kind <= NEWS_DELETED)
		set_whose(json, news);
	switch (news->kind) {
	case NEWS_ACCEPTED: set_accepted(json, news); break;
	case NEWS_VERDICT: set_verdict(json, news); break;
	case NEWS_ATTEMPT: set_attempt(json, news); break;
	case NEWS_STATE: set_history(json, news); break;
	case NEWS_DELETED: set(json, "actor", view_text(news->actor)); break;
	case NEWS_WHITELIST: set_entry(json, news); break;
	case NEWS_DELIVERY: set_delivery(json, news); break;
	case NEWS_RULE:
	case NEWS_FAULT:
	case NEWS_TOKEN: set_named(json, news); break;
	}
	return json;
}

void view_webhook(const struct ulid *id, enum webhook_event event, const struct news *news,
		  struct buf *body_out)
{
	json_t *json = json_object();
	int failed;

	set(json, "id", view_ulid(id));
	set(json, "type", json_string(webhook_event_name(event)));
	failed = json_object_update_new(json, view_news(news));
	assert(failed == 0);
	failed = json_dump_callback(json, call_append_json, body_out, JSON_COMPACT);
	assert(failed == 0);
	json_decref(json);
}
