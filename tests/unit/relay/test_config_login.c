/* tests relay/config_login.c and config_auth.c: secrets of routes, users of listeners */
#include <config.h> /* open_memstream */

#include "relay/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/relay/loaded.h"
#include "tests/unit/unit.h"

static void write_secret(char path[64], const char *text, mode_t mode)
{
	write_file(path, text);
	ck_assert_int_eq(chmod(path, mode), 0);
}

/* The forms of a secret; one that everybody can read is none. Nothing of it is printed. */
START_TEST(secrets_of_routes)
{
	static const char route[] =
		"routes: [{hosts: [\"127.0.0.1:25\"], username: staging, %s: %s}]\n";
	static const struct {
		const char *key;
		const char *text; /* of the file; NULL: it stands in the configuration */
		mode_t mode;
		const char *secret, *notes;
	} rows[] = {
		{"password", NULL, 0, "hunter2", ""},
		{"token", NULL, 0, "hunter2", ""},
		{"token_command", NULL, 0, NULL, ""},
		{"password_file", "hunter2\n", 0600, "hunter2", ""},
		{"password_file", " hunter 2 \r\nmore", 0640, " hunter 2 ", ""},
		{"password_file", "hunter2\n", 0644, NULL, "can be read by everybody"},
		{"password_file", "\n", 0600, NULL, "has nothing in its first line"},
		{"password_file", "hunter\a2\n", 0600, NULL, "no control characters"},
		{"token_file", "hunter2\n", 0600, NULL, ""},
		{"token_file", "hunter2\n", 0644, NULL, "can be read by everybody"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[64] = "hunter2", text[300], *printed = NULL;
		struct loaded loaded;
		size_t size = 0;
		FILE *out;

		if (rows[i].text != NULL)
			write_secret(path, rows[i].text, rows[i].mode);
		snprintf(text, sizeof(text), route, rows[i].key, path);
		load(&loaded, text, NULL, 0);
		ck_assert_ptr_nonnull(strstr(notes_of(&loaded), rows[i].notes));
		ck_assert_ptr_null(strstr(notes_of(&loaded), "hunter"));
		ck_assert_int_eq(loaded.code, rows[i].notes[0] == '\0' ? ERR_OK : ERR_SYNTAX);
		if (loaded.code == ERR_OK) {
			const struct route_options *one = &loaded.config->delivery.routes[0];

			ck_assert_str_eq(one->username, "staging");
			ck_assert_pstr_eq(one->secret, rows[i].secret);
			out = open_memstream(&printed, &size);
			ck_assert_int_eq(config_print(loaded.config, out), ERR_OK);
			fclose(out);
			if (rows[i].secret != NULL)
				ck_assert_ptr_null(strstr(printed, rows[i].secret));
			ck_assert_int_eq(strstr(printed, "\"(hidden)\"") != NULL,
					 rows[i].text == NULL && rows[i].secret != NULL);
			free(printed);
		}
		loaded_release(&loaded);
		if (rows[i].text != NULL)
			unlink(path);
	}
}
END_TEST

static const char login[] =
	"listeners:\n"
	"  - {address: \"127.0.0.1:0\", auth: optional, auth_without_tls: true}\n"
	"users: {file: \"%s\"}\n";

/* `users` NULL: no such file. */
static void load_with_users(struct loaded *loaded, const char *users, char path[64])
{
	char text[512];

	if (users != NULL)
		write_file(path, users);
	else
		snprintf(path, 64, "/nonexistent/users");
	snprintf(text, sizeof(text), login, path);
	load(loaded, text, NULL, 0);
	if (users != NULL)
		unlink(path);
}

START_TEST(users_are_read)
{
	struct loaded loaded;
	char path[64];

	load_with_users(&loaded, "me:{PLAIN}x:shop\n", path);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	ck_assert_str_eq(notes_of(&loaded), "");
	ck_assert_str_eq(loaded.config->users_file, path);
	ck_assert_uint_eq(users_count(loaded.config->users), 1);
	ck_assert_int_eq(loaded.config->listeners[0].auth, LISTENER_AUTH_OPTIONAL);
	ck_assert(loaded.config->listeners[0].auth_without_tls);
	ck_assert_int_eq(loaded.config->smtp.auth_delay_ms, 1000);
	loaded_release(&loaded);
	load_with_users(&loaded, "# nobody\n", path);
	ck_assert_int_eq(loaded.code, ERR_OK);
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "3:15 warning users.file: "));
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "names nobody"));
	loaded_release(&loaded);
}
END_TEST

/* Each with the place of its line in that file. */
START_TEST(mistakes_in_users)
{
	struct loaded loaded;
	char want[256];
	char path[64];

	load_with_users(&loaded, "a:{PLAIN}x\nb:hunter2\na:{PLAIN}y\n", path);
	ck_assert_int_eq(loaded.report.mistakes, 2);
	ck_assert_str_eq(loaded.report.notes[0].file, path);
	config_note_format(&loaded.report.notes[1], want, sizeof(want));
	ck_assert_ptr_nonnull(strstr(want, ":3:1: this name stood in a line before"));
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "2:1 : a secret begins with"));
	ck_assert_ptr_null(strstr(notes_of(&loaded), "hunter2"));
	loaded_release(&loaded);
	load_with_users(&loaded, NULL, path);
	ck_assert_str_eq(notes_of(&loaded), "3:15 users.file: /nonexistent/users can't be read: "
					    "No such file or directory\n");
	loaded_release(&loaded);
}
END_TEST

/* Nobody asks for it: the file need not be there. */
START_TEST(users_that_nobody_wants)
{
	static const char *const modes[] = {"off", "any"};
	struct loaded loaded;
	char text[256];

	for (size_t i = 0; i < COUNT(modes); i++) {
		snprintf(text, sizeof(text),
			 "listeners: [{address: \"127.0.0.1:0\", auth: %s, auth_without_tls: "
			 "true}]\n"
			 "users: {file: /nonexistent/users}\n",
			 modes[i]);
		load(&loaded, text, NULL, 0);
		ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
		ck_assert_ptr_null(loaded.config->users);
		loaded_release(&loaded);
	}
	load(&loaded, "listeners: [{address: \"127.0.0.1:0\", auth: any}]\n", NULL, 0);
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "listeners.0.auth: nobody can log in"));
	loaded_release(&loaded);
}
END_TEST

UNIT_MAIN("relay/config_login", secrets_of_routes, users_are_read, mistakes_in_users,
	  users_that_nobody_wants)
