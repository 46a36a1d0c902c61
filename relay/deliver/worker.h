/* relay/deliver/worker.h - threads in which libesmtp holds its dialogue with an uplink */
#ifndef STAGEPOST_RELAY_DELIVER_WORKER_H
#define STAGEPOST_RELAY_DELIVER_WORKER_H

#include "base/channel.h"
#include "base/err.h"
#include "queue/store.h"
#include "relay/deliver/job.h"
#include "relay/filter/whitelist.h"

struct worker;

/*
 * libesmtp's own timeouts are set to this and asserted: above every deadline
 * of an uplink, because a libesmtp that times out while sending leaves a hole
 * in the message and goes on (reference LIBESMTP 0.2).
 */
#define WORKER_TIMEOUT_MS (24L * 3600 * 1000)

/* Starts the thread. It reads the store on a connection of its own, and asks the list about the
 * addresses in headers, and the rules about the message. */
int worker_start(struct store *store, struct whitelist *whitelist, struct rules *rules,
		 struct channel *inbox, struct worker **worker_out, struct err *why);
/* It must be idle. Joins. */
void worker_stop(struct worker **worker);

/*
 * Give it a job and the near end of its socketpair (taken). job->worker_done
 * is sent to the inbox when libesmtp has returned.
 */
void worker_run(struct worker *worker, struct job *job, int fd);

#endif
