/* relay/deliver/plan.c - versions of the options, each with its routes at work */
#include <assert.h>
#include <stdio.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "relay/deliver/inside.h"

static bool wants_tls(const struct delivery_options *options)
{
	for (size_t i = 0; i < options->route_count; i++)
		if (options->routes[i].tls == ROUTE_TLS_REQUIRED ||
		    options->routes[i].tls == ROUTE_TLS_IMPLICIT)
			return true;
	return false;
}

/* The system's authorities, TLS 1.2 or later, and no connection to who can't prove the name. */
static SSL_CTX *make_tls(void)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (tls == NULL)
		return NULL;
	if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_default_verify_paths(tls) != 1) {
		SSL_CTX_free(tls);
		return NULL;
	}
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	return tls;
}

/* Numbers for status go on over a reload. */
static void inherit(struct way *way, const struct plan *from)
{
	if (from == NULL)
		return;
	for (size_t i = 0; i < from->options->route_count; i++) {
		const struct way *old = &from->ways[i];

		if (!span_is(span_of(old->options->name), way->options->name))
			continue;
		way->delivered = old->delivered;
		way->deferred = old->deferred;
		way->failed = old->failed;
		memcpy(way->last_error, old->last_error, sizeof(way->last_error));
		way->last_error_at = old->last_error_at;
	}
}

struct plan *plan_new(struct deliver *d, const struct delivery_options *options)
{
	struct plan *plan = mem_zalloc(sizeof(*plan));

	plan->options = options;
	plan->ways = mem_array(options->route_count + 1, sizeof(*plan->ways));
	for (size_t i = 0; i < options->route_count; i++) {
		plan->ways[i].plan = plan;
		plan->ways[i].options = &options->routes[i];
		inherit(&plan->ways[i], d->plan);
	}
	if (wants_tls(options))
		plan->tls = make_tls();
	plan->next = d->plans;
	d->plans = plan;
	return plan;
}

void plan_use(struct plan *plan)
{
	plan->users++;
}

void plan_leave(struct deliver *d, struct plan *plan)
{
	assert(plan->users > 0);
	plan->users--;
}

void plan_end_unused(struct deliver *d)
{
	struct plan **link = &d->plans;

	while (*link != NULL) {
		struct plan *plan = *link;

		if (!plan->old || plan->users > 0) {
			link = &plan->next;
			continue;
		}
		*link = plan->next;
		SSL_CTX_free(plan->tls);
		mem_free(plan->ways);
		if (plan->done != NULL)
			plan->done(plan->done_ctx);
		mem_free(plan);
	}
}
