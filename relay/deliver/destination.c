/* relay/deliver/destination.c - what waits, and for whom: the lines in front of the connections */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
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
		job->trouble = destination_trouble_kind(to);
		settle_all(d, job, transition, reason, again_at);
	}
}

void way_give_up(struct deliver *d, struct way *way, enum transition transition, const char *reason,
		 int64_t again_at)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		destination_give_up(d, to, transition, reason, again_at);
}

/* --- hosts ---------------------------------------------------------------------------------- */

/* Behind the others. The configuration was checked: what is no host is never well. */
static struct host *add_host(struct way *way, const char *text, bool is_found)
{
	struct host *host = mem_zalloc(sizeof(*host));
	struct host **end = &way->hosts;
	struct err why;

	snprintf(host->text, sizeof(host->text), "%s", text);
	host->is_found = is_found;
	if (route_host_parse(span_of(text), &host->at, &why) < 0)
		snprintf(host->at.name, sizeof(host->at.name), "%.255s", text);
	while (*end != NULL)
		end = &(*end)->next;
	*end = host;
	return host;
}

/* Found ones that nobody uses, once they have rested. */
static void forget_hosts(struct way *way, int64_t now_ms)
{
	struct host **at = &way->hosts;

	while (*at != NULL) {
		struct host *host = *at;

		if (!host->is_found || host->users > 0 || host_is_resting(host, now_ms)) {
			at = &host->next;
			continue;
		}
		*at = host->next;
		mem_free(host);
	}
}

/* --- the destinations of a route ------------------------------------------------------------ */

static void set_target(struct destination *to, struct host *host, size_t rank)
{
	host->users++;
	to->targets[to->target_count++] = (struct target){host, rank};
}

static struct host *find_found(struct way *way, const char *text)
{
	for (struct host *host = way->hosts; host != NULL; host = host->next)
		if (host->is_found && span_equal_fold(span_of(host->text), span_of(text)))
			return host;
	return NULL;
}

/* A host that was found before, perhaps for another domain, or a new one. */
static struct host *found_host(struct way *way, const char *name, const char *port)
{
	char text[HOST_TEXT_SIZE];
	struct host *host;

	snprintf(text, sizeof(text), "%.255s:%.5s", name, port);
	host = find_found(way, text);
	return host != NULL ? host : add_host(way, text, true);
}

/* Equal preferences rank the same: they take turns (RFC 5321 5.1). */
static void set_found(struct destination *to, const struct mx_list *list, const char *port,
		      size_t rank)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct mx_host *mx = &list->hosts[i];

		if (i > 0 && mx->preference != list->hosts[i - 1].preference)
			rank++;
		set_target(to, found_host(to->way, mx->name, port), rank);
	}
}

void destination_leave_targets(struct destination *to)
{
	for (size_t i = 0; i < to->target_count; i++)
		to->targets[i].host->users--;
	to->target_count = 0;
}

void destination_set_targets(struct destination *to, const struct mx_list *list)
{
	const struct route_options *options = to->way->options;
	struct host *host = to->way->hosts;
	struct target *old = to->targets;
	size_t old_count = to->target_count;
	char port[ROUTE_PORT_SIZE];

	to->target_count = 0;
	to->targets = mem_array(options->host_count * (MX_HOSTS_MAX + 1) + 1, sizeof(*to->targets));
	for (size_t i = 0; i < options->host_count; i++) {
		size_t rank = options->balance == ROUTE_ROUND_ROBIN ? 0 : i * (MX_HOSTS_MAX + 1);

		if (!route_host_is_mx(options->hosts[i], port)) {
			set_target(to, host, rank);
			host = host->next;
		} else if (list != NULL) {
			set_found(to, list, port, rank);
		}
	}
	for (size_t i = 0; i < old_count; i++)
		old[i].host->users--;
	mem_free(old);
}

size_t destination_cut(struct destination *to, const struct host *host)
{
	size_t rank = SIZE_MAX, kept = 0, found = 0;

	for (size_t i = 0; i < to->target_count; i++)
		if (to->targets[i].host == host)
			rank = to->targets[i].rank;
	for (size_t i = 0; i < to->target_count; i++) {
		struct target *target = &to->targets[i];

		if (target->host->is_found && target->rank >= rank) {
			target->host->users--;
		} else {
			found += target->host->is_found ? 1 : 0;
			to->targets[kept++] = *target;
		}
	}
	to->target_count = kept;
	return found;
}

static struct destination *make(struct way *way, const char *key)
{
	struct destination *to = mem_zalloc(sizeof(*to));
	struct destination **end = &way->destinations;

	to->way = way;
	to->key = mem_strdup(key);
	while (*end != NULL)
		end = &(*end)->next;
	*end = to;
	way->destination_count++;
	return to;
}

static void forget(struct destination **at)
{
	struct destination *to = *at;

	assert(to->first == NULL && to->links == NULL && to->jobs_running == 0 &&
	       to->lookup == NULL);
	*at = to->next;
	to->way->destination_count--;
	destination_leave_targets(to);
	own_login_free(&to->own);
	mem_free(to->targets);
	mem_free(to->key);
	mem_free(to);
}

/*
 * What keeps mail of one route apart: the domain whose hosts are looked up, or
 * the hop that the policy hook has chosen with its login, and whom the next hop is told of (a
 * connection never serves two clients, DESIGN 4.4).
 */
struct marks {
	char domain[ADDRESS_DOMAIN_MAX + 1];
	char hop[HOST_TEXT_SIZE];
	const char *login; /* NULL: the route's */
	struct client client;
	char key[ADDRESS_DOMAIN_MAX + 1 + HOST_TEXT_SIZE + OWN_LOGIN_MARK_SIZE + CLIENT_KEY_SIZE +
		 2];
};

/* "": the route's own hosts. */
static const char *hop_of(const struct job *job, const struct job_recipient *recipient)
{
	const char *hop = recipient->claimed->hop;

	return hop != NULL && job->options->policy->hook_routes ? hop : "";
}

/* Goes with the hop only. NULL: the route's; "": none. */
static const char *login_of(const struct job *job, const struct job_recipient *recipient)
{
	return hop_of(job, recipient)[0] != '\0' ? recipient->claimed->login : NULL;
}

static void mark(const struct way *way, const struct job *job, struct marks *marks)
{
	const char *hop = hop_of(job, &job->recipients[0]);
	const char *domain = way->looks_up && hop[0] == '\0' ? job->recipients[0].address.domain
							     : "";
	char client[CLIENT_KEY_SIZE] = "";
	char login[OWN_LOGIN_MARK_SIZE];
	size_t i = 0;

	for (; domain[i] != '\0'; i++)
		marks->domain[i] = ascii_lower(domain[i]);
	marks->domain[i] = '\0';
	marks->client = (struct client){.port = 0};
	if (way->options->proxy_protocol != ROUTE_PROXY_OFF || way->options->xclient) {
		client_of(job->message, &marks->client);
		client_key(&marks->client, client);
	}
	snprintf(marks->hop, sizeof(marks->hop), "%s", hop);
	marks->login = login_of(job, &job->recipients[0]);
	own_login_mark(marks->login, login);
	snprintf(marks->key, sizeof(marks->key), "%s%s%s%s%s%s", marks->domain,
		 hop[0] != '\0' ? "\t" : "", marks->hop, login, client[0] != '\0' ? "\n" : "",
		 client);
}

static struct destination *find(const struct way *way, const char *key)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		if (span_is(span_of(to->key), key))
			return to;
	return NULL;
}

/* One host, which is looked up like those of a domain: forgotten when nobody uses it. */
static void set_hop(struct destination *to, const char *hop)
{
	struct host *host = find_found(to->way, hop);

	snprintf(to->hop, sizeof(to->hop), "%s", hop);
	to->way->has_hops = true;
	to->targets = mem_array(1, sizeof(*to->targets));
	set_target(to, host != NULL ? host : add_host(to->way, hop, true), 0);
}

static struct destination *find_or_make(struct way *way, const struct job *job)
{
	struct destination *to;
	struct marks marks;

	mark(way, job, &marks);
	to = find(way, marks.key);
	if (to != NULL)
		return to;
	to = make(way, marks.key);
	to->client = marks.client;
	memcpy(to->domain, marks.domain, sizeof(to->domain));
	if (marks.login != NULL)
		to->own = own_login_new(plan_keyring(way->deliver), way->options, marks.login);
	if (marks.hop[0] != '\0')
		set_hop(to, marks.hop);
	else if (!way->looks_up)
		destination_set_targets(to, NULL);
	return to;
}

static void move(struct job *from, size_t index, struct job *to)
{
	struct job_recipient *slot = &to->recipients[to->count++];

	job_copy_recipient(slot, &from->recipients[index]);
	from->count--;
	if (index == from->count)
		return;
	job_copy_recipient(&from->recipients[index], &from->recipients[from->count]);
}

static bool is_same_login(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && secret_equal(span_of(a), span_of(b)));
}

/* They have one destination, as far as they themselves decide. */
static bool go_together(const struct way *way, const struct job *job, const struct job_recipient *a,
			const struct job_recipient *b)
{
	const char *hop = hop_of(job, a);

	if (!span_is(span_of(hop), hop_of(job, b)) ||
	    !is_same_login(login_of(job, a), login_of(job, b)))
		return false;
	return hop[0] != '\0' || !way->looks_up ||
	       span_equal_fold(span_of(a->address.domain), span_of(b->address.domain));
}

/* Recipients of another destination than the first one's, as a job of their own. NULL: none. */
static struct job *split(struct way *way, struct job *job)
{
	struct job *other = NULL;

	for (size_t i = job->count; i-- > 1;) {
		const struct job_recipient *one = &job->recipients[i];

		if (go_together(way, job, one, &job->recipients[0]) ||
		    (other != NULL && !go_together(way, job, one, &other->recipients[0])))
			continue;
		if (other == NULL) {
			other = settle_new_job(way->deliver, job->batch, job->message, way);
			other->sender = job->sender;
			memcpy(other->sender_text, job->sender_text, sizeof(other->sender_text));
			other->sender_replaced = job->sender_replaced;
		}
		move(job, i, other);
	}
	return other;
}

bool destination_is_apart(const struct destination *to)
{
	return to->way->looks_up || to->hop[0] != '\0';
}

void way_push(struct way *way, struct job *job, bool front)
{
	struct job *other;

	while ((other = split(way, job)) != NULL) {
		other->to = find_or_make(way, other);
		push(other->to, other, front);
	}
	job->to = find_or_make(way, job);
	push(job->to, job, front);
}

static bool is_needed(const struct destination *to, int64_t now_ms)
{
	if (to->first != NULL || to->links != NULL || to->jobs_running > 0 || to->lookup != NULL ||
	    to->key[0] == '\0')
		return true;
	/* What was found out about the domain, or its login, is good for a while. */
	return to->way->destination_count <= DESTINATIONS_MAX &&
	       (now_ms < to->targets_until_ms ||
		(to->own != NULL && destination_login_rests(to, now_ms)));
}

void way_forget(struct way *way, int64_t now_ms)
{
	struct destination **at = &way->destinations;

	while (*at != NULL) {
		if (is_needed(*at, now_ms))
			at = &(*at)->next;
		else
			forget(at);
	}
	if (way->looks_up || way->has_hops)
		forget_hosts(way, now_ms);
}

/* --- may it be tried ------------------------------------------------------------------------- */

static bool has_links(const struct link_counts *counts)
{
	return counts->opening + counts->idle + counts->busy > 0;
}

bool destination_may_try(const struct destination *to, int64_t now_ms)
{
	for (size_t i = 0; !destination_login_rests(to, now_ms) && i < to->target_count; i++)
		if (host_may_be_tried(to->targets[i].host, now_ms))
			return true;
	if (to->way->looks_up && to->target_count == 0)
		return to->lookup != NULL || !host_is_resting(&to->names, now_ms);
	return has_links(&to->count);
}

/* Domains that are looked up rest one by one. */
bool way_may_try(const struct way *way, int64_t now_ms)
{
	if (way->looks_up || way->has_hops)
		return !way_login_rests(way, now_ms) || has_links(&way->count);
	for (const struct host *host = way->hosts; host != NULL && !way_login_rests(way, now_ms);
	     host = host->next)
		if (!host->is_found && host_may_be_tried(host, now_ms))
			return true;
	return has_links(&way->count);
}

enum trouble destination_trouble_kind(const struct destination *to)
{
	enum trouble trouble = to->names.trouble;

	if (to->refusal[0] != '\0')
		return to->refusal_trouble;
	if (destination_login_rests(to, clock_mono_ms()))
		return TROUBLE_CONFIGURATION;
	for (size_t i = 0; i < to->target_count; i++)
		if (to->targets[i].host->trouble != TROUBLE_NONE)
			trouble = to->targets[i].host->trouble;
	return trouble;
}

void destination_trouble(const struct destination *to, char *text_out, size_t size)
{
	size_t at = 0;

	text_out[0] = '\0';
	if (destination_login_rests(to, clock_mono_ms())) {
		snprintf(text_out, size, "%s",
			 to->own != NULL ? to->own->health.error : to->way->login.error);
		return;
	}
	if (to->target_count == 0)
		snprintf(text_out, size, "%s", to->names.last_error);
	for (size_t i = 0; i < to->target_count && at < size; i++) {
		const char *error = to->targets[i].host->last_error;

		if (error[0] == '\0')
			continue;
		at += (size_t)snprintf(text_out + at, size - at, "%s%s", at > 0 ? "; " : "", error);
	}
}

/* --- a route ------------------------------------------------------------------------------------
 */

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
		host->trouble = old->trouble;
		return;
	}
}

void way_init(struct deliver *d, struct way *way, struct plan *plan,
	      const struct route_options *options, const struct way *before)
{
	way->deliver = d;
	way->plan = plan;
	way->options = options;
	for (size_t i = 0; i < options->host_count; i++) {
		char port[ROUTE_PORT_SIZE];

		if (route_host_is_mx(options->hosts[i], port))
			way->looks_up = true;
		else
			add_host(way, options->hosts[i], false);
	}
	rate_init(&way->rate, options->rate_thousandths, clock_mono_ms());
	if (before == NULL)
		return;
	way->rate = before->rate;
	rate_change(&way->rate, options->rate_thousandths, clock_mono_ms());
	for (const struct host *old = before->hosts; old != NULL && way->looks_up; old = old->next)
		if (old->is_found && !host_is_well(old))
			add_host(way, old->text, true);
	for (struct host *host = way->hosts; host != NULL; host = host->next)
		inherit_health(host, before);
	way->delivered = before->delivered;
	way->deferred = before->deferred;
	way->failed = before->failed;
	way->attempts = before->attempts;
	way->deliveries = before->deliveries;
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
