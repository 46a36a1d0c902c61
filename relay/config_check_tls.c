/* relay/config_check_tls.c - what listeners say, and the API's: keys that need each other, and
 * files of TLS */
#include <openssl/ssl.h>

#include "relay/config_read.h"
#include "relay/loop/credential.h"

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static void check_pair(const struct config_place *at, SSL_CTX *context, const char *certificate,
		       const char *key, const char *certificate_key)
{
	struct credential *credential;
	struct err why;

	if (!is_given(certificate)) /* a mistake of its own */
		return;
	if (credential_load(certificate, key, &credential, &why) != ERR_OK) {
		config_place_add(at, false, certificate_key, why.text);
		return;
	}
	if (credential_use(credential, context, &why) != ERR_OK)
		config_place_add(at, false, certificate_key, why.text);
	else
		config_place_warn_of_end(at, certificate_key, credential_expires_at(credential));
	credential_free(&credential);
}

static void check_pairs(const struct config_place *at, SSL_CTX *context,
			const struct listener_options *listener)
{
	const struct document_node *list = document_find(at->node, span_of("certificates"));

	if (!is_given(listener->tls_certificate) && is_given(listener->tls_key))
		config_place_add(at, false, "tls_key", "a key without tls_certificate");
	check_pair(at, context, listener->tls_certificate, listener->tls_key, "tls_certificate");
	for (size_t i = 0; i < listener->certificate_count; i++) {
		struct config_place item = *at;

		item.node = document_item(list, i);
		item.path = arena_printf(at->reader->scratch, "%s.certificates.%zu", at->path, i);
		check_pair(&item, context, listener->certificates[i].certificate,
			   listener->certificates[i].key, "certificate");
	}
}

static void check_clients(const struct config_place *at, SSL_CTX *context,
			  const struct listener_options *listener)
{
	bool has_ca = is_given(listener->tls_client_ca);
	struct err why;

	if (listener->tls_client == LISTENER_TLS_CLIENT_OFF) {
		if (has_ca)
			config_place_add(at, true, "tls_client_ca",
					 "has no effect while tls_client is off");
		if (listener->tls_client_scope_count > 0)
			config_place_add(at, true, "tls_client_scopes",
					 "has no effect while tls_client is off");
	} else if (!has_ca) {
		config_place_add(at, false, "tls_client", "tls_client_ca is missing");
	} else if (credential_trust(context, listener->tls_client_ca, &why) != ERR_OK) {
		config_place_add(at, false, "tls_client_ca", why.text);
	}
}

/* RFC 2033 5: a client that expects SMTP there would not know LMTP's answers apart. */
static void check_protocol(const struct config_place *at, const struct listener_options *listener)
{
	struct span address = span_of(listener->address);
	size_t colon = span_find_last(address, ':');

	if (listener->protocol == LISTENER_LMTP && span_is(span_skip(address, colon), ":25"))
		config_place_add(at, false, "protocol", "lmtp is not for port 25 (RFC 2033)");
}

static void check_listener(const struct config_place *at, SSL_CTX *context,
			   const struct listener_options *listener)
{
	check_protocol(at, listener);
	if (listener->tls == LISTENER_TLS_NONE) {
		if (listener->tls_client != LISTENER_TLS_CLIENT_OFF)
			config_place_add(at, false, "tls_client",
					 "needs tls: starttls or implicit");
		return;
	}
	check_pairs(at, context, listener);
	check_clients(at, context, listener);
}

void config_check_listeners(struct config_reader *reader, const struct config *config,
			    const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("listeners"));

	for (size_t i = 0; i < config->listener_count; i++) {
		struct config_place at = {
			.reader = reader,
			.node = document_item(list, i),
			.path = arena_printf(reader->scratch, "listeners.%zu", i),
		};
		SSL_CTX *context = SSL_CTX_new(TLS_server_method()); /* takes what is good */

		if (at.node != NULL && context != NULL)
			check_listener(&at, context, &config->listeners[i]);
		SSL_CTX_free(context);
	}
}

void config_check_admin(struct config_reader *reader, const struct config *config,
			const struct document_node *root)
{
	const struct admin_options *admin = &config->admin;
	struct config_place at = {
		.reader = reader,
		.node = document_find(root, span_of("admin")),
		.path = "admin",
	};
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!is_given(admin->tls_certificate) && is_given(admin->tls_key))
		config_place_add(&at, false, "tls_key", "a key without tls_certificate");
	if (is_given(admin->tls_certificate) && !is_given(admin->listen))
		config_place_add(&at, true, "tls_certificate",
				 "has no effect without admin.listen");
	if (context != NULL)
		check_pair(&at, context, admin->tls_certificate, admin->tls_key, "tls_certificate");
	SSL_CTX_free(context);
}
