/* tests/unit/smtp/relay.h - a front door with the intake and a real store behind it */
#ifndef STAGEPOST_TESTS_UNIT_SMTP_RELAY_H
#define STAGEPOST_TESTS_UNIT_SMTP_RELAY_H

#include "relay/filter/policy.h"
#include "relay/smtp/intake.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/smtp/client.h"

struct relay {
	struct fixture queue;
	struct whitelist *list;
	struct policy_options policy; /* drops what is not listed */
	struct intake *intake;
	struct door_rig rig;
	struct arena *arena; /* of the messages that were looked at */
};

/* With the whitelist of CASES 2, or another. Change options behind it, then rig_open. */
void relay_init(struct relay *relay);
void relay_init_with(struct relay *relay, const struct list_row *rows);
void relay_close(struct relay *relay);
/* In the place of rig_open: with a client that has greeted. Both end with relay_part. */
void relay_greet(struct relay *relay, struct client *client);
void relay_part(struct relay *relay, struct client *client);

/* The reply is "250 2.0.0 Ok: queued as <ULID>": the message as the store has it. */
struct message_view relay_taken(struct relay *relay, struct client *client);
/* DATA with this text (lines that need no dot in front), which must be taken like that. */
struct message_view relay_data(struct relay *relay, struct client *client, const char *text);
/* Those bytes are stored, and no others. */
void relay_check_stored(struct relay *relay, const struct message_view *view, struct span want);

#endif
