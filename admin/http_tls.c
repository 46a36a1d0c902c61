/* admin/http_tls.c - TLS of the HTTP server; beside http.c the one file that sees GnuTLS */
#include <config.h>

#include "admin/http_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#define FILE_BYTES_MAX ((size_t)256 * 1024)
#define CHAIN_MAX      16

/* The text is kept, and read anew for each handshake: GnuTLS then frees what it was given. */
struct http_tls {
	pthread_mutex_t mutex;
	struct buf certificate;
	struct buf key;
};

/* --- files ---------------------------------------------------------------------------------- */

static int read_all(int fd, const char *path, struct buf *out, struct err *why)
{
	for (;;) {
		char *room = buf_reserve(out, 4096);
		ssize_t len;

		if (room == NULL)
			return err_set(why, ERR_SYNTAX, "%s is too large for PEM", path);
		len = read(fd, room, 4096);
		if (len < 0)
			return err_set(why, ERR_IO, "can't read %s: %s", path, strerror(errno));
		if (len == 0)
			return ERR_OK;
		buf_fill(out, (size_t)len);
	}
}

static int read_file(const char *path, struct buf *out, struct err *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int code;

	if (fd < 0)
		return err_set(why, ERR_IO, "can't open %s: %s", path, strerror(errno));
	code = read_all(fd, path, out, why);
	(void)close(fd);
	return code;
}

/* --- what a handshake needs ------------------------------------------------------------------- */

static gnutls_datum_t datum_of(const struct buf *text)
{
	return (gnutls_datum_t){(unsigned char *)text->data, (unsigned int)text->len};
}

/* The array and what is in it are for gnutls_free and gnutls_pcert_deinit. */
static int make_chain(const struct buf *text, gnutls_pcert_st **chain_out, unsigned int *count_out)
{
	gnutls_pcert_st *chain = gnutls_calloc(CHAIN_MAX, sizeof(*chain));
	gnutls_datum_t pem = datum_of(text);
	unsigned int count = CHAIN_MAX;
	int code = chain == NULL ? GNUTLS_E_MEMORY_ERROR
				 : gnutls_pcert_list_import_x509_raw(chain, &count, &pem,
								     GNUTLS_X509_FMT_PEM, 0);

	if (code < 0) {
		gnutls_free(chain);
		return code;
	}
	*chain_out = chain;
	*count_out = count;
	return 0;
}

static void free_chain(gnutls_pcert_st *chain, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		gnutls_pcert_deinit(&chain[i]);
	gnutls_free(chain);
}

static int make_key(const struct buf *text, gnutls_privkey_t *key_out)
{
	gnutls_datum_t pem = datum_of(text);
	gnutls_privkey_t key;
	int code = gnutls_privkey_init(&key);

	if (code < 0)
		return code;
	code = gnutls_privkey_import_x509_raw(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (code < 0) {
		gnutls_privkey_deinit(key);
		return code;
	}
	*key_out = key;
	return 0;
}

static int make_pair(const struct http_tls *tls, gnutls_pcert_st **chain_out,
		     unsigned int *count_out, gnutls_privkey_t *key_out)
{
	int code = make_chain(&tls->certificate, chain_out, count_out);

	if (code < 0)
		return code;
	code = make_key(&tls->key, key_out);
	if (code < 0)
		free_chain(*chain_out, *count_out);
	return code;
}

static int on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
			  gnutls_pcert_st **chain_out, unsigned int *count_out,
			  gnutls_ocsp_data_st **ocsp_out, unsigned int *ocsp_count_out,
			  gnutls_privkey_t *key_out, unsigned int *flags_out)
{
	/* The library makes its connection the session's pointer. */
	struct http_tls *tls = http_tls_of(gnutls_session_get_ptr(session));
	int code;

	(void)info;
	pthread_mutex_lock(&tls->mutex);
	code = make_pair(tls, chain_out, count_out, key_out);
	pthread_mutex_unlock(&tls->mutex);
	*ocsp_out = NULL;
	*ocsp_count_out = 0;
	*flags_out = GNUTLS_CERT_RETR_DEINIT_ALL;
	if (code < 0)
		log_warning("admin_tls", LOG_S("reason", gnutls_strerror(code)));
	return code < 0 ? -1 : 0;
}

void *http_tls_callback(void)
{
	gnutls_certificate_retrieve_function3 *callback = on_certificate;
	void *pointer;

	memcpy(&pointer, &callback, sizeof(pointer));
	return pointer;
}

/* --- a pair ----------------------------------------------------------------------------------- */

static int check(const struct http_tls *tls, const char *certificate_file, const char *key_file,
		 struct err *why)
{
	gnutls_pcert_st *chain;
	unsigned int count;
	gnutls_privkey_t key;
	int code = make_chain(&tls->certificate, &chain, &count);

	if (code < 0)
		return err_set(why, ERR_SYNTAX, "%s holds no certificate: %s", certificate_file,
			       gnutls_strerror(code));
	free_chain(chain, count);
	code = make_key(&tls->key, &key);
	if (code < 0)
		return err_set(why, ERR_SYNTAX, "%s holds no key: %s", key_file,
			       gnutls_strerror(code));
	gnutls_privkey_deinit(key);
	return ERR_OK;
}

int http_tls_load(const char *certificate_file, const char *key_file, struct http_tls **tls_out,
		  struct err *why)
{
	struct http_tls *tls = mem_zalloc(sizeof(*tls));
	int code;

	if (key_file == NULL || key_file[0] == '\0')
		key_file = certificate_file;
	(void)pthread_mutex_init(&tls->mutex, NULL);
	buf_init(&tls->certificate, FILE_BYTES_MAX);
	buf_init(&tls->key, FILE_BYTES_MAX);
	code = read_file(certificate_file, &tls->certificate, why);
	if (code == ERR_OK)
		code = read_file(key_file, &tls->key, why);
	if (code == ERR_OK)
		code = check(tls, certificate_file, key_file, why);
	if (code != ERR_OK) {
		http_tls_free(&tls);
		return code;
	}
	*tls_out = tls;
	return ERR_OK;
}

void http_tls_free(struct http_tls **tls)
{
	if (*tls == NULL)
		return;
	buf_wipe(&(*tls)->certificate);
	buf_wipe(&(*tls)->key);
	(void)pthread_mutex_destroy(&(*tls)->mutex);
	mem_free(*tls);
	*tls = NULL;
}

void http_tls_replace(struct http_tls *tls, struct http_tls **next)
{
	struct buf certificate = (*next)->certificate;
	struct buf key = (*next)->key;

	pthread_mutex_lock(&tls->mutex);
	(*next)->certificate = tls->certificate;
	(*next)->key = tls->key;
	tls->certificate = certificate;
	tls->key = key;
	pthread_mutex_unlock(&tls->mutex);
	http_tls_free(next);
}
