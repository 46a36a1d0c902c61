/* tests/bench/tls.c - TLS for the load client and the sink: not blocking, nothing verified */
#include "tests/bench/tls.h"

#include <errno.h>
#include <openssl/err.h>

#include "tests/bench/net.h"

static SSL_CTX *make_context(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (context == NULL)
		net_fail("SSL_CTX_new");
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return context;
}

SSL_CTX *tls_context(void)
{
	SSL_CTX *context = make_context(TLS_client_method());

	/* A session taken up again would measure something else. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return context;
}

SSL_CTX *tls_server_context(const char *certificate, const char *key)
{
	SSL_CTX *context = make_context(TLS_server_method());

	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		exit(EXIT_FAILURE);
	}
	return context;
}

static SSL *begin(SSL_CTX *context, int fd)
{
	SSL *tls = SSL_new(context);

	if (tls == NULL || SSL_set_fd(tls, fd) != 1)
		net_fail("SSL_new");
	return tls;
}

SSL *tls_begin(SSL_CTX *context, int fd)
{
	SSL *tls = begin(context, fd);

	SSL_set_connect_state(tls);
	return tls;
}

SSL *tls_begin_server(SSL_CTX *context, int fd)
{
	SSL *tls = begin(context, fd);

	SSL_set_accept_state(tls);
	return tls;
}

bool tls_go_on(SSL *tls, bool *done_out)
{
	int ret;

	ERR_clear_error();
	ret = SSL_do_handshake(tls);
	*done_out = ret == 1;
	return ret == 1 || SSL_get_error(tls, ret) == SSL_ERROR_WANT_READ;
}

static ssize_t moved(SSL *tls, int ret, size_t len)
{
	int error = ret == 1 ? SSL_ERROR_NONE : SSL_get_error(tls, ret);

	if (error == SSL_ERROR_NONE)
		return (ssize_t)len;
	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
	return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

ssize_t tls_receive(SSL *tls, void *data, size_t room)
{
	size_t got = 0;
	int ret;

	ERR_clear_error();
	ret = SSL_read_ex(tls, data, room, &got);
	return moved(tls, ret, got);
}

ssize_t tls_send(SSL *tls, const struct iovec *parts, size_t count)
{
	ssize_t total = 0;

	for (size_t i = 0; i < count; i++) {
		size_t sent = 0;

		while (sent < parts[i].iov_len) {
			size_t put = 0;
			ssize_t moved_now;
			int ret;

			ERR_clear_error();
			ret = SSL_write_ex(tls, (const char *)parts[i].iov_base + sent,
					   parts[i].iov_len - sent, &put);
			moved_now = moved(tls, ret, put);
			if (moved_now <= 0)
				return total > 0 ? total : -1;
			sent += (size_t)moved_now;
			total += moved_now;
		}
	}
	return total;
}
