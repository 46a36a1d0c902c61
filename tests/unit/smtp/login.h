/* tests/unit/smtp/login.h - a house whose clients can log in */
#ifndef STAGEPOST_TESTS_UNIT_SMTP_LOGIN_H
#define STAGEPOST_TESTS_UNIT_SMTP_LOGIN_H

#include "relay/smtp/users.h"
#include "tests/unit/smtp/fixture.h"

#define LOGIN_USERS "user:{PLAIN}secret:shop\nother:{PLAIN}x\n"
#define LOGIN_GOOD  "AHVzZXIAc2VjcmV0" /* PLAIN: \0user\0secret */
#define LOGIN_BAD   "AHVzZXIAd3Jvbmc=" /* PLAIN: \0user\0wrong */

struct login {
	struct house house;
	struct users *users;
};

/* AUTH is optional, also in clear. Change listener and users behind it, then rig_open. */
void login_init(struct login *login, const char *users);
void login_close(struct login *login);

/* The lines of a users file, without a mistake. */
struct users *login_users(const char *text);
/* The line of "user" with the password "secret", hashed. The caller frees it. */
char *login_hashed_users(void);

#endif
