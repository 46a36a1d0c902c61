/* relay/filter/fault_set.h - how a set of fault rules is made: for fault.c and fault_set.c only */
#ifndef STAGEPOST_RELAY_FILTER_FAULT_SET_H
#define STAGEPOST_RELAY_FILTER_FAULT_SET_H

#include "relay/filter/fault.h"
#include "relay/filter/pattern.h"

/* The code of the answer, the usual one when none is given. */
size_t fault_code(const struct fault *fault);
/* The answer of a rule, with what is usual filled in. */
void fault_fate(const struct fault *fault, struct fate *fate_out);

/* A rule that was checked, ready to be matched. */
struct fault_rule {
	struct published_item base; /* first */
	struct fault fault;	    /* strings in the edition's arena */
	bool any_recipient;
	bool any_sender;
	bool null_sender; /* "<>" */
	struct pattern recipient;
	struct pattern sender;
};

#endif
