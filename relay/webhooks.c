/* relay/webhooks.c - webhooks as the daemon runs them: who is told, by whom, and with what words */
#include <config.h>

#include "admin/view.h"
#include "base/mem.h"
#include "relay/inside.h"

/* In the writer thread. */
void daemon_on_webhook(void *ctx)
{
	struct daemon *daemon = ctx;

	pthread_mutex_lock(&daemon->deliver_lock);
	if (daemon->webhooks != NULL)
		webhooks_wake(daemon->webhooks);
	pthread_mutex_unlock(&daemon->deliver_lock);
}

void daemon_webhook_targets(const struct config *config, struct webhook_target *targets,
			    struct webhook_targets *out)
{
	*out = (struct webhook_targets){.targets = targets,
					.count = webhook_targets(&config->webhooks, targets),
					.write = view_webhook};
}

int daemon_start_webhooks(struct daemon *daemon, struct err *why)
{
	struct webhooks *webhooks = NULL;
	int code = webhooks_start(daemon->store, &daemon->config->webhooks, &webhooks, why);

	pthread_mutex_lock(&daemon->deliver_lock);
	daemon->webhooks = webhooks;
	pthread_mutex_unlock(&daemon->deliver_lock);
	return code;
}

void daemon_stop_webhooks(struct daemon *daemon)
{
	struct webhooks *webhooks;

	pthread_mutex_lock(&daemon->deliver_lock);
	webhooks = daemon->webhooks;
	daemon->webhooks = NULL;
	pthread_mutex_unlock(&daemon->deliver_lock);
	webhooks_stop(&webhooks);
}

/* What the store is told at a reload: the version may be gone before it looks at it. */
struct change {
	struct webhook_set set; /* first */
	struct webhook_target targets[WEBHOOK_TARGETS_MAX];
	struct arena *arena; /* this struct too */
};

static void on_set(struct store_job *job)
{
	struct arena *arena = ((struct change *)job)->arena;

	if (job->code != ERR_OK)
		log_error("webhook", LOG_S("error", job->why.text));
	arena_free(&arena);
}

void daemon_set_webhooks(struct daemon *daemon, const struct config *config)
{
	struct arena *arena = arena_new();
	struct change *change = arena_zalloc(arena, sizeof(*change));

	change->arena = arena;
	daemon_webhook_targets(config, change->targets, &change->set.targets);
	for (size_t i = 0; i < change->set.targets.count; i++) {
		change->targets[i].name = arena_strdup(arena, change->targets[i].name);
		change->targets[i].scope = arena_strdup(arena, change->targets[i].scope);
	}
	change->set.job.done = on_set;
	queue_webhook_set(daemon->store, &change->set.job);
}
