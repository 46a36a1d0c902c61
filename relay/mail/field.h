/* relay/mail/field.h - what stands in the fields of a message that we make (RFC 5322 3, RFC 2047)
 */
#ifndef STAGEPOST_RELAY_MAIL_FIELD_H
#define STAGEPOST_RELAY_MAIL_FIELD_H

#include <stdbool.h>

#include "base/span.h"
#include "relay/mail/address.h"
#include "relay/mail/fold.h"

#define FIELD_NAME_MAX 76
#define FIELD_TEXT_MAX ((size_t)64 * 1024)

/*
 * May a caller's text become a part of a field? Valid UTF-8 without controls
 * (C0 but for TAB, DEL, C1) and without U+2028 and U+2029, which some take for
 * line ends; at most FIELD_TEXT_MAX octets. The calls below take nothing else:
 * whatever comes in, no second field comes out.
 */
bool field_is_text(struct span text);
/* 1 to FIELD_NAME_MAX of 33..126 without a colon. */
bool field_is_name(struct span name);

/*
 * Unstructured text behind "Name:". ASCII goes as it is where the words can be
 * folded; anything else, and what a reader would take for an encoded word,
 * becomes encoded words that decode to exactly the text.
 */
void field_text(struct fold *fold, struct span text);

/*
 * One mailbox of an address list: `Name <local@domain>`, or the address alone
 * without a name. The address must be printable (not the null path). Separate
 * them with fold_join(fold, ",").
 */
void field_mailbox(struct fold *fold, struct span name, const struct address *address);

#endif
