/* cli/wire.c - a connection to the relay's SMTP port, in the clear or by TLS */
#include <config.h>

#include "cli/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT_SIZE    6
#define LOOPBACK_NET 127 /* 127.0.0.0/8 */

/* --- connecting ---------------------------------------------------------------- */

static int fail_connect(const char *address, const char *reason, struct err *why)
{
	return err_set(why, ERR_IO, "the relay at %.120s can't be reached: %.80s", address, reason);
}

static int connect_unix(const char *address, int *fd_out, struct err *why)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const char *path = address + strlen("unix:");
	int fd;

	if (strlen(path) == 0 || strlen(path) >= sizeof(name.sun_path))
		return err_set(why, ERR_SYNTAX, "\"%.120s\" is no path of a socket", address);
	memcpy(name.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0) {
		*fd_out = fd;
		return ERR_OK;
	}
	fail_connect(address, strerror(errno), why);
	if (fd >= 0)
		close(fd);
	return ERR_IO;
}

/* Where the relay listens on every address of this machine, one of them is as good. */
static struct span reachable(struct span host)
{
	if (span_is(host, "0.0.0.0") || span_is(host, "*"))
		return span_of("127.0.0.1");
	return span_is(host, "::") ? span_of("::1") : host;
}

static bool split(const char *address, char host_out[WIRE_HOST_SIZE], char port_out[PORT_SIZE])
{
	struct span text = span_of(address);
	size_t colon = span_find_last(text, ':');
	struct span host = span_first(text, colon);
	struct span port = span_skip(text, colon + 1);
	uint64_t number;

	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_make(host.data + 1, host.len - 2);
	else if (span_find(host, ':') < host.len)
		return false;
	if (colon == text.len || host.len == 0 || host.len >= WIRE_HOST_SIZE ||
	    port.len >= PORT_SIZE || span_to_u64(port, 65535, &number) != ERR_OK)
		return false;
	host = reachable(host);
	(void)snprintf(host_out, WIRE_HOST_SIZE, "%.*s", SPAN_ARG(host));
	(void)snprintf(port_out, PORT_SIZE, "%.*s", SPAN_ARG(port));
	return true;
}

static int connect_to(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0 || connect(fd, info->ai_addr, info->ai_addrlen) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int connect_inet(const char *address, int *fd_out, struct err *why)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found;
	char host[WIRE_HOST_SIZE];
	char port[PORT_SIZE];
	int fd = -1;
	int code;

	if (!split(address, host, port))
		return err_set(why, ERR_SYNTAX,
			       "\"%.120s\" is not host:port, [IPv6]:port or unix:/path", address);
	code = getaddrinfo(host, port, &hints, &found);
	if (code != 0)
		return fail_connect(address, gai_strerror(code), why);
	for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next)
		fd = connect_to(info);
	code = errno;
	freeaddrinfo(found);
	if (fd < 0)
		return fail_connect(address, strerror(code), why);
	*fd_out = fd;
	return ERR_OK;
}

int wire_connect(const char *address, int *fd_out, struct err *why)
{
	return span_starts_fold(span_of(address), "unix:") ? connect_unix(address, fd_out, why)
							   : connect_inet(address, fd_out, why);
}

void wire_host(const char *address, char host_out[WIRE_HOST_SIZE])
{
	char port[PORT_SIZE];

	if (span_starts_fold(span_of(address), "unix:") || !split(address, host_out, port))
		(void)snprintf(host_out, WIRE_HOST_SIZE, "localhost");
}

/* --- one connection ------------------------------------------------------------------ */

void wire_init(struct wire *wire, int fd)
{
	*wire = (struct wire){.fd = fd};
}

void wire_set_patience(const struct wire *wire, int seconds)
{
	struct timeval time = {.tv_sec = seconds};

	(void)setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	(void)setsockopt(wire->fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

void wire_close(struct wire *wire)
{
	SSL_free(wire->tls);
	SSL_CTX_free(wire->context);
	close(wire->fd);
	*wire = (struct wire){.fd = -1};
}

/* --- what went wrong --------------------------------------------------------------- */

static int fail_socket(struct err *why)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return err_set(why, ERR_TIMEOUT, "the relay does not answer");
	return err_set(why, ERR_IO, "the connection to the relay broke: %s", strerror(errno));
}

static const char *openssl_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason != NULL ? reason : "the connection ended";
}

/* What SSL_read or SSL_write gave back; errno is still theirs. */
static int fail_tls(const struct wire *wire, int result, struct err *why)
{
	switch (SSL_get_error(wire->tls, result)) {
	case SSL_ERROR_ZERO_RETURN:
		return err_set(why, ERR_CLOSED, "the relay closed the connection");
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: return err_set(why, ERR_TIMEOUT, "the relay does not answer");
	case SSL_ERROR_SYSCALL:
		if (errno != 0)
			return fail_socket(why);
		return err_set(why, ERR_CLOSED, "the relay closed the connection");
	default: return err_set(why, ERR_IO, "TLS with the relay broke: %s", openssl_reason());
	}
}

/* --- TLS ------------------------------------------------------------------------------ */

static SSL_CTX *new_context(const char *ca_file, struct err *why)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int found;

	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(context);
		(void)err_set(why, ERR_IO, "there is no TLS here: %s", openssl_reason());
		return NULL;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	found = ca_file != NULL ? SSL_CTX_load_verify_locations(context, ca_file, NULL)
				: SSL_CTX_set_default_verify_paths(context);
	if (found == 1)
		return context;
	SSL_CTX_free(context);
	(void)err_set(why, ERR_IO, "no certificates in %.120s: %s",
		      ca_file != NULL ? ca_file : "the system's store", openssl_reason());
	return NULL;
}

/* RFC 6125: an address is no name, also when it is written where one could be. */
static bool set_peer(SSL *tls, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host) == 1;
	SSL_set_hostflags(tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(tls, host) == 1 && SSL_set_tlsext_host_name(tls, host) == 1;
}

static int shake_hands(struct wire *wire, const char *host, struct err *why)
{
	long verdict;
	int result;
	int code;

	errno = 0;
	ERR_clear_error();
	result = SSL_connect(wire->tls);
	if (result == 1)
		return ERR_OK;
	verdict = SSL_get_verify_result(wire->tls);
	if (verdict != X509_V_OK)
		return err_set(why, ERR_IO, "the certificate of %.120s is not to be trusted: %s",
			       host, X509_verify_cert_error_string(verdict));
	code = fail_tls(wire, result, why);
	return code == ERR_CLOSED ? ERR_IO : code;
}

int wire_secure(struct wire *wire, const char *host, const char *ca_file, struct err *why)
{
	wire->context = new_context(ca_file, why);
	if (wire->context == NULL)
		return ERR_IO;
	wire->tls = SSL_new(wire->context);
	if (wire->tls == NULL || !set_peer(wire->tls, host) || SSL_set_fd(wire->tls, wire->fd) != 1)
		return err_set(why, ERR_IO, "TLS with %.120s can't begin: %s", host,
			       openssl_reason());
	return shake_hands(wire, host, why);
}

bool wire_is_private(const struct wire *wire)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} peer = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(peer);

	if (wire->tls != NULL)
		return true;
	if (getpeername(wire->fd, &peer.any, &len) != 0)
		return false;
	switch (peer.any.sa_family) {
	case AF_UNIX: return true;
	case AF_INET: return ntohl(peer.v4.sin_addr.s_addr) >> 24 == LOOPBACK_NET;
	case AF_INET6: return IN6_IS_ADDR_LOOPBACK(&peer.v6.sin6_addr);
	default: return false;
	}
}

/* --- bytes ------------------------------------------------------------------------------ */

int wire_receive(struct wire *wire, char *bytes_out, size_t max, size_t *len_out, struct err *why)
{
	ssize_t got;

	errno = 0;
	ERR_clear_error();
	if (wire->tls != NULL) {
		int result = SSL_read_ex(wire->tls, bytes_out, max, len_out);

		return result == 1 ? ERR_OK : fail_tls(wire, result, why);
	}
	do
		got = recv(wire->fd, bytes_out, max, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return fail_socket(why);
	if (got == 0)
		return err_set(why, ERR_CLOSED, "the relay closed the connection");
	*len_out = (size_t)got;
	return ERR_OK;
}

int wire_send(struct wire *wire, struct span bytes, struct err *why)
{
	errno = 0;
	ERR_clear_error();
	while (bytes.len > 0) {
		ssize_t sent;

		if (wire->tls != NULL) {
			size_t written;
			int result = SSL_write_ex(wire->tls, bytes.data, bytes.len, &written);

			return result == 1 ? ERR_OK : fail_tls(wire, result, why);
		}
		sent = send(wire->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			return fail_socket(why);
		if (sent > 0)
			bytes = span_skip(bytes, (size_t)sent);
	}
	return ERR_OK;
}
