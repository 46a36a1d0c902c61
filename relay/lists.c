/* relay/lists.c - whitelist, fault rules and rules: loaded at the start, published as they change
 */
#include <config.h>

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
