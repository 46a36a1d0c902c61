/* relay/smtp/tls_server.c - what a listener shows in a TLS handshake, and asks of the client */
#include "relay/smtp/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "relay/loop/credential.h"

/* RFC 9325 4.2: forward secrecy and authenticated encryption, nothing else. */
#define CIPHERS_12                                                                                 \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                               \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
/*
 * The default has finite-field groups up to 8192 bits: one handshake over them
 * holds a loop up for tens of milliseconds. The first is known from OpenSSL 3.5 on.
 */
#define GROUPS_HYBRID "X25519MLKEM768:" GROUPS
#define GROUPS	      "X25519:P-256:P-384"
/* Octets of a client's chain. */
#define CLIENT_CHAIN_MAX 32768
/* What we say is short: OpenSSL makes its output buffer as long as this. */
#define SEND_FRAGMENT 4096

/* Certificates for the same names, one a key type, in a context. */
struct face {
	struct credential *credential; /* the first one: its names decide */
	SSL_CTX *context;
};

struct tls_server {
	struct face *faces; /* the first one is for clients that name no known host */
	size_t count;
};

/* --- callbacks of OpenSSL ---------------------------------------------------- */

/* RFC 6066 3: an unknown name goes on with the default. */
static int choose_face(SSL *tls, int *alert, void *arg)
{
	const struct tls_server *server = arg;
	struct span host = span_of(SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name));

	for (size_t i = 0; i < server->count; i++) {
		if (!credential_covers(server->faces[i].credential, host))
			continue;
		if (i > 0)
			SSL_set_SSL_CTX(tls, server->faces[i].context);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* A client that wants to speak another protocol was led here by somebody (RFC 7301 3.2). */
static int choose_protocol(SSL *tls, const unsigned char **out, unsigned char *out_len,
			   const unsigned char *in, unsigned int in_len, void *arg)
{
	static const unsigned char smtp[] = {4, 's', 'm', 't', 'p'};
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, out_len, smtp, sizeof(smtp), in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/*
 * The handshake goes on with any certificate: a client that shows one nobody
 * asked it to prove shall be able to send mail, and one that has to prove it
 * reads a reason in SMTP instead of an alert. SSL_get_verify_result tells.
 */
static int note_verdict(int good, X509_STORE_CTX *store)
{
	return 1;
}

/* --- contexts ---------------------------------------------------------------- */

static bool set_algorithms(SSL_CTX *context)
{
	bool hybrid = SSL_CTX_set1_groups_list(context, GROUPS_HYBRID) == 1;

	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(context, CIPHERS_12) == 1 &&
	       (hybrid || SSL_CTX_set1_groups_list(context, GROUPS) == 1);
}

/*
 * Resumption would save a millisecond and cost a key that lives as long as the
 * process, and sessions that carry a client's certificate past a reload.
 */
static bool forbid_resumption(SSL_CTX *context)
{
	static const unsigned char id[] = "stagepost";

	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_num_tickets(context, 0) == 1 &&
	       SSL_CTX_set_session_id_context(context, id, sizeof(id) - 1) == 1;
}

static SSL_CTX *make_context(struct tls_server *server)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL || !set_algorithms(context) || !forbid_resumption(context)) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_options(context,
			    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
				    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_max_cert_list(context, CLIENT_CHAIN_MAX);
	SSL_CTX_set_max_send_fragment(context, SEND_FRAGMENT);
	SSL_CTX_set_tlsext_servername_callback(context, choose_face);
	SSL_CTX_set_tlsext_servername_arg(context, server);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	return context;
}

static int ask_client(SSL_CTX *context, const struct listener_options *listener, struct err *why)
{
	int code;

	if (listener->tls_client == LISTENER_TLS_CLIENT_OFF)
		return ERR_OK;
	code = credential_trust(context, listener->tls_client_ca, why);
	if (code == ERR_OK)
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_verdict);
	return code;
}

static int add_face(struct tls_server *server, const struct listener_options *listener,
		    struct credential *credential_take, struct err *why)
{
	struct face *face = &server->faces[server->count];

	*face = (struct face){.credential = credential_take, .context = make_context(server)};
	server->count++;
	ERR_clear_error();
	if (face->context == NULL)
		return err_set(why, ERR_IO, "TLS can't be set up");
	return ask_client(face->context, listener, why);
}

/* To the face of its twin, or as a face of its own. */
static int add_pair(struct tls_server *server, const struct listener_options *listener,
		    const struct certificate_files *files, struct err *why)
{
	struct credential *credential;
	SSL_CTX *context = NULL;
	bool is_twin = false;
	int code = credential_load(files->certificate, files->key, &credential, why);

	if (code != ERR_OK)
		return ERR_SYNTAX;
	for (size_t i = 0; i < server->count && !is_twin; i++) {
		is_twin = credential_is_twin(server->faces[i].credential, credential);
		context = server->faces[i].context;
	}
	if (!is_twin) {
		code = add_face(server, listener, credential, why);
		context = server->faces[server->count - 1].context;
	}
	if (code == ERR_OK && credential_use(credential, context, why) != ERR_OK)
		code = err_prefix(why, ERR_SYNTAX, "%.100s", files->certificate);
	if (is_twin)
		credential_free(&credential);
	return code;
}

static bool is_given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

int tls_server_new(const struct listener_options *listener, const struct smtp_options *smtp,
		   struct tls_server **server_out, struct err *why)
{
	struct tls_server *server = mem_zalloc(sizeof(*server));
	struct certificate_files first = {listener->tls_certificate, listener->tls_key};
	int code = ERR_OK;

	if (!is_given(first.certificate))
		first = smtp->self_signed;
	server->faces = mem_array(listener->certificate_count + 1, sizeof(*server->faces));
	if (is_given(listener->tls_certificate) || listener->certificate_count == 0)
		code = add_pair(server, listener, &first, why);
	for (size_t i = 0; i < listener->certificate_count && code == ERR_OK; i++)
		code = add_pair(server, listener, &listener->certificates[i], why);
	if (code != ERR_OK) {
		tls_server_free(&server);
		return err_prefix(why, code, "listener %.60s", listener->address);
	}
	*server_out = server;
	return ERR_OK;
}

void tls_server_free(struct tls_server **server)
{
	if (*server == NULL)
		return;
	for (size_t i = 0; i < (*server)->count; i++) {
		SSL_CTX_free((*server)->faces[i].context);
		credential_free(&(*server)->faces[i].credential);
	}
	mem_free((*server)->faces);
	mem_free(*server);
	*server = NULL;
}

struct ssl_ctx_st *tls_server_context(const struct tls_server *server)
{
	return server->faces[0].context;
}
