/*
 * relay/filter/outbound.c - the header section of the copy that leaves.
 *
 * Does not use relay/mail/header on purpose: that parser stops at its limits
 * and follows the grammar, while here every line that some next hop might
 * read as a Bcc has to go, however broken the section is.
 */
#include "relay/filter/outbound.h"

#include <assert.h>

#include "base/err.h"
#include "relay/filter/defang.h"
#include "relay/filter/pattern.h"
#include "relay/filter/signature.h"
#include "relay/filter/subject.h"
#include "relay/mail/fold.h"

#define NAME_WRITTEN_MAX 76 /* octets of a name; a longer one is nobody's */
#define SIGNATURE	 "DKIM-Signature"
#define ARC_SIGNATURE	 "ARC-Message-Signature"

/*
 * Besides mailto: in List-*. Who is named in one of these gets mail from some
 * program that reads it: an answer, a report, a receipt, a copy. From is not
 * among them (DESIGN 5).
 */
static const char *const address_fields[] = {"To",
					     "Cc",
					     "Reply-To",
					     "Sender",
					     "Resent-From",
					     "Resent-To",
					     "Resent-Cc",
					     "Resent-Sender",
					     "Resent-Reply-To",
					     "Apparently-To",
					     "Mail-Followup-To",
					     "Mail-Reply-To",
					     "Errors-To",
					     "Disposition-Notification-To",
					     "Return-Receipt-To",
					     "Read-Receipt-To",
					     "X-Confirm-Reading-To"};

/* The length of the first line of `text` with its end: CRLF, or a CR or LF that stands alone. */
static size_t line_length(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\n')
			return i + 1;
		if (text.data[i] == '\r')
			return i + 1 < text.len && text.data[i + 1] == '\n' ? i + 2 : i + 1;
	}
	return text.len;
}

/* A line and the folded lines that follow it (RFC 5322 2.2.3); never empty unless `text` is. */
static struct span cut_field(struct span *text)
{
	size_t len = line_length(*text);
	struct span field;

	while (len < text->len && ascii_is_blank(text->data[len]))
		len += line_length(span_skip(*text, len));
	field = span_first(*text, len);
	*text = span_skip(*text, len);
	return field;
}

/* `text` is not empty. */
static bool is_empty_line(struct span text)
{
	return text.data[0] == '\r' || text.data[0] == '\n';
}

/*
 * The name as the most lenient reader might see it: what stands before the
 * first colon, even behind a fold, without blanks, controls and 8-bit bytes.
 * "Bcc :", "B\0cc:" and "Bcc\r\n :" all give "Bcc". Without a colon: empty.
 */
static void lenient_name(struct span field, struct buf *name)
{
	size_t colon = span_find(field, ':');
	int code = ERR_OK;

	buf_clear(name);
	for (size_t i = 0; colon < field.len && i < colon; i++)
		if (field.data[i] > ' ' && field.data[i] < 127)
			code |= buf_append_char(name, field.data[i]);
	assert(code == ERR_OK); /* as long as the section at most */
}

/* A field as it stands in a section. */
struct field {
	struct span raw;
	struct span name; /* lenient; empty: no colon */
	struct span body; /* behind the colon, without the last line end */
	bool readable; /* the name is one for everybody: 33..126, blanks behind it (RFC 5322 4.5) */
};

static bool name_is_readable(struct span before_colon)
{
	size_t len = before_colon.len;

	while (len > 0 && ascii_is_blank(before_colon.data[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++)
		if (before_colon.data[i] <= ' ' || before_colon.data[i] >= 127)
			return false;
	return true; /* an empty one is no name of interest */
}

static struct span without_line_end(struct span text)
{
	if (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	if (text.len > 0 && text.data[text.len - 1] == '\r')
		text.len--;
	return text;
}

/* The next field of a section that has_fields(). Its name lives in `name`. */
static void take_field(struct span *section, struct buf *name, struct field *field_out)
{
	size_t colon;

	field_out->raw = cut_field(section);
	colon = span_find(field_out->raw, ':');
	lenient_name(field_out->raw, name);
	field_out->name = buf_span(name);
	field_out->body = without_line_end(span_skip(field_out->raw, colon + 1));
	field_out->readable = name_is_readable(span_first(field_out->raw, colon));
}

static bool has_fields(struct span section)
{
	return section.len > 0 && !is_empty_line(section);
}

/* A section being copied. */
struct copy {
	const struct outbound_case *at;
	struct buf *out;
	struct buf *name; /* of the field at hand */
	struct touched touched;
	struct outbound_count count;
};

static bool is_control(const struct policy_options *options, struct span name)
{
	for (size_t i = 0; i < options->control_header_count; i++)
		if (glob_matches(span_of(options->control_headers[i]), name))
			return true;
	return false;
}

static bool is_removed(struct copy *copy, struct span name)
{
	if (name.len == 0)
		return false;
	if (span_is_fold(name, "bcc") || span_is_fold(name, "resent-bcc")) {
		copy->count.bcc++;
		return true;
	}
	if (is_control(copy->at->policy, name)) {
		copy->count.control++;
		return true;
	}
	return false;
}

/* --- the header policy -------------------------------------------------------------------- */

static bool is_address_field(struct span name)
{
	for (size_t i = 0; i < sizeof(address_fields) / sizeof(address_fields[0]); i++)
		if (span_is_fold(name, address_fields[i]))
			return true;
	return false;
}

static bool is_list_field(struct span name)
{
	return span_starts_fold(name, "List-");
}

static bool is_covered(const struct outbound_case *at, struct span name)
{
	return at->list != NULL && at->policy->header_policy != HEADER_POLICY_KEEP &&
	       (is_address_field(name) || is_list_field(name));
}

static int write_original(struct span name, struct span body, struct buf *out)
{
	struct fold fold;

	fold_begin(&fold, out, OUTBOUND_ORIGINAL, name);
	fold_body(&fold, body);
	return fold_end(&fold);
}

static int write_covered(struct copy *copy, const struct field *field)
{
	const struct outbound_case *at = copy->at;
	const struct defang defang = {.list = at->list,
				      .let_out = at->let_out,
				      .scope = at->scope,
				      .now = at->now,
				      .strip = at->policy->header_policy == HEADER_POLICY_STRIP};
	struct span name = span_first(field->name, NAME_WRITTEN_MAX);
	bool readable = field->readable && at->header_parsed;
	enum defang_fate fate;
	int code;

	if (is_list_field(name))
		code = defang_mailto(&defang, name, field->body, readable, copy->out, &fate);
	else
		code = defang_addresses(&defang, name, field->body, readable, copy->out, &fate);
	if (code != ERR_OK)
		return code;
	if (fate == DEFANG_AS_IS)
		return buf_append_span(copy->out, field->raw);
	copy->count.addresses++;
	touched_add(&copy->touched, field->name);
	return defang.strip ? ERR_OK : write_original(name, field->body, copy->out);
}

/* --- the subject --------------------------------------------------------------------------- */

static bool wants_tag(const struct outbound_case *at)
{
	return at->list != NULL && at->policy->subject_tag != NULL &&
	       at->policy->subject_tag[0] != '\0';
}

static bool is_subject(const struct field *field)
{
	return field->readable && span_is_fold(field->name, "Subject");
}

static int write_tagged(struct copy *copy, struct span name, struct span body, bool *tagged_out)
{
	int code = subject_tag(copy->at->policy->subject_tag, name, body, copy->out, tagged_out);

	if (code == ERR_OK && *tagged_out) {
		copy->count.subjects++;
		touched_add(&copy->touched, name);
	}
	return code;
}

/* A message without a Subject gets one, in front. */
static int write_missing_subject(struct copy *copy, struct span section)
{
	struct field field;
	bool found = !wants_tag(copy->at);

	while (!found && has_fields(section)) {
		take_field(&section, copy->name, &field);
		found = is_subject(&field);
	}
	if (found)
		return ERR_OK;
	return write_tagged(copy, span_of("Subject"), span_of(""), &found);
}

static int write_subject(struct copy *copy, const struct field *field)
{
	bool tagged = false;
	int code = write_tagged(copy, field->name, field->body, &tagged);

	return code != ERR_OK || tagged ? code : buf_append_span(copy->out, field->raw);
}

/* --- the section --------------------------------------------------------------------------- */

static int write_fields(struct copy *copy, struct span *section)
{
	struct field field;
	int code = ERR_OK;

	while (code == ERR_OK && has_fields(*section)) {
		take_field(section, copy->name, &field);
		if (is_removed(copy, field.name))
			touched_add(&copy->touched, field.name);
		else if (is_covered(copy->at, field.name))
			code = write_covered(copy, &field);
		else if (wants_tag(copy->at) && is_subject(&field))
			code = write_subject(copy, &field);
		else
			code = buf_append_span(copy->out, field.raw);
	}
	return code;
}

/* --- signatures ---------------------------------------------------------------------------- */

/* An authenticated received chain (RFC 8617 4.1): it says something as a whole, or nothing. */
static const char *const chain_fields[] = {"ARC-Authentication-Results", ARC_SIGNATURE, "ARC-Seal"};

#define CHAIN_FIELDS (sizeof(chain_fields) / sizeof(chain_fields[0]))

/* What does not hold any more. */
struct broken {
	bool signature; /* some DKIM-Signature */
	bool chain;
};

static bool is_broken_signature(const struct copy *copy, const struct field *field)
{
	return span_is_fold(field->name, SIGNATURE) &&
	       signature_breaks(field->body, &copy->touched);
}

/* As it is called, or NULL: it is no part of a chain. */
static const char *chain_name(const struct field *field)
{
	for (size_t i = 0; i < CHAIN_FIELDS; i++)
		if (span_is_fold(field->name, chain_fields[i]))
			return chain_fields[i];
	return NULL;
}

/*
 * A chain holds as long as the newest of its signatures of the message does
 * (RFC 8617 5.2). One that fails is taken for worse than none, and no relay
 * behind us could ever mend it (5.1.1): like a DKIM-Signature that is broken it
 * is renamed, all of it, since a part alone makes it fail too.
 */
static struct broken find_broken(const struct copy *copy, struct span fields)
{
	struct broken broken = {.chain = false};
	unsigned newest = 0;
	struct field field;

	while (has_fields(fields)) {
		unsigned instance;

		take_field(&fields, copy->name, &field);
		broken.signature = broken.signature || is_broken_signature(copy, &field);
		if (!span_is_fold(field.name, ARC_SIGNATURE))
			continue;
		instance = signature_instance(field.body);
		if (instance > newest)
			broken.chain = false;
		if (instance >= newest) {
			broken.chain = broken.chain || signature_breaks(field.body, &copy->touched);
			newest = instance;
		}
	}
	return broken;
}

/* One may sign another: what is renamed is touched itself. */
static struct broken touch_broken(struct copy *copy, struct span fields)
{
	struct broken broken = {.chain = false}, more = find_broken(copy, fields);

	while (more.signature != broken.signature || more.chain != broken.chain) {
		broken = more;
		if (broken.signature)
			touched_add(&copy->touched, span_of(SIGNATURE));
		for (size_t i = 0; broken.chain && i < CHAIN_FIELDS; i++)
			touched_add(&copy->touched, span_of(chain_fields[i]));
		more = find_broken(copy, fields);
	}
	return broken;
}

static int write_renamed(struct copy *copy, const struct broken *broken, struct span fields)
{
	struct field field;
	int code = ERR_OK;

	while (code == ERR_OK && has_fields(fields)) {
		const char *name;

		take_field(&fields, copy->name, &field);
		name = is_broken_signature(copy, &field) ? SIGNATURE
		       : broken->chain			 ? chain_name(&field)
							 : NULL;
		if (name != NULL) {
			copy->count.signatures++;
			code = write_original(span_of(name), field.body, copy->out);
		} else {
			code = buf_append_span(copy->out, field.raw);
		}
	}
	return code;
}

/* What was written from `start` on, with the signatures renamed that do not hold any more. */
static int rename_signatures(struct copy *copy, size_t start)
{
	struct span written = span_skip(buf_span(copy->out), start);
	struct broken broken;
	struct buf fields;
	int code;

	if (copy->at->policy->header_policy == HEADER_POLICY_KEEP ||
	    copy->count.addresses + copy->count.subjects == 0)
		return ERR_OK;
	broken = touch_broken(copy, written);
	if (!broken.signature && !broken.chain)
		return ERR_OK;
	buf_init(&fields, written.len);
	code = buf_append_span(&fields, written);
	assert(code == ERR_OK);
	buf_truncate(copy->out, start);
	code = write_renamed(copy, &broken, buf_span(&fields));
	buf_release(&fields);
	return code;
}

int outbound_header(const struct outbound_case *at, struct span front, struct span section,
		    struct buf *out, struct outbound_count *count_out)
{
	struct copy copy = {.at = at, .out = out};
	size_t before = out->len;
	struct buf name;
	int code;

	/* Renaming reads what was written: names of ours are short. */
	buf_init(&name, section.len + 2 * NAME_WRITTEN_MAX);
	copy.name = &name;
	touched_init(&copy.touched);
	code = buf_append_span(out, front);
	if (code == ERR_OK)
		code = write_missing_subject(&copy, section);
	if (code == ERR_OK)
		code = write_fields(&copy, &section);
	if (code == ERR_OK)
		code = rename_signatures(&copy, before + front.len);
	if (code == ERR_OK)
		code = buf_append_span(out, section);
	touched_release(&copy.touched);
	buf_release(&name);
	if (code == ERR_OK)
		*count_out = copy.count;
	else
		buf_truncate(out, before);
	return code;
}
