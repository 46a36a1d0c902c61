/* tests/bench/tls.h - TLS for the load client and the sink: not blocking, nothing verified */
#ifndef STAGEPOST_TESTS_BENCH_TLS_H
#define STAGEPOST_TESTS_BENCH_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/uio.h>

enum tls_mode { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };

SSL_CTX *tls_context(void);
/* For a server; exits with a message when the files do not do. */
SSL_CTX *tls_server_context(const char *certificate, const char *key);
SSL *tls_begin(SSL_CTX *context, int fd);
SSL *tls_begin_server(SSL_CTX *context, int fd);
/* False: the handshake failed. *done_out: nothing is left to do; else go on when readable. */
bool tls_go_on(SSL *tls, bool *done_out);
/* As recv() and sendmsg(): -1 and EAGAIN where they would wait. */
ssize_t tls_receive(SSL *tls, void *data, size_t room);
ssize_t tls_send(SSL *tls, const struct iovec *parts, size_t count);

#endif
