/* relay/webhook/signature.h - who receives a webhook can tell that we sent it, and when */
#ifndef STAGEPOST_RELAY_WEBHOOK_SIGNATURE_H
#define STAGEPOST_RELAY_WEBHOOK_SIGNATURE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define SIGNATURE_KEY_MIN 16
#define SIGNATURE_KEY_MAX 512

/*
 * The key that a secret stands for (www.standardwebhooks.com): "whsec_" and
 * base64 is those bytes, any other text is itself. Appended to `key_out`, whose
 * ceiling is at least SIGNATURE_KEY_MAX. The sentence never shows the secret.
 */
int signature_key(struct span secret, struct buf *key_out, struct err *why);

/* "v1," and the base64 of the HMAC-SHA-256 of "id.seconds.body"; with its NUL. */
#define SIGNATURE_TEXT_SIZE 48
void signature_make(struct span key, const char *id, int64_t seconds, struct span body,
		    char text_out[SIGNATURE_TEXT_SIZE]);

#endif
