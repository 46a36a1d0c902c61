/* base/size.c - numbers of octets as people write them */
#include "base/size.h"

int size_parse(struct span text, int64_t *octets_out, struct err *why)
{
	static const char units[] = "kmgt";
	size_t shift = 0;
	uint64_t number;
	char last = text.len > 0 ? ascii_lower(text.data[text.len - 1]) : '\0';
	size_t unit = span_find(span_of(units), last);

	if (unit < sizeof(units) - 1) {
		shift = 10 * (unit + 1);
		text.len--;
	}
	switch (span_to_u64(text, (uint64_t)INT64_MAX >> shift, &number)) {
	case ERR_OK: *octets_out = (int64_t)(number << shift); return ERR_OK;
	case ERR_LIMIT: return err_set(why, ERR_LIMIT, "more octets than there are");
	default: return err_set(why, ERR_SYNTAX, "not a size like 512, 64K, 10M or 1G");
	}
}
