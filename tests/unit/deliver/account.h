/* tests/unit/deliver/account.h - the account that we have at the next hop of a rig */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_ACCOUNT_H
#define STAGEPOST_TESTS_UNIT_DELIVER_ACCOUNT_H

#include "tests/unit/deliver/rig.h"

/* Mechanisms follow. */
#define ACCOUNT_EHLO "PIPELINING\nAUTH "

/* In base64: "\0user\0secret", "user", "secret", and the token "token" of "user" in XOAUTH2. */
#define ACCOUNT_PLAIN	"AHVzZXIAc2VjcmV0"
#define ACCOUNT_NAME	"dXNlcg=="
#define ACCOUNT_SECRET	"c2VjcmV0"
#define ACCOUNT_XOAUTH2 "dXNlcj11c2VyAWF1dGg9QmVhcmVyIHRva2VuAQE="

/* The route logs in as "user" with "secret", in the clear if need be. */
void account_use(struct rig *rig, enum route_auth auth);

#endif
