/* relay/smtp/users.h - the users file: who may log in, with what, and for which scope */
#ifndef STAGEPOST_RELAY_SMTP_USERS_H
#define STAGEPOST_RELAY_SMTP_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "relay/smtp/credential.h"

/*
 * A line a user, NAME:SECRET or NAME:SECRET:SCOPE; empty lines and lines that
 * begin with # are skipped. A name is what sasl_is_name() allows, without a
 * colon, blanks at its ends and a # in front, compared octet by octet, and
 * stands once. SECRET: relay/smtp/credential.h. SCOPE: a whitelist scope.
 */
#define USERS_FILE_MAX	 ((size_t)16 << 20)
#define USERS_SCOPE_SIZE 64

/* Constant once it was made; any thread. Secrets are wiped when it is freed. */
struct users;

/* `line` 0: the file as a whole. The sentence shows no secret. */
typedef void users_mistake_fn(void *ctx, size_t line, const char *sentence);

/*
 * Every mistake is told. ERR_OK, or ERR_SYNTAX when there was one. NULL in
 * place of *users_out means: only look.
 */
int users_parse(struct span text, users_mistake_fn *on_mistake, void *ctx,
		struct users **users_out);
/* The same from a file, which nobody but its owner and group may be able to read. */
int users_load(const char *path, users_mistake_fn *on_mistake, void *ctx, struct users **users_out);
void users_free(struct users **users);

/* One line without its line end: the name in it, or the empty span for a comment or nothing. */
struct span users_line_name(struct span line);
/* May it stand as a name, and as a scope, in the file? */
bool users_is_name(struct span name);
bool users_is_scope(const char *text);

size_t users_count(const struct users *users);
/* For lists: number `index` by name. False past the last. */
struct users_entry {
	const char *name;
	enum credential_scheme scheme;
	const char *scope; /* "" for none */
};
bool users_entry(const struct users *users, size_t index, struct users_entry *entry_out);
/* Is there a user whose secret is good for the mechanism? */
bool users_can(const struct users *users, enum sasl_mechanism mechanism);
bool users_has(const struct users *users, struct span name);
/* "" for none, also of a user who is not there. */
const char *users_scope(const struct users *users, struct span name);

/*
 * For sasl_server_ops; the two slow ones take as long for a user who is not
 * there, or is there with another kind of secret.
 */
bool users_check(const struct users *users, struct span name, struct span password);
void users_scram_salt(const struct users *users, struct span name, struct sasl_scram *scram_out);
void users_scram_keys(const struct users *users, struct span name, struct sasl_scram *scram);
bool users_password(const struct users *users, struct span name, struct buf *password_out);

#endif
