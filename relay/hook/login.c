/* relay/hook/login.c - logins at the front door: asked about beside the recipients */
#include <stdio.h>

#include "base/clock.h"
#include "relay/hook/inside.h"
#include "relay/hook/nginx.h"

#define WAITING_MAX  256
#define WAIT_MAX_MS  (30 * 1000) /* WAIT again and again: so long in all */
#define AGAIN_MIN_MS 1000

static void unlink_login(struct login **list, const struct login *login)
{
	while (*list != login)
		list = &(*list)->next;
	*list = login->next;
}

/* The asker has its answer, and the login is gone. */
static void answer(struct login *login)
{
	struct hook *hook = login->hook;
	struct login_ask *ask = login->ask;

	request_end(&login->request, hook->multi);
	request_release(&login->request);
	hook->login_count--;
	mem_free(login);
	ask->done(ask);
}

static void say_unknown(struct login *login, const char *reason)
{
	login->ask->answer = (struct login_answer){.verdict = LOGIN_UNKNOWN};
	snprintf(login->ask->answer.text, sizeof(login->ask->answer.text), "%.199s", reason);
	answer(login);
}

static void wait_for_turn(struct login *login, int64_t wait_ms)
{
	struct login **end = &login->hook->logins_waiting;

	login->not_before_ms = clock_mono_ms() + wait_ms;
	while (*end != NULL)
		end = &(*end)->next;
	login->next = NULL;
	*end = login;
}

/* --- the answer of the script --------------------------------------------------------------- */

static void take_answer(struct login *login)
{
	struct hook *hook = login->hook;
	int64_t wait_ms = 0;

	if (!nginx_read_login(buf_span(&login->request.head), &login->ask->answer, &wait_ms)) {
		answer(login);
		return;
	}
	request_end(&login->request, hook->multi);
	request_release(&login->request);
	hook_request_init(&login->request);
	if (wait_ms < AGAIN_MIN_MS)
		wait_ms = AGAIN_MIN_MS;
	if (clock_mono_ms() + wait_ms > login->begun_ms + WAIT_MAX_MS)
		say_unknown(login, "the policy hook asks to wait for too long");
	else
		wait_for_turn(login, wait_ms);
}

static void finish(struct hook *hook, struct transfer *transfer, CURLcode code)
{
	struct login *login = (struct login *)transfer;
	const char *error = login->request.error[0] != '\0' ? login->request.error
							    : curl_easy_strerror(code);

	unlink_login(&hook->logins_running, login);
	hook->logins_running_count--;
	if (login->reloads != hook->reloads) {
		say_unknown(login, "the policy hook was configured anew");
	} else if (!request_is_answered(&login->request, code)) {
		hook_note_error(hook, error);
		say_unknown(login, error);
	} else {
		take_answer(login);
	}
}

/* --- the question --------------------------------------------------------------------------- */

static void begin(struct hook *hook, struct login *login)
{
	struct err why = {""};
	int code = ERR_OK;

	if (login->reloads != hook->reloads)
		code = err_set(&why, ERR_CLOSED, "the policy hook was configured anew");
	else if (clock_mono_ms() > login->not_before_ms + hook->options->timeout_ms)
		code = err_set(&why, ERR_TIMEOUT, "the policy hook has no time for it");
	else if (nginx_write_login(&login->ask->question, hook->options, &login->request.content) !=
		 ERR_OK)
		code = err_set(&why, ERR_LIMIT, "the question is too long");
	if (code == ERR_OK)
		code = hook_request_begin(&login->request, hook->multi, hook->options,
					  &login->transfer, &why);
	if (code != ERR_OK) {
		say_unknown(login, why.text);
		return;
	}
	hook_count_request(hook, false);
	login->next = hook->logins_running;
	hook->logins_running = login;
	hook->logins_running_count++;
}

void logins_start(struct hook *hook)
{
	struct login **at = &hook->logins_waiting;
	int64_t now_ms = clock_mono_ms();

	while (*at != NULL && hook->logins_running_count < hook->options->concurrency) {
		struct login *login = *at;

		if (login->not_before_ms > now_ms) {
			at = &login->next;
			continue;
		}
		*at = login->next;
		begin(hook, login);
	}
}

int64_t logins_wait_ms(const struct hook *hook)
{
	int64_t now_ms = clock_mono_ms();
	int64_t first = INT64_MAX;

	if (hook->logins_running_count >= hook->options->concurrency)
		return first;
	for (const struct login *login = hook->logins_waiting; login != NULL; login = login->next)
		if (login->not_before_ms - now_ms < first)
			first = login->not_before_ms > now_ms ? login->not_before_ms - now_ms : 0;
	return first;
}

void logins_drop(struct hook *hook)
{
	struct login *login;

	while ((login = hook->logins_waiting) != NULL) {
		hook->logins_waiting = login->next;
		say_unknown(login, "shutting down");
	}
	while ((login = hook->logins_running) != NULL) {
		hook->logins_running = login->next;
		hook->logins_running_count--;
		say_unknown(login, "shutting down");
	}
}

static void arrive_login(struct hook *hook, struct hook_event *event)
{
	struct login *login = (struct login *)((char *)event - offsetof(struct login, event));

	login->reloads = hook->reloads;
	login->begun_ms = clock_mono_ms();
	hook->login_count++;
	if (hook->refuses_logins)
		say_unknown(login, "shutting down");
	else if (hook->options->url[0] == '\0' || hook->options->auth_count == 0)
		say_unknown(login, "the policy hook is not to be asked any more");
	else if (hook->login_count > WAITING_MAX)
		say_unknown(login, "too many logins wait for the policy hook");
	else
		wait_for_turn(login, 0);
}

void hook_login(struct hook *hook, struct login_ask *ask)
{
	struct login *login = mem_zalloc(sizeof(*login));

	login->transfer.finish = finish;
	login->event.arrive = arrive_login;
	login->hook = hook;
	login->ask = ask;
	hook_request_init(&login->request);
	hook_send(hook, &login->event);
}
