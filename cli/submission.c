/* cli/submission.c - a message handed to the relay by SMTP */
#include <config.h>

#include "cli/submission.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/secret.h"
#include "cli/wire.h"
#include "relay/wire/base64.h"
#include "relay/wire/reply.h"

#define USUAL_SECONDS (5 * 60) /* RFC 5321 4.5.3.2 */
#define FINAL_SECONDS (10 * 60)
#define BLOCK_BYTES   ((size_t)64 * 1024)
#define COMMAND_MAX   2048

/* --- the dialogue ---------------------------------------------------------------- */

struct dialogue {
	struct wire wire;
	FILE *trace;
	struct reply_parser parser;
	char input[4096];
	struct span rest; /* of input: sent behind the reply */
	struct buf output;
	struct {
		bool has_8bitmime, has_smtputf8, has_dsn, has_size, has_starttls, has_plain;
	} hop;
	struct submission_failure *failure;
};

static int receive(struct dialogue *d, struct err *why)
{
	size_t len;
	int code = wire_receive(&d->wire, d->input, sizeof(d->input), &len, why);

	if (code == ERR_OK)
		d->rest = span_make(d->input, len);
	return code;
}

static int read_reply(struct dialogue *d, struct err *why)
{
	bool done = false;
	int code = ERR_OK;

	while (code == ERR_OK && !done) {
		if (d->rest.len == 0)
			code = receive(d, why);
		if (code == ERR_OK)
			code = reply_parser_feed(&d->parser, &d->rest, &done, why);
	}
	if (code == ERR_OK && d->trace != NULL)
		for (size_t i = 0; i < d->parser.reply.lines; i++)
			fprintf(d->trace, "%03d %.*s\n", d->parser.reply.code,
				SPAN_ARG(reply_line(&d->parser.reply, i)));
	return code;
}

static int flush_output(struct dialogue *d, struct err *why)
{
	int code = wire_send(&d->wire, buf_span(&d->output), why);

	buf_clear(&d->output);
	return code;
}

/* The reply's first digit must be `want`. */
static int expect(struct dialogue *d, int want, struct err *why)
{
	char text[200];
	int code = read_reply(d, why);

	if (code != ERR_OK)
		return code;
	d->failure->code = d->parser.reply.code;
	if (d->parser.reply.code / 100 == want)
		return ERR_OK;
	reply_summary(&d->parser.reply, text, sizeof(text));
	return err_set(why, ERR_DENIED, "%d %s", d->parser.reply.code, text);
}

/* What is in d->output is one command; `shown` of it may be traced. */
static int ask_showing(struct dialogue *d, struct span shown, int want, struct err *why)
{
	int code;

	d->failure->code = 0;
	if (d->trace != NULL)
		fprintf(d->trace, ">>> %.*s\n", SPAN_ARG(span_trim(shown)));
	code = flush_output(d, why);
	return code == ERR_OK ? expect(d, want, why) : code;
}

static int ask(struct dialogue *d, int want, struct err *why)
{
	return ask_showing(d, buf_span(&d->output), want, why);
}

/* --- hello, TLS, login ------------------------------------------------------------- */

static void note_extensions(struct dialogue *d)
{
	const struct reply *reply = &d->parser.reply;

	memset(&d->hop, 0, sizeof(d->hop));
	for (size_t i = 1; i < reply->lines; i++) {
		struct span line = reply_line(reply, i);
		struct span word = span_cut(&line, ' ');
		bool is_auth = span_is_fold(word, "AUTH");

		d->hop.has_8bitmime |= span_is_fold(word, "8BITMIME");
		d->hop.has_smtputf8 |= span_is_fold(word, "SMTPUTF8");
		d->hop.has_dsn |= span_is_fold(word, "DSN");
		d->hop.has_size |= span_is_fold(word, "SIZE");
		d->hop.has_starttls |= span_is_fold(word, "STARTTLS");
		while (is_auth && line.len > 0)
			d->hop.has_plain |= span_is_fold(span_cut(&line, ' '), "PLAIN");
	}
}

static int say_hello(struct dialogue *d, const char *hello, struct err *why)
{
	int code;

	(void)buf_printf(&d->output, "EHLO %.255s\r\n", hello);
	code = ask(d, 2, why);
	if (code == ERR_OK)
		note_extensions(d);
	return code;
}

static int secure(struct dialogue *d, const struct submission_access *access, struct err *why)
{
	char host[WIRE_HOST_SIZE];

	wire_host(access->address, host);
	return wire_secure(&d->wire, host, access->ca_file, why);
}

/* RFC 3207. What came behind the answer was said by who knows whom: it is no SMTP. */
static int start_tls(struct dialogue *d, const struct submission_access *access, struct err *why)
{
	int code;

	if (!d->hop.has_starttls)
		return err_set(why, ERR_IO, "the relay offers no STARTTLS");
	(void)buf_append_text(&d->output, "STARTTLS\r\n");
	code = ask(d, 2, why);
	if (code == ERR_OK && d->rest.len > 0)
		code = err_set(why, ERR_SYNTAX, "something stands behind the answer to STARTTLS");
	if (code == ERR_OK)
		code = secure(d, access, why);
	return code == ERR_OK ? say_hello(d, access->hello, why) : code;
}

static int greet(struct dialogue *d, const struct submission_access *access, struct err *why)
{
	int code = ERR_OK;

	d->failure->step = SUBMISSION_HELLO;
	if (access->tls == SUBMISSION_IMPLICIT)
		code = secure(d, access, why);
	if (code == ERR_OK)
		code = expect(d, 2, why);
	if (code == ERR_OK)
		code = say_hello(d, access->hello, why);
	if (code == ERR_OK && access->tls == SUBMISSION_STARTTLS)
		code = start_tls(d, access, why);
	return code;
}

/* RFC 4616, with its response at once (RFC 4954 4). */
static int say_plain(struct dialogue *d, const struct submission_access *access, struct err *why)
{
	struct buf secret;
	int code;

	buf_init(&secret, COMMAND_MAX);
	code = buf_append_char(&secret, '\0');
	if (code == ERR_OK)
		code = buf_append_text(&secret, access->user);
	if (code == ERR_OK)
		code = buf_append_char(&secret, '\0');
	if (code == ERR_OK)
		code = buf_append_span(&secret, access->password);
	(void)buf_append_text(&d->output, "AUTH PLAIN ");
	if (code == ERR_OK)
		code = base64_encode(buf_span(&secret), &d->output);
	if (code == ERR_OK)
		code = buf_append_text(&d->output, "\r\n");
	secret_wipe(secret.data, secret.len);
	buf_release(&secret);
	if (code != ERR_OK)
		return err_set(why, ERR_SYNTAX, "the name or password is too long");
	return ask_showing(d, span_of("AUTH PLAIN ..."), 2, why);
}

static int log_in(struct dialogue *d, const struct submission_access *access, struct err *why)
{
	if (access->user == NULL)
		return ERR_OK;
	d->failure->step = SUBMISSION_LOGIN;
	d->failure->code = 0;
	if (!wire_is_private(&d->wire))
		return err_set(why, ERR_DENIED, "a password is not sent in the clear: use TLS");
	if (!d->hop.has_plain)
		return err_set(why, ERR_DENIED, "the relay offers no login by PLAIN");
	return say_plain(d, access, why);
}

/* --- the message -------------------------------------------------------------------- */

static bool needs_smtputf8(const struct submission_mail *mail)
{
	for (size_t i = 0; i < mail->recipient_count; i++)
		if (mail->recipients[i].utf8)
			return true;
	return mail->sender.utf8;
}

static int name_sender(struct dialogue *d, const struct submission_mail *mail, struct err *why)
{
	char text[ADDRESS_TEXT_SIZE];

	d->failure->step = SUBMISSION_SENDER;
	address_format(&mail->sender, text);
	(void)buf_printf(&d->output, "MAIL FROM:<%s>", text);
	if (d->hop.has_size)
		(void)buf_printf(&d->output, " SIZE=%zu", mail->header.len + mail->body.len);
	if (d->hop.has_8bitmime && mail->has_8bit)
		(void)buf_append_text(&d->output, " BODY=8BITMIME");
	if (d->hop.has_smtputf8 && needs_smtputf8(mail))
		(void)buf_append_text(&d->output, " SMTPUTF8");
	if (d->hop.has_dsn && mail->ret != NULL)
		(void)buf_printf(&d->output, " RET=%s", mail->ret);
	if (d->hop.has_dsn && mail->envid != NULL)
		(void)buf_printf(&d->output, " ENVID=%s", mail->envid);
	(void)buf_append_text(&d->output, "\r\n");
	return ask(d, 2, why);
}

static int name_recipients(struct dialogue *d, const struct submission_mail *mail, struct err *why)
{
	char text[ADDRESS_TEXT_SIZE];

	d->failure->step = SUBMISSION_RECIPIENT;
	for (size_t i = 0; i < mail->recipient_count; i++) {
		int code;

		address_format(&mail->recipients[i], text);
		(void)buf_printf(&d->output, "RCPT TO:<%s>", text);
		if (d->hop.has_dsn && mail->notify != NULL)
			(void)buf_printf(&d->output, " NOTIFY=%s", mail->notify);
		(void)buf_append_text(&d->output, "\r\n");
		code = ask(d, 2, why);
		if (code != ERR_OK)
			return err_prefix(why, code, "<%.100s>", text);
	}
	return ERR_OK;
}

/* Lines end in CRLF; a dot at the start of one is doubled (RFC 5321 4.5.2). */
static int send_lines(struct dialogue *d, struct span text, struct err *why)
{
	int code = ERR_OK;

	while (text.len > 0 && code == ERR_OK) {
		struct span line = span_first(text, span_find(text, '\n') + 1);
		bool dotted = line.data[0] == '.';

		text = span_skip(text, line.len);
		while (line.len > 0 && code == ERR_OK) {
			struct span piece = span_first(line, BLOCK_BYTES);

			(void)buf_append_text(&d->output, dotted ? "." : "");
			(void)buf_append_span(&d->output, piece);
			dotted = false;
			line = span_skip(line, piece.len);
			if (d->output.len >= BLOCK_BYTES)
				code = flush_output(d, why);
		}
	}
	return code;
}

static int send_content(struct dialogue *d, const struct submission_mail *mail, struct err *why)
{
	int code;

	d->failure->step = SUBMISSION_CONTENT;
	(void)buf_append_text(&d->output, "DATA\r\n");
	code = ask(d, 3, why);
	if (code != ERR_OK)
		return code;
	d->failure->code = 0;
	code = send_lines(d, mail->header, why);
	if (code == ERR_OK)
		code = send_lines(d, mail->body, why);
	if (code != ERR_OK)
		return code;
	wire_set_patience(&d->wire, FINAL_SECONDS);
	(void)buf_append_text(&d->output, ".\r\n");
	return ask(d, 2, why);
}

static int hand_in(struct dialogue *d, const struct submission_access *access,
		   const struct submission_mail *mail, struct err *why)
{
	int code = greet(d, access, why);

	if (code == ERR_OK)
		code = log_in(d, access, why);
	if (code == ERR_OK)
		code = name_sender(d, mail, why);
	if (code == ERR_OK)
		code = name_recipients(d, mail, why);
	return code == ERR_OK ? send_content(d, mail, why) : code;
}

int submission_run(int fd, const struct submission_access *access,
		   const struct submission_mail *mail, FILE *trace,
		   struct submission_failure *failure_out, struct err *why)
{
	struct dialogue d = {.trace = trace, .failure = failure_out};
	int code;

	assert(mail->recipient_count > 0);
	*failure_out = (struct submission_failure){.step = SUBMISSION_CONNECT};
	reply_parser_init(&d.parser);
	buf_init(&d.output, 2 * BLOCK_BYTES + COMMAND_MAX);
	wire_init(&d.wire, fd);
	wire_set_patience(&d.wire, USUAL_SECONDS);
	code = hand_in(&d, access, mail, why);
	if (code == ERR_OK || code == ERR_DENIED) {
		(void)buf_append_text(&d.output, "QUIT\r\n");
		(void)flush_output(&d, NULL);
	}
	wire_close(&d.wire);
	buf_release(&d.output);
	reply_parser_release(&d.parser);
	return code;
}

/* --- sendmail -bs ------------------------------------------------------------------ */

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t sent = write(fd, bytes, len);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		bytes += sent;
		len -= (size_t)sent;
	}
	return true;
}

enum flow { FLOW_GOES_ON, FLOW_ENDED, FLOW_BROKE };

static enum flow carry(int from, int to)
{
	char bytes[16 * 1024];
	ssize_t got = read(from, bytes, sizeof(bytes));

	if (got < 0)
		return errno == EINTR ? FLOW_GOES_ON : FLOW_BROKE;
	if (got == 0)
		return FLOW_ENDED;
	return write_all(to, bytes, (size_t)got) ? FLOW_GOES_ON : FLOW_BROKE;
}

int submission_pipe(int fd, int in, int out, struct err *why)
{
	struct pollfd fds[2] = {{.fd = in, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	enum flow back = FLOW_GOES_ON;

	while (back == FLOW_GOES_ON) {
		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			back = FLOW_BROKE;
			break;
		}
		if (fds[0].revents != 0 && carry(in, fd) != FLOW_GOES_ON) {
			/* What was said is still answered; a negative one is not polled. */
			(void)shutdown(fd, SHUT_WR);
			fds[0].fd = -1;
		}
		if (fds[1].revents != 0)
			back = carry(fd, out);
	}
	if (back == FLOW_BROKE)
		err_set(why, ERR_IO, "the dialogue broke: %s", strerror(errno));
	close(fd);
	return back == FLOW_ENDED ? ERR_OK : ERR_IO;
}
