/* relay/smtp/data.h - the bytes of a message as they come by DATA or BDAT (RFC 5321 4.5.2, RFC
 * 3030) */
#ifndef STAGEPOST_RELAY_SMTP_DATA_H
#define STAGEPOST_RELAY_SMTP_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "relay/smtp/smtp.h"

/*
 * A pure byte machine. Only CR LF '.' CR LF ends the data; no other spelling
 * does (SMTP smuggling). A bare CR or a bare LF is text of the client's line
 * that leaves as CRLF and is counted; the octets behind it do not stand at the
 * start of a line, so a dot there neither ends anything nor is removed. NUL
 * and 8-bit octets stay.
 *
 * DATA_CHUNKED is for BDAT: dots mean nothing, the sizes of the chunks say
 * where the message ends (data_end), and a CRLF may lie across two chunks.
 */
enum data_mode { DATA_DOTTED, DATA_CHUNKED };
enum data_state { DATA_LINE_START, DATA_DOT, DATA_DOT_CR, DATA_TEXT, DATA_CR };

struct data {
	enum data_mode mode;   /* private */
	enum data_state state; /* private */
	int64_t line;	       /* private: octets in the line under way */
	struct smtp_data_facts facts;
};

void data_init(struct data *data, enum data_mode mode);

enum data_step {
	DATA_PIECE, /* *piece_out holds canonical bytes */
	DATA_MORE,  /* the input is used up */
	DATA_END    /* the terminator was taken; what is left in *input comes after it */
};

/*
 * Take bytes off the front of *input. A piece points into the input or to a
 * constant. The same bytes give the same message however they are cut. Call
 * until it says DATA_MORE or DATA_END; not after DATA_END.
 */
enum data_step data_next(struct data *data, struct span *input, struct span *piece_out);

/*
 * DATA_CHUNKED: the last octet has been taken. True: *piece_out holds the
 * line end that a CR at the very end becomes. A last line without line end
 * stays so.
 */
bool data_end(struct data *data, struct span *piece_out);

#endif
