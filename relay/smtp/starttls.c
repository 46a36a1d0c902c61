/* relay/smtp/starttls.c - a session goes into TLS, at once or by STARTTLS (RFC 3207, RFC 8314) */
#include "relay/smtp/starttls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "relay/loop/credential.h"
#include "relay/smtp/auth.h"

#define HANDSHAKE_MAX_MS 30000 /* S067: all of it, however the octets trickle */
#define CERTIFICATE_MAX	 (16 * 1024)

static int64_t handshake_ms(const struct smtp_session *session)
{
	int64_t command_ms = options_of(session)->command_timeout_ms;

	return command_ms < HANDSHAKE_MAX_MS ? command_ms : HANDSHAKE_MAX_MS;
}

static const struct tls_server *own_tls(const struct smtp_session *session)
{
	return version_tls(session->version, session->listener);
}

static bool is_in_tls(const struct smtp_session *session)
{
	return stream_tls(session->stream) != NULL;
}

static void log_refused(const struct smtp_session *session, const char *reason)
{
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address), LOG_S("reason", reason));
}

/* --- who the client is ----------------------------------------------------- */

/* RFC 4514, which leaves nothing but printable ASCII. A longer one than fits is as good as none. */
static void note_subject(const X509 *x509, struct smtp_client *client)
{
	BIO *text = BIO_new(BIO_s_mem());
	char *data;
	long len;

	if (text != NULL &&
	    X509_NAME_print_ex(text, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253) >= 0) {
		len = BIO_get_mem_data(text, &data);
		if (len > 0 && (size_t)len < sizeof(client->subject)) {
			memcpy(client->subject, data, (size_t)len);
			client->subject[len] = '\0';
		}
	}
	BIO_free(text);
}

static char *print_certificate(X509 *x509)
{
	BIO *text = BIO_new(BIO_s_mem());
	char *pem = NULL;
	char *data;
	long len;

	if (text != NULL && PEM_write_bio_X509(text, x509) == 1) {
		len = BIO_get_mem_data(text, &data);
		if (len > 0 && len <= CERTIFICATE_MAX)
			pem = mem_span_dup(span_make(data, (size_t)len));
	}
	BIO_free(text);
	return pem;
}

/* For a script that decides by itself whom it trusts (policy.hook). */
static void note_verdict(struct smtp_session *session, X509 *x509, long verdict)
{
	struct smtp_client *client = &session->client;

	if (listener_of(session)->tls_client == LISTENER_TLS_CLIENT_OFF)
		return;
	if (x509 == NULL)
		(void)snprintf(client->verdict, sizeof(client->verdict), "NONE");
	else if (verdict == X509_V_OK)
		(void)snprintf(client->verdict, sizeof(client->verdict), "SUCCESS");
	else
		(void)snprintf(client->verdict, sizeof(client->verdict), "FAILED:%s",
			       X509_verify_cert_error_string(verdict));
	if (x509 != NULL)
		client->certificate = print_certificate(x509);
}

/* Only what a signer we were told to trust vouches for is written down. */
static void note_certificate(struct smtp_session *session, SSL *tls)
{
	X509 *x509 = SSL_get1_peer_certificate(tls);
	long verdict = SSL_get_verify_result(tls);

	starttls_forget_client(session);
	note_verdict(session, x509, verdict);
	if (x509 != NULL && verdict == X509_V_OK) {
		note_subject(x509, &session->client);
		credential_fingerprint(x509, session->client.fingerprint);
		session->certified = true;
	} else if (x509 != NULL) {
		log_info("certificate", LOG_S("session", session->client.session),
			 LOG_S("client", session->client.address),
			 LOG_S("problem", X509_verify_cert_error_string(verdict)));
	}
	X509_free(x509);
	ERR_clear_error();
}

void starttls_forget_client(struct smtp_session *session)
{
	session->client.subject[0] = '\0';
	session->client.fingerprint[0] = '\0';
	session->client.verdict[0] = '\0';
	mem_free(session->client.certificate);
	session->client.certificate = NULL;
}

/* "AB:CD:…" or "abcd…" against our own spelling. */
static bool is_fingerprint(const char *text, const char *fingerprint)
{
	for (; *fingerprint != '\0'; text++) {
		if (*text == ':')
			continue;
		if (ascii_lower(*text) != *fingerprint++)
			return false;
	}
	return *text == '\0';
}

const char *starttls_scope(const struct smtp_session *session)
{
	const struct listener_options *listener = listener_of(session);
	const struct smtp_client *client = &session->client;

	for (size_t i = 0; client->fingerprint[0] != '\0' && i < listener->tls_client_scope_count;
	     i++) {
		const struct tls_client_scope *row = &listener->tls_client_scopes[i];

		if (is_fingerprint(row->client, client->fingerprint) ||
		    (client->subject[0] != '\0' && strcmp(row->client, client->subject) == 0))
			return row->scope;
	}
	return NULL;
}

bool starttls_refuses_mail(struct smtp_session *session)
{
	const struct listener_options *listener = listener_of(session);

	if (listener->tls_client != LISTENER_TLS_CLIENT_REQUIRED || session->certified)
		return false;
	if (!is_in_tls(session)) {
		session_refuse(session, 530, "5.7.0", "Must issue a STARTTLS command first");
		return true;
	}
	log_refused(session, "no trusted client certificate");
	session_refuse(session, 530, "5.7.0",
		       "A client certificate that is trusted here is wanted");
	return true;
}

/* --- the handshake --------------------------------------------------------- */

/* Its own deadline runs; that of commands begins anew behind it. */
static void wait_for_handshake(struct smtp_session *session)
{
	session->phase = PHASE_SECURING;
	session->deadline_set = false;
	stream_deadline(session->stream, 0);
}

/* RFC 3207 4.2: what was said in clear may have been said by anybody. */
static void forget_clear_text(struct smtp_session *session)
{
	session->stage = STAGE_START;
	session_reset(session);
	session->client.helo[0] = '\0';
	session->client.esmtp = false;
	auth_forget(session);
}

void starttls_secured(struct smtp_session *session)
{
	const char *description = stream_tls_description(session->stream);

	(void)snprintf(session->client.tls, sizeof(session->client.tls), "%s", description);
	handshakes_add(&session->house->counters->handshakes, stream_tls(session->stream));
	note_certificate(session, stream_tls(session->stream));
	if (session->greeted)
		forget_clear_text(session);
	session_name_listener(session);
	log_debug("secured", LOG_S("session", session->client.session),
		  LOG_S("client", session->client.address), LOG_S("tls", session->client.tls),
		  LOG_S("certificate", session->client.subject));
	if (session->greeted)
		session->phase = PHASE_COMMAND;
	else
		opening_secured(session);
}

void starttls_failed(struct smtp_session *session, const char *why)
{
	handshakes_add_failed(&session->house->counters->handshakes);
	log_refused(session, why);
}

void starttls_begin_implicit(struct smtp_session *session)
{
	struct ssl_ctx_st *context = tls_server_context(own_tls(session));
	struct err why;

	if (stream_take_tls(session->stream, context, handshake_ms(session), &why) != ERR_OK) {
		starttls_failed(session, why.text);
		session_close(session, why.text);
		return;
	}
	wait_for_handshake(session);
}

/* --- the verb -------------------------------------------------------------- */

bool starttls_is_offered(const struct smtp_session *session)
{
	return listener_of(session)->tls == LISTENER_TLS_STARTTLS && !is_in_tls(session);
}

/* Why not now, or NULL. */
static const char *complaint(const struct smtp_session *session)
{
	if (is_in_tls(session))
		return "TLS is in use already";
	if (session->stage == STAGE_START)
		return "Say EHLO first";
	return session->stage != STAGE_READY ? "A mail transaction is under way" : NULL;
}

/* CVE-2011-0411: what stands behind STARTTLS in clear runs nowhere. */
static void report_discarded(struct smtp_session *session, size_t discarded)
{
	if (discarded == 0)
		return;
	atomic_fetch_add(&session->house->counters->injections, 1);
	log_info("discarded", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address),
		 LOG_S("reason", "plaintext behind STARTTLS"), LOG_I("bytes", discarded));
}

void verb_starttls(struct smtp_session *session, struct span argument)
{
	static const char ready[] = "220 2.0.0 Ready to start TLS\r\n";
	const char *problem = complaint(session);
	size_t discarded = 0;
	struct err why;

	if (listener_of(session)->tls == LISTENER_TLS_NONE) {
		session_refuse(session, 502, "5.5.1", "Command not offered here");
		return;
	}
	if (problem != NULL) {
		session_refuse(session, 503, "5.5.1", problem);
		return;
	}
	if (stream_start_tls(session->stream, tls_server_context(own_tls(session)),
			     handshake_ms(session), &discarded, &why) != ERR_OK) {
		starttls_failed(session, why.text);
		session_reply(session, 454, "4.7.0", "TLS not available due to temporary reason");
		return;
	}
	/* The reply's room was seen to before the command was looked at. */
	(void)stream_write_clear(session->stream, span_make(ready, sizeof(ready) - 1));
	report_discarded(session, discarded);
	wait_for_handshake(session);
}
