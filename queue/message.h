/* queue/message.h - what the queue stores of a message, and the verb that accepts one */
#ifndef STAGEPOST_QUEUE_MESSAGE_H
#define STAGEPOST_QUEUE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/ulid.h"
#include "queue/state.h"
#include "queue/store.h"

#define BODY_CHUNK_BYTES (256 * 1024)

/* What a judgement said, kept beside each recipient (DESIGN P4). Borrowed strings. */
struct ruling {
	const char *verdict; /* "deliver", "drop", "hold", "redirect", "reject" */
	const char *reason;  /* a sentence: "allowed by alice@example.com", "no entry allows it" */
	int64_t entry;	     /* the whitelist entry that decided, 0 for none */
	int64_t revision;    /* of the list that was asked */
	const char *nearest; /* the entry that nearly matched, or NULL */
	const char *redirect_to; /* "redirect": who stands for it, as address_format(); or NULL */
	const char *rule;	 /* the name of the rule that decided, or NULL */
};

/* What is known of the policy hook's word on a recipient. Stored as these numbers. */
enum permit {
	PERMIT_NONE = 0,    /* not asked, or no word yet */
	PERMIT_ALLOWED = 1, /* it may go where the list lets it, or a person decides (held by it) */
	PERMIT_OVERRIDE = 2, /* the same although no entry of the list names it */
	PERMIT_EXPIRED = 3   /* no word in all the time there was: delivery tells the sender */
};

struct new_recipient {
	const char *address; /* address_format() of what was judged */
	/* STATE_QUEUED, _HELD, _DROPPED, _REDIRECTED or _SCREENING. All that are queued are due
	 * when the message was received, at once, so that they are claimed together and share
	 * transactions. */
	enum state state;
	struct ruling ruling;
	const char *notify;  /* RFC 3461 NOTIFY value or NULL */
	const char *orcpt;   /* RFC 3461 ORCPT value (xtext, as given) or NULL */
	const char *fault;   /* what a fault rule decided (relay/filter/fate.h) or NULL */
	const char *command; /* RCPT as the client wrote it, or NULL */
	enum permit permit;
	const char *hop; /* the hook's next hop, "host:port", or NULL */
	/*
	 * Why it is there beside the envelope: "redirect" (it stands for recipients
	 * that are redirected), "release" (a person had it sent there). NULL: as the message's.
	 */
	const char *origin;
};

struct handin;

/* Everything about a message but its bytes. Borrowed until `done`. NULL strings are allowed unless
 * said. */
/* The protocol of a message that came by the API; its user is who handed it in. */
#define MESSAGE_HANDED_IN "HTTP"

struct new_message {
	struct ulid id;
	int64_t received_at;
	const char *sender;  /* "" for <>; never NULL */
	int64_t size;	     /* octets as stored */
	int64_t header_size; /* octets up to and including the empty line */
	bool header_parsed;  /* false: over the limits, header policy fails closed */
	bool body_8bit;
	bool smtputf8;
	const char *envid;
	const char *ret;
	int64_t bare_cr; /* line ends that were made canonical */
	int64_t bare_lf;
	const char *listener; /* where it came in */
	const char *scope;    /* "" for none; never NULL */
	const char *client_address;
	int client_port;
	const char *client_name;
	const char *helo;
	const char *protocol; /* "ESMTP", "SMTP", "ESMTPS", ... (RFC 3848), MESSAGE_HANDED_IN */
	const char *user;
	const char *tls;
	const char *certificate_subject; /* the client's, when it was verified (RFC 4514) */
	const char *certificate_sha256;	 /* its fingerprint, lower-case hexadecimal */
	/* For the policy hook; read back by queue/screen.h only. */
	const char *certificate;	 /* the client's, PEM, verified or not; or NULL */
	const char *certificate_verdict; /* "SUCCESS", "NONE", "FAILED:reason"; NULL: none was
					    asked for */
	const char *proxied; /* the PROXY header's "address port own-address own-port"; or NULL */
	const char *subject; /* decoded for display, valid UTF-8, cut at 1 KiB */
	const char *message_id;
	const char *received_field;  /* our Received: field with its CRLF, put in front of what
					leaves; never NULL */
	const char *added_fields;    /* more of that kind, put behind it (smtp.fixups); or NULL */
	const char *command;	     /* MAIL as the client wrote it, or NULL */
	const char *origin;	     /* NULL, "bounce", "redirect", "test", "selftest" */
	int64_t removed_at;	     /* when retention took the content away; 0: it is there */
	const struct handin *handin; /* it came by the API (queue/handin.h); or NULL */
	const struct new_recipient *recipients;
	size_t recipient_count; /* at least 1 */
};

/*
 * The bytes of a message on their way into the store. One owner, one thread;
 * full chunks go to the writer as they fill, so a large message never holds
 * more than a few chunks in memory.
 */
struct body;

/* on_room (may be NULL) is called in the writer thread when a backed-up body has room again. */
struct body *body_new(struct store *store, void (*on_room)(void *ctx), void *ctx);
/* Copies. Always takes all of it; then ask body_is_backed_up() and stop reading if so. */
void body_append(struct body *body, struct span bytes);
bool body_is_backed_up(const struct body *body);
int64_t body_size(const struct body *body);
/* Bytes held in memory now (counts against smtp.memory). */
int64_t body_held_bytes(const struct body *body);
/*
 * The first bytes, up to HEADER_BYTES_MAX: kept in memory so that the header
 * can be parsed before accept. Valid until the body is given away.
 */
struct span body_head(const struct body *body);
/* Throw it away (RSET, disconnect, refused); staged rows are removed in time. */
void body_free(struct body **body);

/*
 * Accept: message, recipients, rulings and bytes become durable together, or
 * nothing does. code ERR_OK, ERR_FULL (452 4.3.1), ERR_BUSY (451 4.3.0),
 * ERR_FATAL (421), ERR_CONFLICT (struct handin only). The body is taken.
 */
struct accept {
	struct store_job job; /* first */
	const struct new_message *message;
	struct body *body; /* taken; NULL afterwards */
};
void queue_accept(struct store *store, struct store_job *job);

#endif
