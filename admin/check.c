/* admin/check.c - what would happen to these recipients; nothing is sent, nothing is stored */
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/view.h"
#include "base/clock.h"
#include "relay/filter/judge.h"
#include "relay/mail/address.h"

#define RECIPIENTS_MAX 1000

/* RCPT would be answered 501: there is no verdict on what is no address. */
static json_t *invalid(const char *input, const struct err *why)
{
	return json_pack("{s:o, s:n, s:s, s:o, s:n, s:n, s:n}", "input", view_text(input),
			 "canonical", "verdict", "invalid", "reason", view_text(why->text), "entry",
			 "nearest", "redirect_to");
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

void handle_check(struct call *call)
{
	const struct admin_env *env = &call->api->env;
	json_t *recipients = json_object_get(call->body, "recipients");
	struct judge_case at = {.scope = span_of(call_scope(call)), .now = clock_steady_wall_ms()};
	json_t *items;
	json_t *one;
	size_t i;

	call_only_members(call, "recipients scope");
	read_recipients(call, recipients);
	if (call_refused(call))
		return;
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
}
