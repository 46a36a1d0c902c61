/* relay/deliver/hop.c - what a next hop says it can do, and what it said */
#include "relay/deliver/hop.h"

#include <stdio.h>
#include <string.h>

#include "relay/wire/sasl_client.h"
#include "relay/wire/xclient.h"

static void parse_size(struct span value, struct hop_caps *caps)
{
	uint64_t limit;

	caps->size = true;
	/* RFC 1870 4: no number or 0 means no fixed limit; a number beyond int64 is none either. */
	if (span_to_u64(span_trim(value), INT64_MAX, &limit) == ERR_OK)
		caps->size_max = (int64_t)limit;
}

/* RFC 4954 3: names separated by blanks. Some servers say it twice, in an old form with "=". */
static void parse_auth(struct span names, struct hop_caps *caps)
{
	while (names.len > 0) {
		struct span name = span_cut(&names, ' ');
		size_t at = strlen(caps->auth_names);
		enum sasl_client_mechanism mechanism;

		if (name.len == 0)
			continue;
		if (sasl_client_find(name, &mechanism))
			caps->auth |= SASL_CLIENT_BIT(mechanism);
		if (at + name.len + 2 > sizeof(caps->auth_names))
			continue;
		snprintf(caps->auth_names + at, sizeof(caps->auth_names) - at, "%s%.*s",
			 at > 0 ? " " : "", SPAN_ARG(name));
	}
	for (char *c = caps->auth_names; *c != '\0'; c++)
		if (*c < ' ' || *c >= 0x7f)
			*c = '?';
}

/* "NAME ADDR ...": what we do not know is not said. */
static unsigned parse_xclient(struct span names)
{
	unsigned taken = 0;

	while (names.len > 0) {
		struct span name = span_cut(&names, ' ');

		for (unsigned i = XCLIENT_NAME; i <= XCLIENT_DESTPORT; i++)
			if (span_is_fold(name, xclient_name_text((enum xclient_name)i)))
				taken |= 1U << i;
	}
	return taken;
}

void hop_caps_parse(const struct reply *ehlo, struct hop_caps *caps_out)
{
	*caps_out = (struct hop_caps){0};
	/* Line 0 is the host's name. */
	for (size_t i = 1; i < ehlo->lines; i++) {
		struct span rest = span_trim(reply_line(ehlo, i));
		struct span keyword = span_cut(&rest, ' ');

		if (span_is_fold(keyword, "PIPELINING"))
			caps_out->pipelining = true;
		else if (span_is_fold(keyword, "SIZE"))
			parse_size(rest, caps_out);
		else if (span_is_fold(keyword, "8BITMIME"))
			caps_out->eightbit = true;
		else if (span_is_fold(keyword, "SMTPUTF8"))
			caps_out->smtputf8 = true;
		else if (span_is_fold(keyword, "DSN"))
			caps_out->dsn = true;
		else if (span_is_fold(keyword, "ENHANCEDSTATUSCODES"))
			caps_out->enhanced = true;
		else if (span_is_fold(keyword, "STARTTLS"))
			caps_out->starttls = true;
		else if (span_is_fold(keyword, "AUTH"))
			parse_auth(rest, caps_out);
		else if (span_starts_fold(keyword, "AUTH=") && caps_out->auth == 0) {
			parse_auth(span_skip(keyword, 5), caps_out);
			parse_auth(rest, caps_out);
		} else if (span_is_fold(keyword, "XCLIENT"))
			caps_out->xclient = parse_xclient(rest);
	}
}

void hop_reply_keep(const struct reply *reply, struct hop_reply *kept_out)
{
	kept_out->code = reply->code;
	memcpy(kept_out->enhanced, reply->enhanced, sizeof(kept_out->enhanced));
	reply_summary(reply, kept_out->text, sizeof(kept_out->text));
}

void hop_reply_local(struct hop_reply *kept_out, int code, const char *enhanced, const char *text)
{
	kept_out->code = code;
	snprintf(kept_out->enhanced, sizeof(kept_out->enhanced), "%s", enhanced);
	snprintf(kept_out->text, sizeof(kept_out->text), "%s", text);
}
