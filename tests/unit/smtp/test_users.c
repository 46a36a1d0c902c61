/* tests relay/smtp/users.c and credential.c */
#include <config.h>

#include "relay/smtp/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* mkpasswd -m yescrypt secret; doveadm pw -s SCRAM-SHA-256 gives the form of the second. */
#define YESCRYPT "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC"
#define SCRAM                                                                                      \
	"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"                                            \
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                                            \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

struct told {
	char text[2048]; /* "2: sentence\n" */
};

static void tell(void *ctx, size_t line, const char *sentence)
{
	struct told *told = ctx;
	size_t used = strlen(told->text);

	snprintf(told->text + used, sizeof(told->text) - used, "%zu: %s\n", line, sentence);
}

static struct users *parse(const char *text)
{
	struct told told = {.text = ""};
	struct users *users = NULL;

	ck_assert_msg(users_parse(span_of(text), tell, &told, &users) == ERR_OK, "%s", told.text);
	return users;
}

static bool right(const struct users *users, const char *name, const char *password)
{
	return users_check(users, span_of(name), span_of(password));
}

START_TEST(every_kind)
{
	struct users *users = parse("# people\n"
				    "\n"
				    "scram:" SCRAM ":shop\r\n"
				    "  \n"
				    "plain:{plain}top secret\n"
				    "coded:{PLAIN.B64}YTpi:other.scope_1\n"
				    "j\xc3\xb6rg@example.com:{PLAIN}x");

	ck_assert_uint_eq(users_count(users), 4);
	ck_assert(right(users, "scram", "pencil"));
	ck_assert(!right(users, "scram", "Pencil"));
	ck_assert(right(users, "plain", "top secret"));
	ck_assert(right(users, "coded", "a:b"));
	ck_assert(right(users, "j\xc3\xb6rg@example.com", "x"));
	ck_assert(!right(users, "plain", ""));
	ck_assert(!right(users, "plain", "top secret "));
	ck_assert(!right(users, "nobody", "nobody's password"));
	ck_assert(!right(users, "", "x"));
	ck_assert(!right(users, "Plain", "top secret"));
	ck_assert(!right(users, "plai", "top secret"));
	ck_assert_str_eq(users_scope(users, span_of("scram")), "shop");
	ck_assert_str_eq(users_scope(users, span_of("plain")), "");
	ck_assert_str_eq(users_scope(users, span_of("coded")), "other.scope_1");
	ck_assert_str_eq(users_scope(users, span_of("nobody")), "");
	users_free(&users);
	ck_assert_ptr_null(users);
}
END_TEST

START_TEST(made_and_read)
{
	static const char *const passwords[] = {"secret", "a:b",	 " blanks ",
						"#",	  "p\xc3\xa4ss", "{PLAIN}x"};
	static const char *const prefixes[CREDENTIAL_SCHEMES] = {"$y$", "{SCRAM-SHA-256}4096,",
								 "{PLAIN"};
	struct err why;

	for (unsigned scheme = 0; scheme < CREDENTIAL_SCHEMES; scheme++) {
		for (size_t i = 0; i < COUNT(passwords); i++) {
			struct buf line;
			struct users *users;

			buf_init(&line, 4096);
			buf_append_text(&line, "me:");
			ck_assert_int_eq(
				credential_make(scheme, span_of(passwords[i]), &line, &why),
				ERR_OK);
			ck_assert(
				span_starts_fold(span_skip(buf_span(&line), 3), prefixes[scheme]));
			if (scheme != CREDENTIAL_PLAIN)
				ck_assert_ptr_null(strstr(line.data, passwords[i]));
			buf_append_text(&line, ":shop");
			users = parse(line.data);
			ck_assert(right(users, "me", passwords[i]));
			ck_assert(!right(users, "me", "Secret"));
			ck_assert_str_eq(users_scope(users, span_of("me")), "shop");
			users_free(&users);
			buf_release(&line);
		}
	}
}
END_TEST

START_TEST(mistakes)
{
	static const struct {
		const char *text;
		const char *want; /* stands in what is told */
	} rows[] = {
		{"me", "1: NAME:SECRET"},
		{"\n\nme:", "3: a secret begins with"},
		{":{PLAIN}x", "1: a user's name"},
		{" me:{PLAIN}x", "1: a user's name"},
		{"me\t:{PLAIN}x", "1: a user's name"},
		{"\xff:{PLAIN}x", "1: a user's name"},
		{"me:{PLAIN}", "1: a password must not be empty"},
		{"me:{PLAIN}x:no scope", "1: behind the second colon"},
		{"me:{PLAIN}x:", "1: behind the second colon"},
		{"me:{PLAIN}x:a:b", "1: behind the second colon"},
		{"me:{PLAIN}I\xc2\xadX", "1: the password is not in the form"},
		{"me:{PLAIN.B64}x", "1: the password is no base64"},
		{"me:{PLAIN.B64}AA==", "1: a password is text"},
		{"me:secret", "1: a secret begins with"},
		{"me:$6$salt$hash", "1: a secret begins with"},
		{"me:$y$", "1: the yescrypt hash is not complete"},
		{"me:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSY", "1: the yescrypt hash is not complete"},
		{"me:{SCRAM-SHA-256}", "1: SCRAM: 1 to"},
		{"me:{SCRAM-SHA-256}0,AAAA,AAAA,AAAA", "1: SCRAM: 1 to"},
		{"me:{SCRAM-SHA-256}4096,,AAAA,AAAA", "1: SCRAM: the salt"},
		{"me:{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA", "1: SCRAM: stored key"},
		{"me:" SCRAM "x", "1: SCRAM: stored key"},
		{"me:{PLAIN}x\nyou:{PLAIN}x\nme:{PLAIN}y", "3: this name stood"},
		{"me\nyou\n", "2: NAME:SECRET"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct told told = {.text = ""};
		struct users *users = NULL;

		ck_assert_int_eq(users_parse(span_of(rows[i].text), tell, &told, &users),
				 ERR_SYNTAX);
		ck_assert_ptr_null(users);
		ck_assert_msg(strstr(told.text, rows[i].want) != NULL, "row %zu: %s", i, told.text);
	}
}
END_TEST

/* What is told may land in a log. */
START_TEST(sentences_hold_no_secret)
{
	struct told told = {.text = ""};

	users_parse(span_of("me:hunter2\nme:{PLAIN}hunter2:hunter2 x\n"
			    "me:{SCRAM-SHA-256}hunter2\nhunter2\nx:$y$hunter2"),
		    tell, &told, NULL);
	ck_assert_ptr_null(strstr(told.text, "hunter2"));
	ck_assert_ptr_nonnull(strstr(told.text, "5: "));
}
END_TEST

START_TEST(what_can_work)
{
	static const struct {
		const char *text;
		bool plain;
		bool scram;
		bool cram;
	} rows[] = {
		{"", false, false, false},
		{"a:" YESCRYPT, true, false, false},
		{"a:" SCRAM, true, true, false},
		{"a:{PLAIN}x", true, true, true},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct users *users = parse(rows[i].text);

		ck_assert_int_eq(users_can(users, SASL_PLAIN), rows[i].plain);
		ck_assert_int_eq(users_can(users, SASL_LOGIN), rows[i].plain);
		ck_assert_int_eq(users_can(users, SASL_SCRAM_SHA_256), rows[i].scram);
		ck_assert_int_eq(users_can(users, SASL_CRAM_MD5), rows[i].cram);
		ck_assert(!users_can(users, SASL_EXTERNAL));
		users_free(&users);
	}
}
END_TEST

/* Somebody who is not there looks like somebody who is. */
START_TEST(unknown_users)
{
	struct users *users = parse("real:" SCRAM "\nplain:{PLAIN}x\n");
	struct sasl_scram real = {.iterations = 0};
	struct sasl_scram fake = {.iterations = 0};
	struct sasl_scram again = {.iterations = 0};
	struct sasl_scram other = {.iterations = 0};
	struct buf password;

	users_scram_salt(users, span_of("real"), &real);
	users_scram_salt(users, span_of("fake"), &fake);
	users_scram_salt(users, span_of("fake"), &again);
	users_scram_salt(users, span_of("other"), &other);
	ck_assert_uint_eq(fake.iterations, real.iterations);
	ck_assert_uint_eq(fake.salt_len, real.salt_len);
	ck_assert_mem_eq(fake.salt, again.salt, fake.salt_len);
	ck_assert_mem_ne(fake.salt, other.salt, fake.salt_len);
	ck_assert_mem_ne(fake.salt, real.salt, fake.salt_len);
	users_scram_keys(users, span_of("fake"), &fake);
	users_scram_keys(users, span_of("fake"), &again);
	ck_assert_mem_ne(fake.stored_key, again.stored_key, SASL_KEY_SIZE);
	users_scram_salt(users, span_of("plain"), &again);
	users_scram_keys(users, span_of("plain"), &again);
	sasl_scram_derive(&other, span_of("x"));
	ck_assert_mem_ne(other.stored_key, again.stored_key, SASL_KEY_SIZE);
	memcpy(other.salt, again.salt, again.salt_len);
	sasl_scram_derive(&other, span_of("x"));
	ck_assert_mem_eq(other.stored_key, again.stored_key, SASL_KEY_SIZE);
	buf_init(&password, 100);
	ck_assert(!users_password(users, span_of("real"), &password));
	ck_assert(!users_password(users, span_of("fake"), &password));
	ck_assert(users_password(users, span_of("plain"), &password));
	ck_assert(span_is(buf_span(&password), "x"));
	buf_release(&password);
	users_free(&users);
}
END_TEST

/* Of this thread's own: what else the machine has to do is no part of it. */
static int64_t cpu_us(void)
{
	struct timespec now;

	ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t time_of(const struct users *users, const char *name)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 5; i++) {
		int64_t start = cpu_us();
		int64_t used;

		ck_assert(!right(users, name, "wrong"));
		used = cpu_us() - start;
		if (used < best)
			best = used;
	}
	return best;
}

START_TEST(time_tells_nothing)
{
	struct users *users = parse("hashed:" YESCRYPT "\nscram:" SCRAM "\nplain:{PLAIN}x\n");
	int64_t hashed = time_of(users, "hashed");

	ck_assert_int_gt(hashed, 1000);
	ck_assert_int_gt(time_of(users, "nobody"), hashed / 4);
	ck_assert_int_gt(time_of(users, "plain"), hashed / 4);
	ck_assert_int_gt(time_of(users, "scram"), hashed / 4);
	users_free(&users);
}
END_TEST

START_TEST(files)
{
	static const struct {
		mode_t mode;
		bool good;
	} rows[] = {{0600, true}, {0640, true}, {0400, true}, {0644, false}, {0602, false}};
	char path[] = "/tmp/stagepost-users-XXXXXX";
	struct told told = {.text = ""};
	struct users *users = NULL;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "me:{PLAIN}x\n", 12), 12);
	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_assert_int_eq(fchmod(fd, rows[i].mode), 0);
		told.text[0] = '\0';
		ck_assert_int_eq(users_load(path, tell, &told, &users),
				 rows[i].good ? ERR_OK : ERR_SYNTAX);
		if (rows[i].good)
			ck_assert_uint_eq(users_count(users), 1);
		else
			ck_assert_ptr_nonnull(strstr(told.text, "0: holds secrets"));
		users_free(&users);
	}
	close(fd);
	unlink(path);
	told.text[0] = '\0';
	ck_assert_int_eq(users_load(path, tell, &told, &users), ERR_SYNTAX);
	ck_assert_str_eq(told.text, "0: can't be read: No such file or directory\n");
	ck_assert_int_eq(users_load("/dev/null", tell, &told, &users), ERR_SYNTAX);
}
END_TEST

UNIT_MAIN("smtp/users", every_kind, made_and_read, mistakes, sentences_hold_no_secret,
	  what_can_work, unknown_users, time_tells_nothing, files)
