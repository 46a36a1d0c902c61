/* tests relay/config_check*.c and what relay/config_read.c finds wrong: every mistake, and where */
#include <config.h>

#include "relay/config.h"

#include <string.h>

#include "tests/unit/relay/loaded.h"
#include "tests/unit/unit.h"

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
	 "2:19 smtp.max_recipients: \"0\" is out of range: from 1 to 65000 is possible\n"},
	{"smtp:\n  max_recipients: 2147483648\n", "2:19 smtp.max_recipients: \"2147483648\" is out "
						  "of range: from 1 to 65000 is possible\n"},
	{"smtp:\n  max_recipients: 99999999999999999999\n",
	 "2:19 smtp.max_recipients: \"99999999999999999999\" is out of range: from 1 to 65000 is "
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
	 "6:71 routes.3.hosts.1: that address is nobody's: mail would come back\n"
	 "6:71 routes.3.hosts.1: is a listener of this server: mail would loop\n"},
	/* S185 */
	{"routes:\n  - {hosts: [\"0.0.0.0:25\", \"[::]:25\", \"[::ffff:0.0.0.0]:25\"], tls: "
	 "none}\n",
	 "2:14 routes.0.hosts.0: that address is nobody's: mail would come back\n"
	 "2:28 routes.0.hosts.1: that address is nobody's: mail would come back\n"
	 "2:39 routes.0.hosts.2: that address is nobody's: mail would come back\n"},
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
	 "1:19 policy.default: redirect needs policy.redirect_to\n"},
	{"policy: {default: redirect, redirect_to: \"qa@example.com, b@example.com\"}\n",
	 "1:19 policy.default: redirect needs policy.redirect_to\n"
	 "1:42 policy.redirect_to: a domain holds something else than letters, digits, hyphens and "
	 "dots\n"},
	{"policy: {default: redirect, redirect_to: '\"qa\"@example.com'}\n",
	 "1:19 policy.default: redirect needs policy.redirect_to\n"
	 "1:42 policy.redirect_to: \"\"qa\"@example.com\" is no address that mail can be delivered "
	 "to\n"},
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
	/* Retention: what is known of a message outlives its content. */
	{"retention: {delivered: 0s, dropped: never}\n",
	 "1:24 retention.delivered: \"0s\" is out of range: from 100ms to 36500d is possible, or "
	 "off\n"
	 "1:37 retention.dropped: a time such as 30s, 5m, 4h or 7d was expected, not \"never\", or "
	 "off\n"},
	{"retention:\n  metadata: 20d\n",
	 "2:13 retention.metadata: ends before retention.failed, which is 30d\n"},
	{"retention:\n  failed: 1d\n  delivered: off\n  metadata: 20d\n",
	 "4:13 retention.metadata: ends before retention.delivered, which is off\n"},
	{"retention:\n  failed: off\n",
	 "2:3 retention.metadata: ends before retention.failed, which is off\n"},
	{"retention:\n  max_bytes: 100M\n",
	 "2:14 retention.max_bytes: must have room for 4 messages of smtp.max_message_size: 200M, "
	 "or 0 for no limit\n"},
	/* Known names of later versions: refused unless off, and the value is never repeated. */
	{"admin: {listen: \"\", tls_key: /y}\n",
	 "1:30 admin.tls_key: a key without tls_certificate\n"},
	{"admin:\n  tls_certificate: /nonexistent/a.crt\n",
	 "2:20 admin.tls_certificate: /nonexistent/a.crt: can't be read: No such file or "
	 "directory\n"},
	{"admin: {session_idle: 1s, session_total: 400d}\n",
	 "1:23 admin.session_idle: \"1s\" is out of range: from 1m to 30d is possible\n"
	 "1:42 admin.session_total: \"400d\" is out of range: from 1m to 365d is possible\n"},
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
	{"policy: {hook: {url: \"ftp://127.0.0.1/\"}}\n",
	 "1:22 policy.hook.url: http://, https:// or unix: was expected\n"},
	{"policy: {hook: {url: \"http://\"}}\n", "1:22 policy.hook.url: it is no URL\n"},
	{"policy: {hook: {url: \"unix:run/hook\"}}\n",
	 "1:22 policy.hook.url: unix:/path or unix:/path:/uri was expected\n"},
	{"policy: {hook: {url: \"http://u:(hidden)@localhost/\"}}\n",
	 "1:22 policy.hook.url: the password itself was expected, not what --print-config shows in "
	 "its place\n"},
	{"policy: {hook: {dialect: ngnix, on_error: defer, concurrency: 0, timeout: 5}}\n",
	 "1:26 policy.hook.dialect: json or nginx was expected, not \"ngnix\"; did you mean "
	 "nginx?\n"
	 "1:43 policy.hook.on_error: retry, hold or drop was expected, not \"defer\"\n"
	 "1:63 policy.hook.concurrency: \"0\" is out of range: from 1 to 256 is possible\n"
	 "1:75 policy.hook.timeout: "},
	{"policy: {hook: {headers: {\"X Y\": a, Host: b, X-Key: \"a\\nb\", X-Other: (hidden)}}}\n",
	 "1:27 policy.hook.headers.X Y: a header field's name was expected, not \"X Y\"\n"
	 "1:37 policy.hook.headers.Host: the request has that field already\n"
	 "1:53 policy.hook.headers.X-Key: it holds a control character\n"
	 "1:70 policy.hook.headers.X-Other: the value itself was expected, not what "
	 "--print-config shows in its place\n"},
	{"policy: {hook: {headers: [a]}}\n",
	 "1:26 policy.hook.headers: a mapping was expected, not a list\n"},
	{"webhooks: [{url: x, events: [droped]}]\n",
	 "1:18 webhooks.0.url: http://, https:// or unix: was expected\n"
	 "1:30 webhooks.0.events.0: there are no events \"droped\"; did you mean dropped?\n"},
	{"webhooks: [{url: \"http://x/\", events: [held], secret: short, secret_file: /x}]\n",
	 "1:75 webhooks.0.secret_file: there can be only one of secret and secret_file\n"},
	{"webhooks: [{url: \"http://x/\", events: [held], secret: \"whsec_????\"}]\n",
	 "1:55 webhooks.0.secret: behind whsec_ base64 was expected\n"},
	{"webhooks: [{url: \"http://x/\", events: [held], secret: \"fifteen octets!\"}]\n",
	 "1:55 webhooks.0.secret: a secret has at least 16 octets\n"},
	{"webhooks: [{url: \"http://x/\", events: [held], secret: (hidden)}]\n",
	 "1:55 webhooks.0.secret: (hidden) is what is shown in place of a secret, not a secret\n"},
	{"user: nobody\n",
	 "1:7 user: is not supported by this version (leave it out or write \"\")\n"},
	{"policy: {header_policy: remove}\n",
	 "1:25 policy.header_policy: defang, keep or strip was expected, not \"remove\"\n"},
	{"policy: {subject_tag: \"  \"}\n",
	 "1:23 policy.subject_tag: at most 100 octets of UTF-8, not of blanks alone, was expected, "
	 "not \"  \"\n"},
	{"policy: {subject_tag: \"a\\nb\"}\n",
	 "1:23 policy.subject_tag: at most 100 octets of UTF-8, not of blanks alone, was expected, "
	 "not \"a?b\"\n"},
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
	{"rules:\n  - {name: a}\n", "2:5 rules.0.action: is missing\n"},
	{"rules:\n  - {name: a, action: reject}\n",
	 "2:23 rules.0.action: deliver, drop, hold, redirect or tag was expected, not "},
	{"rules:\n  - {name: a, action: redirect}\n",
	 "2:5 rules.0.redirect_to: the mailbox that gets the message instead\n"},
	{"rules:\n  - {name: a, action: drop, tag: x, overrides_whitelist: true}\n",
	 "2:34 rules.0.tag: is for the action tag only\n"
	 "2:58 rules.0.overrides_whitelist: is for the action deliver only\n"},
	{"rules:\n  - {name: a, action: drop, client: 10.1.0.0/8}\n", "2:37 rules.0.client: "},
	{"rules:\n  - {name: a, action: drop, min_size: 2K, max_size: 1K}\n",
	 "2:53 rules.0.max_size: is less than min_size\n"},
	{"rules:\n  - {name: a, action: drop, headers: [{name: A, match: glob}]}\n",
	 "2:38 rules.0.headers: glob needs a value, * for any characters\n"},
	{"rules:\n  - {name: a, action: drop, headers: [{name: A, match: like}]}\n",
	 "2:56 rules.0.headers.0.match: present, absent, exact or glob was expected, not "},
	{"rules:\n  - {name: a, action: drop, headers: [{match: present}]}\n",
	 "2:39 rules.0.headers.0.name: is missing\n"},
	{"rules:\n  - {name: a, action: drop}\n  - {name: a, action: hold}\n",
	 "3:12 rules.1.name: \"a\" is already that of rules.0\n"},
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

UNIT_MAIN("relay/config", mistakes_are_reported_with_place_and_name, hostnames,
	  warnings_about_routes)
