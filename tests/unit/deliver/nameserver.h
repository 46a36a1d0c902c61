/* tests/unit/deliver/nameserver.h - a DNS server on loopback that answers from a table */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_NAMESERVER_H
#define STAGEPOST_TESTS_UNIT_DELIVER_NAMESERVER_H

#include <stdbool.h>
#include <stddef.h>

enum nameserver_act {
	NAME_HAS,     /* `value`: "10 mx.ok.test", "127.0.0.1", "::1", or another name (CNAME) */
	NAME_UNKNOWN, /* NXDOMAIN */
	NAME_FAILS,   /* SERVFAIL */
	NAME_SILENT,  /* no answer at all */
	NAME_GARBAGE, /* bytes that are no answer, with the right id */
	NAME_MANY,    /* `value` records, "2000": MX hosts by TCP */
};

/* Rows of the same name and type are one answer; a name without a row has none of that type. */
struct nameserver_row {
	const char *name;
	const char *type; /* "MX", "A", "AAAA", "CNAME" (an answer to any question), "*" */
	enum nameserver_act act;
	const char *value;
	unsigned int ttl_s;
};

struct nameserver;
struct nameserver *nameserver_start(const struct nameserver_row *rows, size_t count, bool v6);
void nameserver_stop(struct nameserver **nameserver);
/* "127.0.0.1:port" */
const char *nameserver_address(const struct nameserver *nameserver);
/* Questions for names that hold `text`. */
int nameserver_asked(struct nameserver *nameserver, const char *text);

#endif
