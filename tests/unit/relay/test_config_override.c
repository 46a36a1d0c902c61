/* tests relay/config_override.c: settings of the command line */
#include <config.h>

#include "relay/config.h"

#include <string.h>

#include "tests/unit/relay/loaded.h"
#include "tests/unit/unit.h"

START_TEST(overrides)
{
	static const char *const good[] = {
		"listeners.0.scope=shop", "listeners.1.address=127.0.0.1:2600",
		"smtp.max_errors=3",	  "routes.0.hosts.0=127.0.0.1:2526",
		"routes.0.tls=none",	  "routes.0.domains=[\"*\", .example.com]",
		"delivery.schedule=[1s]", "delivery.senders.0=*@example.com",
		"admin.listen=",	  "data_dir=./a=b",
	};
	static const struct {
		const char *setting;
		const char *want;
	} bad[] = {
		/* Nothing of the value, and a word about where it stands. */
		{"routes.0.password=hunter2",
		 "-o warning routes.0.password: everybody on this machine can read a command line: "
		 "password_file and token_file are for secrets\n"
		 "-o routes.0.hosts: is missing\n"
		 "-o routes.0.password: needs username\n"},
		{"nonsense", "-o nonsense: KEY=VALUE was expected, as in smtp.max_recipients=5\n"},
		{"=x", "-o : KEY=VALUE was expected, as in smtp.max_recipients=5\n"},
		{"smtp.max_error=3", "-o smtp.max_error: unknown key; did you mean max_errors?\n"},
		{"listeners.5.scope=x", "-o listeners.5.scope: the list has not that many items\n"},
		{"listeners.scope=x", "-o listeners.scope: there is nothing below it\n"},
		{"smtp.0=x", "-o smtp.0: a number is for items of a list\n"},
		{"threads.x=1", "-o threads: a value was expected, not a mapping\n"},
		{"smtp.max_errors=[1", "-o smtp.max_errors: did not find expected ',' or ']' "
				       "(while parsing a flow sequence "
				       "that began in line 1)\n"
				       "-o smtp.max_errors: a value was expected, not a list\n"},
		{"smtp.max_errors=0",
		 "-o smtp.max_errors: \"0\" is out of range: from 1 to 1000000 is possible\n"},
	};
	struct loaded loaded;

	load(&loaded, "smtp: {max_errors: 9}\n", good, COUNT(good));
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	ck_assert_str_eq(loaded.config->listeners[0].address, "127.0.0.1:2525");
	ck_assert_str_eq(loaded.config->listeners[0].scope, "shop");
	ck_assert_str_eq(loaded.config->listeners[1].address, "127.0.0.1:2600");
	ck_assert_uint_eq(loaded.config->smtp.max_errors, 3);
	ck_assert_str_eq(loaded.config->delivery.routes[0].hosts[0], "127.0.0.1:2526");
	ck_assert_uint_eq(loaded.config->delivery.routes[0].domain_count, 2);
	ck_assert_int_eq(loaded.config->delivery.schedule_ms[0], 1000);
	ck_assert_uint_eq(loaded.config->policy.sender_count, 1);
	ck_assert_str_eq(loaded.config->admin.listen, "");
	ck_assert_str_eq(loaded.config->data_dir, "./a=b");
	loaded_release(&loaded);
	for (size_t i = 0; i < COUNT(bad); i++) {
		load(&loaded, "smtp: {max_errors: 9}\n", &bad[i].setting, 1);
		ck_assert_msg(strcmp(notes_of(&loaded), bad[i].want) == 0, "%s:\n%s",
			      bad[i].setting, notes_of(&loaded));
		loaded_release(&loaded);
	}
}
END_TEST

UNIT_MAIN("relay/config_override", overrides)
