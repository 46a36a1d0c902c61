/* relay/deliver/hop.h - what a next hop says it can do (EHLO, RFC 5321 4.1.1.1), and what it said
 */
#ifndef STAGEPOST_RELAY_DELIVER_HOP_H
#define STAGEPOST_RELAY_DELIVER_HOP_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/wire/reply.h"

struct hop_caps {
	bool pipelining;
	bool size;
	int64_t size_max; /* 0: offered without a limit */
	bool eightbit;	  /* 8BITMIME */
	bool smtputf8;
	bool dsn;
	bool enhanced; /* ENHANCEDSTATUSCODES */
	bool starttls;
	unsigned auth;	     /* the mechanisms we know: SASL_CLIENT_BIT()s */
	char auth_names[64]; /* AUTH as offered, cut and printable; "" none */
	unsigned xclient;    /* what XCLIENT takes, 1 << enum xclient_name each; 0: not offered */
};

/* From a 250 reply to EHLO. Unknown keywords (CHUNKING among them) are passed over. Pure. */
void hop_caps_parse(const struct reply *ehlo, struct hop_caps *caps_out);

/* One reply, cut and made harmless for storing. A plain value. */
#define HOP_TEXT_SIZE 256
struct hop_reply {
	int code; /* 0: none came */
	char enhanced[REPLY_ENHANCED_SIZE];
	char text[HOP_TEXT_SIZE];
};
void hop_reply_keep(const struct reply *reply, struct hop_reply *kept_out);
/* One that we gave ourselves in the next hop's place. */
void hop_reply_local(struct hop_reply *kept_out, int code, const char *enhanced, const char *text);

#endif
