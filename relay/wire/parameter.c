/* relay/wire/parameter.c - the parameters of MAIL and RCPT, one by one (RFC 5321 4.1.2) */
#include "relay/wire/parameter.h"

/* esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-") */
static bool is_keyword(struct span s)
{
	if (s.len == 0 || !ascii_is_alnum(s.data[0]))
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!ascii_is_alnum(s.data[i]) && s.data[i] != '-')
			return false;
	return true;
}

/* esmtp-value = 1*(%d33-60 / %d62-126), and UTF-8 (RFC 6531 3.3) */
static bool is_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.data[i] >= 0 && s.data[i] < 33) || s.data[i] == 127 || s.data[i] == '=')
			return false;
	return s.len > 0 && span_is_utf8(s);
}

int parameter_next(struct span *rest, struct parameter *parameter_out, struct err *why)
{
	struct parameter found = {.value = {NULL, 0}};
	struct span after = *rest;
	struct span text;
	size_t equals;

	while (after.len > 0 && after.data[0] == ' ')
		after = span_skip(after, 1);
	if (after.len == 0) {
		*rest = after;
		return ERR_NOT_FOUND;
	}
	text = span_cut(&after, ' ');
	equals = span_find(text, '=');
	found.keyword = span_first(text, equals);
	found.has_value = equals < text.len;
	if (found.has_value)
		found.value = span_skip(text, equals + 1);
	if (!is_keyword(found.keyword) || (found.has_value && !is_value(found.value)))
		return err_set(why, ERR_SYNTAX, "not a parameter: %.*s",
			       SPAN_ARG(span_first(text, 100)));
	*rest = after;
	*parameter_out = found;
	return ERR_OK;
}
