/* tests/unit/deliver/nameserver.c - a DNS server on loopback that answers from a table */
#include <config.h> /* strcasestr */

#include "tests/unit/deliver/nameserver.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define ASKED_MAX 400

struct nameserver {
	const struct nameserver_row *rows;
	size_t count;
	int udp, tcp, wake[2];
	char address[64];
	pthread_t thread;
	pthread_mutex_t lock;
	char asked[ASKED_MAX][256];
	size_t asked_count;
};

/* An answer in the making. */
struct answer {
	unsigned char bytes[65535];
	size_t len;
	unsigned int records;
};

static void put(struct answer *a, const void *bytes, size_t len)
{
	ck_assert_uint_le(a->len + len, sizeof(a->bytes));
	memcpy(a->bytes + a->len, bytes, len);
	a->len += len;
}

static void put16(struct answer *a, unsigned int value)
{
	unsigned char bytes[2] = {(unsigned char)(value >> 8), (unsigned char)value};

	put(a, bytes, 2);
}

static void put_name(struct answer *a, const char *name)
{
	while (*name != '\0' && strcmp(name, ".") != 0) {
		size_t len = strcspn(name, ".");
		unsigned char byte = (unsigned char)len;

		put(a, &byte, 1);
		put(a, name, len);
		name += len + (name[len] == '.' ? 1 : 0);
	}
	put(a, "", 1);
}

/* The owner is the name of the question, by pointer. */
static void put_record(struct answer *a, const char *type, const char *value, unsigned int ttl_s)
{
	unsigned char address[16];
	size_t length_at;
	int number = strcmp(type, "MX") == 0	 ? 15
		     : strcmp(type, "A") == 0	 ? 1
		     : strcmp(type, "AAAA") == 0 ? 28
						 : 5;

	put16(a, 0xc00c);
	put16(a, (unsigned int)number);
	put16(a, 1);
	put16(a, ttl_s >> 16);
	put16(a, ttl_s & 0xffff);
	length_at = a->len;
	put16(a, 0);
	if (number == 15) {
		char *end;

		put16(a, (unsigned int)strtoul(value, &end, 10));
		put_name(a, end + 1);
	} else if (number == 5) {
		put_name(a, value);
	} else {
		ck_assert_int_eq(inet_pton(number == 1 ? AF_INET : AF_INET6, value, address), 1);
		put(a, address, number == 1 ? 4 : 16);
	}
	a->bytes[length_at] = (unsigned char)((a->len - length_at - 2) >> 8);
	a->bytes[length_at + 1] = (unsigned char)(a->len - length_at - 2);
	a->records++;
}

/* The question's name; returns the octets behind it. */
static const unsigned char *read_name(const unsigned char *at, const unsigned char *end, char *name)
{
	size_t len = 0;

	name[0] = '\0';
	while (at < end && *at != 0) {
		memcpy(name + len, at + 1, *at);
		len += *at;
		name[len++] = '.';
		at += *at + 1;
	}
	name[len > 0 ? len - 1 : 0] = '\0';
	return at + 1;
}

static const char *type_text(unsigned int type)
{
	return type == 15 ? "MX" : type == 1 ? "A" : type == 28 ? "AAAA" : "?";
}

static void put_many(struct answer *a, int count)
{
	char value[64];

	for (int i = 0; i < count; i++) {
		snprintf(value, sizeof(value), "%d m%d.ok.test", i == count - 1 ? 1 : 50 + i % 7,
			 i);
		put_record(a, "MX", value, 60);
	}
}

/* False: silence. `rcode_out`: 0, SERVFAIL 2, NXDOMAIN 3. */
static bool fill(struct nameserver *n, struct answer *a, const char *name, const char *type,
		 int *rcode_out)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct nameserver_row *row = &n->rows[i];

		if (strcasecmp(row->name, name) != 0 ||
		    (strcmp(row->type, type) != 0 && strcmp(row->type, "*") != 0 &&
		     strcmp(row->type, "CNAME") != 0))
			continue;
		switch (row->act) {
		case NAME_HAS:
			put_record(a, strcmp(row->type, "CNAME") == 0 ? "CNAME" : type, row->value,
				   row->ttl_s);
			break;
		case NAME_MANY: put_many(a, atoi(row->value)); break;
		case NAME_UNKNOWN: *rcode_out = 3; break;
		case NAME_FAILS: *rcode_out = 2; break;
		case NAME_GARBAGE:
			put(a, "\xff\xff\xff\xff\xc0\x0c\xc0", 7);
			a->records += 700;
			break;
		case NAME_SILENT: return false;
		}
	}
	return true;
}

static bool reply(struct nameserver *n, const unsigned char *question, size_t len, bool by_tcp,
		  struct answer *a)
{
	char name[256];
	const unsigned char *behind;
	int rcode = 0;

	a->len = 0;
	a->records = 0;
	if (len < 17)
		return false;
	behind = read_name(question + 12, question + len, name);
	pthread_mutex_lock(&n->lock);
	if (n->asked_count < ASKED_MAX)
		snprintf(n->asked[n->asked_count++], 256, "%s", name);
	pthread_mutex_unlock(&n->lock);
	put(a, question, 2);
	put16(a, 0x8180);
	put16(a, 1);
	put16(a, 0);
	put16(a, 0);
	put16(a, 0);
	put(a, question + 12, (size_t)(behind + 4 - question) - 12);
	if (!fill(n, a, name, type_text((unsigned int)behind[0] << 8 | behind[1]), &rcode))
		return false;
	a->bytes[3] |= (unsigned char)rcode;
	a->bytes[6] = (unsigned char)(a->records >> 8);
	a->bytes[7] = (unsigned char)a->records;
	if (!by_tcp && a->len > 512) { /* truncated: ask again by TCP */
		a->bytes[2] |= 2;
		a->bytes[6] = a->bytes[7] = 0;
		a->len = (size_t)(behind + 4 - question);
	}
	return true;
}

static void serve_udp(struct nameserver *n, struct answer *a)
{
	unsigned char question[1024];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t got = recvfrom(n->udp, question, sizeof(question), 0, (struct sockaddr *)&from,
			       &from_len);

	if (got > 0 && reply(n, question, (size_t)got, false, a))
		(void)sendto(n->udp, a->bytes, a->len, 0, (struct sockaddr *)&from, from_len);
}

static void serve_tcp(struct nameserver *n, struct answer *a)
{
	unsigned char question[1024], prefix[2];
	int fd = accept(n->tcp, NULL, NULL);

	if (fd < 0)
		return;
	if (recv(fd, prefix, 2, MSG_WAITALL) == 2) {
		size_t len = (size_t)prefix[0] << 8 | prefix[1];

		if (len <= sizeof(question) &&
		    recv(fd, question, len, MSG_WAITALL) == (ssize_t)len &&
		    reply(n, question, len, true, a)) {
			prefix[0] = (unsigned char)(a->len >> 8);
			prefix[1] = (unsigned char)a->len;
			(void)send(fd, prefix, 2, MSG_NOSIGNAL);
			(void)send(fd, a->bytes, a->len, MSG_NOSIGNAL);
		}
	}
	close(fd);
}

static void *run(void *arg)
{
	struct nameserver *n = arg;
	struct answer *a = mem_zalloc(sizeof(*a));
	struct pollfd fds[3] = {{.fd = n->udp, .events = POLLIN},
				{.fd = n->tcp, .events = POLLIN},
				{.fd = n->wake[0], .events = POLLIN}};

	while (poll(fds, 3, -1) >= 0 && fds[2].revents == 0) {
		if (fds[0].revents != 0)
			serve_udp(n, a);
		if (fds[1].revents != 0)
			serve_tcp(n, a);
	}
	mem_free(a);
	return NULL;
}

/* UDP and TCP at the same port. */
static void listen_at(struct nameserver *n, bool v6)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *at = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = v6 ? sizeof(in6) : sizeof(in);
	int port = 0;

	for (int tries = 0; tries < 50; tries++) {
		in.sin_port = in6.sin6_port = 0;
		n->tcp = socket(at->sa_family, SOCK_STREAM, 0);
		n->udp = socket(at->sa_family, SOCK_DGRAM, 0);
		ck_assert_int_eq(bind(n->tcp, at, len), 0);
		ck_assert_int_eq(getsockname(n->tcp, at, &len), 0);
		port = ntohs(v6 ? in6.sin6_port : in.sin_port);
		if (bind(n->udp, at, len) == 0)
			break;
		close(n->tcp);
		close(n->udp);
	}
	ck_assert_int_eq(listen(n->tcp, 10), 0);
	snprintf(n->address, sizeof(n->address), v6 ? "[::1]:%d" : "127.0.0.1:%d", port);
}

struct nameserver *nameserver_start(const struct nameserver_row *rows, size_t count, bool v6)
{
	struct nameserver *n = mem_zalloc(sizeof(*n));

	n->rows = rows;
	n->count = count;
	pthread_mutex_init(&n->lock, NULL);
	listen_at(n, v6);
	ck_assert_int_eq(pipe(n->wake), 0);
	ck_assert_int_eq(pthread_create(&n->thread, NULL, run, n), 0);
	return n;
}

void nameserver_stop(struct nameserver **nameserver)
{
	struct nameserver *n = *nameserver;

	if (n == NULL)
		return;
	close(n->wake[1]);
	pthread_join(n->thread, NULL);
	close(n->wake[0]);
	close(n->udp);
	close(n->tcp);
	pthread_mutex_destroy(&n->lock);
	mem_free(n);
	*nameserver = NULL;
}

const char *nameserver_address(const struct nameserver *nameserver)
{
	return nameserver->address;
}

int nameserver_asked(struct nameserver *n, const char *text)
{
	int count = 0;

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < n->asked_count; i++)
		count += strcasestr(n->asked[i], text) != NULL ? 1 : 0;
	pthread_mutex_unlock(&n->lock);
	return count;
}
