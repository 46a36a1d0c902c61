/* relay/deliver/hop_session.c - TLS sessions of one route, kept for the next dial */
#include "relay/deliver/hop_session.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct kept {
	char host[264];
	SSL_SESSION *session;
	struct hop_judgement judgement;
	int64_t since_ms;
	uint64_t number; /* the order they came in */
};

struct hop_sessions {
	pthread_mutex_t lock;
	struct kept *kept[HOP_SESSIONS_MAX]; /* NULL: a free place */
	uint64_t numbers;
};

struct hop_sessions *hop_sessions_new(void)
{
	struct hop_sessions *sessions = mem_zalloc(sizeof(*sessions));

	pthread_mutex_init(&sessions->lock, NULL);
	return sessions;
}

static void forget(struct kept **place)
{
	if (*place == NULL)
		return;
	SSL_SESSION_free((*place)->session);
	mem_free(*place);
	*place = NULL;
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
	return kept != NULL && strcmp(kept->host, host) == 0;
}

static bool is_older(struct kept *const *place, struct kept *const *than)
{
	return than == NULL || (*place)->number < (*than)->number;
}

/* A free place, or the oldest: of this host where it has its share, else of all. */
static struct kept **place_for(struct hop_sessions *sessions, const char *host, size_t share)
{
	struct kept **unused = NULL, **oldest = NULL, **own = NULL;
	size_t count = 0;

	for (size_t i = 0; i < HOP_SESSIONS_MAX; i++) {
		struct kept **place = &sessions->kept[i];

		if (*place == NULL) {
			unused = place;
			continue;
		}
		if (is_older(place, oldest))
			oldest = place;
		if (!is_of(*place, host))
			continue;
		count++;
		if (is_older(place, own))
			own = place;
	}
	if (count >= share)
		return own;
	return unused != NULL ? unused : oldest;
}

static struct kept *new_kept(const char *host, SSL_SESSION *session_take,
			     const struct hop_judgement *judgement, int64_t now_ms)
{
	struct kept *kept = mem_zalloc(sizeof(*kept));

	snprintf(kept->host, sizeof(kept->host), "%s", host);
	kept->session = session_take;
	kept->judgement = *judgement;
	kept->since_ms = now_ms;
	return kept;
}

void hop_sessions_put(struct hop_sessions *sessions, const char *host, const SSL_SESSION *session,
		      const struct hop_judgement *judgement, int64_t now_ms)
{
	/* A copy: the connection goes on writing to its own, in another thread. */
	SSL_SESSION *copy = SSL_SESSION_dup(session);
	struct kept *kept, **place;

	if (copy == NULL)
		return;
	kept = new_kept(host, copy, judgement, now_ms);
	pthread_mutex_lock(&sessions->lock);
	place = place_for(sessions, host, is_ticket(copy) ? HOP_SESSIONS_HOST_MAX : 1);
	forget(place);
	kept->number = ++sessions->numbers;
	*place = kept;
	pthread_mutex_unlock(&sessions->lock);
}

/* Nobody would have trusted it at a full handshake any more. */
static bool is_over(const struct kept *kept, int64_t now_ms)
{
	const X509 *x509 = SSL_SESSION_get0_peer(kept->session);

	return now_ms - kept->since_ms > HOP_SESSION_LIFE_MS || x509 == NULL ||
	       X509_cmp_current_time(X509_get0_notAfter(x509)) <= 0;
}

static struct kept **newest(struct hop_sessions *sessions, const char *host, int64_t now_ms)
{
	struct kept **best = NULL;

	for (size_t i = 0; i < HOP_SESSIONS_MAX; i++) {
		struct kept **place = &sessions->kept[i];

		if (!is_of(*place, host))
			continue;
		if (is_over(*place, now_ms))
			forget(place);
		else if (best == NULL || is_older(best, place))
			best = place;
	}
	return best;
}

SSL_SESSION *hop_sessions_take(struct hop_sessions *sessions, const char *host, int64_t now_ms,
			       struct hop_judgement *judgement_out)
{
	SSL_SESSION *session = NULL;
	struct kept **place;

	pthread_mutex_lock(&sessions->lock);
	place = newest(sessions, host, now_ms);
	if (place != NULL) {
		session = SSL_SESSION_dup((*place)->session);
		*judgement_out = (*place)->judgement;
		if (is_ticket((*place)->session))
			forget(place);
	}
	pthread_mutex_unlock(&sessions->lock);
	return session;
}

void hop_sessions_forget(struct hop_sessions *sessions, const char *host)
{
	pthread_mutex_lock(&sessions->lock);
	for (size_t i = 0; i < HOP_SESSIONS_MAX; i++)
		if (is_of(sessions->kept[i], host))
			forget(&sessions->kept[i]);
	pthread_mutex_unlock(&sessions->lock);
}
