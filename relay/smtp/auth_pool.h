/* relay/smtp/auth_pool.h - threads that hash passwords, so that no loop waits for it */
#ifndef STAGEPOST_RELAY_SMTP_AUTH_POOL_H
#define STAGEPOST_RELAY_SMTP_AUTH_POOL_H

#include <stdbool.h>

#include "base/crew.h"
#include "base/err.h"
#include "relay/loop/loop.h"
#include "relay/wire/network.h"

/*
 * A hash takes some 20 ms of a processor. There are as many threads as there
 * are processors for it, four at most. Clients (peer_address_unit) take turns:
 * who has many jobs waiting does not hold up who has one. Beyond
 * AUTH_POOL_WAITING jobs a thread, half of all of them from one client, a job
 * is not taken.
 */
#define AUTH_POOL_THREADS_MAX 4
#define AUTH_POOL_WAITING     64

struct auth_pool;

/* Embedded in what is to be done. The pool's from submit until `done` runs. */
struct auth_job {
	struct crew_job job;		   /* first; private */
	void (*run)(struct auth_job *job); /* in a thread of the pool */
	struct loop *loop;		   /* it outlives the job */
	struct loop_task done;		   /* runs in that loop afterwards */
	struct peer_address peer;	   /* whose job it is */
	struct auth_pool *pool;		   /* private */
};

/* ERR_IO when threads can't be had. */
int auth_pool_new(struct auth_pool **pool_out, struct err *why);
/* No job may be under way. */
void auth_pool_free(struct auth_pool **pool);

/* Any thread. False: too many are waiting, the job was not taken. */
bool auth_pool_submit(struct auth_pool *pool, struct auth_job *job);

#endif
