/* queue/act.h - what a person does to recipients: retry, hold, release, cancel, delete */
#ifndef STAGEPOST_QUEUE_ACT_H
#define STAGEPOST_QUEUE_ACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ulid.h"
#include "queue/message.h"
#include "queue/state.h"
#include "queue/store.h"

/* Who would get a message that is released, and what is known of that message. */
struct act_subject {
	int64_t recipient;   /* its number (queue_recipient_ids) */
	const char *address; /* of the recipient, or act.to */
	const char *scope;
};

/*
 * The judgement that release must pass before anything moves. Called in the
 * writer thread for each recipient; fills the ruling (strings live as long
 * as ctx says) and returns true when it may be queued. NULL judge: release is refused.
 */
struct act_judge {
	bool (*judge)(void *ctx, const struct act_subject *subject, struct ruling *ruling_out);
	void *ctx;
};

/* One message, some (or with count 0 all) of its recipients. */
struct act {
	struct store_job job;	    /* first */
	enum transition transition; /* TRANSITION_RETRY, _HOLD, _RELEASE or _CANCEL */
	struct ulid message;
	const char *const *addresses; /* canonical; compared like address_equal: domain folded */
	size_t address_count;
	const char *actor;  /* for the history: "token:name", "socket:uid" */
	const char *reason; /* may be NULL */
	int64_t now;
	const struct act_judge *judge;
	/*
	 * RELEASE: send it to this mailbox instead (canonical, judged instead of
	 * theirs), one copy for all of a message; they become redirected. Refused
	 * when it has it already. NULL: to whom it was for.
	 */
	const char *to;
	/* out */
	size_t changed; /* moved now */
	size_t wished;	/* in flight: a wish was left */
	size_t refused; /* the state or the list does not allow it; job.why tells of the first one
			 */
};
/* ERR_NOT_FOUND: no such message or address; ERR_CONFLICT: nothing changed and something was
 * refused. */
void queue_act(struct store *store, struct store_job *job);

/*
 * Recipients of any messages, by number (queue_recipient_ids): one step of
 * what is asked of many. A step is one short stretch of the writer, so that
 * accepting goes on in between. Each is looked at again here: one that is in
 * none of `states` any more is passed by, and a release is judged now.
 * ERR_OK also when nothing changed. Dry: nothing is done, and what would have
 * been is counted.
 */
#define ACT_STEP_MAX 128
struct act_step {
	struct store_job job;	    /* first */
	enum transition transition; /* as in struct act; so are these */
	const char *actor;
	const char *reason;
	int64_t now;
	const struct act_judge *judge;
	const char *to;
	const int64_t *recipients;
	size_t count;	 /* at most ACT_STEP_MAX */
	unsigned states; /* 1U << STATE_X, several; 0: any */
	bool dry;
	int64_t entry; /* RELEASE only what this entry of the list lets go; 0: any */
	const char
		*about; /* what was asked, as JSON, for the audit: with the first step; or NULL */
	/* out */
	size_t changed, wished, refused;
	size_t passed;	    /* gone, in another state by now, or not for `entry` */
	struct err refusal; /* of the first one that was refused */
};
void queue_act_step(struct store *store, struct store_job *job);

/*
 * Remove a message. ERR_NOT_FOUND; ERR_CONFLICT while a recipient is
 * delivering, unless `when_settled` asks to wait for that: then ERR_OK with
 * `wished`, nothing else of it is sent any more, and it goes with the outcome
 * of the last attempt under way.
 */
struct message_delete {
	struct store_job job; /* first */
	struct ulid message;
	bool when_settled;
	const char *actor;
	int64_t now;
	bool wished; /* out */
};
void queue_message_delete(struct store *store, struct store_job *job);

/* Delivery as a whole or one route (name; NULL: all) stands still; kept over restarts. */
struct pause {
	struct store_job job; /* first */
	const char *route;
	bool paused;
	const char *actor;
	const char *reason; /* of a pause; NULL: none */
	int64_t now;
	bool changed; /* out: it was not so already */
};
void queue_pause(struct store *store, struct store_job *job);
/* Any thread, from memory. */
bool store_is_paused(struct store *store, const char *route);
/* The same, telling who did it and why. A plain value. */
struct pause_view {
	char actor[100];
	char reason[240]; /* "": none was given */
	int64_t paused_at;
};
bool store_pause_view(struct store *store, const char *route, struct pause_view *view_out);

#endif
