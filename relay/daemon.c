/* relay/daemon.c - the parts put together: start in order, run, stop in reverse */
#include <config.h>

#include "relay/inside.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "relay/notify.h"
#include "relay/reach.h"

#define SMTP_GRACE_MS	 10000 /* together well under the promised 30 s */
#define DELIVER_GRACE_MS 12000
#define ADMIN_GRACE_MS	 3000
#define FLUSH_EVERY_MS	 3000
#define TRIM_HANDSHAKES	 200

/* --- what the store tells, in its writer thread ------------------------------ */

static void on_fatal(void *ctx, const char *why)
{
	struct daemon *daemon = ctx;

	err_set(&daemon->failed_why, ERR_FATAL, "%s", why);
	channel_close(daemon->failure);
}

static void on_due(void *ctx)
{
	struct daemon *daemon = ctx;

	pthread_mutex_lock(&daemon->deliver_lock);
	if (daemon->deliver != NULL)
		deliver_wake(daemon->deliver);
	pthread_mutex_unlock(&daemon->deliver_lock);
}

static void on_ask(void *ctx)
{
	struct daemon *daemon = ctx;

	pthread_mutex_lock(&daemon->deliver_lock);
	if (daemon->hook != NULL)
		hook_wake(daemon->hook);
	pthread_mutex_unlock(&daemon->deliver_lock);
}

static void on_swept(void *ctx, const struct retention_numbers *numbers)
{
	(void)ctx;
	log_info("retention", LOG_I("contents", numbers->contents),
		 LOG_I("messages", numbers->messages), LOG_I("bytes", numbers->bytes));
}

/* --- start -------------------------------------------------------------------- */

/* libesmtp looks into $HOME for keys and certificates (reference: its xdg search): it finds
 * nothing. */
static int prepare_process(struct daemon *daemon, struct err *why)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set;

	umask(077);
	setenv("HOME", "/nonexistent", 1);
	unsetenv("XDG_CONFIG_DIR");
	unsetenv("XDG_CONFIG_HOME");
	sigaction(SIGPIPE, &ignore, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Before any thread: all of them inherit it. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	daemon->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (daemon->signals < 0)
		return err_set(why, ERR_IO, "signalfd: %s", strerror(errno));
	return ERR_OK;
}

static int start_store(struct daemon *daemon, struct err *why)
{
	struct webhook_target targets[WEBHOOK_TARGETS_MAX];
	struct webhook_targets webhooks;
	struct store_options options = {
		.data_dir = daemon->config->data_dir,
		.on_fatal = on_fatal,
		.on_due = on_due,
		.on_ask = on_ask,
		.on_whitelist = daemon_on_whitelist,
		.on_intake = daemon_on_intake,
		.on_faults = daemon_on_faults,
		.on_rules = daemon_on_rules,
		.on_swept = on_swept,
		.on_webhook = daemon_on_webhook,
		.webhooks = &webhooks,
		.retention = &daemon->config->retention,
		.ctx = daemon,
	};

	struct err refused;
	int code;

	daemon_webhook_targets(daemon->config, targets, &webhooks);
	code = store_open(&options, &daemon->store, &refused);
	if (code == ERR_DENIED)
		return err_set(why, code, "%.180s; choose another place with -o data_dir=./var",
			       refused.text);
	return code == ERR_OK ? code : err_set(why, code, "%s", refused.text);
}

static size_t choose_threads(const struct config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t count = config->threads > 0 ? config->threads : cpus > 0 ? (size_t)cpus : 1;

	return count < CONFIG_MAX_THREADS ? count : CONFIG_MAX_THREADS;
}

static int start_loops(struct daemon *daemon, struct err *why)
{
	size_t count = choose_threads(daemon->config);

	for (size_t i = 0; i < count; i++) {
		int code;

		daemon->loops[i] = loop_new("loop");
		daemon->loop_count = i + 1;
		code = loop_start(daemon->loops[i], why);
		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

static bool is_own_listener(void *ctx, const char *address)
{
	const struct daemon *daemon = ctx;

	for (size_t i = 0; i < daemon->listener_count; i++)
		if (reach_is_same(address, daemon->listeners[i]))
			return true;
	return false;
}

static int start_deliver(struct daemon *daemon, struct err *why)
{
	struct deliver_env env = {
		.store = daemon->store,
		.whitelist = daemon->whitelist,
		.rules = daemon->rules,
		.loops = daemon->loops,
		.loop_count = daemon->loop_count,
		.is_own_listener = is_own_listener,
		.ctx = daemon,
	};
	struct deliver *deliver = NULL;
	int code = deliver_start(&env, &daemon->config->delivery, &deliver, why);

	pthread_mutex_lock(&daemon->deliver_lock);
	daemon->deliver = deliver;
	pthread_mutex_unlock(&daemon->deliver_lock);
	if (code == ERR_OK)
		deliver_wake(deliver); /* what was queued before the start */
	return code;
}

static int start_hook(struct daemon *daemon, struct err *why)
{
	struct hook_env env = {
		.store = daemon->store, .whitelist = daemon->whitelist, .rules = daemon->rules};
	struct hook *hook = NULL;
	int code = hook_start(&env, &daemon->config->hook, &hook, why);

	pthread_mutex_lock(&daemon->deliver_lock);
	daemon->hook = hook;
	pthread_mutex_unlock(&daemon->deliver_lock);
	return code;
}

static struct smtp_settings settings_of(const struct config *config)
{
	return (struct smtp_settings){
		.smtp = &config->smtp,
		.listeners = config->listeners,
		.listener_count = config->listener_count,
		.users = config->users,
		.asked_mechanisms = config->asked_mechanisms,
		.backend = &config->policy,
	};
}

/* In a loop thread. Before the hook is there, and after it: nobody can tell. */
static void ask_login(void *ctx, struct login_ask *ask)
{
	struct daemon *daemon = ctx;
	bool asked;

	pthread_mutex_lock(&daemon->deliver_lock);
	asked = daemon->hook != NULL;
	if (asked)
		hook_login(daemon->hook, ask);
	pthread_mutex_unlock(&daemon->deliver_lock);
	if (asked)
		return;
	ask->answer = (struct login_answer){.verdict = LOGIN_UNKNOWN,
					    .text = "the policy hook is not there yet"};
	ask->done(ask);
}

static int start_tls(struct daemon *daemon, struct err *why)
{
	return daemon_prepare_certificate(daemon->config, why);
}

static int start_smtp(struct daemon *daemon, struct err *why)
{
	struct smtp_settings settings = settings_of(daemon->config);
	struct smtp_front_env env = {
		.loops = daemon->loops,
		.loop_count = daemon->loop_count,
		.backend = &intake_ops,
		.ask_login = ask_login,
		.ask_ctx = daemon,
		.budget = &daemon->budget,
		.given = daemon->activation.given,
		.given_count = daemon->activation.count,
	};
	int code;

	budget_init(&daemon->budget, daemon->config->smtp.memory);
	daemon->intake = intake_new(daemon->store, daemon->whitelist, &daemon->budget);
	intake_set_faults(daemon->intake, daemon->faults);
	intake_set_rules(daemon->intake, daemon->rules);
	env.backend_ctx = daemon->intake;
	code = smtp_front_start(&env, &settings, &daemon->front, why);
	activation_release(&daemon->activation);
	if (code != ERR_OK)
		return code;
	daemon->listeners = mem_array(settings.listener_count, sizeof(*daemon->listeners));
	while (daemon->listener_count < settings.listener_count &&
	       smtp_front_address(daemon->front, daemon->listener_count,
				  daemon->listeners[daemon->listener_count]))
		daemon->listener_count++;
	return ERR_OK;
}

static int start_activation(struct daemon *daemon, struct err *why)
{
	return activation_take(daemon->config->listeners, daemon->config->listener_count,
			       &daemon->activation, why);
}

static int start_limits(struct daemon *daemon, struct err *why)
{
	return descriptors_prepare(daemon->config, &daemon->descriptors, why);
}

static int start_reserve(struct daemon *daemon, struct err *why)
{
	(void)why;
	descriptors_count(&daemon->descriptors);
	smtp_front_keep_descriptors(daemon->front,
				    descriptors_ceiling(&daemon->descriptors, daemon->config));
	return ERR_OK;
}

static int start_admin(struct daemon *daemon, struct err *why)
{
	struct admin_env env = {
		.store = daemon->store,
		.whitelist = daemon->whitelist,
		.faults = daemon->faults,
		.rules = daemon->rules,
		.data_dir = daemon->config->data_dir,
		.hostname = daemon->config->hostname,
		.version = PACKAGE_VERSION,
		.started_at = daemon->started_at,
		.ops = &daemon_admin_ops,
		.handin = &daemon_handin_ops,
		.ctx = daemon,
	};

	return admin_start(&env, &daemon->config->admin, &daemon->admin, why);
}

static int start(struct daemon *daemon, struct err *why)
{
	int (*const steps[])(struct daemon *, struct err *) = {
		start_activation,  prepare_process, start_limits,    start_store,
		daemon_load_lists, start_loops,	    daemon_selftest, start_tls,
		start_smtp,	   start_deliver,   start_hook,	     daemon_start_webhooks,
		start_reserve,	   start_admin,
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int code = steps[i](daemon, why);

		if (code != ERR_OK)
			return code;
	}
	return ERR_OK;
}

/* --- stop: start order reversed; what is accepted while delivery ends waits for the next start -
 */

static void stop_deliver(struct daemon *daemon)
{
	struct deliver *deliver;

	pthread_mutex_lock(&daemon->deliver_lock);
	deliver = daemon->deliver;
	daemon->deliver = NULL;
	pthread_mutex_unlock(&daemon->deliver_lock);
	if (deliver != NULL)
		deliver_stop(&deliver, DELIVER_GRACE_MS);
}

static void stop_hook(struct daemon *daemon)
{
	struct hook *hook;

	pthread_mutex_lock(&daemon->deliver_lock);
	hook = daemon->hook;
	daemon->hook = NULL;
	pthread_mutex_unlock(&daemon->deliver_lock);
	hook_stop(&hook);
}

static void stop(struct daemon *daemon)
{
	/* The attempts under way and the clients have their time side by side. */
	if (daemon->deliver != NULL)
		deliver_retire(daemon->deliver, DELIVER_GRACE_MS);
	/* An API client that dawdles must not keep the SMTP clients waiting for their 421. */
	/* Nor may a slow script, whom a login waits for. */
	if (daemon->hook != NULL)
		hook_refuse_logins(daemon->hook);
	if (daemon->front != NULL)
		smtp_front_close(daemon->front, SMTP_GRACE_MS);
	/* It reads the front's numbers, which are there until the front is freed. */
	if (daemon->admin != NULL)
		admin_stop(&daemon->admin, ADMIN_GRACE_MS);
	if (daemon->front != NULL)
		smtp_front_stop(&daemon->front, SMTP_GRACE_MS);
	stop_hook(daemon);
	stop_deliver(daemon);
	daemon_stop_webhooks(daemon);
	intake_free(&daemon->intake);
	activation_release(&daemon->activation);
	for (size_t i = 0; i < daemon->loop_count; i++)
		loop_stop(daemon->loops[i]);
	for (size_t i = 0; i < daemon->loop_count; i++)
		loop_free(&daemon->loops[i]);
	if (daemon->store != NULL) {
		if (!store_is_failed(daemon->store))
			daemon_write_down(daemon);
		store_close(&daemon->store);
	}
	whitelist_free(&daemon->whitelist);
	faults_free(&daemon->faults);
	rules_free(&daemon->rules);
	if (daemon->signals >= 0)
		close(daemon->signals);
	mem_free(daemon->listeners);
	channel_free(&daemon->failure);
	versions_release(daemon->versions, daemon->config);
	versions_free(&daemon->versions);
	charset_hold_free(&daemon->charsets);
	pthread_mutex_destroy(&daemon->deliver_lock);
}

/* --- run ---------------------------------------------------------------------------- */

static void on_retention(struct store_job *job)
{
	mem_free(job);
}

static void reload_retention(struct daemon *daemon, const struct retention_options *options)
{
	struct retention_set *set = mem_zalloc(sizeof(*set));

	set->job.done = on_retention;
	set->options = *options;
	queue_retention_set(daemon->store, &set->job);
}

/* A version that one of the parts still uses after a reload. */
struct retired {
	struct daemon *daemon;
	const struct config *config;
};

static void on_retired(void *ctx)
{
	struct retired *retired = ctx;

	versions_release(retired->daemon->versions, retired->config);
	mem_free(retired);
}

/* One more holder of `config`, released when on_retired is called with the result. */
static struct retired *retire(struct daemon *daemon, const struct config *config)
{
	struct retired *retired = mem_zalloc(sizeof(*retired));

	retired->daemon = daemon;
	retired->config = config;
	versions_hold(daemon->versions, config);
	return retired;
}

static void put_in_force(struct daemon *daemon, struct config *next)
{
	const struct config *before = daemon->config;
	struct smtp_settings settings = settings_of(next);
	struct retired *by_front = retire(daemon, before);
	struct err why;

	if (smtp_front_reload(daemon->front, &settings, on_retired, by_front, &why) != ERR_OK) {
		on_retired(by_front);
		log_error("reload", LOG_S("result", "kept the old configuration"),
			  LOG_S("reason", why.text));
		config_free(&next);
		return;
	}
	daemon->config = versions_replace(daemon->versions, next);
	log_configure(&next->log);
	daemon_publish_rows(daemon, next);
	budget_set_limit(&daemon->budget, next->smtp.memory);
	smtp_front_keep_descriptors(daemon->front, descriptors_ceiling(&daemon->descriptors, next));
	deliver_reload(daemon->deliver, &next->delivery, on_retired, retire(daemon, before));
	hook_reload(daemon->hook, &next->hook, on_retired, retire(daemon, before));
	daemon_set_webhooks(daemon, next);
	webhooks_reload(daemon->webhooks, &next->webhooks, on_retired, retire(daemon, before));
	reload_retention(daemon, &next->retention);
	admin_reload(daemon->admin, &next->admin);
	versions_release(daemon->versions, before);
	log_info("reload", LOG_S("result", "the new configuration is in force"));
}

static void log_report(const struct config_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		char line[1024];

		config_note_format(&report->notes[i], line, sizeof(line));
		if (report->notes[i].warning)
			log_warning("configuration", LOG_S("note", line));
		else
			log_error("configuration", LOG_S("mistake", line));
	}
}

/* SIGHUP: a bad file keeps the old configuration whole and says why (DESIGN 4.9). */
static void reload(struct daemon *daemon)
{
	struct config_report report;
	struct config *next = NULL;
	struct err why;
	int code;

	notify_state("RELOADING=1");
	config_report_init(&report);
	code = config_load(daemon->source->path, daemon->source->overrides,
			   daemon->source->override_count, &next, &report);
	log_report(&report);
	if (code != ERR_OK) {
		log_error("reload", LOG_S("result", "kept the old configuration"),
			  LOG_I("mistakes", report.mistakes));
	} else if (config_reloadable(daemon->config, next, &why) != ERR_OK ||
		   daemon_check_names(daemon, next, &why) != ERR_OK ||
		   daemon_prepare_certificate(next, &why) != ERR_OK ||
		   admin_prepare(daemon->admin, &next->admin, &why) != ERR_OK) {
		log_error("reload", LOG_S("result", "kept the old configuration"),
			  LOG_S("reason", why.text));
		config_free(&next);
	} else {
		put_in_force(daemon, next);
	}
	config_report_release(&report);
	notify_state("READY=1");
}

/* Returns true when it is time to stop. */
static bool take_signals(struct daemon *daemon)
{
	struct signalfd_siginfo info;
	bool stopping = false;

	while (read(daemon->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reload(daemon);
		else
			stopping = true;
	}
	return stopping;
}

/*
 * A handshake needs three times what the connection keeps afterwards. When
 * many of them came together the allocator is left with holes as large.
 */
static void trim_memory(struct daemon *daemon)
{
	struct smtp_front_status status;
	uint64_t handshakes;

	smtp_front_status(daemon->front, &status);
	handshakes = handshakes_done(&status.handshakes);
	if (handshakes < daemon->handshakes_trimmed + TRIM_HANDSHAKES)
		return;
	daemon->handshakes_trimmed = handshakes;
	mem_trim();
}

static int run(struct daemon *daemon, struct err *why)
{
	struct pollfd fds[2] = {{.fd = daemon->signals, .events = POLLIN},
				{.fd = channel_fd(daemon->failure), .events = POLLIN}};

	for (;;) {
		int ready = poll(fds, 2, FLUSH_EVERY_MS);

		if (channel_is_closed(daemon->failure))
			return err_set(why, ERR_FATAL, "%s", daemon->failed_why.text);
		if (ready > 0 && take_signals(daemon))
			return ERR_OK;
		if (ready > 0)
			continue;
		daemon_write_down(daemon);
		trim_memory(daemon);
	}
}

static void log_sentence(void *ctx, const char *sentence)
{
	(void)ctx;
	log_warning("note", LOG_S("text", sentence));
}

static const char *protocol_name(const struct daemon *daemon, size_t listener)
{
	return daemon->config->listeners[listener].protocol == LISTENER_LMTP ? "lmtp" : "smtp";
}

static const char *tls_name(const struct daemon *daemon, size_t listener)
{
	switch (daemon->config->listeners[listener].tls) {
	case LISTENER_TLS_STARTTLS: return "starttls";
	case LISTENER_TLS_IMPLICIT: return "implicit";
	case LISTENER_TLS_NONE: break;
	}
	return "none";
}

static void say_ready(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->listener_count; i++)
		log_info("listening", LOG_S("protocol", protocol_name(daemon, i)),
			 LOG_S("address", daemon->listeners[i]), LOG_S("tls", tls_name(daemon, i)));
	if (*admin_address(daemon->admin) != '\0')
		log_info("listening",
			 LOG_S("protocol", admin_is_tls(daemon->admin) ? "https" : "http"),
			 LOG_S("address", admin_address(daemon->admin)));
	log_info("ready", LOG_S("version", PACKAGE_VERSION),
		 LOG_S("data_dir", daemon->config->data_dir), LOG_I("loops", daemon->loop_count));
	daemon_tell_warnings(daemon, log_sentence, NULL);
	notify_state("READY=1");
}

int daemon_run(const struct daemon_source *source, struct config *config_take, struct err *why)
{
	struct daemon daemon = {
		.source = source,
		.versions = versions_new(config_take),
		.whitelist = whitelist_new(),
		.faults = faults_new(),
		.rules = rules_new(),
		.failure = channel_new(),
		.signals = -1,
		.started_at = clock_wall_ms(),
		.next_expiry = INT64_MAX,
	};
	int code;

	pthread_mutex_init(&daemon.deliver_lock, NULL);
	daemon.config = versions_acquire(daemon.versions);
	log_configure(&daemon.config->log);
	daemon.charsets = charset_hold_new();
	code = start(&daemon, why);
	if (code == ERR_OK) {
		say_ready(&daemon);
		code = run(&daemon, why);
		notify_state("STOPPING=1");
		if (code != ERR_OK)
			log_error("fatal", LOG_S("reason", why->text));
		log_info("stopping", LOG_B("clean", code == ERR_OK));
	}
	stop(&daemon);
	return code;
}
