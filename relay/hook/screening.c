/* relay/hook/screening.c - the hook's thread: what is claimed is judged, asked about, and settled
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/filter/judge.h"
#include "relay/hook/inside.h"

#define CLAIM_MAX     64
#define IDLE_MS	      (60 * 1000)
#define RETRY_MS      1000
#define REST_FIRST_MS 1000 /* after nobody could be reached, doubling */
#define REST_MAX_MS   (60 * 1000)

static bool is_on(const struct hook *hook)
{
	return hook->options->url[0] != '\0';
}

/* Nobody was reached the last time, and what waits does so until somebody is. */
static bool rests(const struct hook *hook)
{
	return hook->failures > 0 && is_on(hook) && hook->options->on_error == HOOK_RETRY;
}

/* --- a claim becomes questions ------------------------------------------------------------ */

/* What the list denies, or has no safe form, is nobody's to allow. */
static bool may_be_asked(const struct hook *hook, const struct verdict *verdict, bool *listed_out)
{
	*listed_out = verdict->kind == VERDICT_DELIVER;
	return *listed_out || (hook->options->overrides_whitelist && verdict_is_unlisted(verdict));
}

/* A rule may let it leave: delivery, which reads the header, asks them. */
static bool may_be_ruled(struct hook *hook, const struct new_message *m,
			 const struct address *recipient)
{
	struct address sender;
	struct rule_facts facts = {.sender = rule_sender(m->sender, &sender),
				   .client = m->client_address,
				   .user = m->user,
				   .listener = m->listener,
				   .scope = m->scope,
				   .size = m->size};

	return rules_may_allow(hook->env.rules, &facts, recipient);
}

/* What is different from when it was accepted, in front of why it does not leave. */
static void say_change(const struct screened_recipient *recipient, const struct verdict *verdict,
		       char *text_out, size_t size)
{
	if (!recipient->was_allowed && verdict_is_unlisted(verdict))
		snprintf(text_out, size, "the policy hook overrides the whitelist no more: ");
	else if (recipient->let_out_by != NULL)
		snprintf(text_out, size,
			 "rule %s does not let it leave any more: ", recipient->let_out_by);
	else
		snprintf(text_out, size, "whitelist changed: ");
}

static void judge(struct hook *hook, const struct screened_message *message,
		  const struct whitelist_snapshot *list, const struct screened_recipient *recipient,
		  struct asked *asked)
{
	struct judge_case at = {
		.list = list, .scope = span_of(message->m.scope), .now = clock_steady_wall_ms()};
	struct address address;
	struct verdict verdict = {.kind = VERDICT_DROP, .reason = REASON_UNSAFE_FORM};
	char change[120], sentence[320];
	struct err why;

	*asked = (struct asked){.recipient = recipient};
	if (address_parse(span_of(recipient->address), &address, &why) == ERR_OK)
		judge_address(&at, &address, &verdict);
	if (may_be_asked(hook, &verdict, &asked->listed))
		return;
	asked->listed = verdict_is_unlisted(&verdict) && may_be_ruled(hook, &message->m, &address);
	if (asked->listed)
		return;
	say_change(recipient, &verdict, change, sizeof(change));
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	asked->is_ours = true;
	asked->decision.kind = DECISION_DROP;
	snprintf(asked->decision.reason, sizeof(asked->decision.reason), "%s%.*s", change,
		 (int)(sizeof(asked->decision.reason) - 1 - strlen(change)), sentence);
}

static void push(struct hook *hook, struct ask *ask)
{
	ask->next = NULL;
	if (hook->waiting_last != NULL)
		hook->waiting_last->next = ask;
	else
		hook->waiting_first = ask;
	hook->waiting_last = ask;
	hook->waiting++;
}

static struct ask *take(struct hook *hook)
{
	struct ask *ask = hook->waiting_first;

	hook->waiting_first = ask->next;
	if (hook->waiting_first == NULL)
		hook->waiting_last = NULL;
	hook->waiting--;
	ask->next = NULL;
	return ask;
}

/* Nobody was reached for so long: there is no need to try once more. */
static bool is_over(const struct hook *hook, const struct screened_recipient *recipient)
{
	return (rests(hook) || recipient->asked > 0) && hook->options->on_error == HOOK_RETRY &&
	       hook->options->expire_after_ms > 0 &&
	       clock_wall_ms() >= recipient->waiting_since + hook->options->expire_after_ms;
}

/* Decided without a question: the list's no, time that is up, or no hook at all. */
static bool decide_here(struct hook *hook, struct asked *asked)
{
	if (asked->is_ours)
		return true;
	if (!is_on(hook)) {
		asked->is_ours = true;
		asked->decision.kind = DECISION_ALLOW;
		decision_say(&asked->decision, "there is none any more, the whitelist decides");
		return true;
	}
	if (!is_over(hook, asked->recipient))
		return false;
	decision_none(&asked->decision, "no decision in all the time there was");
	return true;
}

/* JSON asks about all of a message at once, nginx about each. */
static void divide(struct hook *hook, struct batch *batch, const struct screened_message *message,
		   const struct whitelist_snapshot *list)
{
	size_t most = hook->options->dialect == HOOK_NGINX ? 1 : message->recipient_count;
	struct ask *here = ask_new(hook, batch, message, message->recipient_count);
	struct ask *open = NULL;

	for (size_t i = 0; i < message->recipient_count; i++) {
		struct asked asked;

		judge(hook, message, list, &message->recipients[i], &asked);
		if (decide_here(hook, &asked)) {
			here->asked[here->count++] = asked;
			continue;
		}
		if (open == NULL)
			open = ask_new(hook, batch, message, most);
		open->asked[open->count++] = asked;
		if (open->count < most)
			continue;
		push(hook, open);
		open = NULL;
	}
	if (open != NULL)
		push(hook, open);
	if (here->count > 0)
		ask_conclude(here);
	else
		ask_free(&here);
}

static void arrive_claimed(struct hook *hook, struct hook_event *event)
{
	struct screen_claim *claim = &hook->claim.claim;
	const struct whitelist_snapshot *list;
	struct batch *batch;

	(void)event;
	hook->claim.busy = false;
	if (claim->job.code != ERR_OK) {
		if (!store_is_failed(hook->env.store))
			log_error("screening failed", LOG_S("error", claim->job.why.text));
		hook->next_at = clock_wall_ms() + RETRY_MS;
		return;
	}
	hook->next_at = claim->next_at;
	if (claim->message_count == 0 || hook->stopping) {
		arena_free(&claim->arena);
		return;
	}
	batch = mem_zalloc(sizeof(*batch));
	batch->arena = claim->arena;
	claim->arena = NULL;
	batch->users = 1; /* until all of it is divided */
	list = whitelist_acquire(hook->env.whitelist);
	for (size_t i = 0; i < claim->message_count; i++)
		divide(hook, batch, &claim->messages[i], list);
	whitelist_release(&list);
	if (--batch->users == 0) {
		arena_free(&batch->arena);
		mem_free(batch);
	}
}

static void claim_done(struct store_job *job)
{
	struct claim_call *call = (struct claim_call *)job;

	hook_send(call->hook, &call->event);
}

/* While nobody can be reached one message is enough to find out whether that has changed. */
static bool may_claim(const struct hook *hook, int64_t now)
{
	bool due = hook->maybe_due || now >= hook->next_at;
	bool idle = hook->waiting == 0 && hook->running_count == 0;

	if (!due || hook->claim.busy || hook->stopping || hook->unsettled != NULL ||
	    store_is_failed(hook->env.store))
		return false;
	if (rests(hook))
		return idle && clock_mono_ms() >= hook->rest_until_ms;
	return hook->waiting < hook->options->concurrency && hook->settling < CLAIM_MAX;
}

static void claim(struct hook *hook)
{
	int64_t now = clock_wall_ms();

	if (!may_claim(hook, now))
		return;
	hook->maybe_due = false;
	hook->claim.busy = true;
	hook->claim.claim.now = now;
	hook->claim.claim.max_recipients = rests(hook) ? 1 : CLAIM_MAX;
	queue_screen_claim(hook->env.store, &hook->claim.claim.job);
}

/* --- requests ------------------------------------------------------------------------------- */

static bool may_start(const struct hook *hook)
{
	return !hook->stopping && hook->running_count < hook->options->concurrency;
}

static void unlink_running(struct hook *hook, const struct ask *ask)
{
	struct ask **at = &hook->running;

	while (*at != ask)
		at = &(*at)->next;
	*at = ask->next;
	hook->running_count--;
}

static void note_answer(struct hook *hook)
{
	if (hook->failures > 0)
		log_info("hook", LOG_S("note", "it answers again"));
	hook->failures = 0;
	hook->rest_until_ms = 0;
}

static const char *fate_of_undecided(enum hook_on_error on_error)
{
	switch (on_error) {
	case HOOK_HOLD: return "nobody answers; recipients are held";
	case HOOK_DROP: return "nobody answers; recipients are dropped";
	case HOOK_RETRY: break;
	}
	return "nobody answers; recipients wait";
}

/* However many requests fail together, the rest grows once. */
static void note_failure(struct hook *hook, const struct ask *ask)
{
	int64_t now_ms = clock_mono_ms();
	int64_t rest = REST_FIRST_MS;

	if (hook->failures == 0)
		log_warning("hook", LOG_S("note", fate_of_undecided(hook->options->on_error)),
			    LOG_S("reason", ask->asked[0].decision.reason));
	if (now_ms < hook->rest_until_ms)
		return;
	for (int i = 0; i < hook->failures && rest < REST_MAX_MS; i++)
		rest *= 2;
	hook->failures++;
	hook->rest_until_ms = now_ms + (rest < REST_MAX_MS ? rest : REST_MAX_MS);
}

static void finish(struct hook *hook, struct transfer *transfer, CURLcode code)
{
	struct ask *ask = (struct ask *)transfer;
	bool answered;

	unlink_running(hook, ask);
	answered = ask_answered(ask, code);
	if (answered)
		note_answer(hook);
	else
		note_failure(hook, ask);
	pthread_mutex_lock(&hook->lock);
	if (answered)
		hook->status.last_answer_at = clock_wall_ms();
	pthread_mutex_unlock(&hook->lock);
	ask_conclude(ask);
}

static void start_requests(struct hook *hook)
{
	while (hook->waiting > 0 && may_start(hook)) {
		struct ask *ask = take(hook);

		if (!ask_begin(ask)) {
			ask_conclude(ask);
			continue;
		}
		ask->transfer.finish = finish;
		ask->next = hook->running;
		hook->running = ask;
		hook->running_count++;
	}
}

static void run_requests(struct hook *hook)
{
	int running = 0, left = 0;
	CURLMsg *message;

	if (curl_multi_perform(hook->multi, &running) != CURLM_OK)
		return;
	while ((message = curl_multi_info_read(hook->multi, &left)) != NULL) {
		struct transfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		transfer->finish(hook, transfer, message->data.result);
	}
}

/* --- the thread ----------------------------------------------------------------------------- */

static void settle_again(struct hook *hook)
{
	struct ask *ask = hook->unsettled;

	if (clock_mono_ms() < hook->settle_again_ms && !hook->stopping)
		return;
	hook->unsettled = NULL;
	while (ask != NULL) {
		struct ask *next = ask->next;

		ask->next = NULL;
		if (hook->stopping)
			ask_free(&ask);
		else
			ask_settle(ask);
		ask = next;
	}
}

static void show(struct hook *hook)
{
	int64_t rest = hook->rest_until_ms - clock_mono_ms();

	pthread_mutex_lock(&hook->lock);
	hook->status.reachable = hook->failures == 0;
	hook->status.running = hook->running_count;
	hook->status.resting_until = hook->failures > 0 && rest > 0 ? clock_wall_ms() + rest : 0;
	pthread_mutex_unlock(&hook->lock);
}

/* Nothing that was asked is lost: the next start gives it back. */
static void drop_questions(struct hook *hook)
{
	while (hook->waiting > 0) {
		struct ask *ask = take(hook);

		ask_free(&ask);
	}
	while (hook->running != NULL) {
		struct ask *ask = hook->running;

		hook->running = ask->next;
		hook->running_count--;
		ask_free(&ask);
	}
}

static void turn(struct hook *hook)
{
	settle_again(hook);
	if (hook->stopping)
		drop_questions(hook);
	claim(hook);
	start_requests(hook);
	logins_start(hook);
	run_requests(hook);
	show(hook);
}

static bool is_quiet(const struct hook *hook)
{
	return !hook->claim.busy && hook->settling == 0 && hook->unsettled == NULL &&
	       hook->running == NULL && hook->waiting == 0;
}

static int64_t patience(const struct hook *hook)
{
	int64_t now = clock_wall_ms();
	int64_t due = hook->maybe_due ? 0 : hook->next_at - now;
	int64_t rest = rests(hook) ? hook->rest_until_ms - clock_mono_ms() : 0;
	int64_t again = hook->settle_again_ms - clock_mono_ms();
	int64_t wait = due > rest ? due : rest;
	int64_t logins = logins_wait_ms(hook);

	if (may_claim(hook, now) || (hook->waiting > 0 && may_start(hook)))
		return 0;
	/* Hands are full, or the writer has it: an answer wakes us. */
	if (wait <= 0)
		wait = IDLE_MS;
	if (hook->unsettled != NULL && wait > again)
		wait = again > 0 ? again : 0;
	if (wait > logins)
		wait = logins;
	return wait < IDLE_MS ? wait : IDLE_MS;
}

static void take_events(struct hook *hook)
{
	struct channel_item *item = channel_take_all(hook->inbox);

	while (item != NULL) {
		struct hook_event *event = (struct hook_event *)item;

		item = item->next;
		event->arrive(hook, event);
	}
}

void *screening_run(void *arg)
{
	struct hook *hook = arg;

	hook->claim.hook = hook;
	hook->claim.event.arrive = arrive_claimed;
	hook->claim.claim.job.done = claim_done;
	turn(hook);
	while (!hook->stopping || !is_quiet(hook)) {
		struct curl_waitfd inbox = {.fd = channel_fd(hook->inbox),
					    .events = CURL_WAIT_POLLIN};

		(void)curl_multi_poll(hook->multi, &inbox, 1, (int)patience(hook), NULL);
		take_events(hook);
		turn(hook);
	}
	return NULL;
}
