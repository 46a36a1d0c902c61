/* admin/view.c - what is stored, as the API shows it */
#include "admin/view.h"

#include <assert.h>

#include "base/buf.h"
#include "base/clock.h"
#include "relay/mail/header.h"

#define TEXT_MAX ((size_t)4 * 1024 * 1024)

/* --- small values -------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at the front, 0 when the first byte starts none. */
static size_t utf8_length(struct span s)
{
	unsigned char c = (unsigned char)s.data[0];
	size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

	if (c == 0 || len > s.len || !span_is_utf8(span_first(s, len)))
		return 0;
	return len;
}

json_t *view_span(struct span text)
{
	struct buf clean;
	json_t *json;

	if (text.len > 0 && span_is_utf8(text) && span_find(text, '\0') == text.len)
		return json_stringn(text.data, text.len);
	/* Each byte becomes at most three. */
	text = span_first(text, TEXT_MAX / 3);
	buf_init(&clean, TEXT_MAX);
	while (text.len > 0) {
		size_t len = utf8_length(text);

		(void)(len > 0 ? buf_append(&clean, text.data, len)
			       : buf_append_text(&clean, "\xef\xbf\xbd"));
		text = span_skip(text, len > 0 ? len : 1);
	}
	json = json_stringn(clean.len > 0 ? clean.data : "", clean.len);
	buf_release(&clean);
	return json;
}

json_t *view_text(const char *text)
{
	return text != NULL ? view_span(span_of(text)) : json_null();
}

json_t *view_time(int64_t wall_ms)
{
	char text[CLOCK_RFC3339_SIZE];

	if (wall_ms == 0)
		return json_null();
	clock_format_rfc3339(wall_ms, text);
	return json_string(text);
}

json_t *view_id(int64_t id)
{
	return id != 0 ? json_integer(id) : json_null();
}

json_t *view_ulid(const struct ulid *id)
{
	char text[ULID_TEXT_SIZE];

	ulid_format(id, text);
	return json_string(text);
}

/* Put `value` in; objects here have literal keys and values that were just made. */
static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new_nocheck(object, key, value);

	assert(failed == 0);
}

/* --- whitelist ------------------------------------------------------------------------------ */

static const char *kind_name(enum entry_kind kind)
{
	switch (kind) {
	case ENTRY_EXACT: return "exact";
	case ENTRY_DOMAIN: return "domain";
	case ENTRY_SUBDOMAIN: return "subdomain";
	case ENTRY_GLOB: return "glob";
	case ENTRY_ALL: return "all";
	}
	return "unknown";
}

json_t *view_entry(const struct entry *entry)
{
	json_t *json = json_object();

	set(json, "id", json_integer(entry->id));
	set(json, "pattern", view_text(entry->pattern));
	set(json, "kind", json_string(kind_name(entry->kind)));
	set(json, "action", json_string(entry->action == ENTRY_DENY ? "deny" : "allow"));
	set(json, "scope", view_text(entry->scope));
	set(json, "note", view_text(entry->note));
	set(json, "owner", view_text(entry->owner));
	set(json, "created_at", view_time(entry->created_at));
	set(json, "created_by", view_text(entry->created_by));
	set(json, "expires_at", view_time(entry->expires_at));
	set(json, "expired_at", view_time(entry->expired_at));
	set(json, "hits", json_integer(entry->hits));
	set(json, "last_hit_at", view_time(entry->last_hit_at));
	return json;
}

static json_t *view_given(const char *text)
{
	return text[0] != '\0' ? view_text(text) : json_null();
}

json_t *view_verdict(const struct verdict *verdict)
{
	char sentence[2 * ADDRESS_TEXT_SIZE];
	json_t *json = json_object();

	verdict_sentence(verdict, sentence, sizeof(sentence));
	set(json, "verdict", json_string(verdict_kind_name(verdict->kind)));
	set(json, "reason", view_text(sentence));
	set(json, "entry", view_id(verdict->entry));
	set(json, "nearest", view_given(verdict->nearest));
	set(json, "rule", view_text(verdict->rule));
	return json;
}

/* What every row of an ordered list begins with. */
static void set_row(json_t *json, enum published_source source, int64_t id, const char *name,
		    bool enabled)
{
	bool stored = source == PUBLISHED_FROM_STORE;

	set(json, "id", stored ? json_integer(id) : json_null());
	set(json, "source", json_string(stored ? "api" : "config"));
	set(json, "name", view_text(name));
	set(json, "enabled", json_boolean(enabled));
}

json_t *view_fault(const struct fault_view *view)
{
	const struct fault *fault = view->fault;
	json_t *json = json_object();

	set_row(json, view->source, fault->id, fault->name, fault->enabled);
	set(json, "action", json_string(fault_action_name(fault->action)));
	set(json, "stage", json_string(fault_stage_name(fault->stage)));
	set(json, "recipient", view_given(fault->recipient));
	set(json, "sender", view_given(fault->sender));
	set(json, "user", view_given(fault->user));
	set(json, "scope", view_given(fault->scope));
	set(json, "code", fault->code > 0 ? json_integer((json_int_t)fault->code) : json_null());
	set(json, "enhanced", view_given(fault->enhanced));
	set(json, "text", view_given(fault->reply));
	set(json, "delay_ms", json_integer(fault->delay_ms));
	set(json, "attempts", json_integer((json_int_t)fault->attempts));
	set(json, "after", json_integer((json_int_t)fault->skip));
	set(json, "every", json_integer((json_int_t)fault->every));
	set(json, "times", json_integer((json_int_t)fault->times));
	set(json, "note", view_given(fault->note));
	set(json, "matches", json_integer((json_int_t)view->matches));
	set(json, "strikes", json_integer((json_int_t)view->strikes));
	set(json, "created_at", view_time(fault->created_at));
	set(json, "created_by", view_text(fault->created_by));
	return json;
}

static json_t *view_rule_headers(const struct rule *rule)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rule->header_count; i++) {
		const struct rule_header *header = &rule->headers[i];
		json_t *json = json_object();

		set(json, "name", view_text(header->name));
		set(json, "match", json_string(rule_match_name(header->match)));
		if (header->match == RULE_EXACT || header->match == RULE_GLOB)
			set(json, "value", view_text(header->value));
		(void)json_array_append_new(list, json);
	}
	return list;
}

static json_t *view_octets(int64_t octets)
{
	return octets > 0 ? json_integer(octets) : json_null();
}

json_t *view_rule(const struct rule_view *view)
{
	const struct rule *rule = view->rule;
	json_t *json = json_object();

	set_row(json, view->source, rule->id, rule->name, rule->enabled);
	set(json, "action", json_string(rule_action_name(rule->action)));
	set(json, "redirect_to", view_given(rule->redirect_to));
	set(json, "tag", view_given(rule->tag));
	set(json, "overrides_whitelist", json_boolean(rule->overrides_whitelist));
	set(json, "sender", view_given(rule->sender));
	set(json, "recipient", view_given(rule->recipient));
	set(json, "client", view_given(rule->client));
	set(json, "user", view_given(rule->user));
	set(json, "listener", view_given(rule->listener));
	set(json, "scope", view_given(rule->scope));
	set(json, "min_size", view_octets(rule->min_size));
	set(json, "max_size", view_octets(rule->max_size));
	set(json, "headers", view_rule_headers(rule));
	set(json, "note", view_given(rule->note));
	set(json, "matches", json_integer((json_int_t)view->matches));
	set(json, "created_at", view_time(rule->created_at));
	set(json, "created_by", view_text(rule->created_by));
	return json;
}

/* --- messages and recipients ----------------------------------------------------------------- */

json_t *view_reply(int code, const char *enhanced, const char *text)
{
	json_t *json;

	if (code == 0)
		return json_null();
	json = json_object();
	set(json, "code", json_integer(code));
	set(json, "enhanced", view_text(enhanced));
	set(json, "text", view_text(text));
	return json;
}

static json_t *view_history_item(const struct history_item *item)
{
	json_t *json = json_object();

	set(json, "at", view_time(item->at));
	set(json, "event", view_text(item->event));
	set(json, "state", view_text(item->state));
	set(json, "reason", view_text(item->reason));
	set(json, "kind", view_text(item->kind));
	set(json, "actor", view_text(item->actor));
	set(json, "route", view_text(item->route));
	set(json, "remote", view_text(item->remote));
	set(json, "tls", view_text(item->tls));
	set(json, "reply", view_reply(item->reply_code, item->reply_enhanced, item->reply_text));
	set(json, "entry", view_id(item->entry));
	set(json, "revision", view_id(item->revision));
	return json;
}

static json_t *view_wish(enum wish wish)
{
	switch (wish) {
	case WISH_HOLD: return json_string("hold");
	case WISH_CANCEL: return json_string("cancel");
	case WISH_DELETE: return json_string("delete");
	case WISH_NONE: break;
	}
	return json_null();
}

json_t *view_recipient(const struct recipient_view *recipient, bool with_history)
{
	json_t *json = json_object();
	json_t *history;

	set(json, "message", view_ulid(&recipient->message));
	set(json, "address", view_text(recipient->address));
	set(json, "state", json_string(state_name(recipient->state)));
	set(json, "wish", view_wish(recipient->wish));
	set(json, "verdict", view_text(recipient->ruling.verdict));
	set(json, "reason",
	    view_text(recipient->reason != NULL ? recipient->reason : recipient->ruling.reason));
	set(json, "entry", view_id(recipient->ruling.entry));
	set(json, "revision", json_integer(recipient->ruling.revision));
	set(json, "nearest", view_text(recipient->ruling.nearest));
	set(json, "redirect_to", view_text(recipient->ruling.redirect_to));
	set(json, "rule", view_text(recipient->ruling.rule));
	set(json, "route", view_text(recipient->route));
	set(json, "attempts", json_integer(recipient->attempts));
	set(json, "next_attempt_at", view_time(recipient->next_attempt_at));
	set(json, "last_reply",
	    view_reply(recipient->reply_code, recipient->reply_enhanced, recipient->reply_text));
	set(json, "kind", view_text(recipient->kind));
	set(json, "notify", view_text(recipient->notify));
	set(json, "orcpt", view_text(recipient->orcpt));
	set(json, "origin", view_text(recipient->origin));
	set(json, "updated_at", view_time(recipient->updated_at));
	if (!with_history)
		return json;
	history = json_array();
	for (size_t i = 0; i < recipient->history_count; i++)
		(void)json_array_append_new(history, view_history_item(&recipient->history[i]));
	set(json, "history", history);
	return json;
}

json_t *view_recipient_row(const struct recipient_row *row)
{
	json_t *json = view_recipient(&row->recipient, false);

	set(json, "sender", view_text(row->sender));
	set(json, "size", json_integer(row->size));
	set(json, "received_at", view_time(row->received_at));
	return json;
}

json_t *view_states(const int64_t by_state[STATE_COUNT])
{
	json_t *json = json_object();

	for (int state = 1; state < STATE_COUNT; state++)
		if (by_state[state] > 0)
			set(json, state_name((enum state)state), json_integer(by_state[state]));
	return json;
}

static json_t *view_certificate(const struct new_message *m)
{
	json_t *json;

	if (m->certificate_sha256 == NULL)
		return json_null();
	json = json_object();
	set(json, "subject", view_text(m->certificate_subject));
	set(json, "sha256", view_text(m->certificate_sha256));
	return json;
}

static json_t *view_client(const struct new_message *m)
{
	json_t *json = json_object();

	set(json, "address", view_text(m->client_address));
	set(json, "port", view_id(m->client_port));
	set(json, "name", view_text(m->client_name));
	set(json, "helo", view_text(m->helo));
	set(json, "protocol", view_text(m->protocol));
	set(json, "user", view_text(m->user));
	set(json, "tls", view_text(m->tls));
	set(json, "certificate", view_certificate(m));
	return json;
}

/* One string a line, without line ends; an empty line is none. */
static json_t *view_lines(const char *text)
{
	json_t *json = json_array();
	struct span rest = span_of(text);

	while (rest.len > 0) {
		struct span line = span_trim(span_cut(&rest, '\n'));

		if (line.len > 0)
			(void)json_array_append_new(json, view_span(line));
	}
	return json;
}

/* What only the single message shows. */
static void set_whole(json_t *json, const struct new_message *m)
{
	set(json, "header_size", json_integer(m->header_size));
	set(json, "header_parsed", json_boolean(m->header_parsed));
	set(json, "body_8bit", json_boolean(m->body_8bit));
	set(json, "smtputf8", json_boolean(m->smtputf8));
	set(json, "bare_cr", json_integer(m->bare_cr));
	set(json, "bare_lf", json_integer(m->bare_lf));
	set(json, "envid", view_text(m->envid));
	set(json, "ret", view_text(m->ret));
	set(json, "added_fields", view_lines(m->added_fields));
}

json_t *view_message(const struct message_view *view, bool whole)
{
	const struct new_message *m = &view->m;
	json_t *json = json_object();
	json_t *recipients;

	set(json, "id", view_ulid(&m->id));
	set(json, "received_at", view_time(m->received_at));
	set(json, "sender", view_text(m->sender));
	set(json, "size", json_integer(m->size));
	set(json, "subject", view_text(m->subject));
	set(json, "message_id", view_text(m->message_id));
	set(json, "client", view_client(m));
	set(json, "listener", view_text(m->listener));
	set(json, "scope", view_text(m->scope));
	set(json, "origin", view_text(m->origin));
	set(json, "states", view_states(view->by_state));
	set(json, "content_removed_at", view_time(m->removed_at));
	if (whole)
		set_whole(json, m);
	if (view->recipients == NULL && !whole)
		return json;
	recipients = json_array();
	for (size_t i = 0; i < view->recipient_count; i++)
		(void)json_array_append_new(recipients,
					    view_recipient(&view->recipients[i], whole));
	set(json, "recipients", recipients);
	return json;
}

json_t *view_header(struct span section)
{
	json_t *json = json_array();
	struct header_field field;
	struct header header;
	struct buf value;

	buf_init(&value, HEADER_BYTES_MAX);
	header_init(&header, section);
	while (header_next(&header, &field)) {
		buf_clear(&value);
		header_decode_display(field.malformed ? field.raw : field.body, &value);
		(void)json_array_append_new(
			json, json_pack("{s:o, s:o}", "name", view_span(field.name), "value",
					view_span(span_trim(buf_span(&value)))));
	}
	buf_release(&value);
	return json;
}

/* --- tokens and audit --------------------------------------------------------------------------
 */

const char *view_role(enum role role)
{
	switch (role) {
	case ROLE_READER: return "reader";
	case ROLE_OPERATOR: return "operator";
	case ROLE_ADMIN: return "admin";
	}
	return "unknown";
}

json_t *view_token(const struct token *token)
{
	json_t *json = json_object();

	set(json, "id", json_integer(token->id));
	set(json, "name", view_text(token->name));
	set(json, "role", json_string(view_role(token->role)));
	set(json, "scope", view_text(token->scope));
	set(json, "created_at", view_time(token->created_at));
	set(json, "created_by", view_text(token->created_by));
	set(json, "expires_at", view_time(token->expires_at));
	set(json, "last_used_at", view_time(token->last_used_at));
	set(json, "revoked", json_boolean(token->revoked));
	return json;
}

/* The store keeps JSON text; should it not parse, the text itself is shown. */
static json_t *view_document(const char *text)
{
	json_t *json = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

	return json != NULL ? json : view_text(text);
}

json_t *view_audit(const struct audit_row *row)
{
	json_t *json = json_object();

	set(json, "id", json_integer(row->id));
	set(json, "at", view_time(row->at));
	set(json, "actor", view_text(row->actor));
	set(json, "action", view_text(row->action));
	set(json, "subject", view_text(row->subject));
	set(json, "before", view_document(row->before));
	set(json, "after", view_document(row->after));
	return json;
}

/* The trail keeps the numbers of the rows. */
static json_t *view_past_entry(const char *text)
{
	json_t *json = view_document(text);
	json_t *expires = json_object_get(json, "expires_at");

	if (json_is_integer(expires))
		set(json, "expires_at", view_time(json_integer_value(expires)));
	return json;
}

json_t *view_past(const struct whitelist_past *past)
{
	struct span action = span_of(past->action);
	json_t *json = json_object();

	set(json, "revision", view_id(past->revision));
	set(json, "at", view_time(past->at));
	set(json, "actor", view_text(past->actor));
	set(json, "action", view_span(span_skip(action, span_find(action, '.') + 1)));
	set(json, "entry", json_integer(past->entry));
	set(json, "pattern", view_text(past->pattern));
	set(json, "before", view_past_entry(past->before));
	set(json, "after", view_past_entry(past->after));
	return json;
}
