/* tests relay/config_read.c: what is in force, with and without a file */
#include <config.h> /* setenv */

#include "relay/config.h"

#include <stdlib.h>

#include "tests/unit/relay/loaded.h"
#include "tests/unit/unit.h"

START_TEST(defaults_are_those_of_the_interface)
{
	struct loaded loaded;
	const struct config *config;

	load(&loaded, NULL, NULL, 0);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	config = loaded.config;
	ck_assert_str_eq(config->data_dir, "/var/lib/stagepost");
	ck_assert_ptr_null(config->file);
	ck_assert_uint_eq(config->threads, 0);
	ck_assert_int_eq(config->log.format, LOG_TEXT);
	ck_assert_int_eq(config->log.level, LOG_INFO);
	ck_assert_uint_eq(config->listener_count, 1);
	ck_assert_str_eq(config->listeners[0].address, "127.0.0.1:2525");
	ck_assert_str_eq(config->listeners[0].scope, "");
	ck_assert_uint_eq(config->listeners[0].network_count, 5);
	ck_assert_str_eq(config->listeners[0].networks[1], "::1");
	ck_assert_int_eq(config->smtp.max_message_size, 50 << 20);
	ck_assert_uint_eq(config->smtp.max_recipients, 1000);
	ck_assert_uint_eq(config->smtp.max_connections, 2000);
	ck_assert_uint_eq(config->smtp.max_connections_per_client, 200);
	ck_assert_int_eq(config->smtp.command_timeout_ms, 300000);
	ck_assert_int_eq(config->smtp.data_min_rate, 512);
	ck_assert_int_eq(config->smtp.data_grace_ms, 30000);
	ck_assert_int_eq(config->smtp.memory_wait_ms, 30000);
	ck_assert_uint_eq(config->smtp.max_errors, 20);
	ck_assert_uint_eq(config->smtp.max_received, 50);
	ck_assert_int_eq(config->smtp.memory, 256 << 20);
	ck_assert_str_eq(config->smtp.hostname, config->hostname);
	ck_assert_int_eq(config->policy.default_verdict, VERDICT_DROP);
	ck_assert_ptr_eq(config->policy.control_headers, policy_control_headers);
	ck_assert_int_eq(config->policy.header_policy, HEADER_POLICY_DEFANG);
	ck_assert_str_eq(config->policy.subject_tag, "");
	ck_assert_uint_ge(config->policy.control_header_count, 2);
	ck_assert_str_eq(config->policy.bounce_to, "");
	ck_assert_str_eq(config->policy.redirect_to, "");
	ck_assert_uint_eq(config->delivery.schedule_count, 6);
	ck_assert_int_eq(config->delivery.schedule_ms[0], 60000);
	ck_assert_int_eq(config->delivery.schedule_ms[5], 7200000);
	ck_assert_int_eq(config->delivery.expire_after_ms, 172800000);
	ck_assert_uint_eq(config->delivery.workers, 8);
	ck_assert(!config->delivery.capture_only);
	ck_assert(config->delivery.bounces);
	ck_assert_int_eq(config->delivery.eight_bit, EIGHT_BIT_PASS);
	ck_assert_uint_eq(config->delivery.route_count, 0);
	ck_assert_ptr_eq(config->delivery.policy, &config->policy);
	ck_assert_str_eq(config->admin.listen, "127.0.0.1:8025");
	ck_assert_uint_eq(config->admin.host_count, 3);
	ck_assert_str_eq(config->admin.hosts[2], "[::1]");
	loaded_release(&loaded);
}
END_TEST

START_TEST(every_form_is_read)
{
	struct loaded loaded;
	const struct config *config;
	const struct route_options *routes;

	load(&loaded, full_config, NULL, 0);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	config = loaded.config;
	ck_assert_str_eq(config->file, loaded.path);
	ck_assert_str_eq(config->delivery.hostname, "relay.example.com");
	ck_assert_int_eq(config->log.format, LOG_JSON);
	ck_assert_int_eq(config->log.level, LOG_DEBUG);
	ck_assert_uint_eq(config->listener_count, 2);
	ck_assert_str_eq(config->listeners[0].address, "[::]:2525");
	ck_assert_str_eq(config->listeners[0].scope, "shop");
	ck_assert_uint_eq(config->listeners[0].network_count, 2);
	ck_assert_int_eq(config->listeners[0].greeting_delay_ms, 2000);
	ck_assert(config->listeners[0].proxy_protocol && !config->listeners[1].proxy_protocol);
	ck_assert(config->listeners[0].resolve_client && !config->listeners[1].resolve_client);
	ck_assert(config->listeners[0].xclient && !config->listeners[1].xclient);
	ck_assert_uint_eq(config->listeners[0].trusted_count, 2);
	ck_assert_str_eq(config->listeners[0].trusted[1], "fd00::/8");
	ck_assert_uint_eq(config->listeners[1].trusted_count, 0);
	ck_assert_uint_eq(config->listeners[1].network_count, 5);
	ck_assert_int_eq(config->listeners[0].protocol, LISTENER_SMTP);
	ck_assert_int_eq(config->listeners[1].protocol, LISTENER_LMTP);
	ck_assert_int_eq(config->smtp.max_message_size, 10485760);
	ck_assert_int_eq(config->smtp.command_timeout_ms, 90000);
	ck_assert_int_eq(config->smtp.fixups, SMTP_FIXUPS_MSA);
	ck_assert_int_eq(config->policy.default_verdict, VERDICT_REDIRECT);
	ck_assert_str_eq(config->policy.redirect_to, "QA@Example.COM");
	ck_assert_uint_eq(config->policy.control_header_count, 2);
	ck_assert_int_eq(config->policy.header_policy, HEADER_POLICY_STRIP);
	ck_assert_str_eq(config->policy.subject_tag, "[staging] ");
	ck_assert_int_eq(config->delivery.schedule_ms[0], 500);
	ck_assert_uint_eq(config->policy.sender_count, 2);
	ck_assert_str_eq(config->policy.senders[0].text, "ci@example.com");
	ck_assert(config->policy.senders[1].subdomains);
	ck_assert_str_eq(config->policy.bounce_to, "qa@example.com");
	ck_assert(config->delivery.capture_only);
	ck_assert(!config->delivery.bounces);
	ck_assert_int_eq(config->delivery.eight_bit, EIGHT_BIT_FAIL);
	routes = config->delivery.routes;
	ck_assert_uint_eq(config->delivery.route_count, 3);
	ck_assert(routes[0].tls_verify && !routes[2].tls_verify);
	ck_assert_str_eq(routes[0].tls_ca, "");
	ck_assert_uint_eq(routes[2].tls_pin_count, 1);
	ck_assert_str_eq(routes[2].tls_pins[0], "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	ck_assert_str_eq(routes[0].name, "default");
	ck_assert_str_eq(routes[0].domains[1], ".example.com");
	ck_assert_str_eq(routes[0].hosts[1], "[::1]:25");
	ck_assert_int_eq(routes[0].tls, ROUTE_TLS_OPPORTUNISTIC);
	ck_assert_str_eq(routes[2].domains[0], "*");
	ck_assert_int_eq(routes[1].tls, ROUTE_TLS_NONE);
	ck_assert_int_eq(routes[0].protocol, ROUTE_SMTP);
	ck_assert_int_eq(routes[1].protocol, ROUTE_LMTP);
	ck_assert_int_eq(routes[0].proxy_protocol, ROUTE_PROXY_OFF);
	ck_assert_int_eq(routes[1].proxy_protocol, ROUTE_PROXY_V2);
	ck_assert(!routes[0].xclient && routes[1].xclient);
	ck_assert_str_eq(routes[1].hosts[1], "unix:/run/lmtp");
	ck_assert_str_eq(routes[1].source_address, "127.0.0.1");
	ck_assert_int_eq(routes[1].final_reply_timeout_ms, 600000);
	ck_assert_str_eq(config->admin.listen, "");
	loaded_release(&loaded);
}
END_TEST

START_TEST(values_in_force_of_later_versions)
{
	static const char text[] = "policy: {hook: {url: \"\"}}\n"
				   "user: \"\"\n"
				   "listeners: [{address: \"127.0.0.1:0\", tls: none, auth: off}]\n"
				   "webhooks: []\n";
	struct loaded loaded;

	load(&loaded, text, NULL, 0);
	ck_assert_int_eq(loaded.code, ERR_OK);
	ck_assert_str_eq(notes_of(&loaded), "");
	loaded_release(&loaded);
}
END_TEST

START_TEST(ages_and_caps)
{
	struct loaded loaded;
	const struct retention_options *retention;

	load(&loaded, NULL, NULL, 0);
	ck_assert_int_eq(loaded.code, ERR_OK);
	retention = &loaded.config->retention;
	ck_assert_int_eq(retention->delivered_ms, 7 * INT64_C(86400000));
	ck_assert_int_eq(retention->dropped_ms, 7 * INT64_C(86400000));
	ck_assert_int_eq(retention->failed_ms, 30 * INT64_C(86400000));
	ck_assert_int_eq(retention->metadata_ms, 90 * INT64_C(86400000));
	ck_assert_int_eq(retention->max_bytes, INT64_C(10) << 30);
	ck_assert_uint_eq(retention->max_messages, 0);
	ck_assert_int_eq(retention->headroom_bytes, INT64_C(10) << 26);
	loaded_release(&loaded);
	load(&loaded,
	     "retention: {delivered: off, dropped: 1h, failed: 500ms, metadata: off,\n"
	     "  max_bytes: 0, max_messages: 1000}\n",
	     NULL, 0);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	retention = &loaded.config->retention;
	ck_assert_int_eq(retention->delivered_ms, 0);
	ck_assert_int_eq(retention->dropped_ms, 3600000);
	ck_assert_int_eq(retention->failed_ms, 500);
	ck_assert_int_eq(retention->metadata_ms, 0);
	ck_assert_int_eq(retention->max_bytes, 0);
	ck_assert_uint_eq(retention->max_messages, 1000);
	loaded_release(&loaded);
	/* Two of the largest messages find room while it is made. */
	load(&loaded, "smtp: {max_message_size: 10M}\nretention: {max_bytes: 64M}\n", NULL, 0);
	ck_assert_int_eq(loaded.code, ERR_OK);
	ck_assert_int_eq(loaded.config->retention.headroom_bytes, 20 << 20);
	loaded_release(&loaded);
}
END_TEST

/* Told and stored as the recipient that it becomes; and of no use when nothing is redirected. */
START_TEST(redirects)
{
	struct loaded loaded;

	load(&loaded, "policy: {default: redirect, redirect_to: qa@b\303\274cher.example}\n", NULL,
	     0);
	ck_assert_int_eq(loaded.code, ERR_OK);
	ck_assert_str_eq(loaded.config->policy.redirect_to, "qa@xn--bcher-kva.example");
	ck_assert_str_eq(notes_of(&loaded), "");
	loaded_release(&loaded);
	load(&loaded, "policy: {redirect_to: qa@example.com}\n", NULL, 0);
	ck_assert_int_eq(loaded.code, ERR_OK);
	ck_assert_str_eq(notes_of(&loaded), "1:23 warning policy.redirect_to: has no effect while "
					    "policy.default is not redirect\n");
	loaded_release(&loaded);
}
END_TEST

START_TEST(sections_without_a_value)
{
	struct loaded loaded;

	load(&loaded, "smtp:\n#  max_errors: 5\nroutes:\nlisteners:\nlog: ~\n", NULL, 0);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	ck_assert_uint_eq(loaded.config->smtp.max_errors, 20);
	ck_assert_uint_eq(loaded.config->listener_count, 1);
	loaded_release(&loaded);
}
END_TEST

START_TEST(environment)
{
	struct loaded loaded;

	setenv("SP_HOST", "env.example.com", 1);
	setenv("SP_EMPTY", "", 1);
	setenv("SP_ERRORS", "7", 1);
	load(&loaded,
	     "hostname: ${SP_HOST}\n"
	     "data_dir: /x/${SP_NONE:-def}${SP_EMPTY:-ault}$${Y}$$z$\n"
	     "smtp: {max_errors: \"${SP_ERRORS}\", max_received: \"${SP_NONE:-9}\"}\n"
	     "listeners: [{address: \"127.0.0.1:0\", scope: \"${SP_EMPTY}\"}]\n",
	     NULL, 0);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	ck_assert_str_eq(loaded.config->hostname, "env.example.com");
	ck_assert_str_eq(loaded.config->data_dir, "/x/default${Y}$$z$");
	ck_assert_uint_eq(loaded.config->smtp.max_errors, 7);
	ck_assert_uint_eq(loaded.config->smtp.max_received, 9);
	ck_assert_str_eq(loaded.config->listeners[0].scope, "");
	loaded_release(&loaded);
}
END_TEST

START_TEST(fault_rules)
{
	struct loaded loaded;
	const struct fault *faults;

	load(&loaded,
	     "faults:\n  - {name: slow, action: delay, stage: end, delay: 1500ms, after: 2,"
	     " every: 3, times: 4}\n  - {name: off, action: defer, attempts: 5, enabled: false,"
	     " recipient: \"qa-*@example.com\", user: ci}\n",
	     NULL, 0);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	faults = loaded.config->faults;
	ck_assert_uint_eq(loaded.config->fault_count, 2);
	ck_assert_str_eq(faults[0].name, "slow");
	ck_assert(faults[0].enabled);
	ck_assert_int_eq(faults[0].action, FAULT_DELAY);
	ck_assert_int_eq(faults[0].stage, FAULT_AT_END);
	ck_assert_int_eq(faults[0].delay_ms, 1500);
	ck_assert_uint_eq(faults[0].skip, 2);
	ck_assert_uint_eq(faults[0].every, 3);
	ck_assert_uint_eq(faults[0].times, 4);
	ck_assert_str_eq(faults[0].recipient, "");
	ck_assert(!faults[1].enabled);
	ck_assert_int_eq(faults[1].action, FAULT_DEFER);
	ck_assert_int_eq(faults[1].stage, FAULT_AT_RCPT);
	ck_assert_uint_eq(faults[1].attempts, 5);
	ck_assert_str_eq(faults[1].recipient, "qa-*@example.com");
	ck_assert_str_eq(faults[1].user, "ci");
	loaded_release(&loaded);
}
END_TEST

START_TEST(rules_on_messages)
{
	struct loaded loaded;
	const struct rule *rules;

	load(&loaded,
	     "rules:\n  - {name: a, action: hold, user: \"app-*\", min_size: 1K, max_size: 2M,"
	     " headers: [{name: X, match: exact, value: y}, {name: Z, match: present}]}\n"
	     "  - {name: b, action: deliver, overrides_whitelist: true, enabled: false}\n",
	     NULL, 0);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	rules = loaded.config->rules;
	ck_assert_uint_eq(loaded.config->rule_count, 2);
	ck_assert_int_eq(rules[0].action, RULE_HOLD);
	ck_assert(rules[0].enabled);
	ck_assert_str_eq(rules[0].user, "app-*");
	ck_assert_int_eq(rules[0].min_size, 1024);
	ck_assert_int_eq(rules[0].max_size, 2 * 1024 * 1024);
	ck_assert_uint_eq(rules[0].header_count, 2);
	ck_assert_int_eq(rules[0].headers[0].match, RULE_EXACT);
	ck_assert_str_eq(rules[0].headers[0].value, "y");
	ck_assert_int_eq(rules[0].headers[1].match, RULE_PRESENT);
	ck_assert_str_eq(rules[0].headers[1].value, "");
	ck_assert_int_eq(rules[1].action, RULE_DELIVER);
	ck_assert(rules[1].overrides_whitelist);
	ck_assert(!rules[1].enabled);
	ck_assert_uint_eq(rules[1].header_count, 0);
	loaded_release(&loaded);
}
END_TEST

UNIT_MAIN("relay/config_read", defaults_are_those_of_the_interface, every_form_is_read,
	  values_in_force_of_later_versions, ages_and_caps, redirects, sections_without_a_value,
	  environment, fault_rules, rules_on_messages)
