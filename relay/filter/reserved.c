/* relay/filter/reserved.c - the domain that no entry can allow */
#include "relay/filter/reserved.h"

bool reserved_is(struct span domain)
{
	size_t len = sizeof(RESERVED_DOMAIN) - 1;

	return span_ends_fold(domain, span_of(RESERVED_DOMAIN)) &&
	       (domain.len == len || domain.data[domain.len - len - 1] == '.');
}
