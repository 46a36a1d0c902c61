/* relay/deliver/keyring.h - what routes log in with: fetched, and hashed, beside the loops */
#ifndef STAGEPOST_RELAY_DELIVER_KEYRING_H
#define STAGEPOST_RELAY_DELIVER_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/crew.h"
#include "base/err.h"
#include "relay/deliver/deliver.h"
#include "relay/loop/loop.h"
#include "relay/wire/sasl.h"

#define KEY_COMMAND_MS (10 * 1000)     /* so long a token_command may take */
#define KEY_FRESH_MS   (5 * 60 * 1000) /* so long what it printed is used */

/* Two threads, one for what is quick and one for commands, and the SASL library. */
struct keyring;
struct keyring *keyring_new(void);
/* No job may be under way. */
void keyring_free(struct keyring **keyring);
const struct sasl_library *keyring_sasl(const struct keyring *keyring);

/* Embedded in what is to be done. The keyring's from submit until `done` runs. */
struct keyring_job {
	struct crew_job job; /* first; private */
	void (*run)(struct keyring_job *job);
	struct loop *loop;     /* it outlives the job */
	struct loop_task done; /* runs in that loop afterwards */
};

/*
 * What one route logs in with, in one version of the options: a secret that
 * stays (route->secret), a token_file that is read again when it has changed, or a
 * token_command whose answer is used again for KEY_FRESH_MS after a server took it, until one
 * refuses it.
 */
struct key;
/* Any thread. `route`, with a user's name, and `keyring` outlive it. */
struct key *key_new(struct keyring *keyring, const struct route_options *route);
/* No job of it may be under way. */
void key_free(struct key **key);
const struct keyring *key_ring(const struct key *key);
/* It is a token, not a password. */
bool key_is_token(const struct route_options *route);
/* Any thread: what is to be done for a login with this key, off the loop. */
void key_submit(struct key *key, struct keyring_job *job);
/*
 * Inside such a job only: append the secret. `refused` is what a server said no
 * to, empty: nothing was tried yet; when there is no other by now, the same comes again.
 * ERR_IO, ERR_TIMEOUT: `why` has the reason without any secret.
 */
int key_fetch(struct key *key, struct span refused, struct buf *secret_out, struct err *why);
/* Any thread: a server took what was fetched last, or refused it. */
void key_judged(struct key *key, bool good);

/*
 * The first line of a file with a secret, without its line end; appended. ERR_DENIED:
 * everybody may read it; ERR_SYNTAX: there is nothing in it, or what no secret holds; ERR_IO.
 */
int key_read_file(const char *path, struct buf *secret_out, struct err *why);
/* Can it be sent as password or (`is_token`) as bearer token? `why` never holds it. */
int key_check(struct span secret, bool is_token, struct err *why);

#endif
