/* tests relay/loop/loop.c and relay/loop/budget.c */
#include <config.h>

#include "relay/loop/loop.h"

#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/loop/budget.h"
#include "tests/unit/loop/rig.h"
#include "tests/unit/unit.h"

struct counted {
	struct loop_task task;
	struct loop *loop;
	int number;
	int *next;
};

static void count(struct loop_task *task)
{
	struct counted *counted = (struct counted *)task;

	ck_assert(loop_is_current(counted->loop));
	ck_assert_int_eq(counted->number, (*counted->next)++);
	mem_free(counted);
}

static bool post_counted(struct loop *loop, int number, int *next)
{
	struct counted *counted = mem_zalloc(sizeof(*counted));

	*counted = (struct counted){{.run = count}, loop, number, next};
	if (loop_post(loop, &counted->task))
		return true;
	mem_free(counted);
	return false;
}

START_TEST(tasks_run_in_order_and_all_before_the_stop)
{
	struct loop *loop = rig_start();
	int next = 0;

	ck_assert(!loop_is_current(loop));
	for (int i = 0; i < 10000; i++)
		ck_assert(post_counted(loop, i, &next));
	loop_stop(loop);
	ck_assert_int_eq(next, 10000);
	ck_assert(!post_counted(loop, 0, &next));
	loop_free(&loop);
	ck_assert_ptr_null(loop);
}
END_TEST

START_TEST(tasks_of_a_loop_never_started_run_too)
{
	struct loop *loop = loop_new("never");
	int next = 0;

	ck_assert(post_counted(loop, 0, &next));
	loop_free(&loop);
	ck_assert_int_eq(next, 1);
}
END_TEST

/* A task that posts the next one, until the loop says no. */
struct chain {
	struct loop_task task;
	struct loop *loop;
	int posted;
	bool refused;
};

static void post_again(struct loop_task *task)
{
	struct chain *chain = (struct chain *)task;

	chain->posted++;
	if (!loop_post(chain->loop, task))
		chain->refused = true;
}

START_TEST(stopping_ends_also_what_posts_itself)
{
	struct loop *loop = rig_start();
	struct chain chain = {{.run = post_again}, loop, 0, false};

	ck_assert(loop_post(loop, &chain.task));
	loop_stop(loop);
	ck_assert(chain.refused);
	ck_assert_int_gt(chain.posted, 0);
	loop_free(&loop);
}
END_TEST

struct alarm_clock {
	struct loop_timer timer;
	struct loop *loop;
	int64_t set_at;
	int64_t rang_at;
	int rings;
	sem_t rang;
};

static void ring(struct loop_timer *timer)
{
	struct alarm_clock *alarm = (struct alarm_clock *)timer;

	ck_assert(!loop_timer_is_set(timer));
	alarm->rang_at = clock_mono_ms();
	if (++alarm->rings < 3)
		loop_timer_set(timer, 20);
	else
		sem_post(&alarm->rang);
}

static void set_alarm(void *arg)
{
	struct alarm_clock *alarm = arg;

	loop_timer_init(&alarm->timer, alarm->loop, ring);
	ck_assert(!loop_timer_is_set(&alarm->timer));
	alarm->set_at = clock_mono_ms();
	loop_timer_set(&alarm->timer, 60000);
	ck_assert(loop_timer_is_set(&alarm->timer));
	loop_timer_set(&alarm->timer, 20); /* moved */
}

START_TEST(a_timer_rings_once_a_setting_and_never_early)
{
	struct alarm_clock alarm = {.loop = rig_start()};

	sem_init(&alarm.rang, 0, 0);
	rig_run(alarm.loop, set_alarm, &alarm);
	sem_wait(&alarm.rang);
	ck_assert_int_eq(alarm.rings, 3);
	/* libev works in doubles: allow it the last millisecond of each. */
	ck_assert_int_ge(alarm.rang_at - alarm.set_at, 57);
	loop_free(&alarm.loop);
}
END_TEST

static void stop_alarm(void *arg)
{
	struct alarm_clock *alarm = arg;

	set_alarm(alarm);
	loop_timer_stop(&alarm->timer);
	ck_assert(!loop_timer_is_set(&alarm->timer));
	loop_timer_stop(&alarm->timer);
}

static void nothing(void *arg)
{
}

START_TEST(a_stopped_timer_is_silent)
{
	struct alarm_clock alarm = {.loop = rig_start()};

	rig_run(alarm.loop, stop_alarm, &alarm);
	usleep(60000);
	rig_run(alarm.loop, nothing, NULL);
	ck_assert_int_eq(alarm.rings, 0);
	loop_free(&alarm.loop);
}
END_TEST

static void *spend(void *arg)
{
	for (int i = 0; i < 100000; i++) {
		budget_count(arg, 3);
		budget_count(arg, -2);
	}
	return NULL;
}

START_TEST(a_budget_counts_for_all_threads)
{
	struct budget budget;
	pthread_t threads[4];

	budget_init(&budget, 400000);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, spend, &budget);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert(!budget_is_over(&budget)); /* at the limit is not over it */
	budget_count(&budget, 1);
	ck_assert(budget_is_over(&budget));
	budget_set_limit(&budget, 400001);
	ck_assert(!budget_is_over(&budget));
}
END_TEST

/* Over the limit one goes on, until it leaves or its turn is over. */
START_TEST(a_budget_favours_one_at_a_time)
{
	struct budget budget;
	int a, b;

	budget_init(&budget, 10);
	ck_assert_int_eq(budget.favour_ms, 1000);
	budget.favour_ms = 60000;
	ck_assert(budget_lets(&budget, &a) && budget_lets(&budget, &b));
	budget_count(&budget, 11);
	ck_assert(budget_lets(&budget, &a));
	ck_assert(!budget_lets(&budget, &b));
	budget_leave(&budget, &b);
	ck_assert(!budget_lets(&budget, &b));
	ck_assert(budget_lets(&budget, &a));
	budget_leave(&budget, &a);
	budget.favour_ms = 0;
	ck_assert(budget_lets(&budget, &b));
	ck_assert(budget_lets(&budget, &a));  /* b's turn is over */
	ck_assert(!budget_lets(&budget, &a)); /* it does not follow itself while others ask */
	ck_assert(budget_lets(&budget, &b));
	budget_count(&budget, -1);
	ck_assert(budget_lets(&budget, &a) && budget_lets(&budget, &b));
}
END_TEST

UNIT_MAIN("loop/loop", tasks_run_in_order_and_all_before_the_stop,
	  tasks_of_a_loop_never_started_run_too, stopping_ends_also_what_posts_itself,
	  a_timer_rings_once_a_setting_and_never_early, a_stopped_timer_is_silent,
	  a_budget_counts_for_all_threads, a_budget_favours_one_at_a_time)
