/* relay/smtp/description.h - what is stored of a message beside its bytes and recipients */
#ifndef STAGEPOST_RELAY_SMTP_DESCRIPTION_H
#define STAGEPOST_RELAY_SMTP_DESCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/span.h"
#include "queue/message.h"
#include "relay/smtp/smtp.h"

/* Where the header ends. All zero to begin with. */
struct header_end {
	int64_t size;	      /* up to and including the empty line; 0: not seen yet */
	int64_t seen;	      /* private: octets of whole lines and of the one under way */
	unsigned line_octets; /* private: of the line under way, 3 stands for more */
};

/* The next bytes of the message, with canonical line ends. */
void header_end_look(struct header_end *end, struct span bytes);

/* Whose description it is. All is borrowed and outlives the message. */
struct description {
	const struct smtp_client *client;
	const struct smtp_options *options;
	struct arena *arena; /* what the message points to */
	const char *id;
	const char *forwarded; /* NULL: nothing */
	bool smtputf8;	       /* MAIL carried it */
	const char *recipient; /* the only one, or NULL, as struct received has it */
};

/*
 * What the message says of itself. `head` is its beginning, all of the header
 * unless that is over the limits, when it counts as not parsed. Returns the
 * number of hops (RFC 5321 6.3).
 */
size_t description_read(const struct description *description, struct span head,
			int64_t header_size, struct new_message *message);
/* Who brought it, and what we put in front of it; after description_read. */
void description_complete(const struct description *description, struct span head,
			  const struct smtp_data_facts *facts, struct new_message *message);

#endif
