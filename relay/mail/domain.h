/* relay/mail/domain.h - domain names and address literals (RFC 5321 4.1.2, 4.1.3; RFC 5890) */
#ifndef STAGEPOST_RELAY_MAIL_DOMAIN_H
#define STAGEPOST_RELAY_MAIL_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"
#include "relay/mail/address.h"

#define DOMAIN_LENGTH_MAX 253 /* RFC 1035 2.3.4: 255 on the wire, less the root and one length */
#define DOMAIN_LABEL_MAX  63

/* What the name is made of; all judged on the A-label form that is printed. */
struct domain_shape {
	size_t labels;
	bool utf8;	  /* was given with U-labels (or anything else that is not ASCII) */
	bool numeric_end; /* the last label is a number: resolvers may read an IPv4 address */
	bool false_ace;	  /* an "xn--" label that IDNA2008 does not know as an A-label */
};

/*
 * A host name in LDH labels; ASCII keeps the spelling given, anything with
 * U-labels becomes lower-case A-labels. Returns ERR_OK, ERR_SYNTAX or
 * ERR_LIMIT; on failure the outputs are untouched. Any thread.
 */
int domain_parse(struct span text, char text_out[ADDRESS_DOMAIN_MAX + 1],
		 struct domain_shape *shape_out, struct err *why);

/* What stands between the brackets of an address literal, "IPv6:" tag included. */
bool domain_literal_is_valid(struct span inside);

#endif
