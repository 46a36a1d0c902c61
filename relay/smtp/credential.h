/* relay/smtp/credential.h - what the users file knows instead of a password */
#ifndef STAGEPOST_RELAY_SMTP_CREDENTIAL_H
#define STAGEPOST_RELAY_SMTP_CREDENTIAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "relay/wire/sasl.h"

/*
 *   $y$PARAMETERS$SALT$HASH                                     yescrypt, crypt(5)
 *   {SCRAM-SHA-256}ITERATIONS,SALT,STORED-KEY,SERVER-KEY        RFC 5803's values, base64
 *   {PLAIN}PASSWORD   {PLAIN.B64}PASSWORD-IN-BASE64             in the clear
 *
 * Names of schemes are read without regard to case. The SCRAM form is that of
 * Dovecot. Passwords were prepared by sasl_prepare() before they were hashed.
 */
enum credential_scheme {
	CREDENTIAL_YESCRYPT,
	CREDENTIAL_SCRAM,
	CREDENTIAL_PLAIN,
	CREDENTIAL_SCHEMES /* how many */
};
/* "yescrypt", "scram-sha-256", "plain"; for options and lists. */
const char *credential_scheme_name(enum credential_scheme scheme);
bool credential_scheme_find(struct span name, enum credential_scheme *scheme_out);

struct credential {
	enum credential_scheme scheme;
	struct span text;	 /* yescrypt: all of it, with a NUL behind; plain: the password */
	struct sasl_scram scram; /* CREDENTIAL_SCRAM */
};

/*
 * Read `text`; `text` must outlive the credential, is followed by a NUL and,
 * for {PLAIN.B64}, is decoded in place. ERR_SYNTAX with a sentence that shows
 * nothing of it.
 */
int credential_parse(char *text, struct credential *credential_out, struct err *why);

/* Is it this (prepared) password? As slow as the scheme is. */
bool credential_check(const struct credential *credential, struct span password);

/* Append what credential_parse reads, for a password as given. ERR_SYNTAX: it is none. */
int credential_make(enum credential_scheme scheme, struct span password, struct buf *out,
		    struct err *why);

#endif
