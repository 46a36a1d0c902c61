/* cli/access.h - TLS and login that sendmail uses, as the environment says */
#ifndef STAGEPOST_CLI_ACCESS_H
#define STAGEPOST_CLI_ACCESS_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/submission.h"

struct access {
	struct submission_access how; /* but for hello and address */
	struct buf password;
};

/*
 * $STAGEPOST_SMTP_TLS, _CA, _USER and _PASSWORD_FILE; strings are the
 * environment's. ERR_SYNTAX: what they say makes no sense; ERR_IO: the file.
 * access_release in any case.
 */
int access_read(struct access *access_out, struct err *why);
void access_release(struct access *access);

#endif
