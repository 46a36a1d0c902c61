/* tests/unit/admin/fixture.h - a running API over a real store in a temporary folder */
#ifndef STAGEPOST_TESTS_UNIT_ADMIN_FIXTURE_H
#define STAGEPOST_TESTS_UNIT_ADMIN_FIXTURE_H

#include <jansson.h>

#include "admin/admin.h"
#include "base/ulid.h"
#include "queue/store.h"
#include "relay/filter/whitelist.h"
#include "tests/unit/admin/client.h"

#define FIXTURE_STREAMS 3
#define FIXTURE_WAITS	2

struct fixture {
	char dir[64];
	char socket[96];
	char token[64]; /* of the role admin */
	struct store *store;
	struct whitelist *whitelist;
	struct faults *faults;
	struct rules *rules;
	struct admin *admin;
};

void fixture_start(struct fixture *fixture);
/* The API only, over the same store. */
void fixture_restart_admin(struct fixture *fixture);
void fixture_stop(struct fixture *fixture);

/* Store a message for the addresses (NULL-terminated); "drop:" in front of one: dropped. */
struct ulid fixture_message(struct fixture *fixture, const char *sender, const char *scope,
			    const char *bytes, size_t len, const char *const *addresses);

struct answer {
	int status;
	json_t *json; /* NULL: no JSON body */
	char etag[64];
	char location[128];
};

/*
 * One request on a connection of its own. `token`: NULL sends none; over TCP,
 * or over the unix socket when it is "socket". `body`: JSON text or NULL. `extra`: header lines
 * with their CRLF, or "".
 */
void ask_with(struct fixture *fixture, const char *token, const char *method, const char *path,
	      const char *body, const char *extra, struct answer *answer_out);
/* As the admin; asserts the status; returns the JSON (json_decref it) or NULL. */
json_t *ask(struct fixture *fixture, int status, const char *method, const char *path,
	    const char *body);
void answer_free(struct answer *answer);

const char *text_of(const json_t *object, const char *key);
json_int_t number_of(const json_t *object, const char *key);

#endif
