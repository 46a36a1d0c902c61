/* relay/wire/dsn.h - what a sender may ask about reports: RET, ENVID, NOTIFY, ORCPT (RFC 3461 4) */
#ifndef STAGEPOST_RELAY_WIRE_DSN_H
#define STAGEPOST_RELAY_WIRE_DSN_H

#include <stdbool.h>

#include "base/span.h"

#define DSN_ENVID_MAX 300 /* as coded: 100 octets (RFC 3461 4.4), each may take three */
#define DSN_ORCPT_MAX 500 /* RFC 3461 4.2 */

/* All pure; what comes out is a constant. */

/* "FULL" or "HDRS" in any case; NULL: neither. */
const char *dsn_ret_parse(struct span text);

/*
 * NEVER alone, or a list of SUCCESS, FAILURE and DELAY: the same in capitals,
 * each once, in this order. NULL: anything else.
 */
const char *dsn_notify_parse(struct span text);

/* xtext of printable ASCII and blanks (RFC 3461 4.4), not empty, within the limit. */
bool dsn_envid_is_valid(struct span text);

/*
 * address-type ";" address, the type an atom, the address xtext of printable
 * ASCII and not empty. With `utf8` the type utf-8 may also have UTF-8 as it
 * is (RFC 6533 3). Whether the address is one is not looked at.
 */
bool dsn_orcpt_is_valid(struct span text, bool utf8);

#endif
