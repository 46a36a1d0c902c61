/* relay/mail/html_text.h - what an HTML body says, as plain text, piece by piece */
#ifndef STAGEPOST_RELAY_MAIL_HTML_TEXT_H
#define STAGEPOST_RELAY_MAIL_HTML_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * Not a browser: no tree, no style sheets, nothing is hidden or laid out. Text
 * is kept, tags become line ends where they begin a block, a link shows where
 * it goes ("Confirm <https://…>") unless its text says so, an image shows its
 * alternative text in brackets; scripts, style sheets, titles and comments go.
 */
struct html_text;

struct html_text *html_text_new(void);
void html_text_free(struct html_text **html);

#define HTML_TEXT_LINK_MAX 2048 /* octets of a link; longer ones are not shown */
#define HTML_TEXT_HELD_MAX (2 * HTML_TEXT_LINK_MAX + 64)

/*
 * Append the text of `bytes`, valid UTF-8 cut at a character, to `out`, whose
 * lines end in CRLF: at most 2 * bytes.len + HTML_TEXT_HELD_MAX octets, for
 * which there is room. The same bytes give the same text however they are cut.
 * Linear time, memory of a few KiB.
 */
void html_text_write(struct html_text *html, struct span bytes, struct buf *out);
/* No more bytes: what was held, and a last line end. */
void html_text_end(struct html_text *html, struct buf *out);

#endif
