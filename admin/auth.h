/* admin/auth.h - who is asking: bearer tokens on TCP, the peer's user id on the unix socket */
#ifndef STAGEPOST_ADMIN_AUTH_H
#define STAGEPOST_ADMIN_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/http.h"
#include "base/err.h"
#include "queue/reader.h"
#include "queue/store.h"
#include "queue/token.h"

#define AUTH_SCOPE_MAX 64
#define AUTH_NAME_MAX  64

/* A plain value. */
struct caller {
	enum role role;
	char scope[AUTH_SCOPE_MAX + 1];		      /* "" = all */
	char actor[sizeof("token:") + AUTH_NAME_MAX]; /* "token:ci", "socket:0" */
	int64_t token;				      /* its number; 0: no token */
	int64_t last_used_at;			      /* of the token, as far as it is noted */
};

/* "stp_", 43 characters of base 62 (256 bits), and a NUL. */
#define AUTH_SECRET_SIZE (4 + 43 + 1)
/* A new secret and what is stored of it. */
void auth_new_secret(char secret_out[AUTH_SECRET_SIZE],
		     unsigned char digest_out[SECRET_SHA256_BYTES]);

/*
 * The value of an Authorization header (NULL: none): the scheme in either
 * case, one blank, the secret, nothing else. ERR_OK; ERR_DENIED for whatever
 * is missing, malformed, unknown, revoked or expired, without saying which;
 * anything else: the store can't be asked now.
 */
int auth_bearer(struct store_reader *reader, const char *authorization, int64_t now,
		struct caller *caller_out, struct err *why);
/* The same for a secret alone; digest_out is what auth_digest takes. */
int auth_secret(struct store_reader *reader, struct span secret, int64_t now,
		unsigned char digest_out[SECRET_SHA256_BYTES], struct caller *caller_out,
		struct err *why);
int auth_digest(struct store_reader *reader, const unsigned char digest[SECRET_SHA256_BYTES],
		int64_t now, struct caller *caller_out, struct err *why);
/* The unix socket: the daemon's own user and root are admin, nobody else is anything. ERR_DENIED.
 */
int auth_peer(const struct http_peer *peer, struct caller *caller_out, struct err *why);

/*
 * While there is no token at all, make one named "admin" with all rights and
 * put its secret into data_dir/admin.token (0600). Waits for the store.
 */
int auth_first_token(struct store *store, struct store_reader *reader, const char *data_dir,
		     int64_t now, struct err *why);

/* Wrong tokens by address (CASES S284). The right token is never locked out. Any thread. */
struct auth_failures;
struct auth_failures *auth_failures_new(void);
void auth_failures_free(struct auth_failures **failures);
struct auth_failure {
	bool over_limit; /* answer 429 */
	bool log;	 /* the first of its window: worth a line */
	uint64_t quiet;	 /* failures that were not logged since the line before */
};
void auth_failures_add(struct auth_failures *failures, const char *address, int64_t mono_ms,
		       struct auth_failure *failure_out);

#endif
