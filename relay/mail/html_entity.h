/* relay/mail/html_entity.h - a character by its name or number: &eacute; &#233; &#xe9; */
#ifndef STAGEPOST_RELAY_MAIL_HTML_ENTITY_H
#define STAGEPOST_RELAY_MAIL_HTML_ENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define HTML_ENTITY_MAX 12 /* octets between the `&` and the `;` */

/*
 * What stands between `&` and `;` as UTF-8, at most 4 octets; 0: nobody knows
 * it (the names are those that occur in mail, of HTML 4). A number that is no
 * character, or a control, is U+FFFD; a line end or TAB is a blank.
 */
size_t html_entity_decode(struct span name, char text_out[4]);

#endif
