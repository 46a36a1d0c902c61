/* tests relay/leaving.c: what can leave, in one sentence */
#include "relay/leaving.h"

#include <string.h>

#include "tests/unit/unit.h"

static const char *const any[] = {"*"};
static const char *const two_domains[] = {"a.test", "b.test"};
static const char *const one_host[] = {"smtp.example.com:587"};
static const char *const three_hosts[] = {"mx:", "h2:25", "h3:25"};

static struct route_options route_of(const char *name)
{
	return (struct route_options){.name = name,
				      .domains = any,
				      .domain_count = 1,
				      .hosts = one_host,
				      .host_count = 1,
				      .tls = ROUTE_TLS_REQUIRED,
				      .tls_verify = true};
}

static void expect(const struct leaving *leaving, const char *want)
{
	struct buf out;

	buf_init(&out, 1000);
	leaving_sentence(leaving, &out);
	ck_assert_msg(span_is(buf_span(&out), want), "\"%.*s\", not \"%s\"",
		      SPAN_ARG(buf_span(&out)), want);
	buf_release(&out);
}

#define BY_DEFAULT ", by route default to smtp.example.com:587 (required TLS)"

START_TEST(by_what_the_list_says)
{
	struct route_options route = route_of("default");
	const struct {
		struct extent extent;
		const char *want;
	} cases[] = {
		{{0}, "nothing can leave: no entry of the whitelist allows anything"},
		{{.denied = 3}, "nothing can leave: no entry of the whitelist allows anything"},
		{{.all = true, .denies_all = true, .denied = 1},
		 "nothing can leave: the whitelist denies everything"},
		{{.addresses = 1}, "mail for 1 address can leave" BY_DEFAULT},
		{{.addresses = 3, .domains = 2},
		 "mail for 3 addresses and 2 domains can leave" BY_DEFAULT},
		{{.domains = 1, .subdomains = 1, .patterns = 1},
		 "mail for 1 domain, 1 domain's sub-domains and 1 pattern can leave" BY_DEFAULT},
		{{.addresses = 2, .domains = 2, .subdomains = 2, .patterns = 2},
		 "mail for 2 addresses, 2 domains, 2 domains' sub-domains and 2 patterns can "
		 "leave" BY_DEFAULT},
		{{.addresses = 2, .all = true},
		 "mail for EVERY plain address can leave" BY_DEFAULT},
		{{.all = true, .denied = 1},
		 "mail for EVERY plain address can leave, except what 1 deny entry "
		 "names" BY_DEFAULT},
		{{.domains = 1, .denied = 2},
		 "mail for 1 domain can leave, except what 2 deny entries name" BY_DEFAULT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(&(struct leaving){.extent = cases[i].extent,
					 .routes = &route,
					 .route_count = 1},
		       cases[i].want);
}
END_TEST

START_TEST(by_what_delivery_does)
{
	struct route_options route = route_of("default");
	struct leaving leaving = {.extent = {.addresses = 1}, .routes = &route, .route_count = 1};
	struct leaving none = leaving;

	leaving.paused = true;
	expect(&leaving, "nothing leaves while delivery is paused; then mail for 1 address can "
			 "leave" BY_DEFAULT);
	leaving.capture_only = true;
	expect(&leaving, "nothing can leave: delivery.capture_only is on");
	none.route_count = 0;
	expect(&none, "nothing can leave: there is no route");
}
END_TEST

START_TEST(rules_that_override_are_told)
{
	struct route_options route = route_of("default");
	struct leaving leaving = {.routes = &route, .route_count = 1, .rules = 1};

	expect(&leaving,
	       "only what rules allow can leave; 1 rule sends past the whitelist" BY_DEFAULT);
	leaving.rules = 2;
	leaving.extent.addresses = 1;
	expect(&leaving,
	       "mail for 1 address can leave; 2 rules send past the whitelist" BY_DEFAULT);
}
END_TEST

START_TEST(what_the_policy_hook_may_do)
{
	struct route_options route = route_of("default");
	struct policy_options policy = {.screening = true};
	struct leaving leaving = {.routes = &route, .route_count = 1, .policy = &policy};

	expect(&leaving, "nothing can leave: no entry of the whitelist allows anything");
	leaving.extent.addresses = 1;
	expect(&leaving,
	       "mail for 1 address can leave, as far as the policy hook allows it" BY_DEFAULT);
	policy.hook_overrides = true;
	policy.hook_routes = true;
	expect(&leaving, "mail for 1 address can leave; the policy hook may let more go past the "
			 "whitelist" BY_DEFAULT ", or to the next hop that the policy hook names");
	policy.hook_routes = false;
	leaving.extent.addresses = 0;
	expect(&leaving, "only what the policy hook allows can leave; the policy hook may let more "
			 "go past the whitelist" BY_DEFAULT);
	leaving.rules = 1;
	expect(&leaving,
	       "only what rules or the policy hook allow can leave; 1 rule sends past "
	       "the whitelist; the policy hook may let more go past the whitelist" BY_DEFAULT);
	leaving.rules = 0;
	leaving.extent.denies_all = true;
	expect(&leaving, "nothing can leave: the whitelist denies everything");
}
END_TEST

static bool is_b(void *ctx, const char *name)
{
	ck_assert_ptr_eq(ctx, any);
	return strcmp(name, "b") == 0;
}

START_TEST(by_which_route)
{
	struct route_options routes[4] = {route_of("a"), route_of("b"), route_of("c"),
					  route_of("d")};
	struct leaving leaving = {.extent = {.addresses = 1},
				  .routes = routes,
				  .route_count = 2,
				  .route_is_paused = is_b,
				  .ctx = (void *)(uintptr_t)any};

	routes[0].domains = two_domains;
	routes[0].domain_count = 2;
	routes[0].tls = ROUTE_TLS_NONE;
	routes[1].hosts = three_hosts;
	routes[1].host_count = 3;
	routes[1].tls = ROUTE_TLS_OPPORTUNISTIC;
	expect(&leaving, "mail for 1 address can leave, by route a for a.test and 1 more to "
			 "smtp.example.com:587 (no TLS) and route b to mx: and 2 more "
			 "(opportunistic TLS, paused)");
	routes[0] = route_of("a");
	routes[0].tls_verify = false;
	routes[1] = route_of("x");
	routes[1].tls = ROUTE_TLS_IMPLICIT;
	routes[2].tls = ROUTE_TLS_IMPLICIT;
	routes[2].tls_verify = false;
	leaving.route_count = 3;
	expect(&leaving, "mail for 1 address can leave, by route a to smtp.example.com:587 "
			 "(required TLS, not verified), route x to smtp.example.com:587 (implicit "
			 "TLS) and route c to smtp.example.com:587 (implicit TLS, not verified)");
	leaving.route_count = 4;
	expect(&leaving, "mail for 1 address can leave, by route a to smtp.example.com:587 "
			 "(required TLS, not verified), route x to smtp.example.com:587 (implicit "
			 "TLS) and 2 more routes");
}
END_TEST

UNIT_MAIN("relay/leaving", by_what_the_list_says, by_what_delivery_does,
	  rules_that_override_are_told, what_the_policy_hook_may_do, by_which_route)
