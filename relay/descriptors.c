/* relay/descriptors.c - open files and sockets: how many there may be, and who is sure of some */
#include <config.h>

#include "relay/descriptors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the parts open when they start, generously. */
#define FOR_ITSELF   64 /* log, database, signals, listeners, the API's threads */
#define PER_WORKER   3	/* its view of the database */
#define PER_LOOP     8
#define FOR_THE_REST 24 /* some clients, a next hop, the API: less is no use */

/* What the parts open while they run. */
#define FOR_API	     512
#define PER_NEXT_HOP 3	/* the connection, and both ends of libesmtp's */
#define SPARE	     32 /* look-ups of names, certificates and configuration read again */
#define FOR_ADMIN    16 /* what it opens when it starts */

static size_t needed_to_run(const struct config *config)
{
	return FOR_ITSELF + PER_WORKER * config->delivery.workers + PER_LOOP * CONFIG_MAX_THREADS +
	       FOR_THE_REST;
}

int descriptors_prepare(const struct config *config, struct descriptors *descriptors_out,
			struct err *why)
{
	size_t needed = needed_to_run(config);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return err_set(why, ERR_IO, "getrlimit: %s", strerror(errno));
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < needed)
		return err_set(
			why, ERR_LIMIT,
			"the limit of %llu open files is too low: allow at least %zu (ulimit -n, "
			"or LimitNOFILE= of the service)",
			(unsigned long long)limit.rlim_cur, needed);
	*descriptors_out = (struct descriptors){
		.limit = limit.rlim_cur < INT_MAX ? (size_t)limit.rlim_cur : INT_MAX};
	return ERR_OK;
}

/* New descriptors get the lowest free number: as long as none was closed, it is their count. */
void descriptors_count(struct descriptors *descriptors)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	descriptors->at_start = (fd >= 0 ? (size_t)fd : descriptors->limit / 2) + FOR_ADMIN;
	if (fd >= 0)
		close(fd);
}

/* All that next hops and the API may ever want; where that is too much, a quarter of what is left.
 */
static size_t kept(const struct descriptors *descriptors, const struct config *config)
{
	size_t wanted = FOR_API + config->admin.max_streams + config->admin.max_waits + SPARE;
	size_t left = descriptors->limit > descriptors->at_start
			      ? descriptors->limit - descriptors->at_start
			      : 0;
	size_t share = left / 4 > FOR_THE_REST ? left / 4 : FOR_THE_REST;

	for (size_t i = 0; i < config->delivery.route_count; i++)
		wanted += PER_NEXT_HOP * config->delivery.routes[i].max_connections;
	return wanted < share ? wanted : share;
}

int descriptors_ceiling(const struct descriptors *descriptors, const struct config *config)
{
	size_t keep = kept(descriptors, config);

	assert(descriptors->limit > keep);
	return (int)(descriptors->limit - keep);
}

size_t descriptors_room(const struct descriptors *descriptors, const struct config *config)
{
	size_t gone = descriptors->at_start + kept(descriptors, config);

	return descriptors->limit > gone ? descriptors->limit - gone : 0;
}
