/* admin/hygiene.h - is this HTTP request one that can only be read one way? (RFC 9112) */
#ifndef STAGEPOST_ADMIN_HYGIENE_H
#define STAGEPOST_ADMIN_HYGIENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * The HTTP library takes what a strict reader refuses: a length beside a
 * transfer coding, two lengths, no Host or two. What it hands us is judged
 * here, before any route sees it. Pure; spans are borrowed.
 */
struct hygiene {
	struct span method;
	struct span version;
	struct span target; /* as in the request line */
	/* filled by hygiene_header */
	size_t hosts;
	size_t lengths;
	size_t encodings;
	struct span host;
	struct span length;
	struct span encoding;
	bool malformed; /* a name that is no token, or a control byte in a value */
	/* filled by hygiene_check */
	struct span authority; /* of an absolute-form target, else Host */
	struct span path;
	struct span query;	/* without the '?'; data NULL: there is none */
	bool has_body;		/* a length above 0, or chunked */
	bool is_chunked;	/* the length is not known before the end */
	uint64_t content_bytes; /* Content-Length, 0 without one */
};

/* One header line. */
void hygiene_header(struct hygiene *hygiene, struct span name, struct span value);

/*
 * After the last header line. 0: the request is clean. Else the status to
 * refuse it with (400, 501, 505), and a sentence in *detail_out; the
 * connection must be closed then, because where the next request begins is in doubt.
 */
int hygiene_check(struct hygiene *hygiene, const char **detail_out);

/* Is `authority` (host[:port]) one of ours? Names are compared folded, any port will do. */
bool hygiene_host_allowed(struct span authority, const char *const *hosts, size_t host_count);

#endif
