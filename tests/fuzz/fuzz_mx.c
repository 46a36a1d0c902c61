/* fuzz relay/deliver/mx.c and dns.c: what a name server answers */
#include <string.h>

#include "relay/deliver/dns.h"
#include "relay/deliver/mx.h"
#include "tests/fuzz/fuzz.h"

/* Whatever came: the best first, no more than there is room for, and only names of hosts. */
static void check(const struct mx_list *list)
{
	assert(list->count <= MX_HOSTS_MAX);
	for (size_t i = 0; i < list->count; i++) {
		const char *name = list->hosts[i].name;

		assert(name[0] != '\0' && strlen(name) <= 253);
		assert(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-_.") == strlen(name));
		assert(i == 0 || list->hosts[i].preference >= list->hosts[i - 1].preference);
		assert(strcmp(name, "relay.test") != 0);
	}
	assert(!list->is_null || list->count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_reader reader;
	struct dns_record record;
	struct mx_list list;
	struct err why;

	if (mx_parse(data, size, "ok.test", "relay.test", &list, &why) == ERR_OK)
		check(&list);
	if (!dns_reader_init(&reader, data, size))
		return 0;
	while (dns_next(&reader, &record))
		assert(record.data >= data && record.data + record.data_len <= data + size);
	return 0;
}
