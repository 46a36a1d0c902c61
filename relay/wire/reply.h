/* relay/wire/reply.h - SMTP replies: read from a next hop, written to a client (RFC 5321 4.2) */
#ifndef STAGEPOST_RELAY_WIRE_REPLY_H
#define STAGEPOST_RELAY_WIRE_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define REPLY_LINE_MAX	    2048 /* octets with the line end; RFC 5321 4.5.3.1.5 says 512 */
#define REPLY_LINES_MAX	    512
#define REPLY_BYTES_MAX	    (32 * 1024) /* of one whole reply */
#define REPLY_ENHANCED_SIZE 12		/* "5.123.123" and a NUL */

/* One complete reply. */
struct reply {
	int code; /* 200..599; 0: nothing read yet */
	/* RFC 2034 code of the first line when its class fits `code`, else "". */
	char enhanced[REPLY_ENHANCED_SIZE];
	/*
	 * What stood behind the code, as received (an enhanced code stays), the
	 * lines separated by '\n'. May hold any byte but LF: hostile input.
	 */
	struct buf text;
	size_t lines;
};

/*
 * Reads replies from a next hop, however the bytes are cut. Embedded; one
 * owner. After a failure it stays failed: the connection has lost its step
 * and must be closed.
 */
struct reply_parser {
	struct reply reply;
	struct buf line; /* private: a line whose end has not come */
	size_t bytes;	 /* private */
	bool done;	 /* private: reply is complete, the next feed starts a new one */
	bool failed;	 /* private */
};

void reply_parser_init(struct reply_parser *parser);
void reply_parser_release(struct reply_parser *parser);

/*
 * Take bytes off the front of *input until one reply is complete or the input
 * is used up; never looks behind the end of that reply. With *done_out true
 * parser->reply holds it until the next call. What is left in *input was sent
 * by the peer behind the reply.
 *
 * A line is three digits (first 2..5), then '-' (more follow) or a blank or
 * nothing at all ("250\r\n" is a reply without text), then text; it ends at
 * LF, one CR before it is dropped. ERR_SYNTAX: anything else, or a code that
 * changes inside a reply. ERR_LIMIT: beyond one of the three limits above.
 */
int reply_parser_feed(struct reply_parser *parser, struct span *input, bool *done_out,
		      struct err *why);

/* True once bytes of a reply have come whose end has not. */
bool reply_parser_is_midway(const struct reply_parser *parser);

/* Line `index` of the text (0 is the first); the empty span past the end. */
struct span reply_line(const struct reply *reply, size_t index);

/*
 * For people and for the history: lines joined by a blank, without the
 * enhanced codes, valid UTF-8, control bytes shown as '?', cut at a
 * character so that it fits size (with its NUL).
 */
void reply_summary(const struct reply *reply, char *text_out, size_t size);

/*
 * Write a reply: "250-2.1.5 text\r\n…250 2.1.5 text\r\n". `text` may hold
 * several lines separated by '\n'; `enhanced` ("" for none) is put on each
 * (RFC 2034 4). What is not printable ASCII becomes '?', a line is cut at 512 octets with
 * its CRLF. Returns ERR_OK or ERR_LIMIT (out's ceiling; nothing is added).
 */
int reply_format(struct buf *out, int code, const char *enhanced, struct span text);

#endif
