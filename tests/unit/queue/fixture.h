/* tests/unit/queue/fixture.h - a store in a folder of its own, and short ways to say things to it
 */
#ifndef STAGEPOST_TESTS_UNIT_QUEUE_FIXTURE_H
#define STAGEPOST_TESTS_UNIT_QUEUE_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "queue/act.h"
#include "queue/delivery.h"
#include "queue/message.h"
#include "queue/reader.h"
#include "queue/store.h"

#define NOW 1800000000000 /* "now" in these tests */

/* What the store told its owner. */
struct watch {
	_Atomic int due;
	_Atomic int fatal;
};

struct fixture {
	char dir[64];
	struct watch watch;
	struct store_options options;
	struct store *store;
	struct store_reader *reader;
};

/* Open in a new folder / close, keep the folder and open again / close and remove the folder. */
void fixture_open(struct fixture *f);
void fixture_open_with(struct fixture *f, const struct store_options *options); /* and its dir */
void fixture_reopen(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_remove(struct fixture *f);

/* A body of `size` octets that tells its place: octet i depends on i and on `seed`. */
struct body *make_body(struct store *store, int64_t size, unsigned seed);
/* ERR_OK when the stored bytes of `id` are exactly those. */
int check_body(struct store_reader *reader, const struct ulid *id, int64_t size, unsigned seed);

/* Accept one message; recipients "r0@example.com" … in `state`. Returns the job's code. */
int accept_one(struct store *store, int64_t size, unsigned seed, size_t recipients,
	       enum state state, struct ulid *id_out);
/* The same, 4096 octets with the seed 1; must succeed. */
struct ulid accept_as(struct fixture *f, size_t recipients, enum state state);
/* In state queued, due at NOW. */
struct ulid accept_queued(struct fixture *f, size_t recipients);

/* Must succeed. The caller frees claim.arena. */
struct claim claim_at(struct fixture *f, int64_t now, size_t max);
/* Expects that nothing is due; returns when something will be. */
int64_t claim_nothing(struct fixture *f, int64_t now);
/* Claims everything and expects it to be exactly one recipient. */
struct claimed_recipient claim_single_at(struct fixture *f, int64_t now);
struct claimed_recipient claim_single(struct fixture *f); /* at NOW */
/* A new store whose only recipient was queued, and is claimed now. */
struct claimed_recipient open_claimed(struct fixture *f, struct ulid *id_out);

/* Returns `lost`; must succeed. */
size_t settle_as(struct fixture *f, int64_t recipient, int64_t lease, enum transition outcome);

/* Fills in who and when; returns the job's code. */
int act_on(struct fixture *f, const struct ulid *id, enum transition transition,
	   struct act *act_out);

/* A message with everything, strings in `arena`. */
struct message_view show(struct fixture *f, const struct ulid *id, struct arena *arena);
enum state state_of(struct fixture *f, const struct ulid *id, size_t recipient);

/* Run SQL on a connection of its own, as a person with the sqlite3 tool would. */
void run_sql(const char *dir, const char *sql);
/* The one number a statement answers. */
int64_t ask_sql(const char *dir, const char *sql);

#endif
