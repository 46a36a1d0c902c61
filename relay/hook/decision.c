/* relay/hook/decision.c - what was decided, as text and as a next hop */
#include "relay/hook/decision.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#define PREFIX "the policy hook: "

void decision_clean(struct span text, char *out, size_t size)
{
	struct span cut = span_first(text, size - 1);
	bool is_utf8;

	/* At the end of a character, where it is cut at all. */
	for (int i = 0; i < 3 && cut.len < text.len && cut.len > 0 && !span_is_utf8(cut); i++)
		cut.len--;
	is_utf8 = span_is_utf8(cut);
	for (size_t i = 0; i < cut.len; i++) {
		unsigned char c = (unsigned char)cut.data[i];

		out[i] = c < ' ' || c == 0x7f || (c >= 0x80 && !is_utf8) ? '?' : (char)c;
	}
	out[cut.len] = '\0';
}

__attribute__((format(printf, 2, 0))) static void say(struct decision *decision, const char *format,
						      va_list arguments)
{
	char text[sizeof(decision->reason) - sizeof(PREFIX)];
	char clean[sizeof(text)];
	int len = vsnprintf(text, sizeof(text), format, arguments);

	(void)len;
	decision_clean(span_of(text), clean, sizeof(clean));
	snprintf(decision->reason, sizeof(decision->reason), PREFIX "%s", clean);
}

void decision_say(struct decision *decision, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(decision, format, arguments);
	va_end(arguments);
}

void decision_none(struct decision *decision, const char *format, ...)
{
	va_list arguments;

	*decision = (struct decision){.kind = DECISION_NONE};
	va_start(arguments, format);
	say(decision, format, arguments);
	va_end(arguments);
}

/* --- a next hop ----------------------------------------------------------------------- */

static bool is_host_name(struct span text)
{
	char last = text.len > 0 ? text.data[text.len - 1] : '-';

	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) && text.data[i] != '-' && text.data[i] != '.')
			return false;
	return text.len > 0 && text.len <= ADDRESS_DOMAIN_MAX && ascii_is_alnum(text.data[0]) &&
	       ascii_is_alpha(last);
}

static bool is_numeric(int family, struct span text)
{
	unsigned char octets[16];
	char copy[INET6_ADDRSTRLEN];

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	return inet_pton(family, copy, octets) == 1;
}

static bool is_path(struct span text)
{
	if (text.len < 2 || text.len > 100 || text.data[0] != '/')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
			return false;
	return true;
}

bool decision_hop(struct span server, struct span port, char hop_out[DECISION_HOP_SIZE])
{
	bool bracketed = server.len > 2 && server.data[0] == '[' &&
			 server.data[server.len - 1] == ']';
	struct span inner = bracketed ? span_make(server.data + 1, server.len - 2) : server;
	uint64_t number = 0;

	if (span_starts_fold(server, "unix:")) {
		if (!is_path(span_skip(server, 5)))
			return false;
		snprintf(hop_out, DECISION_HOP_SIZE, "unix:%.*s", SPAN_ARG(span_skip(server, 5)));
		return true;
	}
	if (span_to_u64(port, 65535, &number) != ERR_OK || number == 0)
		return false;
	if (is_numeric(AF_INET6, inner))
		snprintf(hop_out, DECISION_HOP_SIZE, "[%.*s]:%d", SPAN_ARG(inner), (int)number);
	else if (!bracketed && (is_numeric(AF_INET, inner) || is_host_name(inner)))
		snprintf(hop_out, DECISION_HOP_SIZE, "%.*s:%d", SPAN_ARG(inner), (int)number);
	else
		return false;
	return true;
}

/* --- a login -------------------------------------------------------------------------- */

/* Printed by none of us, so any octet but controls will do: that is for the next hop to judge. */
static bool is_word(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
			return false;
	return text.len > 0 && text.len <= DECISION_WORD_MAX && span_is_utf8(text);
}

bool decision_login(struct decision *decision, struct span user, struct span password)
{
	if (user.len > 0 && (!is_word(user) || !is_word(password)))
		return false;
	decision->has_login = true;
	if (user.len == 0)
		decision->login[0] = '\0';
	else
		snprintf(decision->login, sizeof(decision->login), "%.*s\n%.*s", SPAN_ARG(user),
			 SPAN_ARG(password));
	return true;
}
