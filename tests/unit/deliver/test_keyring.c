/* tests relay/deliver/keyring.c and command.c: where secrets come from */
#include <config.h> /* mkdtemp */

#include "relay/deliver/keyring.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/deliver/command.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static int run_it(const char *command, int timeout_ms, struct buf *out, struct err *why)
{
	buf_init(out, 16384);
	why->text[0] = '\0';
	return command_run(command, timeout_ms, out, why);
}

START_TEST(commands)
{
	static const struct {
		const char *command;
		int code;
		const char *want; /* what it gives, or how the reason starts */
	} rows[] = {
		{"echo token", ERR_OK, "token"},
		{"printf ' token \\r\\nmore'", ERR_OK, "token"},
		{"printf '%s' \"$0\"", ERR_OK, "sh"},
		{"echo said >&2; echo token", ERR_OK, "token"},
		/* It holds nothing of ours: not the input, no descriptor, no blocked signal. */
		{"cat; ls /proc/self/fd | tr '\\n' ' '", ERR_OK, "0 1 2 3"},
		{"grep SigBlk: /proc/self/status | tr -d '\\t'", ERR_OK, "SigBlk:0000000000000000"},
		/* The end of the command is what counts, not that of what it left behind. */
		{"sleep 30 & echo token", ERR_OK, "token"},
		{"true", ERR_IO, "the command prints nothing"},
		{"echo", ERR_IO, "the command prints nothing"},
		{"echo token; exit 7", ERR_IO, "the command ended with status 7"},
		{"echo wrong key >&2; exit 7", ERR_IO,
		 "the command ended with status 7: wrong key"},
		{"printf 'a\\033[2J\\nb' >&2; exit 7", ERR_IO,
		 "the command ended with status 7: a?[2J"},
		/* Nothing of the secret. */
		{"echo token; echo have token >&2; exit 7", ERR_IO,
		 "the command ended with status 7"},
		{"kill -9 $$", ERR_IO, "the command was ended by signal 9"},
		{"/nonexistent/x", ERR_IO, "the command ended with status 127: "},
		{"head -c 20000 /dev/zero | tr '\\0' x", ERR_IO,
		 "the command prints more than 16384 octets"},
		{"yes >&2 & sleep 0.2; kill $!; echo token", ERR_OK, "token"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;
		struct err why;
		int code = run_it(rows[i].command, 5000, &out, &why);

		ck_assert_msg(code == rows[i].code, "row %zu: %d %s", i, code, why.text);
		if (code == ERR_OK)
			ck_assert_msg(span_is(buf_span(&out), rows[i].want), "row %zu: %s", i,
				      out.data);
		else
			ck_assert_msg(strncmp(why.text, rows[i].want, strlen(rows[i].want)) == 0,
				      "row %zu: %s", i, why.text);
		ck_assert_ptr_null(strstr(why.text, "token"));
		buf_release(&out);
	}
}
END_TEST

START_TEST(commands_that_hang)
{
	static const char *const rows[] = {"sleep 30", "exec >&- 2>&-; sleep 30",
					   "trap '' TERM; echo x; sleep 30", "sleep 30 | sleep 30"};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t before = clock_mono_ms();
		struct buf out;
		struct err why;

		ck_assert_int_eq(run_it(rows[i], 200, &out, &why), ERR_TIMEOUT);
		ck_assert_str_eq(why.text, "the command did not end in time");
		ck_assert_int_lt(clock_mono_ms() - before, 5000);
		ck_assert_uint_eq(out.len, 0);
		buf_release(&out);
	}
}
END_TEST

static void write_text(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	fclose(file);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static const struct {
	const char *text;
	mode_t mode;
	int code;
	const char *want;
} files[] = {
	{"secret\n", 0600, ERR_OK, "secret"},	     {"secret", 0640, ERR_OK, "secret"},
	{"secret\r\nmore", 0400, ERR_OK, "secret"},  {" a b \n", 0600, ERR_OK, " a b "},
	{"secret\n", 0604, ERR_DENIED, "everybody"}, {"", 0600, ERR_SYNTAX, "nothing"},
	{"\nsecret\n", 0600, ERR_SYNTAX, "nothing"},
};

START_TEST(files_with_a_secret)
{
	char folder[] = "/tmp/stagepost-keyring-XXXXXX", path[64];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/secret", folder);
	for (size_t i = 0; i < COUNT(files); i++) {
		struct buf out;
		struct err why;
		int code;

		buf_init(&out, 9000);
		write_text(path, files[i].text, files[i].mode);
		code = key_read_file(path, &out, &why);
		ck_assert_msg(code == files[i].code, "row %zu: %d", i, code);
		if (code == ERR_OK)
			ck_assert(span_is(buf_span(&out), files[i].want));
		else
			ck_assert_msg(strstr(why.text, files[i].want) != NULL, "%s", why.text);
		buf_release(&out);
		unlink(path);
	}
	/* A pipe is not waited for. */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(key_read_file(path, &(struct buf){.max = 100}, NULL), ERR_IO);
	unlink(path);
	ck_assert_int_eq(key_read_file(path, &(struct buf){.max = 100}, NULL), ERR_IO);
	rmdir(folder);
}
END_TEST

/* "-": it can't be had. */
static const char *fetch(struct key *key, const char *refused)
{
	static char text[100];
	struct buf fetched;
	struct err why;
	int code;

	buf_init(&fetched, sizeof(text) - 1);
	code = key_fetch(key, span_of(refused), &fetched, &why);
	snprintf(text, sizeof(text), "%s", code == ERR_OK ? fetched.data : "-");
	buf_wipe(&fetched);
	return text;
}

/* Read again when it has changed; a moment without it is passed over. */
START_TEST(a_token_file)
{
	char folder[] = "/tmp/stagepost-keyring-XXXXXX", path[64];
	struct keyring *keyring = keyring_new();
	struct route_options route = {.username = "user", .token_file = path};
	struct key *key;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/token", folder);
	key = key_new(keyring, &route);
	ck_assert(key_is_token(&route));
	ck_assert_str_eq(fetch(key, ""), "-");
	write_text(path, "one two\n", 0600);
	ck_assert_str_eq(fetch(key, ""), "-"); /* no token has a blank */
	write_text(path, "one\n", 0600);
	ck_assert_str_eq(fetch(key, ""), "one");
	ck_assert_str_eq(fetch(key, "one"), "one");
	write_text(path, "three\n", 0600);
	ck_assert_str_eq(fetch(key, ""), "three");
	write_text(path, "", 0600);
	ck_assert_str_eq(fetch(key, ""), "three");
	unlink(path);
	ck_assert_str_eq(fetch(key, ""), "three");
	write_text(path, "four\n", 0644);
	ck_assert_str_eq(fetch(key, ""), "-");
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_str_eq(fetch(key, ""), "four");
	unlink(path);
	rmdir(folder);
	key_free(&key);
	keyring_free(&keyring);
}
END_TEST

/* Run once, then not again until somebody refuses what it printed. */
START_TEST(a_token_command)
{
	char folder[] = "/tmp/stagepost-keyring-XXXXXX", command[200];
	struct keyring *keyring = keyring_new();
	struct route_options route = {.username = "user", .token_command = command};
	struct key *key;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(command, sizeof(command), "cd %s && echo x >>n && wc -l <n", folder);
	key = key_new(keyring, &route);
	ck_assert_str_eq(fetch(key, ""), "1");
	ck_assert_str_eq(fetch(key, ""), "2"); /* nobody has said yes to it */
	key_judged(key, true);
	ck_assert_str_eq(fetch(key, ""), "2");
	ck_assert_str_eq(fetch(key, "1"), "2"); /* there is a newer one */
	ck_assert_str_eq(fetch(key, "2"), "3");
	key_judged(key, true);
	key_judged(key, false);
	ck_assert_str_eq(fetch(key, ""), "4");
	key_free(&key);
	keyring_free(&keyring);
	snprintf(command, sizeof(command), "%s/n", folder);
	unlink(command);
	rmdir(folder);
}
END_TEST

UNIT_MAIN("deliver/keyring", commands, commands_that_hang, files_with_a_secret, a_token_file,
	  a_token_command)
