/* relay/deliver/trouble.h - what kind of trouble kept mail from being delivered; pure */
#ifndef STAGEPOST_RELAY_DELIVER_TROUBLE_H
#define STAGEPOST_RELAY_DELIVER_TROUBLE_H

#include <stdbool.h>

/* Stored as its name. */
enum trouble {
	TROUBLE_NONE,
	TROUBLE_REFUSED,       /* "refused": the next hop said no for good (5xx) */
	TROUBLE_PUT_OFF,       /* "put_off": it said not now (4xx) */
	TROUBLE_NETWORK,       /* "network": no connection, no name, or it broke */
	TROUBLE_TIMEOUT,       /* "timeout": no answer, or bytes too slowly */
	TROUBLE_TLS,	       /* "tls": no encryption, or nobody we trust */
	TROUBLE_PROTOCOL,      /* "protocol": what it said makes no sense */
	TROUBLE_CONFIGURATION, /* "configuration": a login that is missing or wrong */
	TROUBLE_POLICY,	       /* "policy": the list, a fault rule, what we do not send */
	TROUBLE_NO_MAIL,       /* "no_mail": the domain says that it takes none (null MX) */
	TROUBLE_LOOP,	       /* "loop": its best host is this server */
	TROUBLE_LOCAL,	       /* "local": our own disk, memory or limits */
	TROUBLE_COUNT
};

/* NULL for TROUBLE_NONE. */
const char *trouble_name(enum trouble trouble);
/* TROUBLE_NONE for NULL and what is no name. */
enum trouble trouble_of_name(const char *name);

/* Of a next hop's connection, by the ERR_ code that it ended with. */
enum trouble trouble_of_code(int code);
/* Of a reply that is no yes. A wish for a login, or a refused one, is a mistake of ours. */
enum trouble trouble_of_reply(int code);

/*
 * RFC 3463, for trouble without a reply: "4.4.1". `connected`: there was a
 * connection. NULL: nothing is known.
 */
const char *trouble_status(enum trouble trouble, bool connected);

#endif
