/* relay/leaving.c - one sentence: what can leave, and by which route */
#include "relay/leaving.h"

#define ROUTES_NAMED 3

/* "3 addresses, ", with the comma or "and" that its place wants. */
struct listing {
	struct buf *out;
	size_t left; /* of the parts, how many are still to come */
	bool begun;
};

static void list_part(struct listing *listing, size_t count, const char *one, const char *many)
{
	const char *glue = "";

	if (count == 0)
		return;
	listing->left--;
	if (listing->begun)
		glue = listing->left == 0 ? " and " : ", ";
	(void)buf_printf(listing->out, "%s%zu %s", glue, count, count == 1 ? one : many);
	listing->begun = true;
}

static void say_whom(const struct extent *extent, struct buf *out)
{
	struct listing listing = {
		.out = out,
		.left = (size_t)(extent->addresses > 0) + (extent->domains > 0) +
			(extent->subdomains > 0) + (extent->patterns > 0),
	};

	if (extent->all) {
		(void)buf_append_text(out, "mail for EVERY plain address");
		return;
	}
	(void)buf_append_text(out, "mail for ");
	list_part(&listing, extent->addresses, "address", "addresses");
	list_part(&listing, extent->domains, "domain", "domains");
	list_part(&listing, extent->subdomains, "domain's sub-domains", "domains' sub-domains");
	list_part(&listing, extent->patterns, "pattern", "patterns");
}

static const char *tls_words(const struct route_options *route)
{
	switch (route->tls) {
	case ROUTE_TLS_NONE: return "no TLS";
	case ROUTE_TLS_OPPORTUNISTIC: return "opportunistic TLS";
	case ROUTE_TLS_REQUIRED:
		return route->tls_verify ? "required TLS" : "required TLS, not verified";
	case ROUTE_TLS_IMPLICIT:
		return route->tls_verify ? "implicit TLS" : "implicit TLS, not verified";
	}
	return "";
}

/* The first, and how many there are besides. */
static void say_first(struct buf *out, const char *word, const char *const *names, size_t count)
{
	if (count == 0)
		return;
	(void)buf_printf(out, " %s %.80s", word, names[0]);
	if (count > 1)
		(void)buf_printf(out, " and %zu more", count - 1);
}

static void say_route(const struct leaving *l, const struct route_options *route, struct buf *out)
{
	bool any = route->domain_count == 1 && span_is(span_of(route->domains[0]), "*");

	(void)buf_printf(out, "route %.40s", route->name);
	if (!any)
		say_first(out, "for", route->domains, route->domain_count);
	say_first(out, "to", route->hosts, route->host_count);
	(void)buf_printf(out, " (%s%s)", tls_words(route),
			 l->route_is_paused != NULL && l->route_is_paused(l->ctx, route->name)
				 ? ", paused"
				 : "");
}

static void say_routes(const struct leaving *l, struct buf *out)
{
	size_t named = l->route_count > ROUTES_NAMED ? ROUTES_NAMED - 1 : l->route_count;

	(void)buf_append_text(out, ", by ");
	for (size_t i = 0; i < named; i++) {
		if (i > 0)
			(void)buf_append_text(out, i + 1 == l->route_count ? " and " : ", ");
		say_route(l, &l->routes[i], out);
	}
	if (named < l->route_count)
		(void)buf_printf(out, " and %zu more routes", l->route_count - named);
}

static bool overrides(const struct leaving *l)
{
	return l->policy != NULL && l->policy->hook_overrides;
}

static const char *why_nothing(const struct leaving *l)
{
	if (l->capture_only)
		return "delivery.capture_only is on";
	if (l->route_count == 0)
		return "there is no route";
	if (l->rules > 0)
		return NULL;
	if (l->extent.denies_all)
		return "the whitelist denies everything";
	return extent_is_empty(&l->extent) && !overrides(l)
		       ? "no entry of the whitelist allows anything"
		       : NULL;
}

static void say_exceptions(const struct leaving *l, struct buf *out)
{
	if (l->extent.denied > 0 && !extent_is_empty(&l->extent))
		(void)buf_printf(out, ", except what %zu deny entr%s", l->extent.denied,
				 l->extent.denied == 1 ? "y names" : "ies name");
	if (l->rules > 0)
		(void)buf_printf(out, "; %zu rule%s past the whitelist", l->rules,
				 l->rules == 1 ? " sends" : "s send");
	if (overrides(l))
		(void)buf_append_text(out, "; the policy hook may let more go past the whitelist");
	else if (l->policy != NULL && l->policy->screening)
		(void)buf_append_text(out, ", as far as the policy hook allows it");
}

/* Beside what the list allows, or alone. */
static const char *who_else(const struct leaving *l)
{
	if (!overrides(l))
		return "rules allow";
	return l->rules > 0 ? "rules or the policy hook allow" : "the policy hook allows";
}

void leaving_sentence(const struct leaving *l, struct buf *out)
{
	const char *nothing = why_nothing(l);

	if (nothing != NULL) {
		(void)buf_printf(out, "nothing can leave: %s", nothing);
		return;
	}
	if (l->paused)
		(void)buf_append_text(out, "nothing leaves while delivery is paused; then ");
	if (extent_is_empty(&l->extent)) {
		(void)buf_printf(out, "only what %s can leave", who_else(l));
	} else {
		say_whom(&l->extent, out);
		(void)buf_append_text(out, " can leave");
	}
	say_exceptions(l, out);
	say_routes(l, out);
	if (l->policy != NULL && l->policy->hook_routes)
		(void)buf_append_text(out, ", or to the next hop that the policy hook names");
}
