/* relay/smtp/census.c - how many connections there are, in all and from each client */
#include "relay/smtp/census.h"

#include <assert.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/secret.h"

struct client {
	struct client *next;
	unsigned char unit[16];
	size_t count;
};

#define BUCKETS 1024

struct census {
	pthread_mutex_t lock;
	uint64_t seed;
	size_t total;
	struct client *buckets[BUCKETS];
};

struct census *census_new(void)
{
	struct census *census = mem_zalloc(sizeof(*census));

	pthread_mutex_init(&census->lock, NULL);
	secret_random(&census->seed, sizeof(census->seed));
	return census;
}

void census_free(struct census **census)
{
	if (*census == NULL)
		return;
	assert((*census)->total == 0);
	pthread_mutex_destroy(&(*census)->lock);
	mem_free(*census);
	*census = NULL;
}

/* FNV-1a from a secret start: a client can't choose addresses that meet in one bucket. */
static struct client **bucket_of(struct census *census, const unsigned char *unit)
{
	uint64_t hash = census->seed;

	for (size_t i = 0; i < 16; i++)
		hash = (hash ^ unit[i]) * UINT64_C(1099511628211);
	return &census->buckets[(hash >> 32) % BUCKETS];
}

/* The pointer that points to the client, or to NULL at the end of its bucket. */
static struct client **find(struct census *census, const unsigned char *unit)
{
	struct client **at = bucket_of(census, unit);

	while (*at != NULL && memcmp((*at)->unit, unit, 16) != 0)
		at = &(*at)->next;
	return at;
}

static bool add_client(struct census *census, const struct peer_address *address, size_t max)
{
	struct peer_address unit = peer_address_unit(address);
	struct client **at = find(census, unit.bytes);

	if (*at == NULL) {
		*at = mem_zalloc(sizeof(**at));
		memcpy((*at)->unit, unit.bytes, 16);
	} else if ((*at)->count >= max) {
		return false;
	}
	(*at)->count++;
	return true;
}

static bool is_counted_alone(const struct peer_address *address)
{
	return address->unix_peer || address->unknown;
}

enum census_answer census_enter(struct census *census, const struct peer_address *address,
				size_t max_total, size_t max_per_client)
{
	enum census_answer answer = CENSUS_OK;

	pthread_mutex_lock(&census->lock);
	if (census->total >= max_total)
		answer = CENSUS_FULL;
	else if (!is_counted_alone(address) &&
		 (max_per_client == 0 || !add_client(census, address, max_per_client)))
		answer = CENSUS_CLIENT_FULL;
	else
		census->total++;
	pthread_mutex_unlock(&census->lock);
	return answer;
}

enum census_answer census_name(struct census *census, const struct peer_address *address,
			       size_t max_per_client)
{
	enum census_answer answer = CENSUS_OK;

	if (is_counted_alone(address))
		return CENSUS_OK;
	pthread_mutex_lock(&census->lock);
	if (max_per_client == 0 || !add_client(census, address, max_per_client))
		answer = CENSUS_CLIENT_FULL;
	pthread_mutex_unlock(&census->lock);
	return answer;
}

static void remove_client(struct census *census, const struct peer_address *address)
{
	struct peer_address unit = peer_address_unit(address);
	struct client **at = find(census, unit.bytes);
	struct client *client = *at;

	assert(client != NULL && client->count > 0);
	if (--client->count == 0) {
		*at = client->next;
		mem_free(client);
	}
}

void census_leave(struct census *census, const struct peer_address *address)
{
	pthread_mutex_lock(&census->lock);
	assert(census->total > 0);
	census->total--;
	if (!is_counted_alone(address))
		remove_client(census, address);
	pthread_mutex_unlock(&census->lock);
}

size_t census_total(struct census *census)
{
	size_t total;

	pthread_mutex_lock(&census->lock);
	total = census->total;
	pthread_mutex_unlock(&census->lock);
	return total;
}

size_t census_client(struct census *census, const struct peer_address *address)
{
	struct peer_address unit = peer_address_unit(address);
	const struct client *client;
	size_t count = 0;

	if (is_counted_alone(address))
		return 0;
	pthread_mutex_lock(&census->lock);
	client = *find(census, unit.bytes);
	if (client != NULL)
		count = client->count;
	pthread_mutex_unlock(&census->lock);
	return count;
}
