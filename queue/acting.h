/* queue/acting.h - what a person does to one recipient; private to queue/ */
#ifndef STAGEPOST_QUEUE_ACTING_H
#define STAGEPOST_QUEUE_ACTING_H

#include "queue/act.h"
#include "queue/writer.h"

/* A recipient as it is before the act. */
struct subject {
	int64_t id;
	const char *address;
	enum state state;
	enum wish wish;
	int64_t events;
};

/* The columns of one, and taking them; the address is kept in `arena`. */
#define SUBJECT_COLUMNS " id, address, state, wish, events"
void subject_take(struct query *query, struct arena *arena, struct subject *subject_out);
/* RFC 5321 2.4: local parts byte by byte, domains without regard to case. */
bool subject_is(const struct subject *subject, const char *address);

/* What is asked, of however many. Borrowed strings. */
struct order {
	enum transition transition; /* TRANSITION_RETRY, _HOLD, _RELEASE or _CANCEL */
	const char *actor;
	const char *reason; /* NULL: who did it */
	int64_t now;
	const struct act_judge *judge;
	int64_t entry;	/* release only what this entry of the whitelist lets go; 0: any */
	const char *to; /* release: to this mailbox instead; NULL: to whom it was for */
	/* order_apply's own: of the message it came to last */
	int64_t message;
	bool has_pairs;
};

enum effect {
	EFFECT_REFUSED,
	EFFECT_CHANGED,
	EFFECT_WISHED,
	EFFECT_PASSED /* not what was asked for: order.entry does not let it go */
};

/* In the writer. Returns ERR_OK also when it is refused: then *why tells the reason. */
int order_apply(struct store *store, struct order *order, const struct subject *subject,
		const char *scope, enum effect *effect_out, struct err *why);

#endif
