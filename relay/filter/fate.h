/* relay/filter/fate.h - what a fault rule decided for one recipient, as the queue keeps it */
#ifndef STAGEPOST_RELAY_FILTER_FATE_H
#define STAGEPOST_RELAY_FILTER_FATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"
#include "queue/fault.h"

#define FATE_RULE_SIZE	64
#define FATE_REPLY_SIZE 256
#define FATE_TEXT_SIZE	512

/*
 * Decided once, at acceptance, and kept with the recipient: it holds over
 * restarts and whatever becomes of the rule. It concerns the first
 * `attempts` attempts; the later ones, also those a person asks for, are
 * judged and made as always. A plain value.
 */
struct fate {
	enum fault_action action; /* FAULT_BOUNCE or FAULT_DEFER */
	size_t attempts;
	int code;
	char enhanced[12];
	char rule[FATE_RULE_SIZE];
	char reply[FATE_REPLY_SIZE];
};

/* As new_recipient.fault: "defer 2 451 4.3.0 NAME reply text". */
void fate_format(const struct fate *fate, char text_out[FATE_TEXT_SIZE]);
/* ERR_SYNTAX: nothing that fate_format would print. */
int fate_parse(struct span text, struct fate *fate_out, struct err *why);

#endif
