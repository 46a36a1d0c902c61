/* admin/check.c - what would happen to these recipients; nothing is sent, nothing is stored */
#include "admin/handlers.h"

#include <stdio.h>
#include <string.h>

#include "admin/view.h"
#include "base/clock.h"
#include "relay/filter/judge.h"
#include "relay/mail/address.h"
#include "relay/mail/header.h"
#include "relay/wire/network.h"

#define RECIPIENTS_MAX 1000

/* RCPT would be answered 501: there is no verdict on what is no address. */
static json_t *invalid(const char *input, const struct err *why)
{
	return json_pack("{s:o, s:n, s:s, s:o, s:n, s:n, s:n, s:n}", "input", view_text(input),
			 "canonical", "verdict", "invalid", "reason", view_text(why->text), "entry",
			 "nearest", "rule", "redirect_to");
}

/* Who would get it instead, and whether he would. */
static json_t *view_target(const struct judge_case *at, const char *redirect_to)
{
	struct address target;
	struct verdict verdict;
	json_t *json;

	if (!judge_target(at, redirect_to, &target, &verdict))
		return json_null();
	json = view_verdict(&verdict);
	(void)json_object_set_new(json, "address", view_text(redirect_to));
	return json;
}

static json_t *judge(const struct judge_case *at, const char *input)
{
	char canonical[ADDRESS_TEXT_SIZE];
	struct address address;
	struct verdict verdict;
	struct err why;
	json_t *json;

	if (address_parse(span_of(input), &address, &why) != ERR_OK)
		return invalid(input, &why);
	address_format(&address, canonical);
	judge_address(at, &address, &verdict);
	json = view_verdict(&verdict);
	(void)json_object_set_new(json, "input", view_text(input));
	(void)json_object_set_new(json, "canonical", view_text(canonical));
	(void)json_object_set_new(json, "redirect_to", view_target(at, verdict.redirect_to));
	return json;
}

static void read_recipients(struct call *call, json_t *recipients)
{
	char pointer[48];
	json_t *one;
	size_t i;

	if (!json_is_array(recipients) || json_array_size(recipients) == 0 ||
	    json_array_size(recipients) > RECIPIENTS_MAX) {
		call_mistake(call, "/recipients", "must be an array of 1 to %d addresses",
			     RECIPIENTS_MAX);
		return;
	}
	json_array_foreach(recipients, i, one)
	{
		(void)snprintf(pointer, sizeof(pointer), "/recipients/%zu", i);
		if (!json_is_string(one))
			call_mistake(call, pointer, "must be a string");
	}
}

/* --- a message, to try the rules on ------------------------------------------------------------
 */

/* A text of the message; NULL when it is not given. */
static const char *message_text(struct call *call, const json_t *message, const char *name)
{
	const json_t *value = json_object_get(message, name);
	const char *text = json_string_value(value);

	if (value != NULL && (text == NULL || !span_is_utf8(span_of(text))))
		call_mistake(call, arena_printf(call->arena, "/message/%s", name),
			     "must be a string");
	return text;
}

static void read_sender(struct call *call, const json_t *message, struct rule_facts *facts)
{
	struct address *sender = arena_zalloc(call->arena, sizeof(*sender));
	const char *text = message_text(call, message, "sender");

	if (json_object_get(message, "sender") == NULL)
		return; /* not known */
	facts->sender = rule_sender(text == NULL || strcmp(text, "<>") == 0 ? "" : text, sender);
	if (facts->sender == NULL)
		call_mistake(call, "/message/sender", "no address");
}

static bool is_line(const char *text)
{
	return text != NULL && text[strcspn(text, "\r\n")] == '\0';
}

/* As it would stand in the message. */
static void read_fields(struct call *call, const json_t *message, struct rule_facts *facts)
{
	const json_t *fields = json_object_get(message, "headers");
	struct buf text;

	facts->header_known = fields != NULL;
	if (fields != NULL && !json_is_array(fields))
		call_mistake(call, "/message/headers", "must be an array of {name, value}");
	buf_init(&text, HEADER_BYTES_MAX);
	for (size_t i = 0; i < json_array_size(fields); i++) {
		const json_t *field = json_array_get(fields, i);
		const char *name = json_string_value(json_object_get(field, "name"));
		const char *value = json_string_value(json_object_get(field, "value"));

		if (!is_line(name) || !is_line(value))
			call_mistake(call, arena_printf(call->arena, "/message/headers/%zu", i),
				     "must be an object of name and value, one line each");
		else if (buf_printf(&text, "%s: %s\r\n", name, value) != ERR_OK)
			facts->header_known = false;
	}
	facts->section = span_make(arena_span_dup(call->arena, buf_span(&text)), text.len);
	buf_release(&text);
}

static bool has_message(struct call *call)
{
	const json_t *message = json_object_get(call->body, "message");

	if (message == NULL || json_is_null(message))
		return false;
	if (json_is_object(message))
		return true;
	call_mistake(call, "/message", "must be an object");
	return false;
}

/* What is not given is not known: then rules that keep mail are taken to be met. */
static struct rule_facts read_message(struct call *call, const char *scope)
{
	const json_t *message = json_object_get(call->body, "message");
	const json_t *size = json_object_get(message, "size");
	struct rule_facts facts = {.client = message_text(call, message, "client"),
				   .user = message_text(call, message, "user"),
				   .listener = message_text(call, message, "listener"),
				   .scope = scope,
				   .size = -1,
				   .partial = true};
	struct peer_address client;

	if (facts.client != NULL && facts.client[0] != '\0' && strcmp(facts.client, "unix") != 0 &&
	    peer_address_parse(span_of(facts.client), &client) != ERR_OK)
		call_mistake(call, "/message/client", "no address");

	if (json_is_integer(size) && json_integer_value(size) >= 0)
		facts.size = json_integer_value(size);
	else if (size != NULL)
		call_mistake(call, "/message/size", "must be a number of octets");
	read_sender(call, message, &facts);
	read_fields(call, message, &facts);
	return facts;
}

void handle_check(struct call *call)
{
	const struct admin_env *env = &call->api->env;
	json_t *recipients = json_object_get(call->body, "recipients");
	struct judge_case at = {.scope = span_of(call_scope(call)),
				.now = clock_steady_wall_ms(),
				.sees_scopes = call->caller.scope[0] == '\0'};
	const struct edition *rules = NULL;
	struct rule_facts facts = {.size = -1};
	bool tries_rules;
	json_t *items;
	json_t *one;
	size_t i;

	call_only_members(call, "recipients scope message");
	read_recipients(call, recipients);
	tries_rules = has_message(call);
	if (tries_rules)
		facts = read_message(call, at.scope.data);
	if (call_refused(call))
		return;
	if (tries_rules && env->rules != NULL) {
		rules = rules_acquire(env->rules);
		at.rules = rule_match(rules, &facts, call->arena);
	}
	at.list = whitelist_acquire(env->whitelist);
	if (env->ops != NULL && env->ops->policy_acquire != NULL)
		at.policy = env->ops->policy_acquire(env->ctx);
	items = json_array();
	json_array_foreach(recipients, i, one)(void)
		json_array_append_new(items, judge(&at, json_string_value(one)));
	call_reply(call, 200,
		   json_pack("{s:o, s:I}", "items", items, "revision",
			     (json_int_t)whitelist_revision(at.list)));
	if (at.policy != NULL)
		env->ops->policy_release(env->ctx, at.policy);
	whitelist_release(&at.list);
	if (rules != NULL)
		published_release(&rules);
}
