/* cli/submission.h - a message handed to the relay by SMTP, all of it or nothing (RFC 5321) */
#ifndef STAGEPOST_CLI_SUBMISSION_H
#define STAGEPOST_CLI_SUBMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "base/span.h"
#include "relay/mail/address.h"

struct submission_mail {
	struct address sender; /* ADDRESS_NULL for <> */
	const struct address *recipients;
	size_t recipient_count;
	struct span header; /* with its empty line; lines end in CRLF, like the body's */
	struct span body;
	bool has_8bit;
	/* RFC 3461, where the relay offers it; NULL: not asked for. */
	const char *notify; /* as dsn_notify_parse gives it */
	const char *ret;    /* as dsn_ret_parse gives it */
	const char *envid;  /* xtext */
};

/* How the relay is talked to. */
enum submission_tls { SUBMISSION_CLEAR, SUBMISSION_STARTTLS, SUBMISSION_IMPLICIT };
struct submission_access {
	const char *hello;
	enum submission_tls tls;
	const char *address; /* as wire_connect got it; its host is what the certificate names */
	const char *ca_file; /* NULL: the system's */
	const char *user;    /* NULL: no login */
	struct span password;
};

/* Where it ended. */
enum submission_step {
	SUBMISSION_CONNECT, /* no connection */
	SUBMISSION_HELLO,   /* the banner, EHLO, TLS */
	SUBMISSION_LOGIN,
	SUBMISSION_SENDER,
	SUBMISSION_RECIPIENT,
	SUBMISSION_CONTENT
};
struct submission_failure {
	enum submission_step step;
	int code; /* of the relay's reply; 0: none came, or none that can be read */
};

/*
 * Hand in `mail` on a connection that was just made, which is closed in any
 * case. One recipient that is refused refuses all of them: nothing is left
 * behind that would be sent twice when the caller tries again. `trace` (NULL:
 * none) gets the dialogue, but for the password, which is only told over TLS or
 * to this machine, by PLAIN (RFC 4616). ERR_DENIED: the relay said no, or the
 * login can't be; ERR_SYNTAX: what it said is no SMTP; ERR_TIMEOUT, ERR_CLOSED,
 * ERR_IO. *failure_out is filled then.
 */
int submission_run(int fd, const struct submission_access *access,
		   const struct submission_mail *mail, FILE *trace,
		   struct submission_failure *failure_out, struct err *why);

/*
 * `sendmail -bs`: what comes on `in` goes to the relay, what it says to `out`,
 * until it closes the connection (which is closed). ERR_IO.
 */
int submission_pipe(int fd, int in, int out, struct err *why);

#endif
