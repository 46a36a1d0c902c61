/* relay/config_key.c - every key of the configuration: its name, form, default and place */
#include "relay/config_key.h"

#include <assert.h>

#include "relay/config.h"

#define MINUTE ((int64_t)60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define GIB    ((int64_t)1 << 30)

static_assert(sizeof(enum log_format) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum verdict_kind) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum header_policy) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum listener_auth) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum route_auth) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum route_balance) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum route_tls) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum eight_bit) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum route_proxy) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum route_protocol) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum hook_dialect) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum hook_on_error) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum hook_commands) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum fault_action) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum fault_stage) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum rule_action) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum rule_match) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum listener_tls) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum listener_tls_client) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum smtp_fixups) == sizeof(int), "choices are stored as int");
static_assert(sizeof(enum listener_protocol) == sizeof(int), "choices are stored as int");

/* clang-format off */
#define AT(member) .offset = offsetof(struct config, member)
#define LIST(member, counter) \
	.offset = offsetof(struct config, member), .count_offset = offsetof(struct config, counter)
#define L_AT(member) .offset = offsetof(struct listener_options, member)
#define C_AT(member) .offset = offsetof(struct certificate_files, member)
#define S_AT(member) .offset = offsetof(struct tls_client_scope, member)
#define R_AT(member) .offset = offsetof(struct route_options, member)
#define H_AT(member) .offset = offsetof(struct hook_header, member)
#define F_AT(member) .offset = offsetof(struct fault, member)
#define U_AT(member) .offset = offsetof(struct rule, member)
#define E_AT(member) .offset = offsetof(struct rule_header, member)

#define W_AT(member) .offset = offsetof(struct webhook_options, member)

#define TEXT(n, value, ...)   {.name = (n), .type = CONFIG_TEXT, .fallback = (value), __VA_ARGS__}
#define COUNT(n, value, ...)  {.name = (n), .type = CONFIG_COUNT, .fallback = (value), __VA_ARGS__}
#define SIZE(n, value, ...)   {.name = (n), .type = CONFIG_SIZE, .fallback = (value), __VA_ARGS__}
#define DECIMAL(n, value, ...) {.name = (n), .type = CONFIG_DECIMAL, .fallback = (value), __VA_ARGS__}
#define TIME(n, value, ...)   {.name = (n), .type = CONFIG_TIME, .fallback = (value), __VA_ARGS__}
#define BOOL(n, value, ...)   {.name = (n), .type = CONFIG_BOOL, .fallback = (value), __VA_ARGS__}
#define CHOICE(n, value, ...) {.name = (n), .type = CONFIG_CHOICE, .fallback = (value), __VA_ARGS__}
#define TEXTS(n, value, ...)  {.name = (n), .type = CONFIG_TEXTS, .fallback = (value), __VA_ARGS__}
#define SECTION(n, table)     {.name = (n), .type = CONFIG_SECTION, .keys = (table)}
#define LATER(n, off)         {.name = (n), .type = CONFIG_LATER, .fallback = (off)}
#define END                   {.name = NULL}

static const char *const log_formats[] = {"text", "json", NULL};
static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
/* From VERDICT_DROP on. */
static const char *const verdicts[] = {"drop", "hold", "redirect", "reject", NULL};
/* As enum header_policy. */
static const char *const header_policies[] = {"defang", "keep", "strip", NULL};
/* From FAULT_REJECT and from FAULT_AT_MAIL on. */
static const char *const fault_actions[] = {"reject", "delay", "disconnect", "bounce", "defer",
					    NULL};
static const char *const fault_stages[] = {"mail", "rcpt", "data", "end", NULL};
/* As the enums of relay/hook/hook.h. */
static const char *const hook_dialects[] = {"json", "nginx", NULL};
static const char *const hook_on_errors[] = {"retry", "hold", "drop", NULL};
static const char *const hook_commands[] = {"raw", "canonical", NULL};
/* From RULE_DELIVER and from RULE_PRESENT on. */
static const char *const rule_actions[] = {"deliver", "drop", "hold", "redirect", "tag", NULL};
static const char *const rule_matches[] = {"present", "absent", "exact", "glob", NULL};
/* As enum listener_auth. */
static const char *const listener_auth_modes[] = {"off", "optional", "required", "any", NULL};
static const char *const listener_tls_modes[] = {"none", "starttls", "implicit", NULL};
static const char *const listener_tls_client_modes[] = {"off", "optional", "required", NULL};
static const char *const fixups[] = {"none", "msa", NULL};
static const char *const protocols[] = {"smtp", "lmtp", NULL};
/* As enum route_auth. */
static const char *const route_auth_modes[] = {"auto", "plain", "login", "cram-md5",
					       "scram-sha-256", "xoauth2", NULL};
static const char *const route_balances[] = {"failover", "round-robin", NULL};
static const char *const eight_bit_modes[] = {"pass", "fail", NULL};
static const char *const route_proxy_modes[] = {"off", "v1", "v2", NULL};
static const char *const route_tls_modes[] = {"none", "opportunistic", "required", "implicit", NULL};

static const struct config_key log_keys[] = {
	CHOICE("format", "text", AT(log.format), .choices = log_formats),
	CHOICE("level", "info", AT(log.level), .choices = log_levels),
	END
};

static const struct config_key certificate_keys[] = {
	TEXT("certificate", NULL, C_AT(certificate), .required = true,
	     .check = config_check_not_empty),
	TEXT("key", "\"\"", C_AT(key)),
	END
};

static const struct config_key client_scope_keys[] = {
	TEXT("client", NULL, S_AT(client), .required = true, .unique = true,
	     .check = config_check_tls_client),
	TEXT("scope", NULL, S_AT(scope), .required = true, .check = config_check_name),
	END
};

static const struct config_key listener_keys[] = {
	TEXT("address", NULL, L_AT(address), .required = true, .restart = true,
	     .unique = true, .check = config_check_listen),
	CHOICE("tls", "none", L_AT(tls), .choices = listener_tls_modes),
	TEXT("tls_certificate", "\"\"", L_AT(tls_certificate)),
	TEXT("tls_key", "\"\"", L_AT(tls_key)),
	{.name = "certificates", .type = CONFIG_ITEMS, .fallback = "[]", L_AT(certificates),
	 .count_offset = offsetof(struct listener_options, certificate_count), .range = {0, 1000},
	 .keys = certificate_keys, .item_size = sizeof(struct certificate_files)},
	TEXT("tls_client_ca", "\"\"", L_AT(tls_client_ca)),
	CHOICE("tls_client", "off", L_AT(tls_client), .choices = listener_tls_client_modes),
	{.name = "tls_client_scopes", .type = CONFIG_ITEMS, .fallback = "[]",
	 L_AT(tls_client_scopes),
	 .count_offset = offsetof(struct listener_options, tls_client_scope_count),
	 .range = {0, 10000}, .keys = client_scope_keys,
	 .item_size = sizeof(struct tls_client_scope)},
	CHOICE("auth", "off", L_AT(auth), .choices = listener_auth_modes),
	BOOL("auth_without_tls", "false", L_AT(auth_without_tls)),
	BOOL("proxy_protocol", "false", L_AT(proxy_protocol)),
	BOOL("xclient", "false", L_AT(xclient)),
	TEXTS("trusted", "[]", L_AT(trusted),
	      .count_offset = offsetof(struct listener_options, trusted_count),
	      .range = {0, 1000}, .check = config_check_network),
	TEXTS("networks",
	      "[127.0.0.0/8, \"::1\", 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]",
	      L_AT(networks), .count_offset = offsetof(struct listener_options, network_count),
	      .range = {1, 1000}, .check = config_check_network),
	CHOICE("protocol", "smtp", L_AT(protocol), .choices = protocols),
	TIME("greeting_delay", "0s", L_AT(greeting_delay_ms), .range = {0, MINUTE}),
	BOOL("resolve_client", "false", L_AT(resolve_client)),
	TEXT("scope", "\"\"", L_AT(scope), .check = config_check_scope),
	END
};

static const struct config_key smtp_keys[] = {
	SIZE("max_message_size", "50M", AT(smtp.max_message_size), .range = {1024, 2 * GIB}),
	/* The store has 65,536 places for those of a message (queue/writer.h); some for redirects. */
	COUNT("max_recipients", "1000", AT(smtp.max_recipients), .range = {1, 65000}),
	COUNT("max_connections", "2000", AT(smtp.max_connections), .range = {1, 1000000}),
	COUNT("max_connections_per_client", "200", AT(smtp.max_connections_per_client),
	      .range = {1, 1000000}),
	TIME("command_timeout", "5m", AT(smtp.command_timeout_ms), .range = {1000, HOUR}),
	SIZE("data_min_rate", "512", AT(smtp.data_min_rate), .range = {0, GIB}),
	COUNT("max_errors", "20", AT(smtp.max_errors), .range = {1, 1000000}),
	COUNT("max_received", "50", AT(smtp.max_received), .range = {1, 1000}),
	CHOICE("fixups", "none", AT(smtp.fixups), .choices = fixups),
	SIZE("memory", "256M", AT(smtp.memory), .range = {1 << 20, 1024 * GIB}),
	END
};

static const struct config_key users_keys[] = {
	TEXT("file", "/etc/stagepost/users", AT(users_file), .check = config_check_not_empty),
	END
};

/* The name stands in front of the colon; the value is often a secret. */
static const struct config_key hook_header_keys[] = {
	TEXT("name", NULL, H_AT(name), .check = config_check_hook_header),
	TEXT("value", NULL, H_AT(value), .secret = true, .check = config_check_hook_value),
	END
};

static const struct config_key hook_keys[] = {
	TEXT("url", "\"\"", AT(hook.url), .check = config_check_hook_url),
	CHOICE("dialect", "json", AT(hook.dialect), .choices = hook_dialects),
	TIME("timeout", "5s", AT(hook.timeout_ms), .range = {100, 10 * MINUTE}),
	TIME("cache", "0s", AT(hook.cache_ms), .range = {0, DAY}),
	COUNT("concurrency", "8", AT(hook.concurrency), .range = {1, 256}),
	BOOL("allow_route", "false", AT(hook.allow_route)),
	BOOL("overrides_whitelist", "false", AT(hook.overrides_whitelist)),
	BOOL("pass_client_certificate", "false", AT(hook.pass_client_certificate)),
	CHOICE("commands", "raw", AT(hook.commands), .choices = hook_commands),
	{.name = "headers", .type = CONFIG_MAP, .fallback = "{}",
	 LIST(hook.headers, hook.header_count), .range = {0, 20},
	 .keys = hook_header_keys, .item_size = sizeof(struct hook_header)},
	TEXTS("auth", "[]", LIST(hook.auth, hook.auth_count), .range = {0, 4},
	      .check = config_check_hook_auth),
	CHOICE("on_error", "retry", AT(hook.on_error), .choices = hook_on_errors),
	END
};

static const struct config_key breaker_keys[] = {
	COUNT("recipients_per_minute", "0", AT(delivery.breaker.per_minute),
	      .range = {0, 1000000000}),
	COUNT("recipients_per_day", "0", AT(delivery.breaker.per_day), .range = {0, 1000000000}),
	END
};

static const struct config_key policy_keys[] = {
	CHOICE("default", "drop", AT(policy.default_verdict), .choices = verdicts,
	       .first_choice = VERDICT_DROP),
	TEXT("redirect_to", "\"\"", AT(policy.redirect_to),
	     .check = config_check_mailbox_or_empty),
	CHOICE("header_policy", "defang", AT(policy.header_policy), .choices = header_policies),
	TEXTS("control_headers", NULL, LIST(policy.control_headers, policy.control_header_count),
	      .range = {0, 1000}, .check = config_check_header_name),
	TEXT("subject_tag", "\"\"", AT(policy.subject_tag), .check = config_check_subject_tag),
	SECTION("hook", hook_keys),
	SECTION("breaker", breaker_keys),
	END
};

static const struct config_key delivery_keys[] = {
	{.name = "schedule", .type = CONFIG_TIMES, .fallback = "[1m, 5m, 15m, 30m, 1h, 2h]",
	 LIST(delivery.schedule_ms, delivery.schedule_count), .range = {1, 100},
	 .each = {10, 7 * DAY}},
	TIME("expire_after", "2d", AT(delivery.expire_after_ms), .range = {1000, 365 * DAY}),
	COUNT("workers", "8", AT(delivery.workers), .range = {1, 256}),
	BOOL("bounces", "true", AT(delivery.bounces)),
	CHOICE("eight_bit", "pass", AT(delivery.eight_bit), .choices = eight_bit_modes),
	{.name = "senders", .type = CONFIG_PATTERNS, .fallback = "[]",
	 LIST(policy.senders, policy.sender_count), .range = {0, 10000}},
	TEXT("bounce_to", "\"\"", AT(policy.bounce_to), .check = config_check_mailbox_or_empty),
	BOOL("capture_only", "false", AT(delivery.capture_only)),
	TEXTS("dns", "[]", LIST(delivery.dns.addresses, delivery.dns.count),
	      .range = {0, DNS_SERVERS_MAX}, .check = config_check_dns),
	END
};

static const struct config_key route_keys[] = {
	TEXT("name", "default", R_AT(name), .unique = true, .check = config_check_name),
	TEXTS("domains", "[\"*\"]", R_AT(domains),
	      .count_offset = offsetof(struct route_options, domain_count), .range = {1, 10000},
	      .check = config_check_route_domain),
	TEXTS("hosts", NULL, R_AT(hosts),
	      .count_offset = offsetof(struct route_options, host_count), .range = {1, 100},
	      .required = true, .check = config_check_next_hop),
	CHOICE("balance", "failover", R_AT(balance), .choices = route_balances),
	CHOICE("tls", "required", R_AT(tls), .choices = route_tls_modes),
	BOOL("tls_verify", "true", R_AT(tls_verify)),
	TEXT("tls_ca", "\"\"", R_AT(tls_ca)),
	TEXT("tls_crl", "\"\"", R_AT(tls_crl)),
	TEXTS("tls_pin", "[]", R_AT(tls_pins),
	      .count_offset = offsetof(struct route_options, tls_pin_count), .range = {0, 100},
	      .check = config_check_pin),
	TEXT("tls_certificate", "\"\"", R_AT(tls_certificate)),
	TEXT("tls_key", "\"\"", R_AT(tls_key)),
	TEXT("username", "\"\"", R_AT(username)),
	TEXT("password", "\"\"", R_AT(password), .secret = true),
	TEXT("password_file", "\"\"", R_AT(password_file)),
	TEXT("token", "\"\"", R_AT(token), .secret = true),
	TEXT("token_file", "\"\"", R_AT(token_file)),
	TEXT("token_command", "\"\"", R_AT(token_command)),
	CHOICE("auth", "auto", R_AT(auth), .choices = route_auth_modes),
	BOOL("auth_without_tls", "false", R_AT(auth_without_tls)),
	CHOICE("proxy_protocol", "off", R_AT(proxy_protocol), .choices = route_proxy_modes),
	BOOL("xclient", "false", R_AT(xclient)),
	TEXT("source_address", "\"\"", R_AT(source_address), .check = config_check_address_or_empty),
	COUNT("max_connections", "4", R_AT(max_connections), .range = {1, 1000}),
	DECIMAL("rate", "0", R_AT(rate_thousandths), .range = {0, 1000000000}),
	TIME("connect_timeout", "30s", R_AT(connect_timeout_ms), .range = {100, HOUR}),
	TIME("command_timeout", "5m", R_AT(command_timeout_ms), .range = {100, HOUR}),
	SIZE("data_min_rate", "512", R_AT(data_min_rate), .range = {0, GIB}),
	TIME("final_reply_timeout", "10m", R_AT(final_reply_timeout_ms), .range = {100, HOUR}),
	CHOICE("protocol", "smtp", R_AT(protocol), .choices = protocols),
	END
};

/* What goes together, here and in rule_keys, is checked by config_rows.c. */
static const struct config_key fault_keys[] = {
	TEXT("name", NULL, F_AT(name), .required = true, .unique = true, .check = config_check_name),
	BOOL("enabled", "true", F_AT(enabled)),
	CHOICE("action", NULL, F_AT(action), .required = true, .choices = fault_actions,
	       .first_choice = FAULT_REJECT),
	CHOICE("stage", "rcpt", F_AT(stage), .choices = fault_stages, .first_choice = FAULT_AT_MAIL),
	TEXT("recipient", "\"\"", F_AT(recipient)),
	TEXT("sender", "\"\"", F_AT(sender)),
	TEXT("user", "\"\"", F_AT(user)),
	TEXT("scope", "\"\"", F_AT(scope), .check = config_check_scope),
	COUNT("code", "0", F_AT(code), .range = {0, 599}),
	TEXT("enhanced", "\"\"", F_AT(enhanced)),
	TEXT("text", "\"\"", F_AT(reply)),
	TIME("delay", "0s", F_AT(delay_ms), .range = {0, 10 * MINUTE}),
	COUNT("attempts", "1", F_AT(attempts), .range = {1, 1000}),
	COUNT("after", "0", F_AT(skip), .range = {0, 1000000000}),
	COUNT("every", "1", F_AT(every), .range = {1, 1000000000}),
	COUNT("times", "0", F_AT(times), .range = {0, 1000000000}),
	TEXT("note", "\"\"", F_AT(note)),
	END
};

static const struct config_key rule_header_keys[] = {
	TEXT("name", NULL, E_AT(name), .required = true),
	CHOICE("match", NULL, E_AT(match), .required = true, .choices = rule_matches,
	       .first_choice = RULE_PRESENT),
	TEXT("value", "\"\"", E_AT(value)),
	END
};

static const struct config_key rule_keys[] = {
	TEXT("name", NULL, U_AT(name), .required = true, .unique = true, .check = config_check_name),
	BOOL("enabled", "true", U_AT(enabled)),
	CHOICE("action", NULL, U_AT(action), .required = true, .choices = rule_actions,
	       .first_choice = RULE_DELIVER),
	TEXT("redirect_to", "\"\"", U_AT(redirect_to)),
	TEXT("tag", "\"\"", U_AT(tag)),
	BOOL("overrides_whitelist", "false", U_AT(overrides_whitelist)),
	TEXT("sender", "\"\"", U_AT(sender)),
	TEXT("recipient", "\"\"", U_AT(recipient)),
	TEXT("client", "\"\"", U_AT(client)),
	TEXT("user", "\"\"", U_AT(user)),
	TEXT("listener", "\"\"", U_AT(listener)),
	TEXT("scope", "\"\"", U_AT(scope), .check = config_check_scope),
	SIZE("min_size", "0", U_AT(min_size), .range = {0, 1024 * GIB}),
	SIZE("max_size", "0", U_AT(max_size), .range = {0, 1024 * GIB}),
	{.name = "headers", .type = CONFIG_ITEMS, .fallback = "[]", U_AT(headers),
	 .count_offset = offsetof(struct rule, header_count), .range = {0, RULE_HEADERS_MAX},
	 .keys = rule_header_keys, .item_size = sizeof(struct rule_header)},
	TEXT("note", "\"\"", U_AT(note)),
	END
};

#define AGE(n, value, ...) TIME(n, value, .never = "off", .range = {100, 36500 * DAY}, __VA_ARGS__)

static const struct config_key retention_keys[] = {
	AGE("delivered", "7d", AT(retention.delivered_ms)),
	AGE("dropped", "7d", AT(retention.dropped_ms)),
	AGE("failed", "30d", AT(retention.failed_ms)),
	AGE("metadata", "90d", AT(retention.metadata_ms)),
	SIZE("max_bytes", "10G", AT(retention.max_bytes), .range = {0, 1048576 * GIB}),
	COUNT("max_messages", "0", AT(retention.max_messages), .range = {0, 1000000000000}),
	END
};

static const struct config_key admin_keys[] = {
	TEXT("listen", "127.0.0.1:8025", AT(admin.listen), .restart = true,
	     .check = config_check_tcp_or_empty),
	TEXT("tls_certificate", "\"\"", AT(admin.tls_certificate)),
	TEXT("tls_key", "\"\"", AT(admin.tls_key)),
	TIME("session_idle", "8h", AT(admin.session.idle_ms), .range = {MINUTE, 30 * DAY}),
	TIME("session_total", "24h", AT(admin.session.total_ms), .range = {MINUTE, 365 * DAY}),
	TEXTS("hosts", "[localhost, 127.0.0.1, \"[::1]\"]", LIST(admin.hosts, admin.host_count),
	      .range = {1, 100}, .restart = true, .check = config_check_http_host),
	COUNT("max_streams", "512", AT(admin.max_streams), .restart = true, .range = {0, 10000}),
	TIME("stream_comment", "15s", AT(admin.stream_comment_ms), .restart = true,
	     .range = {100, HOUR}),
	COUNT("max_waits", "64", AT(admin.max_waits), .restart = true, .range = {0, 10000}),
	END
};

/* The URL often holds what lets anybody in (Slack's, Teams'). */
static const struct config_key webhook_keys[] = {
	TEXT("name", "default", W_AT(name), .unique = true, .check = config_check_name),
	TEXT("url", NULL, W_AT(url), .required = true, .secret = true,
	     .check = config_check_webhook_url),
	TEXT("secret", "\"\"", W_AT(secret), .secret = true),
	TEXT("secret_file", "\"\"", W_AT(secret_file)),
	TEXTS("events", NULL, W_AT(event_names),
	      .count_offset = offsetof(struct webhook_options, event_count),
	      .range = {1, WEBHOOK_EVENTS}, .required = true, .check = config_check_webhook_event),
	TEXT("scope", "\"\"", W_AT(scope), .check = config_check_scope),
	TEXT("tls_ca", "\"\"", W_AT(tls_ca)),
	TIME("timeout", "10s", W_AT(timeout_ms), .range = {100, 5 * MINUTE}),
	COUNT("concurrency", "4", W_AT(concurrency), .range = {1, 64}),
	{.name = "schedule", .type = CONFIG_TIMES,
	 .fallback = "[5s, 30s, 2m, 10m, 30m, 1h, 3h, 6h]", W_AT(schedule_ms),
	 .count_offset = offsetof(struct webhook_options, schedule_count), .range = {1, 100},
	 .each = {10, 7 * DAY}},
	COUNT("max_waiting", "100000", W_AT(max_waiting), .range = {1, 10000000}),
	COUNT("max_dead_letters", "1000", W_AT(max_dead), .range = {1, 100000}),
	END
};

const struct config_key config_keys[] = {
	/* Without a value: the machine's name, by config.c. */
	TEXT("hostname", NULL, AT(hostname), .check = config_check_hostname),
	TEXT("data_dir", "/var/lib/stagepost", AT(data_dir), .restart = true,
	     .check = config_check_not_empty),
	SECTION("log", log_keys),
	LATER("user", "\"\""),
	COUNT("threads", "0", AT(threads), .restart = true, .range = {0, CONFIG_MAX_THREADS}),
	{.name = "listeners", .type = CONFIG_ITEMS, .fallback = "[{address: \"127.0.0.1:2525\"}]",
	 LIST(listeners, listener_count), .range = {1, 64}, .restart = true,
	 .keys = listener_keys, .item_size = sizeof(struct listener_options)},
	SECTION("smtp", smtp_keys),
	SECTION("users", users_keys),
	SECTION("policy", policy_keys),
	SECTION("delivery", delivery_keys),
	{.name = "routes", .type = CONFIG_ITEMS, .fallback = "[]",
	 LIST(delivery.routes, delivery.route_count), .range = {0, 1000},
	 .keys = route_keys, .item_size = sizeof(struct route_options)},
	{.name = "faults", .type = CONFIG_ITEMS, .fallback = "[]",
	 LIST(faults, fault_count), .range = {0, FAULT_ROWS_MAX},
	 .keys = fault_keys, .item_size = sizeof(struct fault)},
	{.name = "rules", .type = CONFIG_ITEMS, .fallback = "[]",
	 LIST(rules, rule_count), .range = {0, RULE_ROWS_MAX},
	 .keys = rule_keys, .item_size = sizeof(struct rule)},
	SECTION("retention", retention_keys),
	SECTION("admin", admin_keys),
	{.name = "webhooks", .type = CONFIG_ITEMS, .fallback = "[]",
	 LIST(webhooks.items, webhooks.count), .range = {0, WEBHOOK_TARGETS_MAX},
	 .keys = webhook_keys, .item_size = sizeof(struct webhook_options)},
	END
};
/* clang-format on */

const struct config_key *config_key_find(const struct config_key *keys, struct span name)
{
	for (; keys->name != NULL; keys++)
		if (span_is(name, keys->name))
			return keys;
	return NULL;
}
