/* relay/smtp/version.c - a version of the front's settings, alive while somebody uses it */
#include "relay/smtp/version.h"

#include <stdatomic.h>

#include "base/mem.h"

struct networks {
	struct network *items;
	size_t count;
};

static int parse_networks(const char *const *texts, size_t count, struct networks *set,
			  struct err *why)
{
	int code = ERR_OK;

	set->items = mem_array(count, sizeof(*set->items));
	set->count = count;
	for (size_t i = 0; i < count && code == ERR_OK; i++)
		code = network_parse(span_of(texts[i]), &set->items[i], why);
	return code;
}

static void version_free(struct version *version)
{
	for (size_t i = 0; i < version->settings.listener_count; i++) {
		mem_free(version->networks[i].items);
		mem_free(version->trusted[i].items);
		tls_server_free(&version->tls[i]);
	}
	mem_free(version->networks);
	mem_free(version->trusted);
	mem_free(version->tls);
	mem_free(version);
}

static int make_tls(struct version *version, size_t listener, struct err *why)
{
	const struct listener_options *options = &version->settings.listeners[listener];

	if (options->tls == LISTENER_TLS_NONE)
		return ERR_OK;
	return tls_server_new(options, version->settings.smtp, &version->tls[listener], why);
}

static int parse_listener(struct version *version, size_t index, struct err *why)
{
	const struct listener_options *listener = &version->settings.listeners[index];
	int code = parse_networks(listener->networks, listener->network_count,
				  &version->networks[index], why);

	if (code == ERR_OK)
		code = parse_networks(listener->trusted, listener->trusted_count,
				      &version->trusted[index], why);
	return code == ERR_OK ? code : err_prefix(why, code, "listener %s", listener->address);
}

int version_new(const struct smtp_settings *settings, struct version **version_out, struct err *why)
{
	struct version *version = mem_zalloc(sizeof(*version));
	int code = ERR_OK;

	version->settings = *settings;
	version->networks = mem_array(settings->listener_count, sizeof(*version->networks));
	version->trusted = mem_array(settings->listener_count, sizeof(*version->trusted));
	version->tls = mem_array(settings->listener_count, sizeof(struct tls_server *));
	atomic_init(&version->references, 1);
	for (size_t i = 0; i < settings->listener_count && code == ERR_OK; i++)
		code = parse_listener(version, i, why);
	for (size_t i = 0; i < settings->listener_count && code == ERR_OK; i++)
		code = make_tls(version, i, why);
	if (code != ERR_OK) {
		version_free(version);
		return code;
	}
	*version_out = version;
	return ERR_OK;
}

struct version *version_acquire(struct version *version)
{
	atomic_fetch_add(&version->references, 1);
	return version;
}

void version_release(struct version **version)
{
	struct version *gone = *version;
	void (*done)(void *ctx);
	void *ctx;

	*version = NULL;
	if (gone == NULL || atomic_fetch_sub(&gone->references, 1) != 1)
		return;
	done = gone->done;
	ctx = gone->ctx;
	version_free(gone);
	if (done != NULL)
		done(ctx);
}

const struct tls_server *version_tls(const struct version *version, size_t listener)
{
	return version->tls[listener];
}

static bool holds(const struct networks *set, const struct peer_address *peer)
{
	if (peer->unix_peer)
		return true;
	for (size_t i = 0; i < set->count; i++)
		if (network_holds(&set->items[i], peer))
			return true;
	return false;
}

bool version_admits(const struct version *version, size_t listener, const struct peer_address *peer)
{
	return holds(&version->networks[listener], peer);
}

bool version_trusts(const struct version *version, size_t listener, const struct peer_address *peer)
{
	return holds(&version->trusted[listener], peer);
}
