/* tests relay/config_print.c, and that the man page has every key of relay/config_key.c */
#include <config.h> /* open_memstream */

#include "relay/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/config_key.h"
#include "tests/unit/relay/loaded.h"
#include "tests/unit/unit.h"

static char *print_of(const struct config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(config_print(config, out), ERR_OK);
	fclose(out);
	return text;
}

/* print(load(print(load(x)))) == print(load(x)), and it names every key there is. */
static void check_round_trip(const char *text)
{
	struct loaded first;
	struct loaded second;
	char *one;
	char *two;

	load(&first, text, NULL, 0);
	ck_assert_msg(first.code == ERR_OK, "%s", notes_of(&first));
	one = print_of(first.config);
	load(&second, one, NULL, 0);
	ck_assert_msg(second.code == ERR_OK && second.report.count == 0, "%s\n%s",
		      notes_of(&second), one);
	two = print_of(second.config);
	ck_assert_str_eq(one, two);
	for (const struct config_key *key = config_keys; key->name != NULL; key++)
		ck_assert_ptr_nonnull(strstr(one, key->name));
	free(one);
	free(two);
	loaded_release(&first);
	loaded_release(&second);
}

START_TEST(printed_and_read_back)
{
	check_round_trip(NULL);
	check_round_trip(full_config);
	check_round_trip(
		"data_dir: \"a b: \\\"c\\\" $${X} \\t # ~ \u00fc\"\n"
		"listeners: [{address: \"127.0.0.1:0\", scope: \"\", tls_key: /k,\n"
		"  tls_certificate: /c, certificates: [{certificate: /a, key: \"/b c\"},\n"
		"  {certificate: /d}], tls_client_scopes: [{client: \"CN=a\", scope: s}]}]\n"
		"policy: {control_headers: []}\n");
	check_round_trip(
		"policy: {breaker: {recipients_per_minute: 100, recipients_per_day: 5}}\n"
		"routes: [{hosts: [\"a.example:587\"], username: u, token_command: \"x | y\",\n"
		"  auth: xoauth2, auth_without_tls: true, tls: none}]\n");
	check_round_trip(
		"faults:\n  - {name: a, action: defer, attempts: 2, every: 3, code: 452,"
		" enhanced: 4.2.2, text: \"full: \\\"x\\\"\", user: \"app-*\", delay: 5s}\n"
		"  - {name: b, action: disconnect, stage: end, sender: \"<>\"}\n");
	check_round_trip(
		"rules:\n  - {name: a, action: redirect, redirect_to: qa@x.test, client: \"::1\","
		" sender: \"<>\", headers: [{name: Subject, match: glob, value: \"* x\"},"
		" {name: A, match: absent}]}\n"
		"  - {name: b, action: deliver, overrides_whitelist: true, min_size: 1K}\n"
		"  - {name: c, action: tag, tag: \"[c] \", enabled: false}\n");
}
END_TEST

/* A login may stand in a URL: who it is is shown, and not by what. */
START_TEST(passwords_in_urls_are_hidden)
{
	static const struct {
		const char *url;
		const char *want;
	} rows[] = {
		{"http://127.0.0.1:9/x", "url: \"http://127.0.0.1:9/x\"\n"},
		{"http://u:secret@127.0.0.1:9/x?a=b:c@d",
		 "url: \"http://u:(hidden)@127.0.0.1:9/x?a=b:c@d\"\n"},
		{"http://:secret@localhost", "url: \"http://:(hidden)@localhost\"\n"},
		{"http://u:a:secret@localhost/", "url: \"http://u:(hidden)@localhost/\"\n"},
		{"http://u@localhost/a:b@c", "url: \"http://u@localhost/a:b@c\"\n"},
		{"unix:/run/a:/b@c", "url: \"unix:/run/a:/b@c\"\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct loaded loaded;
		char text[200];
		char *printed;

		snprintf(text, sizeof(text), "policy: {hook: {url: \"%s\"}}\n", rows[i].url);
		load(&loaded, text, NULL, 0);
		ck_assert_msg(loaded.code == ERR_OK, "%s: %s", rows[i].url, notes_of(&loaded));
		printed = print_of(loaded.config);
		ck_assert_msg(strstr(printed, rows[i].want) != NULL, "%s", rows[i].want);
		ck_assert_ptr_null(strstr(printed, "secret@"));
		free(printed);
		loaded_release(&loaded);
	}
}
END_TEST

static void check_documented(const struct config_key *keys, const char *page)
{
	for (; keys->name != NULL; keys++) {
		ck_assert_msg(strstr(page, keys->name) != NULL, "%s is not in the man page",
			      keys->name);
		if (keys->keys != NULL)
			check_documented(keys->keys, page);
	}
}

START_TEST(man_page_names_every_key)
{
	const char *srcdir = getenv("srcdir");
	static char page[65536];
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/relay/stagepost.yaml.5.scd",
		 srcdir != NULL ? srcdir : ".");
	file = fopen(path, "r");
	ck_assert_msg(file != NULL, "%s", path);
	page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
	fclose(file);
	check_documented(config_keys, page);
}
END_TEST

UNIT_MAIN("relay/config_print", printed_and_read_back, passwords_in_urls_are_hidden,
	  man_page_names_every_key)
