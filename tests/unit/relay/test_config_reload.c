/* tests relay/config_reload.c: what can be taken over without a restart */
#include <config.h>

#include "relay/config.h"

#include "tests/unit/relay/loaded.h"
#include "tests/unit/unit.h"

START_TEST(reload)
{
	static const struct {
		const char *setting;
		const char *want; /* NULL: can be taken over */
	} rows[] = {
		{"hostname=other.example", NULL},
		{"log.level=debug", NULL},
		{"smtp.max_recipients=5", NULL},
		{"routes.1.hosts.0=127.0.0.1:9", NULL},
		{"listeners.0.scope=other", NULL},
		{"policy.default=hold", NULL},
		{"threads=3", "a change of threads needs a restart"},
		{"data_dir=/elsewhere", "a change of data_dir needs a restart"},
		{"listeners.0.address=127.0.0.1:9",
		 "a change of listeners.0.address needs a restart"},
		{"listeners.2.address=127.0.0.1:9", "a change of listeners needs a restart"},
		{"admin.session_idle=1h", NULL},
		{"admin.listen=127.0.0.1:9", "a change of admin.listen needs a restart"},
		{"admin.hosts.1=other", "a change of admin.hosts needs a restart"},
	};
	struct loaded now;

	load(&now, full_config, NULL, 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err why = {.text = ""};
		struct loaded next;
		int code;

		load(&next, full_config, &rows[i].setting, 1);
		ck_assert_msg(next.code == ERR_OK, "%s", notes_of(&next));
		code = config_reloadable(now.config, next.config, &why);
		ck_assert_int_eq(code, rows[i].want != NULL ? ERR_CONFLICT : ERR_OK);
		ck_assert_str_eq(why.text, rows[i].want != NULL ? rows[i].want : "");
		loaded_release(&next);
	}
	loaded_release(&now);
}
END_TEST

UNIT_MAIN("relay/config_reload", reload)
