/* tests/unit/mail/exact.c - addresses read at the very end of what may be read */
#include <config.h> /* MAP_ANONYMOUS */

#include "tests/unit/mail/exact.h"

#include <check.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every print must be accepted again, mean the same mailbox and print the same. */
void exact_check(const struct address *address)
{
	char text[ADDRESS_TEXT_SIZE];
	char again[ADDRESS_TEXT_SIZE];
	struct address copy;
	struct err why;

	address_format(address, text);
	if (address->form == ADDRESS_NULL) {
		ck_assert_str_eq(text, "");
		return;
	}
	ck_assert_msg(address_parse(span_of(text), &copy, &why) == ERR_OK, "%s: %s", text,
		      why.text);
	address_format(&copy, again);
	ck_assert_str_eq(text, again);
	ck_assert(address_equal(address, &copy));
	if (!address->source_route)
		ck_assert_int_eq(address->form, copy.form);
}

/* A copy with no byte behind it that could be read. It stands until the next one is asked for. */
struct span exact_edge(struct span text)
{
	static char *edge;

	if (edge == NULL) {
		size_t page = (size_t)sysconf(_SC_PAGESIZE);
		char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ck_assert_ptr_ne(pages, MAP_FAILED);
		edge = pages + page;
		ck_assert_int_eq(mprotect(edge, page, PROT_NONE), 0);
		ck_assert_uint_ge(page, 4096);
	}
	ck_assert_uint_le(text.len, 4096);
	memcpy(edge - text.len, text.data, text.len);
	return span_make(edge - text.len, text.len);
}

int exact_parse(struct span text, enum address_path kind, struct address *address_out,
		struct err *why)
{
	return address_parse_path(exact_edge(text), kind, address_out, why);
}
