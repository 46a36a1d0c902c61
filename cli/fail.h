/* cli/fail.h - what a sink refuses: `stagepost sink --fail ADDRESS=CODE,…` */
#ifndef STAGEPOST_CLI_FAIL_H
#define STAGEPOST_CLI_FAIL_H

#include "base/err.h"
#include "base/span.h"
#include "relay/mail/address.h"

enum fail_stage {
	FAIL_MAIL,
	FAIL_RCPT,
	FAIL_DATA, /* the command */
	FAIL_END   /* the final dot */
};

struct fail;

struct fail *fail_new(void);
void fail_free(struct fail **fail);
/*
 * Add the rules of one SPEC: WHERE=CODE, separated by commas. WHERE is a
 * recipient's address, "@domain", "*" (every recipient), or MAIL, DATA, END
 * (in capitals) for these steps of every message. CODE is 400 to 599. ERR_SYNTAX.
 */
int fail_add(struct fail *fail, const char *spec, struct err *why);
/* The code of the first rule for it, 0 when there is none. `recipient` only for FAIL_RCPT. */
int fail_find(const struct fail *fail, enum fail_stage stage, const struct address *recipient);

#endif
