/* relay/deliver/job.h - one attempt: a message, recipients of one route, and what was said about it
 */
#ifndef STAGEPOST_RELAY_DELIVER_JOB_H
#define STAGEPOST_RELAY_DELIVER_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "queue/delivery.h"
#include "relay/deliver/deliver.h"
#include "relay/deliver/event.h"
#include "relay/deliver/hop.h"
#include "relay/deliver/hop_tls.h"
#include "relay/deliver/job_rules.h"
#include "relay/deliver/trouble.h"
#include "relay/filter/judge.h"
#include "relay/filter/outbound.h"

/* RFC 5321 4.5.3.1.8: every server takes at least 100 recipients. */
#define JOB_RECIPIENTS_MAX 100

/* One recipient of a job. */
struct job_recipient {
	const struct claimed_recipient *claimed;
	struct address address;
	char text[ADDRESS_TEXT_SIZE]; /* address_format() of it: what was judged, what is sent */
	struct ruling ruling;	      /* the judgement before the attempt; strings in the job */
	char ruled[400];	      /* ruling.reason */
	char nearest[ADDRESS_TEXT_SIZE + 2]; /* ruling.nearest, when it has one */
	/* the uplink's record */
	struct hop_reply reply;	 /* to RCPT */
	struct hop_reply final;	 /* LMTP: to the final dot, for this one (RFC 2033 4.2) */
	bool judge_anew;	 /* the rules changed under way: it was not offered */
	bool dropped;		 /* the list, or later the wire guard, said no; ruling tells why */
	enum transition refusal; /* then: _DROP, _HOLD or _REDIRECT, as the judgement says */
	/* libesmtp's view */
	int esmtp_code;
	bool esmtp_complete;
};

/*
 * The uplink's record of the dialogue: the truth that is stored (DESIGN 4.4).
 * Written in the uplink's loop thread, read by the scheduler afterwards.
 */
struct record {
	char remote[192];	      /* "host[127.0.0.1]:25" */
	char tls[HOP_TLS_FACTS_SIZE]; /* "TLSv1.3 TLS_AES_256_GCM_SHA384, verified", "none: …"; "":
				       * not asked for
				       */
	struct hop_reply mail;
	struct hop_reply data;	/* to DATA */
	struct hop_reply final; /* to the final dot; not with LMTP */
	bool dsn_offered;	/* by the next hop: it got the parameters of RFC 3461 */
	bool mail_local;	/* `mail` is our own refusal: nothing was sent */
	bool dot_sent;
	bool stale;	      /* a pooled connection that turned out to be dead */
	bool sent_away;	      /* the next hop said 421, to whatever it was */
	enum err_code broken; /* the dialogue broke off; ERR_OK: it did not */
	struct err broken_why;
};

/* What libesmtp believes. Written by the worker. */
struct esmtp_view {
	bool ran;	   /* a session was started */
	int transfer_code; /* DATA, then the final dot */
	int error;
};

/*
 * Made by the scheduler; while it runs the worker and an uplink share it as
 * said at each group; the scheduler looks again when both are through.
 */
struct job {
	/* the scheduler's */
	struct job *next;		 /* in a line of waiting or of decided ones */
	struct job *all_next, *all_prev; /* of all that are in hand */
	struct batch *batch;		 /* keeps `message` alive */
	struct way *way;		 /* the route and its connections; NULL: goes nowhere */
	struct destination *to;		 /* of `way`, since it is in its line */
	struct plan *plan;		 /* keeps `route` and `options` alive */
	struct worker *worker;
	int running; /* worker, uplink: how many are not through yet */
	int redials;
	int64_t turn;		  /* in its line: who sends much has many, one behind the other */
	int64_t started_us;	  /* monotonic; 0: not yet */
	enum trouble trouble;	  /* of what settle_all says of it */
	struct outcome *outcomes; /* once decided, one a recipient */
	struct event worker_done;
	struct event reported; /* the bouncer is through; owner: the job */
	struct report *report; /* goes into the store with the outcomes; NULL: none */

	/* fixed before it runs; the sender once more by the wire guard, behind the worker's MAIL */
	const struct claimed_message *message;
	const struct delivery_options *options;
	const struct route_options *route;
	struct address sender;
	char sender_text[ADDRESS_TEXT_SIZE];
	bool sender_replaced;
	size_t count;
	struct job_recipient *recipients;

	/*
	 * the worker's, before it says MAIL: `header_ready` publishes them. The header once more
	 * before its stand-in, when the list has changed; the carry sends it behind that.
	 */
	struct buf header;		 /* the header section of the copy that leaves */
	struct outbound_count rewritten; /* what is not in it as it was stored */
	int64_t body_size;		 /* octets that follow it */
	bool needs_8bit;		 /* it has 8-bit octets, and delivery.eight_bit says fail */
	struct job_rules rules;
	atomic_bool header_ready;
	int prepare_code; /* ERR_OK, or why no session was started */
	struct err prepare_why;
	struct esmtp_view esmtp;
	/* the worker's, before its last body byte: a line end was missing and is added */
	atomic_bool line_end_added;

	/* the uplink's */
	struct record record;
};

struct job *job_new(const struct claimed_message *message, const struct delivery_options *options,
		    const struct route_options *route, size_t room);
void job_free(struct job **job);
/* Before a redial: forget what was said. */
void job_forget(struct job *job);

/* The strings of its ruling lie in it: they come along. */
void job_copy_recipient(struct job_recipient *to, const struct job_recipient *from);

/* How the recipients of a stored message are judged now: the list in force, then policy.default. */
struct judge_case job_case(const struct delivery_options *options,
			   const struct claimed_message *message,
			   const struct whitelist_snapshot *snapshot, int64_t now);
/*
 * Judge a stored recipient for sending (P1): the text must be what its own
 * parse prints, and the list in force must allow it. True: it may be offered.
 * Either way *out is filled (address, text, ruling). Pure but for the list.
 */
bool job_judge(const struct judge_case *at, const struct claimed_recipient *claimed,
	       struct job_recipient *out);
/* Once more, at the wire: fills ruling when the answer is no. */
bool job_judge_again(const struct judge_case *at, struct job_recipient *recipient);

/* The reverse-path that may leave (DESIGN 4.7). */
void job_choose_sender(struct job *job, const struct whitelist_snapshot *snapshot, int64_t now);

/* Its header or the sender that leaves holds more than ASCII (RFC 6531 3.1). */
bool job_needs_smtputf8(const struct job *job);

/*
 * The parameters of MAIL and RCPT, each with its leading blank, as far as
 * the next hop offers them. Everything that came from outside is checked
 * against its grammar again, and left out when it does not fit.
 */
int job_mail_parameters(const struct job *job, const struct hop_caps *caps, struct buf *out);
int job_rcpt_parameters(const struct job *job, const struct job_recipient *recipient,
			const struct hop_caps *caps, const struct whitelist_snapshot *snapshot,
			int64_t now, struct buf *out);

/* Its route speaks LMTP, where each recipient has a final reply of its own. */
bool job_is_lmtp(const struct job *job);
/* What the next hop said to the final dot about this recipient; code 0: nothing. */
const struct hop_reply *job_final(const struct job *job, const struct job_recipient *recipient);

/* Octets that leave behind DATA, without the final dot. After header_ready. */
int64_t job_wire_size(const struct job *job);

#endif
