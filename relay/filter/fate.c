/* relay/filter/fate.c - what a fault rule decided for one recipient, as the queue keeps it */
#include "relay/filter/fate.h"

#include <stdio.h>

#include "relay/filter/fault.h"

void fate_format(const struct fate *fate, char text_out[FATE_TEXT_SIZE])
{
	(void)snprintf(text_out, FATE_TEXT_SIZE, "%s %zu %d %s %s %s",
		       fault_action_name(fate->action), fate->attempts, fate->code, fate->enhanced,
		       fate->rule, fate->reply);
}

/* Printable ASCII, as fault_check wants it: it ends up in histories and reports. */
static bool copy(struct span from, char *to, size_t size)
{
	if (from.len == 0 || from.len >= size)
		return false;
	for (size_t i = 0; i < from.len; i++)
		if (from.data[i] < ' ' || from.data[i] > '~')
			return false;
	memcpy(to, from.data, from.len); /* what follows is zeros */
	return true;
}

int fate_parse(struct span text, struct fate *fate_out, struct err *why)
{
	struct span rest = text;
	struct span action = span_cut(&rest, ' ');
	struct span attempts = span_cut(&rest, ' ');
	struct span code = span_cut(&rest, ' ');
	struct span enhanced = span_cut(&rest, ' ');
	struct span rule = span_cut(&rest, ' ');
	struct fate fate = {.action = FAULT_DEFER};
	uint64_t tries;
	uint64_t number;

	if (fault_action_parse(action, &fate.action) != ERR_OK ||
	    (fate.action != FAULT_BOUNCE && fate.action != FAULT_DEFER) ||
	    span_to_u64(attempts, FAULT_ATTEMPTS_MAX, &tries) != ERR_OK ||
	    span_to_u64(code, 599, &number) != ERR_OK || number < 400 ||
	    !copy(enhanced, fate.enhanced, sizeof(fate.enhanced)) ||
	    !copy(rule, fate.rule, sizeof(fate.rule)) ||
	    !copy(rest, fate.reply, sizeof(fate.reply)))
		return err_set(why, ERR_SYNTAX, "\"%.*s\" is not what a fault rule decides",
			       SPAN_ARG(span_first(text, 80)));
	fate.attempts = (size_t)tries;
	fate.code = (int)number;
	*fate_out = fate;
	return ERR_OK;
}
