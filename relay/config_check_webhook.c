/* relay/config_check_webhook.c - webhooks: what their texts must look like, and their secrets */
/* In brackets: in quotes it would be relay/config.h. For access. */
#include <config.h>

#include "relay/config_read.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/config.h"
#include "relay/config_print.h"
#include "relay/deliver/keyring.h"
#include "relay/request/request.h"
#include "relay/webhook/signature.h"

#define SECRET_MAX_BYTES 65536 /* of a value, before it is looked at */

int config_check_webhook_url(struct span text, struct err *why)
{
	struct request_target target;

	return request_parse(text, &target, why);
}

int config_check_webhook_event(struct span text, struct err *why)
{
	const char *words[WEBHOOK_EVENTS + 1] = {NULL};
	char quoted[CONFIG_QUOTED_SIZE];
	enum webhook_event event;
	const char *nearest;

	if (webhook_event_parse(text, &event) == ERR_OK)
		return ERR_OK;
	for (size_t i = 0; i < WEBHOOK_EVENTS; i++)
		words[i] = webhook_event_name((enum webhook_event)i);
	nearest = config_word_nearest(words, text);
	return err_set(why, ERR_SYNTAX, "there are no events %s%s%s%s", config_quote(text, quoted),
		       nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
		       nearest != NULL ? "?" : "");
}

/* --- the secret --------------------------------------------------------------------------- */

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static int read_secret(const struct webhook_options *webhook, struct buf *secret, struct err *why)
{
	if (is_given(webhook->secret_file))
		return key_read_file(webhook->secret_file, secret, why);
	if (span_is(span_of(webhook->secret), CONFIG_HIDDEN))
		return err_set(why, ERR_SYNTAX,
			       CONFIG_HIDDEN " is what is shown in place of a secret, not a "
					     "secret");
	return buf_append_text(secret, webhook->secret);
}

static void take_key(const struct config_place *at, struct webhook_options *webhook)
{
	const char *member = is_given(webhook->secret_file) ? "secret_file" : "secret";
	struct buf secret, key;
	struct err why;
	int code;

	if (is_given(webhook->secret) && is_given(webhook->secret_file)) {
		config_place_add(at, false, "secret_file",
				 "there can be only one of secret and secret_file");
		return;
	}
	buf_init(&secret, SECRET_MAX_BYTES);
	buf_init(&key, SIGNATURE_KEY_MAX);
	code = read_secret(webhook, &secret, &why);
	if (code == ERR_OK)
		code = signature_key(buf_span(&secret), &key, &why);
	if (code == ERR_OK)
		webhook->key =
			span_make(arena_span_dup(at->reader->arena, buf_span(&key)), key.len);
	else
		config_place_add(at, false, member, why.text);
	buf_wipe(&secret);
	buf_wipe(&key);
}

static void read_webhook(const struct config_place *at, struct webhook_options *webhook)
{
	for (size_t i = 0; i < webhook->event_count; i++) {
		enum webhook_event event;

		if (webhook_event_parse(span_of(webhook->event_names[i]), &event) == ERR_OK)
			webhook->events |= 1U << event;
	}
	if (is_given(webhook->tls_ca) && access(webhook->tls_ca, R_OK) != 0)
		config_place_add(at, false, "tls_ca", strerror(errno));
	if (is_given(webhook->secret) || is_given(webhook->secret_file))
		take_key(at, webhook);
	else
		config_place_add(at, true, "secret",
				 "requests are not signed: whoever gets them can't tell who sent "
				 "them (set secret or secret_file)");
}

void config_read_webhooks(struct config_reader *reader, struct config *config,
			  const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("webhooks"));
	/* Still ours: nobody else has this version yet. */
	struct webhook_options *items = (struct webhook_options *)(uintptr_t)config->webhooks.items;

	config->webhooks.keep_ms = config->retention.metadata_ms;
	for (size_t i = 0; i < config->webhooks.count; i++) {
		struct config_place at = {reader, document_item(list, i),
					  arena_printf(reader->scratch, "webhooks.%zu", i)};

		if (at.node != NULL && !config_report_has(reader->report, at.path))
			read_webhook(&at, &items[i]);
	}
}
