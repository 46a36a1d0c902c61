/* relay/smtp/session_state.h - inside of a session; for session.c, opening.c, the verbs' files only
 */
#ifndef STAGEPOST_RELAY_SMTP_SESSION_STATE_H
#define STAGEPOST_RELAY_SMTP_SESSION_STATE_H

#include "relay/loop/stream.h"
#include "relay/smtp/data.h"
#include "relay/smtp/session.h"

/* What the next bytes of the client are. */
enum session_phase {
	PHASE_PROXY,	 /* the PROXY header */
	PHASE_SECURING,	 /* the stream's: a TLS handshake */
	PHASE_NAMING,	 /* the client's name is looked up */
	PHASE_GREETING,	 /* too early: the banner is delayed */
	PHASE_COMMAND,	 /* a command line */
	PHASE_SKIP_LINE, /* the rest of a line that was too long */
	PHASE_DATA,	 /* a message */
	PHASE_HOLD,	 /* not looked at: an answer is held back (hold.h) */
	PHASE_AUTH,	 /* a line of a login */
	PHASE_CHECK,	 /* not looked at: a login is being checked, or its refusal waits */
	PHASE_VERDICT,	 /* not looked at: the answer to the final dot is being made */
	PHASE_ANSWERS,	 /* not looked at: answers to the final dot wait for room (LMTP) */
	PHASE_GONE	 /* there is no connection any more */
};

/* How far the dialogue has come: bits, so that a verb can name several. */
enum session_stage {
	STAGE_START = 1, /* no EHLO or HELO yet */
	STAGE_READY = 2, /* no transaction */
	STAGE_MAIL = 4,	 /* MAIL was accepted, no recipient yet */
	STAGE_RCPT = 8,	 /* at least one recipient */
	STAGE_CHUNK = 16 /* part of the message has come by BDAT */
};

/* How the session came by its user: what a new version may take back. */
enum session_login {
	LOGIN_TOLD,   /* a certificate, or XCLIENT: not the users file's matter. Also: nobody */
	LOGIN_LISTED, /* the users file */
	LOGIN_ASKED,  /* somebody else was asked, as smtp_settings.asked_mechanisms say */
	LOGIN_ANY     /* nothing was checked: auth is `any` */
};

/* The message under way: why it is thrown away, and its clock. */
struct session_transfer {
	struct data data;
	struct smtp_answer refusal; /* code 0: it is kept; in PHASE_ANSWERS the answer */
	bool blocked;		    /* back-pressure: we are not reading */
	int64_t started_at;	    /* monotonic, moved on by the time we did not read */
	int64_t heard_at;
	int64_t blocked_at;
	int64_t octets; /* as they came over the wire */
	/* BDAT (RFC 3030) */
	bool chunked;
	bool last;  /* the chunk under way ends the message */
	bool stray; /* it belongs to no message: passed over, then `refusal` is the answer */
	int64_t chunk_size;
	int64_t chunk_left;
	size_t answers_left; /* LMTP: `refusal` is still to be said so often */
};

struct smtp_session {
	struct session_house *house;
	struct smtp_session *next;
	struct smtp_session *previous;
	struct stream *stream; /* NULL: gone */
	struct version *version;
	size_t listener;
	struct peer_address peer;    /* whom checks are about: proxy.h, xclient.h */
	struct peer_address counted; /* in the census */
	bool proxied;
	bool veiled;	   /* a proxy speaks for somebody, and can't say for whom */
	bool certified;	   /* a trusted client certificate secured this connection */
	bool name_claimed; /* by XCLIENT, like the next */
	bool port_claimed;
	struct reverse_query *naming; /* in PHASE_NAMING, else NULL */
	struct xforward *forwarded;   /* xclient.c's; NULL: nothing */
	struct smtp_client client;
	enum session_phase phase;
	enum session_stage stage;
	void *transaction;  /* the backend's; NULL: none */
	struct span line;   /* the command that is being acted on, without blanks behind it */
	size_t recipients;  /* accepted in this transaction */
	size_t in_vain;	    /* RCPT beyond max_recipients, or refused by the policy */
	bool rcpt_refused;  /* in this transaction */
	bool smtputf8;	    /* MAIL carried it */
	size_t errors;	    /* since the last message */
	size_t junk;	    /* commands that bring no mail nearer, since the last message */
	size_t skipped;	    /* octets of the line thrown away */
	bool output_full;   /* waits for the client to read */
	bool peer_closed;   /* the client will send nothing more */
	bool stopping;	    /* 421 when the message under way is answered */
	bool deadline_set;  /* for the command under way */
	bool greeted;	    /* the banner was sent */
	bool awaits_settle; /* finish was called: not freed before settle */
	/* In PHASE_HOLD, else NULL. */
	struct session_hold *hold;
	/* A login under way (auth.c), else NULL. */
	struct session_auth *auth;
	unsigned auth_failures;
	unsigned auth_asked; /* how often somebody else was asked (auth_ask.c) */
	/* A thread works on `auth`: not freed before. */
	bool awaits_check;
	/* Of who logged in; "": no own one. */
	char user_scope[64];
	enum session_login login;
	struct session_transfer transfer;
	struct loop_timer clock; /* greeting delay; rate of DATA; back-pressure */
	struct loop_task finished;
};

static inline const struct smtp_options *options_of(const struct smtp_session *session)
{
	return session->version->settings.smtp;
}

static inline const struct listener_options *listener_of(const struct smtp_session *session)
{
	return &session->version->settings.listeners[session->listener];
}

/* session.c */

/* Listener and scope anew, from the version in force and what is known of the client. */
void session_name_listener(struct smtp_session *session);
/* Octets that are no reply of reply_format's. */
void session_write(struct smtp_session *session, struct span bytes);

/* Write a reply, when its time has come. 421 closes the connection afterwards. */
void session_answer(struct smtp_session *session, const struct smtp_answer *answer);
void session_reply(struct smtp_session *session, int code, const char *enhanced, const char *text);
/* The same for a client's mistake: too many of them end in 421. */
void session_refuse(struct smtp_session *session, int code, const char *enhanced, const char *text);
/* A command without use for mail: too many of them end in 421. True: the session goes on. */
bool session_count_junk(struct smtp_session *session);
/* Forget the transaction (RSET, EHLO, the end). */
void session_reset(struct smtp_session *session);
/* Close when what is written has been sent; logged with the reason. */
void session_close(struct smtp_session *session, const char *reason);

/*
 * Look at what has come, go on with it, and free the session when it is over:
 * the last thing of every callback.
 */
void session_pump(struct smtp_session *session);

/*
 * opening.c: what comes between accept and the banner, in this order. A step
 * that has to wait sets its phase and calls the next one when it is done;
 * each may end the connection.
 */

/* The connection is there: PROXY header where the listener wants one. */
void opening_begin(struct smtp_session *session);
/* The client's address is known and admitted: implicit TLS. */
void opening_admitted(struct smtp_session *session);
/* Clear text or TLS, the dialogue may begin: the client's name, the greeting delay. */
void opening_secured(struct smtp_session *session);
/* The banner. */
void opening_greet(struct smtp_session *session);
/* PHASE_NAMING: the session's clock rang. */
void opening_on_clock(struct smtp_session *session);
/* Something came while the banner was delayed. */
void opening_refuse_early(struct smtp_session *session);

/* transfer.c */

/* 354 was sent. */
void transfer_begin(struct smtp_session *session);
/* No more of it will be read: others may have the memory. */
void transfer_leave(struct smtp_session *session);
/* BDAT, the first of a message: transfer_chunk follows. */
void transfer_begin_chunks(struct smtp_session *session);
/* The octets behind a BDAT, `size` of them, are next. */
void transfer_chunk(struct smtp_session *session, int64_t size, bool last);
/* The same where a BDAT is not in order: they are passed over, then comes the answer. */
void transfer_stray_chunk(struct smtp_session *session, int64_t size, bool last,
			  const struct smtp_answer *answer);
/* Take what has come. False: nothing more can be done now. */
bool transfer_step(struct smtp_session *session);
/* The session's clock rang in PHASE_DATA or STAGE_CHUNK. */
void transfer_on_clock(struct smtp_session *session);
/* LMTP's answers are set: say them. */
void transfer_begin_answers(struct smtp_session *session);
/* PHASE_ANSWERS, with room for one. */
void transfer_answer(struct smtp_session *session);
/* Run by smtp_session_finished in the loop thread. */
void transfer_finished(struct smtp_session *session);

/* verb.c */

/* One command line without its line end. */
void verb_run(struct smtp_session *session, struct span line);

#endif
