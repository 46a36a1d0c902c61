/* relay/inside.h - what the daemon's own files share */
#ifndef STAGEPOST_RELAY_INSIDE_H
#define STAGEPOST_RELAY_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/admin.h"
#include "admin/handin.h"
#include "base/channel.h"
#include "base/err.h"
#include "queue/store.h"
#include "queue/whitelist.h"
#include "relay/activation.h"
#include "relay/config.h"
#include "relay/daemon.h"
#include "relay/deliver/deliver.h"
#include "relay/descriptors.h"
#include "relay/filter/fault.h"
#include "relay/filter/rule.h"
#include "relay/filter/whitelist.h"
#include "relay/hook/hook.h"
#include "relay/loop/budget.h"
#include "relay/loop/loop.h"
#include "relay/loop/stream.h"
#include "relay/mail/charset_name.h"
#include "relay/smtp/intake.h"
#include "relay/smtp/listener.h"
#include "relay/version.h"
#include "relay/webhook/webhook.h"

/* The parts, made in daemon.c. Written by the main thread, before admin starts or after it stopped.
 */
struct daemon {
	const struct daemon_source *source;
	struct versions *versions;
	const struct config *config;   /* in force; held */
	struct charset_hold *charsets; /* so that no message is read at the cost of loading them */
	struct store *store;
	struct whitelist *whitelist;
	struct faults *faults;
	struct rules *rules;
	struct loop *loops[CONFIG_MAX_THREADS];
	size_t loop_count;
	struct activation activation; /* until the front has its copies */
	struct descriptors descriptors;
	struct budget budget;
	struct intake *intake;
	struct smtp_front *front;
	char (*listeners)[STREAM_NAME_SIZE]; /* as bound; they outlive the front */
	size_t listener_count;
	struct deliver *deliver;
	struct hook *hook;
	struct webhooks *webhooks;
	/* The writer thread wakes what the main thread starts and stops. */
	pthread_mutex_t deliver_lock;
	struct admin *admin;
	int64_t started_at;
	_Atomic uint64_t handed_in;  /* messages accepted by the API */
	uint64_t handshakes_trimmed; /* handshakes until memory was last given back */
	struct channel *failure;     /* closed by the writer thread when the store has failed */
	struct err failed_why;	     /* written before `failure` is closed */
	int signals;
	size_t bad_entries; /* rows of the whitelist that were no entry at the start */
	/* When an entry is over next; lowered by the writer thread, taken by the main thread. */
	_Atomic int64_t next_expiry;
};

/*
 * The pair that listeners with TLS and without certificates use: made when it
 * is not there, and named in the log (relay/certificate.c). data_dir exists.
 */
int daemon_prepare_certificate(const struct config *config, struct err *why);

/* What is kept in memory only for a while: hits, recipients seen, what has expired (relay/flush.c).
 * From the main thread, every few seconds and at the end. */
void daemon_write_down(struct daemon *daemon);
/* The entry is in force: its end must be noticed. Any thread. */
void daemon_expects_expiry(struct daemon *daemon, const struct entry *entry);
/* Nothing is listened to before it was right (relay/selftest.h). */
int daemon_selftest(struct daemon *daemon, struct err *why);

/*
 * Whitelist, fault rules and rules (relay/lists.c): all of them before
 * anything runs; what the store tells, in its writer thread, with the daemon
 * as ctx; what stands in the configuration, at a reload.
 */
int daemon_load_lists(struct daemon *daemon, struct err *why);
void daemon_on_whitelist(void *ctx, const struct whitelist_change *changes, size_t count,
			 int64_t revision);
void daemon_on_intake(void *ctx, void *prepared, const struct whitelist_change *changes,
		      size_t count, int64_t revision);
void daemon_on_faults(void *ctx, const struct fault *faults, size_t count);
void daemon_on_rules(void *ctx, const struct rule *rules, size_t count);
void daemon_publish_rows(struct daemon *daemon, const struct config *config);
/* ERR_CONFLICT: a rule or fault rule of `config` has the name of one of the store. */
int daemon_check_names(const struct daemon *daemon, const struct config *config, struct err *why);

/*
 * Webhooks (relay/webhooks.c): `targets` has room for WEBHOOK_TARGETS_MAX and
 * lives as long as `out`. At a reload the store is told of the new ones.
 */
void daemon_webhook_targets(const struct config *config, struct webhook_target *targets,
			    struct webhook_targets *out);
void daemon_on_webhook(void *ctx);
int daemon_start_webhooks(struct daemon *daemon, struct err *why);
void daemon_set_webhooks(struct daemon *daemon, const struct config *config);
void daemon_stop_webhooks(struct daemon *daemon);

/* What the API asks, with the daemon as ctx (relay/answer.c). */
extern const struct admin_ops daemon_admin_ops;
/* What it hands messages in by, with the same ctx (relay/handin.c). */
extern const struct handin_ops daemon_handin_ops;
/* Sentences a person should read; `ctx` is the daemon. */
void daemon_tell_warnings(void *ctx, void (*row)(void *row_ctx, const char *sentence),
			  void *row_ctx);

#endif
