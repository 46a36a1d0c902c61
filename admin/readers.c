/* admin/readers.c - the API's read-only connections, one for each thread that serves */
#include <config.h>

#include "admin/readers.h"

#include <assert.h>
#include <pthread.h>

#include "base/mem.h"

/* The HTTP library owns the threads, so a connection can't be tied to one: it is borrowed. */
struct readers {
	pthread_mutex_t mutex;
	struct store_reader **idle;
	size_t idle_count;
	size_t count;
};

int readers_open(struct store *store, size_t count, struct readers **readers_out, struct err *why)
{
	struct readers *readers = mem_zalloc(sizeof(*readers));

	(void)pthread_mutex_init(&readers->mutex, NULL);
	readers->idle = mem_array(count, sizeof(*readers->idle));
	readers->count = count;
	while (readers->idle_count < count) {
		int code = store_reader_open(store, &readers->idle[readers->idle_count], why);

		if (code != ERR_OK) {
			readers->count = readers->idle_count;
			readers_close(&readers);
			return code;
		}
		readers->idle_count++;
	}
	*readers_out = readers;
	return ERR_OK;
}

void readers_close(struct readers **readers)
{
	struct readers *r = *readers;

	if (r == NULL)
		return;
	assert(r->idle_count == r->count);
	for (size_t i = 0; i < r->count; i++)
		store_reader_close(&r->idle[i]);
	(void)pthread_mutex_destroy(&r->mutex);
	mem_free(r->idle);
	mem_free(r);
	*readers = NULL;
}

struct store_reader *readers_take(struct readers *readers)
{
	struct store_reader *reader;

	pthread_mutex_lock(&readers->mutex);
	assert(readers->idle_count > 0);
	reader = readers->idle[--readers->idle_count];
	pthread_mutex_unlock(&readers->mutex);
	return reader;
}

void readers_give(struct readers *readers, struct store_reader *reader)
{
	pthread_mutex_lock(&readers->mutex);
	readers->idle[readers->idle_count++] = reader;
	pthread_mutex_unlock(&readers->mutex);
}
