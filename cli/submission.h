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

/* Where it ended. */
enum submission_step {
	SUBMISSION_CONNECT, /* no connection */
	SUBMISSION_HELLO,   /* the banner, EHLO */
	SUBMISSION_SENDER,
	SUBMISSION_RECIPIENT,
	SUBMISSION_CONTENT
};
struct submission_failure {
	enum submission_step step;
	int code; /* of the relay's reply; 0: none came, or none that can be read */
};

/*
 * Connect to "host:port", "[IPv6]:port" or "unix:/path"; 0.0.0.0 and [::] mean
 * this machine. ERR_SYNTAX: no such form; ERR_IO. The caller owns *fd_out.
 */
int submission_connect(const char *address, int *fd_out, struct err *why);

/*
 * Hand in `mail` on a connection that was just made, which is closed in any
 * case. One recipient that is refused refuses all of them: nothing is left
 * behind that would be sent twice when the caller tries again. `trace` (NULL:
 * none) gets the dialogue. ERR_DENIED: the relay said no; ERR_SYNTAX: what it
 * said is no SMTP; ERR_TIMEOUT, ERR_CLOSED, ERR_IO. *failure_out is filled then.
 */
int submission_run(int fd, const char *hello, const struct submission_mail *mail, FILE *trace,
		   struct submission_failure *failure_out, struct err *why);

/*
 * `sendmail -bs`: what comes on `in` goes to the relay, what it says to `out`,
 * until it closes the connection (which is closed). ERR_IO.
 */
int submission_pipe(int fd, int in, int out, struct err *why);

#endif
