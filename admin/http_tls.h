/* admin/http_tls.h - TLS of the HTTP server: GnuTLS, since that is what its library speaks */
#ifndef STAGEPOST_ADMIN_HTTP_TLS_H
#define STAGEPOST_ADMIN_HTTP_TLS_H

#include "base/err.h"

/* A certificate with its key. Another pair may take its place at any time, by any thread. */
struct http_tls;

/*
 * From PEM files; `key_file` "": the key stands with the certificate. ERR_IO,
 * ERR_SYNTAX: `why` names the file.
 */
int http_tls_load(const char *certificate_file, const char *key_file, struct http_tls **tls_out,
		  struct err *why);
void http_tls_free(struct http_tls **tls);
/* Handshakes from now on are those of `next`, which is taken; connections that are open go on. */
void http_tls_replace(struct http_tls *tls, struct http_tls **next);

/* For http.c: what the library calls for a certificate, as MHD_OPTION_HTTPS_CERT_CALLBACK2. */
struct MHD_Connection;
void *http_tls_callback(void);
/* Given by http.c: of whose server the connection is. */
struct http_tls *http_tls_of(struct MHD_Connection *mhd);

/* TLS 1.3 and 1.2 (RFC 9325 3.1.1). */
#define HTTP_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

#endif
