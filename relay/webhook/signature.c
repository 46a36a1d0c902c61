/* relay/webhook/signature.c - who receives a webhook can tell that we sent it, and when */
#include "relay/webhook/signature.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/secret.h"
#include "queue/webhook.h"
#include "relay/wire/base64.h"

#define PREFIX "whsec_"

int signature_key(struct span secret, struct buf *key_out, struct err *why)
{
	struct span coded = span_skip(secret, sizeof(PREFIX) - 1);
	size_t before = key_out->len;
	int code;

	if (secret.len > SIGNATURE_KEY_MAX)
		return err_set(why, ERR_LIMIT, "a secret has at most %d octets", SIGNATURE_KEY_MAX);
	if (span_is(span_first(secret, sizeof(PREFIX) - 1), PREFIX))
		code = base64_decode(coded, key_out);
	else
		code = buf_append_span(key_out, secret);
	if (code != ERR_OK)
		return err_set(why, ERR_SYNTAX, "behind " PREFIX " base64 was expected");
	if (key_out->len - before >= SIGNATURE_KEY_MIN)
		return ERR_OK;
	buf_truncate(key_out, before);
	return err_set(why, ERR_LIMIT, "a secret has at least %d octets", SIGNATURE_KEY_MIN);
}

void signature_make(struct span key, const char *id, int64_t seconds, struct span body,
		    char text_out[SIGNATURE_TEXT_SIZE])
{
	unsigned char digest[SECRET_SHA256_BYTES];
	struct buf text;
	int code;

	buf_init(&text, WEBHOOK_BODY_MAX + 100);
	code = buf_printf(&text, "%s.%" PRId64 ".", id, seconds);
	if (code == ERR_OK)
		code = buf_append_span(&text, body);
	assert(code == ERR_OK);
	secret_hmac_sha256(key, buf_span(&text), digest);
	buf_clear(&text);
	code = base64_encode(span_make((const char *)digest, sizeof(digest)), &text);
	assert(code == ERR_OK);
	snprintf(text_out, SIGNATURE_TEXT_SIZE, "v1,%s", text.data);
	buf_release(&text);
}
