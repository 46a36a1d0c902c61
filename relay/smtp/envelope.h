/* relay/smtp/envelope.h - the recipients of one message: each form of a mailbox once, each with its
 * ruling */
#ifndef STAGEPOST_RELAY_SMTP_ENVELOPE_H
#define STAGEPOST_RELAY_SMTP_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "queue/message.h"
#include "relay/filter/fate.h"
#include "relay/filter/judge.h"
#include "relay/filter/whitelist.h"
#include "relay/mail/address.h"
#include "relay/smtp/smtp.h"

/* Embedded; what it points to lives in the arena given. */
struct envelope {
	struct arena *arena;
	uint64_t seed;
	struct new_recipient *recipients;
	size_t count;
	size_t room;	 /* private */
	uint32_t *slots; /* private: hash table of index + 1, twice as long as room */
	bool *routed;	 /* private: given with a source route, which the print does not hold */
	size_t deliver;	 /* how many of each state */
	size_t drop;
	size_t hold;
	size_t redirect;
	size_t screen;
	bool has_special; /* a mailbox that is not plain ASCII stands in it */
};

void envelope_init(struct envelope *envelope, struct arena *arena, uint64_t seed);
void envelope_release(struct envelope *envelope);

/*
 * The same mailbox (address_equal) is there already in the same form (DESIGN
 * 4.6): what stands behind a source route is never sent, and must not keep who
 * is named plainly from being judged.
 */
bool envelope_holds(const struct envelope *envelope, const struct address *address);
/*
 * Add one that is not there yet, in the state its verdict leads to: deliver
 * QUEUED, hold HELD, redirect REDIRECTED, anything else DROPPED. Not for
 * VERDICT_REJECT.
 */
void envelope_add(struct envelope *envelope, const struct smtp_recipient *recipient,
		  const struct verdict *verdict);

/*
 * When all are there: one recipient for all that are redirected to the same
 * mailbox, judged itself, unless the envelope has it already. Where that goes
 * in a circle nobody would get it: one of them is dropped.
 */
void envelope_redirect(struct envelope *envelope, const struct judge_case *at);

/* The policy hook must be asked first about the one added last. */
void envelope_screen(struct envelope *envelope);

/*
 * When the message is known: judge all of them once more. Those that a fault
 * rule lets bounce stay as they are.
 */
void envelope_judge(struct envelope *envelope, const struct judge_case *at);

/*
 * What a fault rule decided for the one added last. A bounce comes true
 * whatever the list says: nothing is sent to the recipient, and without it
 * nobody could test one without letting the mail out.
 */
void envelope_doom(struct envelope *envelope, const struct fate *fate);

#endif
