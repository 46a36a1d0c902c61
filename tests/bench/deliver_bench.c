/*
 * tests/bench/deliver_bench.c - how many messages a second leave a full queue
 *
 * deliver_bench [messages] [connections]: fills a store in a temporary folder
 * with 4 KB messages, then measures from deliver_start until the last one is
 * settled, against a sink thread in the same process.
 */
#include <config.h> /* mkdtemp, accept4 */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/message.h"
#include "queue/reader.h"
#include "relay/deliver/deliver.h"

#define BODY_BYTES 4096

/* --- the sink: yes to everything, a thread a connection ------------------------- */

static size_t answer(const char *in, size_t len, bool *in_data, char *out, size_t *out_len)
{
	size_t at = 0;

	for (;;) {
		const char *end;

		if (*in_data) {
			end = memmem(in + at, len - at, "\r\n.\r\n", 5);
			if (end == NULL)
				return len - at > 4 ? len - 4 : at;
			at = (size_t)(end - in) + 5;
			*in_data = false;
			*out_len += (size_t)sprintf(out + *out_len, "250 kept\r\n");
			continue;
		}
		end = memmem(in + at, len - at, "\r\n", 2);
		if (end == NULL)
			return at;
		*in_data = memcmp(in + at, "DATA", 4) == 0;
		if (memcmp(in + at, "EHLO", 4) == 0)
			*out_len += (size_t)sprintf(out + *out_len, "250-s\r\n250 PIPELINING\r\n");
		else
			*out_len += (size_t)sprintf(out + *out_len,
						    *in_data ? "354 go\r\n" : "250 ok\r\n");
		at = (size_t)(end - in) + 2;
	}
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg, on = 1;
	char in[65536], out[65536];
	size_t have = 0, out_len = 0;
	bool in_data = false;
	ssize_t n;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	n = send(fd, "220 s\r\n", 7, MSG_NOSIGNAL);
	while (n > 0 && (n = recv(fd, in + have, sizeof(in) - have, 0)) > 0) {
		size_t used;

		have += (size_t)n;
		used = answer(in, have, &in_data, out, &out_len);
		memmove(in, in + used, have - used);
		have -= used;
		if (out_len > 0)
			n = send(fd, out, out_len, MSG_NOSIGNAL);
		out_len = 0;
	}
	close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	int listener = *(int *)arg, fd;
	pthread_t thread;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	return NULL;
}

/* --- the queue -------------------------------------------------------------------- */

static void die(const char *what, const struct err *why)
{
	fprintf(stderr, "%s: %s\n", what, why->text);
	exit(1);
}

static void fill(struct store *store, size_t messages)
{
	static const char header[] = "From: a@x\r\nTo: ann@ok.test\r\nSubject: bench\r\n\r\n";
	static char bytes[BODY_BYTES];
	struct err why;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
	memcpy(bytes, header, sizeof(header) - 1);
	memcpy(bytes + sizeof(bytes) - 2, "\r\n", 2);
	for (size_t i = 0; i < messages; i++) {
		struct new_recipient rcpt = {.address = "ann@ok.test", .state = STATE_QUEUED};
		struct new_message m = {
			.sender = "", .scope = "", .received_field = "Received: x\r\n"};
		struct accept accept = {.message = &m, .body = body_new(store, NULL, NULL)};

		rcpt.ruling = (struct ruling){"deliver", "bench", 1, 1, NULL, NULL};
		m.received_at = clock_wall_ms();
		m.id = ulid_new(m.received_at);
		m.size = BODY_BYTES;
		m.header_size = sizeof(header) - 1;
		m.header_parsed = true;
		m.recipients = &rcpt;
		m.recipient_count = 1;
		body_append(accept.body, span_make(bytes, sizeof(bytes)));
		if (store_wait(store, queue_accept, &accept.job, &why) < 0)
			die("accept", &why);
	}
}

static int64_t cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
	size_t messages = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 10000;
	size_t connections = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 8;
	const struct log_options quiet = {LOG_TEXT, LOG_WARNING};
	static const char *const all[] = {"*"};
	static const int64_t schedule[] = {60000};
	struct entry entry = {.id = 1,
			      .pattern = "ok.test",
			      .kind = ENTRY_DOMAIN,
			      .action = ENTRY_ALLOW,
			      .scope = ""};
	char folder[] = "/tmp/stagepost-bench-XXXXXX", host[32], command[64];
	const char *hosts[] = {host};
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t in_len = sizeof(in);
	struct policy_options policy = {.bounce_to = ""};
	struct route_options route = {.name = "default",
				      .domains = all,
				      .domain_count = 1,
				      .hosts = hosts,
				      .host_count = 1,
				      .max_connections = connections,
				      .connect_timeout_ms = 5000,
				      .command_timeout_ms = 5000,
				      .final_reply_timeout_ms = 5000};
	struct delivery_options options = {.schedule_ms = schedule,
					   .schedule_count = 1,
					   .expire_after_ms = 86400000,
					   .workers = connections,
					   .hostname = "bench",
					   .routes = &route,
					   .route_count = 1,
					   .policy = &policy};
	struct store_options store_options = {.data_dir = folder};
	struct queue_stats stats;
	struct deliver_env env = {0};
	struct loop *loops[2];
	struct deliver *deliver;
	struct whitelist *list = whitelist_new();
	struct err why;
	pthread_t acceptor;
	int64_t began, cpu;
	size_t bad;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	log_configure(&quiet);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (mkdtemp(folder) == NULL || bind(listener, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    listen(listener, 64) != 0 ||
	    getsockname(listener, (struct sockaddr *)&in, &in_len) != 0 ||
	    pthread_create(&acceptor, NULL, accept_all, &listener) != 0)
		return 1;
	snprintf(host, sizeof(host), "127.0.0.1:%d", ntohs(in.sin_port));
	whitelist_load_begin(list);
	whitelist_load_add(list, &entry);
	whitelist_load_end(list, 1, &bad);
	if (store_open(&store_options, &env.store, &why) < 0)
		die("store", &why);
	for (size_t i = 0; i < 2; i++) {
		loops[i] = loop_new("bench");
		if (loop_start(loops[i], &why) < 0)
			die("loop", &why);
	}
	fill(env.store, messages);
	env.whitelist = list;
	env.loops = loops;
	env.loop_count = 2;
	began = clock_mono_us();
	cpu = cpu_us();
	if (deliver_start(&env, &options, &deliver, &why) < 0)
		die("deliver", &why);
	do {
		usleep(2000);
		store_stats(env.store, &stats);
	} while (stats.by_state[STATE_DELIVERED] < (int64_t)messages);
	began = clock_mono_us() - began;
	cpu = cpu_us() - cpu;
	printf("%zu messages of 4 KB over %zu connections: %.0f msg/s, %.0f us CPU a message "
	       "(sink included)\n",
	       messages, connections, (double)messages * 1e6 / (double)began,
	       (double)cpu / (double)messages);
	deliver_stop(&deliver, 5000);
	for (size_t i = 0; i < 2; i++) {
		loop_stop(loops[i]);
		loop_free(&loops[i]);
	}
	whitelist_free(&list);
	store_close(&env.store);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}
