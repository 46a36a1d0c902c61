/* tests/fuzz/fuzz_address_list.c - relay/mail/address_list.c: nothing invented, spans that hold */
#include "relay/mail/address_list.h"

#include "tests/fuzz/fuzz.h"

/* The bytes to replace are this address and no other. */
static void check_spec(const struct address_item *item)
{
	struct address_list list;
	struct address_item again;

	assert(item->spec.len > 0 && item->domain.len > 0);
	if (item->route) /* grammar only between angle brackets */
		return;
	address_list_init(&list, item->spec);
	assert(address_list_next(&list, &again) && again.kind == ADDRESS_ITEM_MAILBOX);
	assert(span_equal(again.local, item->local) && span_equal(again.domain, item->domain));
	assert(again.spec.len == item->spec.len && again.quoted == item->quoted);
	assert(!address_list_next(&list, &again));
	address_list_release(&list);
}

static void check_mailbox(const struct address_item *item)
{
	struct address address;

	assert(item->local.len + item->domain.len < item->spec.len);
	assert(span_is_utf8(item->local) && span_is_utf8(item->domain));
	check_spec(item);
	if (address_item_address(item, &address, NULL) != ERR_OK)
		return;
	assert(!item->quoted || address.form == ADDRESS_UNSAFE);
	assert(!item->route || address.form == ADDRESS_UNSAFE);
	if (address.form == ADDRESS_PLAIN || address.form == ADDRESS_LISTED_ONLY)
		assert(span_is(item->local, address.local));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span field = span_make((const char *)data, size);
	struct address_list list;
	struct address_item item;
	size_t at = 0;
	size_t items = 0;

	address_list_init(&list, field);
	while (address_list_next(&list, &item)) {
		items++;
		assert(fuzz_is_inside(item.source, field) &&
		       fuzz_is_inside(item.spec, item.source));
		if (item.source.len > 0) {
			assert((size_t)(item.source.data - field.data) >= at);
			at = (size_t)(item.source.data - field.data) + item.source.len;
		}
		assert(item.display.len <= size);
		if (item.kind == ADDRESS_ITEM_MAILBOX)
			check_mailbox(&item);
		else
			assert(item.spec.len == 0 && item.local.len == 0 && item.domain.len == 0);
	}
	assert(items <= size + 1 && (items > 0 || span_trim(field).len == 0));
	assert(!address_list_next(&list, &item));
	address_list_release(&list);
	return 0;
}
