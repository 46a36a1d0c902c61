/* relay/deliver/keyring.c - what routes log in with: fetched, and hashed, beside the loops */
#include <config.h> /* O_CLOEXEC, st_mtim */

#include "relay/deliver/keyring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/deliver/command.h"
#include "relay/wire/sasl_client.h"

struct keyring {
	struct crew *quick, *commands; /* a thread each */
	struct sasl_library *sasl;
};

/* Of a file: whether it is still the one that was read. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

/* All but `keyring` and `route` is that thread's which does the jobs of this key. */
struct key {
	struct keyring *keyring;
	const struct route_options *route;
	struct buf secret; /* the last one; empty: none yet */
	struct stamp stamp;
	int64_t fetched_ms;
	atomic_bool good; /* a server took it, and none said no since */
};

/* --- threads ------------------------------------------------------------------------- */

static void run(struct crew_job *crew_job)
{
	struct keyring_job *job = (struct keyring_job *)crew_job;

	job->run(job);
	if (!loop_post(job->loop, &job->done))
		assert(!"the loops outlive delivery");
}

struct keyring *keyring_new(void)
{
	struct keyring *keyring = mem_zalloc(sizeof(*keyring));
	int code = crew_new("keyring", 1, &keyring->quick, NULL);

	if (code == ERR_OK)
		code = crew_new("token commands", 1, &keyring->commands, NULL);
	assert(code == ERR_OK);
	keyring->sasl = sasl_library_new();
	return keyring;
}

void keyring_free(struct keyring **keyring)
{
	if (*keyring == NULL)
		return;
	crew_free(&(*keyring)->quick);
	crew_free(&(*keyring)->commands);
	sasl_library_free(&(*keyring)->sasl);
	mem_free(*keyring);
	*keyring = NULL;
}

const struct sasl_library *keyring_sasl(const struct keyring *keyring)
{
	return keyring->sasl;
}

/* --- what a secret looks like ----------------------------------------------------------- */

/* RFC 6750 2.1: no blank, nothing that would end the field it is sent in. */
static bool is_token(struct span secret)
{
	for (size_t i = 0; i < secret.len; i++)
		if (secret.data[i] <= ' ' || secret.data[i] >= 0x7f)
			return false;
	return true;
}

int key_check(struct span secret, bool token, struct err *why)
{
	if (secret.len == 0)
		return err_set(why, ERR_SYNTAX, "there is no %s in it",
			       token ? "token" : "password");
	if (secret.len > SASL_SECRET_MAX)
		return err_set(why, ERR_SYNTAX, "a %s has at most %d octets",
			       token ? "token" : "password", SASL_SECRET_MAX);
	if (token && !is_token(secret))
		return err_set(why, ERR_SYNTAX,
			       "a token holds printable ASCII characters and no blanks");
	for (size_t i = 0; i < secret.len; i++)
		if ((unsigned char)secret.data[i] < ' ' || secret.data[i] == 0x7f)
			return err_set(why, ERR_SYNTAX, "a password holds no control characters");
	return ERR_OK;
}

/* --- files ----------------------------------------------------------------------------------- */

static struct stamp stamp_of(const struct stat *status)
{
	return (struct stamp){status->st_dev, status->st_ino, status->st_size, status->st_mtim};
}

static bool is_same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

/* A pipe would let us wait, a file that everybody reads is no secret. */
static int open_file(const char *path, struct stamp *stamp_out, struct err *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	int code = ERR_OK;

	if (fd < 0 || fstat(fd, &status) != 0)
		code = err_set(why, ERR_IO, "%.120s can't be read: %s", path, strerror(errno));
	else if (!S_ISREG(status.st_mode))
		code = err_set(why, ERR_IO, "%.120s is no regular file", path);
	else if ((status.st_mode & S_IROTH) != 0)
		code = err_set(why, ERR_DENIED,
			       "%.120s can be read by everybody (chmod o-r makes it a secret)",
			       path);
	if (code == ERR_OK) {
		*stamp_out = stamp_of(&status);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return code;
}

static int read_all(int fd, const char *path, struct buf *text, struct err *why)
{
	for (;;) {
		char *room = buf_reserve(text, 1024);
		ssize_t n = room != NULL ? read(fd, room, 1024) : 0;

		if (room == NULL)
			return ERR_OK; /* the first line is what counts, or is too long anyway */
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(why, ERR_IO, "%.120s can't be read: %s", path,
				       strerror(errno));
		if (n == 0)
			return ERR_OK;
		buf_fill(text, (size_t)n);
	}
}

static int read_first_line(const char *path, struct stamp *stamp_out, struct buf *secret_out,
			   struct err *why)
{
	int fd = open_file(path, stamp_out, why);
	struct span line;
	struct buf text;
	int code;

	if (fd < 0)
		return fd;
	buf_init(&text, SASL_SECRET_MAX + 2048);
	code = read_all(fd, path, &text, why);
	close(fd);
	line = buf_span(&text);
	line = span_first(line, span_find(line, '\n'));
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (code == ERR_OK && line.len == 0)
		code = err_set(why, ERR_SYNTAX, "%.120s has nothing in its first line", path);
	if (code == ERR_OK && buf_append_span(secret_out, line) != ERR_OK)
		code = err_set(why, ERR_SYNTAX, "%.120s holds more than %d octets", path,
			       SASL_SECRET_MAX);
	buf_wipe(&text);
	return code;
}

int key_read_file(const char *path, struct buf *secret_out, struct err *why)
{
	struct stamp stamp;

	return read_first_line(path, &stamp, secret_out, why);
}

/* --- keys ----------------------------------------------------------------------------------- */

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

bool key_is_token(const struct route_options *route)
{
	return is_given(route->token) || is_given(route->token_file) ||
	       is_given(route->token_command);
}

struct key *key_new(struct keyring *keyring, const struct route_options *route)
{
	struct key *key = mem_zalloc(sizeof(*key));

	key->keyring = keyring;
	key->route = route;
	buf_init(&key->secret, SASL_SECRET_MAX);
	return key;
}

void key_free(struct key **key)
{
	if (*key == NULL)
		return;
	buf_wipe(&(*key)->secret);
	mem_free(*key);
	*key = NULL;
}

const struct keyring *key_ring(const struct key *key)
{
	return key->keyring;
}

/* All jobs of a key in one thread. */
void key_submit(struct key *key, struct keyring_job *job)
{
	struct crew *crew = is_given(key->route->token_command) ? key->keyring->commands
								: key->keyring->quick;

	job->job = (struct crew_job){.run = run};
	crew_give(crew, &job->job);
}

void key_judged(struct key *key, bool good)
{
	atomic_store(&key->good, good);
}

static int take_new(struct key *key, struct buf *fetched, int code, struct err *why)
{
	struct span token = span_trim(buf_span(fetched));

	if (code == ERR_OK)
		code = key_check(token, true, why);
	if (code == ERR_OK) {
		buf_wipe(&key->secret);
		code = buf_append_span(&key->secret, token);
		key->fetched_ms = clock_mono_ms();
		atomic_store(&key->good, false);
	}
	buf_wipe(fetched);
	return code;
}

/* While somebody writes it anew it may be gone, or empty, for a moment: the last one has to do. */
static int renew_from_file(struct key *key, struct err *why)
{
	const char *path = key->route->token_file;
	struct stamp stamp;
	struct stat status;
	struct buf fetched;
	int code;

	if (key->secret.len > 0) {
		if (stat(path, &status) != 0)
			return ERR_OK;
		stamp = stamp_of(&status);
		if (is_same_stamp(&stamp, &key->stamp))
			return ERR_OK;
	}
	buf_init(&fetched, SASL_SECRET_MAX);
	code = take_new(key, &fetched, read_first_line(path, &stamp, &fetched, why), why);
	if (code == ERR_OK)
		key->stamp = stamp;
	return key->secret.len > 0 && code != ERR_DENIED ? ERR_OK : code;
}

static int renew_by_command(struct key *key, struct span refused, struct err *why)
{
	bool fresh = atomic_load(&key->good) && clock_mono_ms() - key->fetched_ms < KEY_FRESH_MS &&
		     !span_equal(refused, buf_span(&key->secret));
	struct buf fetched;

	if (fresh)
		return ERR_OK;
	buf_init(&fetched, SASL_SECRET_MAX);
	return take_new(key, &fetched,
			command_run(key->route->token_command, KEY_COMMAND_MS, &fetched, why), why);
}

int key_fetch(struct key *key, struct span refused, struct buf *secret_out, struct err *why)
{
	const struct route_options *route = key->route;
	struct span secret = span_of(route->secret);
	int code = ERR_OK;

	if (is_given(route->token_command))
		code = renew_by_command(key, refused, why);
	else if (is_given(route->token_file))
		code = renew_from_file(key, why);
	if (code != ERR_OK)
		return code;
	if (is_given(route->token_command) || is_given(route->token_file))
		secret = buf_span(&key->secret);
	return buf_append_span(secret_out, secret);
}
