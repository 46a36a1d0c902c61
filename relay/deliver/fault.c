/* relay/deliver/fault.c - what a fault rule decided for a recipient comes true here */
#include "relay/deliver/fault.h"

#include <stdio.h>

bool fault_strikes(const struct claimed_recipient *claimed, struct fate *fate_out)
{
	struct err why;

	/* Text that says nothing decides nothing: the recipient is judged like any other. */
	return claimed->fault != NULL &&
	       fate_parse(span_of(claimed->fault), fate_out, &why) == ERR_OK &&
	       (size_t)claimed->attempts < fate_out->attempts;
}

void fault_outcome(const struct fate *fate, const struct claimed_recipient *claimed,
		   struct job_recipient *recipient_out, struct outcome *outcome_out)
{
	*recipient_out = (struct job_recipient){.claimed = claimed};
	hop_reply_local(&recipient_out->reply, fate->code, fate->enhanced, fate->reply);
	*outcome_out = (struct outcome){
		.transition = fate->action == FAULT_BOUNCE ? TRANSITION_FAIL : TRANSITION_DEFER,
		.on_demand = true,
		.trouble = TROUBLE_POLICY,
		.reply = &recipient_out->reply};
	snprintf(outcome_out->reason, sizeof(outcome_out->reason), "fault rule %s: %d %s %s",
		 fate->rule, fate->code, fate->enhanced, fate->reply);
}
