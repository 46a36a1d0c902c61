/* relay/config_login.c - logins at next hops: what goes together, and the secrets that stay */
#include "relay/config_read.h"

#include <stdint.h>

#include "base/mem.h"
#include "relay/config.h"
#include "relay/config_print.h"
#include "relay/deliver/keyring.h"
#include "relay/deliver/route.h"
#include "relay/wire/sasl.h"
#include "relay/wire/sasl_client.h"

#define ONE_OF "password, password_file, token, token_file or token_command"

/* One route, and where it stands. */
struct place {
	struct config_reader *reader;
	const struct document_node *node;
	const char *path;
	struct route_options *route;
};

static void add_note(const struct place *at, bool warning, const char *key, const char *sentence)
{
	const struct document_node *node = document_find(at->node, span_of(key));

	config_report_add(at->reader->report, warning, node != NULL ? node : at->node,
			  arena_printf(at->reader->scratch, "%s.%s", at->path, key), "%s",
			  sentence);
}

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* The forms of the secret that are given; NULL ends them. */
static size_t list_given(const struct route_options *route, const char *names_out[6])
{
	const struct {
		const char *name, *value;
	} all[] = {{"password", route->password},
		   {"password_file", route->password_file},
		   {"token", route->token},
		   {"token_file", route->token_file},
		   {"token_command", route->token_command}};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (is_given(all[i].value))
			names_out[count++] = all[i].name;
	names_out[count] = NULL;
	return count;
}

static void check_nobody(const struct place *at)
{
	const char *given[6];
	size_t count = list_given(at->route, given);

	for (size_t i = 0; i < count; i++)
		add_note(at, false, given[i], "needs username");
	if (at->route->auth != ROUTE_AUTH_AUTO)
		add_note(at, true, "auth", "has no effect without username");
	if (at->route->auth_without_tls)
		add_note(at, true, "auth_without_tls", "has no effect without username");
}

static void check_forms(const struct place *at)
{
	const char *given[6];
	size_t count = list_given(at->route, given);

	if (count == 0)
		add_note(at, false, "username", "needs " ONE_OF);
	for (size_t i = 1; i < count; i++)
		add_note(at, false, given[i], "there can be only one of " ONE_OF);
	if (count == 0)
		return;
	if (key_is_token(at->route) && at->route->auth != ROUTE_AUTH_AUTO &&
	    at->route->auth != ROUTE_AUTH_XOAUTH2)
		add_note(at, false, "auth", "a token is for xoauth2");
	else if (!key_is_token(at->route) && at->route->auth == ROUTE_AUTH_XOAUTH2)
		add_note(at, false, "auth", "xoauth2 needs token, token_file or token_command");
}

static void check_tls(const struct place *at)
{
	if (at->route->auth_without_tls)
		return;
	if (at->route->tls == ROUTE_TLS_NONE)
		add_note(at, false, "username",
			 "no login is possible: credentials are sent inside TLS only, and this "
			 "route has none (or set auth_without_tls: true)");
	else if (at->route->tls == ROUTE_TLS_OPPORTUNISTIC)
		add_note(at, true, "tls",
			 "credentials are sent inside TLS only, but to whoever answers, with any "
			 "certificate; where TLS fails mail waits");
}

/* Whoever has a recipient's domain would only have to ask for them. */
static void check_hosts(const struct place *at)
{
	char port[ROUTE_PORT_SIZE];

	for (size_t i = 0; at->route->tls_pin_count == 0 && i < at->route->host_count; i++) {
		if (!route_host_is_mx(at->route->hosts[i], port))
			continue;
		add_note(at, false, "username",
			 "would be given, with the password, to every host that the DNS names for "
			 "a recipient's domain (mx:)");
		return;
	}
}

/* It stays until the configuration is read again. */
static void read_password_file(const struct place *at)
{
	struct buf secret;
	struct err why;
	int code;

	buf_init(&secret, SASL_SECRET_MAX);
	code = key_read_file(at->route->password_file, &secret, &why);
	if (code == ERR_OK)
		code = key_check(buf_span(&secret), false, &why);
	if (code == ERR_OK)
		at->route->secret = arena_span_dup(at->reader->arena, buf_span(&secret));
	else
		add_note(at, false, "password_file", why.text);
	buf_wipe(&secret);
}

/* Who writes it may still be about to; but one that everybody reads is used by nobody. */
static void check_token_file(const struct place *at)
{
	struct buf secret;
	struct err why;
	int code;

	buf_init(&secret, SASL_SECRET_MAX);
	code = key_read_file(at->route->token_file, &secret, &why);
	if (code != ERR_OK)
		add_note(at, code != ERR_DENIED, "token_file", why.text);
	buf_wipe(&secret);
}

static void check_secret(const struct place *at)
{
	struct route_options *route = at->route;
	bool is_token = is_given(route->token);
	struct err why;

	if (is_given(route->password_file)) {
		read_password_file(at);
	} else if (is_given(route->token_file)) {
		check_token_file(at);
	} else if (is_given(route->password) || is_token) {
		route->secret = is_token ? route->token : route->password;
		if (span_is(span_of(route->secret), CONFIG_HIDDEN))
			add_note(at, false, is_token ? "token" : "password",
				 CONFIG_HIDDEN " is what is shown in place of a secret, not a "
					       "secret");
		if (key_check(span_of(route->secret), is_token, &why) != ERR_OK)
			add_note(at, false, is_token ? "token" : "password", why.text);
	}
}

static void check_login(const struct place *at)
{
	if (!is_given(at->route->username)) {
		check_nobody(at);
		return;
	}
	if (!sasl_is_name(span_of(at->route->username)))
		add_note(at, false, "username",
			 "a user's name has 1 to 255 octets of UTF-8 and no control characters");
	check_forms(at);
	check_tls(at);
	check_hosts(at);
	check_secret(at);
}

void config_read_logins(struct config_reader *reader, struct config *config,
			const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("routes"));
	/* Still ours: nobody else has this version yet. */
	struct route_options *routes = (struct route_options *)(uintptr_t)config->delivery.routes;

	for (size_t i = 0; i < config->delivery.route_count; i++) {
		struct place at = {reader, document_item(list, i),
				   arena_printf(reader->scratch, "routes.%zu", i), &routes[i]};

		if (at.node != NULL)
			check_login(&at);
	}
}
