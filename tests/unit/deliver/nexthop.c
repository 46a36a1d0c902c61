/* tests/unit/deliver/nexthop.c - a next hop that plays a script and records every byte */
#include <config.h> /* memmem, accept4 */

#include "tests/unit/deliver/nexthop_inside.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

bool nexthop_wait_until(struct nexthop *n, bool (*ready)(struct nexthop *n, int a, int b), int a,
			int b, int timeout_ms)
{
	int64_t end = clock_mono_ms() + timeout_ms;
	bool is;

	pthread_mutex_lock(&n->lock);
	while (!(is = ready(n, a, b)) && clock_mono_ms() < end) {
		struct timespec at;

		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += 20000000;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&n->change, &n->lock, &at);
	}
	pthread_mutex_unlock(&n->lock);
	return is;
}

static void *accept_run(void *arg)
{
	struct nexthop *n = arg;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int fd;

	while ((fd = accept4(n->listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC)) >= 0) {
		struct nexthop_call *call = malloc(sizeof(*call));
		int on = n->nagle ? 0 : 1;

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		pthread_mutex_lock(&n->lock);
		assert(n->connections < NEXTHOP_CONNECTIONS_MAX);
		n->fds[n->connections++] = fd;
		inet_ntop(AF_INET, &from.sin_addr, n->peer, sizeof(n->peer));
		len = sizeof(from);
		*call = (struct nexthop_call){n, fd, n->connections};
		pthread_create(&n->threads[call->number - 1], NULL, nexthop_talk, call);
		pthread_cond_broadcast(&n->change);
		pthread_mutex_unlock(&n->lock);
	}
	return NULL;
}

static struct nexthop *make(const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	struct nexthop *n = calloc(1, sizeof(*n));

	n->steps = steps;
	n->step_count = count;
	n->ehlo = ehlo != NULL ? ehlo : "PIPELINING\nSIZE 100000000\n8BITMIME\nENHANCEDSTATUSCODES";
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->change, NULL);
	buf_init(&n->record, NEXTHOP_RECORD_MAX);
	return n;
}

struct nexthop *nexthop_start_unix(const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	struct nexthop *n = make(steps, count, ehlo);
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/stagepost-nexthop-%d-%p", (int)getpid(),
		 (void *)n);
	n->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(n->listener, (struct sockaddr *)&un, sizeof(un)) != 0 ||
	    listen(n->listener, 128) != 0)
		abort();
	snprintf(n->address, sizeof(n->address), "unix:%s", un.sun_path);
	pthread_create(&n->acceptor, NULL, accept_run, n);
	return n;
}

struct nexthop *nexthop_start(const struct nexthop_step *steps, size_t count, const char *ehlo)
{
	struct nexthop *n = make(steps, count, ehlo);
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	n->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(n->listener, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    listen(n->listener, 128) != 0 ||
	    getsockname(n->listener, (struct sockaddr *)&in, &len) != 0)
		abort();
	snprintf(n->address, sizeof(n->address), "127.0.0.1:%d", ntohs(in.sin_port));
	pthread_create(&n->acceptor, NULL, accept_run, n);
	return n;
}

void nexthop_use_tls(struct nexthop *n, SSL_CTX *context, bool implicit)
{
	n->tls = context;
	n->implicit = implicit;
}

void nexthop_use_nagle(struct nexthop *n)
{
	n->nagle = true;
}

void nexthop_use_auth(struct nexthop *n,
		      void (*answer)(void *ctx, const char *line, bool first, char *reply_out),
		      void *ctx)
{
	n->answer = answer;
	n->answer_ctx = ctx;
}

void nexthop_use_proxy(struct nexthop *n)
{
	n->proxied = true;
}

void nexthop_stop(struct nexthop **nexthop)
{
	struct nexthop *n = *nexthop;

	pthread_mutex_lock(&n->lock);
	n->stopping = n->going = true;
	pthread_cond_broadcast(&n->change);
	pthread_mutex_unlock(&n->lock);
	shutdown(n->listener, SHUT_RDWR);
	pthread_join(n->acceptor, NULL);
	pthread_mutex_lock(&n->lock);
	for (int i = 0; i < n->connections; i++)
		if (n->fds[i] >= 0)
			shutdown(n->fds[i], SHUT_RDWR);
	pthread_mutex_unlock(&n->lock);
	for (int i = 0; i < n->connections; i++)
		pthread_join(n->threads[i], NULL);
	close(n->listener);
	if (strncmp(n->address, "unix:", 5) == 0)
		unlink(n->address + 5);
	for (size_t i = 0; i < n->mail_count; i++) {
		free(n->mails[i]->data);
		free(n->mails[i]);
	}
	buf_release(&n->record);
	free(n);
	*nexthop = NULL;
}

const char *nexthop_address(const struct nexthop *n)
{
	return n->address;
}

void nexthop_offer(struct nexthop *n, const char *ehlo)
{
	pthread_mutex_lock(&n->lock);
	n->ehlo = ehlo;
	for (int i = 0; i < n->connections; i++)
		if (n->fds[i] >= 0)
			shutdown(n->fds[i], SHUT_RDWR);
	pthread_mutex_unlock(&n->lock);
}

void nexthop_go(struct nexthop *n)
{
	pthread_mutex_lock(&n->lock);
	n->going = true;
	pthread_cond_broadcast(&n->change);
	pthread_mutex_unlock(&n->lock);
}

static bool has_mails(struct nexthop *n, int count, int b)
{
	return n->mail_count >= (size_t)count;
}

bool nexthop_wait_mails(struct nexthop *n, size_t count, int timeout_ms)
{
	return nexthop_wait_until(n, has_mails, (int)count, 0, timeout_ms);
}

static bool has_reached(struct nexthop *n, int stage, int count)
{
	return n->reached[stage] >= count;
}

bool nexthop_wait_stage(struct nexthop *n, enum nexthop_stage stage, int count, int timeout_ms)
{
	return nexthop_wait_until(n, has_reached, (int)stage, count, timeout_ms);
}

size_t nexthop_mail_count(struct nexthop *n)
{
	size_t count;

	pthread_mutex_lock(&n->lock);
	count = n->mail_count;
	pthread_mutex_unlock(&n->lock);
	return count;
}

const struct nexthop_mail *nexthop_mail(struct nexthop *n, size_t index)
{
	const struct nexthop_mail *mail;

	pthread_mutex_lock(&n->lock);
	assert(index < n->mail_count);
	mail = n->mails[index];
	pthread_mutex_unlock(&n->lock);
	return mail;
}

int nexthop_connections(struct nexthop *n)
{
	int count;

	pthread_mutex_lock(&n->lock);
	count = n->connections;
	pthread_mutex_unlock(&n->lock);
	return count;
}

void nexthop_peer(struct nexthop *n, char peer_out[16])
{
	pthread_mutex_lock(&n->lock);
	memcpy(peer_out, n->peer, sizeof(n->peer));
	pthread_mutex_unlock(&n->lock);
}

int nexthop_reached(struct nexthop *n, enum nexthop_stage stage)
{
	int count;

	pthread_mutex_lock(&n->lock);
	count = n->reached[stage];
	pthread_mutex_unlock(&n->lock);
	return count;
}

bool nexthop_saw(struct nexthop *n, const char *text)
{
	bool saw;

	pthread_mutex_lock(&n->lock);
	saw = n->record.len > 0 &&
	      memmem(n->record.data, n->record.len, text, strlen(text)) != NULL;
	pthread_mutex_unlock(&n->lock);
	return saw;
}

size_t nexthop_bytes(struct nexthop *n)
{
	size_t len;

	pthread_mutex_lock(&n->lock);
	len = n->record.len;
	pthread_mutex_unlock(&n->lock);
	return len;
}

size_t nexthop_header(struct nexthop *n, char header_out[NEXTHOP_HEADER_SIZE])
{
	size_t len;

	pthread_mutex_lock(&n->lock);
	len = n->header_len;
	memcpy(header_out, n->header, sizeof(n->header));
	pthread_mutex_unlock(&n->lock);
	return len;
}
