/* relay/selftest.c - at each start: mail that nobody allowed is shown not to leave */
#include "relay/selftest.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/act.h"
#include "queue/delivery.h"
#include "queue/measure.h"
#include "queue/message.h"
#include "relay/deliver/probe.h"
#include "relay/filter/judge.h"
#include "relay/filter/reserved.h"
#include "relay/filter/rule_match.h"
#include "relay/inside.h"

/* One at most is ever in the store: what a start that was cut short left behind goes first. */
#define PROBE_ID      "00000000000000000000PR0BE1"
#define PROBE_ADDRESS "probe@" RESERVED_DOMAIN
#define LEASE_MS      60000
#define ACTOR	      "selftest"

static const char probe_bytes[] = "From: <>\r\n"
				  "To: " PROBE_ADDRESS "\r\n"
				  "Subject: self-test\r\n"
				  "\r\n"
				  "This never leaves.\r\n";
static const char probe_received[] = "Received: from self-test\r\n";

static int64_t header_size(void)
{
	return (int64_t)(strstr(probe_bytes, "\r\n\r\n") - probe_bytes) + 4;
}

/* --- the judgement at acceptance ------------------------------------------------------------ */

static int judge_as(struct judge_case *at, const struct selftest_env *env, struct arena *arena,
		    struct ruling *ruling_out, struct err *why)
{
	struct address address;
	struct verdict verdict;

	if (address_parse(span_of(PROBE_ADDRESS), &address, why) != ERR_OK)
		return ERR_UNSAFE;
	at->list = whitelist_acquire(env->whitelist);
	at->now = clock_steady_wall_ms();
	judge_address(at, &address, &verdict);
	whitelist_release(&at->list);
	*ruling_out = judge_ruling(&verdict, arena);
	if (verdict.kind == VERDICT_DELIVER || judge_state(&verdict) == STATE_QUEUED)
		return err_set(why, ERR_UNSAFE, "acceptance allows what nobody allowed (%.120s)",
			       ruling_out->reason);
	return ERR_OK;
}

/*
 * No rule lets the probe out either, one that overrides the whitelist
 * included: judge.c asks rules only about what the list calls unlisted, and
 * the reserved domain is not that. Each rule is tried as if the message met
 * all it asks, and alone, so that none that comes first hides it: the test
 * does not depend on what this probe happens to look like.
 */
static int judge_by_rules(const struct edition *rules, struct judge_case *at,
			  const struct selftest_env *env, struct err *why)
{
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < rules->count; i++) {
		struct arena *scratch = arena_new();
		struct ruling ignored;

		at->rules = rule_match_only(rules, i, scratch);
		code = judge_as(at, env, scratch, &ignored, why);
		arena_free(&scratch);
	}
	at->rules = NULL;
	return code;
}

static int judge_in(const struct selftest_env *env, const char *scope, struct arena *arena,
		    struct ruling *ruling_out, struct err *why)
{
	struct judge_case at = {.policy = env->policy,
				.scope = span_of(scope),
				/* Neither the hook's word nor a person's makes it another. */
				.permitted = true,
				.released = true};
	const struct edition *rules;
	int code = judge_as(&at, env, arena, ruling_out, why);

	if (code != ERR_OK || env->rules == NULL)
		return code;
	rules = rules_acquire(env->rules);
	code = judge_by_rules(rules, &at, env, why);
	published_release(&rules);
	return code;
}

static int judge_all(const struct selftest_env *env, struct arena *arena, struct ruling *ruling_out,
		     struct err *why)
{
	int code = judge_in(env, "", arena, ruling_out, why);

	for (size_t i = 0; code == ERR_OK && i < env->scope_count; i++)
		code = judge_in(env, env->scopes[i], arena, ruling_out, why);
	return code;
}

/* --- the store ---------------------------------------------------------------------------------
 */

static struct ulid probe_id(void)
{
	struct ulid id;

	(void)ulid_parse(span_of(PROBE_ID), &id);
	return id;
}

static int forget(struct store *store, struct err *why)
{
	struct message_delete job = {.message = probe_id(), .actor = ACTOR, .now = clock_wall_ms()};
	int code = store_wait(store, queue_message_delete, &job.job, why);

	return code == ERR_NOT_FOUND ? ERR_OK : code;
}

/* As if acceptance had let it pass: queued. */
static int accept_probe(struct store *store, const struct ruling *ruling, struct err *why)
{
	struct new_recipient recipient = {
		.address = PROBE_ADDRESS, .state = STATE_QUEUED, .ruling = *ruling};
	struct new_message message = {
		.id = probe_id(),
		.received_at = clock_wall_ms(),
		.sender = "",
		.size = (int64_t)(sizeof(probe_bytes) - 1),
		.header_size = header_size(),
		.header_parsed = true,
		.scope = "",
		.received_field = probe_received,
		.origin = "selftest",
		.recipients = &recipient,
		.recipient_count = 1,
	};
	struct accept job = {.message = &message, .body = body_new(store, NULL, NULL)};

	body_append(job.body, span_make(probe_bytes, sizeof(probe_bytes) - 1));
	return store_wait(store, queue_accept, &job.job, why);
}

static int claim_probe(struct store *store, struct claim *claim, struct err *why)
{
	struct ulid id = probe_id();
	int code;

	*claim = (struct claim){
		.now = clock_wall_ms(), .max_recipients = 1, .only = &id, .lease_ms = LEASE_MS};
	code = store_wait(store, queue_claim, &claim->job, why);
	if (code == ERR_OK && claim->message_count != 1) {
		arena_free(&claim->arena);
		code = err_set(why, ERR_UNSAFE, "what was accepted could not be claimed");
	}
	return code;
}

static int drop_probe(struct store *store, const struct claim *claim, struct err *why)
{
	const struct claimed_recipient *claimed = &claim->messages[0].recipients[0];
	struct settlement settlement = {.recipient = claimed->id,
					.lease = claimed->lease,
					.outcome = TRANSITION_DROP,
					.reason = "the self-test is over"};
	struct settle job = {.now = clock_wall_ms(), .settlements = &settlement, .count = 1};

	return store_wait(store, queue_settle, &job.job, why);
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static int probe_stored(const struct selftest_env *env, const struct probe_env *probe,
			const struct ruling *ruling, struct err *why)
{
	struct err ignored;
	struct claim claim;
	int code = forget(env->store, why);

	if (code == ERR_OK)
		code = accept_probe(env->store, ruling, why);
	if (code == ERR_OK)
		code = claim_probe(env->store, &claim, why);
	if (code != ERR_OK)
		return code;
	code = probe_run(probe, &claim.messages[0], why);
	/* Also after a failure, whose sentence is the one that counts. */
	if (drop_probe(env->store, &claim, &ignored) == ERR_OK)
		(void)forget(env->store, &ignored);
	arena_free(&claim.arena);
	return code;
}

/* A disk that is full must not keep out what is left of the mail's way. */
static int probe_unstored(const struct probe_env *probe, struct err *why)
{
	struct claimed_recipient recipient = {.address = PROBE_ADDRESS};
	struct claimed_message message = {.id = probe_id(),
					  .sender = "",
					  .header_parsed = true,
					  .scope = "",
					  .received_field = probe_received,
					  .recipients = &recipient,
					  .recipient_count = 1};

	return probe_run(probe, &message, why);
}

int selftest_run(const struct selftest_env *env, int64_t *ms_out, struct err *why)
{
	const struct probe_env probe = {.store = env->store,
					.whitelist = env->whitelist,
					.rules = env->rules,
					.loop = env->loop,
					.options = env->delivery};
	int64_t began_ms = clock_mono_ms();
	struct arena *arena = arena_new();
	struct ruling ruling;
	int code = judge_all(env, arena, &ruling, why);

	if (code == ERR_OK)
		code = probe_stored(env, &probe, &ruling, why);
	if (code == ERR_FULL || code == ERR_BUSY) {
		log_warning("self-test", LOG_S("note", "without the store"),
			    LOG_S("reason", why->text));
		code = probe_unstored(&probe, why);
	}
	arena_free(&arena);
	*ms_out = clock_mono_ms() - began_ms;
	return code;
}

int daemon_selftest(struct daemon *daemon, struct err *why)
{
	const struct config *config = daemon->config;
	const char **scopes = mem_array(config->listener_count + 1, sizeof(*scopes));
	struct selftest_env env = {
		.store = daemon->store,
		.whitelist = daemon->whitelist,
		.rules = daemon->rules,
		.loop = daemon->loops[0],
		.policy = &config->policy,
		.delivery = &config->delivery,
		.scopes = scopes,
	};
	int64_t ms;
	int code;

	for (size_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].scope != NULL)
			scopes[env.scope_count++] = config->listeners[i].scope;
	code = selftest_run(&env, &ms, why);
	mem_free(scopes);
	if (code != ERR_OK)
		return err_prefix(why, code, "the self-test failed, nothing is started");
	store_measure_anew(daemon->store);
	log_info("self-test", LOG_S("result", "what is not allowed does not leave"),
		 LOG_I("ms", ms));
	return ERR_OK;
}
