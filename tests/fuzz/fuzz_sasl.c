/*
 * tests/fuzz/fuzz_sasl.c - relay/wire/sasl.c and base64.c: a login by whatever a client sends.
 *
 * Input: a letter for the mechanism (small: the lines behind it are as they come, capital: base64),
 * then a line for each response.
 */
#include "relay/wire/sasl.h"

#include "relay/wire/base64.h"
#include "tests/fuzz/fuzz.h"

#define STEPS_MAX 8

/* What the server was asked, and what it said. */
struct oracle {
	bool slow; /* the step under way said it would be */
	bool knows_password;
	bool said_yes;
	char name[SASL_NAME_MAX + 1];
};

static void note_name(struct oracle *oracle, struct span name)
{
	assert(sasl_is_name(name));
	memcpy(oracle->name, name.data, name.len);
	oracle->name[name.len] = '\0';
}

static bool check(void *ctx, struct span name, struct span password)
{
	struct oracle *oracle = ctx;

	assert(oracle->slow && span_find(password, '\0') == password.len);
	note_name(oracle, name);
	oracle->said_yes = span_is(password, "secret");
	return oracle->said_yes;
}

static void scram_salt(void *ctx, struct span name, struct sasl_scram *scram_out)
{
	note_name(ctx, name);
	scram_out->iterations = 4096;
	scram_out->salt_len = 1;
}

/* Keys that no password has. */
static void scram_keys(void *ctx, struct span name, struct sasl_scram *scram)
{
	const struct oracle *oracle = ctx;

	assert(oracle->slow && span_is(name, oracle->name));
	memset(scram->stored_key, 1, sizeof(scram->stored_key));
	memset(scram->server_key, 2, sizeof(scram->server_key));
}

static bool password(void *ctx, struct span name, struct buf *password_out)
{
	struct oracle *oracle = ctx;

	note_name(oracle, name);
	return oracle->knows_password && buf_append_text(password_out, "secret") == ERR_OK;
}

static bool external(void *ctx, struct span name, struct buf *name_out)
{
	struct oracle *oracle = ctx;

	assert(name.len == 0 || sasl_is_name(name));
	oracle->said_yes = name.len == 0 || span_is(name, "cert");
	note_name(oracle, span_of("cert"));
	return oracle->said_yes && buf_append_text(name_out, "cert") == ERR_OK;
}

static const struct sasl_server_ops ops = {.check = check,
					   .scram_salt = scram_salt,
					   .scram_keys = scram_keys,
					   .password = password,
					   .external = external};

/* Canonical: what decodes is what its bytes encode to. */
static bool decode(struct span line, struct buf *bytes)
{
	struct buf again;

	buf_clear(bytes);
	if (base64_decode(line, bytes) != ERR_OK) {
		assert(bytes->len == 0);
		return false;
	}
	buf_init(&again, line.len + 4);
	assert(base64_encode(buf_span(bytes), &again) == ERR_OK);
	assert(span_equal(buf_span(&again), line));
	buf_release(&again);
	return true;
}

static void check_done(const struct sasl *sasl, enum sasl_mechanism mechanism,
		       const struct oracle *oracle)
{
	struct span user = span_of(sasl_user(sasl));

	assert(sasl_is_name(user) && span_is(user, oracle->name));
	/* Nobody can guess a proof. */
	assert(mechanism != SASL_SCRAM_SHA_256 && mechanism != SASL_CRAM_MD5);
	assert(oracle->said_yes);
}

static void exchange(const struct sasl_library *library, enum sasl_mechanism mechanism, bool coded,
		     struct span rest)
{
	struct oracle oracle = {.knows_password = coded};
	struct sasl *sasl = sasl_server_new(library, mechanism, &ops, &oracle);
	enum sasl_result result = SASL_MORE;
	struct buf output;
	struct buf bytes;

	buf_init(&output, 65536);
	buf_init(&bytes, 65536);
	for (int i = 0; i < STEPS_MAX && result == SASL_MORE; i++) {
		struct span line = span_cut(&rest, '\n');

		if (coded && !decode(line, &bytes))
			break;
		oracle.slow = sasl_is_slow(sasl);
		result = sasl_step(sasl, coded ? buf_span(&bytes) : line, &output);
		if (sasl_claim(sasl)[0] != '\0')
			assert(sasl_is_name(span_of(sasl_claim(sasl))));
	}
	if (result == SASL_DONE)
		check_done(sasl, mechanism, &oracle);
	sasl_free(&sasl);
	buf_release(&output);
	buf_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] = "escpl"; /* as enum sasl_mechanism */
	static struct sasl_library *library;
	struct span input = span_make((const char *)data, size);
	const char *letter;

	if (size == 0 || data[0] == 0)
		return 0;
	letter = strchr(letters, ascii_lower(input.data[0]));
	if (letter == NULL)
		return 0;
	/* For the whole run: making one takes longer than an exchange. */
	if (library == NULL)
		library = sasl_library_new();
	exchange(library, (enum sasl_mechanism)(letter - letters), input.data[0] != *letter,
		 span_skip(input, 1));
	return 0;
}
