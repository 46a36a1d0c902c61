/* tests relay/hook/hook.c, login.c, screening.c: a hook at work, and everybody who speaks to it */
#include <config.h>

#include "relay/hook/hook.h"

#include <curl/curl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/unit/hook/script.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define OK	"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n\r\n"
#define MANY	40
#define WAITING 5 /* recipients */
#define THREADS 4

static const char *const mechanisms[] = {"plain"};
static const int64_t schedule[] = {60 * 1000};

struct house {
	struct fixture f;
	struct whitelist *list;
	struct script script;
	struct hook_options options;
	struct hook *hook;
};

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static struct hook_options options_for(const struct script *script)
{
	return (struct hook_options){.url = script->url,
				     .dialect = HOOK_NGINX,
				     .timeout_ms = 60 * 1000,
				     .concurrency = 4,
				     .overrides_whitelist = true,
				     .auth = mechanisms,
				     .auth_count = 1,
				     .schedule_ms = schedule,
				     .schedule_count = 1};
}

/* WAITING recipients that are to be asked about. `accepted`: how they were, in SQL. */
static void open_store(struct house *h, const char *accepted)
{
	char sql[200];

	fixture_open(&h->f);
	accept_as(&h->f, WAITING, STATE_SCREENING);
	fixture_close(&h->f);
	/* NOW is still to come */
	snprintf(sql, sizeof(sql), "UPDATE recipient SET ask_at = 1, %s", accepted);
	run_sql(h->f.dir, sql);
	fixture_reopen(&h->f);
}

/* `url`: NULL for that of a script that answers so. */
static void open_hook(struct house *h, const char *answer, const char *url, bool overrides)
{
	struct hook_env env = {.rules = NULL};
	struct err why = {""};

	h->list = whitelist_new();
	script_start(&h->script, answer);
	h->options = options_for(&h->script);
	h->options.overrides_whitelist = overrides;
	if (url != NULL)
		h->options.url = url;
	env.store = h->f.store;
	env.whitelist = h->list;
	ck_assert_msg(hook_start(&env, &h->options, &h->hook, &why) == ERR_OK, "%s", why.text);
}

static void open_house(struct house *h, const char *answer)
{
	open_store(h, "verdict = 'deliver'");
	open_hook(h, answer, NULL, true);
}

static void close_house(struct house *h)
{
	hook_stop(&h->hook);
	script_stop(&h->script);
	whitelist_free(&h->list);
	fixture_remove(&h->f);
}

/* --- logins ------------------------------------------------------------------------------- */

struct asked {
	struct login_ask ask; /* first */
	_Atomic bool done;
};

static void on_done(struct login_ask *ask)
{
	atomic_store(&((struct asked *)ask)->done, true);
}

static void ask(struct hook *hook, struct asked *asked)
{
	*asked = (struct asked){.ask = {.question = {.mechanism = SASL_PLAIN,
						     .user = "u",
						     .password = "p",
						     .attempt = 1,
						     .client_address = "192.0.2.7"},
					.done = on_done}};
	hook_login(hook, &asked->ask);
}

static void wait_for(struct asked *asked)
{
	while (!atomic_load(&asked->done))
		rest();
}

static void *ask_many(void *arg)
{
	struct house *h = arg;

	for (int i = 0; i < MANY / THREADS; i++) {
		struct asked asked;

		ask(h->hook, &asked);
		wait_for(&asked);
		ck_assert_int_ne(asked.ask.answer.verdict, LOGIN_WRONG);
	}
	return NULL;
}

static void on_reloaded(void *ctx)
{
	atomic_store((_Atomic bool *)ctx, true);
}

/* Each gets one answer, whoever else asks, whatever is configured meanwhile. */
START_TEST(logins_from_everywhere)
{
	struct house h;
	pthread_t threads[THREADS];
	struct hook_status status;
	struct hook_options again;
	_Atomic bool reloaded = false;
	struct asked last;

	open_house(&h, OK);
	again = h.options;
	again.concurrency = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, ask_many, &h);
	hook_reload(h.hook, &again, on_reloaded, &reloaded);
	hook_status(h.hook, &status);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert(atomic_load(&reloaded));
	ask(h.hook, &last);
	wait_for(&last);
	ck_assert_int_eq(last.ask.answer.verdict, LOGIN_RIGHT);
	close_house(&h);
}
END_TEST

/* At the end nobody waits for a script that says nothing; nor does who asks too late. */
START_TEST(nobody_is_left_waiting)
{
	struct house h;
	struct asked asked[MANY], late;

	open_house(&h, NULL);
	for (int i = 0; i < MANY; i++)
		ask(h.hook, &asked[i]);
	while (atomic_load(&h.script.asked) < 2 * h.options.concurrency)
		rest();
	hook_refuse_logins(h.hook);
	ask(h.hook, &late);
	for (int i = 0; i < MANY; i++) {
		wait_for(&asked[i]);
		ck_assert_int_eq(asked[i].ask.answer.verdict, LOGIN_UNKNOWN);
	}
	wait_for(&late);
	ck_assert_str_eq(late.ask.answer.text, "shutting down");
	close_house(&h);
}
END_TEST

/* More than can wait are told so at once; the others keep their place. */
START_TEST(only_so_many_wait)
{
	static struct asked asked[300];
	struct house h;
	size_t told = 0;

	open_house(&h, NULL);
	for (size_t i = 0; i < 300; i++)
		ask(h.hook, &asked[i]);
	wait_for(&asked[299]);
	for (size_t i = 0; i < 300; i++)
		told += atomic_load(&asked[i].done) ? 1 : 0;
	ck_assert_uint_eq(told, 300 - 256);
	ck_assert_str_eq(asked[299].ask.answer.text, "too many logins wait for the policy hook");
	hook_refuse_logins(h.hook);
	for (size_t i = 0; i < 300; i++)
		wait_for(&asked[i]);
	close_house(&h);
}
END_TEST

START_TEST(who_is_not_to_be_asked)
{
	struct house h;
	struct hook_options off;
	struct asked asked;

	open_house(&h, OK);
	off = h.options;
	off.auth_count = 0;
	hook_reload(h.hook, &off, NULL, NULL);
	ask(h.hook, &asked);
	wait_for(&asked);
	ck_assert_int_eq(asked.ask.answer.verdict, LOGIN_UNKNOWN);
	hook_stop(&h.hook);
	ck_assert_uint_le(atomic_load(&h.script.asked), WAITING);
	close_house(&h);
}
END_TEST

/* --- recipients ------------------------------------------------------------------------------ */

/* They are asked about while logins hang, and the other way round. */
START_TEST(recipients_beside_logins)
{
	struct house h;
	struct hook_status status = {.allowed = 0};
	struct asked asked[8];

	open_house(&h, OK);
	hook_wake(h.hook);
	for (int i = 0; i < 8; i++)
		ask(h.hook, &asked[i]);
	while (status.allowed < WAITING) {
		rest();
		hook_status(h.hook, &status);
	}
	for (int i = 0; i < 8; i++)
		wait_for(&asked[i]);
	hook_status(h.hook, &status);
	ck_assert_uint_eq(status.requests, WAITING + 8);
	close_house(&h);
}
END_TEST

/* What has changed since they were accepted is told for what it is. */
START_TEST(why_they_do_not_leave_any_more)
{
	static const struct {
		const char *accepted; /* SQL */
		const char *want;
	} cases[] = {
		{"verdict = 'drop', entry = 0",
		 "the policy hook overrides the whitelist no more: the whitelist is empty"},
		{"verdict = 'deliver', entry = 7, rule = 'r'",
		 "whitelist changed: the whitelist is empty"},
		{"verdict = 'deliver', entry = 0, rule = 'vip'",
		 "rule vip does not let it leave any more: the whitelist is empty"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct house h;
		char sql[300];

		open_store(&h, cases[i].accepted);
		open_hook(&h, OK, NULL, false);
		snprintf(sql, sizeof(sql),
			 "SELECT count(*) FROM recipient WHERE state = %d AND reason = '%s'",
			 STATE_DROPPED, cases[i].want);
		for (int turn = 0; turn < 5000 && ask_sql(h.f.dir, sql) < WAITING; turn++)
			rest();
		ck_assert_int_eq(ask_sql(h.f.dir, sql), WAITING);
		ck_assert_uint_eq(atomic_load(&h.script.asked), 0);
		close_house(&h);
	}
}
END_TEST

/* --- name servers ---------------------------------------------------------------------------- */

#define NAME_THAT_HANGS "hangs.test"

static _Atomic bool names_come;
static _Atomic int asked_for, told;

/*
 * libcurl's, in the place of the real one: nobody answers for that name until names_come; the
 * others are not asked for here.
 */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
						       const struct addrinfo *hints,
						       struct addrinfo **result)
{
	(void)service;
	(void)hints;
	(void)result;
	if (node == NULL || strcmp(node, NAME_THAT_HANGS) != 0)
		return EAI_NONAME;
	atomic_fetch_add(&asked_for, 1);
	while (!atomic_load(&names_come))
		rest();
	atomic_fetch_add(&told, 1);
	return EAI_AGAIN;
}

/* A stop does not wait for a name server that says nothing. */
START_TEST(a_stop_while_names_hang)
{
	struct house h;
	int64_t began;

	if (curl_version_info(CURLVERSION_NOW)->version_num < 0x075700)
		return; /* that libcurl can't let go of it */
	open_store(&h, "verdict = 'deliver'");
	open_hook(&h, OK, "http://" NAME_THAT_HANGS "/", true);
	for (int turn = 0; turn < 10000 && atomic_load(&asked_for) == 0; turn++)
		rest();
	ck_assert_int_gt(atomic_load(&asked_for), 0);
	began = clock_mono_ms();
	hook_stop(&h.hook);
	ck_assert_int_lt(clock_mono_ms() - began, 5000);
	ck_assert_int_eq(atomic_load(&told), 0);
	atomic_store(&names_come, true);
	while (atomic_load(&told) < atomic_load(&asked_for))
		rest();
	close_house(&h);
}
END_TEST

UNIT_MAIN("hook/hook", logins_from_everywhere, nobody_is_left_waiting, only_so_many_wait,
	  who_is_not_to_be_asked, recipients_beside_logins, why_they_do_not_leave_any_more,
	  a_stop_while_names_hang)
