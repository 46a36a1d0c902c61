/* relay/deliver/guard.h - libesmtp's commands, looked at once more and written anew for the wire */
#ifndef STAGEPOST_RELAY_DELIVER_GUARD_H
#define STAGEPOST_RELAY_DELIVER_GUARD_H

#include "relay/deliver/carry.h"

/*
 * Take the commands that lie in the near stream, as far as they need not wait
 * for replies. Each must be the one that the job says comes next, and each
 * RCPT is judged once more (DESIGN 4.4); MAIL and RCPT leave with the
 * parameters that the next hop offers. What is refused is answered here.
 * Afterwards the carry may be over or broken (CARRY_IDLE). Loop thread only.
 */
void guard_read_commands(struct carry *carry);

#endif
