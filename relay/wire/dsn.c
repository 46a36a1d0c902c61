/* relay/wire/dsn.c - what a sender may ask about reports: RET, ENVID, NOTIFY, ORCPT (RFC 3461 4) */
#include "relay/wire/dsn.h"

#include "base/buf.h"
#include "base/err.h"
#include "relay/wire/xtext.h"

const char *dsn_ret_parse(struct span text)
{
	if (span_is_fold(text, "FULL"))
		return "FULL";
	return span_is_fold(text, "HDRS") ? "HDRS" : NULL;
}

const char *dsn_notify_parse(struct span text)
{
	static const char *const words[] = {"SUCCESS", "FAILURE", "DELAY"};
	/* By the bits of the words that were given. */
	static const char *const lists[] = {
		NULL,	 "SUCCESS",	  "FAILURE",	   "SUCCESS,FAILURE",
		"DELAY", "SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"};
	struct span rest = text;
	unsigned given = 0;

	if (text.len == 0)
		return NULL;
	if (span_is_fold(text, "NEVER"))
		return "NEVER";
	/* An empty element, also at the end, is none of the words. */
	for (bool more = true; more;) {
		struct span word = span_cut(&rest, ',');
		unsigned bit = 0;

		more = word.data + word.len != text.data + text.len;
		for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (span_is_fold(word, words[i]))
				bit = 1U << i;
		if (bit == 0)
			return NULL;
		given |= bit;
	}
	return lists[given];
}

/* Decoded, it must be fit for one line of a report: no controls (CASES S041, S042). */
static bool is_printable_xtext(struct span text, size_t max, size_t decoded_max)
{
	struct buf decoded;
	bool fits;

	if (text.len == 0 || text.len > max)
		return false;
	buf_init(&decoded, decoded_max);
	fits = xtext_decode(text, &decoded) == ERR_OK;
	for (size_t i = 0; fits && i < decoded.len; i++)
		fits = decoded.data[i] >= 32 && decoded.data[i] <= 126;
	buf_release(&decoded);
	return fits;
}

bool dsn_envid_is_valid(struct span text)
{
	return is_printable_xtext(text, DSN_ENVID_MAX, DSN_ENVID_MAX / 3);
}

/* RFC 5322 3.2.3 */
static bool is_atom(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) &&
		    (text.data[i] == '\0' || strchr("!#$%&'*+-/=?^_`{|}~", text.data[i]) == NULL))
			return false;
	return text.len > 0;
}

/* utf-8-addr-unitext: QCHAR, \x{...} and UTF-8. */
static bool is_unitext(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c < 33 || c == '+' || c == '=' || c == 127)
			return false;
	}
	return span_is_utf8(text);
}

bool dsn_orcpt_is_valid(struct span text, bool utf8)
{
	struct span address = text;
	struct span type = span_cut(&address, ';');

	if (text.len > DSN_ORCPT_MAX || !is_atom(type) || address.len == 0)
		return false;
	if (utf8 && span_is_fold(type, "utf-8") && !span_is_ascii(address))
		return is_unitext(address);
	return is_printable_xtext(address, DSN_ORCPT_MAX, DSN_ORCPT_MAX);
}
