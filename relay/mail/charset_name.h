/* relay/mail/charset_name.h - the charsets that mail is written in, by all of their names */
#ifndef STAGEPOST_RELAY_MAIL_CHARSET_NAME_H
#define STAGEPOST_RELAY_MAIL_CHARSET_NAME_H

#include "base/span.h"

/*
 * What iconv calls the charset that a sender calls `given`; NULL: none that
 * mail is written in. Senders choose what is looked for here, and iconv has a
 * thousand names: each may cost the loading of a module, as often as it is
 * asked for.
 */
const char *charset_name_find(struct span given);

/*
 * Have all of them loaded, for as long as it is held: a decoder is then opened
 * in a microsecond, and else in a quarter of a millisecond where a message
 * goes from one to the next. For a process that reads much mail of strangers.
 */
struct charset_hold;
struct charset_hold *charset_hold_new(void);
void charset_hold_free(struct charset_hold **hold);

#endif
