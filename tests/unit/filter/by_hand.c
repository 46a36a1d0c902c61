/* tests/unit/filter/by_hand.c - what stands in the place of thread, clock, locks and memory */
#include "tests/unit/filter/by_hand.h"

#include <assert.h>
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/crew.h"
#include "base/mem.h"
#include "relay/filter/layer.h"
#include "relay/filter/snapshot.h"

#define LOCKS 8

struct meanwhile {
	void (*run)(void *ctx);
	void *ctx;
};

/* Of the thread that plays: any other gets the real ones. */
static _Thread_local struct {
	bool on;
	bool watching; /* locks */
	struct crew_job *given;
	bool working;
	unsigned merges;
	struct meanwhile merging;
	struct meanwhile counting;
	int64_t now;
	size_t blocks_before;
	pthread_mutex_t *held[LOCKS];
	size_t held_count;
	size_t regrown;
} rig;

static _Atomic size_t blocks;

static void run_once(struct meanwhile *meanwhile)
{
	struct meanwhile now = *meanwhile;

	*meanwhile = (struct meanwhile){NULL, NULL};
	if (now.run != NULL)
		now.run(now.ctx);
}

struct whitelist *by_hand_begin(void)
{
	struct whitelist *list;

	memset(&rig, 0, sizeof(rig));
	rig.blocks_before = atomic_load(&blocks);
	list = whitelist_new();
	rig.on = true;
	rig.watching = true;
	return list;
}

void by_hand_end(struct whitelist **list)
{
	whitelist_free(list);
	ck_assert_ptr_null(*list);
	whitelist_free(list); /* NULL is fine */
	ck_assert_ptr_null(rig.given);
	rig.on = false;
	by_hand_unwatch();
}

void by_hand_watch(void)
{
	memset(&rig, 0, sizeof(rig));
	rig.blocks_before = atomic_load(&blocks);
	rig.watching = true;
}

void by_hand_unwatch(void)
{
	ck_assert_uint_eq(rig.held_count, 0);
	rig.watching = false;
	ck_assert_uint_eq(atomic_load(&blocks), rig.blocks_before);
}

size_t by_hand_held(void)
{
	return rig.held_count;
}

size_t by_hand_regrown(void)
{
	return rig.regrown;
}

bool by_hand_is_given(void)
{
	return rig.given != NULL;
}

void by_hand_work(void (*meanwhile)(void *ctx), void *ctx)
{
	struct crew_job *job = rig.given;

	ck_assert_ptr_nonnull(job);
	rig.given = NULL;
	rig.merging = (struct meanwhile){meanwhile, ctx};
	rig.working = true;
	job->run(job);
	rig.working = false;
	ck_assert_msg(rig.merging.run == NULL, "nothing was merged");
}

unsigned by_hand_merges(void)
{
	return rig.merges;
}

void by_hand_while_counting(void (*meanwhile)(void *ctx), void *ctx)
{
	rig.counting = (struct meanwhile){meanwhile, ctx};
}

void by_hand_set_clock(int64_t now)
{
	rig.now = now;
}

size_t by_hand_blocks(void)
{
	return atomic_load(&blocks);
}

/* --- in the place of the real ones ---------------------------------------------------------- */

void __real_crew_give(struct crew *crew, struct crew_job *job);
void __wrap_crew_give(struct crew *crew, struct crew_job *job);
void __real_crew_free(struct crew **crew);
void __wrap_crew_free(struct crew **crew);
struct layer *__real_layer_merge(const struct layer *const *layers, size_t count, bool bottom,
				 uint64_t seed);
struct layer *__wrap_layer_merge(const struct layer *const *layers, size_t count, bool bottom,
				 uint64_t seed);
void __real_snapshot_extent(const struct whitelist_snapshot *snapshot, int64_t now,
			    struct extent *extent_out);
void __wrap_snapshot_extent(const struct whitelist_snapshot *snapshot, int64_t now,
			    struct extent *extent_out);
int64_t __real_clock_steady_wall_ms(void);
int64_t __wrap_clock_steady_wall_ms(void);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
void *__real_mem_zalloc(size_t size);
void *__wrap_mem_zalloc(size_t size);
void *__real_mem_array(size_t count, size_t size);
void *__wrap_mem_array(size_t count, size_t size);
void *__real_mem_realloc(void *old, size_t size);
void *__wrap_mem_realloc(void *old, size_t size);
void *__real_mem_regrow(void *old, size_t count, size_t size);
void *__wrap_mem_regrow(void *old, size_t count, size_t size);
void __real_mem_free(void *ptr);
void __wrap_mem_free(void *ptr);

/* A job that is in the line must not be given again (base/crew.h). */
void __wrap_crew_give(struct crew *crew, struct crew_job *job)
{
	if (!rig.on) {
		__real_crew_give(crew, job);
		return;
	}
	ck_assert_uint_eq(crew_size(crew), 1); /* two would merge beside each other */
	ck_assert_ptr_null(rig.given);
	rig.given = job;
}

/* "Does what is still in the lines and joins" (base/crew.h). */
void __wrap_crew_free(struct crew **crew)
{
	if (rig.on && rig.given != NULL)
		by_hand_work(NULL, NULL);
	__real_crew_free(crew);
}

struct layer *__wrap_layer_merge(const struct layer *const *layers, size_t count, bool bottom,
				 uint64_t seed)
{
	if (rig.on && rig.working) {
		ck_assert(bottom); /* below a base is nothing that a tombstone could hide */
		ck_assert_uint_eq(rig.held_count, 0);
		rig.merges++;
		rig.working = false;
		run_once(&rig.merging);
		rig.working = true;
	}
	return __real_layer_merge(layers, count, bottom, seed);
}

void __wrap_snapshot_extent(const struct whitelist_snapshot *snapshot, int64_t now,
			    struct extent *extent_out)
{
	if (rig.on) {
		ck_assert_uint_eq(rig.held_count, 0);
		run_once(&rig.counting);
	}
	__real_snapshot_extent(snapshot, now, extent_out);
}

int64_t __wrap_clock_steady_wall_ms(void)
{
	return rig.on ? rig.now : __real_clock_steady_wall_ms();
}

/* Not by ck_assert: check has a lock, too. */
static size_t find_held(const pthread_mutex_t *mutex)
{
	size_t at = 0;

	while (at < rig.held_count && rig.held[at] != mutex)
		at++;
	return at;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (rig.watching) {
		assert(find_held(mutex) == rig.held_count); /* it would wait for itself */
		assert(rig.held_count < LOCKS);
		rig.held[rig.held_count++] = mutex;
	}
	return __real_pthread_mutex_lock(mutex);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (rig.watching) {
		size_t at = find_held(mutex);

		assert(at < rig.held_count); /* it was locked */
		rig.held[at] = rig.held[--rig.held_count];
	}
	return __real_pthread_mutex_unlock(mutex);
}

void *__wrap_mem_zalloc(size_t size)
{
	atomic_fetch_add(&blocks, 1);
	return __real_mem_zalloc(size);
}

void *__wrap_mem_array(size_t count, size_t size)
{
	atomic_fetch_add(&blocks, 1);
	return __real_mem_array(count, size);
}

void *__wrap_mem_realloc(void *old, size_t size)
{
	atomic_fetch_add(&blocks, old == NULL ? 1 : 0);
	return __real_mem_realloc(old, size);
}

void *__wrap_mem_regrow(void *old, size_t count, size_t size)
{
	atomic_fetch_add(&blocks, old == NULL ? 1 : 0);
	rig.regrown = count;
	return __real_mem_regrow(old, count, size);
}

void __wrap_mem_free(void *ptr)
{
	atomic_fetch_sub(&blocks, ptr != NULL ? 1 : 0);
	__real_mem_free(ptr);
}
