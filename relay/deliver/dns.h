/* relay/deliver/dns.h - one question to the name servers, in a thread that may wait */
#ifndef STAGEPOST_RELAY_DELIVER_DNS_H
#define STAGEPOST_RELAY_DELIVER_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

#define DNS_ANSWER_MAX	65536
#define DNS_SERVERS_MAX 3

/* Borrowed: "127.0.0.1", "127.0.0.1:5353", "[::1]:53"; none: the system's. */
struct dns_servers {
	const char *const *addresses;
	size_t count;
};

/* False: that is no such address; IPv6 needs brackets. Port 53 where there is none. */
bool dns_server_parse(const char *text, struct sockaddr_storage *server_out);

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_MX = 15, DNS_AAAA = 28 };

/*
 * Ask and wait: some seconds a server at most, and by TCP when the answer is
 * long. ERR_OK with the whole answer (`len` 0: there is no such record of this
 * name), ERR_NOT_FOUND: no such name, ERR_TIMEOUT: no answer, or one that says
 * "not now", ERR_IO: anything else.
 */
int dns_ask(const struct dns_servers *servers, const char *name, enum dns_type type,
	    unsigned char answer_out[DNS_ANSWER_MAX], size_t *len_out, struct err *why);

/* A record of an answer, in turn. */
struct dns_record {
	enum dns_type type; /* any number */
	uint32_t ttl_s;
	const unsigned char *data;
	size_t data_len;
};
struct dns_reader {
	const unsigned char *start, *at, *end;
	size_t left; /* records */
};
/* False: that is no answer. */
bool dns_reader_init(struct dns_reader *reader, const unsigned char *answer, size_t len);
/* False: there is no further one, or nothing that can be read. Class IN only. */
bool dns_next(struct dns_reader *reader, struct dns_record *record_out);
/*
 * The name that begins at `at`, in the form of host names without the last
 * dot; "" is the root. False: it is none, or no host name: letters, digits,
 * hyphens, underscores, and not a number at the end.
 */
bool dns_host_name(const struct dns_reader *reader, const unsigned char *at, char name_out[256]);

#endif
