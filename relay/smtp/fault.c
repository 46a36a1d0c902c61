/* relay/smtp/fault.c - failures on demand at the door: ask the rules, log what strikes */
#include "relay/smtp/fault.h"

#include <stdio.h>

#include "base/log.h"

struct asking {
	const struct smtp_client *client;
	const struct fault_case *at;
};

static void in_brackets(const struct address *address, char text_out[ADDRESS_TEXT_SIZE + 2])
{
	char text[ADDRESS_TEXT_SIZE];

	address_format(address, text);
	(void)snprintf(text_out, ADDRESS_TEXT_SIZE + 2, "<%s>", text);
}

static void on_struck(void *ctx, const struct fault *rule)
{
	const struct asking *asking = ctx;
	char sender[ADDRESS_TEXT_SIZE + 2];
	char recipient[ADDRESS_TEXT_SIZE + 2];

	in_brackets(asking->at->sender, sender);
	if (asking->at->recipient != NULL)
		in_brackets(asking->at->recipient, recipient);
	log_info("fault", LOG_S("rule", rule->name),
		 LOG_S("action", fault_action_name(rule->action)),
		 LOG_S("stage", fault_stage_name(rule->stage)),
		 LOG_S("session", asking->client->session),
		 LOG_S("client", asking->client->address), LOG_S("from", sender),
		 LOG_S("to", asking->at->recipient != NULL ? recipient : NULL));
}

bool smtp_fault_pass(struct faults *faults, const struct smtp_client *client, struct fault_case *at,
		     struct smtp_answer *answer, struct fate *fate_out)
{
	const struct asking asking = {client, at};
	const struct edition *set;
	struct fault_effect effect;
	enum fault_action action = FAULT_DELAY;

	if (faults == NULL || !faults_are_on(faults))
		return true;
	at->user = client->user;
	at->scope = client->scope;
	set = faults_acquire(faults);
	fault_judge(set, at, on_struck, (void *)(uintptr_t)&asking, &effect);
	if (effect.by != NULL)
		action = effect.by->action;
	published_release(&set);
	if (action == FAULT_REJECT)
		smtp_answer_set(answer, effect.fate.code, effect.fate.enhanced, "%s",
				effect.fate.reply);
	else if (action == FAULT_DISCONNECT)
		smtp_answer_set(answer, 421, "4.3.2", "Disconnected on demand");
	else if (action != FAULT_DELAY && fate_out != NULL)
		*fate_out = effect.fate;
	answer->delay_ms = effect.delay_ms;
	answer->disconnect = action == FAULT_DISCONNECT;
	return action != FAULT_REJECT && action != FAULT_DISCONNECT;
}
