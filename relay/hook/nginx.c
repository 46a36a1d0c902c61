/* relay/hook/nginx.c - the question as nginx's auth_http puts it, and how it reads the answer */
#include "relay/hook/nginx.h"

#include <stdio.h>

#include "relay/hook/certificate.h"

#define WAIT_MAX_S 86400

/* --- the question --------------------------------------------------------------------- */

/* Raw bytes stay raw, as with nginx, but for those that end a line or a string. */
static int put(struct buf *out, const char *name, const char *value)
{
	int code = buf_printf(out, "%s%s: ", out->len > 0 ? "\r\n" : "", name);

	for (size_t i = 0; value != NULL && value[i] != '\0'; i++) {
		char c = value[i] == '\r' || value[i] == '\n' ? '?' : value[i];

		code |= buf_append_char(out, c);
	}
	return code;
}

/* As nginx escapes what may hold anything. */
static int put_escaped(struct buf *out, const char *name, struct span value)
{
	int code = buf_printf(out, "%s%s: ", out->len > 0 ? "\r\n" : "", name);

	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.data[i];

		code |= c <= ' ' || c == '%' ? buf_printf(out, "%%%02X", c)
					     : buf_append_char(out, (char)c);
	}
	return code;
}

static int put_number(struct buf *out, const char *name, size_t value)
{
	return buf_printf(out, "\r\n%s: %zu", name, value);
}

/* What a name server says of an address is somebody's word, too. */
static const char *host_of(const char *name)
{
	if (name == NULL || name[0] == '\0')
		return "[UNAVAILABLE]";
	for (size_t i = 0; name[i] != '\0'; i++)
		if (!ascii_is_alnum(name[i]) && name[i] != '.' && name[i] != '-')
			return "[UNAVAILABLE]";
	return name;
}

/* A unix socket, or what did not come from any client. */
static const char *ip_of(const char *address)
{
	if (address == NULL || address[0] == '\0' || span_is(span_of(address), "unix"))
		return "unix:";
	return address;
}

static int put_command(struct buf *out, const char *name, const char *verb, const char *raw,
		       const char *address, enum hook_commands commands)
{
	if (raw != NULL && commands == HOOK_COMMANDS_RAW)
		return put(out, name, raw);
	return buf_printf(out, "\r\n%s: %s%s<", name, verb,
			  commands == HOOK_COMMANDS_CANONICAL ? " " : "") |
	       buf_append_text(out, address) | buf_append_char(out, '>');
}

/* The port is another one each time. */
static int put_proxied(struct buf *out, const char *proxied, bool for_key)
{
	static const char *const names[] = {"Proxy-Protocol-Addr", "Proxy-Protocol-Port",
					    "Proxy-Protocol-Server-Addr",
					    "Proxy-Protocol-Server-Port"};
	struct span rest = span_of(proxied);
	int code = ERR_OK;

	for (size_t i = 0; rest.len > 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		struct span word = span_cut(&rest, ' ');

		if (i != 1 || !for_key)
			code |= put_escaped(out, names[i], word);
	}
	return code;
}

static int put_fact(struct buf *out, const char *name, const char *value)
{
	return value != NULL && value[0] != '\0' ? put(out, name, value) : ERR_OK;
}

static int put_certificate(struct buf *out, const char *pem, bool whole)
{
	struct certificate_facts facts;
	int code;

	certificate_facts_init(&facts, pem);
	code = put_fact(out, "Auth-SSL-Subject", facts.subject.data);
	code |= put_fact(out, "Auth-SSL-Issuer", facts.issuer.data);
	code |= put_fact(out, "Auth-SSL-Serial", facts.serial.data);
	code |= put_fact(out, "Auth-SSL-Fingerprint", facts.fingerprint);
	certificate_facts_release(&facts);
	return whole ? code | put_escaped(out, "Auth-SSL-Cert", span_of(pem)) : code;
}

static int put_tls(struct buf *out, const struct new_message *m, const struct hook_options *options)
{
	struct span cipher = span_of(m->tls);
	struct span protocol = span_cut(&cipher, ' ');
	int code;

	if (m->tls == NULL)
		return ERR_OK;
	cipher = span_cut(&cipher, ' ');
	code = put(out, "Auth-SSL", "on");
	code |= buf_printf(out, "\r\nAuth-SSL-Protocol: %.*s", SPAN_ARG(protocol));
	code |= buf_printf(out, "\r\nAuth-SSL-Cipher: %.*s", SPAN_ARG(cipher));
	/* Accepted by an older version: what it stored was verified. */
	if (m->certificate_verdict == NULL && m->certificate_subject != NULL)
		return code | put(out, "Auth-SSL-Verify", "SUCCESS") |
		       put(out, "Auth-SSL-Subject", m->certificate_subject);
	code |= put_fact(out, "Auth-SSL-Verify", m->certificate_verdict);
	if (m->certificate == NULL)
		return code;
	return code | put_certificate(out, m->certificate, options->pass_client_certificate);
}

static int put_headers(struct buf *out, const struct hook_options *options)
{
	int code = ERR_OK;

	for (size_t i = 0; i < options->header_count; i++)
		code |= put(out, options->headers[i].name, options->headers[i].value);
	return code;
}

static int put_extensions(struct buf *out, const struct question *question, bool for_key)
{
	const struct new_message *m = &question->message->m;
	const struct screened_recipient *recipient = question->recipients[0];
	char id[ULID_TEXT_SIZE];
	int code = put(out, "X-Relay-Rcpt", recipient->address);

	code |= put(out, "X-Relay-Sender", m->sender);
	code |= put(out, "X-Relay-Login", m->user);
	if (for_key)
		return code;
	ulid_format(&m->id, id);
	code |= put(out, "X-Relay-Queue-Id", id);
	code |= put_number(out, "X-Relay-Rcpt-Index", recipient->index + 1);
	return code | put_number(out, "X-Relay-Rcpt-Count", m->recipient_count);
}

int nginx_write(const struct question *question, const struct hook_options *options, bool for_key,
		struct buf *out)
{
	const struct new_message *m = &question->message->m;
	const struct screened_recipient *recipient = question->recipients[0];
	int code = put(out, "Auth-Method", "none");

	code |= put(out, "Auth-User", "");
	code |= put(out, "Auth-Pass", "");
	code |= put(out, "Auth-Protocol", "smtp");
	/* Of this recipient, not of a session: scripts refuse what comes too often. */
	code |= put_number(out, "Auth-Login-Attempt", for_key ? 1 : (size_t)recipient->asked + 1);
	code |= put(out, "Client-IP", ip_of(m->client_address));
	code |= put(out, "Client-Host", host_of(m->client_name));
	code |= put_proxied(out, m->proxied, for_key);
	code |= put(out, "Auth-SMTP-Helo", m->helo);
	code |= put_command(out, "Auth-SMTP-From", "MAIL FROM:", m->command, m->sender,
			    options->commands);
	code |= put_command(out, "Auth-SMTP-To", "RCPT TO:", recipient->command, recipient->address,
			    options->commands);
	code |= put_tls(out, m, options);
	code |= put_headers(out, options);
	code |= put_extensions(out, question, for_key);
	return code == ERR_OK ? ERR_OK : ERR_LIMIT;
}

static const char *method_of(enum sasl_mechanism mechanism)
{
	switch (mechanism) {
	case SASL_CRAM_MD5: return "cram-md5";
	case SASL_EXTERNAL: return "external";
	default: return "plain"; /* LOGIN, too */
	}
}

int nginx_write_login(const struct login_question *question, const struct hook_options *options,
		      struct buf *out)
{
	const struct new_message client = {.tls = question->tls,
					   .certificate = question->certificate,
					   .certificate_verdict = question->certificate_verdict};
	int code = put(out, "Auth-Method", method_of(question->mechanism));

	code |= put_escaped(out, "Auth-User", span_of(question->user));
	code |= put_escaped(out, "Auth-Pass", span_of(question->password));
	code |= put_fact(out, "Auth-Salt", question->salt);
	code |= put(out, "Auth-Protocol", "smtp");
	code |= put_number(out, "Auth-Login-Attempt", question->attempt);
	code |= put(out, "Client-IP", ip_of(question->client_address));
	code |= put(out, "Client-Host", host_of(question->client_name));
	code |= put_proxied(out, question->proxied, false);
	code |= put_tls(out, &client, options);
	code |= put_headers(out, options);
	return code == ERR_OK ? ERR_OK : ERR_LIMIT;
}

/* --- the answer ----------------------------------------------------------------------- */

struct answer {
	struct span status; /* the first one that is not OK, else OK or empty */
	bool ok;	    /* some Auth-Status is exactly OK */
	struct span wait, error_code, server, port;
	struct span method, user, password;
	bool malformed;
	bool whole; /* its empty line was there */
};

static void take_status(struct answer *answer, struct span value)
{
	if (span_is(value, "OK"))
		answer->ok = true;
	else if (answer->status.len == 0)
		answer->status = value;
}

static void take_field(struct answer *answer, struct span name, struct span value)
{
	if (span_is_fold(name, "Auth-Status"))
		take_status(answer, value);
	else if (span_is_fold(name, "Auth-Wait"))
		answer->wait = value;
	else if (span_is_fold(name, "Auth-Error-Code"))
		answer->error_code = value;
	else if (span_is_fold(name, "Auth-Server"))
		answer->server = value;
	else if (span_is_fold(name, "Auth-Port"))
		answer->port = value;
	else if (span_is_fold(name, "Auth-Method"))
		answer->method = value;
	else if (span_is_fold(name, "Auth-User"))
		answer->user = value;
	else if (span_is_fold(name, "Auth-Pass"))
		answer->password = value;
}

/* Names as HTTP has them; nginx takes fewer, and would call the answer broken. */
static bool is_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] >= 0x7f)
			return false;
	return name.len > 0;
}

static void take_line(struct answer *answer, struct span line)
{
	size_t colon = span_find(line, ':');

	if (colon == line.len || !is_name(span_first(line, colon))) {
		answer->malformed = true;
		return;
	}
	take_field(answer, span_first(line, colon), span_trim(span_skip(line, colon + 1)));
}

static void take_head(struct span head, struct answer *answer)
{
	*answer = (struct answer){.ok = false};
	span_cut(&head, '\n'); /* the status line */
	while (head.len > 0) {
		bool ended = span_find(head, '\n') < head.len;
		struct span line = span_cut(&head, '\n');

		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		answer->whole = ended && line.len == 0;
		if (answer->whole)
			return; /* what follows is a trailer */
		take_line(answer, line);
	}
}

/* What is no number waits for nothing, as with nginx. */
static int64_t wait_ms(const struct answer *answer)
{
	uint64_t seconds = 0;
	int code = span_to_u64(answer->wait, WAIT_MAX_S, &seconds);

	if (code == ERR_LIMIT)
		seconds = WAIT_MAX_S;
	return code == ERR_SYNTAX ? 0 : (int64_t)seconds * 1000;
}

static void refuse(const struct answer *answer, struct decision *decision)
{
	struct span code = answer->error_code;

	if (code.len > 0 && code.data[0] == '4') {
		decision_none(decision, "%.*s %.*s", SPAN_ARG(span_first(code, 20)),
			      SPAN_ARG(span_first(answer->status, 200)));
		decision->wait_ms = wait_ms(answer);
		return;
	}
	if (code.len > 0 && code.data[0] != '5') {
		decision_none(decision, "its Auth-Error-Code is no code: %.*s",
			      SPAN_ARG(span_first(code, 40)));
		return;
	}
	decision->kind = DECISION_DROP;
	decision_say(decision, "%.*s%s%.*s", SPAN_ARG(span_first(code, 20)),
		     code.len > 0 ? " " : "", SPAN_ARG(span_first(answer->status, 200)));
}

/*
 * C9. A name without a password is for XCLIENT, with nginx, which tells nobody here: the route's
 * own login stands.
 */
static bool take_login(const struct answer *answer, struct decision *decision)
{
	if (span_is_fold(answer->method, "none"))
		return decision_login(decision, span_of(""), span_of(""));
	if (answer->password.len == 0)
		return true;
	return answer->user.len > 0 && decision_login(decision, answer->user, answer->password);
}

static void allow(const struct answer *answer, bool allow_route, struct decision *decision)
{
	bool routed = answer->server.len > 0 || answer->port.len > 0;
	char hop[DECISION_HOP_SIZE] = "";

	if (!routed && !answer->ok) {
		decision_none(decision, "its answer has neither Auth-Status nor Auth-Server");
		return;
	}
	if (routed && !decision_hop(answer->server, answer->port, hop)) {
		decision_none(decision, "its Auth-Server and Auth-Port name no next hop: %.*s %.*s",
			      SPAN_ARG(span_first(answer->server, 80)),
			      SPAN_ARG(span_first(answer->port, 20)));
		return;
	}
	if (allow_route && routed) {
		memcpy(decision->hop, hop, sizeof(hop));
		if (!take_login(answer, decision)) {
			decision_none(decision, "its Auth-User and Auth-Pass are no login");
			return;
		}
	}
	decision->kind = DECISION_ALLOW;
	decision_say(decision, "allowed");
}

void nginx_read(struct span head, bool allow_route, struct decision *decision_out)
{
	struct answer answer;

	*decision_out = (struct decision){.kind = DECISION_NONE};
	take_head(head, &answer);
	if (answer.malformed) {
		decision_none(decision_out, "a line of its answer is no header field");
	} else if (!answer.whole) {
		decision_none(decision_out, "its answer breaks off");
	} else if (span_is(answer.status, "WAIT")) {
		decision_none(decision_out, "asks to wait");
		decision_out->later = true;
		decision_out->wait_ms = wait_ms(&answer);
	} else if (answer.status.len > 0) {
		refuse(&answer, decision_out);
	} else {
		allow(&answer, allow_route, decision_out);
	}
}

/* --- the answer about a login ------------------------------------------------------------- */

/* RFC 3463 2, of class 5: nothing else is said to a client. */
static bool is_enhanced(struct span code)
{
	size_t dots = 0;

	for (size_t i = 0; i < code.len; i++) {
		if (code.data[i] == '.')
			dots++;
		else if (!ascii_is_digit(code.data[i]))
			return false;
	}
	return dots == 2 && code.len >= 5 && code.data[0] == '5' && code.data[1] == '.' &&
	       code.data[2] != '.' && code.data[code.len - 1] != '.';
}

/* "550 5.7.1" or "550"; nginx says 535 5.7.0 where there is none. */
static void take_code(struct span code, struct login_answer *answer)
{
	struct span number = span_cut(&code, ' ');
	uint64_t value = 0;

	answer->code = 535;
	snprintf(answer->enhanced, sizeof(answer->enhanced), "5.7.0");
	if (number.len != 3 || span_to_u64(number, 599, &value) != ERR_OK || value < 500)
		return;
	answer->code = (int)value;
	code = span_trim(code);
	if (code.len < sizeof(answer->enhanced) && is_enhanced(code))
		snprintf(answer->enhanced, sizeof(answer->enhanced), "%.*s", SPAN_ARG(code));
}

static void take_text(struct span text, struct login_answer *answer)
{
	size_t len = text.len < sizeof(answer->text) ? text.len : sizeof(answer->text) - 1;

	for (size_t i = 0; i < len; i++)
		answer->text[i] =
			(char)(text.data[i] >= ' ' && text.data[i] < 0x7f ? text.data[i] : '?');
	answer->text[len] = '\0';
}

bool nginx_read_login(struct span head, struct login_answer *answer_out, int64_t *wait_ms_out)
{
	struct decision decision;
	struct answer answer;

	nginx_read(head, false, &decision);
	*answer_out = (struct login_answer){.verdict = LOGIN_UNKNOWN};
	if (decision.later) {
		*wait_ms_out = decision.wait_ms;
		return true;
	}
	take_text(span_of(decision.reason), answer_out);
	if (decision.kind == DECISION_ALLOW)
		answer_out->verdict = LOGIN_RIGHT;
	if (decision.kind != DECISION_DROP)
		return false;
	take_head(head, &answer);
	answer_out->verdict = LOGIN_WRONG;
	answer_out->wait_ms = wait_ms(&answer);
	take_code(answer.error_code, answer_out);
	take_text(answer.status, answer_out);
	return false;
}
