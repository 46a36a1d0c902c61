/* tests/unit/deliver/authority.c - signers, and certificates with whatever is wrong with them */
#include "tests/unit/deliver/authority.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "relay/wire/base64.h"
#include "tests/unit/unit.h"

static void add(X509 *x509, int nid, const char *value)
{
	X509_EXTENSION *extension;

	if (value == NULL)
		return;
	extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	ck_assert_ptr_nonnull(extension);
	X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
}

void authority_issue(const struct request *request, struct issued *issued)
{
	static long serial;
	X509 *x509 = X509_new();
	X509_NAME *subject = X509_get_subject_name(x509);
	const struct issued *signer = request->signer;
	int to = request->from_days == 0 && request->to_days == 0 ? 2 : request->to_days;

	issued->key = request->rsa_bits > 0 ? EVP_RSA_gen((unsigned)request->rsa_bits)
					    : EVP_EC_gen("P-256");
	issued->x509 = x509;
	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
	X509_time_adj_ex(X509_getm_notBefore(x509), request->from_days, -3600, NULL);
	X509_time_adj_ex(X509_getm_notAfter(x509), to, 0, NULL);
	X509_set_pubkey(x509, issued->key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
				   (const unsigned char *)request->name, -1, -1, 0);
	X509_set_issuer_name(x509, signer != NULL ? X509_get_subject_name(signer->x509) : subject);
	add(x509, NID_subject_alt_name, request->names);
	add(x509, NID_ext_key_usage, request->usage);
	add(x509, NID_basic_constraints, request->signs ? "critical,CA:TRUE" : "CA:FALSE");
	ck_assert_int_gt(X509_sign(x509, signer != NULL ? signer->key : issued->key,
				   request->digest != NULL ? request->digest : EVP_sha256()),
			 0);
}

void authority_release(struct issued *issued)
{
	X509_free(issued->x509);
	EVP_PKEY_free(issued->key);
}

void authority_write(const struct issued *issued, const char *certificate_file,
		     const char *key_file)
{
	FILE *file;

	if (certificate_file != NULL) {
		file = fopen(certificate_file, "w");
		ck_assert_int_eq(PEM_write_X509(file, issued->x509), 1);
		fclose(file);
	}
	if (key_file == NULL)
		return;
	file = fopen(key_file, "w");
	ck_assert_int_eq(chmod(key_file, 0600), 0);
	ck_assert_int_eq(PEM_write_PrivateKey(file, issued->key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
}

SSL_CTX *authority_server(const struct issued *issued)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(context, 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(context, issued->x509), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(context, issued->key), 1);
	return context;
}

void authority_revoke(const struct issued *signer, const struct issued *revoked, int days,
		      const char *file)
{
	X509_CRL *list = X509_CRL_new();
	ASN1_TIME *time = X509_time_adj_ex(NULL, -20, 0, NULL);
	FILE *out = fopen(file, "w");

	X509_CRL_set_version(list, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(list, X509_get_subject_name(signer->x509));
	X509_CRL_set1_lastUpdate(list, time);
	if (revoked != NULL) {
		X509_REVOKED *one = X509_REVOKED_new();

		X509_REVOKED_set_serialNumber(one, X509_get_serialNumber(revoked->x509));
		X509_REVOKED_set_revocationDate(one, time);
		X509_CRL_add0_revoked(list, one);
	}
	X509_time_adj_ex(time, days, 0, NULL);
	X509_CRL_set1_nextUpdate(list, time);
	ck_assert_int_gt(X509_CRL_sign(list, signer->key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_X509_CRL(out, list), 1);
	fclose(out);
	ASN1_TIME_free(time);
	X509_CRL_free(list);
}

void authority_pin(const struct issued *issued, char pin_out[64])
{
	unsigned char *der = NULL;
	unsigned char digest[32];
	int len = i2d_PUBKEY(issued->key, &der);
	struct buf text;

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL), 1);
	buf_init(&text, 63);
	ck_assert_int_eq(base64_encode(span_make((const char *)digest, 32), &text), ERR_OK);
	snprintf(pin_out, 64, "%s", text.data);
	buf_release(&text);
	OPENSSL_free(der);
}
