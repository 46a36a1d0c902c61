/* relay/deliver/carry.h - one job's dialogue: libesmtp on one side, the next hop on the other */
#ifndef STAGEPOST_RELAY_DELIVER_CARRY_H
#define STAGEPOST_RELAY_DELIVER_CARRY_H

#include <stdbool.h>
#include <stddef.h>

#include "relay/deliver/body.h"
#include "relay/deliver/hop.h"
#include "relay/deliver/job.h"
#include "relay/loop/stream.h"

/*
 * Stands between the near stream (libesmtp over a socketpair) and the far one
 * (the next hop), both on one loop: answers EHLO, MAIL and QUIT in advance, writes MAIL and RCPT
 * from the job, guards every RCPT, holds DATA back until all recipients are answered, swaps the
 * header, counts the body (DESIGN 4.4). Loop thread only.
 */
struct carry_ops {
	/*
	 * The dialogue is over and recorded. `clean`: the next hop is between two
	 * messages and has nothing outstanding; else it needs RSET first.
	 */
	void (*on_over)(void *ctx, bool clean);
	/* It broke off, which is recorded: close the far stream at once, without a dot. */
	void (*on_broken)(void *ctx);
};

enum carry_state {
	CARRY_IDLE,
	CARRY_COMMANDS, /* MAIL, RCPT, DATA */
	CARRY_REFUSED,	/* MAIL was; what went out behind it is still to be answered */
	CARRY_HEADER,	/* 354 came: the real header goes out, the stand-in is dropped */
	CARRY_BODY,
	CARRY_FINAL /* the dot is out */
};

/* A command whose reply libesmtp waits for. */
struct carry_slot {
	enum { SLOT_MAIL, SLOT_RCPT, SLOT_DATA } command;
	size_t recipient; /* for SLOT_RCPT */
	bool local;	  /* answered here; the next hop never saw it */
	int code;	  /* the local answer */
};

struct carry {
	const struct carry_ops *ops;
	void *ctx;
	struct whitelist *whitelist;
	struct rules *rules; /* NULL: there are none; set behind carry_init */
	struct stream *far;  /* borrowed for the job */
	struct stream *near;
	struct job *job;
	const struct hop_caps *caps;
	enum carry_state state;
	struct carry_slot slots[JOB_RECIPIENTS_MAX + 2];
	size_t slot_first, slot_end;
	size_t remote_waiting; /* slots the next hop owes a reply to */
	size_t next_recipient;
	size_t next_final; /* LMTP: recipients before this one have had their last reply */
	bool mail_open;	   /* the next hop has a transaction open */
	bool data_asked;
	struct buf near_out; /* replies gathered for libesmtp */
	size_t near_owed;    /* replies to RCPT and DATA that it has not been told yet */
	struct buf line;     /* scratch */
	size_t header_at;
	bool header_passed; /* the stand-in was dropped from the near input */
	struct body_scan body;
	struct loop_timer progress;
	int64_t progress_ms;	 /* when it was looked at last */
	uint64_t progress_bytes; /* the far stream's count then */
	int64_t credit_ms;	 /* how long it may stand still from then on */
	uint64_t dot_ends;	 /* the far stream's count of bytes once the dot has left */
};

void carry_init(struct carry *carry, struct loop *loop, struct whitelist *whitelist,
		const struct carry_ops *ops, void *ctx);
void carry_release(struct carry *carry);

/*
 * What libesmtp hears first, put into the socketpair before it begins: then
 * it need not wait for the loop. Any thread.
 */
void carry_greet(int near_fd);
/* Instead of carry_begin: a no to all that libesmtp will ask; closes near_fd, greeted. */
void carry_refuse(int near_fd, size_t recipients);
/*
 * Takes near_fd, greeted, whose other end libesmtp will talk to. `far` and
 * `caps` outlive the job.
 */
void carry_begin(struct carry *carry, struct loop *loop, struct job *job, int near_fd,
		 struct stream *far, const struct hop_caps *caps);
/* Replies that the next hop may send in packets of their own are still to come. */
bool carry_is_owed(const struct carry *carry);
/* The far side: one whole reply; room for output again. */
void carry_on_reply(struct carry *carry, const struct reply *reply);
void carry_on_drained(struct carry *carry);
/* The far side failed or we are stopping: record it and drop libesmtp. on_broken is called. */
void carry_break(struct carry *carry, int code, const char *why);

/* For guard.c, which fills the slots. */
bool carry_has_slots(const struct carry *carry);
void carry_push_slot(struct carry *carry, struct carry_slot slot);
/* Local answers go out as soon as those in front of them have. False: the job is over. */
bool carry_answer_local(struct carry *carry);

#endif
