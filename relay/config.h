/*
 * relay/config.h - the daemon's configuration: one immutable version, and every mistake in it
 *
 * Files of this folder include autoconf's header as <config.h>: in quotes it would be this one.
 */
#ifndef STAGEPOST_RELAY_CONFIG_H
#define STAGEPOST_RELAY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "admin/admin.h"
#include "queue/fault.h"
#include "queue/retention.h"
#include "queue/rule.h"
#include "relay/deliver/deliver.h"
#include "relay/filter/policy.h"
#include "relay/hook/hook.h"
#include "relay/smtp/smtp.h"
#include "relay/smtp/users.h"
#include "relay/webhook/webhook.h"

/* Read when no -c is given and it exists; without it the defaults run. */
#define CONFIG_DEFAULT_FILE "/etc/stagepost/stagepost.yaml"
#define CONFIG_MAX_THREADS  8

/*
 * One version. Everything in it is const and lives until config_free: hand
 * out pointers freely, but keep the version until nobody uses them any more.
 * smtp.hostname, delivery.hostname, delivery.routes and delivery.policy are
 * filled in, pointing into the same version.
 */
struct config {
	const char *file; /* as given; NULL: none */
	const char *hostname;
	const char *data_dir;
	size_t threads; /* 0 = one per CPU, at most CONFIG_MAX_THREADS */
	struct log_options log;
	const struct listener_options *listeners;
	size_t listener_count;
	struct smtp_options smtp;
	const char *users_file;
	struct users *users; /* NULL: no listener wants them */
	struct policy_options policy;
	struct hook_options hook;
	unsigned asked_mechanisms;  /* smtp_settings: hook.auth */
	const struct fault *faults; /* failures on demand, in their order */
	size_t fault_count;
	const struct rule *rules; /* on what messages say of themselves, in their order */
	size_t rule_count;
	struct delivery_options delivery;
	struct retention_options retention;
	struct webhooks_options webhooks;
	struct admin_options admin;
	struct arena *arena; /* private: holds all of the above, this struct too */
};

/* One mistake or warning. `line` 0: it has no place in a file (then `file` is "-o" or NULL). */
struct config_note {
	const char *file;
	size_t line;
	size_t column;
	const char *key; /* dotted, list items by number: "listeners.0.address"; "" for the file */
	const char *text;
	bool warning; /* it runs, but not as somebody may think */
};

/* What config_load found, in the order of the text. Filled also when it succeeds (warnings). */
struct config_report {
	struct config_note *notes;
	size_t count;
	size_t mistakes; /* how many of them are not warnings */
	struct arena *arena;
};

void config_report_init(struct config_report *report);
void config_report_release(struct config_report *report);
/* "stagepost.yaml:3:5: smtp.max_recipients: ..." without a line end; alike for warnings. */
void config_note_format(const struct config_note *note, char *text_out, size_t size);

/*
 * Read `path` (NULL: no file, only the defaults), apply `overrides`
 * ("smtp.max_recipients=5", "listeners.0.scope=shop"), expand ${NAME} and
 * check everything. Returns ERR_OK, or ERR_SYNTAX with at least one mistake in the
 * report (an unreadable file is a mistake like any other). The report is set up by
 * config_report_init and may be released before or after the configuration.
 */
int config_load(const char *path, const char *const *overrides, size_t override_count,
		struct config **config_out, struct config_report *report);
void config_free(struct config **config);

/*
 * May `next` replace `now` in a running daemon? Returns ERR_OK, or
 * ERR_CONFLICT with a sentence naming the changed keys that need a restart.
 */
int config_reloadable(const struct config *now, const struct config *next, struct err *why);

/*
 * All keys as they are in force, as YAML that config_load accepts and reads
 * back as the same configuration, but for passwords and tokens: "(hidden)"
 * stands in their place, which config_load refuses. Returns 0, or ERR_IO when writing failed.
 */
int config_print(const struct config *config, FILE *out);
/* The same, appended. */
void config_format(const struct config *config, struct buf *out);

#endif
