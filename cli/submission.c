/* cli/submission.c - a message handed to the relay by SMTP */
#include <config.h>

#include "cli/submission.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "relay/wire/reply.h"

#define HOST_SIZE     256
#define PORT_SIZE     6
#define USUAL_SECONDS (5 * 60) /* RFC 5321 4.5.3.2 */
#define FINAL_SECONDS (10 * 60)
#define BLOCK_BYTES   ((size_t)64 * 1024)
#define COMMAND_MAX   2048

/* --- connecting ---------------------------------------------------------------- */

static int fail_connect(const char *address, const char *reason, struct err *why)
{
	return err_set(why, ERR_IO, "the relay at %.120s can't be reached: %.80s", address, reason);
}

static int connect_unix(const char *address, int *fd_out, struct err *why)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const char *path = address + strlen("unix:");
	int fd;

	if (strlen(path) == 0 || strlen(path) >= sizeof(name.sun_path))
		return err_set(why, ERR_SYNTAX, "\"%.120s\" is no path of a socket", address);
	memcpy(name.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0) {
		*fd_out = fd;
		return ERR_OK;
	}
	fail_connect(address, strerror(errno), why);
	if (fd >= 0)
		close(fd);
	return ERR_IO;
}

/* Where the relay listens on every address of this machine, one of them is as good. */
static struct span reachable(struct span host)
{
	if (span_is(host, "0.0.0.0") || span_is(host, "*"))
		return span_of("127.0.0.1");
	return span_is(host, "::") ? span_of("::1") : host;
}

static bool split(const char *address, char host_out[HOST_SIZE], char port_out[PORT_SIZE])
{
	struct span text = span_of(address);
	size_t colon = span_find_last(text, ':');
	struct span host = span_first(text, colon);
	struct span port = span_skip(text, colon + 1);
	uint64_t number;

	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_make(host.data + 1, host.len - 2);
	else if (span_find(host, ':') < host.len)
		return false;
	if (colon == text.len || host.len == 0 || host.len >= HOST_SIZE || port.len >= PORT_SIZE ||
	    span_to_u64(port, 65535, &number) != ERR_OK)
		return false;
	host = reachable(host);
	(void)snprintf(host_out, HOST_SIZE, "%.*s", SPAN_ARG(host));
	(void)snprintf(port_out, PORT_SIZE, "%.*s", SPAN_ARG(port));
	return true;
}

static int connect_to(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0 || connect(fd, info->ai_addr, info->ai_addrlen) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int connect_inet(const char *address, int *fd_out, struct err *why)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found;
	char host[HOST_SIZE];
	char port[PORT_SIZE];
	int fd = -1;
	int code;

	if (!split(address, host, port))
		return err_set(why, ERR_SYNTAX,
			       "\"%.120s\" is not host:port, [IPv6]:port or unix:/path", address);
	code = getaddrinfo(host, port, &hints, &found);
	if (code != 0)
		return fail_connect(address, gai_strerror(code), why);
	for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next)
		fd = connect_to(info);
	code = errno;
	freeaddrinfo(found);
	if (fd < 0)
		return fail_connect(address, strerror(code), why);
	*fd_out = fd;
	return ERR_OK;
}

int submission_connect(const char *address, int *fd_out, struct err *why)
{
	return span_starts_fold(span_of(address), "unix:") ? connect_unix(address, fd_out, why)
							   : connect_inet(address, fd_out, why);
}

/* --- the dialogue ---------------------------------------------------------------- */

struct dialogue {
	int fd;
	FILE *trace;
	struct reply_parser parser;
	char input[4096];
	struct span rest; /* of input: sent behind the reply */
	struct buf output;
	bool has_8bitmime, has_smtputf8, has_dsn, has_size;
	struct submission_failure *failure;
};

static void set_patience(const struct dialogue *d, int seconds)
{
	struct timeval time = {.tv_sec = seconds};

	(void)setsockopt(d->fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	(void)setsockopt(d->fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

static int fail_socket(struct err *why)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return err_set(why, ERR_TIMEOUT, "the relay does not answer");
	return err_set(why, ERR_IO, "the connection to the relay broke: %s", strerror(errno));
}

static int receive(struct dialogue *d, struct err *why)
{
	ssize_t got;

	do
		got = recv(d->fd, d->input, sizeof(d->input), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return fail_socket(why);
	if (got == 0)
		return err_set(why, ERR_CLOSED, "the relay closed the connection");
	d->rest = span_make(d->input, (size_t)got);
	return ERR_OK;
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
	while (d->output.len > 0) {
		ssize_t sent = send(d->fd, d->output.data, d->output.len, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return fail_socket(why);
		if (sent > 0)
			buf_consume(&d->output, (size_t)sent);
	}
	return ERR_OK;
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

/* What is in d->output is one command. */
static int ask(struct dialogue *d, int want, struct err *why)
{
	int code;

	d->failure->code = 0;
	if (d->trace != NULL)
		fprintf(d->trace, ">>> %.*s", SPAN_ARG(buf_span(&d->output)));
	code = flush_output(d, why);
	return code == ERR_OK ? expect(d, want, why) : code;
}

static void note_extensions(struct dialogue *d)
{
	const struct reply *reply = &d->parser.reply;

	for (size_t i = 1; i < reply->lines; i++) {
		struct span line = reply_line(reply, i);
		struct span word = span_cut(&line, ' ');

		d->has_8bitmime |= span_is_fold(word, "8BITMIME");
		d->has_smtputf8 |= span_is_fold(word, "SMTPUTF8");
		d->has_dsn |= span_is_fold(word, "DSN");
		d->has_size |= span_is_fold(word, "SIZE");
	}
}

static int say_hello(struct dialogue *d, const char *hello, struct err *why)
{
	int code;

	d->failure->step = SUBMISSION_HELLO;
	code = expect(d, 2, why);
	if (code != ERR_OK)
		return code;
	(void)buf_printf(&d->output, "EHLO %.255s\r\n", hello);
	code = ask(d, 2, why);
	if (code == ERR_OK)
		note_extensions(d);
	return code;
}

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
	if (d->has_size)
		(void)buf_printf(&d->output, " SIZE=%zu", mail->header.len + mail->body.len);
	if (d->has_8bitmime && mail->has_8bit)
		(void)buf_append_text(&d->output, " BODY=8BITMIME");
	if (d->has_smtputf8 && needs_smtputf8(mail))
		(void)buf_append_text(&d->output, " SMTPUTF8");
	if (d->has_dsn && mail->ret != NULL)
		(void)buf_printf(&d->output, " RET=%s", mail->ret);
	if (d->has_dsn && mail->envid != NULL)
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
		if (d->has_dsn && mail->notify != NULL)
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
	set_patience(d, FINAL_SECONDS);
	(void)buf_append_text(&d->output, ".\r\n");
	return ask(d, 2, why);
}

static int hand_in(struct dialogue *d, const char *hello, const struct submission_mail *mail,
		   struct err *why)
{
	int code = say_hello(d, hello, why);

	if (code == ERR_OK)
		code = name_sender(d, mail, why);
	if (code == ERR_OK)
		code = name_recipients(d, mail, why);
	return code == ERR_OK ? send_content(d, mail, why) : code;
}

int submission_run(int fd, const char *hello, const struct submission_mail *mail, FILE *trace,
		   struct submission_failure *failure_out, struct err *why)
{
	struct dialogue d = {.fd = fd, .trace = trace, .failure = failure_out};
	int code;

	assert(mail->recipient_count > 0);
	*failure_out = (struct submission_failure){.step = SUBMISSION_CONNECT};
	reply_parser_init(&d.parser);
	buf_init(&d.output, 2 * BLOCK_BYTES + COMMAND_MAX);
	set_patience(&d, USUAL_SECONDS);
	code = hand_in(&d, hello, mail, why);
	if (code == ERR_OK || code == ERR_DENIED) {
		(void)buf_append_text(&d.output, "QUIT\r\n");
		(void)flush_output(&d, NULL);
	}
	close(fd);
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
