/* relay/deliver/destination.c - what waits, and for whom: the lines in front of the connections */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/deliver/inside.h"

/* --- the line ------------------------------------------------------------------------- */

/*
 * A job that met a dead connection gets one that carried nothing yet: what is
 * in the pool beside it may have died with it. Such jobs stand in front.
 */
static bool wants_fresh(const struct job *job)
{
	return job->redials > 0;
}

/*
 * Those who handed the mail in take turns: each of their messages has the turn
 * after their one before it, and the first has the one that is on now.
 * Returns the job behind which it stands; NULL: it is first.
 */
static struct job *find_place(const struct destination *to, struct job *job)
{
	int app = job->message->app;
	struct job *at = NULL;

	job->turn = to->turn;
	if (to->last != NULL && to->last->message->app == app) {
		job->turn = to->last->turn + 1;
		return to->last;
	}
	for (struct job *other = to->first; other != NULL; other = other->next)
		if (other->message->app == app)
			job->turn = other->turn + 1;
	for (struct job *other = to->first; other != NULL; other = other->next)
		if (wants_fresh(other) || other->turn <= job->turn)
			at = other;
	return at;
}

static void push(struct destination *to, struct job *job, bool front)
{
	struct job *behind = front ? NULL : find_place(to, job);
	struct job **at = behind != NULL ? &behind->next : &to->first;

	if (to->first == NULL)
		to->waiting_since_ms = clock_mono_ms();
	job->next = *at;
	*at = job;
	if (job->next == NULL)
		to->last = job;
	to->waiting += job->count;
	to->jobs_waiting++;
	to->way->waiting += job->count;
	to->way->jobs_waiting++;
}

/* The one behind `prev`; NULL: the first. */
static struct job *take_behind(struct destination *to, struct job *prev)
{
	struct job **at = prev != NULL ? &prev->next : &to->first;
	struct job *job = *at;

	if (job == NULL)
		return NULL;
	*at = job->next;
	if (to->last == job)
		to->last = prev;
	if (job->turn > to->turn)
		to->turn = job->turn;
	to->waiting -= job->count;
	to->jobs_waiting--;
	to->way->waiting -= job->count;
	to->way->jobs_waiting--;
	return job;
}

struct job *destination_take(struct destination *to, bool used)
{
	struct job *prev = NULL;

	for (struct job *job = to->first; used && job != NULL && wants_fresh(job); job = job->next)
		prev = job;
	return take_behind(to, prev);
}

size_t destination_fresh_wanted(const struct destination *to)
{
	size_t count = 0;

	for (const struct job *job = to->first; job != NULL && wants_fresh(job); job = job->next)
		count++;
	return count;
}

void destination_push(struct destination *to, struct job *job)
{
	push(to, job, false);
}

void destination_give_up(struct deliver *d, struct destination *to, enum transition transition,
			 const char *reason, int64_t again_at)
{
	struct job *job;

	while ((job = take_behind(to, NULL)) != NULL) {
		job->trouble = to->way->trouble;
		settle_all(d, job, transition, reason, again_at);
	}
}

void way_give_up(struct deliver *d, struct way *way, enum transition transition, const char *reason,
		 int64_t again_at)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		destination_give_up(d, to, transition, reason, again_at);
}

/* --- the destinations of a route ------------------------------------------------------------ */

/* The hosts of the options: each is tried when those before it do not do, or all by turns. */
static void set_targets(struct destination *to)
{
	const struct way *way = to->way;
	size_t i = 0;

	to->target_count = way->options->host_count;
	to->targets = mem_array(to->target_count + 1, sizeof(*to->targets));
	for (struct host *host = way->hosts; host != NULL; host = host->next, i++) {
		host->users++;
		to->targets[i].host = host;
		to->targets[i].rank = way->options->balance == ROUTE_ROUND_ROBIN ? 0 : i;
	}
	assert(i == to->target_count);
}

static struct destination *make(struct way *way, const char *key)
{
	struct destination *to = mem_zalloc(sizeof(*to));
	struct destination **end = &way->destinations;

	to->way = way;
	to->key = mem_strdup(key);
	set_targets(to);
	while (*end != NULL)
		end = &(*end)->next;
	*end = to;
	way->destination_count++;
	return to;
}

static void forget(struct destination **at)
{
	struct destination *to = *at;

	assert(to->first == NULL && to->links == NULL && to->jobs_running == 0);
	*at = to->next;
	to->way->destination_count--;
	for (size_t i = 0; i < to->target_count; i++)
		to->targets[i].host->users--;
	mem_free(to->targets);
	mem_free(to->key);
	mem_free(to);
}

/*
 * What keeps mail of one route apart: whom the next hop is told of (a
 * connection never serves two clients, DESIGN 4.4).
 */
static void key_of(const struct way *way, const struct job *job, struct client *client_out,
		   char key_out[CLIENT_KEY_SIZE])
{
	key_out[0] = '\0';
	*client_out = (struct client){.port = 0};
	if (way->options->proxy_protocol == ROUTE_PROXY_OFF && !way->options->xclient)
		return;
	client_of(job->message, client_out);
	client_key(client_out, key_out);
}

static struct destination *find(const struct way *way, const char *key)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		if (span_is(span_of(to->key), key))
			return to;
	return NULL;
}

void way_push(struct way *way, struct job *job, bool front)
{
	char key[CLIENT_KEY_SIZE];
	struct client client;
	struct destination *to;

	key_of(way, job, &client, key);
	to = find(way, key);
	if (to == NULL) {
		to = make(way, key);
		to->client = client;
	}
	job->to = to;
	push(to, job, front);
}

void way_forget(struct way *way)
{
	struct destination **at = &way->destinations;

	while (*at != NULL) {
		struct destination *to = *at;

		if (to->first == NULL && to->links == NULL && to->jobs_running == 0 &&
		    to->key[0] != '\0')
			forget(at);
		else
			at = &to->next;
	}
}

/* --- may it be tried ------------------------------------------------------------------------- */

static bool has_links(const struct link_counts *counts)
{
	return counts->opening + counts->idle + counts->busy > 0;
}

bool way_login_rests(const struct way *way, int64_t now_ms)
{
	return now_ms < way->login_rest_until_ms;
}

bool destination_may_try(const struct destination *to, int64_t now_ms)
{
	for (size_t i = 0; !way_login_rests(to->way, now_ms) && i < to->target_count; i++)
		if (host_may_be_tried(to->targets[i].host, now_ms))
			return true;
	return has_links(&to->count);
}

bool way_may_try(const struct way *way, int64_t now_ms)
{
	for (const struct host *host = way->hosts; host != NULL && !way_login_rests(way, now_ms);
	     host = host->next)
		if (!host->is_found && host_may_be_tried(host, now_ms))
			return true;
	return has_links(&way->count);
}

void destination_trouble(const struct destination *to, char *text_out, size_t size)
{
	size_t at = 0;

	text_out[0] = '\0';
	if (way_login_rests(to->way, clock_mono_ms())) {
		snprintf(text_out, size, "%s", to->way->login_error);
		return;
	}
	for (size_t i = 0; i < to->target_count && at < size; i++) {
		const char *error = to->targets[i].host->last_error;

		if (error[0] == '\0')
			continue;
		at += (size_t)snprintf(text_out + at, size - at, "%s%s", at > 0 ? "; " : "", error);
	}
}

/* --- a route ------------------------------------------------------------------------------------
 */

/* The configuration was checked: what is no host is never well. */
static void add_host(struct way *way, const char *text)
{
	struct host *host = mem_zalloc(sizeof(*host));
	struct host **end = &way->hosts;
	struct err why;

	snprintf(host->text, sizeof(host->text), "%s", text);
	if (route_host_parse(span_of(text), &host->at, &why) < 0)
		snprintf(host->at.name, sizeof(host->at.name), "%.255s", text);
	while (*end != NULL)
		end = &(*end)->next;
	*end = host;
}

static void inherit_health(struct host *host, const struct way *before)
{
	for (const struct host *old = before->hosts; old != NULL; old = old->next) {
		if (!span_is(span_of(old->text), host->text))
			continue;
		host->failures = old->failures;
		host->unreachable = old->unreachable;
		host->trouble_ms = old->trouble_ms;
		host->rest_until_ms = old->rest_until_ms;
		memcpy(host->last_error, old->last_error, sizeof(host->last_error));
		host->last_error_at = old->last_error_at;
		return;
	}
}

void way_init(struct deliver *d, struct way *way, struct plan *plan,
	      const struct route_options *options, const struct way *before)
{
	way->deliver = d;
	way->plan = plan;
	way->options = options;
	for (size_t i = 0; i < options->host_count; i++)
		add_host(way, options->hosts[i]);
	if (before == NULL)
		return;
	for (struct host *host = way->hosts; host != NULL; host = host->next)
		inherit_health(host, before);
	way->delivered = before->delivered;
	way->deferred = before->deferred;
	way->failed = before->failed;
	memcpy(way->troubles, before->troubles, sizeof(way->troubles));
	memcpy(way->last_error, before->last_error, sizeof(way->last_error));
	way->last_error_at = before->last_error_at;
}

void way_release(struct way *way)
{
	while (way->destinations != NULL)
		forget(&way->destinations);
	while (way->hosts != NULL) {
		struct host *host = way->hosts;

		way->hosts = host->next;
		mem_free(host);
	}
}
