/* tests relay/config*.c */
#include <config.h> /* mkstemp, setenv, open_memstream */

#include "relay/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "relay/config_key.h"
#include "relay/config_value.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct loaded {
	char path[64];
	struct config *config;
	struct config_report report;
	int code;
	struct buf notes; /* "3:5 warning key: sentence", one a line; no file name */
};

static void write_file(char path[64], const char *text)
{
	int fd;

	snprintf(path, 64, "/tmp/stagepost-config-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* `text` NULL: no file. */
static void load(struct loaded *loaded, const char *text, const char *const *overrides,
		 size_t count)
{
	*loaded = (struct loaded){.config = NULL};
	buf_init(&loaded->notes, 65536);
	config_report_init(&loaded->report);
	if (text != NULL)
		write_file(loaded->path, text);
	loaded->code = config_load(text != NULL ? loaded->path : NULL, overrides, count,
				   &loaded->config, &loaded->report);
	for (size_t i = 0; i < loaded->report.count; i++) {
		const struct config_note *note = &loaded->report.notes[i];

		if (note->line > 0)
			buf_printf(&loaded->notes, "%zu:%zu ", note->line, note->column);
		else if (note->file != NULL && text != NULL &&
			 strcmp(note->file, loaded->path) != 0)
			buf_printf(&loaded->notes, "%s ", note->file);
		else if (note->file != NULL && text == NULL)
			buf_printf(&loaded->notes, "%s ", note->file);
		buf_printf(&loaded->notes, "%s%s: %s\n", note->warning ? "warning " : "", note->key,
			   note->text);
	}
	ck_assert_int_eq(loaded->code == ERR_OK, loaded->report.mistakes == 0);
	ck_assert_int_eq(loaded->code == ERR_OK, loaded->config != NULL);
}

static void loaded_release(struct loaded *loaded)
{
	if (loaded->path[0] != '\0')
		unlink(loaded->path);
	config_free(&loaded->config);
	config_report_release(&loaded->report);
	buf_release(&loaded->notes);
}

static const char *notes_of(const struct loaded *loaded)
{
	return loaded->notes.data != NULL ? loaded->notes.data : "";
}

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
	ck_assert_uint_ge(config->policy.control_header_count, 2);
	ck_assert_str_eq(config->policy.bounce_to, "");
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

static const char full[] = "hostname: relay.example.com\n"
			   "data_dir: ./var\n"
			   "log: {format: json, level: debug}\n"
			   "threads: 2\n"
			   "listeners:\n"
			   "  - address: \"[::]:2525\"\n"
			   "    scope: shop\n"
			   "    networks: [\"::1\", 10.1.0.0/16]\n"
			   "    greeting_delay: 2s\n"
			   "    proxy_protocol: true\n"
			   "    xclient: true\n"
			   "    resolve_client: true\n"
			   "    trusted: [10.1.2.0/24, fd00::/8]\n"
			   "  - address: unix:/run/stagepost/smtp\n"
			   "    protocol: lmtp\n"
			   "smtp: {max_message_size: 10M, command_timeout: 90s, fixups: msa}\n"
			   "policy:\n"
			   "  default: reject\n"
			   "  control_headers: [X-A, \"X-B-*\"]\n"
			   "delivery:\n"
			   "  schedule: [500ms, 2h]\n"
			   "  senders: [ci@example.com, .example.org]\n"
			   "  bounce_to: qa@example.com\n"
			   "  capture_only: true\n"
			   "  bounces: false\n"
			   "  eight_bit: fail\n"
			   "routes:\n"
			   "  - domains: [Example.com, .example.com]\n"
			   "    hosts: [\"smtp.example.com:587\", \"[::1]:25\"]\n"
			   "    tls: opportunistic\n"
			   "  - name: rest\n"
			   "    domains: [rest.test]\n"
			   "    hosts: [127.0.0.1:2526, \"unix:/run/lmtp\"]\n"
			   "    protocol: lmtp\n"
			   "    tls: none\n"
			   "    proxy_protocol: v2\n"
			   "    xclient: true\n"
			   "    source_address: 127.0.0.1\n"
			   "  - name: pinned\n"
			   "    hosts: [127.0.0.1:2527]\n"
			   "    tls: implicit\n"
			   "    tls_verify: false\n"
			   "    tls_pin: [\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]\n"
			   "admin: {listen: \"\", hosts: [localhost]}\n";

START_TEST(every_form_is_read)
{
	struct loaded loaded;
	const struct config *config;
	const struct route_options *routes;

	load(&loaded, full, NULL, 0);
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
	ck_assert_int_eq(config->policy.default_verdict, VERDICT_REJECT);
	ck_assert_uint_eq(config->policy.control_header_count, 2);
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

/* S343, S344: each row is a whole file; `want` is the whole report. */
static const struct {
	const char *text;
	const char *want;
} mistakes[] = {
	{"max_recipients: 5\n",
	 "1:1 max_recipients: unknown key; did you mean smtp.max_recipients?\n"},
	{"smtp:\n  max_recipient: 5\n",
	 "2:3 smtp.max_recipient: unknown key; did you mean max_recipients?\n"},
	{"listners: []\n", "1:1 listners: unknown key; did you mean listeners?\n"},
	{"xyzzy: 1\n", "1:1 xyzzy: unknown key\n"},
	{"smtp: {max_errors: 1}\nsmtp: {max_errors: 2}\n",
	 "2:1 : \"smtp\" was given before, in line 1, column 1\n"},
	{"threads: many\n", "1:10 threads: a number was expected, not \"many\"\n"},
	{"threads: \"2\"\n", "1:10 threads: a number was expected, not a text in quotes\n"},
	{"threads: -1\n", "1:10 threads: \"-1\" is out of range: from 0 to 8 is possible\n"},
	{"threads: 9\n", "1:10 threads: \"9\" is out of range: from 0 to 8 is possible\n"},
	{"threads: [1]\n", "1:10 threads: a value was expected, not a list\n"},
	{"threads:\n", "1:9 threads: has no value (write \"\" for an empty one)\n"},
	{"smtp:\n  max_recipients: 0\n",
	 "2:19 smtp.max_recipients: \"0\" is out of range: from 1 to 100000 is possible\n"},
	{"smtp:\n  max_recipients: 2147483648\n", "2:19 smtp.max_recipients: \"2147483648\" is out "
						  "of range: from 1 to 100000 is possible\n"},
	{"smtp:\n  max_recipients: 99999999999999999999\n",
	 "2:19 smtp.max_recipients: \"99999999999999999999\" is out of range: from 1 to 100000 is "
	 "possible\n"},
	{"smtp:\n  max_recipients: 1e3\n",
	 "2:19 smtp.max_recipients: a number was expected, not \"1e3\"\n"},
	{"smtp:\n  max_message_size: 10 GB\n",
	 "2:21 smtp.max_message_size: a size such as 512, 64K, 10M or 1G was expected, not \"10 "
	 "GB\"\n"},
	{"smtp:\n  max_message_size: 10m\n",
	 "2:21 smtp.max_message_size: a size such as 512, 64K, 10M or 1G was expected, not "
	 "\"10m\"\n"},
	{"smtp:\n  memory: 9999999999T\n",
	 "2:11 smtp.memory: \"9999999999T\" is out of range: from 1M to 1T is possible\n"},
	{"smtp:\n  command_timeout: 30\n",
	 "2:20 smtp.command_timeout: a time such as 30s, 5m, 4h or 7d was expected, not \"30\"\n"},
	{"smtp:\n  command_timeout: 0s\n",
	 "2:20 smtp.command_timeout: \"0s\" is out of range: from 1s to 1h is possible\n"},
	{"delivery:\n  capture_only: yes\n",
	 "2:17 delivery.capture_only: true or false was expected, not \"yes\"\n"},
	{"delivery:\n  schedule: [1m, 2x]\n",
	 "2:18 delivery.schedule.1: a time such as 30s, 5m, 4h or 7d was expected, not \"2x\"\n"},
	{"delivery:\n  schedule: []\n", "2:13 delivery.schedule: the list must not be empty\n"},
	{"delivery:\n  schedule: 5m\n",
	 "2:13 delivery.schedule: a list was expected, not a value\n"},
	{"log: {level: warn}\n",
	 "1:14 log.level: error, warning, info or debug was expected, not \"warn\"\n"},
	{"log: {level: eror}\n", "1:14 log.level: error, warning, info or debug was expected, not "
				 "\"eror\"; did you mean error?\n"},
	{"log: info\n", "1:6 log: a mapping was expected, not a value\n"},
	{"listeners: []\n", "1:12 listeners: the list must not be empty\n"},
	{"listeners:\n  - scope: x\n", "2:5 listeners.0.address: is missing\n"},
	{"listeners:\n  - address: 127.0.0.1\n",
	 "2:14 listeners.0.address: host:port or [::1]:port was expected, not \"127.0.0.1\"\n"},
	{"listeners:\n  - address: ::1:25\n",
	 "2:14 listeners.0.address: an IPv6 address needs brackets, as in [::1]:25\n"},
	{"listeners:\n  - address: 127.0.0.1:65536\n",
	 "2:14 listeners.0.address: host:port or [::1]:port was expected, not "
	 "\"127.0.0.1:65536\"\n"},
	{"listeners:\n  - address: unix:relative\n",
	 "2:14 listeners.0.address: unix: and an absolute path was expected, not "
	 "\"unix:relative\"\n"},
	{"listeners:\n  - address: 127.0.0.1:25\n  - address: 127.0.0.1:25\n",
	 "3:14 listeners.1.address: \"127.0.0.1:25\" is already that of listeners.0\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", networks: [10.0.0.1/8]}\n",
	 "2:41 listeners.0.networks.0: \"10.0.0.1/8\" has bits set behind its prefix\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", networks: [10.0.0.0/33]}\n",
	 "2:41 listeners.0.networks.0: a network such as 10.0.0.0/8 or ::1 was expected, not "
	 "\"10.0.0.0/33\"\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", trusted: [10.0.0.1/8, localhost],\n"
	 "     xclient: true}\n",
	 "2:40 listeners.0.trusted.0: \"10.0.0.1/8\" has bits set behind its prefix\n"
	 "2:52 listeners.0.trusted.1: a network such as 10.0.0.0/8 or ::1 was expected, not "
	 "\"localhost\"\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", proxy_protocol: v2}\n",
	 "2:46 listeners.0.proxy_protocol: true or false was expected, not \"v2\"\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", protocol: LMTP}\n",
	 "2:40 listeners.0.protocol: smtp or lmtp was expected, not \"LMTP\"; did you mean "
	 "lmtp?\n"},
	{"log: {level: x}\nlisteners:\n  - {address: \"127.0.0.1:0\", xclient: true}\n"
	 "  - {address: \"127.0.0.1:1\", trusted: [10.0.0.0/8]}\n"
	 "  - {address: \"unix:/x\", proxy_protocol: true}\n",
	 "1:14 log.level: error, warning, info or debug was expected, not \"x\"\n"
	 "3:39 warning listeners.0.xclient: has no effect while trusted is empty\n"
	 "4:39 warning listeners.1.trusted: has no effect without proxy_protocol or xclient\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", proxy_protocol: true}\n",
	 "2:5 listeners.0.trusted: proxy_protocol with nobody trusted lets nobody connect\n"},
	{"listeners:\n  - {address: \"127.0.0.1:25\", protocol: lmtp}\n",
	 "2:41 listeners.0.protocol: lmtp is not for port 25 (RFC 2033)\n"},
	{"listeners:\n  - 127.0.0.1:25\n",
	 "2:5 listeners.0: a mapping was expected, not a value\n"},
	{"routes:\n  - name: a\n", "2:5 routes.0.hosts: is missing\n"},
	{"routes:\n  - {hosts: [\"mx:0\"]}\n",
	 "2:14 routes.0.hosts.0: mx: or mx:port was expected, not \"0\"\n"},
	{"routes:\n  - {hosts: [\"a:1\"], tls: none, rate: 0.0001}\n",
	 "2:39 routes.0.rate: a number such as 3 or 0.5 was expected, not \"0.0001\"\n"},
	{"routes:\n  - {hosts: [\"a:1\"], tls: none, rate: 1000000.001}\n",
	 "2:39 routes.0.rate: \"1000000.001\" is out of range: from 0 to 1000000 is possible\n"},
	{"routes:\n  - {hosts: [\"a:1\"], tls: none, rate: 99999999999999999999}\n",
	 "2:39 routes.0.rate: \"99999999999999999999\" is out of range: from 0 to 1000000 is "
	 "possible\n"},
	{"listeners: [{address: 127.0.0.1:2600}, {address: \"[::]:2601\"}]\n"
	 "routes:\n"
	 "  - {name: a, domains: [a.test], tls: none, hosts: [127.0.0.1:2599, 127.0.0.1:2600]}\n"
	 "  - {name: b, domains: [b.test], tls: none, hosts: [\"LocalHost:2600\", "
	 "a.example:2600]}\n"
	 "  - {name: c, domains: [c.test], tls: none, hosts: [\"[::1]:2600\", \"[::1]:2601\"]}\n"
	 "  - {name: d, domains: [d.test], tls: none, hosts: [\"localhost:2601\", 0.0.0.0:2600]}\n",
	 "3:69 routes.0.hosts.1: is a listener of this server: mail would loop\n"
	 "4:53 routes.1.hosts.0: is a listener of this server: mail would loop\n"
	 "5:67 routes.2.hosts.1: is a listener of this server: mail would loop\n"
	 "6:53 routes.3.hosts.0: is a listener of this server: mail would loop\n"
	 "6:71 routes.3.hosts.1: is a listener of this server: mail would loop\n"},
	{"delivery: {dns: [\"::1\", localhost, 127.0.0.1:0, \"[::1]:53\", 127.0.0.1]}\n",
	 "1:17 delivery.dns: 5 items are too many: at most 3\n"},
	{"delivery: {dns: [\"::1\", localhost, 127.0.0.1:0]}\n",
	 "1:18 delivery.dns.0: address, address:port or [::1]:port was expected, not \"::1\"\n"
	 "1:25 delivery.dns.1: address, address:port or [::1]:port was expected, not "
	 "\"localhost\"\n"
	 "1:36 delivery.dns.2: address, address:port or [::1]:port was expected, not "
	 "\"127.0.0.1:0\"\n"},
	{"routes:\n  - {hosts: [\"unix:run/lmtp\"], tls: none}\n",
	 "2:14 routes.0.hosts.0: unix: and an absolute path was expected, not \"unix:run/lmtp\"\n"},
	{"routes:\n  - {hosts: [\"unix:/run/lmtp\"]}\n",
	 "2:5 routes.0.tls: a unix socket has no name that TLS could prove: tls: none\n"},
	{"routes:\n  - {hosts: [\"a.example:25\", \"unix:/run/lmtp\"], tls: required}\n",
	 "2:54 routes.0.tls: a unix socket has no name that TLS could prove: tls: none\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], proxy_protocol: on}\n",
	 "2:47 routes.0.proxy_protocol: off, v1 or v2 was expected, not \"on\"\n"},
	{"routes:\n  - hosts: [127.0.0.1:25]\n    protocol: lmtp\n",
	 "3:15 routes.0.protocol: lmtp is not for port 25 (RFC 2033)\n"},
	{"routes:\n  - hosts: [\"mx:\"]\n    protocol: lmtp\n",
	 "3:15 routes.0.protocol: what mx: finds does not speak lmtp\n"},
	{"routes:\n  - {hosts: [\"a.example:0\"]}\n",
	 "2:14 routes.0.hosts.0: port 0 can't be connected to\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"]}\n  - {hosts: [\"b.example:25\"]}\n",
	 "3:5 routes.1.name: \"default\" is already that of routes.0\n"
	 "3:5 warning routes.1.domains.0: has no effect: routes.0 comes first and takes all of "
	 "it\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], tls: starttls}\n",
	 "2:36 routes.0.tls: none, opportunistic, required or implicit was expected, not "
	 "\"starttls\"\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], name: \"a b\"}\n",
	 "2:37 routes.0.name: a name of at most 63 letters, digits, dots and hyphens was expected, "
	 "not \"a b\"\n"},
	/* CASES S238: what is wrong with the files of a route. */
	{"routes:\n  - {hosts: [\"a.example:25\"], tls_ca: /nonexistent/ca.pem}\n",
	 "2:39 routes.0.tls_ca: /nonexistent/ca.pem: can't be read: No such file or directory\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], tls_ca: /dev/null}\n",
	 "2:39 routes.0.tls_ca: /dev/null: no certificates to trust in it\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], tls_key: /x}\n",
	 "2:40 routes.0.tls_key: a key without tls_certificate\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], tls_certificate: /nonexistent/a.crt}\n",
	 "2:48 routes.0.tls_certificate: /nonexistent/a.crt: can't be read: No such file or "
	 "directory\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], tls_pin: [AAAA, "
	 "\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\", x y]}\n",
	 "2:41 routes.0.tls_pin.0: the SHA-256 of a public key in base64 (44 characters) was "
	 "expected, not \"AAAA\"\n"
	 "2:95 routes.0.tls_pin.2: the SHA-256 of a public key in base64 (44 characters) was "
	 "expected, not \"x y\"\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], tls: opportunistic, tls_pin: "
	 "[\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]}\n",
	 "2:60 routes.0.tls_pin: needs tls: required or implicit; opportunistic sends to whoever "
	 "answers\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], tls: none, tls_ca: /x, tls_pin: "
	 "[\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"],\n"
	 "    tls_certificate: /y}\n  - {hosts: [\"b.example:25\"], name: b, tls_verify: false}\n"
	 "  - {hosts: [\"c.example:25\"], name: c, tls_verify: false, tls_pin: "
	 "[\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]}\n"
	 "  - {name: d}\n",
	 "2:50 warning routes.0.tls_ca: has no effect while tls is none\n"
	 "2:63 warning routes.0.tls_pin: has no effect while tls is none\n"
	 "3:22 warning routes.0.tls_certificate: has no effect while tls is none\n"
	 "4:5 warning routes.1.domains.0: has no effect: routes.0 comes first and takes all of it\n"
	 "4:52 warning routes.1.tls_verify: any certificate is taken, also that of somebody in "
	 "between (tls_ca and tls_pin are for certificates of your own)\n"
	 "5:5 warning routes.2.domains.0: has no effect: routes.0 comes first and takes all of it\n"
	 "6:5 routes.3.hosts: is missing\n"
	 "6:5 warning routes.3.domains.0: has no effect: routes.0 comes first and takes all of "
	 "it\n"},
	{"policy: {default: redirect}\n",
	 "1:19 policy.default: redirect is not supported by this version\n"},
	{"policy: {control_headers: [\"*\"]}\n",
	 "1:28 policy.control_headers.0: the name of a header field was expected, not \"*\"\n"},
	{"data_dir: \"\"\n", "1:11 data_dir: must not be empty\n"},
	{"admin: {listen: \"unix:/x\"}\n",
	 "1:17 admin.listen: host:port or [::1]:port was expected, not \"unix:/x\"\n"},
	{"hostname: ${NO_SUCH_VARIABLE}\n", "1:11 hostname: the environment variable "
					    "\"NO_SUCH_VARIABLE\" is not set and has no default\n"},
	{"hostname: \"a${\"\n", "1:11 hostname: ${ without a closing } (write $${ for itself)\n"},
	{"hostname: ${1X}\n",
	 "1:11 hostname: \"1X\" between braces is not NAME or NAME:-default\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", tls: startls}\n",
	 "2:35 listeners.0.tls: none, starttls or implicit was expected, not \"startls\"; did you "
	 "mean starttls?\n"},
	{"listeners:\n  - {address: \"127.0.0.1:0\", tls: implicit, tls_key: /x}\n",
	 "2:54 listeners.0.tls_key: a key without tls_certificate\n"},
	{"listeners:\n  - address: 127.0.0.1:0\n    tls: starttls\n"
	 "    tls_certificate: /nonexistent/a.crt\n"
	 "    certificates:\n      - {certificate: /nonexistent/b.crt}\n      - {key: /x}\n",
	 "4:22 listeners.0.tls_certificate: /nonexistent/a.crt: can't be read: No such file or "
	 "directory\n"
	 "6:23 listeners.0.certificates.0.certificate: /nonexistent/b.crt: can't be read: No such "
	 "file or directory\n"
	 "7:9 listeners.0.certificates.1.certificate: is missing\n"},
	{"listeners:\n  - address: 127.0.0.1:0\n    tls_client: required\n",
	 "3:17 listeners.0.tls_client: needs tls: starttls or implicit\n"},
	{"listeners:\n  - address: 127.0.0.1:0\n    tls: implicit\n    tls_client: required\n",
	 "4:17 listeners.0.tls_client: tls_client_ca is missing\n"},
	{"listeners:\n  - address: 127.0.0.1:0\n    tls: implicit\n    tls_client: optional\n"
	 "    tls_client_ca: /nonexistent/ca.pem\n",
	 "5:20 listeners.0.tls_client_ca: /nonexistent/ca.pem: can't be read: No such file or "
	 "directory\n"},
	{"listeners:\n  - address: 127.0.0.1:0\n    tls: implicit\n"
	 "    tls_client_scopes: [{client: ab:cd, scope: shop}, {scope: \"\"}]\n",
	 "4:24 warning listeners.0.tls_client_scopes: has no effect while tls_client is off\n"
	 "4:34 listeners.0.tls_client_scopes.0.client: a SHA-256 fingerprint or a subject such as "
	 "CN=app,O=shop was expected, not \"ab:cd\"\n"
	 "4:55 listeners.0.tls_client_scopes.1.client: is missing\n"
	 "4:63 listeners.0.tls_client_scopes.1.scope: a name of at most 63 letters, digits, dots "
	 "and hyphens was expected, not \"\"\n"},
	{"- a\n", "1:1 : a mapping of keys was expected, not a list\n"},
	/* Known names of later versions: refused unless off, and the value is never repeated. */
	/* Logins at next hops; no value is ever repeated. */
	{"routes:\n  - {hosts: [\"a.example:25\"], password: hunter2, auth: plain}\n",
	 "2:41 routes.0.password: needs username\n"
	 "2:56 warning routes.0.auth: has no effect without username\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u}\n",
	 "2:41 routes.0.username: needs password, password_file, token, token_file or "
	 "token_command\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, password: hunter2, token: t}\n",
	 "2:70 routes.0.token: there can be only one of password, password_file, token, "
	 "token_file or token_command\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, password: hunter2, auth: "
	 "xoauth2}\n",
	 "2:69 routes.0.auth: xoauth2 needs token, token_file or token_command\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, token: hunter2, auth: login}\n",
	 "2:66 routes.0.auth: a token is for xoauth2\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, token: hunter 2}\n",
	 "2:51 routes.0.token: a token holds printable ASCII characters and no blanks\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, password: \"hunter\\t2\"}\n",
	 "2:54 routes.0.password: a password holds no control characters\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, password: (hidden)}\n",
	 "2:54 routes.0.password: (hidden) is what is shown in place of a secret, not a secret\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, password: hunter2, tls: none}\n",
	 "2:41 routes.0.username: no login is possible: credentials are sent inside TLS only, and "
	 "this route has none (or set auth_without_tls: true)\n"},
	{"routes:\n  - {hosts: [\"a.example:25\", \"mx:\"], username: u, password: hunter2}\n",
	 "2:48 routes.0.username: would be given, with the password, to every host that the DNS "
	 "names for a recipient's domain (mx:)\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, password_file: /nonexistent/p}\n",
	 "2:59 routes.0.password_file: /nonexistent/p can't be read: No such file or directory\n"},
	{"routes:\n  - {hosts: [\"a.example:25\"], username: u, auth: pain, password: x}\n",
	 "2:50 routes.0.auth: auto, plain, login, cram-md5, scram-sha-256 or xoauth2 was expected, "
	 "not \"pain\"; did you mean plain?\n"},
	{"policy: {hook: {url: \"http://127.0.0.1/\"}}\n",
	 "1:22 policy.hook.url: is not supported by this version (leave it out or write \"\")\n"},
	{"webhooks: [{url: x}]\n",
	 "1:11 webhooks: is not supported by this version (leave it out or write [])\n"},
	{"user: nobody\n",
	 "1:7 user: is not supported by this version (leave it out or write \"\")\n"},
	{"policy: {header_policy: strip}\n",
	 "1:25 policy.header_policy: is not supported by this version (leave it out or write "
	 "keep)\n"},
	{"policy: {breaker: {recipients_per_day: -1}}\n",
	 "1:40 policy.breaker.recipients_per_day: \"-1\" is out of range: from 0 to 1000000000 is "
	 "possible\n"},
	/* Fault rules: each value, then what goes together. */
	{"faults:\n  - {name: a}\n", "2:5 faults.0.action: is missing\n"},
	{"faults:\n  - {name: a, action: boun}\n",
	 "2:23 faults.0.action: reject, delay, disconnect, bounce or defer was expected, not "
	 "\"boun\"; did you mean bounce?\n"},
	{"faults:\n  - {name: a, action: delay}\n",
	 "2:5 faults.0.delay: is missing: how long to wait with the answer\n"},
	{"faults:\n  - {name: a, action: delay, delay: 11m}\n",
	 "2:37 faults.0.delay: \"11m\" is out of range: from 0s to 10m is possible\n"},
	{"faults:\n  - {name: a, action: bounce, stage: end, code: 450}\n",
	 "2:38 faults.0.stage: what happens later is decided for a recipient: rcpt\n"
	 "2:49 faults.0.code: a bounce has a code from 500 to 599\n"},
	{"faults:\n  - {name: a, action: reject, stage: mail, recipient: \"*@x.test\"}\n",
	 "2:55 faults.0.recipient: no recipient is known yet at the stage mail\n"},
	{"faults:\n  - {name: a, action: reject, sender: \"a b\"}\n", "2:39 faults.0.sender: "},
	{"faults:\n  - {name: a, action: reject}\n  - {name: a, action: reject}\n",
	 "3:12 faults.1.name: \"a\" is already that of faults.0\n"},
	{"faults:\n  - reject\n", "2:5 faults.0: a mapping was expected, not a value\n"},
	/* Several at once, in the order of the file; YAML that breaks off ends it. */
	{"threads: x\nsmtp: {max_errors: 0}\nfoo: bar\nhostname: a b\n",
	 "1:10 threads: a number was expected, not \"x\"\n"
	 "2:20 smtp.max_errors: \"0\" is out of range: from 1 to 1000000 is possible\n"
	 "3:1 foo: unknown key\n"
	 "4:11 hostname: "},
	{"threads: x\nlisteners:\n  - scope: y\n    address: [\n",
	 "1:10 threads: a number was expected, not \"x\"\n"
	 "4:14 listeners.0.address: a value was expected, not a list\n"
	 "5:1 : did not find expected node content\n"},
};

START_TEST(mistakes_are_reported_with_place_and_name)
{
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		size_t len = strlen(mistakes[i].want);
		struct loaded loaded;

		load(&loaded, mistakes[i].text, NULL, 0);
		ck_assert_int_eq(loaded.code, ERR_SYNTAX);
		/* Rows that do not end in a line end leave the rest of a sentence open. */
		ck_assert_msg(
			strncmp(notes_of(&loaded), mistakes[i].want, len) == 0 &&
				(mistakes[i].want[len - 1] != '\n' || loaded.notes.len == len),
			"row %zu:\n%s", i, notes_of(&loaded));
		loaded_release(&loaded);
	}
}
END_TEST

/* S344 */
START_TEST(hostnames)
{
	static const char *const bad[] = {
		"a_b.example.com", "-a.example", "a..b", "a b", "[::1", "\"\"", ".", "127.0.0.1"};
	static const char *const good[] = {"a.example.com", "box", "\"[127.0.0.1]\"",
					   "\"[IPv6:::1]\""};
	struct buf text;
	struct loaded loaded;

	buf_init(&text, 4096);
	for (size_t i = 0; i < COUNT(bad) + COUNT(good); i++) {
		buf_clear(&text);
		buf_printf(&text, "hostname: %s\n", i < COUNT(bad) ? bad[i] : good[i - COUNT(bad)]);
		load(&loaded, text.data, NULL, 0);
		ck_assert_msg((loaded.code == ERR_OK) == (i >= COUNT(bad)), "%s: %s", text.data,
			      notes_of(&loaded));
		loaded_release(&loaded);
	}
	buf_clear(&text);
	buf_append_text(&text, "hostname: a");
	for (size_t i = 0; i < 150; i++)
		buf_append_text(&text, ".a");
	load(&loaded, text.data, NULL, 0);
	ck_assert_int_eq(loaded.code, ERR_SYNTAX);
	loaded_release(&loaded);
	buf_release(&text);
}
END_TEST

static void write_secret(char path[64], const char *text, mode_t mode)
{
	write_file(path, text);
	ck_assert_int_eq(chmod(path, mode), 0);
}

/* The forms of a secret; one that everybody can read is none. Nothing of it is printed. */
START_TEST(secrets_of_routes)
{
	static const char route[] =
		"routes: [{hosts: [\"127.0.0.1:25\"], username: staging, %s: %s}]\n";
	static const struct {
		const char *key;
		const char *text; /* of the file; NULL: it stands in the configuration */
		mode_t mode;
		const char *secret, *notes;
	} rows[] = {
		{"password", NULL, 0, "hunter2", ""},
		{"token", NULL, 0, "hunter2", ""},
		{"token_command", NULL, 0, NULL, ""},
		{"password_file", "hunter2\n", 0600, "hunter2", ""},
		{"password_file", " hunter 2 \r\nmore", 0640, " hunter 2 ", ""},
		{"password_file", "hunter2\n", 0644, NULL, "can be read by everybody"},
		{"password_file", "\n", 0600, NULL, "has nothing in its first line"},
		{"password_file", "hunter\a2\n", 0600, NULL, "no control characters"},
		{"token_file", "hunter2\n", 0600, NULL, ""},
		{"token_file", "hunter2\n", 0644, NULL, "can be read by everybody"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char path[64] = "hunter2", text[300], *printed = NULL;
		struct loaded loaded;
		size_t size = 0;
		FILE *out;

		if (rows[i].text != NULL)
			write_secret(path, rows[i].text, rows[i].mode);
		snprintf(text, sizeof(text), route, rows[i].key, path);
		load(&loaded, text, NULL, 0);
		ck_assert_ptr_nonnull(strstr(notes_of(&loaded), rows[i].notes));
		ck_assert_ptr_null(strstr(notes_of(&loaded), "hunter"));
		ck_assert_int_eq(loaded.code, rows[i].notes[0] == '\0' ? ERR_OK : ERR_SYNTAX);
		if (loaded.code == ERR_OK) {
			const struct route_options *one = &loaded.config->delivery.routes[0];

			ck_assert_str_eq(one->username, "staging");
			ck_assert_pstr_eq(one->secret, rows[i].secret);
			out = open_memstream(&printed, &size);
			ck_assert_int_eq(config_print(loaded.config, out), ERR_OK);
			fclose(out);
			if (rows[i].secret != NULL)
				ck_assert_ptr_null(strstr(printed, rows[i].secret));
			ck_assert_int_eq(strstr(printed, "\"(hidden)\"") != NULL,
					 rows[i].text == NULL && rows[i].secret != NULL);
			free(printed);
		}
		loaded_release(&loaded);
		if (rows[i].text != NULL)
			unlink(path);
	}
}
END_TEST

START_TEST(values_in_force_of_later_versions)
{
	static const char text[] = "policy: {header_policy: defang, subject_tag: \"\"}\n"
				   "retention: {delivered: 7d, max_messages: 0}\n"
				   "listeners: [{address: \"127.0.0.1:0\", tls: none, auth: off}]\n"
				   "webhooks: []\n";
	struct loaded loaded;

	load(&loaded, text, NULL, 0);
	ck_assert_int_eq(loaded.code, ERR_OK);
	ck_assert_str_eq(
		notes_of(&loaded),
		"1:25 warning policy.header_policy: is not supported by this version and has "
		"no effect (keep is in force)\n"
		"2:24 warning retention.delivered: is not supported by this version and has no "
		"effect (off is in force)\n");
	ck_assert_int_eq(loaded.config->policy.header_policy, HEADER_POLICY_KEEP);
	loaded_release(&loaded);
}
END_TEST

static const char login[] =
	"listeners:\n"
	"  - {address: \"127.0.0.1:0\", auth: optional, auth_without_tls: true}\n"
	"users: {file: \"%s\"}\n";

/* `users` NULL: no such file. */
static void load_with_users(struct loaded *loaded, const char *users, char path[64])
{
	char text[512];

	if (users != NULL)
		write_file(path, users);
	else
		snprintf(path, 64, "/nonexistent/users");
	snprintf(text, sizeof(text), login, path);
	load(loaded, text, NULL, 0);
	if (users != NULL)
		unlink(path);
}

START_TEST(users_are_read)
{
	struct loaded loaded;
	char path[64];

	load_with_users(&loaded, "me:{PLAIN}x:shop\n", path);
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	ck_assert_str_eq(notes_of(&loaded), "");
	ck_assert_str_eq(loaded.config->users_file, path);
	ck_assert_uint_eq(users_count(loaded.config->users), 1);
	ck_assert_int_eq(loaded.config->listeners[0].auth, LISTENER_AUTH_OPTIONAL);
	ck_assert(loaded.config->listeners[0].auth_without_tls);
	ck_assert_int_eq(loaded.config->smtp.auth_delay_ms, 1000);
	loaded_release(&loaded);
	load_with_users(&loaded, "# nobody\n", path);
	ck_assert_int_eq(loaded.code, ERR_OK);
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "3:15 warning users.file: "));
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "names nobody"));
	loaded_release(&loaded);
}
END_TEST

/* Each with the place of its line in that file. */
START_TEST(mistakes_in_users)
{
	struct loaded loaded;
	char want[256];
	char path[64];

	load_with_users(&loaded, "a:{PLAIN}x\nb:hunter2\na:{PLAIN}y\n", path);
	ck_assert_int_eq(loaded.report.mistakes, 2);
	ck_assert_str_eq(loaded.report.notes[0].file, path);
	config_note_format(&loaded.report.notes[1], want, sizeof(want));
	ck_assert_ptr_nonnull(strstr(want, ":3:1: this name stood in a line before"));
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "2:1 : a secret begins with"));
	ck_assert_ptr_null(strstr(notes_of(&loaded), "hunter2"));
	loaded_release(&loaded);
	load_with_users(&loaded, NULL, path);
	ck_assert_str_eq(notes_of(&loaded), "3:15 users.file: /nonexistent/users can't be read: "
					    "No such file or directory\n");
	loaded_release(&loaded);
}
END_TEST

/* Nobody asks for it: the file need not be there. */
START_TEST(users_that_nobody_wants)
{
	static const char *const modes[] = {"off", "any"};
	struct loaded loaded;
	char text[256];

	for (size_t i = 0; i < COUNT(modes); i++) {
		snprintf(text, sizeof(text),
			 "listeners: [{address: \"127.0.0.1:0\", auth: %s, auth_without_tls: "
			 "true}]\n"
			 "users: {file: /nonexistent/users}\n",
			 modes[i]);
		load(&loaded, text, NULL, 0);
		ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
		ck_assert_ptr_null(loaded.config->users);
		loaded_release(&loaded);
	}
	load(&loaded, "listeners: [{address: \"127.0.0.1:0\", auth: any}]\n", NULL, 0);
	ck_assert_ptr_nonnull(strstr(notes_of(&loaded), "listeners.0.auth: nobody can log in"));
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

START_TEST(overrides)
{
	static const char *const good[] = {
		"listeners.0.scope=shop", "listeners.1.address=127.0.0.1:2600",
		"smtp.max_errors=3",	  "routes.0.hosts.0=127.0.0.1:2526",
		"routes.0.tls=none",	  "routes.0.domains=[\"*\", .example.com]",
		"delivery.schedule=[1s]", "delivery.senders.0=*@example.com",
		"admin.listen=",	  "data_dir=./a=b",
	};
	static const struct {
		const char *setting;
		const char *want;
	} bad[] = {
		/* Nothing of the value, and a word about where it stands. */
		{"routes.0.password=hunter2",
		 "-o warning routes.0.password: everybody on this machine can read a command line: "
		 "password_file and token_file are for secrets\n"
		 "-o routes.0.hosts: is missing\n"
		 "-o routes.0.password: needs username\n"},
		{"nonsense", "-o nonsense: KEY=VALUE was expected, as in smtp.max_recipients=5\n"},
		{"=x", "-o : KEY=VALUE was expected, as in smtp.max_recipients=5\n"},
		{"smtp.max_error=3", "-o smtp.max_error: unknown key; did you mean max_errors?\n"},
		{"listeners.5.scope=x", "-o listeners.5.scope: the list has not that many items\n"},
		{"listeners.scope=x", "-o listeners.scope: there is nothing below it\n"},
		{"smtp.0=x", "-o smtp.0: a number is for items of a list\n"},
		{"threads.x=1", "-o threads: a value was expected, not a mapping\n"},
		{"smtp.max_errors=[1", "-o smtp.max_errors: did not find expected ',' or ']' "
				       "(while parsing a flow sequence "
				       "that began in line 1)\n"
				       "-o smtp.max_errors: a value was expected, not a list\n"},
		{"smtp.max_errors=0",
		 "-o smtp.max_errors: \"0\" is out of range: from 1 to 1000000 is possible\n"},
	};
	struct loaded loaded;

	load(&loaded, "smtp: {max_errors: 9}\n", good, COUNT(good));
	ck_assert_msg(loaded.code == ERR_OK, "%s", notes_of(&loaded));
	ck_assert_str_eq(loaded.config->listeners[0].address, "127.0.0.1:2525");
	ck_assert_str_eq(loaded.config->listeners[0].scope, "shop");
	ck_assert_str_eq(loaded.config->listeners[1].address, "127.0.0.1:2600");
	ck_assert_uint_eq(loaded.config->smtp.max_errors, 3);
	ck_assert_str_eq(loaded.config->delivery.routes[0].hosts[0], "127.0.0.1:2526");
	ck_assert_uint_eq(loaded.config->delivery.routes[0].domain_count, 2);
	ck_assert_int_eq(loaded.config->delivery.schedule_ms[0], 1000);
	ck_assert_uint_eq(loaded.config->policy.sender_count, 1);
	ck_assert_str_eq(loaded.config->admin.listen, "");
	ck_assert_str_eq(loaded.config->data_dir, "./a=b");
	loaded_release(&loaded);
	for (size_t i = 0; i < COUNT(bad); i++) {
		load(&loaded, "smtp: {max_errors: 9}\n", &bad[i].setting, 1);
		ck_assert_msg(strcmp(notes_of(&loaded), bad[i].want) == 0, "%s:\n%s",
			      bad[i].setting, notes_of(&loaded));
		loaded_release(&loaded);
	}
}
END_TEST

START_TEST(unreadable_files)
{
	static const struct {
		const char *path;
		const char *want;
	} rows[] = {
		{"/nonexistent/x.yaml",
		 "/nonexistent/x.yaml: can't be read: No such file or directory"},
		{"/tmp", "/tmp: can't be read: Is a directory"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config *config = NULL;
		struct config_report report;
		char text[400];

		config_report_init(&report);
		ck_assert_int_eq(config_load(rows[i].path, NULL, 0, &config, &report), ERR_SYNTAX);
		ck_assert_ptr_null(config);
		ck_assert_uint_eq(report.mistakes, 1);
		config_note_format(&report.notes[0], text, sizeof(text));
		ck_assert_str_eq(text, rows[i].want);
		config_report_release(&report);
	}
}
END_TEST

/* Not wrong, but not what somebody meant either. */
START_TEST(warnings_about_routes)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"routes:\n  - {name: a, hosts: [\"a.example:25\"]}\n"
		 "  - {name: b, hosts: [\"b.example:25\"], domains: [x.test]}\n",
		 "3:50 warning routes.1.domains.0: has no effect: routes.0 comes first and takes "
		 "all of "
		 "it\n"},
		{"routes:\n  - {name: a, hosts: [\"a.example:25\"]}\n"
		 "  - {name: b, hosts: [\"b.example:25\"]}\n",
		 "3:5 warning routes.1.domains.0: has no effect: routes.0 comes first and takes "
		 "all of "
		 "it\n"},
		{"routes:\n  - {name: a, hosts: [\"a.example:25\"], domains: [x.test, .y.test]}\n"
		 "  - {name: b, hosts: [\"b.example:25\"], domains: [y.test, .x.test, X.test, "
		 ".y.test, .z.y.test, a.y.test, .test, \"*\"]}\n",
		 "3:67 warning routes.1.domains.2: has no effect: routes.0 comes first and takes "
		 "all of "
		 "it\n"
		 "3:75 warning routes.1.domains.3: has no effect: routes.0 comes first and takes "
		 "all of "
		 "it\n"
		 "3:84 warning routes.1.domains.4: has no effect: routes.0 comes first and takes "
		 "all of "
		 "it\n"
		 "3:95 warning routes.1.domains.5: has no effect: routes.0 comes first and takes "
		 "all of "
		 "it\n"},
		{"routes:\n  - {hosts: [\"a.example:25\"], tls: none, tls_crl: /x}\n",
		 "2:51 warning routes.0.tls_crl: has no effect while tls is none\n"},
		{"routes:\n  - {hosts: [\"a.example:25\"], tls: opportunistic, username: u, "
		 "password: hunter2}\n",
		 "2:36 warning routes.0.tls: credentials are sent inside TLS only, but to whoever "
		 "answers, "
		 "with any certificate; where TLS fails mail waits\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct loaded loaded;

		load(&loaded, rows[i].text, NULL, 0);
		ck_assert_int_eq(loaded.code, ERR_OK);
		ck_assert_str_eq(notes_of(&loaded), rows[i].want);
		loaded_release(&loaded);
	}
}
END_TEST

START_TEST(notes_for_people)
{
	static const struct config_note rows[] = {
		{"a.yaml", 3, 5, "smtp.max_errors", "is wrong", false},
		{"a.yaml", 3, 5, "", "is broken", false},
		{"-o", 0, 0, "threads", "is wrong", false},
		{"a.yaml", 1, 1, "user", "has no effect", true},
	};
	static const char *const want[] = {
		"a.yaml:3:5: smtp.max_errors: is wrong",
		"a.yaml:3:5: is broken",
		"-o: threads: is wrong",
		"a.yaml:1:1: user: has no effect",
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[200];

		config_note_format(&rows[i], text, sizeof(text));
		ck_assert_str_eq(text, want[i]);
	}
}
END_TEST

static char *print_of(const struct config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(config_print(config, out), ERR_OK);
	fclose(out);
	return text;
}

/* print(load(print(load(x)))) == print(load(x)), and it names every key there is. */
static void check_round_trip(const char *text)
{
	struct loaded first;
	struct loaded second;
	char *one;
	char *two;

	load(&first, text, NULL, 0);
	ck_assert_msg(first.code == ERR_OK, "%s", notes_of(&first));
	one = print_of(first.config);
	load(&second, one, NULL, 0);
	ck_assert_msg(second.code == ERR_OK && second.report.count == 0, "%s\n%s",
		      notes_of(&second), one);
	two = print_of(second.config);
	ck_assert_str_eq(one, two);
	for (const struct config_key *key = config_keys; key->name != NULL; key++)
		ck_assert_ptr_nonnull(strstr(one, key->name));
	free(one);
	free(two);
	loaded_release(&first);
	loaded_release(&second);
}

START_TEST(printed_and_read_back)
{
	check_round_trip(NULL);
	check_round_trip(full);
	check_round_trip(
		"data_dir: \"a b: \\\"c\\\" $${X} \\t # ~ \u00fc\"\n"
		"listeners: [{address: \"127.0.0.1:0\", scope: \"\", tls_key: /k,\n"
		"  tls_certificate: /c, certificates: [{certificate: /a, key: \"/b c\"},\n"
		"  {certificate: /d}], tls_client_scopes: [{client: \"CN=a\", scope: s}]}]\n"
		"policy: {control_headers: []}\n");
	check_round_trip(
		"policy: {breaker: {recipients_per_minute: 100, recipients_per_day: 5}}\n"
		"routes: [{hosts: [\"a.example:587\"], username: u, token_command: \"x | y\",\n"
		"  auth: xoauth2, auth_without_tls: true, tls: none}]\n");
	check_round_trip(
		"faults:\n  - {name: a, action: defer, attempts: 2, every: 3, code: 452,"
		" enhanced: 4.2.2, text: \"full: \\\"x\\\"\", user: \"app-*\", delay: 5s}\n"
		"  - {name: b, action: disconnect, stage: end, sender: \"<>\"}\n");
}
END_TEST

static void check_documented(const struct config_key *keys, const char *page)
{
	for (; keys->name != NULL; keys++) {
		ck_assert_msg(strstr(page, keys->name) != NULL, "%s is not in the man page",
			      keys->name);
		if (keys->keys != NULL)
			check_documented(keys->keys, page);
	}
}

START_TEST(man_page_names_every_key)
{
	const char *srcdir = getenv("srcdir");
	static char page[65536];
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/relay/stagepost.yaml.5.scd",
		 srcdir != NULL ? srcdir : ".");
	file = fopen(path, "r");
	ck_assert_msg(file != NULL, "%s", path);
	page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
	fclose(file);
	check_documented(config_keys, page);
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

START_TEST(reload)
{
	static const struct {
		const char *setting;
		const char *want; /* NULL: can be taken over */
	} rows[] = {
		{"hostname=other.example", NULL},
		{"log.level=debug", NULL},
		{"smtp.max_recipients=5", NULL},
		{"routes.1.hosts.0=127.0.0.1:9", NULL},
		{"listeners.0.scope=other", NULL},
		{"policy.default=hold", NULL},
		{"threads=3", "a change of threads needs a restart"},
		{"data_dir=/elsewhere", "a change of data_dir needs a restart"},
		{"listeners.0.address=127.0.0.1:9",
		 "a change of listeners.0.address needs a restart"},
		{"listeners.2.address=127.0.0.1:9", "a change of listeners needs a restart"},
		{"admin.listen=127.0.0.1:9", "a change of admin.listen needs a restart"},
		{"admin.hosts.1=other", "a change of admin.hosts needs a restart"},
	};
	struct loaded now;

	load(&now, full, NULL, 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err why = {.text = ""};
		struct loaded next;
		int code;

		load(&next, full, &rows[i].setting, 1);
		ck_assert_msg(next.code == ERR_OK, "%s", notes_of(&next));
		code = config_reloadable(now.config, next.config, &why);
		ck_assert_int_eq(code, rows[i].want != NULL ? ERR_CONFLICT : ERR_OK);
		ck_assert_str_eq(why.text, rows[i].want != NULL ? rows[i].want : "");
		loaded_release(&next);
	}
	loaded_release(&now);
}
END_TEST

START_TEST(values)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} times[] = {{"0", 0},	     {"0s", 0},	       {"1ms", 1},	  {"30s", 30000},
		     {"5m", 300000}, {"4h", 14400000}, {"7d", 604800000}, {"30", -1},
		     {"s", -1},	     {"", -1},	       {"1 s", -1},	  {"1.5h", -1},
		     {"-1s", -1},    {"1H", -1},       {"+1s", -1},	  {"99999999999999d", -1},
		     {"1sm", -1}};

	for (size_t i = 0; i < COUNT(times); i++) {
		struct config_range range = {0, INT64_MAX};
		char text[CONFIG_VALUE_SIZE];
		struct err why;
		int64_t ms = -1;

		config_parse_time(span_of(times[i].text), range, &ms, &why);
		ck_assert_msg(ms == times[i].ms, "%s", times[i].text);
		if (ms > 0) {
			config_format_time(ms, text);
			ck_assert_str_eq(text, times[i].text);
		}
	}
}
END_TEST

START_TEST(decimals)
{
	static const struct {
		const char *text;
		int64_t thousandths; /* -1: refused */
	} cases[] = {{"0", 0},	  {"3", 3000},	{"0.5", 500}, {"10.25", 10250}, {"0.001", 1},
		     {"1.", -1},  {"", -1},	{".5", -1},   {"1.2345", -1},	{"-1", -1},
		     {"1e3", -1}, {"1.-5", -1}, {"1 .5", -1}, {"1,5", -1}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_range range = {0, 1000000};
		char text[CONFIG_VALUE_SIZE];
		struct err why;
		int64_t value = -1;

		config_parse_decimal(span_of(cases[i].text), range, &value, &why);
		ck_assert_msg(value == cases[i].thousandths, "%s: %d", cases[i].text, (int)value);
		if (value >= 0) {
			config_format_decimal(value, text);
			ck_assert_str_eq(text, cases[i].text);
		}
	}
}
END_TEST

START_TEST(many_mistakes_do_not_pile_up)
{
	struct buf text;
	struct loaded loaded;

	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < 3000; i++)
		buf_printf(&text, "unknown_%zu: 1\n", i);
	load(&loaded, text.data, NULL, 0);
	ck_assert_uint_eq(loaded.report.mistakes, 3000);
	ck_assert_uint_eq(loaded.report.count, 500);
	loaded_release(&loaded);
	buf_release(&text);
}
END_TEST

UNIT_MAIN("relay/config", decimals, defaults_are_those_of_the_interface, every_form_is_read,
	  mistakes_are_reported_with_place_and_name, hostnames, secrets_of_routes,
	  values_in_force_of_later_versions, users_are_read, mistakes_in_users,
	  users_that_nobody_wants, sections_without_a_value, environment, overrides,
	  unreadable_files, warnings_about_routes, notes_for_people, printed_and_read_back,
	  man_page_names_every_key, fault_rules, reload, values, many_mistakes_do_not_pile_up)
