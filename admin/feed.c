/* admin/feed.c - requests that wait for news: one thread that wakes them */
#include <config.h>

#include "admin/feed.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "admin/call.h"
#include "admin/view.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

/* Between two looks: what comes in bursts wakes nobody twice. A crowd is woken less often. */
#define PAUSE_MS      20
#define WOKEN_A_MS    4
#define LONG_MS	      ((int64_t)60 * 60 * 1000)
#define WRITTEN_SLOTS 64
#define WRITTEN_MAX   ((size_t)256 * 1024) /* of one event: its record grows when it is escaped */

/* An event as text, made once for all streams that come by for it. */
struct written {
	uint64_t number; /* 0: none */
	struct buf text;
};

struct feed {
	struct bus *bus;
	uint64_t epoch;
	size_t max[FEED_KINDS];
	pthread_t thread;
	struct buf record; /* the thread's own */

	pthread_mutex_t mutex; /* all below */
	bool closed;
	bool stopping;
	struct feed_waiter *first;
	uint64_t seen;	    /* number of the next event to be looked at */
	int64_t planned_at; /* when the thread looks again by itself */
	struct feed_numbers numbers;

	pthread_mutex_t written_mutex;
	struct written written[WRITTEN_SLOTS]; /* of number n: n % WRITTEN_SLOTS */
};

/* --- who wants what --------------------------------------------------------------------------- */

static bool contains_fold(const char *text, const char *part)
{
	struct span rest = span_of(text);
	struct span wanted = span_of(part);

	for (; rest.len >= wanted.len; rest = span_skip(rest, 1)) {
		if (span_equal_fold(span_first(rest, wanted.len), wanted))
			return true;
		if (rest.len == 0)
			break;
	}
	return false;
}

bool feed_matches(const struct feed_filter *filter, const struct news *news)
{
	if ((filter->kinds & 1U << news->kind) == 0)
		return false;
	if (filter->scope != NULL &&
	    strcmp(filter->scope, news->scope != NULL ? news->scope : "") != 0)
		return false;
	return filter->recipient == NULL || contains_fold(news->recipient, filter->recipient);
}

/* Everybody who might have to look at it. Who asks with a token finds out what became of it. */
static void offer(struct feed *feed, const struct news *news)
{
	for (struct feed_waiter *w = feed->first; w != NULL; w = w->following)
		if (w->asleep && !w->is_wanted)
			w->is_wanted = news->kind == NEWS_TOKEN || feed_matches(&w->filter, news);
}

static void offer_all(struct feed *feed)
{
	for (struct feed_waiter *w = feed->first; w != NULL; w = w->following)
		w->is_wanted |= w->asleep;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Under the mutex: look at what is new. */
static void look(struct feed *feed)
{
	uint64_t missed;
	struct news news;

	if (feed->first == NULL)
		feed->seen = bus_end(feed->bus);
	for (;;) {
		int code = bus_read(feed->bus, &feed->seen, &feed->record, &missed);

		if (missed > 0)
			offer_all(feed);
		if (code != ERR_OK)
			return;
		news_unpack(buf_span(&feed->record), &news);
		offer(feed, &news);
	}
}

static int64_t next_at(const struct feed_waiter *waiter)
{
	bool is_early = waiter->is_wanted && waiter->rest_until < waiter->wake_at;

	return is_early ? waiter->rest_until : waiter->wake_at;
}

/* Under the mutex; how many. What nobody wanted is not missed by those who sleep on. */
static size_t wake(struct feed *feed, int64_t now)
{
	size_t count = 0;

	feed->planned_at = now + LONG_MS;
	for (struct feed_waiter *w = feed->first; w != NULL; w = w->following) {
		if (!w->asleep)
			continue;
		if (!w->is_wanted)
			w->next = feed->seen;
		if (feed->closed || next_at(w) <= now) {
			w->asleep = false;
			http_resume(w->request);
			count++;
		} else if (next_at(w) < feed->planned_at) {
			feed->planned_at = next_at(w);
		}
	}
	return count;
}

static void pause_after(size_t woken)
{
	long ms = PAUSE_MS + (woken < 2000 ? (long)woken : 2000) / WOKEN_A_MS;
	const struct timespec span = {.tv_nsec = ms * 1000000L};

	(void)nanosleep(&span, NULL);
}

static void *feed_main(void *ctx)
{
	struct feed *feed = ctx;
	uint64_t announced = 0;
	bool stopping = false;

	while (!stopping) {
		int64_t until;
		size_t woken;

		pthread_mutex_lock(&feed->mutex);
		look(feed);
		woken = wake(feed, clock_mono_ms());
		stopping = feed->stopping;
		until = feed->planned_at;
		pthread_mutex_unlock(&feed->mutex);
		if (stopping)
			break;
		pause_after(woken);
		announced = bus_wait(feed->bus, announced, until);
	}
	return NULL;
}

/* --- start and stop ----------------------------------------------------------------------------
 */

static void release(struct feed *feed)
{
	for (size_t i = 0; i < WRITTEN_SLOTS; i++)
		buf_release(&feed->written[i].text);
	buf_release(&feed->record);
	(void)pthread_mutex_destroy(&feed->written_mutex);
	(void)pthread_mutex_destroy(&feed->mutex);
	mem_free(feed);
}

int feed_start(struct store *store, const size_t max[FEED_KINDS], struct feed **feed_out,
	       struct err *why)
{
	struct feed *feed = mem_zalloc(sizeof(*feed));
	int code;

	feed->bus = store_news(store);
	feed->epoch = store_news_epoch(store);
	feed->seen = bus_end(feed->bus);
	memcpy(feed->max, max, sizeof(feed->max));
	buf_init(&feed->record, BUS_RECORD_MAX);
	for (size_t i = 0; i < WRITTEN_SLOTS; i++)
		buf_init(&feed->written[i].text, WRITTEN_MAX);
	(void)pthread_mutex_init(&feed->mutex, NULL);
	(void)pthread_mutex_init(&feed->written_mutex, NULL);
	code = thread_start("admin-feed", feed_main, feed, &feed->thread, why);
	if (code != ERR_OK) {
		release(feed);
		return code;
	}
	*feed_out = feed;
	return ERR_OK;
}

void feed_close(struct feed *feed)
{
	pthread_mutex_lock(&feed->mutex);
	feed->closed = true;
	(void)wake(feed, clock_mono_ms());
	pthread_mutex_unlock(&feed->mutex);
}

bool feed_is_closed(struct feed *feed)
{
	bool closed;

	pthread_mutex_lock(&feed->mutex);
	closed = feed->closed;
	pthread_mutex_unlock(&feed->mutex);
	return closed;
}

void feed_free(struct feed **feed)
{
	struct feed *f = *feed;

	if (f == NULL)
		return;
	assert(f->first == NULL);
	pthread_mutex_lock(&f->mutex);
	f->stopping = true;
	pthread_mutex_unlock(&f->mutex);
	bus_announce(f->bus);
	(void)pthread_join(f->thread, NULL);
	release(f);
	*feed = NULL;
}

/* --- coming and going ------------------------------------------------------------------------- */

bool feed_enter(struct feed *feed, struct feed_waiter *waiter)
{
	bool entered;

	pthread_mutex_lock(&feed->mutex);
	entered = !feed->closed && feed->numbers.waiting[waiter->kind] < feed->max[waiter->kind];
	if (entered) {
		feed->numbers.waiting[waiter->kind]++;
		waiter->previous = NULL;
		waiter->following = feed->first;
		if (feed->first != NULL)
			feed->first->previous = waiter;
		feed->first = waiter;
		waiter->asleep = false;
	} else {
		feed->numbers.refused[waiter->kind]++;
	}
	pthread_mutex_unlock(&feed->mutex);
	return entered;
}

void feed_leave(struct feed *feed, struct feed_waiter *waiter)
{
	pthread_mutex_lock(&feed->mutex);
	feed->numbers.waiting[waiter->kind]--;
	if (waiter->previous != NULL)
		waiter->previous->following = waiter->following;
	else
		feed->first = waiter->following;
	if (waiter->following != NULL)
		waiter->following->previous = waiter->previous;
	pthread_mutex_unlock(&feed->mutex);
}

bool feed_sleep(struct feed *feed, struct feed_waiter *waiter)
{
	bool sleeps;
	bool is_first = false;

	pthread_mutex_lock(&feed->mutex);
	sleeps = !feed->closed;
	if (sleeps) {
		waiter->asleep = true;
		/* What the thread has seen by now it does not look at again. */
		waiter->is_wanted = waiter->next < feed->seen;
		is_first = next_at(waiter) < feed->planned_at;
		waiter->suspend(waiter);
	}
	pthread_mutex_unlock(&feed->mutex);
	if (is_first)
		bus_announce(feed->bus); /* the thread must not sleep past that time */
	return sleeps;
}

/* --- as text -----------------------------------------------------------------------------------
 */

static void write_one(struct feed *feed, uint64_t number, const char *name, json_t *data,
		      struct buf *out)
{
	char id[40];
	json_t *json;

	(void)snprintf(id, sizeof(id), "%" PRIx64 "-%" PRIu64, feed->epoch, number);
	json = json_pack("{s:s, s:s}", "id", id, "type", name);
	(void)json_object_update(json, data);
	(void)buf_printf(out, "id: %s\nevent: %s\ndata: ", id, name);
	(void)json_dump_callback(json, call_append_json, out, JSON_COMPACT);
	(void)buf_append_text(out, "\n\n");
	json_decref(json);
	json_decref(data);
}

void feed_write(struct feed *feed, uint64_t number, const struct news *news, struct buf *out)
{
	struct written *written = &feed->written[number % WRITTEN_SLOTS];

	pthread_mutex_lock(&feed->written_mutex);
	if (written->number != number) {
		written->number = number;
		buf_clear(&written->text);
		write_one(feed, number, news_kind_name(news->kind), view_news(news),
			  &written->text);
	}
	(void)buf_append_span(out, buf_span(&written->text));
	pthread_mutex_unlock(&feed->written_mutex);
}

void feed_write_lost(struct feed *feed, uint64_t next, uint64_t count, struct buf *out)
{
	pthread_mutex_lock(&feed->mutex);
	feed->numbers.lost += count;
	pthread_mutex_unlock(&feed->mutex);
	write_one(feed, next - 1, "lost",
		  json_pack("{s:I, s:s}", "count", (json_int_t)count, "reason",
			    "they came faster than they were taken"),
		  out);
}

void feed_write_restarted(struct feed *feed, uint64_t next, struct buf *out)
{
	write_one(feed, next - 1, "lost",
		  json_pack("{s:n, s:s}", "count", "reason", "the relay was started anew"), out);
}

int feed_parse_id(struct feed *feed, struct span id, uint64_t *next_out)
{
	struct span epoch = span_cut(&id, '-');
	uint64_t value = 0;
	uint64_t number;

	*next_out = bus_first(feed->bus);
	if (epoch.len == 0 || epoch.len > 14)
		return ERR_STALE;
	for (size_t i = 0; i < epoch.len; i++) {
		int digit = ascii_hex_value(epoch.data[i]);

		if (digit < 0)
			return ERR_STALE;
		value = value << 4 | (uint64_t)digit;
	}
	if (value != feed->epoch || span_to_u64(id, UINT64_MAX - 1, &number) != ERR_OK ||
	    number >= bus_end(feed->bus))
		return ERR_STALE;
	*next_out = number + 1;
	return ERR_OK;
}

/* --- numbers -----------------------------------------------------------------------------------
 */

struct bus *feed_bus(struct feed *feed)
{
	return feed->bus;
}

void feed_count_stalled(struct feed *feed)
{
	pthread_mutex_lock(&feed->mutex);
	feed->numbers.stalled++;
	pthread_mutex_unlock(&feed->mutex);
}

void feed_numbers(struct feed *feed, struct feed_numbers *numbers_out)
{
	pthread_mutex_lock(&feed->mutex);
	*numbers_out = feed->numbers;
	pthread_mutex_unlock(&feed->mutex);
	numbers_out->events = bus_end(feed->bus) - 1;
}
