/* tests/fuzz/fuzz_address.c - relay/mail/address.c: whatever is let through has one print */
#include "relay/mail/address.h"

#include "tests/fuzz/fuzz.h"

static size_t count_char(const char *text, char c)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == c;
	return n;
}

/* No print may end a command line or hide something in it. */
static void check_bytes(const char *text)
{
	for (; *text != '\0'; text++)
		assert((unsigned char)*text >= 32 && *text != 127);
}

/* What a whitelist entry could let out must have one reading (DESIGN 4.6). */
static void check_deliverable(const struct address *address, const char *text)
{
	assert(span_is_ascii(span_of(text)));
	assert(count_char(text, '@') == 1);
	assert(strpbrk(text, " \"\\()<>[]:;,") == NULL);
	assert(strlen(address->local) <= 64 && strlen(address->domain) <= 253);
	assert(!address->quoted && !address->literal && !address->source_route && !address->utf8);
	if (address->form != ADDRESS_PLAIN)
		return;
	assert(ascii_is_alnum(text[0]) && strchr(address->domain, '.') != NULL);
	for (; *text != '\0'; text++)
		assert(ascii_is_alnum(*text) || strchr("._+-@", *text) != NULL);
}

static void check(const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];
	char again[ADDRESS_TEXT_SIZE];
	char key[ADDRESS_TEXT_SIZE];
	struct address copy;

	address_format(address, text);
	address_key(address, key);
	assert(strlen(text) <= 254 && span_equal_fold(span_of(text), span_of(key)));
	check_bytes(text);
	if (address->form == ADDRESS_NULL) {
		assert(text[0] == '\0');
		return;
	}
	if (address->form == ADDRESS_PLAIN || address->form == ADDRESS_LISTED_ONLY)
		check_deliverable(address, text);
	assert(address_parse(span_of(text), &copy, NULL) == ERR_OK);
	address_format(&copy, again);
	assert(strcmp(text, again) == 0 && address_equal(address, &copy));
	assert(address->source_route || address->form == copy.form);
	assert(address_parse(span_of(key), &copy, NULL) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_make((const char *)data, size);
	char ascii[ADDRESS_DOMAIN_MAX + 1];
	char again[ADDRESS_DOMAIN_MAX + 1];
	struct address address;

	if (address_parse_path(text, ADDRESS_FORWARD_PATH, &address, NULL) == ERR_OK)
		check(&address);
	if (address_parse_path(text, ADDRESS_REVERSE_PATH, &address, NULL) == ERR_OK)
		check(&address);
	if (address_parse(text, &address, NULL) == ERR_OK)
		check(&address);
	if (domain_to_ascii(text, ascii, NULL) == ERR_OK) {
		assert(domain_to_ascii(span_of(ascii), again, NULL) == ERR_OK);
		assert(strcmp(ascii, again) == 0);
	}
	return 0;
}
