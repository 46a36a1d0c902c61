/* relay/smtp/smtp.h - the SMTP front door as a whole: options, and what a session hands its mail to
 */
#ifndef STAGEPOST_RELAY_SMTP_SMTP_H
#define STAGEPOST_RELAY_SMTP_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "relay/mail/address.h"

/* `smtp:` and what of `listeners:` a session needs. Owned by the configuration, const for sessions.
 */
struct smtp_options {
	const char *hostname;
	int64_t max_message_size;
	size_t max_recipients;
	size_t max_connections;
	size_t max_connections_per_client;
	int64_t command_timeout_ms; /* total per command */
	int64_t data_min_rate;	    /* bytes per second, after data_grace_ms */
	int64_t data_grace_ms;	    /* 30 s */
	size_t max_errors;
	size_t max_junk; /* NOOP, RSET, VRFY, HELP without mail: 100 */
	size_t max_received;
	int64_t memory; /* what all sessions together may hold before they stop reading */
};

struct listener_options {
	const char *address; /* as configured */
	int64_t greeting_delay_ms;
	const char *const *networks; /* CIDR; who may connect */
	size_t network_count;
	const char *scope; /* "" for none */
};

/* Who is at the other end, and what the transaction said so far. Owned by the session. */
struct smtp_client {
	char session[17]; /* for log lines */
	char address[64]; /* "127.0.0.1", "::1", "unix" */
	int port;
	char helo[256];
	bool esmtp; /* EHLO was used */
	const char *listener;
	const char *scope;
};

struct smtp_mail {
	struct address sender;
	int64_t declared_size; /* -1: none */
	bool body_8bit;	       /* BODY=8BITMIME was given */
};

struct smtp_recipient {
	struct address address;
	const char *notify; /* RFC 3461 values as given, or NULL */
	const char *orcpt;
};

/* A reply line set by a backend: code, enhanced code ("2.1.5" or ""), text of one line. */
struct smtp_answer {
	int code;
	char enhanced[12];
	char text[400];
};

/* How the bytes of DATA were, once the terminator has come. */
struct smtp_data_facts {
	int64_t size; /* octets handed to on_data, dot-unstuffed and canonical */
	int64_t bare_cr;
	int64_t bare_lf;
	bool has_8bit;
	bool has_nul;
	int64_t longest_line;
};

/*
 * What a session hands its mail to: the relay's intake (relay/smtp/intake.c)
 * or the sink (cli/sink.c). All calls come in the session's loop thread. A
 * transaction is `void *` of the backend, made by begin, ended by exactly one
 * of finish (then on_finished is called once, later, from any thread through
 * smtp_session_finished) or abort.
 */
struct smtp_session;
struct smtp_backend_ops {
	/* MAIL FROM was accepted by the session. NULL: refuse with *answer. */
	void *(*begin)(void *ctx, struct smtp_session *session, const struct smtp_client *client,
		       const struct smtp_mail *mail, struct smtp_answer *answer);
	/* One RCPT TO. Fills *answer (250 2.1.5 when all is well). True: it counts as a recipient.
	 */
	bool (*recipient)(void *transaction, const struct smtp_recipient *recipient,
			  struct smtp_answer *answer);
	/* DATA: may refuse with *answer (then false). */
	bool (*data_begin)(void *transaction, struct smtp_answer *answer);
	/* Message bytes, CRLF line ends, dot-unstuffed. True: back-pressure, stop reading until
	 * smtp_session_resume. */
	bool (*data)(void *transaction, struct span bytes);
	/* End of data. The session waits for smtp_session_finished(session, answer). */
	void (*finish)(void *transaction, const struct smtp_data_facts *facts);
	/* RSET, QUIT, disconnect, too large: forget it. Not after finish. */
	void (*abort)(void *transaction);
};

/* Any thread, once after `finish`: the answer to the final dot. The session may be gone; then
 * nothing happens. */
void smtp_session_finished(struct smtp_session *session, const struct smtp_answer *answer);
/* Any thread: read on after back-pressure. */
void smtp_session_resume(struct smtp_session *session);

#endif
