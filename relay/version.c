/* relay/version.c - one configuration in force, kept alive while somebody still uses it */
#include "relay/version.h"

#include <assert.h>
#include <pthread.h>

#include "base/mem.h"

struct version {
	struct version *older;
	struct config *config;
	size_t holders;
};

struct versions {
	pthread_mutex_t lock;
	struct version *newest; /* the one in force; the list goes on to older ones */
};

static struct version *version_new(struct config *config, struct version *older)
{
	struct version *version = mem_zalloc(sizeof(*version));

	version->config = config;
	version->older = older;
	return version;
}

struct versions *versions_new(struct config *config_take)
{
	struct versions *versions = mem_zalloc(sizeof(*versions));

	pthread_mutex_init(&versions->lock, NULL);
	versions->newest = version_new(config_take, NULL);
	return versions;
}

static void version_free(struct version *version)
{
	config_free(&version->config);
	mem_free(version);
}

/* Under the lock: drop what is old and unused. */
static void sweep(struct versions *versions)
{
	struct version **at = &versions->newest->older;

	while (*at != NULL) {
		struct version *version = *at;

		if (version->holders > 0) {
			at = &version->older;
			continue;
		}
		*at = version->older;
		version_free(version);
	}
}

void versions_free(struct versions **versions)
{
	if (*versions == NULL)
		return;
	sweep(*versions);
	assert((*versions)->newest->older == NULL && (*versions)->newest->holders == 0);
	version_free((*versions)->newest);
	pthread_mutex_destroy(&(*versions)->lock);
	mem_free(*versions);
	*versions = NULL;
}

const struct config *versions_replace(struct versions *versions, struct config *config_take)
{
	pthread_mutex_lock(&versions->lock);
	versions->newest = version_new(config_take, versions->newest);
	versions->newest->holders = 1;
	sweep(versions);
	pthread_mutex_unlock(&versions->lock);
	return config_take;
}

const struct config *versions_acquire(struct versions *versions)
{
	const struct config *config;

	pthread_mutex_lock(&versions->lock);
	versions->newest->holders++;
	config = versions->newest->config;
	pthread_mutex_unlock(&versions->lock);
	return config;
}

/* Under the lock. */
static struct version *find_held(struct versions *versions, const struct config *config)
{
	struct version *version = versions->newest;

	while (version != NULL && version->config != config)
		version = version->older;
	assert(version != NULL && version->holders > 0);
	return version;
}

void versions_hold(struct versions *versions, const struct config *config)
{
	pthread_mutex_lock(&versions->lock);
	find_held(versions, config)->holders++;
	pthread_mutex_unlock(&versions->lock);
}

void versions_release(struct versions *versions, const struct config *config)
{
	pthread_mutex_lock(&versions->lock);
	find_held(versions, config)->holders--;
	sweep(versions);
	pthread_mutex_unlock(&versions->lock);
}
