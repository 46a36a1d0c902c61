/* base/channel.c - the one way to hand a thing to another thread */
#include "base/channel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

struct channel {
	pthread_mutex_t lock;
	struct channel_item *head;
	struct channel_item *tail;
	bool closed;
	int fd;
};

struct channel *channel_new(void)
{
	struct channel *channel = mem_zalloc(sizeof(*channel));

	pthread_mutex_init(&channel->lock, NULL);
	channel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (channel->fd < 0) {
		perror("stagepost: eventfd");
		abort();
	}
	return channel;
}

void channel_free(struct channel **channel)
{
	if (*channel == NULL)
		return;
	close((*channel)->fd);
	pthread_mutex_destroy(&(*channel)->lock);
	mem_free(*channel);
	*channel = NULL;
}

/* Under the lock, so that the descriptor's state always agrees with the queue's. */
static void raise_signal(struct channel *channel)
{
	uint64_t one = 1;

	while (write(channel->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void lower_signal(struct channel *channel)
{
	uint64_t count;

	while (read(channel->fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

bool channel_send(struct channel *channel, struct channel_item *item)
{
	bool sent = false;

	item->next = NULL;
	pthread_mutex_lock(&channel->lock);
	if (!channel->closed) {
		if (channel->head == NULL) {
			channel->head = item;
			raise_signal(channel);
		} else {
			channel->tail->next = item;
		}
		channel->tail = item;
		sent = true;
	}
	pthread_mutex_unlock(&channel->lock);
	return sent;
}

void channel_close(struct channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	if (!channel->closed) {
		channel->closed = true;
		raise_signal(channel);
	}
	pthread_mutex_unlock(&channel->lock);
}

bool channel_is_closed(struct channel *channel)
{
	bool closed;

	pthread_mutex_lock(&channel->lock);
	closed = channel->closed;
	pthread_mutex_unlock(&channel->lock);
	return closed;
}

struct channel_item *channel_take_all(struct channel *channel)
{
	struct channel_item *head;

	pthread_mutex_lock(&channel->lock);
	head = channel->head;
	channel->head = NULL;
	channel->tail = NULL;
	if (!channel->closed)
		lower_signal(channel);
	pthread_mutex_unlock(&channel->lock);
	return head;
}

struct channel_item *channel_take(struct channel *channel)
{
	struct channel_item *item;

	pthread_mutex_lock(&channel->lock);
	item = channel->head;
	if (item != NULL) {
		channel->head = item->next;
		item->next = NULL;
	}
	if (channel->head == NULL) {
		channel->tail = NULL;
		if (!channel->closed)
			lower_signal(channel);
	}
	pthread_mutex_unlock(&channel->lock);
	return item;
}

static bool has_item(struct channel *channel, bool *closed_out)
{
	bool has;

	pthread_mutex_lock(&channel->lock);
	has = channel->head != NULL;
	*closed_out = channel->closed;
	pthread_mutex_unlock(&channel->lock);
	return has;
}

bool channel_wait(struct channel *channel, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms;

	for (;;) {
		struct pollfd poll_fd = {.fd = channel->fd, .events = POLLIN};
		int64_t left = timeout_ms < 0 ? -1 : until - clock_mono_ms();
		bool closed;
		bool has = has_item(channel, &closed);

		if (has || closed || (timeout_ms >= 0 && left <= 0))
			return has;
		poll(&poll_fd, 1, (int)left);
	}
}

int channel_fd(const struct channel *channel)
{
	return channel->fd;
}
