/* relay/webhook/endpoint.c - one endpoint: what is due becomes requests, answers become outcomes */
#include <config.h>

#include "relay/webhook/inside.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "relay/webhook/signature.h"

#define ANSWER_MAX    ((size_t)64 * 1024) /* of it is read, and forgotten */
#define REST_MAX_MS   60000
#define AFTER_MAX_MS  3600000 /* Retry-After */
#define AGAIN_MS      1000    /* the writer could not take it, or nothing could be read */
#define READ_AHEAD    32
#define SETTLE_MAX    256
#define UNSETTLED_MAX 256
#define IDLE_MS	      60000

struct endpoint *endpoint_new(struct webhooks *webhooks, const char *name)
{
	struct endpoint *endpoint = mem_zalloc(sizeof(*endpoint));

	endpoint->webhooks = webhooks;
	snprintf(endpoint->name, sizeof(endpoint->name), "%s", name);
	snprintf(endpoint->status.name, sizeof(endpoint->status.name), "%s", name);
	endpoint->outcomes = mem_array(SETTLE_MAX, sizeof(*endpoint->outcomes));
	return endpoint;
}

static void free_posting(struct posting *posting)
{
	request_end(&posting->request, posting->endpoint->webhooks->multi);
	request_release(&posting->request);
	mem_free(posting);
}

static void free_postings(struct posting **first)
{
	while (*first != NULL) {
		struct posting *posting = *first;

		*first = posting->next;
		free_posting(posting);
	}
}

void endpoint_free(struct endpoint **endpoint)
{
	free_postings(&(*endpoint)->waiting);
	free_postings(&(*endpoint)->running);
	free_postings(&(*endpoint)->answered);
	free_postings(&(*endpoint)->given);
	mem_free((*endpoint)->outcomes);
	mem_free(*endpoint);
	*endpoint = NULL;
}

bool endpoint_is_quiet(const struct endpoint *endpoint)
{
	return endpoint->running == NULL && endpoint->answered == NULL && !endpoint->settling;
}

/* --- asking --------------------------------------------------------------------------------- */

static bool is_known(const struct posting *first, int64_t id)
{
	for (; first != NULL; first = first->next)
		if (first->id == id)
			return true;
	return false;
}

/* It was read before, and is not settled yet. */
static bool is_under_way(const struct endpoint *endpoint, int64_t id)
{
	return is_known(endpoint->running, id) || is_known(endpoint->answered, id) ||
	       is_known(endpoint->given, id);
}

static void add_signed(struct posting *posting, struct span key)
{
	struct request *request = &posting->request;
	int64_t seconds = clock_wall_ms() / 1000;
	char signature[SIGNATURE_TEXT_SIZE];
	char id[ULID_TEXT_SIZE];
	char line[120];

	ulid_format(&posting->event, id);
	snprintf(line, sizeof(line), "webhook-id: %s", id);
	request_add(request, line);
	snprintf(line, sizeof(line), "webhook-timestamp: %" PRId64, seconds);
	request_add(request, line);
	if (key.len == 0)
		return;
	signature_make(key, id, seconds, buf_span(&request->content), signature);
	snprintf(line, sizeof(line), "webhook-signature: %s", signature);
	request_add(request, line);
}

static int begin_request(struct posting *posting, struct err *why)
{
	const struct webhook_options *options = posting->endpoint->options;
	struct request *request = &posting->request;
	struct request_target target;
	int code = request_parse(span_of(options->url), &target, why);

	if (code == ERR_OK)
		code = request_open(request, &target, options->timeout_ms, why);
	if (code != ERR_OK)
		return code;
	if (options->tls_ca[0] != '\0')
		request_set_ca(request, options->tls_ca);
	request_add(request, "Content-Type: application/json");
	request_add(request, "User-Agent: " PACKAGE_NAME "/" PACKAGE_VERSION);
	request_add(request, "Expect:");
	add_signed(posting, options->key);
	request_set_post(request, true);
	return request_start(request, posting->endpoint->webhooks->multi, posting, why);
}

static void answered_without(struct posting *posting, const char *error);

static void post(struct endpoint *endpoint)
{
	struct posting *posting = endpoint->waiting;
	struct err why;

	endpoint->waiting = posting->next;
	posting->next = endpoint->running;
	endpoint->running = posting;
	endpoint->running_count++;
	if (begin_request(posting, &why) != ERR_OK)
		answered_without(posting, why.text);
}

/* --- what is due ------------------------------------------------------------------------------ */

static struct posting *new_posting(struct endpoint *endpoint, const struct webhook_call *call)
{
	struct posting *posting = mem_zalloc(sizeof(*posting));
	int code;

	posting->endpoint = endpoint;
	posting->id = posting->outcome.id = call->id;
	posting->event = call->event;
	posting->attempts = call->attempts;
	snprintf(posting->type, sizeof(posting->type), "%s", call->type);
	request_init(&posting->request, WEBHOOK_BODY_MAX, ANSWER_MAX);
	code = buf_append_span(&posting->request.content, call->body);
	assert(code == ERR_OK);
	return posting;
}

static void take_due(struct endpoint *endpoint, const struct webhook_call *calls, size_t count)
{
	struct posting **last = &endpoint->waiting;

	for (size_t i = 0; i < count; i++) {
		if (is_under_way(endpoint, calls[i].id))
			continue;
		*last = new_posting(endpoint, &calls[i]);
		last = &(*last)->next;
	}
}

/* Those that are under way are read once more, and passed by. */
static size_t count_under_way(const struct endpoint *endpoint)
{
	return endpoint->running_count + endpoint->answered_count +
	       (endpoint->settling ? endpoint->settle.count : 0);
}

static void read_due(struct endpoint *endpoint, struct arena *arena)
{
	size_t limit = READ_AHEAD + count_under_way(endpoint);
	struct store_reader *reader = endpoint->webhooks->reader;
	int64_t now = clock_wall_ms();
	struct webhook_call *calls;
	size_t count = 0;
	struct err why;
	int code =
		queue_webhook_due(reader, endpoint->name, now, limit, arena, &calls, &count, &why);

	/* Those that are not due yet are asked about only when all others were read. */
	if (code == ERR_OK && count < limit)
		code = queue_webhook_next(reader, endpoint->name, now, &endpoint->next_at, &why);
	endpoint->maybe_due = code == ERR_OK && count == limit;
	if (code == ERR_OK) {
		take_due(endpoint, calls, count);
		return;
	}
	endpoint->next_at = now + AGAIN_MS;
	if (!store_is_failed(endpoint->webhooks->store))
		log_error("webhook", LOG_S("name", endpoint->name), LOG_S("error", why.text));
}

void endpoint_tell_lost(struct endpoint *endpoint)
{
	struct webhook_numbers numbers;

	if (!store_webhook_numbers(endpoint->webhooks->store, endpoint->name, &numbers) ||
	    numbers.lost <= endpoint->lost_told)
		return;
	if (endpoint->lost_told == 0)
		log_error("webhook", LOG_S("name", endpoint->name),
			  LOG_S("error", "too many events wait for it: more are lost"));
	endpoint->lost_told = numbers.lost;
}

static bool is_due(const struct endpoint *endpoint)
{
	return endpoint->maybe_due || clock_wall_ms() >= endpoint->next_at;
}

/* One is enough to find out whether it answers again. */
static bool has_room(const struct endpoint *endpoint)
{
	const struct webhook_options *options = endpoint->options;

	if (options == NULL || endpoint->webhooks->stopping ||
	    endpoint->answered_count >= UNSETTLED_MAX)
		return false;
	if (endpoint->failures == 0)
		return endpoint->running_count < options->concurrency;
	return endpoint->running_count == 0 && clock_mono_ms() >= endpoint->rest_until_ms;
}

void endpoint_start(struct endpoint *endpoint)
{
	struct arena *arena;

	if (!has_room(endpoint) || store_is_failed(endpoint->webhooks->store))
		return;
	if (endpoint->waiting == NULL && is_due(endpoint)) {
		arena = arena_new();
		read_due(endpoint, arena);
		arena_free(&arena);
	}
	while (endpoint->waiting != NULL && has_room(endpoint))
		post(endpoint);
	endpoint->status.running = endpoint->running_count;
}

void endpoint_forget_waiting(struct endpoint *endpoint)
{
	free_postings(&endpoint->waiting);
}

/* --- what came of it -------------------------------------------------------------------------- */

/* Trouble of the moment, of which the same request may be free later (RFC 9110 15.5, 15.6). */
static bool is_passing(long status)
{
	return status == 0 || status >= 500 || status == 408 || status == 425 || status == 429;
}

static void note_error(struct endpoint *endpoint, const char *error)
{
	snprintf(endpoint->status.last_error, sizeof(endpoint->status.last_error), "%s", error);
	endpoint->status.last_error_at = clock_wall_ms();
	endpoint->status.failed++;
}

static void note_reached(struct endpoint *endpoint)
{
	if (endpoint->failures > 0)
		log_info("webhook", LOG_S("name", endpoint->name),
			 LOG_S("note", "it answers again"));
	endpoint->failures = 0;
	endpoint->rest_until_ms = 0;
	endpoint->status.resting_until = 0;
}

/* However many requests fail together, the rest grows once. */
static void note_unreached(struct endpoint *endpoint, const char *error, int64_t after_ms)
{
	const struct webhook_options *options = endpoint->options;
	int64_t now_ms = clock_mono_ms();
	int64_t rest;

	if (endpoint->failures == 0)
		log_warning("webhook", LOG_S("name", endpoint->name),
			    LOG_S("note", "events wait for it"), LOG_S("reason", error));
	if (options == NULL || (endpoint->failures > 0 && now_ms < endpoint->rest_until_ms))
		return;
	endpoint->failures++;
	rest = backoff_wait_ms(options->schedule_ms, options->schedule_count, endpoint->failures,
			       (uint32_t)clock_mono_us());
	if (rest > REST_MAX_MS)
		rest = REST_MAX_MS;
	if (rest < after_ms)
		rest = after_ms;
	endpoint->rest_until_ms = now_ms + rest;
	endpoint->status.resting_until = clock_wall_ms() + rest;
}

static int64_t asked_to_wait_ms(const struct posting *posting)
{
	curl_off_t seconds = 0;

	if (posting->request.easy == NULL ||
	    curl_easy_getinfo(posting->request.easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK ||
	    seconds <= 0)
		return 0;
	return seconds < AFTER_MAX_MS / 1000 ? (int64_t)seconds * 1000 : AFTER_MAX_MS;
}

/* Again, as the schedule says, or not any more. */
static void choose_next(struct posting *posting, bool again, int64_t after_ms)
{
	const struct webhook_options *options = posting->endpoint->options;
	int tries = posting->attempts + 1;
	uint32_t random;
	int64_t wait;

	if (options == NULL || !again || tries > (int)options->schedule_count) {
		log_warning("webhook", LOG_S("name", posting->endpoint->name),
			    LOG_S("note", "dead letter"), LOG_S("type", posting->type),
			    LOG_I("attempts", tries), LOG_S("reason", posting->error));
		return;
	}
	secret_random(&random, sizeof(random));
	wait = backoff_wait_ms(options->schedule_ms, options->schedule_count, tries, random);
	posting->outcome.due_at = clock_wall_ms() + (wait > after_ms ? wait : after_ms);
}

static void fail(struct posting *posting, long status)
{
	struct endpoint *endpoint = posting->endpoint;
	int64_t after_ms = asked_to_wait_ms(posting);

	posting->outcome.status = (int)status;
	posting->outcome.error = posting->error;
	note_error(endpoint, posting->error);
	if (is_passing(status))
		note_unreached(endpoint, posting->error, after_ms);
	else
		note_reached(endpoint);
	choose_next(posting, is_passing(status), after_ms);
}

static void move_to_answered(struct posting *posting)
{
	struct endpoint *endpoint = posting->endpoint;
	struct posting **at = &endpoint->running;

	while (*at != posting)
		at = &(*at)->next;
	*at = posting->next;
	endpoint->running_count--;
	endpoint->status.running = endpoint->running_count;
	posting->next = endpoint->answered;
	endpoint->answered = posting;
	endpoint->answered_count++;
	endpoint->maybe_due = true;
}

static void answered_without(struct posting *posting, const char *error)
{
	snprintf(posting->error, sizeof(posting->error), "%.*s", (int)sizeof(posting->error) - 1,
		 error);
	fail(posting, 0);
	move_to_answered(posting);
}

static void say_status(struct posting *posting, long status)
{
	snprintf(posting->error, sizeof(posting->error), "it answers with status %ld%s", status,
		 status >= 300 && status < 400 ? ", and redirects are not followed" : "");
}

void endpoint_answered(struct posting *posting, CURLcode code)
{
	struct endpoint *endpoint = posting->endpoint;
	struct request *request = &posting->request;
	long status;

	if (!request_is_answered(request, code)) {
		answered_without(posting, request->error[0] != '\0' ? request->error
								    : curl_easy_strerror(code));
	} else {
		status = request_status(request);
		posting->outcome.sent = status >= 200 && status < 300;
		if (posting->outcome.sent) {
			endpoint->status.sent++;
			endpoint->status.last_sent_at = clock_wall_ms();
			endpoint->status.last_error[0] = '\0';
			note_reached(endpoint);
		} else {
			say_status(posting, status);
			fail(posting, status);
		}
		move_to_answered(posting);
	}
	request_end(request, endpoint->webhooks->multi);
	request_release(request);
}

/* --- settle ------------------------------------------------------------------------------------
 */

static void give_back(struct endpoint *endpoint)
{
	while (endpoint->given != NULL) {
		struct posting *posting = endpoint->given;

		endpoint->given = posting->next;
		posting->next = endpoint->answered;
		endpoint->answered = posting;
		endpoint->answered_count++;
	}
}

static void arrive_settled(struct webhooks *webhooks, struct webhook_message *message)
{
	struct endpoint *endpoint =
		(struct endpoint *)((char *)message - offsetof(struct endpoint, settled));
	const struct store_job *job = &endpoint->settle.job;

	endpoint->settling = false;
	endpoint->maybe_due = true;
	if (job->code == ERR_OK) {
		free_postings(&endpoint->given);
		return;
	}
	if (!store_is_failed(webhooks->store))
		log_error("webhook", LOG_S("name", endpoint->name), LOG_S("error", job->why.text));
	give_back(endpoint);
	endpoint->settle_again_ms = clock_mono_ms() + AGAIN_MS;
}

static void settle_done(struct store_job *job)
{
	struct endpoint *endpoint = job->ctx;

	webhooks_send(endpoint->webhooks, &endpoint->settled);
}

static size_t take_answered(struct endpoint *endpoint)
{
	size_t count = 0;

	while (endpoint->answered != NULL && count < SETTLE_MAX) {
		struct posting *posting = endpoint->answered;

		endpoint->answered = posting->next;
		endpoint->answered_count--;
		posting->next = endpoint->given;
		endpoint->given = posting;
		endpoint->outcomes[count++] = posting->outcome;
	}
	return count;
}

void endpoint_settle(struct endpoint *endpoint)
{
	if (endpoint->settling || endpoint->answered == NULL ||
	    clock_mono_ms() < endpoint->settle_again_ms ||
	    store_is_failed(endpoint->webhooks->store))
		return;
	endpoint->settling = true;
	endpoint->settled.arrive = arrive_settled;
	endpoint->settle = (struct webhook_settle){.job = {.done = settle_done, .ctx = endpoint},
						   .target = endpoint->name,
						   .outcomes = endpoint->outcomes,
						   .count = take_answered(endpoint),
						   .now = clock_wall_ms()};
	queue_webhook_settle(endpoint->webhooks->store, &endpoint->settle.job);
}

int64_t endpoint_wait_ms(const struct endpoint *endpoint)
{
	int64_t now_ms = clock_mono_ms();
	int64_t wait = IDLE_MS;
	int64_t due;

	if (endpoint->answered != NULL && !endpoint->settling)
		wait = endpoint->settle_again_ms > now_ms ? endpoint->settle_again_ms - now_ms : 0;
	if (endpoint->options == NULL || endpoint->webhooks->stopping)
		return wait;
	/* Hands are full, or the writer has them: an answer wakes us. */
	if (has_room(endpoint))
		due = endpoint->waiting != NULL || is_due(endpoint)
			      ? 0
			      : endpoint->next_at - clock_wall_ms();
	else
		due = endpoint->failures > 0 && endpoint->rest_until_ms > now_ms
			      ? endpoint->rest_until_ms - now_ms
			      : IDLE_MS;
	return due < wait ? due : wait;
}
