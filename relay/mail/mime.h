/* relay/mail/mime.h - the parts of a message, found in its bytes as they come (RFC 2045, 2046) */
#ifndef STAGEPOST_RELAY_MAIL_MIME_H
#define STAGEPOST_RELAY_MAIL_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "relay/mail/transfer.h"

#define MIME_PARTS_MAX	  1000
#define MIME_DEPTH_MAX	  32   /* of parts in parts */
#define MIME_BOUNDARY_MAX 250  /* octets; RFC 2046 5.1.1 allows 70 */
#define MIME_TEXT_MAX	  1024 /* octets of a name or an id */
#define MIME_NONE	  SIZE_MAX

/*
 * One entity: a header and a body. Strings live as long as the tree, are
 * valid UTF-8 without controls, and are what the sender says: nothing of it
 * is to be believed.
 */
struct mime_part {
	/*
	 * As IMAP counts (RFC 9051 6.4.5.1): "2.1" is the first in the second. ""
	 * for a multipart that is all there is of a message: no number is its own.
	 */
	const char *number;
	size_t parent;		   /* MIME_NONE: the message itself, which is the first */
	unsigned depth;		   /* 0: the message itself */
	bool is_container;	   /* there are parts in it: a multipart, or a message */
	const char *type;	   /* "text/plain", lower case; never NULL */
	const char *charset;	   /* a token, or NULL */
	const char *disposition;   /* "attachment", "inline", …, lower case, or NULL */
	const char *filename;	   /* or NULL */
	const char *content_id;	   /* without its brackets, or NULL */
	const char *encoding_name; /* lower case, or NULL */
	enum transfer_encoding encoding;
	/*
	 * In the message: its header section [header_at, body_at) with the empty
	 * line, its body [body_at, end_at) without the line end that belongs to the
	 * boundary (RFC 2046 5.1.1). Parts lie inside the body of their parent and
	 * never overlap.
	 */
	int64_t header_at;
	int64_t body_at;
	int64_t end_at;
	int64_t decoded_size; /* octets of the body once transfer_decode() is done with it */
	bool is_whole;	      /* its end has been seen */
	const char *trouble;  /* what is broken about it, a clause; NULL: nothing */
};

/*
 * Memory is bounded: one header section (HEADER_BYTES_MAX, what is beyond it
 * is not looked at), a line's beginning, and MIME_PARTS_MAX parts. Linear time.
 *
 * What is broken has a defined meaning. The first field of a name counts. A
 * Content-Type that can't be read, or none, is text/plain (message/rfc822 in
 * a multipart/digest). A delimiter is a line that is a boundary and nothing
 * else but blanks behind it; the innermost multipart that it fits owns it, and
 * ends all that is open inside, a header too; one directly behind another
 * begins nothing. What lies behind a closing delimiter or deeper than
 * MIME_DEPTH_MAX is not looked into. A multipart without a usable boundary or
 * without parts is a body like any other. Only CRLF ends a line.
 */
struct mime;

struct mime *mime_new(void);
void mime_free(struct mime **mime);

/* The next bytes. False: none that follow can change anything, so that they need not be read. */
bool mime_feed(struct mime *mime, struct span bytes);
/*
 * No more bytes of a message that has `size` of them: call once, before
 * looking at parts that are not whole. `size` only counts where mime_feed()
 * said false; else it is the number of bytes that were fed.
 */
void mime_end(struct mime *mime, int64_t size);

/* Parts in the order of their headers: each behind its parent. At least 1 after mime_end(). */
size_t mime_count(const struct mime *mime);
const struct mime_part *mime_part(const struct mime *mime, size_t index);
/* MIME_NONE: there is no such part (so far). */
size_t mime_find(const struct mime *mime, struct span number);
/* More parts, or deeper ones, than are looked at. */
bool mime_is_over_limit(const struct mime *mime);

/*
 * The body of the message in that type ("text/html"): the first such part
 * that is neither an attachment nor of a message in the message. MIME_NONE.
 */
size_t mime_find_body(const struct mime *mime, const char *type);
/* By Content-ID, in the message itself; MIME_NONE. */
size_t mime_find_id(const struct mime *mime, struct span content_id);
/*
 * Does a person see it as an attachment? All that hangs on the message
 * itself, but for the bodies that mime_find_body() finds.
 */
bool mime_is_attachment(const struct mime *mime, size_t index);

#endif
