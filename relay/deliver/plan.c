/* relay/deliver/plan.c - versions of the options, each with its routes at work */
#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/secret.h"
#include "relay/deliver/inside.h"

/*
 * The files were good when the options were checked: what became of them
 * since is said instead of dialling.
 */
static void make_tls(struct way *way)
{
	struct hop_tls_notes notes;
	const char *key;
	int code;

	if (way->options->tls == ROUTE_TLS_NONE)
		return;
	code = hop_tls_new(way->options, &way->tls, &notes, &key, &way->tls_why);
	if (code != ERR_OK)
		err_prefix(&way->tls_why, code, "%s", key);
}

/* The route of the same name in the version before, NULL: it is new. */
static const struct way *find_way(const struct plan *plan, const char *name)
{
	for (size_t i = 0; plan != NULL && i < plan->options->route_count; i++)
		if (span_is(span_of(plan->ways[i].options->name), name))
			return &plan->ways[i];
	return NULL;
}

struct keyring *plan_keyring(struct deliver *d)
{
	if (d->keyring == NULL)
		d->keyring = keyring_new();
	return d->keyring;
}

/* Credentials belong to the version: with the next one come new connections and another try. */
static struct key *make_key(struct deliver *d, const struct route_options *route)
{
	if (route->username == NULL || route->username[0] == '\0')
		return NULL;
	return key_new(plan_keyring(d), route);
}

static bool is_same_text(const char *a, const char *b)
{
	return span_equal(span_of(a), span_of(b));
}

/* What was refused would be refused again. A token may be another one by now. */
static bool has_same_login(const struct route_options *a, const struct route_options *b)
{
	if (a->secret == NULL || b->secret == NULL || a->auth != b->auth ||
	    a->host_count != b->host_count || !is_same_text(a->username, b->username) ||
	    !secret_equal(span_of(a->secret), span_of(b->secret)))
		return false;
	for (size_t i = 0; i < a->host_count; i++)
		if (!is_same_text(a->hosts[i], b->hosts[i]))
			return false;
	return true;
}

static void inherit_login(struct way *way, const struct way *before)
{
	if (before == NULL || way->key == NULL || before->key == NULL ||
	    !has_same_login(way->options, before->options))
		return;
	way->login = before->login;
}

struct plan *plan_new(struct deliver *d, const struct delivery_options *options)
{
	struct plan *plan = mem_zalloc(sizeof(*plan));

	plan->options = options;
	plan->ways = mem_array(options->route_count + 1, sizeof(*plan->ways));
	for (size_t i = 0; i < options->route_count; i++) {
		const struct route_options *route = &options->routes[i];
		const struct way *before = find_way(d->plan, route->name);

		way_init(d, &plan->ways[i], plan, route, before);
		plan->ways[i].key = make_key(d, route);
		inherit_login(&plan->ways[i], before);
		make_tls(&plan->ways[i]);
	}
	park_name_ways(plan);
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
		for (size_t i = 0; i < plan->options->route_count; i++) {
			way_release(&plan->ways[i]);
			hop_tls_free(&plan->ways[i].tls);
			key_free(&plan->ways[i].key);
		}
		park_forget_names(plan);
		mem_free(plan->ways);
		if (plan->done != NULL)
			plan->done(plan->done_ctx);
		mem_free(plan);
	}
}
