/* tests/fuzz/fuzz_xclient.c - relay/wire/xclient.c: nothing comes out that could end a line */
#include "relay/wire/xclient.h"

#include "tests/fuzz/fuzz.h"

static void check_text(const struct xclient_attribute *attribute)
{
	assert(strlen(attribute->text) <= XCLIENT_VALUE_MAX);
	assert((attribute->state == XCLIENT_KNOWN) == (attribute->text[0] != '\0'));
	for (const char *c = attribute->text; *c != '\0'; c++) {
		assert(*c >= 32 && *c < 127);
		assert(*c != ' ' || attribute->name == XCLIENT_LOGIN);
		assert(strchr("()<>\\\"", *c) == NULL || attribute->name == XCLIENT_LOGIN);
	}
}

static void check_print(enum xclient_command command, const struct xclient_attribute *attribute)
{
	struct xclient_attribute again;
	struct buf text;
	struct span rest;
	int code;

	buf_init(&text, 2000);
	code = xclient_format(attribute, &text);
	/* What was not xtext can become longer. */
	assert(code == ERR_OK || code == ERR_LIMIT);
	if (code == ERR_OK) {
		rest = buf_span(&text);
		assert(xclient_next(command, &rest, &again, NULL) == ERR_OK && rest.len == 0);
		assert(again.name == attribute->name && again.state == attribute->state);
		assert(strcmp(again.text, attribute->text) == 0);
	}
	buf_release(&text);
}

static void walk(enum xclient_command command, struct span list)
{
	struct xclient_attribute attribute;
	struct span rest = list;
	size_t left = rest.len;

	while (xclient_next(command, &rest, &attribute, NULL) == ERR_OK) {
		assert(rest.len < left && fuzz_is_inside(rest, list));
		left = rest.len;
		check_text(&attribute);
		check_print(command, &attribute);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span list = span_make((const char *)data, size);

	walk(COMMAND_XCLIENT, list);
	walk(COMMAND_XFORWARD, list);
	return 0;
}
