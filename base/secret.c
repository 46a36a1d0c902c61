/* base/secret.c - random bytes, hashes and comparisons for things that must stay secret */
#include "base/secret.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"

void secret_random(void *bytes_out, size_t len)
{
	char *at = bytes_out;

	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			perror("stagepost: getrandom");
			abort();
		}
		at += got;
		len -= (size_t)got;
	}
}

bool secret_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

void secret_wipe(void *bytes, size_t len)
{
	OPENSSL_cleanse(bytes, len);
}

static void must_work(bool worked)
{
	if (worked)
		return;
	fputs("stagepost: SHA-256 is not available\n", stderr);
	abort();
}

void secret_sha256(struct span data, unsigned char digest_out[SECRET_SHA256_BYTES])
{
	unsigned len = 0;

	must_work(EVP_Digest(data.data != NULL ? data.data : "", data.len, digest_out, &len,
			     EVP_sha256(), NULL) == 1);
}

struct secret_hash {
	EVP_MD_CTX *context;
};

struct secret_hash *secret_hash_begin(void)
{
	struct secret_hash *hash = mem_zalloc(sizeof(*hash));

	hash->context = EVP_MD_CTX_new();
	must_work(hash->context != NULL &&
		  EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1);
	return hash;
}

void secret_hash_add(struct secret_hash *hash, struct span data)
{
	if (data.len > 0)
		must_work(EVP_DigestUpdate(hash->context, data.data, data.len) == 1);
}

void secret_hash_end(struct secret_hash **hash, unsigned char digest_out[SECRET_SHA256_BYTES])
{
	unsigned len = 0;

	must_work(EVP_DigestFinal_ex((*hash)->context, digest_out, &len) == 1);
	secret_hash_free(hash);
}

void secret_hash_free(struct secret_hash **hash)
{
	if (*hash == NULL)
		return;
	EVP_MD_CTX_free((*hash)->context);
	mem_free(*hash);
	*hash = NULL;
}

void secret_hmac_sha256(struct span key, struct span data,
			unsigned char digest_out[SECRET_SHA256_BYTES])
{
	unsigned len = 0;

	assert(key.len <= INT_MAX);
	if (HMAC(EVP_sha256(), key.data != NULL ? key.data : "", (int)key.len,
		 (const unsigned char *)data.data, data.len, digest_out, &len) == NULL) {
		fputs("stagepost: HMAC-SHA-256 is not available\n", stderr);
		abort();
	}
}

void secret_hex(const void *bytes, size_t len, char *text_out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = bytes;

	for (size_t i = 0; i < len; i++) {
		text_out[2 * i] = digits[from[i] >> 4];
		text_out[2 * i + 1] = digits[from[i] & 15];
	}
	text_out[2 * len] = '\0';
}
