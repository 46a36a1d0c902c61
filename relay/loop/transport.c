/* relay/loop/transport.c - bytes over one descriptor, in clear or in TLS; for relay/loop/ only */
#include <config.h>

#include "relay/loop/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/loop/socket.h"
#include "relay/loop/stream.h"

/*
 * What a peer may send in a row that is not for the owner: empty records and
 * key updates cost us work and bring nothing. A whole record is 16 KiB (S068).
 */
#define FRUITLESS_MAX ((uint64_t)64 * 1024)
/* A handshake with a chain of client certificates is a tenth of this. */
#define HANDSHAKE_MAX ((uint64_t)64 * 1024)

void transport_init(struct transport *transport, int fd)
{
	*transport = (struct transport){.fd = fd};
}

void transport_release(struct transport *transport)
{
	SSL_free(transport->tls);
	mem_free(transport->description);
	mem_free(transport->ending_why);
	if (transport->fd >= 0)
		close(transport->fd);
	transport_init(transport, -1);
}

static enum transport_result fail_with_errno(const char *what, int error, struct err *why)
{
	char text[SOCKET_ERROR_SIZE];

	err_set(why, ERR_IO, "%s: %s", what, socket_error_text(error, text, sizeof(text)));
	return TRANSPORT_FAILED;
}

/* --- in clear ---------------------------------------------------------------- */

static enum transport_result clear_read(struct transport *transport, char *data, size_t room,
					size_t *len_out, struct err *why)
{
	ssize_t got;

	do
		got = recv(transport->fd, data, room, 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return TRANSPORT_END;
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return TRANSPORT_WANT_READ;
	if (got < 0)
		return fail_with_errno("reading failed", errno, why);
	transport->clear_in += (uint64_t)got;
	*len_out = (size_t)got;
	return TRANSPORT_DONE;
}

static enum transport_result clear_write(struct transport *transport, const char *data, size_t len,
					 size_t *len_out, struct err *why)
{
	while (*len_out < len) {
		ssize_t put = send(transport->fd, data + *len_out, len - *len_out, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return TRANSPORT_WANT_WRITE;
		if (put < 0)
			return fail_with_errno("writing failed", errno, why);
		transport->clear_out += (uint64_t)put;
		*len_out += (size_t)put;
	}
	return TRANSPORT_DONE;
}

/* --- in TLS ------------------------------------------------------------------ */

/* The reason in words; a certificate that was not accepted is the one people can act on. */
static enum transport_result fail_with_tls(SSL *tls, const char *what, int saved_errno,
					   struct err *why)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;
	long verified = SSL_get_verify_result(tls);

	if (!SSL_is_init_finished(tls) && verified != X509_V_OK)
		err_set(why, ERR_IO, "%s: the peer's certificate: %s", what,
			X509_verify_cert_error_string(verified));
	else if (error != 0 && ERR_GET_LIB(error) == ERR_LIB_SSL &&
		 ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		err_set(why, ERR_IO, "%s: cut off by the peer without close_notify", what);
	else if (error != 0 && ERR_GET_LIB(error) == ERR_LIB_SSL &&
		 ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER)
		err_set(why, ERR_IO, "%s: what came is not TLS", what);
	else if (reason != NULL)
		err_set(why, ERR_IO, "%s: %s", what, reason);
	else if (saved_errno != 0)
		fail_with_errno(what, saved_errno, why);
	else
		err_set(why, ERR_IO, "%s: cut off by the peer", what);
	ERR_clear_error();
	return TRANSPORT_FAILED;
}

/* What a call that returned `ret` means. To be asked straight after it. */
static enum transport_result judge(SSL *tls, int ret, const char *what, struct err *why)
{
	int saved_errno = errno;

	switch (SSL_get_error(tls, ret)) {
	case SSL_ERROR_NONE: return TRANSPORT_DONE;
	case SSL_ERROR_WANT_READ: return TRANSPORT_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TRANSPORT_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN: return TRANSPORT_END;
	default: return fail_with_tls(tls, what, saved_errno, why);
	}
}

/* OpenSSL's error queue belongs to the thread: what another stream left there must not be read. */
static void forget_errors(void)
{
	ERR_clear_error();
	errno = 0;
}

/* Octets put back are read before the socket is: from a BIO of their own, until it is empty. */
static bool leave_put_back(SSL *tls)
{
	BIO *socket = SSL_get_wbio(tls);

	if (SSL_get_rbio(tls) == socket || BIO_pending(SSL_get_rbio(tls)) > 0)
		return false;
	BIO_up_ref(socket);
	SSL_set0_rbio(tls, socket);
	return true;
}

static enum transport_result read_once(SSL *tls, char *data, size_t room, size_t *got_out,
				       struct err *why)
{
	enum transport_result result;

	do {
		forget_errors();
		result = judge(tls, SSL_read_ex(tls, data, room, got_out), "TLS", why);
	} while (result == TRANSPORT_WANT_READ && leave_put_back(tls));
	return result;
}

/* `len` octets came for the owner. True: none have for too long. */
static bool is_fruitless(struct transport *transport, size_t len)
{
	uint64_t seen = transport_bytes_in(transport);

	if (len > 0)
		transport->fruitless_from = seen;
	return seen - transport->fruitless_from > FRUITLESS_MAX;
}

static enum transport_result tls_read(struct transport *transport, char *data, size_t room,
				      size_t *len_out, struct err *why)
{
	enum transport_result result = TRANSPORT_DONE;

	if (transport->ending != TRANSPORT_DONE) {
		err_set(why, ERR_IO, "%s", transport->ending_why);
		return transport->ending;
	}
	while (result == TRANSPORT_DONE && *len_out < room) {
		size_t got = 0;

		result = read_once(transport->tls, data + *len_out, room - *len_out, &got, why);
		*len_out += got;
	}
	if (is_fruitless(transport, *len_out) && result == TRANSPORT_WANT_READ) {
		err_set(why, ERR_IO, "TLS: too many records without data");
		result = TRANSPORT_FAILED;
	}
	if (result == TRANSPORT_DONE || *len_out == 0)
		return result;
	/* The bytes first, their end with the next call. */
	if (result == TRANSPORT_END || result == TRANSPORT_FAILED) {
		transport->ending = result;
		transport->ending_why = mem_strdup(result == TRANSPORT_FAILED ? why->text : "");
	}
	return TRANSPORT_DONE;
}

/*
 * A server of TLS 1.3 that refuses the client's certificate says so behind the
 * handshake and closes; what we write then fails first. Its alert, which came
 * before the reset, goes to the info callback of the context.
 */
static void hear_alert(SSL *tls)
{
	char byte;
	size_t got;

	forget_errors();
	(void)SSL_peek_ex(tls, &byte, sizeof(byte), &got);
	ERR_clear_error();
}

static enum transport_result tls_write(struct transport *transport, const char *data, size_t len,
				       size_t *len_out, struct err *why)
{
	enum transport_result result = TRANSPORT_DONE;

	while (result == TRANSPORT_DONE && *len_out < len) {
		size_t put = 0;
		int ret;

		forget_errors();
		ret = SSL_write_ex(transport->tls, data + *len_out, len - *len_out, &put);
		result = judge(transport->tls, ret, "TLS", why);
		*len_out += put;
	}
	if (result == TRANSPORT_FAILED && SSL_is_server(transport->tls) == 0)
		hear_alert(transport->tls);
	return result;
}

static bool is_ip_literal(const char *name)
{
	struct in6_addr any;

	return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

/*
 * RFC 6066 3: no IP literals in SNI. RFC 9525 6: what is verified is the name
 * we meant to reach; a wildcard is a whole label, and the subject counts for nothing.
 */
static bool expect_name(SSL *tls, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls);
	bool is_ip = is_ip_literal(name);

	if (!is_ip && SSL_set_tlsext_host_name(tls, name) != 1)
		return false;
	if (SSL_get_verify_mode(tls) == SSL_VERIFY_NONE)
		return true;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

static bool set_up(SSL *tls, int fd)
{
	SSL_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One record a call, so that a flood of records without data can't keep us inside. */
	SSL_clear_mode(tls, SSL_MODE_AUTO_RETRY);
	SSL_set_read_ahead(tls, 0);
	SSL_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* A missing close_notify is a truncation attack until proven otherwise. */
	SSL_clear_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
	return SSL_set_fd(tls, fd) == 1;
}

static int fail_to_set_up(SSL *tls, struct err *why)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	SSL_free(tls);
	ERR_clear_error();
	return err_set(why, ERR_IO, "TLS could not be set up: %s",
		       reason != NULL ? reason : "unknown reason");
}

int transport_start_tls(struct transport *transport, struct ssl_ctx_st *context, struct err *why)
{
	SSL *tls;

	forget_errors();
	tls = SSL_new(context);
	if (tls == NULL || !set_up(tls, transport->fd))
		return fail_to_set_up(tls, why);
	SSL_set_accept_state(tls);
	transport->tls = tls;
	return ERR_OK;
}

int transport_start_tls_as_client(struct transport *transport,
				  const struct stream_tls_client *client, struct err *why)
{
	SSL *tls;

	forget_errors();
	tls = SSL_new(client->context);
	if (tls == NULL || !set_up(tls, transport->fd) || !expect_name(tls, client->name) ||
	    (client->session != NULL && SSL_set_session(tls, client->session) != 1))
		return fail_to_set_up(tls, why);
	SSL_set_app_data(tls, client->app_data);
	SSL_set_connect_state(tls);
	transport->tls = tls;
	return ERR_OK;
}

int transport_put_back(struct transport *transport, const char *data, size_t len, struct err *why)
{
	BIO *first = BIO_new(BIO_s_mem());

	if (first == NULL || BIO_write(first, data, (int)len) != (int)len) {
		BIO_free(first);
		ERR_clear_error();
		return err_set(why, ERR_IO, "TLS could not be set up: no memory");
	}
	BIO_set_mem_eof_return(first, -1); /* empty is not the end */
	SSL_set0_rbio(transport->tls, first);
	return ERR_OK;
}

/* With the registered name of the cipher suite (RFC 8314 4.3), not OpenSSL's own. */
static char *describe(const SSL *tls)
{
	char text[128];

	snprintf(text, sizeof(text), "%s %s", SSL_get_version(tls),
		 SSL_CIPHER_standard_name(SSL_get_current_cipher(tls)));
	return mem_strdup(text);
}

enum transport_result transport_handshake(struct transport *transport, struct err *why)
{
	enum transport_result result;

	do {
		forget_errors();
		result = judge(transport->tls, SSL_do_handshake(transport->tls), "TLS handshake",
			       why);
	} while (result == TRANSPORT_WANT_READ && leave_put_back(transport->tls));
	if (result == TRANSPORT_WANT_READ &&
	    transport_bytes_in(transport) - transport->clear_in > HANDSHAKE_MAX) {
		err_set(why, ERR_IO, "TLS handshake: too large");
		return TRANSPORT_FAILED;
	}
	if (result == TRANSPORT_END) {
		err_set(why, ERR_IO, "TLS handshake: closed by the peer");
		return TRANSPORT_FAILED;
	}
	if (result == TRANSPORT_DONE)
		transport->description = describe(transport->tls);
	transport->fruitless_from = transport_bytes_in(transport);
	return result;
}

/* --- either ------------------------------------------------------------------ */

enum transport_result transport_read(struct transport *transport, char *data, size_t room,
				     size_t *len_out, struct err *why)
{
	*len_out = 0;
	if (transport->tls != NULL)
		return tls_read(transport, data, room, len_out, why);
	return clear_read(transport, data, room, len_out, why);
}

bool transport_has_pending(const struct transport *transport)
{
	/*
	 * SSL_pending, not SSL_has_pending: without read-ahead there are no
	 * whole records unprocessed, and a partial one must wait for the socket.
	 */
	SSL *tls = transport->tls;

	return transport->ending != TRANSPORT_DONE ||
	       (tls != NULL && (SSL_pending(tls) > 0 || (SSL_get_rbio(tls) != SSL_get_wbio(tls) &&
							 BIO_pending(SSL_get_rbio(tls)) > 0)));
}

enum transport_result transport_write(struct transport *transport, const char *data, size_t len,
				      size_t *len_out, struct err *why)
{
	*len_out = 0;
	if (transport->tls != NULL)
		return tls_write(transport, data, len, len_out, why);
	return clear_write(transport, data, len, len_out, why);
}

enum transport_result transport_write_clear(struct transport *transport, const char *data,
					    size_t len, size_t *len_out, struct err *why)
{
	*len_out = 0;
	return clear_write(transport, data, len, len_out, why);
}

enum transport_result transport_shutdown(struct transport *transport)
{
	if (transport->tls != NULL && SSL_is_init_finished(transport->tls)) {
		int ret;

		forget_errors();
		ret = SSL_shutdown(transport->tls);
		if (ret < 0 && SSL_get_error(transport->tls, ret) == SSL_ERROR_WANT_WRITE)
			return TRANSPORT_WANT_WRITE;
		ERR_clear_error();
	}
	shutdown(transport->fd, SHUT_WR);
	return TRANSPORT_DONE;
}

uint64_t transport_bytes_in(const struct transport *transport)
{
	/* The same BIO both ways; while octets put back are read, the reading one is another. */
	BIO *bio = transport->tls != NULL ? SSL_get_wbio(transport->tls) : NULL;

	return transport->clear_in + (bio != NULL ? BIO_number_read(bio) : 0);
}

uint64_t transport_bytes_out(const struct transport *transport)
{
	BIO *bio = transport->tls != NULL ? SSL_get_wbio(transport->tls) : NULL;

	return transport->clear_out + (bio != NULL ? BIO_number_written(bio) : 0);
}
