/* relay/deliver/body.h - the bytes of DATA on their way: counted, dots watched (RFC 5321 4.5.2),
 * long lines cut and joined */
#ifndef STAGEPOST_RELAY_DELIVER_BODY_H
#define STAGEPOST_RELAY_DELIVER_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/*
 * libesmtp keeps a line whole in memory and grows the block by 512 octets a time (msg_gets), so it
 * is never shown a longer one: the worker puts a line end behind every BODY_LINE_MAXth octet of a
 * line, and the scan on libesmtp's other side, which counts the same octets, takes it out again
 * (S201). No line of RFC 5322 2.1.1 is so long.
 */
#define BODY_LINE_MAX 4096

enum body_line_end {
	BODY_LINE_OPEN,	 /* the text ends first */
	BODY_LINE_ENDED, /* behind an LF */
	BODY_LINE_CUT	 /* behind the octet that gets a line end put in */
};
/*
 * How far into `text` the line under way goes; *octets_io is its length so far, 0 at a start. A
 * line is cut behind its BODY_LINE_MAXth octet whatever comes next, so that both sides know
 * without looking ahead; only a CR, the first half of a line end, is passed by.
 */
enum body_line_end body_line_take(size_t *octets_io, struct span text, size_t *take_out);

/* Follows a dot-stuffed body as libesmtp writes it. Plain value; body_scan_init. */
struct body_scan {
	enum body_place {
		BODY_AT_START,	/* of a line */
		BODY_IN_LINE,	/* anywhere else */
		BODY_AT_CUT,	/* the line end that was put in comes next */
		BODY_BEHIND_CUT /* in a line, but libesmtp doubled a dot here */
	} place;
	size_t line;	/* octets of the line since its start or the last cut */
	bool ended;	/* the terminator was met */
	int64_t octets; /* of the body: without the dots and line ends that were put in, without
			   the terminator */
};
void body_scan_init(struct body_scan *scan);

/*
 * Of the first bytes of `input`: *drop_out were put in with a cut and go no further, the *take_out
 * behind them are body and may be passed on as they are (dot-stuffed). Call again until both are 0:
 * then more has to come first, or it stopped before the terminator ".CRLF", which is left in the
 * input (`ended` is set). ERR_SYNTAX: a dot that was not doubled, or no line end at a cut.
 */
int body_scan_take(struct body_scan *scan, struct span input, size_t *drop_out, size_t *take_out);

/* The length of the header section at the start of `input` with its empty line; 0: not all there.
 */
size_t body_skip_header(struct span input);

/*
 * Append at most `room` bytes of `text`, from *at on, with dots at line starts
 * doubled; moves *at. `text` starts at a line start.
 */
void body_stuff(struct span text, size_t *at, size_t room, struct buf *out);

#endif
