/* relay/deliver/hop_tls.c - TLS towards the next hops of one route: whom to trust, what to show,
 * sessions to resume
 */
#include "relay/deliver/hop_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/deliver/hop_session.h"
#include "relay/loop/credential.h"
#include "relay/mail/address.h"

/* RSA and DH of 2048 bits, no SHA-1 (RFC 9325 4.1). */
#define SECURITY_LEVEL 2

struct hop_tls {
	SSL_CTX *context;
	struct hop_demand demand;
	struct hop_pin *pins;
	struct hop_sessions *sessions;
	bool shows_certificate;
};

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* --- what OpenSSL calls -------------------------------------------------------------------- */

static int on_certificate(X509_STORE_CTX *store, void *arg)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct hop_tls_talk *talk = SSL_get_app_data(ssl);
	int error;

	if (talk == NULL)
		return 0;
	if (hop_certificate_judge(store, &talk->tls->demand, talk->name, &talk->judgement)) {
		/* It is in the judgement; a failure of another kind must not be put down to it. */
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	talk->refused = true;
	error = X509_STORE_CTX_get_error(store);
	if (error == X509_V_OK)
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* Returns 0: the session stays OpenSSL's, ours is a copy. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct hop_tls_talk *talk = SSL_get_app_data(ssl);

	if (talk != NULL && SSL_SESSION_is_resumable(session))
		hop_sessions_put(talk->tls->sessions, talk->host, session, &talk->judgement,
				 clock_mono_ms());
	return 0;
}

static void on_info(const SSL *ssl, int where, int value)
{
	struct hop_tls_talk *talk = SSL_get_app_data(ssl);
	bool is_fatal = value >> 8 == SSL3_AL_FATAL;

	if (talk == NULL || (where & SSL_CB_ALERT) == 0 || !is_fatal || talk->alert != 0)
		return;
	talk->alert = value & 0xff;
	talk->alert_was_ours = (where & SSL_CB_WRITE) != 0;
}

/* --- one route ---------------------------------------------------------------------------------
 */

static int set_trust(struct hop_tls *tls, const struct route_options *route,
		     struct hop_tls_notes *notes, const char **key_out, struct err *why)
{
	*key_out = "tls_ca";
	if (is_given(route->tls_ca))
		return hop_certificate_trust(SSL_CTX_get_cert_store(tls->context), route->tls_ca,
					     &notes->ca_expired, why);
	/* A folder of small files with hashed names: looked at when a handshake needs one. */
	if (SSL_CTX_set_default_verify_paths(tls->context) != 1)
		return err_set(why, ERR_IO, "the system's authorities can't be used");
	return ERR_OK;
}

static int set_revoked(struct hop_tls *tls, const struct route_options *route,
		       struct hop_tls_notes *notes, const char **key_out, struct err *why)
{
	*key_out = "tls_crl";
	if (!is_given(route->tls_crl))
		return ERR_OK;
	return hop_certificate_distrust(SSL_CTX_get_cert_store(tls->context), route->tls_crl,
					&notes->crl_expired, why);
}

static int set_certificate(struct hop_tls *tls, const struct route_options *route,
			   struct hop_tls_notes *notes, const char **key_out, struct err *why)
{
	struct credential *credential;
	int code;

	*key_out = "tls_certificate";
	if (!is_given(route->tls_certificate)) {
		*key_out = "tls_key";
		return is_given(route->tls_key)
			       ? err_set(why, ERR_SYNTAX, "a key without tls_certificate")
			       : ERR_OK;
	}
	code = credential_load(route->tls_certificate, route->tls_key, &credential, why);
	if (code != ERR_OK)
		return code;
	code = credential_use(credential, tls->context, why);
	notes->certificate_at = credential_expires_at(credential);
	credential_free(&credential);
	tls->shows_certificate = true;
	return code;
}

static int set_pins(struct hop_tls *tls, const struct route_options *route, const char **key_out,
		    struct err *why)
{
	*key_out = "tls_pin";
	tls->pins = mem_array(route->tls_pin_count + 1, sizeof(*tls->pins));
	for (size_t i = 0; i < route->tls_pin_count; i++) {
		int code = hop_pin_parse(span_of(route->tls_pins[i]), &tls->pins[i], why);

		if (code != ERR_OK)
			return code;
	}
	tls->demand = (struct hop_demand){
		.any = route->tls == ROUTE_TLS_OPPORTUNISTIC,
		.verify = route->tls_verify,
		.pins = tls->pins,
		.pin_count = route->tls_pin_count,
	};
	return ERR_OK;
}

static int set_context(struct hop_tls *tls, const char **key_out, struct err *why)
{
	*key_out = "tls";
	tls->context = SSL_CTX_new(TLS_client_method());
	if (tls->context == NULL ||
	    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1)
		return err_set(why, ERR_IO, "TLS can't be set up");
	SSL_CTX_set_security_level(tls->context, SECURITY_LEVEL);
	/* Verified in all modes, and judged by us. */
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(tls->context, on_certificate, NULL);
	SSL_CTX_set_info_callback(tls->context, on_info);
	SSL_CTX_set_session_cache_mode(tls->context,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls->context, on_session);
	return ERR_OK;
}

int hop_tls_new(const struct route_options *route, struct hop_tls **tls_out,
		struct hop_tls_notes *notes_out, const char **key_out, struct err *why)
{
	struct hop_tls *tls = mem_zalloc(sizeof(*tls));
	struct hop_tls_notes notes = {.ca_expired = false};
	int code;

	tls->sessions = hop_sessions_new();
	code = set_context(tls, key_out, why);
	if (code == ERR_OK)
		code = set_trust(tls, route, &notes, key_out, why);
	if (code == ERR_OK)
		code = set_revoked(tls, route, &notes, key_out, why);
	if (code == ERR_OK)
		code = set_certificate(tls, route, &notes, key_out, why);
	if (code == ERR_OK)
		code = set_pins(tls, route, key_out, why);
	ERR_clear_error();
	if (code != ERR_OK) {
		hop_tls_free(&tls);
		return code;
	}
	*tls_out = tls;
	*notes_out = notes;
	return ERR_OK;
}

void hop_tls_free(struct hop_tls **tls)
{
	if (*tls == NULL)
		return;
	SSL_CTX_free((*tls)->context);
	hop_sessions_free(&(*tls)->sessions);
	mem_free((*tls)->pins);
	mem_free(*tls);
	*tls = NULL;
}

/* --- one connection ------------------------------------------------------------------------ */

/* What SNI and certificates say is the A-label form (RFC 6066 3). An address stays as it is. */
static void choose_name(struct hop_tls_talk *talk, const struct route_host *host)
{
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	struct err why;

	if (domain_to_ascii(span_of(host->name), ascii, &why) == ERR_OK)
		snprintf(talk->name, sizeof(talk->name), "%s", ascii);
	else
		snprintf(talk->name, sizeof(talk->name), "%s", host->name);
	snprintf(talk->host, sizeof(talk->host), "%s:%s", talk->name, host->port);
}

int hop_tls_begin(struct hop_tls_talk *talk, struct hop_tls *tls, const struct route_host *host,
		  struct stream *far, int64_t handshake_ms, size_t *discarded_out, struct err *why)
{
	struct stream_tls_client client = {
		.context = tls->context, .app_data = talk, .handshake_ms = handshake_ms};
	int code;

	*talk = (struct hop_tls_talk){.tls = tls};
	choose_name(talk, host);
	client.name = talk->name;
	client.session =
		hop_sessions_take(tls->sessions, talk->host, clock_mono_ms(), &talk->judgement);
	talk->offered = client.session != NULL;
	code = stream_start_tls_as_client(far, &client, discarded_out, why);
	SSL_SESSION_free(client.session);
	return code;
}

void hop_tls_secured(struct hop_tls_talk *talk, const struct stream *far)
{
	const struct hop_judgement *j = &talk->judgement;
	const char *resumed = SSL_session_reused(stream_tls(far)) == 1 ? ", resumed" : "";
	const char *pinned = j->pinned ? ", pinned" : "";
	const char *description = stream_tls_description(far);

	if (j->verified)
		snprintf(talk->facts, sizeof(talk->facts), "%s, verified%s%s", description, pinned,
			 resumed);
	else
		snprintf(talk->facts, sizeof(talk->facts), "%.80s%s%s, not verified: %s",
			 description, pinned, resumed, j->fault);
}

/* RFC 8446 6.2: what the next hop says when it does not like what we showed, or that we did not. */
static bool is_about_our_certificate(int alert)
{
	return (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
	       alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED ||
	       alert == SSL_AD_CERTIFICATE_REQUIRED;
}

static void explain_alert(const struct hop_tls_talk *talk, const char *why, struct err *out)
{
	const char *words = talk->alert == SSL_AD_CERTIFICATE_REQUIRED
				    ? "certificate required" /* unknown to OpenSSL 3.0 */
				    : SSL_alert_desc_string_long(talk->alert);

	if (talk->alert == SSL_AD_PROTOCOL_VERSION && talk->alert_was_ours)
		err_set(out, 0, "no common version of TLS: the next hop offers none from 1.2 on");
	else if (talk->alert == SSL_AD_PROTOCOL_VERSION)
		err_set(out, 0, "no common version of TLS: the next hop refuses 1.2 and 1.3");
	else if (talk->alert_was_ours)
		err_set(out, 0, "%.200s", why);
	else if (is_about_our_certificate(talk->alert) && !talk->tls->shows_certificate)
		err_set(out, 0, "the next hop wants a client certificate (tls_certificate): %s",
			words);
	else if (is_about_our_certificate(talk->alert))
		err_set(out, 0, "the next hop does not take our client certificate: %s", words);
	else
		err_set(out, 0, "the next hop refuses TLS: %s", words);
}

const char *hop_tls_explain(const struct hop_tls_talk *talk, const char *why,
			    struct err *sentence_out)
{
	if (talk->refused)
		err_set(sentence_out, 0, "%s", talk->judgement.fault);
	else if (talk->alert != 0)
		explain_alert(talk, why, sentence_out);
	else
		return why;
	return sentence_out->text;
}

bool hop_tls_blames_session(struct hop_tls_talk *talk)
{
	bool blamed = talk->tls != NULL && talk->offered && !talk->refused;

	if (blamed)
		hop_sessions_forget(talk->tls->sessions, talk->host);
	return blamed;
}

void hop_tls_end(struct hop_tls_talk *talk, const struct stream *far)
{
	SSL *ssl = far != NULL ? stream_tls(far) : NULL;

	if (ssl != NULL)
		SSL_set_app_data(ssl, NULL);
	talk->tls = NULL;
}
