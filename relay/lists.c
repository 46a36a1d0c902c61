/* relay/lists.c - whitelist, fault rules and rules: loaded at the start, published as they change
 */
#include <config.h>

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "queue/reader.h"
#include "queue/whitelist.h"
#include "relay/inside.h"

/* --- what the store and the configuration tell ------------------------------------------------ */

static void publish_faults(struct daemon *daemon, enum published_source source,
			   const struct fault *faults, size_t count)
{
	size_t bad = faults_publish(daemon->faults, source, faults, count);

	if (bad > 0)
		log_error("faults", LOG_S("problem", "rows that are no rule never strike"),
			  LOG_I("rows", bad));
}

static void publish_rules(struct daemon *daemon, enum published_source source,
			  const struct rule *rules, size_t count)
{
	size_t bad = rules_publish(daemon->rules, source, rules, count);

	if (bad > 0)
		log_error("rules",
			  LOG_S("problem", "rows that are no rule: what may keep mail keeps all"),
			  LOG_I("rows", bad));
}

static void expect_expiries(struct daemon *daemon, const struct whitelist_change *changes,
			    size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].operation != ENTRY_REMOVE)
			daemon_expects_expiry(daemon, &changes[i].entry);
}

void daemon_on_whitelist(void *ctx, const struct whitelist_change *changes, size_t count,
			 int64_t revision)
{
	struct daemon *daemon = ctx;

	whitelist_publish(daemon->whitelist, changes, count, revision);
	expect_expiries(daemon, changes, count);
}

void daemon_on_intake(void *ctx, void *prepared, const struct whitelist_change *changes,
		      size_t count, int64_t revision)
{
	struct daemon *daemon = ctx;
	struct whitelist_prepared *list = prepared;

	whitelist_publish_prepared(daemon->whitelist, &list, revision);
	expect_expiries(daemon, changes, count);
}

void daemon_on_faults(void *ctx, const struct fault *faults, size_t count)
{
	publish_faults(ctx, PUBLISHED_FROM_STORE, faults, count);
}

void daemon_on_rules(void *ctx, const struct rule *rules, size_t count)
{
	publish_rules(ctx, PUBLISHED_FROM_STORE, rules, count);
}

void daemon_publish_rows(struct daemon *daemon, const struct config *config)
{
	publish_faults(daemon, PUBLISHED_FROM_CONFIG, config->faults, config->fault_count);
	publish_rules(daemon, PUBLISHED_FROM_CONFIG, config->rules, config->rule_count);
}

/* --- names -------------------------------------------------------------------------------------
 */

static bool has_fault(const struct edition *faults, const char *name)
{
	struct fault_view view;

	for (size_t i = 0; i < faults->count; i++) {
		fault_set_view(faults, i, &view);
		if (view.source == PUBLISHED_FROM_STORE && strcmp(view.fault->name, name) == 0)
			return true;
	}
	return false;
}

static bool has_rule(const struct edition *rules, const char *name)
{
	struct rule_view view;

	for (size_t i = 0; i < rules->count; i++) {
		rule_view(rules, i, &view);
		if (view.source == PUBLISHED_FROM_STORE && strcmp(view.rule->name, name) == 0)
			return true;
	}
	return false;
}

static int taken(const char *list, size_t index, const char *name, struct err *why)
{
	return err_set(why, ERR_CONFLICT,
		       "%s.%zu.name: one that was added by the API is called %.63s too", list,
		       index, name);
}

int daemon_check_names(const struct daemon *daemon, const struct config *config, struct err *why)
{
	const struct edition *faults = faults_acquire(daemon->faults);
	const struct edition *rules = rules_acquire(daemon->rules);
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < config->fault_count; i++)
		if (has_fault(faults, config->faults[i].name))
			code = taken("faults", i, config->faults[i].name, why);
	for (size_t i = 0; code == ERR_OK && i < config->rule_count; i++)
		if (has_rule(rules, config->rules[i].name))
			code = taken("rules", i, config->rules[i].name, why);
	published_release(&faults);
	published_release(&rules);
	return code;
}

/* --- the start ---------------------------------------------------------------------------------
 */

static bool load_entry(void *ctx, const struct entry *entry)
{
	struct daemon *daemon = ctx;

	whitelist_load_add(daemon->whitelist, entry);
	daemon_expects_expiry(daemon, entry);
	return true;
}

static int load_whitelist(struct daemon *daemon, struct store_reader *reader, struct err *why)
{
	int64_t revision = 0;
	int code;

	whitelist_load_begin(daemon->whitelist);
	code = queue_whitelist_snapshot(reader, &revision, load_entry, daemon, why);
	whitelist_load_end(daemon->whitelist, revision, &daemon->bad_entries);
	return code;
}

static int load_rows(struct daemon *daemon, struct store_reader *reader, struct err *why)
{
	struct arena *arena = arena_new();
	const struct fault *faults = NULL;
	const struct rule *rules = NULL;
	size_t fault_count = 0;
	size_t rule_count = 0;
	int code = queue_fault_list(reader, arena, &faults, &fault_count, why);

	if (code == ERR_OK)
		code = queue_rule_list(reader, arena, &rules, &rule_count, why);
	if (code == ERR_OK) {
		daemon_publish_rows(daemon, daemon->config);
		publish_faults(daemon, PUBLISHED_FROM_STORE, faults, fault_count);
		publish_rules(daemon, PUBLISHED_FROM_STORE, rules, rule_count);
	}
	arena_free(&arena);
	return code;
}

int daemon_load_lists(struct daemon *daemon, struct err *why)
{
	struct store_reader *reader;
	int code = store_reader_open(daemon->store, &reader, why);

	if (code != ERR_OK)
		return code;
	code = load_whitelist(daemon, reader, why);
	if (code == ERR_OK)
		code = load_rows(daemon, reader, why);
	store_reader_close(&reader);
	return code;
}
