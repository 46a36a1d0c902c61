/* relay/smtp/reverse.h - the host name of a client's address, looked up off the loops
 *
 * A name counts when its own addresses hold the client's (forward-confirmed); it is shown and
 * decides nothing. The system's look-ups can't be cancelled: a few threads wait in them, each with
 * a short line, and a client's banner waits for its name no longer than REVERSE_WAIT_MS. While all
 * threads hang in look-ups older than that nobody is made to wait at all.
 */
#ifndef STAGEPOST_RELAY_SMTP_REVERSE_H
#define STAGEPOST_RELAY_SMTP_REVERSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "relay/loop/loop.h"
#include "relay/wire/network.h"

#define REVERSE_WAIT_MS	  2000
#define REVERSE_NAME_SIZE 256

/* How a name is found; may block, in any thread. False: there is none that counts. */
struct reverse_source {
	bool (*look_up)(void *ctx, const struct peer_address *address,
			char name_out[REVERSE_NAME_SIZE]);
	void *ctx;
};
/* getnameinfo() and getaddrinfo(), whatever they are told to ask by nsswitch.conf(5). */
extern const struct reverse_source reverse_system;

struct reverse;
/* ERR_IO when threads can't be had. `source` is copied. */
int reverse_new(const struct reverse_source *source, struct reverse **reverse_out, struct err *why);
/*
 * Every query has been answered or forgotten. Waits a second at most: a thread
 * that still hangs is left alone, and touches nothing but its own afterwards.
 */
void reverse_free(struct reverse **reverse);

struct reverse_asker {
	struct loop *loop; /* it outlives the reverse */
	/* In the loop's thread, once; the query is gone. `name` is "" for none. */
	void (*on_answer)(void *ctx, const char *name);
	void *ctx;
};
struct reverse_query;
/* The loop's thread. NULL: there is no name for such an address, or nobody free to look. */
struct reverse_query *reverse_ask(struct reverse *reverse, const struct peer_address *address,
				  const struct reverse_asker *asker);
/* The loop's thread: no answer is wanted any more. NULL is fine. */
void reverse_forget(struct reverse_query **query);

/* May it be shown as a host name: letters, digits, '.', '-', and no number that reads as one. */
bool reverse_is_name(struct span name);

#endif
