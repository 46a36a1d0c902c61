/* admin/auth.c - who is asking */
#include <config.h>

#include "admin/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* --- secrets -------------------------------------------------------------------------------- */

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void auth_new_secret(char secret_out[AUTH_SECRET_SIZE],
		     unsigned char digest_out[SECRET_SHA256_BYTES])
{
	size_t at = 4;

	memcpy(secret_out, "stp_", 4);
	while (at < AUTH_SECRET_SIZE - 1) {
		unsigned char byte;

		secret_random(&byte, 1);
		if (byte < 4 * 62) /* the rest would make some characters likelier */
			secret_out[at++] = base62[byte % 62];
	}
	secret_out[at] = '\0';
	secret_sha256(span_make(secret_out, at), digest_out);
}

/* --- a request ------------------------------------------------------------------------------- */

/* Without a look into the store: could it be one? */
static bool is_secret(struct span secret)
{
	if (secret.len != AUTH_SECRET_SIZE - 1)
		return false;
	for (size_t i = 0; i < secret.len; i++)
		if (!ascii_is_alnum(secret.data[i]) && secret.data[i] != '_')
			return false;
	return true;
}

static int refuse(struct err *why)
{
	return err_set(why, ERR_DENIED, "a valid bearer token is needed");
}

int auth_digest(struct store_reader *reader, const unsigned char digest[SECRET_SHA256_BYTES],
		int64_t now, struct caller *caller_out, struct err *why)
{
	struct arena *arena = arena_new();
	struct token token;
	int code = queue_token_find(reader, digest, arena, &token, why);

	if (code == ERR_NOT_FOUND ||
	    (code == ERR_OK && token.expires_at != 0 && token.expires_at <= now))
		code = refuse(why);
	if (code == ERR_OK) {
		caller_out->role = token.role;
		(void)snprintf(caller_out->scope, sizeof(caller_out->scope), "%s", token.scope);
		(void)snprintf(caller_out->actor, sizeof(caller_out->actor), "token:%s",
			       token.name);
		caller_out->token = token.id;
		caller_out->last_used_at = token.last_used_at;
	}
	arena_free(&arena);
	return code;
}

int auth_secret(struct store_reader *reader, struct span secret, int64_t now,
		unsigned char digest_out[SECRET_SHA256_BYTES], struct caller *caller_out,
		struct err *why)
{
	if (!is_secret(secret))
		return refuse(why);
	/* What the look-up compares is a hash: its timing tells nothing of the secret (S283). */
	secret_sha256(secret, digest_out);
	return auth_digest(reader, digest_out, now, caller_out, why);
}

int auth_bearer(struct store_reader *reader, const char *authorization, int64_t now,
		struct caller *caller_out, struct err *why)
{
	unsigned char digest[SECRET_SHA256_BYTES];
	struct span value = span_of(authorization);

	if (!span_starts_fold(value, "Bearer "))
		return refuse(why);
	return auth_secret(reader, span_skip(value, strlen("Bearer ")), now, digest, caller_out,
			   why);
}

int auth_peer(const struct http_peer *peer, struct caller *caller_out, struct err *why)
{
	if (!peer->uid_known || (peer->uid != 0 && peer->uid != geteuid()))
		return err_set(why, ERR_DENIED,
			       "this socket serves the daemon's own user and root only");
	caller_out->role = ROLE_ADMIN;
	caller_out->scope[0] = '\0';
	caller_out->token = 0;
	(void)snprintf(caller_out->actor, sizeof(caller_out->actor), "socket:%u", peer->uid);
	return ERR_OK;
}

/* --- the first token ----------------------------------------------------------------------------
 */

static int write_secret(int dir, const char *secret, struct err *why)
{
	char line[AUTH_SECRET_SIZE + 1];
	size_t len = (size_t)snprintf(line, sizeof(line), "%s\n", secret);
	bool written;
	int fd;

	(void)unlinkat(dir, "admin.token.new", 0); /* of a start that was cut short */
	fd = openat(dir, "admin.token.new", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return err_set(why, ERR_IO, "can't create admin.token: %s", strerror(errno));
	written = write(fd, line, len) == (ssize_t)len && fsync(fd) == 0;
	written = close(fd) == 0 && written;
	secret_wipe(line, sizeof(line));
	if (!written || renameat(dir, "admin.token.new", dir, "admin.token") != 0 ||
	    fsync(dir) != 0)
		return err_set(why, ERR_IO, "can't write admin.token: %s", strerror(errno));
	return ERR_OK;
}

static int create_first(struct store *store, const char *data_dir, int64_t now, struct err *why)
{
	struct token_create request = {
		.token = {.name = "admin",
			  .role = ROLE_ADMIN,
			  .scope = "",
			  .created_at = now,
			  .created_by = "first start"},
		.actor = "first start",
		.now = now,
	};
	char secret[AUTH_SECRET_SIZE];
	int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code;

	if (dir < 0)
		return err_set(why, ERR_IO, "can't open %s: %s", data_dir, strerror(errno));
	auth_new_secret(secret, request.digest);
	/*
	 * The file first: a start that is cut short between the two finds no token
	 * the next time and writes the file anew.
	 */
	code = write_secret(dir, secret, why);
	(void)close(dir);
	secret_wipe(secret, sizeof(secret));
	if (code == ERR_OK)
		code = store_wait(store, queue_token_create, &request.job, why);
	return code;
}

int auth_first_token(struct store *store, struct store_reader *reader, const char *data_dir,
		     int64_t now, struct err *why)
{
	int64_t count = 0;
	int code = queue_token_count(reader, &count, why);

	if (code != ERR_OK || count > 0)
		return code;
	return create_first(store, data_dir, now, why);
}

/* --- wrong tokens
 * --------------------------------------------------------------------------------- */

#define FAILURE_SLOTS	  256
#define FAILURE_WINDOW_MS 10000
#define FAILURE_LIMIT	  10 /* in a window */

/* One address a slot; two that meet in one share its fate for a window, which is harmless. */
struct auth_failures {
	pthread_mutex_t mutex;
	struct {
		int64_t window_at;
		uint64_t count;
		uint64_t quiet;
	} slots[FAILURE_SLOTS];
};

struct auth_failures *auth_failures_new(void)
{
	struct auth_failures *failures = mem_zalloc(sizeof(*failures));

	(void)pthread_mutex_init(&failures->mutex, NULL);
	return failures;
}

void auth_failures_free(struct auth_failures **failures)
{
	if (*failures == NULL)
		return;
	(void)pthread_mutex_destroy(&(*failures)->mutex);
	mem_free(*failures);
	*failures = NULL;
}

static size_t slot_of(const char *address)
{
	uint32_t hash = 2166136261U;

	for (; *address != '\0'; address++)
		hash = (hash ^ (unsigned char)*address) * 16777619U;
	return (hash ^ hash >> 16) % FAILURE_SLOTS;
}

void auth_failures_add(struct auth_failures *failures, const char *address, int64_t mono_ms,
		       struct auth_failure *failure_out)
{
	size_t i = slot_of(address);

	pthread_mutex_lock(&failures->mutex);
	failure_out->log = failures->slots[i].count == 0 ||
			   mono_ms - failures->slots[i].window_at >= FAILURE_WINDOW_MS;
	failure_out->quiet = failures->slots[i].quiet;
	if (failure_out->log) {
		failures->slots[i].window_at = mono_ms;
		failures->slots[i].count = 0;
		failures->slots[i].quiet = 0;
	} else {
		failures->slots[i].quiet++;
	}
	failure_out->over_limit = ++failures->slots[i].count > FAILURE_LIMIT;
	pthread_mutex_unlock(&failures->mutex);
}
