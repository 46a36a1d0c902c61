/* tests/unit/admin/stream.h - a reader of server-sent events */
#ifndef STAGEPOST_TESTS_UNIT_ADMIN_STREAM_H
#define STAGEPOST_TESTS_UNIT_ADMIN_STREAM_H

#include <jansson.h>

#include "tests/unit/admin/fixture.h"

struct stream {
	int fd;
	char *head; /* of the reply */
	int status;
	char *text; /* what came and was not looked at yet */
	size_t len;
	size_t chunk; /* octets of the chunk under way that are still to come */
	bool ended;   /* by its last chunk */
	int angles;   /* how many `<` came */
	/* of the last event: */
	char id[64];
	char type[32];
	json_t *data;
};

/*
 * GET /api/v1/events`query` ("" or "?types=…") as `token` ("socket": the unix socket), with
 * `last` as Last-Event-ID unless it is NULL.
 */
void stream_open(struct stream *stream, struct fixture *fixture, const char *token,
		 const char *query, const char *last);
void stream_close(struct stream *stream);

/* The next event; asserts that one comes within 10 s. */
void stream_next(struct stream *stream);
/* The next one must be of that type. */
void stream_expect(struct stream *stream, const char *type);
/* Events until one of that type has come; returns how many there were before it. */
size_t stream_skip_to(struct stream *stream, const char *type);
/* It ends in order, within 10 s, and nothing comes before that. */
void stream_expect_end(struct stream *stream);

#endif
