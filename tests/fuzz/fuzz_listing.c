/* tests/fuzz/fuzz_listing.c - relay/filter/listing*.c, tokens.c: any text in any of the formats */
#include "relay/filter/listing.h"

#include "relay/filter/pattern.h"
#include "tests/fuzz/fuzz.h"

#define NOW 1000000

struct told {
	size_t count;
	size_t lines; /* of the text */
};

static void tell(void *ctx, const struct listing_mistake *mistake)
{
	struct told *told = ctx;

	assert(mistake->why.text[0] != '\0' && mistake->line <= told->lines);
	assert(mistake->line > 0 || mistake->column == 0);
	assert(mistake->pointer[0] == '\0' || mistake->pointer[0] == '/');
	told->count++;
}

static struct listing *take(enum listing_format format, struct span text, bool allow_all)
{
	const struct listing_options options = {
		.now = NOW, .allow_all = allow_all, .max_entries = 2000};
	struct told told = {0, 1};
	struct listing *listing = NULL;
	int code;

	for (size_t i = 0; i < text.len; i++)
		told.lines += text.data[i] == '\n';
	code = listing_read(format, text, &options, tell, &told, &listing);
	assert((code == ERR_OK) == (told.count == 0) && (code == ERR_OK) == (listing != NULL));
	assert(told.count <= LISTING_MISTAKES_MAX);
	return listing;
}

static void check_entry(const struct entry *entry)
{
	struct pattern pattern;

	assert(pattern_parse(span_of(entry->pattern), &pattern, NULL) == ERR_OK);
	assert(span_is(span_of(entry->pattern), pattern.text) && pattern.kind == entry->kind);
	assert(entry->action == ENTRY_ALLOW || entry->action == ENTRY_DENY);
	assert(listing_is_scope(span_of(entry->scope)) && entry->expires_at >= 0);
	assert(span_is_utf8(span_of(entry->note)) && span_is_utf8(span_of(entry->owner)));
}

static void on_difference(void *ctx, const struct entry *before, const struct entry *after)
{
	(void)ctx;
	(void)before;
	(void)after;
	assert(!"what was written is not what was read");
}

/* Written and read again it is the same list. */
static void check_round(const struct listing *listing, enum listing_format format)
{
	struct listing *again;
	struct buf text;

	buf_init(&text, 64 * 1024 * 1024);
	assert(listing_begin(format, &text) == ERR_OK);
	for (size_t i = 0; i < listing_count(listing); i++)
		assert(listing_write(format, listing_entry(listing, i), i == 0, &text) == ERR_OK);
	assert(listing_end(format, &text) == ERR_OK);
	again = take(format, buf_span(&text), false);
	assert(again != NULL && listing_count(again) == listing_count(listing));
	listing_compare(listing, again, on_difference, NULL);
	listing_free(&again);
	buf_release(&text);
}

/* The first octet: the format, and whether `*` may stand there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum listing_format format;
	struct listing *listing;

	if (size == 0)
		return 0;
	format = (enum listing_format)(LISTING_TEXT + (data[0] & 7) % 5);
	listing = take(format, span_make((const char *)data + 1, size - 1), (data[0] & 8) != 0);
	if (listing == NULL)
		return 0;
	for (size_t i = 0; i < listing_count(listing); i++)
		check_entry(listing_entry(listing, i));
	for (int i = LISTING_TEXT; i <= LISTING_JSON; i++)
		check_round(listing, (enum listing_format)i);
	listing_free(&listing);
	return 0;
}
