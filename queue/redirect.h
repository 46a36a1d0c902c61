/* queue/redirect.h - a recipient that stands for others of its message; private to queue/ */
#ifndef STAGEPOST_QUEUE_REDIRECT_H
#define STAGEPOST_QUEUE_REDIRECT_H

#include "queue/acting.h"

/* One mailbox of a message: the recipient that has it, or where a new one would go. */
struct place {
	bool is_taken;
	struct subject subject; /* when it is; the address in store->scratch */
	int64_t id;		/* else: the number of a new recipient; 0: there is no room */
	int64_t lane;
};

int place_find(struct store *store, int64_t message, const char *address, struct place *place_out,
	       struct err *why);
/*
 * Why nobody would get it there in the place of the recipient `id`: there is no
 * room, or who is there is redirected in turn, and in the end to `id`. NULL: somebody would.
 */
int place_refusal(struct store *store, const struct place *place, int64_t id,
		  const char **sentence_out, struct err *why);
/* A new recipient at a place with room; its story begins with when and by whom it was added. */
int place_fill(struct store *store, const struct place *place,
	       const struct new_recipient *recipient, int64_t now, const char *actor,
	       struct err *why);

#endif
