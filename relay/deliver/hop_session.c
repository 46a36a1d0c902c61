/* relay/deliver/hop_session.c - TLS sessions of one route, kept for the next dial */
#include "relay/deliver/hop_session.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct kept {
	char host[264];
	SSL_SESSION *session; /* NULL: a free place */
	struct hop_judgement judgement;
	int64_t since_ms;
	uint64_t number; /* the order they came in */
};

struct hop_sessions {
	pthread_mutex_t lock;
	struct kept kept[HOP_SESSIONS_MAX];
	uint64_t numbers;
};

struct hop_sessions *hop_sessions_new(void)
{
	struct hop_sessions *sessions = mem_zalloc(sizeof(*sessions));

	pthread_mutex_init(&sessions->lock, NULL);
	return sessions;
}

static void forget(struct kept *kept)
{
	SSL_SESSION_free(kept->session);
	kept->session = NULL;
}

void hop_sessions_free(struct hop_sessions **sessions)
{
	if (*sessions == NULL)
		return;
	for (size_t i = 0; i < HOP_SESSIONS_MAX; i++)
		forget(&(*sessions)->kept[i]);
	pthread_mutex_destroy(&(*sessions)->lock);
	mem_free(*sessions);
	*sessions = NULL;
}

/* May be shown once only. */
static bool is_ticket(const SSL_SESSION *session)
{
	return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

static bool is_of(const struct kept *kept, const char *host)
{
	return kept->session != NULL && strcmp(kept->host, host) == 0;
}

/* A free place, or the oldest: of this host where it has its share, else of all. */
static struct kept *place_for(struct hop_sessions *sessions, const char *host, size_t share)
{
	struct kept *free_one = NULL, *oldest = NULL, *own = NULL;
	size_t count = 0;

	for (size_t i = 0; i < HOP_SESSIONS_MAX; i++) {
		struct kept *kept = &sessions->kept[i];

		if (kept->session == NULL) {
			free_one = kept;
			continue;
		}
		if (oldest == NULL || kept->number < oldest->number)
			oldest = kept;
		if (!is_of(kept, host))
			continue;
		count++;
		if (own == NULL || kept->number < own->number)
			own = kept;
	}
	if (count >= share)
		return own;
	return free_one != NULL ? free_one : oldest;
}

void hop_sessions_put(struct hop_sessions *sessions, const char *host, const SSL_SESSION *session,
		      const struct hop_judgement *judgement, int64_t now_ms)
{
	/* A copy: the connection goes on writing to its own, in another thread. */
	SSL_SESSION *copy = SSL_SESSION_dup(session);
	struct kept *kept;

	if (copy == NULL)
		return;
	pthread_mutex_lock(&sessions->lock);
	kept = place_for(sessions, host, is_ticket(copy) ? HOP_SESSIONS_HOST_MAX : 1);
	forget(kept);
	snprintf(kept->host, sizeof(kept->host), "%s", host);
	kept->session = copy;
	kept->judgement = *judgement;
	kept->since_ms = now_ms;
	kept->number = ++sessions->numbers;
	pthread_mutex_unlock(&sessions->lock);
}

/* Nobody would have trusted it at a full handshake any more. */
static bool is_over(const struct kept *kept, int64_t now_ms)
{
	const X509 *x509 = SSL_SESSION_get0_peer(kept->session);

	return now_ms - kept->since_ms > HOP_SESSION_LIFE_MS || x509 == NULL ||
	       X509_cmp_current_time(X509_get0_notAfter(x509)) <= 0;
}

static struct kept *newest(struct hop_sessions *sessions, const char *host, int64_t now_ms)
{
	struct kept *best = NULL;

	for (size_t i = 0; i < HOP_SESSIONS_MAX; i++) {
		struct kept *kept = &sessions->kept[i];

		if (!is_of(kept, host))
			continue;
		if (is_over(kept, now_ms))
			forget(kept);
		else if (best == NULL || kept->number > best->number)
			best = kept;
	}
	return best;
}

SSL_SESSION *hop_sessions_take(struct hop_sessions *sessions, const char *host, int64_t now_ms,
			       struct hop_judgement *judgement_out)
{
	SSL_SESSION *session = NULL;
	struct kept *kept;

	pthread_mutex_lock(&sessions->lock);
	kept = newest(sessions, host, now_ms);
	if (kept != NULL) {
		session = SSL_SESSION_dup(kept->session);
		*judgement_out = kept->judgement;
		if (is_ticket(kept->session))
			forget(kept);
	}
	pthread_mutex_unlock(&sessions->lock);
	return session;
}
