/* relay/hook/certificate.h - what nginx tells a script of a client's certificate */
#ifndef STAGEPOST_RELAY_HOOK_CERTIFICATE_H
#define STAGEPOST_RELAY_HOOK_CERTIFICATE_H

#include "base/buf.h"

/* Each as nginx writes it; empty where there is nothing to tell. */
struct certificate_facts {
	struct buf subject; /* RFC 2253 */
	struct buf issuer;
	struct buf serial;    /* upper-case hexadecimal */
	char fingerprint[41]; /* SHA-1, lower-case hexadecimal */
};

/* `pem` holds one certificate; what can't be read tells nothing. */
void certificate_facts_init(struct certificate_facts *facts, const char *pem);
void certificate_facts_release(struct certificate_facts *facts);

#endif
