/* relay/smtp/reverse.c - the host name of a client's address, looked up off the loops */
#include <config.h> /* getaddrinfo */

#include "relay/smtp/reverse.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#define THREADS		4
#define SEEKER_LINE_MAX 32 /* queries waiting for one thread */
#define STOP_WAIT_MS	1000
#define STOP_TICK_MS	5

struct reverse_query {
	struct channel_item item; /* first */
	struct loop_task task;
	struct peer_address address;
	struct reverse_asker asker; /* ctx NULL: forgotten; the loop's thread only */
	int64_t asked_at;
	char name[REVERSE_NAME_SIZE];
};

/* What a seeker is at; it goes to ABANDONED from SEEKING only, and by reverse_free only. */
enum seeker_state {
	SEEKER_WAITING,
	SEEKER_SEEKING,
	SEEKER_ANSWERING, /* soon WAITING again */
	SEEKER_ABANDONED
};

struct seeker {
	struct reverse_source source;
	pthread_t thread;
	struct channel *line;
	_Atomic size_t queries;	       /* in the line or in hand */
	_Atomic int64_t seeking_since; /* 0: not now */
	_Atomic int state;	       /* enum seeker_state */
	_Atomic bool is_closing;
};

struct reverse {
	struct seeker *seekers[THREADS]; /* each allocated: an abandoned one outlives us */
	size_t count;
};

/* --- the system's names ---------------------------------------------------- */

bool reverse_is_name(struct span name)
{
	size_t dot = span_find_last(name, '.');
	struct span last = dot < name.len ? span_skip(name, dot + 1) : name;

	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.data[i]) && name.data[i] != '.' && name.data[i] != '-')
			return false;
	/* "1.2.3.4", "0x7f000001": to getaddrinfo these confirm themselves. */
	return name.len < REVERSE_NAME_SIZE && last.len > 0 && ascii_is_alpha(last.data[0]);
}

static bool holds(const struct addrinfo *list, const struct peer_address *address)
{
	for (; list != NULL; list = list->ai_next) {
		struct sockaddr_storage found = {.ss_family = AF_UNSPEC};
		struct peer_address other;
		int port;

		if (list->ai_addrlen > sizeof(found))
			continue;
		memcpy(&found, list->ai_addr, list->ai_addrlen);
		peer_address_from(&found, &other, &port);
		if (!other.unix_peer && memcmp(other.bytes, address->bytes, 16) == 0)
			return true;
	}
	return false;
}

static bool leads_back(const char *name, const struct peer_address *address)
{
	struct addrinfo hints = {.ai_family = address->v4 ? AF_INET : AF_INET6,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	bool result;

	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return false;
	result = holds(found, address);
	freeaddrinfo(found);
	return result;
}

static bool look_up_system(void *ctx, const struct peer_address *address,
			   char name_out[REVERSE_NAME_SIZE])
{
	struct sockaddr_storage sockaddr;
	socklen_t len = peer_address_sockaddr(address, &sockaddr);
	char name[NI_MAXHOST];

	if (getnameinfo((struct sockaddr *)&sockaddr, len, name, sizeof(name), NULL, 0,
			NI_NAMEREQD) != 0 ||
	    !reverse_is_name(span_of(name)) || !leads_back(name, address))
		return false;
	/* reverse_is_name: it fits. */
	memcpy(name_out, name, strlen(name) + 1);
	return true;
}

const struct reverse_source reverse_system = {.look_up = look_up_system};

/* --- a thread -------------------------------------------------------------- */

/* Nobody waits any more for what has waited this long. */
static bool is_late(const struct seeker *seeker, const struct reverse_query *query)
{
	return atomic_load(&seeker->is_closing) ||
	       clock_mono_ms() - query->asked_at >= REVERSE_WAIT_MS;
}

/* False: abandoned meanwhile. */
static bool seek(struct seeker *seeker, struct reverse_query *query)
{
	int seeking = SEEKER_SEEKING;

	/* In this order: reverse_free closes first and looks at the state then. */
	atomic_store(&seeker->state, SEEKER_SEEKING);
	if (!is_late(seeker, query)) {
		atomic_store(&seeker->seeking_since, clock_mono_ms());
		if (!seeker->source.look_up(seeker->source.ctx, &query->address, query->name))
			query->name[0] = '\0';
		atomic_store(&seeker->seeking_since, 0);
	}
	return atomic_compare_exchange_strong(&seeker->state, &seeking, SEEKER_ANSWERING);
}

/* Loops and asker may be gone: what is left here is ours alone. */
static void die_alone(struct seeker *seeker, struct reverse_query *query)
{
	struct channel_item *item;

	mem_free(query);
	while ((item = channel_take(seeker->line)) != NULL)
		mem_free(item);
	channel_free(&seeker->line);
	mem_free(seeker);
}

static void *run(void *ctx)
{
	struct seeker *seeker = ctx;

	while (channel_wait(seeker->line, -1)) {
		struct reverse_query *query = (struct reverse_query *)channel_take(seeker->line);

		if (!seek(seeker, query)) {
			die_alone(seeker, query);
			return NULL;
		}
		atomic_fetch_sub(&seeker->queries, 1);
		if (!loop_post(query->asker.loop, &query->task))
			assert(!"the loops outlive the reverse");
		atomic_store(&seeker->state, SEEKER_WAITING);
	}
	return NULL;
}

int reverse_new(const struct reverse_source *source, struct reverse **reverse_out, struct err *why)
{
	struct reverse *reverse = mem_zalloc(sizeof(*reverse));

	while (reverse->count < THREADS) {
		struct seeker *seeker = mem_zalloc(sizeof(*seeker));
		int code;

		seeker->source = *source;
		seeker->line = channel_new();
		code = thread_start("reverse", run, seeker, &seeker->thread, why);
		if (code != ERR_OK) {
			channel_free(&seeker->line);
			mem_free(seeker);
			reverse_free(&reverse);
			return code;
		}
		reverse->seekers[reverse->count++] = seeker;
	}
	*reverse_out = reverse;
	return ERR_OK;
}

/* --- the end --------------------------------------------------------------- */

static void wait_for(struct seeker *seeker, int64_t until)
{
	while (atomic_load(&seeker->state) == SEEKER_SEEKING && clock_mono_ms() < until)
		(void)usleep(STOP_TICK_MS * 1000);
}

static void end_seeker(struct seeker *seeker)
{
	pthread_t thread = seeker->thread;
	int seeking = SEEKER_SEEKING;

	if (atomic_compare_exchange_strong(&seeker->state, &seeking, SEEKER_ABANDONED)) {
		/* It frees itself from here on. */
		pthread_detach(thread);
		return;
	}
	pthread_join(seeker->thread, NULL);
	channel_free(&seeker->line);
	mem_free(seeker);
}

void reverse_free(struct reverse **reverse)
{
	int64_t until = clock_mono_ms() + STOP_WAIT_MS;

	if (*reverse == NULL)
		return;
	for (size_t i = 0; i < (*reverse)->count; i++) {
		atomic_store(&(*reverse)->seekers[i]->is_closing, true);
		channel_close((*reverse)->seekers[i]->line);
	}
	for (size_t i = 0; i < (*reverse)->count; i++) {
		wait_for((*reverse)->seekers[i], until);
		end_seeker((*reverse)->seekers[i]);
	}
	mem_free(*reverse);
	*reverse = NULL;
}

/* --- asking ---------------------------------------------------------------- */

static void on_task(struct loop_task *task)
{
	struct reverse_query *query =
		(struct reverse_query *)((char *)task - offsetof(struct reverse_query, task));
	struct reverse_asker asker = query->asker;
	char name[REVERSE_NAME_SIZE];

	memcpy(name, query->name, sizeof(name));
	mem_free(query);
	if (asker.ctx != NULL)
		asker.on_answer(asker.ctx, name);
}

static bool hangs(const struct seeker *seeker)
{
	int64_t since = atomic_load(&seeker->seeking_since);

	return since != 0 && clock_mono_ms() - since >= REVERSE_WAIT_MS;
}

/* The one with the least to do, or NULL. */
static struct seeker *choose(const struct reverse *reverse)
{
	struct seeker *best = NULL;

	for (size_t i = 0; i < reverse->count; i++) {
		struct seeker *seeker = reverse->seekers[i];
		size_t queries = atomic_load(&seeker->queries);

		if (queries >= SEEKER_LINE_MAX || hangs(seeker))
			continue;
		if (best == NULL || queries < atomic_load(&best->queries))
			best = seeker;
	}
	return best;
}

struct reverse_query *reverse_ask(struct reverse *reverse, const struct peer_address *address,
				  const struct reverse_asker *asker)
{
	struct seeker *seeker = choose(reverse);
	struct reverse_query *query;

	assert(asker->ctx != NULL);
	if (seeker == NULL || address->unix_peer || address->unknown)
		return NULL;
	query = mem_zalloc(sizeof(*query));
	query->task.run = on_task;
	query->address = *address;
	query->asker = *asker;
	query->asked_at = clock_mono_ms();
	atomic_fetch_add(&seeker->queries, 1);
	if (!channel_send(seeker->line, &query->item))
		assert(!"closed in reverse_free only");
	return query;
}

void reverse_forget(struct reverse_query **query)
{
	if (*query != NULL)
		(*query)->asker.ctx = NULL;
	*query = NULL;
}
