/* relay/smtp/fault.h - failures on demand at the door: ask the rules, log what strikes */
#ifndef STAGEPOST_RELAY_SMTP_FAULT_H
#define STAGEPOST_RELAY_SMTP_FAULT_H

#include "relay/filter/fault.h"
#include "relay/smtp/smtp.h"

/*
 * For a backend, at one stage of a transaction; user and scope of `at` are
 * filled in from the client. False: a rule ends it here, *answer says how.
 * True: the backend goes on; answer->delay_ms is set and must be left in the
 * answer it gives. `fate_out` (may be NULL): what becomes of the recipient
 * later; untouched when nothing is decided. `faults` may be NULL.
 */
bool smtp_fault_pass(struct faults *faults, const struct smtp_client *client, struct fault_case *at,
		     struct smtp_answer *answer, struct fate *fate_out);

#endif
