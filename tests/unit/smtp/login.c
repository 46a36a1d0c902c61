/* tests/unit/smtp/login.c - a house whose clients can log in */
#include <config.h>

#include "tests/unit/smtp/login.h"

#include <check.h>

static void no_mistake(void *ctx, size_t line, const char *sentence)
{
	ck_abort_msg("%zu: %s", line, sentence);
}

struct users *login_users(const char *text)
{
	struct users *users = NULL;

	ck_assert_int_eq(users_parse(span_of(text), no_mistake, NULL, &users), ERR_OK);
	return users;
}

char *login_hashed_users(void)
{
	struct buf text;
	struct err why;

	buf_init(&text, 1000);
	buf_append_text(&text, "user:");
	ck_assert_int_eq(credential_make(CREDENTIAL_YESCRYPT, span_of("secret"), &text, &why),
			 ERR_OK);
	return buf_take(&text, NULL);
}

void login_init(struct login *login, const char *users)
{
	struct door_rig *rig = &login->house.rig;

	house_init(&login->house);
	login->users = login_users(users);
	rig->settings.users = login->users;
	rig->listener.auth = LISTENER_AUTH_OPTIONAL;
	rig->listener.auth_without_tls = true;
}

void login_close(struct login *login)
{
	house_close(&login->house);
	users_free(&login->users);
}
