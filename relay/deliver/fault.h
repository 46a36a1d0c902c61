/* relay/deliver/fault.h - what a fault rule decided for a recipient comes true here */
#ifndef STAGEPOST_RELAY_DELIVER_FAULT_H
#define STAGEPOST_RELAY_DELIVER_FAULT_H

#include <stdbool.h>

#include "relay/deliver/job.h"
#include "relay/deliver/outcome.h"
#include "relay/filter/fate.h"

/* Pure, both. */

/* True: this attempt is not made, *fate_out says what happens instead. */
bool fault_strikes(const struct claimed_recipient *claimed, struct fate *fate_out);
/* What becomes of it. The reply of the outcome points into *recipient_out. */
void fault_outcome(const struct fate *fate, const struct claimed_recipient *claimed,
		   struct job_recipient *recipient_out, struct outcome *outcome_out);

#endif
