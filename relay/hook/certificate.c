/* relay/hook/certificate.c - what nginx tells a script of a client's certificate */
#include "relay/hook/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/secret.h"

#define FACT_MAX 4096 /* octets of a name */

static void move(BIO *from, struct buf *to)
{
	char *data;
	long len = BIO_get_mem_data(from, &data);

	if (len > 0)
		(void)buf_append(to, data, (size_t)len);
	(void)BIO_reset(from);
}

static void take(const X509 *x509, BIO *text, struct certificate_facts *facts)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_NAME_print_ex(text, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253) >= 0)
		move(text, &facts->subject);
	if (X509_NAME_print_ex(text, X509_get_issuer_name(x509), 0, XN_FLAG_RFC2253) >= 0)
		move(text, &facts->issuer);
	if (i2a_ASN1_INTEGER(text, X509_get0_serialNumber(x509)) > 0)
		move(text, &facts->serial);
	if (X509_digest(x509, EVP_sha1(), digest, &len) == 1 &&
	    2 * len < sizeof(facts->fingerprint))
		secret_hex(digest, len, facts->fingerprint);
}

void certificate_facts_init(struct certificate_facts *facts, const char *pem)
{
	BIO *source = BIO_new_mem_buf(pem, (int)strlen(pem));
	BIO *text = BIO_new(BIO_s_mem());
	X509 *x509 = source != NULL ? PEM_read_bio_X509(source, NULL, NULL, NULL) : NULL;

	*facts = (struct certificate_facts){.fingerprint = ""};
	buf_init(&facts->subject, FACT_MAX);
	buf_init(&facts->issuer, FACT_MAX);
	buf_init(&facts->serial, FACT_MAX);
	if (x509 != NULL && text != NULL)
		take(x509, text, facts);
	X509_free(x509);
	BIO_free(text);
	BIO_free(source);
	ERR_clear_error();
}

void certificate_facts_release(struct certificate_facts *facts)
{
	buf_release(&facts->subject);
	buf_release(&facts->issuer);
	buf_release(&facts->serial);
}
