/* admin/session.c - who has logged in at the page */
#include "admin/session.h"

#include <pthread.h>

#include "base/mem.h"

struct open_session {
	unsigned char secret[SECRET_SHA256_BYTES]; /* digest of what the cookie holds */
	unsigned char token[SECRET_SHA256_BYTES];
	int64_t opened_at;
	int64_t used_at;
};

struct sessions {
	pthread_mutex_t mutex;
	struct session_limits limits;
	struct open_session open[SESSIONS_MAX];
	size_t count;
};

struct sessions *sessions_new(const struct session_limits *limits)
{
	struct sessions *sessions = mem_zalloc(sizeof(*sessions));

	sessions->limits = *limits;
	(void)pthread_mutex_init(&sessions->mutex, NULL);
	return sessions;
}

void sessions_free(struct sessions **sessions)
{
	if (*sessions == NULL)
		return;
	(void)pthread_mutex_destroy(&(*sessions)->mutex);
	mem_free(*sessions);
	*sessions = NULL;
}

void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits)
{
	pthread_mutex_lock(&sessions->mutex);
	sessions->limits = *limits;
	pthread_mutex_unlock(&sessions->mutex);
}

/* All below are called under the mutex. */

static void forget(struct sessions *sessions, size_t index)
{
	sessions->open[index] = sessions->open[--sessions->count];
}

static int64_t end_of(const struct sessions *sessions, const struct open_session *session)
{
	return session->opened_at + sessions->limits.total_ms;
}

static bool is_over(const struct sessions *sessions, const struct open_session *session,
		    int64_t now)
{
	return now >= end_of(sessions, session) ||
	       now - session->used_at >= sessions->limits.idle_ms;
}

static void sweep(struct sessions *sessions, int64_t now)
{
	for (size_t i = sessions->count; i-- > 0;)
		if (is_over(sessions, &sessions->open[i], now))
			forget(sessions, i);
}

/* `token` NULL: among all. */
static void forget_idlest(struct sessions *sessions, const unsigned char *token, size_t max)
{
	size_t idlest = SESSIONS_MAX;
	size_t count = 0;

	for (size_t i = 0; i < sessions->count; i++) {
		if (token != NULL &&
		    memcmp(sessions->open[i].token, token, SECRET_SHA256_BYTES) != 0)
			continue;
		count++;
		if (idlest == SESSIONS_MAX ||
		    sessions->open[i].used_at < sessions->open[idlest].used_at)
			idlest = i;
	}
	if (count >= max)
		forget(sessions, idlest);
}

/* What is compared are hashes: the time it takes tells nothing of a secret (CASES S283). */
static struct open_session *find(struct sessions *sessions, struct span secret)
{
	unsigned char digest[SECRET_SHA256_BYTES];

	secret_sha256(secret, digest);
	for (size_t i = 0; i < sessions->count; i++)
		if (memcmp(sessions->open[i].secret, digest, sizeof(digest)) == 0)
			return &sessions->open[i];
	return NULL;
}

void sessions_open(struct sessions *sessions, const unsigned char token[SECRET_SHA256_BYTES],
		   int64_t now, char secret_out[SESSION_SECRET_SIZE])
{
	struct open_session session = {.opened_at = now, .used_at = now};
	unsigned char random[(SESSION_SECRET_SIZE - 1) / 2];

	secret_random(random, sizeof(random));
	secret_hex(random, sizeof(random), secret_out);
	secret_wipe(random, sizeof(random));
	secret_sha256(span_make(secret_out, SESSION_SECRET_SIZE - 1), session.secret);
	memcpy(session.token, token, sizeof(session.token));
	pthread_mutex_lock(&sessions->mutex);
	sweep(sessions, now);
	forget_idlest(sessions, token, SESSIONS_TOKEN_MAX);
	forget_idlest(sessions, NULL, SESSIONS_MAX);
	sessions->open[sessions->count++] = session;
	pthread_mutex_unlock(&sessions->mutex);
}

bool sessions_find(struct sessions *sessions, struct span secret, int64_t now,
		   struct session *session_out)
{
	struct open_session *session;
	bool found;

	pthread_mutex_lock(&sessions->mutex);
	session = find(sessions, secret);
	found = session != NULL && !is_over(sessions, session, now);
	if (found) {
		session->used_at = now;
		memcpy(session_out->token, session->token, sizeof(session->token));
		session_out->ends_at = end_of(sessions, session);
	}
	pthread_mutex_unlock(&sessions->mutex);
	return found;
}

void sessions_close(struct sessions *sessions, struct span secret)
{
	struct open_session *session;

	pthread_mutex_lock(&sessions->mutex);
	session = find(sessions, secret);
	if (session != NULL)
		forget(sessions, (size_t)(session - sessions->open));
	pthread_mutex_unlock(&sessions->mutex);
}

/* --- what goes over the wire ------------------------------------------------------------- */

void session_csrf(struct span secret, char csrf_out[SESSION_SECRET_SIZE])
{
	static const char label[] = "stagepost csrf ";
	unsigned char digest[SECRET_SHA256_BYTES];
	char text[sizeof(label) + SESSION_SECRET_SIZE];
	size_t len = secret.len < SESSION_SECRET_SIZE ? secret.len : SESSION_SECRET_SIZE;

	memcpy(text, label, sizeof(label) - 1);
	memcpy(text + sizeof(label) - 1, secret.data, len);
	secret_sha256(span_make(text, sizeof(label) - 1 + len), digest);
	secret_hex(digest, sizeof(digest), csrf_out);
	secret_wipe(text, sizeof(text));
}

struct span session_of_cookies(struct span cookies)
{
	struct span secret = {NULL, 0};
	size_t count = 0;

	while (cookies.len > 0) {
		struct span pair = span_trim(span_cut(&cookies, ';'));

		if (!span_is(span_first(pair, span_find(pair, '=')), SESSION_COOKIE))
			continue;
		secret = span_skip(pair, sizeof(SESSION_COOKIE));
		count++;
	}
	return count == 1 && secret.len == SESSION_SECRET_SIZE - 1 ? secret : span_make(NULL, 0);
}
