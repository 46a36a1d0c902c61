/* relay/deliver/trouble.c - what kind of trouble kept mail from being delivered */
#include "relay/deliver/trouble.h"

#include <string.h>

#include <stddef.h>

#include "base/err.h"

const char *trouble_name(enum trouble trouble)
{
	switch (trouble) {
	case TROUBLE_NONE:
	case TROUBLE_COUNT: break;
	case TROUBLE_REFUSED: return "refused";
	case TROUBLE_PUT_OFF: return "put_off";
	case TROUBLE_NETWORK: return "network";
	case TROUBLE_TIMEOUT: return "timeout";
	case TROUBLE_TLS: return "tls";
	case TROUBLE_PROTOCOL: return "protocol";
	case TROUBLE_CONFIGURATION: return "configuration";
	case TROUBLE_POLICY: return "policy";
	case TROUBLE_NO_MAIL: return "no_mail";
	case TROUBLE_LOOP: return "loop";
	case TROUBLE_LOCAL: return "local";
	}
	return NULL;
}

enum trouble trouble_of_name(const char *name)
{
	for (int i = TROUBLE_REFUSED; name != NULL && i <= TROUBLE_LOCAL; i++)
		if (strcmp(trouble_name((enum trouble)i), name) == 0)
			return (enum trouble)i;
	return TROUBLE_NONE;
}

enum trouble trouble_of_code(int code)
{
	switch (code) {
	case ERR_OK: return TROUBLE_NONE;
	case ERR_TIMEOUT: return TROUBLE_TIMEOUT;
	case ERR_SYNTAX:
	case ERR_LIMIT: return TROUBLE_PROTOCOL;
	case ERR_UNSUPPORTED: return TROUBLE_CONFIGURATION;
	/* The guard stopped our own side. */
	case ERR_DENIED: return TROUBLE_LOCAL;
	default: return TROUBLE_NETWORK;
	}
}

enum trouble trouble_of_reply(int code)
{
	/* RFC 4954 6: 530 a login is needed, 534, 535 and 538 this one does not do. */
	if (code == 530 || code == 534 || code == 535 || code == 538)
		return TROUBLE_CONFIGURATION;
	if (code >= 400 && code <= 499)
		return TROUBLE_PUT_OFF;
	return code >= 500 && code <= 599 ? TROUBLE_REFUSED : TROUBLE_PROTOCOL;
}

const char *trouble_status(enum trouble trouble, bool connected)
{
	switch (trouble) {
	case TROUBLE_NETWORK:
	case TROUBLE_TIMEOUT: return connected ? "4.4.2" : "4.4.1";
	case TROUBLE_TLS: return "4.7.5";
	case TROUBLE_PROTOCOL: return "4.5.0";
	case TROUBLE_CONFIGURATION: return "4.3.5";
	case TROUBLE_NO_MAIL: return "5.1.10"; /* RFC 7505 3 */
	case TROUBLE_LOOP: return "5.4.6";
	case TROUBLE_LOCAL: return "4.3.0";
	case TROUBLE_POLICY: return "4.7.1";
	case TROUBLE_REFUSED:
	case TROUBLE_PUT_OFF:
	case TROUBLE_COUNT:
	case TROUBLE_NONE: break;
	}
	return NULL;
}
