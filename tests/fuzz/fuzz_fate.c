/* tests/fuzz/fuzz_fate.c - relay/filter/fate.c: what is read is what would be written */
#include "relay/filter/fate.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_make((const char *)data, size);
	char printed[FATE_TEXT_SIZE];
	struct fate fate;
	struct fate again;

	if (fate_parse(text, &fate, NULL) != ERR_OK)
		return 0;
	assert(fate.action == FAULT_BOUNCE || fate.action == FAULT_DEFER);
	assert(fate.code >= 400 && fate.code <= 599);
	fate_format(&fate, printed);
	assert(fate_parse(span_of(printed), &again, NULL) == ERR_OK);
	assert(again.action == fate.action && again.attempts == fate.attempts);
	assert(again.code == fate.code && strcmp(again.enhanced, fate.enhanced) == 0);
	assert(strcmp(again.rule, fate.rule) == 0 && strcmp(again.reply, fate.reply) == 0);
	return 0;
}
