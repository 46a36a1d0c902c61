/* base/secret.h - random bytes, hashes and comparisons for things that must stay secret */
#ifndef STAGEPOST_BASE_SECRET_H
#define STAGEPOST_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* From the kernel; aborts if it has none to give. */
void secret_random(void *bytes_out, size_t len);
/* In time that depends on the length only. */
bool secret_equal(struct span a, struct span b);
/* Not optimised away. */
void secret_wipe(void *bytes, size_t len);

#define SECRET_SHA256_BYTES 32
void secret_sha256(struct span data, unsigned char digest_out[SECRET_SHA256_BYTES]);
/* RFC 2104. */
void secret_hmac_sha256(struct span key, struct span data,
			unsigned char digest_out[SECRET_SHA256_BYTES]);

/* The same of bytes that come in pieces: begin, add, then end, which frees it. */
struct secret_hash;
struct secret_hash *secret_hash_begin(void);
void secret_hash_add(struct secret_hash *hash, struct span data);
void secret_hash_end(struct secret_hash **hash, unsigned char digest_out[SECRET_SHA256_BYTES]);
/* Without a result; NULL inside is fine. */
void secret_hash_free(struct secret_hash **hash);

/* `len` bytes as lower-case hexadecimal with a NUL: text_out holds 2 * len + 1. */
void secret_hex(const void *bytes, size_t len, char *text_out);

#endif
