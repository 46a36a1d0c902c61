/* tests/fuzz/fuzz_proxy.c - relay/wire/proxy.c: what is read is written and read again */
#include "relay/wire/proxy.h"

#include "tests/fuzz/fuzz.h"

static void check_spans(const struct proxy_header *header, struct span whole)
{
	assert(fuzz_is_inside(header->authority, whole));
	assert(header->authority.len <= PROXY_AUTHORITY_MAX);
	assert(fuzz_is_inside(header->unique_id, whole));
	assert(header->unique_id.len <= PROXY_UNIQUE_ID_MAX);
	assert(fuzz_is_inside(header->tls.version, whole));
	assert(fuzz_is_inside(header->tls.cipher, whole));
	assert(fuzz_is_inside(header->tls.common_name, whole));
}

static bool same_endpoint(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void check_print(const struct proxy_header *header)
{
	struct proxy_header again;
	struct buf text;
	size_t len;
	int code;

	buf_init(&text, PROXY_HEADER_MAX);
	code = proxy_format(header, &text);
	/* Our checksum may be what makes it too long. */
	assert(code == ERR_OK || code == ERR_LIMIT);
	if (code == ERR_OK) {
		assert(proxy_parse(buf_span(&text), &again, &len, NULL) == ERR_OK);
		assert(len == text.len && again.version == header->version);
		assert(again.has_addresses == header->has_addresses);
		assert(again.local == header->local);
		assert(same_endpoint(&again.source, &header->source));
		assert(same_endpoint(&again.destination, &header->destination));
		assert(span_equal(again.authority, header->authority));
		assert(span_equal(again.unique_id, header->unique_id));
		assert(again.tls.is_used == header->tls.is_used);
		assert(!header->tls.is_used ||
		       span_equal(again.tls.common_name, header->tls.common_name));
	}
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_make((const char *)data, size);
	struct proxy_header header;
	size_t len = 0;
	size_t shorter;
	int code = proxy_parse(input, &header, &len, NULL);

	if (code != ERR_OK) {
		/* With half of it: the same, or not known yet. */
		int half = proxy_parse(span_first(input, size / 2), &header, &len, NULL);

		assert(half == ERR_BUSY || half == code);
		return 0;
	}
	assert(len > 0 && len <= size && len <= PROXY_HEADER_MAX);
	check_spans(&header, span_first(input, len));
	check_print(&header);
	/* It needs all of its octets and none behind them. */
	assert(proxy_parse(span_first(input, len - 1), &header, &shorter, NULL) == ERR_BUSY);
	assert(proxy_parse(span_first(input, len), &header, &shorter, NULL) == ERR_OK);
	assert(shorter == len);
	return 0;
}
