/* tests/unit/smtp/secure_house.h - a house with certificates, and a client that verifies nothing */
#ifndef STAGEPOST_TESTS_UNIT_SMTP_SECURE_HOUSE_H
#define STAGEPOST_TESTS_UNIT_SMTP_SECURE_HOUSE_H

#include <openssl/ssl.h>

#include "tests/unit/smtp/fixture.h"

struct secure_house {
	struct house house;
	SSL_CTX *context; /* the client's */
	char folder[64];
	char certificate[100]; /* relay.crt and relay.key there, for relay.test */
	char key[100];
};

/* Change options behind it, then rig_open. */
void secure_init(struct secure_house *secure, enum listener_tls tls);
/* Both, with nothing to change. */
void secure_open(struct secure_house *secure, enum listener_tls tls);
/* The folder is removed, too. */
void secure_close(struct secure_house *secure);

/* A file in the folder; good for the next seven calls. */
const char *secure_path(const struct secure_house *secure, const char *name);
/* Make a certificate for `names` with a key of `key_type` ("RSA" or "EC"); both are file names. */
void secure_write_pair(const struct secure_house *secure, const char *names, const char *key_type,
		       const char *certificate, const char *key);
/* The settings as they are now, in force when it returns. */
void secure_reload(struct secure_house *secure);
/* STARTTLS after EHLO; behind it nothing is said yet. */
void secure_greet(struct client *client, struct secure_house *secure);

#endif
