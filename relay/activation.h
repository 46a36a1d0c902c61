/* relay/activation.h - listening sockets that a service manager opened for us */
#ifndef STAGEPOST_RELAY_ACTIVATION_H
#define STAGEPOST_RELAY_ACTIVATION_H

#include <stddef.h>

#include "base/err.h"
#include "relay/smtp/listener.h"

/*
 * The protocol of sd_listen_fds(3), without libsystemd: LISTEN_PID,
 * LISTEN_FDS, LISTEN_FDNAMES, descriptors from 3 on. Such sockets outlive this
 * process: what connects between two of them waits instead of being refused.
 *
 * One belongs to the listener its name says ("listeners.0"), else to the one
 * whose configured address it is bound to. A listener has at most one.
 */
struct activation {
	struct smtp_given *given;
	size_t count;
};

/*
 * Takes what was handed over, if anything, and forgets the variables: before
 * the first thread, and before anything else opens descriptors for good.
 * ERR_SYNTAX: the variables make no sense. ERR_CONFLICT: a descriptor that is
 * no listening socket, belongs to no listener, or to one that has one.
 */
int activation_take(const struct listener_options *listeners, size_t listener_count,
		    struct activation *activation_out, struct err *why);
/* Closes the descriptors; whoever needs one has made a copy. */
void activation_release(struct activation *activation);

#endif
