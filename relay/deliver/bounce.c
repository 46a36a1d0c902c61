/* relay/deliver/bounce.c - a report of what became of mail (RFC 3464, 6522, 6533) */
#include "relay/deliver/bounce.h"

#include "base/clock.h"
#include "relay/filter/outbound.h"
#include "relay/mail/header.h"
#include "relay/wire/xtext.h"

#define LINE_MAX_OCTETS 998 /* RFC 5322 2.1.1 */
#define FIELD_MAX	900
#define WORDS_MAX	20 /* recipients; programs are told of all */
#define MESSAGE_ID_MAX	900
#define PARAMETER_MAX	500

/* A report in the making. */
struct writing {
	const struct bounce *bounce;
	struct buf *out;
	bool utf8;  /* the form of RFC 6533 */
	bool whole; /* all of the original goes back */
	struct span original;
	bool original_8bit;
	char id[ULID_TEXT_SIZE];
	int code;
};

bool bounce_has_addressee(const char *sender, const char *origin)
{
	return sender[0] != '\0' && (origin == NULL || strcmp(origin, "bounce") != 0);
}

bool bounce_is_wanted(const char *notify, enum bounce_action action)
{
	static const char *const words[BOUNCE_ACTIONS] = {[BOUNCE_FAILED] = "FAILURE",
							  [BOUNCE_DELAYED] = "DELAY",
							  [BOUNCE_RELAYED] = "SUCCESS",
							  [BOUNCE_DELIVERED] = "SUCCESS"};
	struct span rest = span_of(notify);

	if (notify == NULL)
		return action == BOUNCE_FAILED;
	while (rest.len > 0)
		if (span_is_fold(span_cut(&rest, ','), words[action]))
			return true;
	return false;
}

static size_t count_of(const struct bounce *bounce, enum bounce_action action)
{
	size_t count = 0;

	for (size_t i = 0; i < bounce->recipient_count; i++)
		count += bounce->recipients[i].action == action ? 1 : 0;
	return count;
}

const char *bounce_subject(const struct bounce *bounce)
{
	if (count_of(bounce, BOUNCE_FAILED) > 0)
		return "Undelivered Mail Returned to Sender";
	if (count_of(bounce, BOUNCE_DELAYED) > 0)
		return "Delayed Mail (still being retried)";
	return "Successful Mail Delivery Report";
}

/* --- text ----------------------------------------------------------------------------------- */

static void put(struct writing *w, const char *text)
{
	if (w->code == ERR_OK)
		w->code = buf_append_text(w->out, text);
}

static void put_span(struct writing *w, struct span text)
{
	if (w->code == ERR_OK)
		w->code = buf_append_span(w->out, text);
}

/* Never ends a line, never begins one; 8-bit only where it is UTF-8 and may stand. */
static void put_clean(struct writing *w, struct span text)
{
	bool high = w->utf8 && span_is_utf8(text);

	text = span_first(text, FIELD_MAX);
	while (high && text.len > 0 && text.len == FIELD_MAX && !span_is_utf8(text))
		text.len--;
	for (size_t i = 0; i < text.len && w->code == ERR_OK; i++) {
		unsigned char c = (unsigned char)text.data[i];
		bool fine = (c >= ' ' && c < 0x7f) || (c >= 0x80 && high);

		w->code = buf_append_char(w->out, fine ? (char)c : '?');
	}
}

/* The first character of valid UTF-8; its octets are taken off `text`. */
static unsigned take_character(struct span *text)
{
	unsigned char first = (unsigned char)text->data[0];
	size_t more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
	unsigned value = more == 0 ? first : first & (0x3fu >> more);

	for (size_t i = 1; i <= more; i++)
		value = value << 6 | ((unsigned char)text->data[i] & 0x3f);
	*text = span_skip(*text, more + 1);
	return value;
}

/*
 * An address that is not ASCII, where only ASCII may stand: utf-8-addr-xtext
 * (RFC 6533 3). `coded`: an ORCPT parameter, in which the rest is coded already.
 */
static void put_address(struct writing *w, struct span text, bool coded)
{
	if (w->utf8 || !span_has_8bit(text) || text.len > PARAMETER_MAX || !span_is_utf8(text)) {
		put_clean(w, text);
		return;
	}
	while (text.len > 0 && w->code == ERR_OK) {
		unsigned c = take_character(&text);
		bool plain = c > ' ' && c < 0x7f && c != '+' && c != '=' && c != '\\';

		if (plain || (coded && c < 0x7f && c >= ' '))
			w->code = buf_append_char(w->out, (char)c);
		else
			w->code = buf_printf(w->out, "\\x{%02X}", c);
	}
}

/* "Name: value" and a line end; nothing when there is no value. */
static void put_field(struct writing *w, const char *name, struct span value)
{
	if (value.len == 0)
		return;
	put(w, name);
	put(w, ": ");
	put_clean(w, value);
	put(w, "\r\n");
}

static void put_date(struct writing *w, const char *name, int64_t wall_ms)
{
	char date[CLOCK_RFC5322_SIZE];

	clock_format_rfc5322(wall_ms, date);
	put_field(w, name, span_of(date));
}

/* --- what goes back of the original ------------------------------------------------------------
 */

/* No NUL, and no line that is too long: it can stand in another message as it is. */
static bool is_text(struct span text)
{
	size_t line = 0;

	for (size_t i = 0; i < text.len; i++) {
		line = text.data[i] == '\n' ? 0 : line + 1;
		if (text.data[i] == '\0' || line > LINE_MAX_OCTETS + 1)
			return false;
	}
	return true;
}

/* The lines of the header that are there, and fit. */
static struct span header_of(const struct bounce *bounce)
{
	struct span head = span_first(bounce->head, BOUNCE_ORIGINAL_MAX);
	size_t last;

	if ((int64_t)head.len > bounce->header_size)
		head.len = (size_t)bounce->header_size;
	last = span_find_last(head, '\n');
	return span_first(head, last < head.len ? last + 1 : 0);
}

static void choose_original(struct writing *w)
{
	const struct bounce *bounce = w->bounce;
	bool wants_header = bounce->ret != NULL && span_is_fold(span_of(bounce->ret), "HDRS");

	/* RFC 3461 4.3: RET speaks of failures; with any other report the header is enough. */
	w->whole = count_of(bounce, BOUNCE_FAILED) > 0 && !wants_header &&
		   bounce->size <= BOUNCE_ORIGINAL_MAX &&
		   (int64_t)bounce->head.len >= bounce->size && is_text(bounce->head);
	w->original = w->whole ? span_first(bounce->head, (size_t)bounce->size) : header_of(bounce);
	if (!w->whole && !is_text(w->original))
		w->original.len = 0;
	w->original_8bit = span_has_8bit(w->original);
}

/*
 * RFC 6533 1: only where something needs it. That a client asked for SMTPUTF8
 * says nothing: some always do. The addresses of others have an ASCII form.
 */
static bool needs_utf8(const struct bounce *bounce)
{
	return span_has_8bit(span_of(bounce->sender)) ||
	       (bounce->smtputf8 && span_has_8bit(header_of(bounce)));
}

/* --- the header
 * ----------------------------------------------------------------------------------- */

/* Something between < and > that can stand in a header of ours. */
static bool is_message_id(struct span id)
{
	if (id.len < 3 || id.len > MESSAGE_ID_MAX || id.data[0] != '<' ||
	    id.data[id.len - 1] != '>')
		return false;
	for (size_t i = 1; i + 1 < id.len; i++)
		if (id.data[i] <= ' ' || id.data[i] > '~' || id.data[i] == '<' || id.data[i] == '>')
			return false;
	return true;
}

/* RFC 3834 3.1.5: a reader of mail shows it beside what it is about. */
static void put_references(struct writing *w)
{
	struct header header;
	struct header_field field;

	header_init(&header, header_of(w->bounce));
	while (header_next(&header, &field)) {
		struct span id = span_trim(field.body);

		if (!span_is_fold(field.name, "Message-ID"))
			continue;
		if (is_message_id(id)) {
			put_field(w, "In-Reply-To", id);
			put_field(w, "References", id);
		}
		return;
	}
}

static void put_header(struct writing *w)
{
	const struct bounce *bounce = w->bounce;

	put(w, "From: Mail Delivery System <MAILER-DAEMON@");
	put_clean(w, span_of(bounce->hostname));
	put(w, ">\r\nTo: <");
	put_clean(w, span_of(bounce->sender));
	put(w, ">\r\nSubject: ");
	put(w, bounce_subject(bounce));
	put(w, "\r\n");
	put_date(w, "Date", bounce->now);
	put(w, "Message-ID: <");
	put(w, w->id);
	put(w, "@");
	put_clean(w, span_of(bounce->hostname));
	put(w, ">\r\n");
	put_references(w);
	/* RFC 3834 5: not for what a program wrote unasked, but for an answer like this. */
	put(w, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
	       "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"=_");
	put(w, w->id);
	put(w, "\"\r\n");
	if (w->utf8 || w->original_8bit)
		put(w, "Content-Transfer-Encoding: 8bit\r\n");
	put(w, "\r\n");
}

/* --- the parts
 * -------------------------------------------------------------------------------------- */

/* The line end in front of a boundary belongs to it (RFC 2046 5.1.1). */
static void begin_part(struct writing *w, const char *type, bool eightbit)
{
	put(w, "\r\n--=_");
	put(w, w->id);
	put(w, "\r\nContent-Type: ");
	put(w, type);
	put(w, eightbit ? "\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" : "\r\n\r\n");
}

static void put_word(struct writing *w, const struct bounce_recipient *recipient)
{
	put(w, "<");
	put_address(w, span_of(recipient->address), false);
	put(w, ">:\r\n    ");
	put_clean(w, span_of(recipient->reason));
	if (recipient->remote != NULL) {
		put(w, "\r\n    (next hop: ");
		put_clean(w, span_of(recipient->remote));
		put(w, ")");
	}
	put(w, "\r\n");
}

/* What became of these, and who they are. */
static void put_words_of(struct writing *w, enum bounce_action action)
{
	static const char *const words[BOUNCE_ACTIONS] = {
		[BOUNCE_FAILED] = "could not be delivered to:",
		[BOUNCE_DELAYED] = "has not been delivered yet, and is still tried, to:",
		[BOUNCE_RELAYED] = "was passed on to a system that sends no such reports, for:",
		[BOUNCE_DELIVERED] = "was delivered to:"};
	const struct bounce *bounce = w->bounce;
	size_t total = count_of(bounce, action), shown = 0;

	if (total == 0)
		return;
	put(w, "\r\nIt ");
	put(w, words[action]);
	put(w, "\r\n\r\n");
	for (size_t i = 0; i < bounce->recipient_count && shown < WORDS_MAX; i++)
		if (bounce->recipients[i].action == action) {
			put_word(w, &bounce->recipients[i]);
			shown++;
		}
	if (total > shown)
		put(w, "and to others that are listed below.\r\n");
}

static void put_words(struct writing *w)
{
	const struct bounce *bounce = w->bounce;
	char date[CLOCK_RFC5322_SIZE];

	begin_part(w, w->utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
		   w->utf8);
	clock_format_rfc5322(bounce->arrived_at, date);
	put(w, "This is the mail system at ");
	put_clean(w, span_of(bounce->hostname));
	put(w, ".\r\n\r\nThis is about your message of ");
	put(w, date);
	put(w, ".\r\n");
	for (enum bounce_action action = BOUNCE_FAILED; action < BOUNCE_ACTIONS; action++)
		put_words_of(w, action);
	if (count_of(bounce, BOUNCE_FAILED) > 0)
		put(w, "\r\nNo further attempt is made for what could not be delivered.");
	put(w, w->whole ? "\r\nYour message is attached.\r\n"
			: "\r\nThe header of your message is attached.\r\n");
}

/* The value behind the coding; what can't be decoded is left out. */
static void put_decoded(struct writing *w, const char *name, const char *type, struct span coded)
{
	struct buf value;

	buf_init(&value, 2 * PARAMETER_MAX);
	if (buf_append_text(&value, type) == ERR_OK && xtext_decode(coded, &value) == ERR_OK &&
	    value.len > strlen(type))
		put_field(w, name, buf_span(&value));
	buf_release(&value);
}

/* "utf-8;address", as it came (RFC 6533 3) but for what must not stand here. */
static void put_typed(struct writing *w, const char *name, struct span value)
{
	put(w, name);
	put_address(w, value, true);
	put(w, "\r\n");
}

static void put_original_recipient(struct writing *w, const char *orcpt)
{
	struct span coded = span_of(orcpt);
	struct span type = span_cut(&coded, ';');

	if (coded.len == 0 || coded.len > PARAMETER_MAX)
		return;
	if (span_is_fold(type, "rfc822"))
		put_decoded(w, "Original-Recipient", "rfc822; ", coded);
	else
		put_typed(w, "Original-Recipient: ", span_of(orcpt));
}

/*
 * RFC 3463: what is known, or what the reply says, or the class of its code.
 * A failure may have a status of class 4: what was put off until it was too late.
 */
static void put_status(struct writing *w, const struct bounce_recipient *recipient)
{
	static const char *const classes[] = {"2.0.0", "4.0.0", "5.0.0"};
	bool later = recipient->reply_code / 100 == 4 || recipient->action == BOUNCE_DELAYED;
	bool fine = recipient->action == BOUNCE_RELAYED || recipient->action == BOUNCE_DELIVERED;
	const char *status = classes[fine ? 0 : later ? 1 : 2];

	if (recipient->status != NULL)
		status = recipient->status;
	else if (recipient->reply_enhanced != NULL && recipient->reply_enhanced[0] == status[0])
		status = recipient->reply_enhanced;
	put_field(w, "Status", span_of(status));
}

/*
 * The name in "host[address]:port"; the address of "192.0.2.1:25" and "[::1]:25" as RFC 5321 4.1.3
 * writes it. A socket in the file system is no MTA that another machine could name.
 */
static void put_remote(struct writing *w, const char *remote)
{
	struct span text = span_of(remote);
	struct span name = span_first(text, span_find(text, '['));

	if (span_find(text, '/') < text.len || text.len == 0)
		return;
	put(w, "Remote-MTA: dns; ");
	if (name.len == 0) {
		put(w, "[IPv6:");
		put_clean(w, span_first(span_skip(text, 1), span_find(text, ']') - 1));
		put(w, "]");
	} else if (name.len < text.len) {
		put_clean(w, name);
	} else {
		put(w, "[");
		put_clean(w, span_first(text, span_find_last(text, ':')));
		put(w, "]");
	}
	put(w, "\r\n");
}

static void put_diagnostic(struct writing *w, const struct bounce_recipient *recipient)
{
	struct buf text;

	if (recipient->reply_code == 0)
		return;
	buf_init(&text, FIELD_MAX);
	/* What has no room is cut: the code and the beginning are what programs read. */
	(void)buf_printf(&text, "smtp; %d ", recipient->reply_code);
	if (recipient->reply_enhanced != NULL && recipient->reply_enhanced[0] != '\0')
		(void)buf_printf(&text, "%s ", recipient->reply_enhanced);
	(void)buf_append_span(&text, span_first(span_of(recipient->reply_text), FIELD_MAX / 2));
	put_field(w, "Diagnostic-Code", span_trim(buf_span(&text)));
	buf_release(&text);
}

static void put_recipient(struct writing *w, const struct bounce_recipient *recipient)
{
	static const char *const actions[BOUNCE_ACTIONS] = {[BOUNCE_FAILED] = "failed",
							    [BOUNCE_DELAYED] = "delayed",
							    [BOUNCE_RELAYED] = "relayed",
							    [BOUNCE_DELIVERED] = "delivered"};
	bool high = span_has_8bit(span_of(recipient->address));

	put(w, "\r\n");
	if (recipient->orcpt != NULL)
		put_original_recipient(w, recipient->orcpt);
	put(w, high ? "Final-Recipient: utf-8; " : "Final-Recipient: rfc822; ");
	put_address(w, span_of(recipient->address), false);
	put(w, "\r\n");
	put_field(w, "Action", span_of(actions[recipient->action]));
	put_status(w, recipient);
	if (recipient->remote != NULL)
		put_remote(w, recipient->remote);
	put_diagnostic(w, recipient);
	put_date(w, "Last-Attempt-Date", w->bounce->now);
	if (recipient->action == BOUNCE_DELAYED && w->bounce->retry_until > 0)
		put_date(w, "Will-Retry-Until", w->bounce->retry_until);
}

static void put_delivery_status(struct writing *w)
{
	const struct bounce *bounce = w->bounce;
	char id[ULID_TEXT_SIZE];

	begin_part(w, w->utf8 ? "message/global-delivery-status" : "message/delivery-status",
		   w->utf8);
	/* RFC 3464 2.2.1 wants it decoded: it is the sender's own word. */
	if (bounce->envid != NULL && strlen(bounce->envid) <= PARAMETER_MAX)
		put_decoded(w, "Original-Envelope-Id", "", span_of(bounce->envid));
	put(w, "Reporting-MTA: dns; ");
	put_clean(w, span_of(bounce->hostname));
	put(w, "\r\n");
	ulid_format(&bounce->original_id, id);
	put_field(w, "X-Stagepost-Message", span_of(id));
	put_date(w, "Arrival-Date", bounce->arrived_at);
	for (size_t i = 0; i < bounce->recipient_count; i++)
		put_recipient(w, &bounce->recipients[i]);
}

/* DESIGN 5: every copy that leaves is without Bcc and control fields, this one too. */
static void put_without_hidden(struct writing *w)
{
	size_t header_size = w->original.len;
	const struct outbound_case at = {.policy = w->bounce->policy};
	struct outbound_count count;

	if (w->bounce->header_size < (int64_t)header_size)
		header_size = (size_t)w->bounce->header_size;
	if (w->code == ERR_OK)
		w->code = outbound_header(&at, span_of(""), span_first(w->original, header_size),
					  w->out, &count);
	put_span(w, span_skip(w->original, header_size));
}

static void put_original(struct writing *w)
{
	static const char *const types[2][2] = {{"text/rfc822-headers", "message/rfc822"},
						{"message/global-headers", "message/global"}};

	if (w->original.len == 0)
		return;
	begin_part(w, types[w->utf8 ? 1 : 0][w->whole ? 1 : 0], w->utf8 || w->original_8bit);
	put_without_hidden(w);
}

int bounce_write(const struct bounce *bounce, struct buf *out, struct bounce_facts *facts_out)
{
	struct writing w = {.bounce = bounce, .out = out, .utf8 = needs_utf8(bounce)};
	size_t before = out->len;

	ulid_format(&bounce->id, w.id);
	choose_original(&w);
	put_header(&w);
	facts_out->header_size = (int64_t)(out->len - before);
	put_words(&w);
	put_delivery_status(&w);
	put_original(&w);
	put(&w, "\r\n--=_");
	put(&w, w.id);
	put(&w, "--\r\n");
	facts_out->has_8bit = w.utf8 || w.original_8bit;
	facts_out->smtputf8 = span_has_8bit(span_of(bounce->sender));
	return w.code;
}

int bounce_received(const struct bounce *bounce, struct buf *out)
{
	char id[ULID_TEXT_SIZE];
	char date[CLOCK_RFC5322_SIZE];

	ulid_format(&bounce->id, id);
	clock_format_rfc5322(bounce->now, date);
	return buf_printf(out, "Received: by %s id %s;\r\n\t%s\r\n", bounce->hostname, id, date);
}
