/* relay/config_check_tls.c - what listeners say: keys that need each other, and files of TLS */
#include <openssl/ssl.h>

#include "base/clock.h"
#include "relay/config_read.h"
#include "relay/loop/credential.h"

#define DAY_MS	   ((int64_t)86400000)
#define EXPIRES_MS (14 * DAY_MS)

/* A mapping of the document, and a context that takes what is good. */
struct place {
	struct config_reader *reader;
	const struct document_node *node;
	const char *path;
	SSL_CTX *context;
};

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static void add_note(const struct place *at, bool warning, const char *key, const char *sentence)
{
	const struct document_node *node = document_find(at->node, span_of(key));

	config_report_add(at->reader->report, warning, node != NULL ? node : at->node,
			  arena_printf(at->reader->scratch, "%s.%s", at->path, key), "%s",
			  sentence);
}

static void warn_of_pair(const struct place *at, const struct credential *credential,
			 const char *certificate_key)
{
	int64_t left = credential_expires_at(credential) - clock_wall_ms();
	struct err text;

	if (left < EXPIRES_MS) {
		err_set(&text, 0, "the certificate expires in %d days", (int)(left / DAY_MS));
		add_note(at, true, certificate_key, text.text);
	}
}

static void check_pair(const struct place *at, const char *certificate, const char *key,
		       const char *certificate_key)
{
	struct credential *credential;
	struct err why;

	if (!is_given(certificate)) /* a mistake of its own */
		return;
	if (credential_load(certificate, key, &credential, &why) != ERR_OK) {
		add_note(at, false, certificate_key, why.text);
		return;
	}
	if (credential_use(credential, at->context, &why) != ERR_OK)
		add_note(at, false, certificate_key, why.text);
	else
		warn_of_pair(at, credential, certificate_key);
	credential_free(&credential);
}

static void check_pairs(const struct place *at, const struct listener_options *listener)
{
	const struct document_node *list = document_find(at->node, span_of("certificates"));

	if (!is_given(listener->tls_certificate) && is_given(listener->tls_key))
		add_note(at, false, "tls_key", "a key without tls_certificate");
	check_pair(at, listener->tls_certificate, listener->tls_key, "tls_certificate");
	for (size_t i = 0; i < listener->certificate_count; i++) {
		struct place item = *at;

		item.node = document_item(list, i);
		item.path = arena_printf(at->reader->scratch, "%s.certificates.%zu", at->path, i);
		check_pair(&item, listener->certificates[i].certificate,
			   listener->certificates[i].key, "certificate");
	}
}

static void check_clients(const struct place *at, const struct listener_options *listener)
{
	bool has_ca = is_given(listener->tls_client_ca);
	struct err why;

	if (listener->tls_client == LISTENER_TLS_CLIENT_OFF) {
		if (has_ca)
			add_note(at, true, "tls_client_ca",
				 "has no effect while tls_client is off");
		if (listener->tls_client_scope_count > 0)
			add_note(at, true, "tls_client_scopes",
				 "has no effect while tls_client is off");
	} else if (!has_ca) {
		add_note(at, false, "tls_client", "tls_client_ca is missing");
	} else if (credential_trust(at->context, listener->tls_client_ca, &why) != ERR_OK) {
		add_note(at, false, "tls_client_ca", why.text);
	}
}

/* RFC 2033 5: a client that expects SMTP there would not know LMTP's answers apart. */
static void check_protocol(const struct place *at, const struct listener_options *listener)
{
	struct span address = span_of(listener->address);
	size_t colon = span_find_last(address, ':');

	if (listener->protocol == LISTENER_LMTP && span_is(span_skip(address, colon), ":25"))
		add_note(at, false, "protocol", "lmtp is not for port 25 (RFC 2033)");
}

static void check_listener(const struct place *at, const struct listener_options *listener)
{
	check_protocol(at, listener);
	if (listener->tls == LISTENER_TLS_NONE) {
		if (listener->tls_client != LISTENER_TLS_CLIENT_OFF)
			add_note(at, false, "tls_client", "needs tls: starttls or implicit");
		return;
	}
	check_pairs(at, listener);
	check_clients(at, listener);
}

void config_check_listeners(struct config_reader *reader, const struct config *config,
			    const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("listeners"));

	for (size_t i = 0; i < config->listener_count; i++) {
		struct place at = {
			.reader = reader,
			.node = document_item(list, i),
			.path = arena_printf(reader->scratch, "listeners.%zu", i),
			.context = SSL_CTX_new(TLS_server_method()),
		};

		if (at.node != NULL && at.context != NULL)
			check_listener(&at, &config->listeners[i]);
		SSL_CTX_free(at.context);
	}
}
