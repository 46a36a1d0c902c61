/* relay/smtp/users.c - the users file: who may log in, with what, and for which scope */
#include <config.h>

#include "relay/smtp/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"

struct user {
	const char *name;
	struct credential credential;
	const char *scope;
	size_t line;
};

/*
 * What is hashed for somebody who is not there. Unset where no user has a
 * secret of the kind: then nobody's takes that long.
 */
struct users {
	struct user *items; /* by name */
	size_t count;
	size_t room;
	bool has[CREDENTIAL_SCHEMES];
	struct credential dummies[CREDENTIAL_SCHEMES];
	char salt_key[SECRET_SHA256_BYTES]; /* of salts that are made up */
	char *text;			    /* names and secrets lie in it */
	size_t text_len;
};

struct reading {
	struct users *users;
	users_mistake_fn *on_mistake;
	void *ctx;
	size_t line;
	size_t mistakes;
};

static void complain(struct reading *reading, const char *sentence)
{
	reading->mistakes++;
	reading->on_mistake(reading->ctx, reading->line, sentence);
}

/* --- lines ----------------------------------------------------------------------- */

bool users_is_name(struct span name)
{
	return sasl_is_name(name) && name.data[0] != '#' && span_find(name, ':') == name.len &&
	       span_trim(name).len == name.len;
}

struct span users_line_name(struct span line)
{
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (span_trim(line).len == 0 || line.data[0] == '#')
		return span_of("");
	return span_first(line, span_find(line, ':'));
}

/* Letters, digits, dot, hyphen, underscore: as the whitelist's. */
bool users_is_scope(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (!ascii_is_alnum(text[i]) && memchr("._-", text[i], 3) == NULL)
			return false;
	return len > 0 && len < USERS_SCOPE_SIZE;
}

/* The field up to the next colon, which becomes its NUL. NULL: there is none. */
static char *cut_field(char **rest)
{
	char *field = *rest;
	char *colon = field != NULL ? strchr(field, ':') : NULL;

	if (colon != NULL)
		*colon++ = '\0';
	*rest = colon;
	return field;
}

static void add_user(struct users *users, const struct user *user)
{
	if (users->count == users->room) {
		users->room = users->room > 0 ? users->room * 2 : 16;
		users->items = mem_regrow(users->items, users->room, sizeof(*users->items));
	}
	users->items[users->count++] = *user;
	users->has[user->credential.scheme] = true;
}

/* `line` ends with a NUL; nothing of its secret gets into a sentence. */
static void read_line(struct reading *reading, char *line)
{
	char *rest = line;
	struct user user = {.line = reading->line, .scope = ""};
	char *secret;
	const char *scope;
	struct err why;

	user.name = cut_field(&rest);
	secret = cut_field(&rest);
	scope = cut_field(&rest);
	if (!users_is_name(span_of(user.name))) {
		complain(reading, "a user's name has 1 to 255 octets of UTF-8, no control "
				  "characters, and no blanks at its ends");
	} else if (secret == NULL) {
		complain(reading, "NAME:SECRET or NAME:SECRET:SCOPE was expected");
	} else if (rest != NULL || (scope != NULL && !users_is_scope(scope))) {
		complain(reading, "behind the second colon a scope of at most 63 letters, digits, "
				  "dots, hyphens and underscores was expected (a password with a "
				  "colon is written as {PLAIN.B64})");
	} else if (credential_parse(secret, &user.credential, &why) != ERR_OK) {
		complain(reading, why.text);
	} else {
		user.scope = scope != NULL ? scope : "";
		add_user(reading->users, &user);
	}
}

static void read_lines(struct reading *reading)
{
	char *at = reading->users->text;
	const char *end = at + reading->users->text_len;

	while (at < end) {
		char *lf = memchr(at, '\n', (size_t)(end - at));
		char *stop = lf != NULL ? lf : at + (end - at);
		size_t len = (size_t)(stop - at);

		reading->line++;
		*stop = '\0'; /* there is one behind the end, too */
		if (len > 0 && at[len - 1] == '\r')
			at[--len] = '\0';
		if (memchr(at, '\0', len) != NULL)
			complain(reading, "a NUL octet stands in this line");
		else if (at[0] != '#' && span_trim(span_make(at, len)).len > 0)
			read_line(reading, at);
		at = stop + 1;
	}
}

/* --- the whole --------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct user *x = a;
	const struct user *y = b;
	int order = strcmp(x->name, y->name);

	if (order != 0)
		return order;
	return x->line < y->line ? -1 : x->line > y->line;
}

static void sort_users(struct reading *reading)
{
	struct users *users = reading->users;

	if (users->count == 0)
		return;
	qsort(users->items, users->count, sizeof(*users->items), by_name);
	for (size_t i = 1; i < users->count; i++) {
		if (strcmp(users->items[i].name, users->items[i - 1].name) != 0)
			continue;
		reading->line = users->items[i].line;
		complain(reading, "this name stood in a line before");
	}
}

/* As costly as the first of its kind. */
static void make_dummies(struct users *users)
{
	for (size_t i = users->count; i-- > 0;) {
		enum credential_scheme scheme = users->items[i].credential.scheme;

		users->dummies[scheme] = users->items[i].credential;
	}
	/* No password leads to these keys. */
	secret_random(users->dummies[CREDENTIAL_SCRAM].scram.stored_key, SASL_KEY_SIZE);
	secret_random(users->salt_key, sizeof(users->salt_key));
}

int users_parse(struct span text, users_mistake_fn *on_mistake, void *ctx, struct users **users_out)
{
	struct users *users = mem_zalloc(sizeof(*users));
	struct reading reading = {.users = users, .on_mistake = on_mistake, .ctx = ctx};

	users->text = mem_span_dup(text);
	users->text_len = text.len;
	read_lines(&reading);
	sort_users(&reading);
	make_dummies(users);
	if (reading.mistakes > 0 || users_out == NULL)
		users_free(&users);
	else
		*users_out = users;
	return reading.mistakes > 0 ? ERR_SYNTAX : ERR_OK;
}

void users_free(struct users **users)
{
	struct users *gone = *users;

	if (gone == NULL)
		return;
	*users = NULL;
	if (gone->items != NULL)
		secret_wipe(gone->items, gone->room * sizeof(*gone->items));
	mem_free(gone->items);
	secret_wipe(gone->text, gone->text_len);
	mem_free(gone->text);
	secret_wipe(gone, sizeof(*gone));
	mem_free(gone);
}

/* --- the file ------------------------------------------------------------------------ */

static int check_file(int fd, struct err *why)
{
	struct stat stat;

	if (fstat(fd, &stat) != 0)
		return err_set(why, ERR_IO, "can't be read: %s", strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return err_set(why, ERR_IO, "is no file");
	if ((stat.st_mode & S_IRWXO) != 0)
		return err_set(why, ERR_DENIED,
			       "holds secrets, but everybody has access to it (mode %04o); "
			       "chmod o= on it",
			       (unsigned)stat.st_mode & 07777U);
	if ((uint64_t)stat.st_size > USERS_FILE_MAX)
		return err_set(why, ERR_LIMIT, "is larger than %zu octets", USERS_FILE_MAX);
	return ERR_OK;
}

static int read_all(int fd, struct buf *text, struct err *why)
{
	for (;;) {
		char *room = buf_reserve(text, 16384);
		ssize_t got = room != NULL ? read(fd, room, 16384) : 0;

		if (room == NULL)
			return err_set(why, ERR_LIMIT, "grows while it is read");
		if (got < 0 && errno != EINTR)
			return err_set(why, ERR_IO, "can't be read: %s", strerror(errno));
		if (got == 0)
			return ERR_OK;
		buf_fill(text, got > 0 ? (size_t)got : 0);
	}
}

int users_load(const char *path, users_mistake_fn *on_mistake, void *ctx, struct users **users_out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct buf text;
	struct err why;
	int code;

	buf_init(&text, USERS_FILE_MAX + 32768);
	if (fd < 0)
		code = err_set(&why, ERR_IO, "can't be read: %s", strerror(errno));
	else
		code = check_file(fd, &why);
	if (code == ERR_OK)
		code = read_all(fd, &text, &why);
	if (code != ERR_OK) {
		on_mistake(ctx, 0, why.text);
		code = ERR_SYNTAX;
	} else {
		code = users_parse(buf_span(&text), on_mistake, ctx, users_out);
	}
	if (text.data != NULL)
		secret_wipe(text.data, text.len);
	buf_release(&text);
	if (fd >= 0)
		close(fd);
	return code;
}

/* --- questions ------------------------------------------------------------------------ */

static int compare_name(const void *key, const void *item)
{
	const struct span *name = key;

	return span_compare(*name, span_of(((const struct user *)item)->name));
}

static const struct user *find(const struct users *users, struct span name)
{
	return users->count > 0 ? bsearch(&name, users->items, users->count, sizeof(*users->items),
					  compare_name)
				: NULL;
}

size_t users_count(const struct users *users)
{
	return users->count;
}

bool users_entry(const struct users *users, size_t index, struct users_entry *entry_out)
{
	const struct user *user = index < users->count ? &users->items[index] : NULL;

	if (user == NULL)
		return false;
	*entry_out = (struct users_entry){user->name, user->credential.scheme, user->scope};
	return true;
}

bool users_can(const struct users *users, enum sasl_mechanism mechanism)
{
	switch (mechanism) {
	case SASL_PLAIN:
	case SASL_LOGIN: return users->count > 0;
	case SASL_SCRAM_SHA_256:
		return users->has[CREDENTIAL_SCRAM] || users->has[CREDENTIAL_PLAIN];
	case SASL_CRAM_MD5: return users->has[CREDENTIAL_PLAIN];
	case SASL_EXTERNAL:
	case SASL_MECHANISMS: break;
	}
	return false;
}

bool users_has(const struct users *users, struct span name)
{
	return find(users, name) != NULL;
}

const char *users_scope(const struct users *users, struct span name)
{
	const struct user *user = find(users, name);

	return user != NULL ? user->scope : "";
}

/* One hash of each kind that any user has, whoever asks: time tells nothing. */
bool users_check(const struct users *users, struct span name, struct span password)
{
	const struct user *user = find(users, name);
	bool right = false;

	for (unsigned i = 0; i < CREDENTIAL_SCHEMES; i++) {
		bool own = user != NULL && (unsigned)user->credential.scheme == i;
		const struct credential *credential = own ? &user->credential : &users->dummies[i];
		bool same = users->has[i] && credential_check(credential, password);

		right = right || (own && same);
	}
	return right && password.len > 0;
}

/* The same salt for the same name until the file is read again. */
static void make_up_salt(const struct users *users, struct span name, struct sasl_scram *scram)
{
	unsigned char digest[SECRET_SHA256_BYTES];
	struct buf text;

	buf_init(&text, sizeof(users->salt_key) + SASL_NAME_MAX);
	(void)buf_append(&text, users->salt_key, sizeof(users->salt_key));
	(void)buf_append_span(&text, span_first(name, SASL_NAME_MAX));
	secret_sha256(buf_span(&text), digest);
	buf_release(&text);
	scram->salt_len =
		users->has[CREDENTIAL_SCRAM] ? users->dummies[CREDENTIAL_SCRAM].scram.salt_len : 16;
	if (scram->salt_len > sizeof(digest))
		scram->salt_len = sizeof(digest);
	memcpy(scram->salt, digest, scram->salt_len);
}

void users_scram_salt(const struct users *users, struct span name, struct sasl_scram *scram_out)
{
	const struct user *user = find(users, name);

	if (user != NULL && user->credential.scheme == CREDENTIAL_SCRAM) {
		scram_out->iterations = user->credential.scram.iterations;
		scram_out->salt_len = user->credential.scram.salt_len;
		memcpy(scram_out->salt, user->credential.scram.salt, scram_out->salt_len);
		return;
	}
	scram_out->iterations = users->has[CREDENTIAL_SCRAM]
					? users->dummies[CREDENTIAL_SCRAM].scram.iterations
					: 4096;
	make_up_salt(users, name, scram_out);
}

void users_scram_keys(const struct users *users, struct span name, struct sasl_scram *scram)
{
	const struct user *user = find(users, name);
	struct sasl_scram derived = *scram;

	/* Done for everybody, as soon as it has to be done for somebody. */
	if (users->has[CREDENTIAL_PLAIN])
		sasl_scram_derive(&derived,
				  user != NULL && user->credential.scheme == CREDENTIAL_PLAIN
					  ? user->credential.text
					  : span_of("nobody's password"));
	if (user != NULL && user->credential.scheme == CREDENTIAL_SCRAM) {
		memcpy(scram->stored_key, user->credential.scram.stored_key, SASL_KEY_SIZE);
		memcpy(scram->server_key, user->credential.scram.server_key, SASL_KEY_SIZE);
	} else if (user != NULL && user->credential.scheme == CREDENTIAL_PLAIN) {
		*scram = derived;
	} else {
		secret_random(scram->stored_key, SASL_KEY_SIZE);
		secret_random(scram->server_key, SASL_KEY_SIZE);
	}
	secret_wipe(&derived, sizeof(derived));
}

bool users_password(const struct users *users, struct span name, struct buf *password_out)
{
	const struct user *user = find(users, name);

	return user != NULL && user->credential.scheme == CREDENTIAL_PLAIN &&
	       buf_append_span(password_out, user->credential.text) == ERR_OK;
}
