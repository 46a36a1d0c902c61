/* relay/loop/loop.c - one event loop thread: tasks, timers, and nothing that blocks */
#include <config.h>

#include "relay/loop/loop.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"
#include "relay/loop/inside.h"

/* A turn's work may make more work; after this often the sockets get their say first. */
#define TURN_ROUNDS 4
/* Costly steps in a turn. A handshake is about 0.4 ms with an EC key, 1 ms with RSA. */
#define TOIL_MAX 8

struct loop {
	struct ev_loop *ev;
	struct channel *inbox;
	ev_io inbox_watcher;
	ev_prepare turn_watcher;
	ev_idle more_watcher; /* keeps the loop from waiting while turn work is left */
	struct loop_turn *turn_head;
	struct loop_turn *turn_tail;
	unsigned toiled;	    /* costly steps in this turn */
	struct loop_orphan orphans; /* a ring */
	size_t orphan_count;
	int owned;
	char *scratch;
	char name[16]; /* what thread_start takes */
	pthread_t thread;
	bool is_started;
	bool is_joined;
	pthread_t self; /* valid while is_running */
	atomic_bool is_running;
};

/* --- the work of a turn ------------------------------------------------------ */

void loop_turn_add(struct loop *loop, struct loop_turn *turn)
{
	if (turn->is_queued)
		return;
	turn->is_queued = true;
	turn->next = NULL;
	if (loop->turn_head == NULL)
		loop->turn_head = turn;
	else
		loop->turn_tail->next = turn;
	loop->turn_tail = turn;
}

/* What is queued now; what that adds is left for the next round. */
static void run_round(struct loop *loop)
{
	struct loop_turn *turn = loop->turn_head;

	loop->turn_head = NULL;
	loop->turn_tail = NULL;
	while (turn != NULL) {
		struct loop_turn *next = turn->next;

		turn->is_queued = false;
		turn->run(turn); /* may free it */
		turn = next;
	}
}

static void run_turn(struct loop *loop)
{
	for (int i = 0; i < TURN_ROUNDS && loop->turn_head != NULL; i++)
		run_round(loop);
}

static void on_prepare(struct ev_loop *ev, ev_prepare *watcher, int events)
{
	struct loop *loop = watcher->data;

	loop->toiled = 0;
	run_turn(loop);
	if (loop->turn_head != NULL)
		ev_idle_start(ev, &loop->more_watcher);
	else
		ev_idle_stop(ev, &loop->more_watcher);
}

static void on_more(struct ev_loop *ev, ev_idle *watcher, int events)
{
}

bool loop_may_toil(struct loop *loop)
{
	return loop->toiled++ < TOIL_MAX;
}

/* --- tasks ------------------------------------------------------------------- */

static void on_inbox(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct loop *loop = watcher->data;
	/* Asked first: once it is closed nothing can come after what is taken below. */
	bool is_last = channel_is_closed(loop->inbox);
	struct channel_item *item = channel_take_all(loop->inbox);

	while (item != NULL) {
		struct loop_task *task = (struct loop_task *)item;

		item = item->next;
		task->run(task);
	}
	if (is_last)
		ev_break(ev, EVBREAK_ALL);
}

bool loop_post(struct loop *loop, struct loop_task *task)
{
	return channel_send(loop->inbox, &task->item);
}

/* --- life -------------------------------------------------------------------- */

struct loop *loop_new(const char *name)
{
	struct loop *loop = mem_zalloc(sizeof(*loop));

	loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (loop->ev == NULL) {
		perror("stagepost: no event loop");
		abort();
	}
	snprintf(loop->name, sizeof(loop->name), "%s", name);
	loop->scratch = mem_alloc(LOOP_SCRATCH_SIZE);
	loop->orphans.next = &loop->orphans;
	loop->orphans.prev = &loop->orphans;
	loop->inbox = channel_new();
	ev_io_init(&loop->inbox_watcher, on_inbox, channel_fd(loop->inbox), EV_READ);
	loop->inbox_watcher.data = loop;
	ev_io_start(loop->ev, &loop->inbox_watcher);
	ev_prepare_init(&loop->turn_watcher, on_prepare);
	loop->turn_watcher.data = loop;
	ev_prepare_start(loop->ev, &loop->turn_watcher);
	ev_idle_init(&loop->more_watcher, on_more);
	atomic_init(&loop->is_running, false);
	return loop;
}

static void *run(void *arg)
{
	struct loop *loop = arg;

	loop->self = pthread_self();
	atomic_store(&loop->is_running, true);
	ev_run(loop->ev, 0);
	/* What the last tasks wrote still goes to the sockets. */
	run_turn(loop);
	atomic_store(&loop->is_running, false);
	return NULL;
}

int loop_start(struct loop *loop, struct err *why)
{
	int code;

	assert(!loop->is_started);
	code = thread_start(loop->name, run, loop, &loop->thread, why);
	loop->is_started = code == ERR_OK;
	return code;
}

void loop_stop(struct loop *loop)
{
	assert(!loop_is_current(loop));
	if (loop->is_joined)
		return;
	channel_close(loop->inbox);
	if (loop->is_started)
		pthread_join(loop->thread, NULL);
	else
		run(loop); /* the tasks posted so far have a right to be run */
	loop->is_joined = true;
}

void loop_free(struct loop **loop_ptr)
{
	struct loop *loop = *loop_ptr;

	if (loop == NULL)
		return;
	loop_stop(loop);
	assert(loop->owned == 0);
	while (loop->orphans.next != &loop->orphans)
		loop->orphans.next->end(loop->orphans.next);
	while (loop->turn_head != NULL)
		run_round(loop);
	ev_loop_destroy(loop->ev);
	channel_free(&loop->inbox);
	mem_free(loop->scratch);
	mem_free(loop);
	*loop_ptr = NULL;
}

bool loop_is_current(const struct loop *loop)
{
	return atomic_load(&loop->is_running) && pthread_equal(loop->self, pthread_self());
}

/* --- for streams and acceptors ----------------------------------------------- */

struct ev_loop *loop_ev(struct loop *loop)
{
	return loop->ev;
}

void loop_assert_owner(const struct loop *loop)
{
	assert(!atomic_load(&loop->is_running) || pthread_equal(loop->self, pthread_self()));
}

char *loop_scratch(struct loop *loop)
{
	return loop->scratch;
}

void loop_adopt(struct loop *loop, struct loop_orphan *orphan)
{
	orphan->prev = loop->orphans.prev;
	orphan->next = &loop->orphans;
	orphan->prev->next = orphan;
	orphan->next->prev = orphan;
	loop->orphan_count++;
}

void loop_trim_orphans(struct loop *loop)
{
	while (loop->orphan_count > LOOP_ORPHANS_MAX)
		loop->orphans.next->end(loop->orphans.next);
}

void loop_disown(struct loop *loop, struct loop_orphan *orphan)
{
	if (orphan->next == NULL)
		return;
	orphan->prev->next = orphan->next;
	orphan->next->prev = orphan->prev;
	orphan->next = NULL;
	orphan->prev = NULL;
	loop->orphan_count--;
}

void loop_count_owned(struct loop *loop, int by)
{
	loop->owned += by;
}

/* --- timers ------------------------------------------------------------------ */

_Static_assert(sizeof(ev_timer) <= sizeof(((struct loop_timer *)NULL)->private_),
	       "libev's timer fits into loop_timer");
_Static_assert(_Alignof(ev_timer) <= _Alignof(void *), "and may stand where pointers do");

static ev_timer *watcher_of(struct loop_timer *timer)
{
	return (ev_timer *)timer->private_;
}

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int events)
{
	struct loop_timer *timer = watcher->data;

	timer->on_time(timer); /* may free it */
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop,
		     void (*on_time)(struct loop_timer *timer))
{
	ev_timer *watcher = watcher_of(timer);

	timer->on_time = on_time;
	timer->loop = loop;
	ev_timer_init(watcher, on_timer, 0., 0.);
	/* A loop that is late looks at what came before it says that nothing came in time. */
	ev_set_priority(watcher, EV_MINPRI);
	watcher->data = timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t after_ms)
{
	ev_timer *watcher = watcher_of(timer);
	struct ev_loop *ev = timer->loop->ev;

	loop_assert_owner(timer->loop);
	ev_timer_stop(ev, watcher);
	/* libev counts from when the turn began, callers from now. */
	ev_now_update(ev);
	ev_timer_set(watcher, after_ms > 0 ? (double)after_ms / 1000. : 0., 0.);
	ev_timer_start(ev, watcher);
}

void loop_timer_stop(struct loop_timer *timer)
{
	loop_assert_owner(timer->loop);
	ev_timer_stop(timer->loop->ev, watcher_of(timer));
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
	return ev_is_active((const ev_timer *)timer->private_);
}
