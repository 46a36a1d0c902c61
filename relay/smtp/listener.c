/* relay/smtp/listener.c - the SMTP front door: listening, admitting, and what the daemon calls */
#include <config.h> /* F_DUPFD_CLOEXEC */

#include "relay/smtp/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "relay/loop/acceptor.h"
#include "relay/smtp/auth_pool.h"
#include "relay/smtp/census.h"
#include "relay/smtp/session.h"
#include "relay/smtp/version.h"
#include "relay/wire/reply.h"
#include "relay/wire/sasl.h"

#define SCRATCH_MAX 8192

/* One listening socket on one loop. */
struct door {
	struct porch *porch;
	struct acceptor *acceptor;
	size_t listener;
	int fd; /* until the acceptor has it */
};

/* What the front has on one loop; touched in its thread only, but for the start and the end. */
struct porch {
	struct session_house house; /* first */
	struct smtp_front *front;
	struct door *doors;
	size_t door_count;
	bool stopping;
	bool leaving; /* the last task is posted */
	int64_t grace_ms;
	struct loop_timer grace;
	struct loop_task open;
	struct loop_task stop;
	struct loop_task leave;
	struct channel_item empty; /* to front->emptied, when it is over */
};

struct smtp_front {
	struct version *version; /* the daemon's main thread only */
	bool closing;		 /* likewise */
	struct census *census;
	struct sasl_library *sasl;
	struct auth_pool *auth_pool;
	struct reverse *reverse; /* NULL: no listener has wanted names yet */
	struct reverse_source source_of_names;
	struct session_counters counters;
	_Atomic uint64_t connections;
	_Atomic int ceiling; /* of descriptors; 0: none */
	struct porch *porches;
	size_t porch_count;
	size_t listener_count;
	char (*names)[STREAM_NAME_SIZE]; /* where each listener is bound */
	struct channel *emptied;
};

/* --- admitting ------------------------------------------------------------ */

/*
 * A reply instead of the banner, then close: no session, no lingering
 * descriptor, so that a flood of them costs nothing (S075, S080).
 */
static void turn_away(struct porch *porch, int fd, int code, const char *enhanced, const char *text)
{
	struct buf *scratch = &porch->house.scratch;

	buf_clear(scratch);
	if (reply_format(scratch, code, enhanced, span_of(text)) == ERR_OK)
		(void)!send(fd, scratch->data, scratch->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);
	(void)close(fd);
}

/* What the client is told, and the log. */
struct refusal {
	enum smtp_turned_away number;
	int code;
	const char *enhanced;
	const char *text;
	const char *reason;
};

static const struct refusal access_denied = {SMTP_NOT_IN_NETWORKS, 554, "5.7.1", "Access denied",
					     "not in the listener's networks"};
static const struct refusal no_room = {SMTP_TOO_MANY, 421, "4.3.2", "Too many connections",
				       "too many connections"};
static const struct refusal no_room_for_client = {SMTP_TOO_MANY_OF_CLIENT, 421, "4.7.0",
						  "Too many connections from your address",
						  "too many connections from this client"};
static const struct refusal no_descriptors = {SMTP_TOO_FEW_DESCRIPTORS, 421, "4.3.2",
					      "Too many connections",
					      "too few descriptors are left"};

static void count_refused(struct door *door, enum smtp_turned_away number)
{
	atomic_fetch_add(&door->porch->front->counters.connections_refused[number], 1);
}

static void refuse(struct door *door, int fd, const struct peer_address *peer,
		   const struct refusal *refusal)
{
	char text[PEER_ADDRESS_TEXT_SIZE];

	count_refused(door, refusal->number);
	peer_address_format(peer, text);
	turn_away(door->porch, fd, refusal->code, refusal->enhanced, refusal->text);
	log_info("refused", LOG_S("client", text), LOG_S("reason", refusal->reason),
		 LOG_S("listener", door->porch->front->names[door->listener]));
}

/* Without a word: who claims to be a proxy gets no answer to learn from. */
static void refuse_proxy(struct door *door, int fd, const struct peer_address *peer)
{
	char text[PEER_ADDRESS_TEXT_SIZE];

	count_refused(door, SMTP_PROXY);
	peer_address_format(peer, text);
	(void)close(fd);
	log_info("refused", LOG_S("client", text),
		 LOG_S("reason", "not one of the listener's trusted proxies"),
		 LOG_S("listener", door->porch->front->names[door->listener]));
}

/* The lowest free number is what a new descriptor gets: at the ceiling all below it are in use. */
static bool is_above_ceiling(struct smtp_front *front, int fd)
{
	int ceiling = atomic_load(&front->ceiling);

	return ceiling > 0 && fd >= ceiling;
}

static void on_accept(void *ctx, int fd, const struct sockaddr_storage *sockaddr)
{
	struct door *door = ctx;
	struct porch *porch = door->porch;
	const struct version *version = porch->house.version;
	const struct smtp_options *options = version->settings.smtp;
	const struct peer_address nobody = {.unknown = true};
	struct session_start start = {.fd = fd, .listener = door->listener};
	enum census_answer answer = CENSUS_OK;

	peer_address_from(sockaddr, &start.peer, &start.port);
	start.proxied = version->settings.listeners[door->listener].proxy_protocol;
	if (start.proxied && !version_trusts(version, door->listener, &start.peer)) {
		refuse_proxy(door, fd, &start.peer);
		return;
	}
	if (!start.proxied && !version_admits(version, door->listener, &start.peer)) {
		refuse(door, fd, &start.peer, &access_denied);
		return;
	}
	if (is_above_ceiling(porch->front, fd)) {
		refuse(door, fd, &start.peer, &no_descriptors);
		return;
	}
	start.counted = start.proxied ? nobody : start.peer;
	answer = census_enter(porch->front->census, &start.counted, options->max_connections,
			      options->max_connections_per_client);
	if (answer != CENSUS_OK) {
		refuse(door, fd, &start.peer,
		       answer == CENSUS_FULL ? &no_room : &no_room_for_client);
		return;
	}
	atomic_fetch_add(&porch->front->connections, 1);
	session_open(&porch->house, &start);
}

static void leave_when_empty(struct porch *porch)
{
	if (!porch->stopping || porch->leaving || porch->house.count > 0)
		return;
	porch->leaving = true;
	if (!loop_post(porch->house.loop, &porch->leave))
		assert(!"the loops outlive the front");
}

static void on_gone(struct session_house *house, const struct peer_address *counted)
{
	struct porch *porch = (struct porch *)house;

	census_leave(porch->front->census, counted);
	leave_when_empty(porch);
}

/* --- starting ------------------------------------------------------------- */

static void run_open(struct loop_task *task)
{
	struct porch *porch = (struct porch *)((char *)task - offsetof(struct porch, open));

	for (size_t i = 0; i < porch->door_count; i++) {
		struct door *door = &porch->doors[i];

		door->acceptor = acceptor_new(porch->house.loop, door->fd, on_accept, door);
		door->fd = -1;
	}
}

static void on_grace(struct loop_timer *timer);
static void run_stop(struct loop_task *task);
static void run_leave(struct loop_task *task);

static void porch_init(struct porch *porch, struct smtp_front *front,
		       const struct smtp_front_env *env, struct loop *loop)
{
	*porch = (struct porch){.house = {.loop = loop,
					  .backend = env->backend,
					  .backend_ctx = env->backend_ctx,
					  .budget = env->budget,
					  .sasl = front->sasl,
					  .auth_pool = front->auth_pool,
					  .ask_login = env->ask_login,
					  .ask_ctx = env->ask_ctx,
					  .version = version_acquire(front->version),
					  .counters = &front->counters,
					  .census = front->census,
					  .on_gone = on_gone},
				.front = front,
				.doors = mem_array(front->listener_count, sizeof(struct door)),
				.open = {.run = run_open},
				.stop = {.run = run_stop},
				.leave = {.run = run_leave}};
	buf_init(&porch->house.scratch, SCRATCH_MAX);
}

static void porch_release(struct porch *porch)
{
	for (size_t i = 0; i < porch->door_count; i++)
		if (porch->doors[i].fd >= 0)
			(void)close(porch->doors[i].fd);
	version_release(&porch->house.version);
	buf_release(&porch->house.scratch);
	mem_free(porch->doors);
}

static void add_door(struct porch *porch, size_t listener, int fd)
{
	porch->doors[porch->door_count++] =
		(struct door){.porch = porch, .listener = listener, .fd = fd};
}

/*
 * SO_REUSEPORT would let a second daemon of the same user take every other
 * connection: who comes second must be told, so ask once without it (S340).
 */
static int is_free(const char *address, struct err *why)
{
	int fd;
	int code = acceptor_bind(address, false, &fd, why);

	if (code == ERR_OK)
		close(fd);
	return code;
}

/* Every loop gets a socket of its own, on the port the first one got; a unix socket only one. */
static int bind_listener(struct smtp_front *front, size_t listener, struct err *why)
{
	const char *address = front->version->settings.listeners[listener].address;
	bool shared = strncmp(address, "unix:", 5) != 0 && front->porch_count > 1;
	int code = shared ? is_free(address, why) : ERR_OK;

	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < (shared ? front->porch_count : 1); i++) {
		const char *place = i == 0 ? address : front->names[listener];
		int fd;

		code = acceptor_bind(place, shared, &fd, why);
		if (code != ERR_OK)
			return code;
		add_door(&front->porches[i], listener, fd);
		if (i == 0)
			acceptor_name(fd, front->names[listener], STREAM_NAME_SIZE);
	}
	return ERR_OK;
}

/* The socket stays open in whoever gave it: what waits there is served by the one after us. */
static int share_given(struct smtp_front *front, const struct smtp_given *given, struct err *why)
{
	for (size_t i = 0; i < front->porch_count; i++) {
		int fd = fcntl(given->fd, F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return err_set(why, ERR_IO, "listener %zu: no copy of its socket: %s",
				       given->listener, strerror(errno));
		add_door(&front->porches[i], given->listener, fd);
	}
	acceptor_name(given->fd, front->names[given->listener], STREAM_NAME_SIZE);
	return ERR_OK;
}

static int open_listener(struct smtp_front *front, const struct smtp_front_env *env,
			 size_t listener, struct err *why)
{
	for (size_t i = 0; i < env->given_count; i++)
		if (env->given[i].listener == listener)
			return share_given(front, &env->given[i], why);
	return bind_listener(front, listener, why);
}

static void front_free(struct smtp_front **front)
{
	for (size_t i = 0; i < (*front)->porch_count; i++)
		porch_release(&(*front)->porches[i]);
	mem_free((*front)->porches);
	mem_free((*front)->names);
	census_free(&(*front)->census);
	auth_pool_free(&(*front)->auth_pool);
	reverse_free(&(*front)->reverse);
	sasl_library_free(&(*front)->sasl);
	channel_free(&(*front)->emptied);
	version_release(&(*front)->version);
	mem_free(*front);
	*front = NULL;
}

static struct smtp_front *front_new(const struct smtp_front_env *env, struct version *version,
				    struct auth_pool *auth_pool)
{
	struct smtp_front *front = mem_zalloc(sizeof(*front));

	front->version = version;
	front->listener_count = version->settings.listener_count;
	front->names = mem_array(front->listener_count, sizeof(*front->names));
	front->census = census_new();
	front->sasl = sasl_library_new();
	front->auth_pool = auth_pool;
	front->source_of_names = env->names != NULL ? *env->names : reverse_system;
	front->emptied = channel_new();
	front->porches = mem_array(env->loop_count, sizeof(*front->porches));
	front->porch_count = env->loop_count;
	for (size_t i = 0; i < env->loop_count; i++)
		porch_init(&front->porches[i], front, env, env->loops[i]);
	return front;
}

/* Its threads are there from the first version on that has a use for them. */
static int prepare_reverse(struct smtp_front *front, const struct smtp_settings *settings,
			   struct err *why)
{
	bool wanted = false;

	for (size_t i = 0; i < settings->listener_count; i++)
		wanted = wanted || settings->listeners[i].resolve_client;
	if (!wanted || front->reverse != NULL)
		return ERR_OK;
	return reverse_new(&front->source_of_names, &front->reverse, why);
}

int smtp_front_start(const struct smtp_front_env *env, const struct smtp_settings *settings,
		     struct smtp_front **front_out, struct err *why)
{
	struct version *version;
	struct auth_pool *auth_pool;
	struct smtp_front *front;
	int code = version_new(settings, &version, why);

	assert(env->loop_count > 0);
	if (code == ERR_OK) {
		code = auth_pool_new(&auth_pool, why);
		if (code != ERR_OK)
			version_release(&version);
	}
	if (code != ERR_OK)
		return code;
	front = front_new(env, version, auth_pool);
	code = prepare_reverse(front, settings, why);
	for (size_t i = 0; i < front->listener_count && code == ERR_OK; i++)
		code = open_listener(front, env, i, why);
	if (code != ERR_OK) {
		front_free(&front);
		return code;
	}
	for (size_t i = 0; i < front->porch_count; i++) {
		front->porches[i].house.reverse = front->reverse;
		if (!loop_post(front->porches[i].house.loop, &front->porches[i].open))
			assert(!"a loop that was stopped");
	}
	*front_out = front;
	return ERR_OK;
}

/* --- a new version of the settings ----------------------------------------- */

struct reload {
	struct loop_task task; /* first */
	struct porch *porch;
	struct version *version; /* a reference */
	struct reverse *reverse;
};

static void run_reload(struct loop_task *task)
{
	struct reload *reload = (struct reload *)task;
	struct session_house *house = &reload->porch->house;

	version_release(&house->version);
	house->version = reload->version;
	house->reverse = reload->reverse;
	mem_free(reload);
	for (struct smtp_session *s = house->first; s != NULL; s = session_next(s))
		session_adopt_version(s);
}

int smtp_front_reload(struct smtp_front *front, const struct smtp_settings *settings,
		      void (*done)(void *ctx), void *ctx, struct err *why)
{
	struct version *version;
	int code;

	assert(!front->closing);
	if (settings->listener_count != front->listener_count)
		return err_set(why, ERR_UNSUPPORTED, "listeners can only be changed by a restart");
	code = version_new(settings, &version, why);
	if (code != ERR_OK)
		return code;
	code = prepare_reverse(front, settings, why);
	if (code != ERR_OK) {
		version_release(&version);
		return code;
	}
	for (size_t i = 0; i < front->porch_count; i++) {
		struct reload *reload = mem_alloc(sizeof(*reload));

		*reload = (struct reload){.task = {.run = run_reload},
					  .porch = &front->porches[i],
					  .version = version_acquire(version),
					  .reverse = front->reverse};
		if (!loop_post(front->porches[i].house.loop, &reload->task))
			assert(!"the loops outlive the front");
	}
	front->version->done = done;
	front->version->ctx = ctx;
	version_release(&front->version);
	front->version = version;
	return ERR_OK;
}

/* --- stopping -------------------------------------------------------------- */

static void stop_sessions(struct porch *porch, bool now)
{
	struct smtp_session *next;

	for (struct smtp_session *s = porch->house.first; s != NULL; s = next) {
		next = session_next(s);
		session_stop(s, now);
	}
}

static void on_grace(struct loop_timer *timer)
{
	struct porch *porch = (struct porch *)((char *)timer - offsetof(struct porch, grace));

	stop_sessions(porch, true);
}

static void run_stop(struct loop_task *task)
{
	struct porch *porch = (struct porch *)((char *)task - offsetof(struct porch, stop));

	for (size_t i = 0; i < porch->door_count; i++)
		acceptor_free(&porch->doors[i].acceptor);
	loop_timer_init(&porch->grace, porch->house.loop, on_grace);
	loop_timer_set(&porch->grace, porch->grace_ms);
	stop_sessions(porch, false);
	porch->stopping = true;
	leave_when_empty(porch);
}

/* Nothing of this porch runs after this: the front may be freed. */
static void run_leave(struct loop_task *task)
{
	struct porch *porch = (struct porch *)((char *)task - offsetof(struct porch, leave));

	loop_timer_stop(&porch->grace);
	if (!channel_send(porch->front->emptied, &porch->empty))
		assert(!"closed by nobody");
}

void smtp_front_close(struct smtp_front *front, int64_t grace_ms)
{
	if (front->closing)
		return;
	front->closing = true;
	for (size_t i = 0; i < front->porch_count; i++) {
		struct porch *porch = &front->porches[i];

		porch->grace_ms = grace_ms;
		if (!loop_post(porch->house.loop, &porch->stop))
			assert(!"the loops outlive the front");
	}
}

void smtp_front_stop(struct smtp_front **front, int64_t grace_ms)
{
	size_t left;

	if (*front == NULL)
		return;
	smtp_front_close(*front, grace_ms);
	left = (*front)->porch_count;
	while (left > 0) {
		(void)channel_wait((*front)->emptied, -1);
		if (channel_take((*front)->emptied) != NULL)
			left--;
	}
	front_free(front);
}

void smtp_front_keep_descriptors(struct smtp_front *front, int ceiling)
{
	atomic_store(&front->ceiling, ceiling);
}

/* --- for status ------------------------------------------------------------ */

void smtp_front_status(struct smtp_front *front, struct smtp_front_status *status_out)
{
	*status_out = (struct smtp_front_status){
		.sessions = census_total(front->census),
		.connections = atomic_load(&front->connections),
		.messages = atomic_load(&front->counters.messages),
		.messages_refused = atomic_load(&front->counters.messages_refused),
		.injections = atomic_load(&front->counters.injections)};
	for (int i = 0; i < SMTP_TURNED_AWAY; i++) {
		status_out->turned_away[i] = atomic_load(&front->counters.connections_refused[i]);
		status_out->connections_refused += status_out->turned_away[i];
	}
	handshakes_read(&front->counters.handshakes, &status_out->handshakes);
}

bool smtp_front_address(struct smtp_front *front, size_t index, char text_out[STREAM_NAME_SIZE])
{
	if (index >= front->listener_count)
		return false;
	memcpy(text_out, front->names[index], STREAM_NAME_SIZE);
	return true;
}
