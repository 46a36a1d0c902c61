/* relay/deliver/bounce.h - a report of what became of mail (RFC 3464, 6522, 6533); pure
 */
#ifndef STAGEPOST_RELAY_DELIVER_BOUNCE_H
#define STAGEPOST_RELAY_DELIVER_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "base/ulid.h"
#include "relay/filter/policy.h"

/* Of the original at most so much goes back, else only its header. */
#define BOUNCE_ORIGINAL_MAX (64 * 1024)
/* Of the report as a whole; it is stored in one piece. */
#define BOUNCE_MAX (256 * 1024)

/* What is told of a recipient (RFC 3464 2.3.3). */
enum bounce_action {
	BOUNCE_NOTHING,
	BOUNCE_FAILED,
	BOUNCE_DELAYED,	  /* not yet delivered, still tried */
	BOUNCE_RELAYED,	  /* a next hop has it that reports nothing itself (RFC 3461 5.2.2) */
	BOUNCE_DELIVERED, /* the last MTA has it */
	BOUNCE_ACTIONS
};

/* One recipient that is told of. Borrowed strings, which may come from peers; NULL is none. */
struct bounce_recipient {
	enum bounce_action action;
	const char *address;
	const char *orcpt;  /* RFC 3461 ORCPT as given */
	const char *status; /* RFC 3463; NULL: what the reply says */
	int reply_code;	    /* of what the next hop, or a rule, said; 0: nothing */
	const char *reply_enhanced;
	const char *reply_text;
	const char *remote; /* "host[address]:port": who said it; NULL: we ourselves */
	const char *reason; /* the sentence of the history */
};

/* The message, and who reports what became of it. */
struct bounce {
	struct ulid id; /* of the report */
	const char *hostname;
	int64_t now;
	struct ulid original_id;
	int64_t arrived_at;
	int64_t retry_until; /* of what is delayed; 0: not known */
	const char *sender;  /* to whom it goes; never "" */
	bool smtputf8;	     /* the original came with SMTPUTF8 */
	const char *envid;   /* RFC 3461 as given */
	const char *ret;
	int64_t size; /* of the original and of its header section */
	int64_t header_size;
	struct span head;		     /* the first octets of it, as stored */
	const struct policy_options *policy; /* which fields never leave, not in a report either */
	const struct bounce_recipient *recipients;
	size_t recipient_count; /* at least 1 */
};

/* What the store wants to know of the report. */
struct bounce_facts {
	int64_t header_size;
	bool has_8bit;
	/*
	 * Its own header holds more than ASCII. The parts of RFC 6533 alone need
	 * 8BITMIME only: their transfer encoding says what they are (RFC 6532 3.7).
	 */
	bool smtputf8;
};

/*
 * RFC 5321 6.1, RFC 3461 5.2.9: nobody is told of what became of a message
 * from <>, and a report of ours (`origin` "bounce") is one.
 */
bool bounce_has_addressee(const char *sender, const char *origin);
/*
 * RFC 3461 4.1: does NOTIFY ask for it? NULL, none was given, asks for
 * FAILURE alone.
 */
bool bounce_is_wanted(const char *notify, enum bounce_action action);

/* In words, for the Subject field and for lists of messages. */
const char *bounce_subject(const struct bounce *bounce);

/*
 * The whole report, CRLF line ends: for people, for programs (message/
 * delivery-status), and the original or its header. In the form of RFC 6533
 * when the sender's address or the original's header is UTF-8; else addresses
 * that are not ASCII are written in ASCII (utf-8-addr-xtext).
 * ERR_OK, or ERR_LIMIT (out's ceiling; BOUNCE_MAX is enough for 100 recipients).
 */
int bounce_write(const struct bounce *bounce, struct buf *out, struct bounce_facts *facts_out);

/* Our Received field for it (RFC 5321 4.4), with its CRLF. */
int bounce_received(const struct bounce *bounce, struct buf *out);

#endif
