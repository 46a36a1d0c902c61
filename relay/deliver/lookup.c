/* relay/deliver/lookup.c - the hosts of a domain ("mx:"): asked for, kept for their time, put in
 * order
 */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "relay/deliver/inside.h"

/* However short or long the records say they are good. */
#define KEEP_LEAST_MS (30 * 1000)
#define KEEP_MOST_MS  (60 * 60 * 1000)

struct lookup {
	struct resolve_query query; /* first */
	struct event event;
	struct deliver *deliver;
	struct destination *to;
};

/* --- what may not be sent at all ----------------------------------------------------------- */

static void refuse(struct destination *to, enum trouble trouble, const char *reason)
{
	destination_leave_targets(to);
	to->refusal_trouble = trouble;
	snprintf(to->refusal, sizeof(to->refusal), "%s", reason);
}

static void refuse_loop(struct destination *to)
{
	char reason[sizeof(to->refusal)];

	if (to->hop[0] != '\0')
		snprintf(reason, sizeof(reason),
			 "the next hop that the policy hook chose, %.100s, is this server",
			 to->hop);
	else
		snprintf(reason, sizeof(reason),
			 "mail for %.150s would loop: its best MX is this server", to->domain);
	refuse(to, TROUBLE_LOOP, reason);
}

void lookup_found_ours(struct destination *to, const struct host *host)
{
	if (destination_cut(to, host) == 0)
		refuse_loop(to);
}

/* --- the answer ------------------------------------------------------------------------------ */

static bool has_other_hosts(const struct way *way)
{
	for (const struct host *host = way->hosts; host != NULL; host = host->next)
		if (!host->is_found)
			return true;
	return false;
}

static void failed(struct deliver *d, struct destination *to, enum trouble trouble, const char *why)
{
	int64_t now_ms = clock_mono_ms();
	uint32_t random;

	secret_random(&random, sizeof(random));
	host_fail(&to->names, now_ms, now_ms, random, why);
	to->names.trouble = trouble;
	to->targets_until_ms = to->names.rest_until_ms;
	log_warning("no MX", LOG_S("route", to->way->options->name), LOG_S("domain", to->domain),
		    LOG_S("error", why), LOG_I("waiting", to->waiting));
	/* What was known before is better than nothing, and so are hosts that need no look-up. */
	if (to->target_count == 0 && has_other_hosts(to->way))
		destination_set_targets(to, NULL);
}

static void take(struct deliver *d, struct destination *to, const struct mx_list *list)
{
	int64_t keep_ms = (int64_t)list->ttl_s * 1000;
	char reason[sizeof(to->refusal)];

	if (list->count == 0 && !list->is_null && !list->is_ours) {
		snprintf(reason, sizeof(reason), "DNS: the MX records of %.150s name no host",
			 to->domain);
		failed(d, to, TROUBLE_CONFIGURATION, reason);
		return;
	}
	to->names.failures = 0;
	to->refusal[0] = '\0';
	if (keep_ms < KEEP_LEAST_MS)
		keep_ms = KEEP_LEAST_MS;
	to->targets_until_ms = clock_mono_ms() + (keep_ms < KEEP_MOST_MS ? keep_ms : KEEP_MOST_MS);
	if (list->is_null) {
		snprintf(reason, sizeof(reason), "%.150s takes no mail (null MX)", to->domain);
		refuse(to, TROUBLE_NO_MAIL, reason);
	} else if (list->count == 0) {
		refuse_loop(to);
	} else {
		destination_set_targets(to, list);
	}
}

static void arrive(struct deliver *d, struct event *event)
{
	struct lookup *lookup = event->owner;
	struct destination *to = lookup->to;
	const struct resolve_query *query = &lookup->query;

	to->lookup = NULL;
	to->way->lookups--;
	if (query->code == ERR_OK)
		take(d, to, &query->mx);
	else if (!atomic_load(&query->unwanted))
		failed(d, to, query->code == ERR_TIMEOUT ? TROUBLE_TIMEOUT : TROUBLE_NETWORK,
		       query->why.text);
	plan_leave(d, to->way->plan);
	mem_free(lookup);
}

/* In a thread of the resolver's. */
static void on_mx(struct resolve_query *query)
{
	struct lookup *lookup = (struct lookup *)query;

	scheduler_answer(lookup->deliver, &lookup->event);
}

static void start(struct deliver *d, struct destination *to)
{
	struct lookup *lookup = mem_zalloc(sizeof(*lookup));
	const struct delivery_options *options = to->way->plan->options;

	lookup->deliver = d;
	lookup->to = to;
	lookup->event = (struct event){.arrive = arrive, .owner = lookup};
	lookup->query.wants_mx = true;
	lookup->query.own = options->hostname;
	lookup->query.dns = options->dns;
	lookup->query.on_mx = on_mx;
	snprintf(lookup->query.host.name, sizeof(lookup->query.host.name), "%s", to->domain);
	to->lookup = lookup;
	to->refusal[0] = '\0'; /* it was good until now: the answer may be another one */
	to->way->lookups++;
	plan_use(to->way->plan);
	resolver_ask(d->resolver, &lookup->query);
}

void lookup_end(struct way *way)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		if (to->lookup != NULL)
			atomic_store(&to->lookup->query.unwanted, true);
}

bool lookup_is_ready(struct deliver *d, struct destination *to)
{
	if (!destination_is_apart(to))
		return true;
	if (to->hop[0] == '\0' && to->lookup == NULL && clock_mono_ms() >= to->targets_until_ms)
		start(d, to);
	if (to->refusal[0] != '\0') {
		destination_give_up(d, to, TRANSITION_FAIL, to->refusal, 0);
		return false;
	}
	if (to->target_count > 0)
		return true;
	if (to->lookup == NULL) /* it failed, and rests */
		destination_give_up(d, to, TRANSITION_DEFER, to->names.last_error, 0);
	return false;
}
