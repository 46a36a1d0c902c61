/* relay/mail/address.h - one mailbox, as an envelope names it (RFC 5321 4.1.2, 6531) */
#ifndef STAGEPOST_RELAY_MAIL_ADDRESS_H
#define STAGEPOST_RELAY_MAIL_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define ADDRESS_LOCAL_MAX  64  /* RFC 5321 4.5.3.1.1 */
#define ADDRESS_DOMAIN_MAX 255 /* RFC 5321 4.5.3.1.2 */
/* "local@domain" and a NUL; a quoted local part is counted with its quotes. */
#define ADDRESS_TEXT_SIZE (ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX + 1)

/*
 * What kind of mailbox it is. Only ADDRESS_PLAIN can be matched by a domain,
 * sub-domain, glob or `*` entry; ADDRESS_LISTED_ONLY can be delivered when an
 * exact entry names it; ADDRESS_UNSAFE is accepted, stored and never
 * delivered (DESIGN 4.6).
 */
enum address_form {
	ADDRESS_NULL,	     /* <>: reverse-path only */
	ADDRESS_POSTMASTER,  /* <postmaster> without a domain (RFC 5321 4.1.1.3); unsafe to deliver
			      */
	ADDRESS_PLAIN,	     /* dot-atom of [A-Za-z0-9._+-] starting with alnum, >= 2 LDH labels */
	ADDRESS_LISTED_ONLY, /* dot-atom with other atext, a single label, an xn-- that is no
				A-label */
	ADDRESS_UNSAFE /* quoted or non-ASCII local part, literal, source route, domain ending in
			  a number (resolvers may take it for an IPv4 address) */
};

/*
 * A plain value: copy it with `=`; there is nothing to free. `local` is what
 * was written (a quoted string keeps its quotes and has needless quoting
 * removed from pairs only); `domain` is an A-label domain in the spelling
 * given (U-labels are converted and then lower case), or "[literal]".
 */
struct address {
	char local[ADDRESS_LOCAL_MAX + 1];
	char domain[ADDRESS_DOMAIN_MAX + 1];
	enum address_form form;
	bool quoted;	   /* the local part is a quoted string */
	bool literal;	   /* the domain is an address literal */
	bool source_route; /* "@a,@b:" stood in front; it is dropped, but remembered */
	bool utf8;	   /* the local part holds non-ASCII (RFC 6531) */
	bool utf8_domain;  /* the domain was given with U-labels */
};

enum address_path { ADDRESS_REVERSE_PATH, ADDRESS_FORWARD_PATH };

/*
 * Parse "<...>" exactly (RFC 5321 Path, with the angle brackets, nothing
 * around them). `<>` only as reverse-path, `<postmaster>` only as
 * forward-path. Returns ERR_OK, ERR_SYNTAX or ERR_LIMIT (local part > 64,
 * label > 63, domain > 253, path > 256 octets, as given or as printed); on
 * failure `why` says what is wrong and *address_out is untouched. Any thread.
 */
int address_parse_path(struct span text, enum address_path kind, struct address *address_out,
		       struct err *why);

/*
 * Parse `local@domain` without brackets, route or blanks: the same grammar
 * inside. "postmaster" alone is taken too, so that every print but that of
 * the null path ("", refused here) parses again.
 */
int address_parse(struct span text, struct address *address_out, struct err *why);

/*
 * The canonical print: parse(print(parse(x))) is the same mailbox and the text
 * is a fixed point. The null path prints as "". This is the string that is
 * judged and the string that is sent. A dropped source route is not in it: who
 * parses the print again judges the mailbox alone (as RFC 5321 3.6.1 allows).
 */
void address_format(const struct address *address, char text_out[ADDRESS_TEXT_SIZE]);

/* Whitelist key: the print, ASCII-folded throughout. */
void address_key(const struct address *address, char text_out[ADDRESS_TEXT_SIZE]);

/* Same mailbox for us: domains without regard to ASCII case, local parts byte by byte. */
bool address_equal(const struct address *a, const struct address *b);

/*
 * A host name to its lower-case A-label form (IDNA2008 through libidn2).
 * Labels are LDH, 1..63 octets, no hyphen at either end, no number (decimal or
 * 0x) at the end, no xn-- that is not an A-label, 253 octets in all, no
 * trailing dot. Used by whitelist patterns, routes and configuration alike.
 */
int domain_to_ascii(struct span text, char text_out[ADDRESS_DOMAIN_MAX + 1], struct err *why);

#endif
