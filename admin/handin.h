/* admin/handin.h - a message that comes by the API, and the door of the relay it goes through */
#ifndef STAGEPOST_ADMIN_HANDIN_H
#define STAGEPOST_ADMIN_HANDIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "queue/message.h"
#include "relay/mail/address.h"

/* Who hands in. Borrowed for the call. */
struct handin_from {
	const char *address; /* "127.0.0.1", "::1", "unix" */
	const char *actor;   /* "token:ci": stands where an SMTP client's login would */
	const char *scope;   /* "" for none */
	int64_t size;	     /* of the message, as far as it is announced; -1: not known */
};

/* What an SMTP client would have been answered. */
struct handin_answer {
	int code;	     /* 250, 452, 550, … */
	char text[12 + 400]; /* with the enhanced code in front */
};

/* How a hand-in ends. Both are called at most once, `storing` not after a refusal. */
struct handin_end {
	/* Inside finish: all is decided, and what is added to it is stored with it. */
	void (*storing)(void *ctx, struct new_message *message);
	/* settle may be called. Any thread, perhaps inside of finish. */
	void (*finished)(void *ctx);
	void *ctx;
};

/*
 * The same acceptance as by SMTP, which the daemon fills in: limits, verdicts,
 * rules, faults, the store. In the order in which they stand here; one thread
 * at a time; none blocks. A hand-in ends by exactly one of settle and abort.
 */
struct handin_ops {
	/* Limits in force now: octets of a message, recipients. */
	void (*limits)(void *ctx, int64_t *bytes_out, size_t *recipients_out);
	/* NULL: refused with *answer_out. `sender` may be the null path. */
	void *(*begin)(void *ctx, const struct handin_from *from, const struct address *sender,
		       struct handin_answer *answer_out);
	/* False: this one is refused with *answer_out. */
	bool (*recipient)(void *handin, const struct address *address,
			  struct handin_answer *answer_out);
	/* Bytes are next. False: refused with *answer_out. */
	bool (*content)(void *handin, struct handin_answer *answer_out);
	/* Any line ends. True: call `wait` before the next. */
	bool (*data)(void *handin, struct span bytes);
	/* `ready` is called, in another thread, when there is room or nothing to wait for. */
	void (*wait)(void *handin, void (*ready)(void *ctx), void *ctx);
	void (*finish)(void *handin, const struct handin_end *end);
	/*
	 * How it ended: *answer_out, and the store's code where it was asked (ERR_CONFLICT:
	 * queue/handin.h). Frees the hand-in.
	 */
	int (*settle)(void *handin, struct handin_answer *answer_out);
	void (*abort)(void *handin);
};

/* --- inside admin/ --- */

struct call;

#define HANDIN_PARAMS	"sender recipient scope"
#define HANDIN_BODY_MAX (((size_t)1 << 30) - 1) /* whatever smtp.max_message_size says */

/*
 * POST /messages with its header complete: whoever may not hand it in is
 * answered now, and a raw message goes to the relay as it comes.
 */
void handin_begin(struct call *call, size_t *body_limit_out);
void handle_message_create(struct call *call);

/* What large JSON bodies hold together is bounded; shared by all requests. */
struct handin_room {
	_Atomic uint64_t bytes;
};

#endif
