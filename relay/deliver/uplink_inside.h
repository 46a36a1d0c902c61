/* relay/deliver/uplink_inside.h - what uplink.c and the phases of opening share; loop thread only
 */
#ifndef STAGEPOST_RELAY_DELIVER_UPLINK_INSIDE_H
#define STAGEPOST_RELAY_DELIVER_UPLINK_INSIDE_H

#include "relay/deliver/carry.h"
#include "relay/deliver/hop_tls.h"
#include "relay/deliver/login.h"
#include "relay/deliver/uplink.h"
#include "relay/loop/stream.h"
#include "relay/wire/reply.h"

enum uplink_state {
	UPLINK_NEW,
	/* prologue.c and securing.c, in this order */
	UPLINK_RESOLVING,
	UPLINK_CONNECTING,
	UPLINK_GREETING,
	UPLINK_EHLO,
	UPLINK_HELO,
	UPLINK_STARTTLS,
	UPLINK_SECURING,
	UPLINK_LOGIN,
	UPLINK_VOUCHING, /* vouch.c */
	/* uplink.c */
	UPLINK_IDLE,
	UPLINK_BUSY,
	UPLINK_RESET,
	UPLINK_DEAD
};

struct uplink {
	struct uplink_env env;
	const struct uplink_ops *ops;
	void *ctx;
	/* orders from the scheduler, one at a time each */
	struct loop_task open_task, assign_task, close_task, free_task;
	struct job *order_job;
	int order_fd;

	enum uplink_state state;
	struct stream *far;
	struct reply_parser parser;
	struct hop_caps caps;
	struct carry carry;
	struct job *job;     /* until on_done */
	uint64_t jobs_begun; /* on this connection */
	bool going;	     /* the next hop said 421: not to be used again */
	bool closing;	     /* uplink_close was called: ask nobody for more */
	bool secured;
	struct hop_tls_talk tls; /* of this connection */
	bool without_session;	 /* a handshake failed that was to resume one, at this address */
	bool without_tls; /* TLS failed at this address, and an opportunistic route goes on */
	char tls_facts[HOP_TLS_FACTS_SIZE]; /* what became of TLS; "": the route has none */
	bool logged_in;
	struct login *login;	/* in UPLINK_LOGIN */
	bool far_gone;		/* it ended, or nothing came any more, in the middle of a job */
	bool vouched;		/* XCLIENT was taken: the session is the client's */
	size_t vouch_said;	/* of its commands */
	struct route_host host; /* env.host */
	struct resolve_query query;
	size_t address_next;
	int64_t connect_ms; /* one address may take so long, */
	int64_t give_up_ms; /* and no further one is tried then (monotonic) */
	char remote[192];
	struct err why;	      /* the last failure while opening, */
	enum trouble trouble; /* what kind it was, */
	int why_code;	      /* and its code */
};

/* uplink.c */
/* uplink_close had to wait for an answer, which is here. */
void uplink_closed(struct uplink *u);
/* Forget the connection and what was learnt on it. */
void uplink_drop_far(struct uplink *u);
/* on_open is called: ready for a job, or dead with u->why. */
void uplink_opened(struct uplink *u, int code);
/* Make the stream to one address; its callbacks are uplink.c's. prologue_connected comes. */
int uplink_connect(struct uplink *u, const struct resolve_address *address,
		   const struct resolve_address *from, struct err *why);
/* One line with its CRLF; the answer must come within `deadline_ms`. */
bool uplink_say(struct uplink *u, const char *line, int64_t deadline_ms);

/* prologue.c: from a host name to a connection that is ready for MAIL */
void prologue_begin(struct uplink *u);
/* The look-up holds a part of the uplink until it is answered. */
bool prologue_is_looking_up(const struct uplink *u);
void prologue_connected(struct uplink *u);
void prologue_on_reply(struct uplink *u, const struct reply *reply);
/* This address does not do: note it and go on with the next one. */
void prologue_failed(struct uplink *u, int code, const char *why);
/* The same where the code does not tell what kind of trouble it is. */
void prologue_failed_as(struct uplink *u, enum trouble trouble, int code, const char *why);
/* The same for a reply that says no. */
void prologue_refused(struct uplink *u, const char *what, const struct reply *reply);
/* Wait for 220; EHLO follows it. */
void prologue_greeting(struct uplink *u);
/* Say EHLO, again behind whatever changes what is offered. */
void prologue_hello(struct uplink *u);
/* EHLO was answered: what comes next? STARTTLS, …, ready. */
void prologue_next(struct uplink *u);

/* securing.c: TLS, by STARTTLS or from the first octet on, and what follows when it fails */
bool securing_is_required(const struct uplink *u);
/* EHLO was answered: is STARTTLS what comes next? */
bool securing_is_next(const struct uplink *u);
void securing_say(struct uplink *u);
void securing_on_reply(struct uplink *u, const struct reply *reply);
/* The handshake. */
void securing_begin(struct uplink *u);
void securing_done(struct uplink *u);
/* The connection has failed, maybe in the handshake: then that is counted. */
void securing_failed(const struct uplink *u);
/* The best words there are for a failure; `why` itself when TLS has nothing to do with it. */
const char *securing_explain(const struct uplink *u, const char *why, struct err *sentence_out);
/*
 * The connection failed with `why`. True: in TLS, and a new one to the same
 * address may do better, without a session or, on an opportunistic route, without TLS.
 */
bool securing_tries_again(struct uplink *u, int code, const char *why);
/* Ready, with TLS or not: for the records. */
void securing_note(struct uplink *u);
/* The next address may be better. */
void securing_forget(struct uplink *u);

#endif
