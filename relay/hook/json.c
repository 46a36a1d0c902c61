/* relay/hook/json.c - the question and its answer in our own words */
#include "relay/hook/json.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/mail/header.h"

#define WAIT_MAX_S 86400

/* --- the question --------------------------------------------------------------------- */

/* Bytes of a peer's as JSON text: what is not UTF-8 is shown as if it were Latin-1's "?". */
static json_t *text_of(struct span text)
{
	json_t *json = json_stringn(text.data != NULL ? text.data : "", text.len);
	char *copy;

	if (json != NULL)
		return json;
	copy = mem_span_dup(text);
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	json = json_stringn(copy, text.len);
	mem_free(copy);
	return json;
}

static void set_text(json_t *json, const char *name, const char *text)
{
	(void)json_object_set_new(
		json, name, text != NULL && text[0] != '\0' ? text_of(span_of(text)) : json_null());
}

static json_t *client_of(const struct new_message *m)
{
	json_t *json = json_object();

	set_text(json, "address", m->client_address);
	set_text(json, "name", m->client_name);
	set_text(json, "helo", m->helo);
	set_text(json, "user", m->user);
	set_text(json, "tls", m->tls);
	set_text(json, "protocol", m->protocol);
	set_text(json, "certificate_subject", m->certificate_subject);
	set_text(json, "certificate_sha256", m->certificate_sha256);
	return json;
}

/* Different in each message, whoever sends it. */
static bool is_volatile(struct span name)
{
	static const char *const names[] = {"Received", "Date", "Message-ID", "DKIM-Signature"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is_fold(name, names[i]))
			return true;
	return false;
}

static json_t *field_of(const struct header_field *field)
{
	json_t *json = json_object();
	struct buf value;

	buf_init(&value, HOOK_HEADER_MAX);
	(void)header_unfold(field->body, &value);
	(void)json_object_set_new(json, "name", text_of(field->name));
	(void)json_object_set_new(json, "value", text_of(span_trim(buf_span(&value))));
	buf_release(&value);
	return json;
}

static json_t *fields_of(struct span section, bool for_key)
{
	json_t *list = json_array();
	struct header header;
	struct header_field field;

	header_init(&header, section);
	while (header_next(&header, &field))
		if (!for_key || !is_volatile(field.name))
			(void)json_array_append_new(list, field_of(&field));
	return list;
}

static json_t *recipients_of(const struct question *question, bool for_key)
{
	json_t *list = json_array();

	for (size_t i = 0; i < question->count; i++) {
		const struct screened_recipient *recipient = question->recipients[i];
		json_t *json = json_object();

		set_text(json, "address", recipient->address);
		if (!for_key)
			(void)json_object_set_new(json, "attempt",
						  json_integer(recipient->asked + 1));
		(void)json_array_append_new(list, json);
	}
	return list;
}

static void set_passing(json_t *json, const struct new_message *m)
{
	char id[ULID_TEXT_SIZE];
	char at[CLOCK_RFC3339_SIZE];

	ulid_format(&m->id, id);
	clock_format_rfc3339(m->received_at, at);
	set_text(json, "id", id);
	set_text(json, "received_at", at);
	set_text(json, "message_id", m->message_id);
}

static json_t *question_of(const struct question *question, bool for_key)
{
	const struct new_message *m = &question->message->m;
	json_t *json = json_pack("{s:i}", "version", 1);

	if (!for_key)
		set_passing(json, m);
	/* "" is a sender: the null reverse-path. */
	(void)json_object_set_new(json, "sender", text_of(span_of(m->sender)));
	set_text(json, "subject", m->subject);
	set_text(json, "origin", m->origin);
	set_text(json, "listener", m->listener);
	set_text(json, "scope", m->scope);
	(void)json_object_set_new(json, "size", json_integer(m->size));
	(void)json_object_set_new(json, "client", client_of(m));
	(void)json_object_set_new(json, "header_whole", json_boolean(question->header_whole));
	(void)json_object_set_new(json, "header", fields_of(question->header, for_key));
	(void)json_object_set_new(json, "recipient_count",
				  json_integer((json_int_t)m->recipient_count));
	(void)json_object_set_new(json, "recipients", recipients_of(question, for_key));
	return json;
}

static int add_bytes(const char *bytes, size_t len, void *out)
{
	return buf_append(out, bytes, len) == ERR_OK ? 0 : -1;
}

int hook_json_write(const struct question *question, bool for_key, struct buf *out)
{
	json_t *json = question_of(question, for_key);
	int failed = json_dump_callback(json, add_bytes, out, JSON_COMPACT);

	json_decref(json);
	return failed == 0 ? ERR_OK : ERR_LIMIT;
}

/* --- the answer ----------------------------------------------------------------------- */

static const char *text_at(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text != NULL ? text : "";
}

static int64_t wait_of(const json_t *json)
{
	json_int_t seconds = json_integer_value(json_object_get(json, "wait"));

	if (seconds <= 0)
		return 0;
	return (seconds < WAIT_MAX_S ? (int64_t)seconds : WAIT_MAX_S) * 1000;
}

static bool read_target(const json_t *json, struct decision *decision)
{
	struct address target;
	struct err why;

	if (address_parse(span_of(text_at(json, "redirect_to")), &target, &why) != ERR_OK)
		return false;
	address_format(&target, decision->redirect_to);
	return true;
}

static bool read_route(const json_t *json, bool allow_route, struct decision *decision)
{
	struct span route = span_of(text_at(json, "route"));
	size_t colon = span_find_last(route, ':');
	struct span port = span_skip(route, colon + 1);
	bool is_unix = span_starts_fold(route, "unix:");

	if (route.len == 0 || !allow_route)
		return true;
	return decision_hop(is_unix ? route : span_first(route, colon), port, decision->hop);
}

/* "login": {"username": …, "password": …}, or false; else as the route has it. */
static bool read_login(const json_t *json, struct decision *decision)
{
	const json_t *login = json_object_get(json, "login");
	struct span user = span_of(text_at(login, "username"));

	if (login == NULL || json_is_null(login) || decision->hop[0] == '\0')
		return true;
	if (json_is_false(login))
		return decision_login(decision, span_of(""), span_of(""));
	return user.len > 0 && decision_login(decision, user, span_of(text_at(login, "password")));
}

static enum decision_kind kind_of(struct span verdict)
{
	if (span_is(verdict, "deliver"))
		return DECISION_ALLOW;
	if (span_is(verdict, "drop"))
		return DECISION_DROP;
	if (span_is(verdict, "hold"))
		return DECISION_HOLD;
	return span_is(verdict, "redirect") ? DECISION_REDIRECT : DECISION_NONE;
}

static const char *default_reason(enum decision_kind kind)
{
	switch (kind) {
	case DECISION_ALLOW: return "allowed";
	case DECISION_DROP: return "refused";
	case DECISION_HOLD: return "held";
	case DECISION_REDIRECT: return "redirected";
	case DECISION_NONE: break;
	}
	return "it has not decided";
}

static void read_item(const json_t *json, bool allow_route, struct decision *decision)
{
	const char *verdict = text_at(json, "verdict");
	const char *reason = text_at(json, "reason");

	*decision = (struct decision){.kind = kind_of(span_of(verdict))};
	if (decision->kind == DECISION_NONE && !span_is(span_of(verdict), "later")) {
		decision_none(decision, "its verdict is unknown: %s", verdict);
	} else if (decision->kind == DECISION_REDIRECT && !read_target(json, decision)) {
		decision_none(decision, "its redirect_to is no address: %s",
			      text_at(json, "redirect_to"));
	} else if (decision->kind == DECISION_ALLOW && !read_route(json, allow_route, decision)) {
		decision_none(decision, "its route names no next hop: %s", text_at(json, "route"));
	} else if (decision->kind == DECISION_ALLOW && !read_login(json, decision)) {
		decision_none(decision, "its login is none");
	} else {
		decision_say(decision, "%s",
			     reason[0] != '\0' ? reason : default_reason(decision->kind));
		decision->later = decision->kind == DECISION_NONE;
		decision->wait_ms = wait_of(json);
	}
}

/* Another spelling will do, unless it is that of somebody else who is asked about (DESIGN P1). */
static bool is_about(const json_t *item, const struct question *question, const char *address)
{
	struct span named = span_of(text_at(item, "address"));

	if (span_is(named, address))
		return true;
	if (!span_equal_fold(named, span_of(address)))
		return false;
	for (size_t i = 0; i < question->count; i++)
		if (span_is(named, question->recipients[i]->address))
			return false;
	return true;
}

/* Twice is as good as not at all, unless both say the same. */
static void read_recipient(const json_t *items, const struct question *question, size_t index,
			   bool allow_route, struct decision *decision)
{
	const char *address = question->recipients[index]->address;
	const json_t *found = NULL;
	size_t at;
	const json_t *item;

	json_array_foreach(items, at, item)
	{
		if (!is_about(item, question, address))
			continue;
		if (found != NULL && !json_equal(found, item)) {
			decision_none(decision, "it says two things about this recipient");
			return;
		}
		found = item;
	}
	if (found == NULL) {
		decision_none(decision, "it does not name this recipient");
		return;
	}
	read_item(found, allow_route, decision);
	if (decision->kind == DECISION_REDIRECT &&
	    span_equal_fold(span_of(decision->redirect_to), span_of(address)))
		decision_none(decision, "it redirects this recipient to itself");
}

void hook_json_read(struct span body, const struct question *question, bool allow_route,
		    struct decision *decisions_out)
{
	json_error_t error;
	json_t *json = json_loadb(body.data != NULL ? body.data : "", body.len,
				  JSON_REJECT_DUPLICATES, &error);
	const json_t *items = json_object_get(json, "recipients");

	for (size_t i = 0; i < question->count; i++) {
		if (json == NULL)
			decision_none(&decisions_out[i], "its answer is no JSON: %s", error.text);
		else if (!json_is_array(items))
			decision_none(&decisions_out[i], "its answer has no list of recipients");
		else
			read_recipient(items, question, i, allow_route, &decisions_out[i]);
	}
	json_decref(json);
}
