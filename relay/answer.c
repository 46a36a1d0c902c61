/* relay/answer.c - what the API asks the daemon, answered in the API's own threads */
#include "relay/inside.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/act.h"
#include "queue/reader.h"
#include "queue/retention.h"
#include "queue/space.h"
#include "relay/filter/judge.h"
#include "relay/leaving.h"

#define STATUS_HOSTS 64

static void tell_numbers(void *ctx, struct admin_numbers *numbers_out)
{
	struct daemon *daemon = ctx;
	const struct config *config = versions_acquire(daemon->versions);
	struct smtp_front_status status;

	smtp_front_status(daemon->front, &status);
	*numbers_out = (struct admin_numbers){
		.sessions = status.sessions,
		.accepted = status.messages + atomic_load(&daemon->handed_in),
		.accepting = !store_is_failed(daemon->store),
	};
	snprintf(numbers_out->hostname, sizeof(numbers_out->hostname), "%s", config->hostname);
	versions_release(daemon->versions, config);
}

static_assert(SMTP_TURNED_AWAY <= ADMIN_TURNED_AWAY_MAX, "every reason has its place");

static void tell_front(void *ctx, struct admin_front *front_out)
{
	static const char *const reasons[SMTP_TURNED_AWAY] = {
		[SMTP_NOT_IN_NETWORKS] = "networks",
		[SMTP_TOO_MANY] = "connections",
		[SMTP_TOO_MANY_OF_CLIENT] = "connections_per_client",
		[SMTP_TOO_FEW_DESCRIPTORS] = "descriptors",
		[SMTP_PROXY] = "proxy",
	};
	struct daemon *daemon = ctx;
	struct smtp_front_status status;

	smtp_front_status(daemon->front, &status);
	*front_out = (struct admin_front){
		.connections = status.connections,
		.turned_away_count = SMTP_TURNED_AWAY,
		.messages_refused = status.messages_refused,
		.injections = status.injections,
		.in = status.handshakes,
		.memory_bytes = atomic_load(&daemon->budget.used),
		.memory_max_bytes = atomic_load(&daemon->budget.limit),
	};
	for (size_t i = 0; i < SMTP_TURNED_AWAY; i++)
		front_out->turned_away[i] =
			(struct admin_turned_away){reasons[i], status.turned_away[i]};
	deliver_handshakes(daemon->deliver, &front_out->out);
}

static_assert(TROUBLE_COUNT <= ADMIN_TROUBLES_MAX, "every kind has its place");

/* All kinds: what has not happened yet is 0, so that a chart sees the first one. */
static void tell_troubles(const struct route_status *from, struct admin_route_status *to)
{
	for (enum trouble trouble = TROUBLE_NONE + 1; trouble < TROUBLE_COUNT; trouble++)
		to->troubles[to->trouble_count++] =
			(struct admin_trouble){trouble_name(trouble), from->troubles[trouble]};
}

/* All there are. A reload may come in between: then it is those that had room. */
static struct route_status *ask_routes(struct daemon *daemon, size_t *count_out)
{
	size_t room = deliver_status(daemon->deliver, NULL, 0);
	struct route_status *routes = mem_array(room + 1, sizeof(*routes));
	size_t count = deliver_status(daemon->deliver, routes, room);

	*count_out = count < room ? count : room;
	return routes;
}

static size_t tell_routes(void *ctx, struct admin_route_status *routes_out, size_t max)
{
	struct daemon *daemon = ctx;
	size_t count;
	struct route_status *routes;

	if (max == 0)
		return deliver_status(daemon->deliver, NULL, 0);
	routes = ask_routes(daemon, &count);
	for (size_t i = 0; i < count && i < max; i++) {
		struct admin_route_status *to = &routes_out[i];

		*to = (struct admin_route_status){
			.paused = routes[i].paused,
			.connections = routes[i].connections,
			.busy = routes[i].busy,
			.waiting = routes[i].waiting,
			.delivered = routes[i].delivered,
			.deferred = routes[i].deferred,
			.failed = routes[i].failed,
			.attempts = routes[i].attempts,
			.deliveries = routes[i].deliveries,
			.login_refused = routes[i].login_refused,
			.last_error_at = routes[i].last_error_at,
		};
		tell_troubles(&routes[i], to);
		memcpy(to->name, routes[i].name, sizeof(to->name));
		memcpy(to->last_error, routes[i].last_error, sizeof(to->last_error));
	}
	mem_free(routes);
	return count;
}

static size_t tell_hosts(void *ctx, const char *route, struct admin_host_status *hosts_out,
			 size_t max)
{
	struct daemon *daemon = ctx;
	struct host_status hosts[STATUS_HOSTS];
	size_t count = deliver_hosts(daemon->deliver, route, hosts,
				     max < STATUS_HOSTS ? max : STATUS_HOSTS);

	for (size_t i = 0; i < count; i++) {
		hosts_out[i] = (struct admin_host_status){
			.connections = hosts[i].connections,
			.well = hosts[i].well,
			.resting_until = hosts[i].resting_until,
			.last_error_at = hosts[i].last_error_at,
		};
		memcpy(hosts_out[i].host, hosts[i].host, sizeof(hosts_out[i].host));
		memcpy(hosts_out[i].last_error, hosts[i].last_error,
		       sizeof(hosts_out[i].last_error));
	}
	return count;
}

static void tell_breaker(void *ctx, struct admin_breaker *breaker_out)
{
	struct daemon *daemon = ctx;
	struct breaker_status status;

	deliver_breaker(daemon->deliver, &status);
	*breaker_out = (struct admin_breaker){
		.per_minute = (int64_t)status.per_minute,
		.per_day = (int64_t)status.per_day,
		.minute = status.minute,
		.day = status.day,
		.tripped = status.tripped,
		.trips = status.trips,
	};
}

static void tell_rewritten(void *ctx, struct outbound_count *count_out)
{
	struct daemon *daemon = ctx;

	deliver_rewritten(daemon->deliver, count_out);
}

static void tell_hook(void *ctx, struct admin_hook *hook_out)
{
	struct daemon *daemon = ctx;
	struct hook_status status;

	hook_status(daemon->hook, &status);
	*hook_out = (struct admin_hook){
		.asks = status.asks,
		.dialect = status.dialect == HOOK_NGINX ? "nginx" : "json",
		.reachable = status.reachable,
		.requests = status.requests,
		.cached = status.cached,
		.allowed = status.allowed,
		.dropped = status.dropped,
		.held = status.held,
		.redirected = status.redirected,
		.undecided = status.undecided,
		.last_answer_at = status.last_answer_at,
		.resting_until = status.resting_until,
		.last_error_at = status.last_error_at,
	};
	memcpy(hook_out->last_error, status.last_error, sizeof(hook_out->last_error));
}

static size_t tell_webhooks(void *ctx, struct admin_webhook *webhooks_out, size_t max)
{
	struct daemon *daemon = ctx;
	struct webhook_status *statuses = mem_array(WEBHOOK_TARGETS_MAX, sizeof(*statuses));
	size_t count = webhooks_status(daemon->webhooks, statuses,
				       max < WEBHOOK_TARGETS_MAX ? max : WEBHOOK_TARGETS_MAX);

	for (size_t i = 0; i < count; i++) {
		const struct webhook_status *status = &statuses[i];

		webhooks_out[i] = (struct admin_webhook){
			.events = status->events,
			.is_signed = status->is_signed,
			.running = status->running,
			.waiting = status->waiting,
			.dead = status->dead,
			.sent = status->sent,
			.failed = status->failed,
			.lost = status->lost,
			.last_sent_at = status->last_sent_at,
			.resting_until = status->resting_until,
			.last_error_at = status->last_error_at,
		};
		memcpy(webhooks_out[i].name, status->name, sizeof(status->name));
		memcpy(webhooks_out[i].place, status->place, sizeof(status->place));
		memcpy(webhooks_out[i].scope, status->scope, sizeof(status->scope));
		memcpy(webhooks_out[i].last_error, status->last_error, sizeof(status->last_error));
	}
	mem_free(statuses);
	return count;
}

static void tell_listeners(void *ctx, void (*row)(void *row_ctx, const char *address),
			   void *row_ctx)
{
	const struct daemon *daemon = ctx;

	for (size_t i = 0; i < daemon->listener_count; i++)
		row(row_ctx, daemon->listeners[i]);
}

/* Mail that fails on purpose must never be a riddle. */
static void tell_faults(struct daemon *daemon, void (*row)(void *row_ctx, const char *sentence),
			void *row_ctx)
{
	const struct edition *set = faults_acquire(daemon->faults);
	struct fault_view view;
	char sentence[400];
	struct buf names;
	size_t on = 0;

	buf_init(&names, 200);
	for (size_t i = 0; i < set->count; i++) {
		fault_set_view(set, i, &view);
		/* What has no room is left out: the number tells. */
		if (view.fault->enabled)
			(void)buf_printf(&names, "%s%s (%s)", on++ > 0 ? ", " : "",
					 view.fault->name, fault_action_name(view.fault->action));
	}
	published_release(&set);
	snprintf(sentence, sizeof(sentence), "%zu fault rule%s on, mail fails on purpose: %.*s", on,
		 on == 1 ? " is" : "s are", SPAN_ARG(buf_span(&names)));
	buf_release(&names);
	if (on > 0)
		row(row_ctx, sentence);
}

/* Others can only narrow what the list says. `row` may be NULL. Returns how many. */
static size_t tell_rules(struct daemon *daemon, void (*row)(void *row_ctx, const char *sentence),
			 void *row_ctx)
{
	const struct edition *rules = rules_acquire(daemon->rules);
	struct rule_view view;
	char sentence[200];
	size_t count = 0;

	for (size_t i = 0; i < rules->count; i++) {
		rule_view(rules, i, &view);
		if (!view.rule->enabled || !view.rule->overrides_whitelist)
			continue;
		count++;
		snprintf(sentence, sizeof(sentence),
			 "rule %s overrides the whitelist: mail that no entry allows may leave",
			 view.rule->name);
		if (row != NULL)
			row(row_ctx, sentence);
	}
	published_release(&rules);
	return count;
}

static void tell_descriptors(const struct daemon *daemon, const struct config *config,
			     void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	size_t room = descriptors_room(&daemon->descriptors, config);
	char sentence[200];

	if (room >= config->smtp.max_connections)
		return;
	snprintf(
		sentence, sizeof(sentence),
		"the limit of %zu open files has room for %zu SMTP connections, not for the %zu of "
		"smtp.max_connections",
		daemon->descriptors.limit, room, config->smtp.max_connections);
	row(row_ctx, sentence);
}

/* DESIGN 4.7: servers that want a login often refuse mail from <>. */
static void tell_senders(const struct config *config,
			 void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	char sentence[300];

	if (config->policy.bounce_to != NULL && config->policy.bounce_to[0] != '\0')
		return;
	for (size_t i = 0; i < config->delivery.route_count; i++) {
		const struct route_options *route = &config->delivery.routes[i];

		if (route->username == NULL || route->username[0] == '\0')
			continue;
		snprintf(sentence, sizeof(sentence),
			 "delivery.bounce_to is empty and route %s logs in: senders that are not "
			 "allowed become <>, which servers with a login often refuse",
			 route->name);
		row(row_ctx, sentence);
		return;
	}
}

/* It would take the mail of everybody that is refused nowhere. */
static void tell_redirect(const struct config *config, const struct whitelist_snapshot *snapshot,
			  void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	const struct judge_case at = {.list = snapshot, .now = clock_steady_wall_ms()};
	const char *to = config->policy.redirect_to;
	struct address target;
	struct verdict verdict;
	char reason[2 * ADDRESS_TEXT_SIZE];
	char sentence[3 * ADDRESS_TEXT_SIZE];

	if (config->policy.default_verdict != VERDICT_REDIRECT ||
	    !judge_target(&at, to, &target, &verdict) || verdict.kind == VERDICT_DELIVER)
		return;
	verdict_sentence(&verdict, reason, sizeof(reason));
	snprintf(sentence, sizeof(sentence),
		 "policy.redirect_to %.320s is not allowed itself (%.300s): what is redirected is "
		 "dropped",
		 to, reason);
	row(row_ctx, sentence);
}

/* Both were there when the relay started; a reload does not take over such a name. */
static void tell_names(const struct daemon *daemon, const struct config *config,
		       void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	struct err why;

	if (daemon_check_names(daemon, config, &why) != ERR_OK)
		row(row_ctx, why.text);
}

/* Mail that waits for a person. */
static void tell_pause(struct daemon *daemon, void (*row)(void *row_ctx, const char *sentence),
		       void *row_ctx)
{
	struct pause_view view;
	char sentence[400];

	if (!store_pause_view(daemon->store, NULL, &view))
		return;
	snprintf(sentence, sizeof(sentence),
		 "delivery is paused by %s until somebody resumes it%s%s",
		 view.actor[0] != '\0' ? view.actor : "somebody",
		 view.reason[0] != '\0' ? ": " : "", view.reason);
	row(row_ctx, sentence);
}

/* S255, S279 */
static void tell_space(struct daemon *daemon, void (*row)(void *row_ctx, const char *sentence),
		       void *row_ctx)
{
	struct retention_status retention;
	char sentence[400];
	struct err why;

	if (store_room(daemon->store, -1, &why) != ERR_OK) {
		snprintf(sentence, sizeof(sentence), "new mail is refused: %s", why.text);
		row(row_ctx, sentence);
	}
	store_retention(daemon->store, &retention);
	if (retention.waits_ms == 0)
		return;
	snprintf(sentence, sizeof(sentence),
		 "retention removes nothing for its age for another %lld minutes: the clock was "
		 "set on, or it is new here",
		 (long long)retention.waits_ms / 60000 + 1);
	row(row_ctx, sentence);
}

/* S239 */
static void tell_logins(struct daemon *daemon, void (*row)(void *row_ctx, const char *sentence),
			void *row_ctx)
{
	size_t count;
	struct route_status *routes = ask_routes(daemon, &count);
	char sentence[400];

	for (size_t i = 0; i < count; i++) {
		if (!routes[i].login_refused)
			continue;
		snprintf(
			sentence, sizeof(sentence),
			"nothing leaves by route %.63s until its credentials are corrected: %.199s",
			routes[i].name, routes[i].last_error);
		row(row_ctx, sentence);
	}
	mem_free(routes);
}

/* CASES S163: the database was edited by hand. */
static void tell_bad_entries(const struct daemon *daemon,
			     void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	char sentence[160];

	if (daemon->bad_entries == 0)
		return;
	snprintf(sentence, sizeof(sentence),
		 "%zu rows of the whitelist are no entry in canonical form: they never match, "
		 "and one that may deny denies everything",
		 daemon->bad_entries);
	row(row_ctx, sentence);
}

/* Mail that waits for somebody's script, and one that may let out what the list does not. */
static void tell_screening(struct daemon *daemon, const struct config *config,
			   void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	struct hook_status status;
	struct queue_stats stats;
	char sentence[400];

	if (config->policy.hook_overrides)
		row(row_ctx, "policy.hook.overrides_whitelist is on: the policy hook may let out "
			     "what no entry of the whitelist allows");
	if (daemon->hook == NULL)
		return;
	hook_status(daemon->hook, &status);
	if (!status.asks || status.reachable)
		return;
	store_stats(daemon->store, &stats);
	snprintf(sentence, sizeof(sentence),
		 "the policy hook does not answer, %lld recipients wait for it: %.199s",
		 (long long)stats.by_state[STATE_SCREENING], status.last_error);
	row(row_ctx, sentence);
}

/* Somebody waits for events that do not come. */
static void tell_webhook_trouble(struct daemon *daemon,
				 void (*row)(void *row_ctx, const char *sentence), void *row_ctx)
{
	struct webhook_status *statuses;
	char sentence[400];
	size_t count;

	if (daemon->webhooks == NULL)
		return;
	statuses = mem_array(WEBHOOK_TARGETS_MAX, sizeof(*statuses));
	count = webhooks_status(daemon->webhooks, statuses, WEBHOOK_TARGETS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (statuses[i].resting_until != 0) {
			snprintf(sentence, sizeof(sentence),
				 "webhook %s does not answer, %lld events wait for it: %s",
				 statuses[i].name, (long long)statuses[i].waiting,
				 statuses[i].last_error);
			row(row_ctx, sentence);
		}
		if (statuses[i].dead > 0) {
			snprintf(sentence, sizeof(sentence),
				 "webhook %s was not told of %lld events "
				 "(stagepost webhook list --dead)",
				 statuses[i].name, (long long)statuses[i].dead);
			row(row_ctx, sentence);
		}
	}
	mem_free(statuses);
}

void daemon_tell_warnings(void *ctx, void (*row)(void *row_ctx, const char *sentence),
			  void *row_ctx)
{
	struct daemon *daemon = ctx;
	const struct whitelist_snapshot *snapshot = whitelist_acquire(daemon->whitelist);
	const struct config *config = versions_acquire(daemon->versions);

	if (whitelist_size(snapshot) == 0)
		row(row_ctx, "the whitelist is empty: nothing can leave");
	if (whitelist_allows_all(snapshot))
		row(row_ctx, "the whitelist holds `*`: mail to every plain address leaves");
	tell_bad_entries(daemon, row, row_ctx);
	(void)tell_rules(daemon, row, row_ctx);
	tell_faults(daemon, row, row_ctx);
	tell_names(daemon, config, row, row_ctx);
	tell_redirect(config, snapshot, row, row_ctx);
	tell_descriptors(daemon, config, row, row_ctx);
	if (config->delivery.capture_only)
		row(row_ctx, "delivery.capture_only is on: nothing leaves");
	else if (config->delivery.route_count == 0)
		row(row_ctx, "there is no route: allowed mail stays in the queue");
	else
		tell_senders(config, row, row_ctx);
	tell_screening(daemon, config, row, row_ctx);
	tell_webhook_trouble(daemon, row, row_ctx);
	tell_space(daemon, row, row_ctx);
	tell_pause(daemon, row, row_ctx);
	tell_logins(daemon, row, row_ctx);
	versions_release(daemon->versions, config);
	whitelist_release(&snapshot);
}

static bool is_paused(void *ctx, const char *route)
{
	struct daemon *daemon = ctx;

	return store_is_paused(daemon->store, route);
}

static void tell_leaving(void *ctx, struct buf *out)
{
	struct daemon *daemon = ctx;
	const struct config *config = versions_acquire(daemon->versions);
	struct leaving leaving = {
		.rules = tell_rules(daemon, NULL, NULL),
		.capture_only = config->delivery.capture_only,
		.paused = is_paused(daemon, NULL),
		.routes = config->delivery.routes,
		.route_count = config->delivery.route_count,
		.policy = &config->policy,
		.route_is_paused = is_paused,
		.ctx = daemon,
	};

	whitelist_extent(daemon->whitelist, clock_steady_wall_ms(), &leaving.extent);
	leaving_sentence(&leaving, out);
	versions_release(daemon->versions, config);
}

static const struct policy_options *acquire_policy(void *ctx)
{
	struct daemon *daemon = ctx;

	return &versions_acquire(daemon->versions)->policy;
}

static void release_policy(void *ctx, const struct policy_options *policy)
{
	struct daemon *daemon = ctx;
	const char *config = (const char *)policy - offsetof(struct config, policy);

	versions_release(daemon->versions, (const struct config *)(const void *)config);
}

static void tell_settings(void *ctx, struct buf *out)
{
	struct daemon *daemon = ctx;
	const struct config *config = versions_acquire(daemon->versions);

	config_format(config, out);
	versions_release(daemon->versions, config);
}

const struct admin_ops daemon_admin_ops = {
	.numbers = tell_numbers,
	.front = tell_front,
	.routes = tell_routes,
	.hosts = tell_hosts,
	.breaker = tell_breaker,
	.rewritten = tell_rewritten,
	.hook = tell_hook,
	.webhooks = tell_webhooks,
	.listeners = tell_listeners,
	.warnings = daemon_tell_warnings,
	.leaving = tell_leaving,
	.settings = tell_settings,
	.policy_acquire = acquire_policy,
	.policy_release = release_policy,
};
