/* relay/mail/html_frame.h - an HTML body on its way into a frame that may load nothing */
#ifndef STAGEPOST_RELAY_MAIL_HTML_FRAME_H
#define STAGEPOST_RELAY_MAIL_HTML_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * What keeps the body from doing anything is the policy it is sent with
 * (sandbox, default-src 'none'), not this. Two things that such a policy can't
 * do are done to the bytes, everything else passes as it is:
 *
 * - `<link`, `<iframe` and `<frame` become `<link-x`, `<iframe-x`, `<frame-x`,
 *   which mean nothing. A browser connects where rel=preconnect and the source
 *   of a frame say before it asks the policy (Chromium does), and who sent the
 *   mail would see that somebody looks at it.
 * - a reference `cid:…` in a tag, behind a quote, `=`, `(` or a blank, is held
 *   out to the caller, who may put an image in its place (RFC 2392).
 */
struct html_frame {
	bool in_name; /* of a tag. All private but for `id` */
	char name[6]; /* its front; the longest of those above fits */
	size_t name_len;
	char before; /* the octet in front */
	bool in_tag;
	size_t matched; /* octets of "cid:" held */
	char held[4];
	bool in_id;
	struct buf id; /* of the reference found: what stands behind "cid:", as it is written */
};

#define HTML_FRAME_ID_MAX   1024
#define HTML_FRAME_HELD_MAX (HTML_FRAME_ID_MAX + 8)

void html_frame_init(struct html_frame *frame);
void html_frame_release(struct html_frame *frame);

/*
 * Take bytes off the front of *bytes and append what becomes of them to
 * `out`: at most twice as many and HTML_FRAME_HELD_MAX octets, for which there
 * is room. False: *bytes is used up. True: a reference was found; frame->id
 * names it and nothing of it was written. Append what is to stand there
 * ("cid:" and frame->id to leave it), and call again.
 */
bool html_frame_next(struct html_frame *frame, struct span *bytes, struct buf *out);
/* No more bytes: what was held. */
void html_frame_end(struct html_frame *frame, struct buf *out);

#endif
