/* tests/fuzz/session_model.c - a client that understands what it says */
#include "tests/fuzz/session_model.h"

#include <assert.h>
#include <string.h>

#include "relay/smtp/auth.h"
#include "relay/smtp/command.h"
#include "tests/fuzz/data_model.h"

#define ROOM	       (1 << 20)
#define REPLY_LINE_MAX 512 /* RFC 5321 4.5.3.1.5 */

void session_model_init(struct session_model *model, struct session_backend *backend, bool lmtp)
{
	*model = (struct session_model){.backend = backend, .lmtp = lmtp};
	buf_init(&model->input, ROOM);
	buf_init(&model->output, ROOM);
	buf_init(&model->recipients, ROOM);
	buf_init(&model->chunks, ROOM);
}

void session_model_release(struct session_model *model)
{
	buf_release(&model->input);
	buf_release(&model->output);
	buf_release(&model->recipients);
	buf_release(&model->chunks);
}

static void forget_transaction(struct session_model *model)
{
	buf_clear(&model->recipients);
	buf_clear(&model->chunks);
	model->recipient_count = 0;
	model->mail = false;
}

void session_model_secure(struct session_model *model)
{
	forget_transaction(model);
	model->hello = false;
	buf_clear(&model->input);
	model->state = MODEL_LINE;
}

/* --- replies ---------------------------------------------------------------- */

enum reply_kind {
	REPLY_PLAIN,	/* with enhanced codes (RFC 2034 4) */
	REPLY_GREETING, /* without: banner, EHLO, HELO */
	REPLY_SECRET	/* 334, which may be longer (RFC 4954 4) */
};

/* "c.d.d " where c is the class of the code. */
static bool has_enhanced(struct span text, char klass)
{
	struct span rest = text;
	struct span first = span_cut(&rest, '.');
	struct span second = span_cut(&rest, '.');
	struct span third = span_cut(&rest, ' ');
	uint64_t number;

	return first.len == 1 && first.data[0] == klass &&
	       span_to_u64(second, 999, &number) == ERR_OK &&
	       span_to_u64(third, 999, &number) == ERR_OK;
}

static int check_reply_line(struct span line, enum reply_kind kind)
{
	char klass = line.data[0];

	assert(line.len >= 4 && klass >= '2' && klass <= '5');
	assert(ascii_is_digit(line.data[1]) && ascii_is_digit(line.data[2]));
	assert(line.data[3] == ' ' || line.data[3] == '-');
	for (size_t i = 4; i < line.len; i++)
		assert(line.data[i] >= 0x20 && line.data[i] < 0x7f);
	assert(line.len + 2 <= REPLY_LINE_MAX || memcmp(line.data, "334", 3) == 0);
	if (kind == REPLY_PLAIN && klass != '3')
		assert(has_enhanced(span_skip(line, 4), klass));
	return (klass - '0') * 100 + (line.data[1] - '0') * 10 + (line.data[2] - '0');
}

/*
 * The next reply's code. It must be there, but for a connection that the
 * backend wanted ended: 0, and everything is over.
 */
static int take_reply(struct session_model *model, enum reply_kind kind)
{
	int code = 0;
	bool more = true;

	if (model->output.len == 0) {
		assert(model->ended && model->backend->hung_up);
		model->state = MODEL_OVER;
		return 0;
	}
	while (more) {
		struct span output = buf_span(&model->output);
		size_t lf = span_find(output, '\n');
		struct span line = span_first(output, lf);
		int own;

		assert(lf < output.len && lf > 0 && output.data[lf - 1] == '\r');
		line.len--;
		own = check_reply_line(line, kind);
		assert(code == 0 || own == code);
		code = own;
		more = line.data[3] == '-';
		buf_consume(&model->output, lf + 1);
	}
	if (code == 421)
		model->state = MODEL_OVER;
	return code;
}

/* --- messages ----------------------------------------------------------------- */

static void check_message(struct session_model *model, struct span wire, bool dotted)
{
	struct taken_mail *mail = session_backend_next(model->backend);
	struct data_model want;

	assert(mail != NULL && model->recipient_count > 0);
	data_model_init(&want, wire, dotted);
	assert(strcmp(mail->sender, model->sender) == 0);
	assert(span_equal(buf_span(&mail->recipients), buf_span(&model->recipients)));
	assert(span_equal(buf_span(&mail->body), buf_span(&want.message)));
	data_model_release(&want);
	taken_mail_free(&mail);
}

/* A BDAT that is out of order, or refused for now, leaves what MAIL and RCPT said. */
static bool ends_message(const struct session_model *model, int code)
{
	return code != 451 && code != 503 && model->recipient_count > 0;
}

/* The answer to a whole message; one a recipient in LMTP (RFC 2033 4.2), all alike here. */
static void take_final(struct session_model *model, struct span wire, bool dotted)
{
	int code = take_reply(model, REPLY_PLAIN);

	for (size_t i = 1; model->lmtp && i < model->recipient_count && code != 0 && code != 421;
	     i++)
		assert(take_reply(model, REPLY_PLAIN) == code);
	if (code == 250)
		check_message(model, wire, dotted);
	assert(code == 0 || code == 250 || code / 100 == 4 || code / 100 == 5);
	if (dotted || ends_message(model, code))
		forget_transaction(model);
}

static bool take_data(struct session_model *model)
{
	struct data_model data;
	struct span wire;

	data_model_init(&data, buf_span(&model->input), true);
	wire = span_first(buf_span(&model->input), data.taken);
	if (data.ended) {
		model->state = MODEL_LINE;
		take_final(model, wire, true);
		buf_consume(&model->input, data.taken);
	}
	data_model_release(&data);
	return data.ended;
}

/* Too large is the end of the whole message (RFC 1870 6.1). */
static void take_middle(struct session_model *model, struct span octets)
{
	int code = take_reply(model, REPLY_PLAIN);

	assert(code != 250 || model->recipient_count > 0);
	if (code == 250)
		assert(buf_append_span(&model->chunks, octets) == ERR_OK);
	else if (code == 552)
		forget_transaction(model);
}

static bool take_chunk(struct session_model *model)
{
	struct span octets = span_first(buf_span(&model->input), model->chunk_size);
	bool taken = octets.len == model->chunk_size;
	size_t before = model->chunks.len;

	if (!taken)
		return false;
	model->state = MODEL_LINE;
	if (model->chunk_last) {
		assert(buf_append_span(&model->chunks, octets) == ERR_OK);
		take_final(model, buf_span(&model->chunks), false);
		if (model->chunks.len > before) /* refused, and nothing was forgotten */
			buf_truncate(&model->chunks, before);
	} else {
		take_middle(model, octets);
	}
	buf_consume(&model->input, model->chunk_size);
	return true;
}

/* --- commands ------------------------------------------------------------------- */

/* A 250 is for an address that can be read. */
static void read_path(struct span argument, enum address_path kind, char text[ADDRESS_TEXT_SIZE])
{
	struct address address;
	struct span rest;

	assert(command_parse_path(argument, kind, &address, &rest, NULL) == ERR_OK);
	address_format(&address, text);
}

static void on_mail(struct session_model *model, struct span argument)
{
	if (take_reply(model, REPLY_PLAIN) != 250)
		return;
	assert(model->hello && !model->mail);
	model->mail = true;
	read_path(argument, ADDRESS_REVERSE_PATH, model->sender);
}

static void on_rcpt(struct session_model *model, struct span argument)
{
	char text[ADDRESS_TEXT_SIZE];

	if (take_reply(model, REPLY_PLAIN) != 250)
		return;
	assert(model->mail && model->chunks.len == 0);
	read_path(argument, ADDRESS_FORWARD_PATH, text);
	assert(buf_printf(&model->recipients, "%s ", text) == ERR_OK);
	model->recipient_count++;
}

/* What stands behind a DATA without 354 was meant as a message: it must not run. */
static void on_data(struct session_model *model, struct span argument)
{
	int code = take_reply(model, REPLY_PLAIN);

	(void)argument;
	if (code == 354) {
		assert(model->recipient_count > 0 && model->chunks.len == 0);
		model->state = MODEL_DATA;
	} else if (model->input.len > 0) {
		model->state = MODEL_OVER;
	}
}

static void on_bdat(struct session_model *model, struct span argument)
{
	struct span rest = argument;
	struct span digits = span_cut(&rest, ' ');
	uint64_t size;

	model->chunk_last = span_is_fold(rest, "LAST");
	if (span_to_u64(digits, 1U << 31, &size) != ERR_OK ||
	    (digits.len < argument.len && !model->chunk_last)) {
		(void)take_reply(model, REPLY_PLAIN);
		model->state = MODEL_OVER;
		return;
	}
	model->chunk_size = (size_t)size;
	model->state = MODEL_CHUNK;
}

static void on_reset(struct session_model *model, struct span argument)
{
	(void)argument;
	if (take_reply(model, REPLY_PLAIN) == 250)
		forget_transaction(model);
}

static void on_hello(struct session_model *model, struct span argument)
{
	(void)argument;
	if (take_reply(model, REPLY_GREETING) != 250)
		return;
	forget_transaction(model);
	model->hello = true;
}

static void on_starttls(struct session_model *model, struct span argument)
{
	(void)argument;
	if (take_reply(model, REPLY_PLAIN) == 220)
		model->state = MODEL_TLS;
}

static void on_auth(struct session_model *model, struct span argument)
{
	(void)argument;
	model->state = take_reply(model, REPLY_SECRET) == 334 ? MODEL_AUTH : model->state;
}

/* A greeting again, or the door (the new address is not welcome). */
static void on_xclient(struct session_model *model, struct span argument)
{
	int code = take_reply(model, REPLY_GREETING);

	if (code == 220) {
		forget_transaction(model);
		model->hello = false;
		while (argument.len > 0 && !model->hello)
			model->hello = span_starts_fold(span_cut(&argument, ' '), "HELO=");
	} else if (code == 554)
		model->state = MODEL_OVER;
}

static void on_quit(struct session_model *model, struct span argument)
{
	(void)argument;
	if (take_reply(model, REPLY_PLAIN) == 221)
		model->state = MODEL_OVER;
}

/* Anything else changes nothing; 554 is for those who speak another protocol. */
static void on_other(struct session_model *model, struct span argument)
{
	(void)argument;
	if (take_reply(model, REPLY_PLAIN) == 554)
		model->state = MODEL_OVER;
}

static const struct {
	const char *verb;
	void (*on)(struct session_model *model, struct span argument);
} verbs[] = {
	{"MAIL", on_mail},  {"RCPT", on_rcpt},	       {"DATA", on_data},	{"RSET", on_reset},
	{"EHLO", on_hello}, {"HELO", on_hello},	       {"LHLO", on_hello},	{"QUIT", on_quit},
	{"AUTH", on_auth},  {"STARTTLS", on_starttls}, {"XCLIENT", on_xclient},
};

static bool is_bdat(struct span line)
{
	return span_starts_fold(line, "BDAT") && (line.len == 4 || !ascii_is_alnum(line.data[4]));
}

static bool has_control(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.data[i] == 0x7f ||
		    (line.data[i] >= 0 && line.data[i] < 0x20 && line.data[i] != '\t'))
			return true;
	return false;
}

/* One command with its reply, unless the reply waits for octets (BDAT). */
static void take_command(struct session_model *model, struct span line)
{
	void (*on)(struct session_model * model, struct span argument) = on_other;
	struct span rest = line;
	struct span verb;

	while (rest.len > 0 && ascii_is_blank(rest.data[rest.len - 1]))
		rest.len--;
	verb = span_cut(&rest, ' ');
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (span_is_fold(verb, verbs[i].verb))
			on = verbs[i].on;
	if (is_bdat(line) && (has_control(line) || !span_is_fold(verb, "BDAT")))
		on_bdat(model, span_of("unreadable"));
	else if (is_bdat(line))
		on_bdat(model, rest);
	else
		on(model, rest);
}

/* --- lines ------------------------------------------------------------------------ */

static size_t line_max(const struct session_model *model)
{
	return model->state == MODEL_AUTH || auth_is_command(buf_span(&model->input))
		       ? AUTH_LINE_MAX
		       : COMMAND_LINE_MAX;
}

/* The front of a line: TLS and BDAT are known by it, and a line may be too long already. */
static bool take_part(struct session_model *model)
{
	struct span input = buf_span(&model->input);
	bool full = input.len >= line_max(model);

	if (model->state == MODEL_LINE && input.len >= 2 && memcmp(input.data, "\x16\x03", 2) == 0)
		assert(take_reply(model, REPLY_PLAIN) == 554);
	else if (full && model->state == MODEL_LINE && is_bdat(input))
		(void)take_reply(model, REPLY_PLAIN);
	else if (full)
		return model->state = MODEL_SKIP, true;
	else
		return false;
	model->state = MODEL_OVER;
	return true;
}

static bool take_line(struct session_model *model)
{
	struct span input = buf_span(&model->input);
	size_t lf = span_find(span_first(input, line_max(model)), '\n');
	struct span line = span_first(input, lf);
	enum model_state state = model->state;
	struct buf copy;

	if (lf == input.len || lf == line_max(model))
		return take_part(model);
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	buf_init(&copy, ROOM);
	assert(buf_append_span(&copy, line) == ERR_OK);
	buf_consume(&model->input, lf + 1);
	model->state = MODEL_LINE;
	if (state == MODEL_AUTH)
		on_auth(model, line);
	else
		take_command(model, buf_span(&copy));
	buf_release(&copy);
	return true;
}

static bool skip_line(struct session_model *model)
{
	size_t lf = span_find(buf_span(&model->input), '\n');

	if (lf == model->input.len) {
		buf_clear(&model->input);
		return false;
	}
	buf_consume(&model->input, lf + 1);
	model->state = MODEL_LINE;
	assert(take_reply(model, REPLY_PLAIN) / 10 != 25);
	return true;
}

static bool take_banner(struct session_model *model)
{
	/* The connection may be in TLS's hands still. */
	if (model->output.len == 0)
		return false;
	model->state = take_reply(model, REPLY_GREETING) == 220 ? MODEL_LINE : MODEL_OVER;
	return true;
}

static bool step(struct session_model *model)
{
	switch (model->state) {
	case MODEL_BANNER: return take_banner(model);
	case MODEL_LINE:
	case MODEL_AUTH: return take_line(model);
	case MODEL_SKIP: return skip_line(model);
	case MODEL_DATA: return take_data(model);
	case MODEL_CHUNK: return take_chunk(model);
	case MODEL_TLS:
	case MODEL_OVER: break;
	}
	return false;
}

void session_model_check(struct session_model *model)
{
	while (step(model))
		;
	assert(model->output.len == 0);
}

void session_model_stop(struct session_model *model)
{
	if (model->output.len > 0)
		assert(take_reply(model, model->state == MODEL_BANNER ? REPLY_GREETING
								      : REPLY_PLAIN) == 421);
	assert(model->output.len == 0);
	model->state = MODEL_OVER;
}
