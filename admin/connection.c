/* admin/connection.c - the sockets of the HTTP server: who is at the other end, and until when */
#include <config.h>

#include "admin/connection.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#define SWEEP_MS_MAX 1000

struct connection {
	struct connection *previous;
	struct connection *next;
	struct connections *all;
	struct http_peer peer;
	int fd;
	int64_t deadline_at;
	int64_t idle_since; /* while it is not busy */
	bool busy;
	bool aside;
	bool cut;
};

struct connections {
	void *owner;
	pthread_mutex_t mutex;	/* all below, and what is listed */
	pthread_cond_t changed; /* a connection is gone, or stopping was set */
	struct connection *first;
	size_t count;
	size_t remote; /* of them by TCP */
	size_t many;   /* of those, and who is idle makes room */
	int64_t sweep_ms;
	pthread_t sweeper;
	bool stopping;
};

/* --- the sweeper --------------------------------------------------------------------------- */

/* Under the mutex: until something changed or `ms` have passed. */
static void wait_changed(struct connections *all, int64_t ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	(void)pthread_cond_timedwait(&all->changed, &all->mutex, &until);
}

static void *sweeper_main(void *ctx)
{
	struct connections *all = ctx;

	pthread_mutex_lock(&all->mutex);
	while (!all->stopping) {
		int64_t now = clock_mono_ms();

		for (struct connection *c = all->first; c != NULL; c = c->next)
			if (c->deadline_at <= now)
				(void)shutdown(c->fd, SHUT_RDWR);
		wait_changed(all, all->sweep_ms);
	}
	pthread_mutex_unlock(&all->mutex);
	return NULL;
}

static void set_stopping(struct connections *all)
{
	pthread_mutex_lock(&all->mutex);
	all->stopping = true;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->mutex);
}

static void release(struct connections *all)
{
	(void)pthread_cond_destroy(&all->changed);
	(void)pthread_mutex_destroy(&all->mutex);
	mem_free(all);
}

int connections_start(int64_t sweep_ms, size_t many, void *owner,
		      struct connections **connections_out, struct err *why)
{
	struct connections *all = mem_zalloc(sizeof(*all));
	pthread_condattr_t attributes;
	int code;

	all->owner = owner;
	all->many = many;
	all->sweep_ms = sweep_ms < SWEEP_MS_MAX ? sweep_ms : SWEEP_MS_MAX;
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&all->mutex, NULL);
	(void)pthread_cond_init(&all->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	code = thread_start("sweeper", sweeper_main, all, &all->sweeper, why);
	if (code != ERR_OK) {
		release(all);
		return code;
	}
	*connections_out = all;
	return ERR_OK;
}

void connections_free(struct connections **connections)
{
	if (*connections == NULL)
		return;
	set_stopping(*connections);
	(void)pthread_join((*connections)->sweeper, NULL);
	release(*connections);
	*connections = NULL;
}

bool connections_are_closing(struct connections *connections)
{
	bool closing;

	pthread_mutex_lock(&connections->mutex);
	closing = connections->stopping;
	pthread_mutex_unlock(&connections->mutex);
	return closing;
}

size_t connections_count(struct connections *connections)
{
	size_t count;

	pthread_mutex_lock(&connections->mutex);
	count = connections->count;
	pthread_mutex_unlock(&connections->mutex);
	return count;
}

/* --- one connection --------------------------------------------------------------------------- */

static void name_peer(struct http_peer *peer, const struct sockaddr *address, int fd)
{
	struct ucred credentials;
	socklen_t len = sizeof(credentials);

	peer->local = address == NULL || address->sa_family == AF_UNIX;
	if (peer->local) {
		(void)snprintf(peer->address, sizeof(peer->address), "unix");
		peer->uid_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) == 0;
		peer->uid = peer->uid_known ? credentials.uid : 0;
		return;
	}
	len = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					     : sizeof(struct sockaddr_in);
	if (getnameinfo(address, len, peer->address, sizeof(peer->address), NULL, 0,
			NI_NUMERICHOST) != 0)
		(void)snprintf(peer->address, sizeof(peer->address), "unknown");
}

/*
 * Under the mutex. The library stops accepting at its limit and looks on until
 * idle connections have timed out: so who has said nothing for longest goes before it comes to that
 * (S304). Who waits for an answer stays.
 */
static void make_room(struct connections *all)
{
	struct connection *longest = NULL;

	if (all->remote < all->many)
		return;
	for (struct connection *c = all->first; c != NULL; c = c->next)
		if (!c->busy && !c->cut && !c->peer.local &&
		    (longest == NULL || c->idle_since < longest->idle_since))
			longest = c;
	if (longest == NULL)
		return;
	longest->cut = true;
	(void)shutdown(longest->fd, SHUT_RDWR);
}

struct connection *connection_open(struct connections *connections, int fd,
				   const struct sockaddr *address, int64_t deadline_at)
{
	struct connection *connection = mem_zalloc(sizeof(*connection));

	connection->all = connections;
	connection->fd = fd;
	connection->deadline_at = deadline_at;
	connection->idle_since = clock_mono_us();
	name_peer(&connection->peer, address, fd);
	pthread_mutex_lock(&connections->mutex);
	make_room(connections);
	connection->next = connections->first;
	if (connection->next != NULL)
		connection->next->previous = connection;
	connections->first = connection;
	connections->count++;
	connections->remote += connection->peer.local ? 0 : 1;
	pthread_mutex_unlock(&connections->mutex);
	return connection;
}

void connection_close(struct connection *connection)
{
	struct connections *all = connection->all;

	pthread_mutex_lock(&all->mutex);
	all->count--;
	all->remote -= connection->peer.local ? 0 : 1;
	if (connection->previous != NULL)
		connection->previous->next = connection->next;
	else
		all->first = connection->next;
	if (connection->next != NULL)
		connection->next->previous = connection->previous;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->mutex);
	mem_free(connection);
}

void *connection_owner(const struct connection *connection)
{
	return connection->all->owner;
}

const struct http_peer *connection_peer(const struct connection *connection)
{
	return &connection->peer;
}

void connection_set_deadline(struct connection *connection, int64_t deadline_at)
{
	pthread_mutex_lock(&connection->all->mutex);
	connection->deadline_at = deadline_at;
	pthread_mutex_unlock(&connection->all->mutex);
}

void connection_prolong(struct connection *connection, int64_t deadline_at)
{
	pthread_mutex_lock(&connection->all->mutex);
	if (connection->deadline_at < deadline_at)
		connection->deadline_at = deadline_at;
	pthread_mutex_unlock(&connection->all->mutex);
}

void connection_set_busy(struct connection *connection, bool busy)
{
	pthread_mutex_lock(&connection->all->mutex);
	connection->busy = busy;
	connection->idle_since = clock_mono_us();
	if (connection->all->stopping && !busy)
		(void)shutdown(connection->fd, SHUT_RDWR);
	pthread_mutex_unlock(&connection->all->mutex);
}

void connection_set_aside(struct connection *connection, bool aside)
{
	pthread_mutex_lock(&connection->all->mutex);
	connection->aside = aside;
	pthread_mutex_unlock(&connection->all->mutex);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Under the mutex. */
static void cut(struct connections *all, bool busy_too)
{
	for (struct connection *c = all->first; c != NULL; c = c->next)
		if (busy_too || !c->busy)
			(void)shutdown(c->fd, SHUT_RDWR);
}

/* Under the mutex. */
static bool one_is_aside(const struct connections *all)
{
	for (const struct connection *c = all->first; c != NULL; c = c->next)
		if (c->aside)
			return true;
	return false;
}

void connections_drain(struct connections *connections, int64_t grace_ms)
{
	int64_t until = clock_mono_ms() + grace_ms;
	bool was_cut = false;

	set_stopping(connections);
	pthread_mutex_lock(&connections->mutex);
	cut(connections, false);
	while (connections->first != NULL) {
		bool late = clock_mono_ms() >= until;

		if (late && was_cut && !one_is_aside(connections))
			break;
		if (late && !was_cut) {
			cut(connections, true);
			was_cut = true;
			until += 1000;
		}
		wait_changed(connections, 20);
	}
	pthread_mutex_unlock(&connections->mutex);
}
