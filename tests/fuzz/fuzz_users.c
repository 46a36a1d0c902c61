/* tests/fuzz/fuzz_users.c - relay/smtp/users.c and credential.c: any file of users */
#include "relay/smtp/users.h"

#include "tests/fuzz/fuzz.h"

static void tell(void *ctx, size_t line, const char *sentence)
{
	size_t *mistakes = ctx;

	assert(line > 0 && sentence[0] != '\0');
	(*mistakes)++;
}

static void check_user(const struct users *users, const struct users_entry *entry)
{
	struct span name = span_of(entry->name);
	struct sasl_scram scram = {.iterations = 0};
	struct buf password;

	assert(users_is_name(name) && sasl_is_name(name));
	assert(entry->scope[0] == '\0' || users_is_scope(entry->scope));
	assert(strcmp(users_scope(users, name), entry->scope) == 0);
	users_scram_salt(users, name, &scram);
	assert(scram.iterations > 0 && scram.salt_len > 0 && scram.salt_len <= SASL_SALT_MAX);
	buf_init(&password, 65536);
	/* In the clear: what a client would send, and right. */
	if (users_password(users, name, &password)) {
		struct buf prepared;

		assert(entry->scheme == CREDENTIAL_PLAIN && users_can(users, SASL_CRAM_MD5));
		buf_init(&prepared, 65536);
		assert(sasl_prepare(buf_span(&password), &prepared, NULL) == ERR_OK);
		assert(span_equal(buf_span(&prepared), buf_span(&password)));
		buf_release(&prepared);
	}
	buf_release(&password);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct users *users = NULL;
	struct users_entry entry;
	size_t mistakes = 0;
	size_t count = 0;
	int code = users_parse(span_make((const char *)data, size), tell, &mistakes, &users);

	assert((code == ERR_OK) == (mistakes == 0) && (code == ERR_OK) == (users != NULL));
	if (users == NULL)
		return 0;
	for (; users_entry(users, count, &entry); count++)
		check_user(users, &entry);
	assert(count == users_count(users) && users_can(users, SASL_PLAIN) == (count > 0));
	users_free(&users);
	return 0;
}
