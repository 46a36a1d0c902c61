/* relay/smtp/version.h - a version of the front's settings, alive while somebody uses it */
#ifndef STAGEPOST_RELAY_SMTP_VERSION_H
#define STAGEPOST_RELAY_SMTP_VERSION_H

#include <stdbool.h>

#include "relay/smtp/listener.h"
#include "relay/wire/network.h"
#include "relay/smtp/tls_server.h"

/* Reference-counted, otherwise constant; any thread. */
struct version {
	struct smtp_settings settings;
	struct networks *networks; /* private: parsed, one set a listener */
	struct networks *trusted;  /* private: the same */
	struct tls_server **tls;   /* private: one a listener, NULL without TLS */
	_Atomic size_t references;
	void (*done)(void *ctx); /* called after the last release; may be NULL */
	void *ctx;
};

/* With one reference. ERR_SYNTAX names the listener and the network, or the certificate's file. */
int version_new(const struct smtp_settings *settings, struct version **version_out,
		struct err *why);
struct version *version_acquire(struct version *version);
void version_release(struct version **version);

/* What the listener shows in handshakes; NULL without TLS. The version must be held meanwhile. */
const struct tls_server *version_tls(const struct version *version, size_t listener);

/* May this address use the listener? */
bool version_admits(const struct version *version, size_t listener,
		    const struct peer_address *peer);

/* Does this address's word on other addresses count there? */
bool version_trusts(const struct version *version, size_t listener,
		    const struct peer_address *peer);

#endif
