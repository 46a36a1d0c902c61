/* base/err.c - what went wrong: a code to act on and a sentence to show */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *why, int code, const char *format, ...)
{
	va_list args;

	if (why == NULL)
		return code;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return code;
}

int err_prefix(struct err *why, int code, const char *format, ...)
{
	char rest[sizeof(why->text)];
	va_list args;
	size_t used;

	if (why == NULL)
		return code;
	memcpy(rest, why->text, sizeof(rest));
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	used = strlen(why->text);
	snprintf(why->text + used, sizeof(why->text) - used, ": %s", rest);
	return code;
}

const char *err_name(int code)
{
	static const char *const names[] = {
		"ok", "syntax", "limit",   "not found", "conflict", "stale",	   "busy",   "full",
		"io", "fatal",	"timeout", "closed",	"denied",   "unsupported", "unsafe",
	};

	if (code > 0 || -code >= (int)(sizeof(names) / sizeof(names[0])))
		return "unknown";
	return names[-code];
}
