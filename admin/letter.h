/* admin/letter.h - a message described in JSON: who, what, which files */
#ifndef STAGEPOST_ADMIN_LETTER_H
#define STAGEPOST_ADMIN_LETTER_H

#include <stddef.h>

#include "admin/call.h"
#include "relay/mail/address.h"
#include "relay/mail/compose.h"

#define LETTER_MEMBERS                                                                             \
	"from to cc bcc reply_to subject text html headers attachments sender recipients scope"

/* Lives in the call's arena and points into its body. */
struct letter {
	struct address sender;
	struct address *recipients; /* each once */
	size_t recipient_count;
	const char *scope;
	struct compose_message message;
};

/*
 * Read call->body. Mistakes are told to the call. `hostname` and `now` are for Message-ID and Date.
 */
void letter_read(struct call *call, const char *hostname, int64_t now, struct letter *letter_out);

#endif
