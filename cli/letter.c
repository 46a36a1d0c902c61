/* cli/letter.c - a message as programs hand it to sendmail */
#include <config.h>

#include "cli/letter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/ulid.h"
#include "relay/mail/field.h"
#include "relay/mail/header.h"

/* --- reading ----------------------------------------------------------------- */

/* `line` without its line end, whichever it has. */
static struct span line_text(struct span line)
{
	if (line.len > 0 && line.data[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_mbox_line(struct span line)
{
	return span_is(span_first(line, 5), "From ") || span_is(span_first(line, 6), ">From ");
}

static int add_line(struct letter *letter, struct span line)
{
	if (letter->text.len == 0 && is_mbox_line(line))
		return ERR_OK;
	letter->has_8bit = letter->has_8bit || span_has_8bit(line);
	return buf_append_span(&letter->text, line) == ERR_OK ? buf_append(&letter->text, "\r\n", 2)
							      : ERR_LIMIT;
}

static int read_lines(FILE *in, bool dot_ends, struct letter *letter, struct err *why)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int code = ERR_OK;

	while (code == ERR_OK && (len = getline(&line, &room, in)) >= 0) {
		struct span text = line_text(span_make(line, (size_t)len));

		if (dot_ends && span_is(text, "."))
			break;
		code = add_line(letter, text);
	}
	free(line);
	if (code != ERR_OK)
		return err_set(why, ERR_LIMIT, "the message is larger than %zu octets", LETTER_MAX);
	if (ferror(in))
		return err_set(why, ERR_IO, "the message can't be read: %s", strerror(errno));
	return ERR_OK;
}

/* Where the fields end, and the body begins. */
static void find_parts(struct letter *letter)
{
	struct span text = buf_span(&letter->text);
	struct header header;
	struct header_field field;
	size_t at = 0;

	header_init_unlimited(&header, text);
	while (header_next(&header, &field) && !field.malformed)
		at += field.raw.len;
	letter->fields = span_first(text, at);
	letter->body = span_skip(text, at);
	if (letter->body.len >= 2 && span_is(span_first(letter->body, 2), "\r\n"))
		letter->body = span_skip(letter->body, 2);
}

int letter_read(FILE *in, bool dot_ends, struct letter *letter_out, struct err *why)
{
	struct letter letter = {.has_8bit = false};
	int code;

	buf_init(&letter.text, LETTER_MAX);
	code = read_lines(in, dot_ends, &letter, why);
	if (code != ERR_OK) {
		letter_release(&letter);
		return code;
	}
	find_parts(&letter);
	*letter_out = letter;
	return ERR_OK;
}

void letter_release(struct letter *letter)
{
	buf_release(&letter->text);
}

/* --- what its header says ------------------------------------------------------ */

static bool is_one_of(struct span name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (span_is_fold(name, *names))
			return true;
	return false;
}

static bool has_field(const struct letter *letter, const char *const *names)
{
	struct header header;
	struct header_field field;

	header_init_unlimited(&header, letter->fields);
	while (header_next(&header, &field))
		if (is_one_of(field.name, names))
			return true;
	return false;
}

int letter_addressees(const struct letter *letter, const char *domain,
		      struct addressees *addressees, struct err *why)
{
	static const char *const first[] = {"To", "Cc", "Bcc", NULL};
	static const char *const again[] = {"Resent-To", "Resent-Cc", "Resent-Bcc", NULL};
	const char *const *names = has_field(letter, again) ? again : first;
	struct header header;
	struct header_field field;
	int code = ERR_OK;

	header_init_unlimited(&header, letter->fields);
	while (code == ERR_OK && header_next(&header, &field))
		if (is_one_of(field.name, names))
			code = addressees_add(addressees, field.body, domain, why);
	return code;
}

/* --- the header to send --------------------------------------------------------- */

static int add_from(const struct letter_author *author, struct buf *out)
{
	struct fold fold;

	fold_begin(&fold, out, "", span_of("From"));
	field_mailbox(&fold, span_of(author->name), author->mailbox);
	return fold_end(&fold);
}

static int add_date(struct buf *out)
{
	char date[CLOCK_RFC5322_SIZE];

	clock_format_rfc5322(clock_wall_ms(), date);
	return buf_printf(out, "Date: %s\r\n", date);
}

static int add_message_id(const struct letter_author *author, struct buf *out)
{
	struct ulid id = ulid_new(clock_wall_ms());
	char text[ULID_TEXT_SIZE];

	ulid_format(&id, text);
	return buf_printf(out, "Message-ID: <%s@%s>\r\n", text, author->domain);
}

static int add_missing(const struct letter *letter, const struct letter_author *author,
		       struct buf *out)
{
	static const char *const from[] = {"From", NULL};
	static const char *const date[] = {"Date", NULL};
	static const char *const message_id[] = {"Message-ID", NULL};
	int code = has_field(letter, from) ? ERR_OK : add_from(author, out);

	if (code == ERR_OK && !has_field(letter, date))
		code = add_date(out);
	if (code == ERR_OK && !has_field(letter, message_id))
		code = add_message_id(author, out);
	return code;
}

int letter_header(const struct letter *letter, const struct letter_author *author, bool strip_bcc,
		  struct buf *out)
{
	static const char *const bcc[] = {"Bcc", "Resent-Bcc", NULL};
	struct header header;
	struct header_field field;
	int code = add_missing(letter, author, out);

	header_init_unlimited(&header, letter->fields);
	while (code == ERR_OK && header_next(&header, &field))
		if (!strip_bcc || !is_one_of(field.name, bcc))
			code = buf_append_span(out, field.raw);
	return code == ERR_OK ? buf_append(out, "\r\n", 2) : code;
}
