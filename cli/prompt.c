/* cli/prompt.c - what only a person can say: a secret, or yes */
#include <config.h>

#include "cli/prompt.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define ENDING_COUNT (sizeof(ending) / sizeof(ending[0]))

/* The signal that came while there was no echo. */
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

/* One line, octet by octet: what stands behind it is somebody else's. */
static int read_line(struct buf *line, struct err *why)
{
	for (;;) {
		char c;
		ssize_t got = read(STDIN_FILENO, &c, 1);

		if (got < 0 && (errno != EINTR || caught != 0))
			return err_set(why, ERR_IO, "the secret can't be read: %s",
				       strerror(errno));
		if (got == 0 || (got > 0 && c == '\n'))
			break;
		if (got > 0 && (line->len == PROMPT_MAX || buf_append_char(line, c) != ERR_OK))
			return err_set(why, ERR_LIMIT, "a secret has at most %d octets",
				       PROMPT_MAX);
	}
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		buf_truncate(line, line->len - 1);
	return ERR_OK;
}

static int ask(const char *question, struct buf *line, struct err *why)
{
	int code;

	fprintf(stderr, "%s: ", question);
	fflush(stderr);
	code = read_line(line, why);
	fputc('\n', stderr);
	return code;
}

static int ask_twice(const char *question, struct buf *secret, struct err *why)
{
	struct buf again;
	int code = ask(question, secret, why);

	if (code != ERR_OK)
		return code;
	buf_init(&again, PROMPT_MAX + 1);
	code = ask("Once more", &again, why);
	if (code == ERR_OK && !secret_equal(buf_span(&again), buf_span(secret)))
		code = err_set(why, ERR_SYNTAX, "the two are not the same");
	if (again.data != NULL)
		secret_wipe(again.data, again.len);
	buf_release(&again);
	return code;
}

static int ask_without_echo(const char *question, struct buf *secret, struct err *why)
{
	struct sigaction before[ENDING_COUNT];
	const struct sigaction ours = {.sa_handler = on_signal}; /* no SA_RESTART */
	struct termios shown;
	struct termios hidden;
	int code;

	if (tcgetattr(STDIN_FILENO, &shown) != 0)
		return err_set(why, ERR_IO, "the terminal can't be asked: %s", strerror(errno));
	for (size_t i = 0; i < ENDING_COUNT; i++)
		sigaction(ending[i], &ours, &before[i]);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	code = ask_twice(question, secret, why);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	for (size_t i = 0; i < ENDING_COUNT; i++)
		sigaction(ending[i], &before[i], NULL);
	if (caught != 0)
		(void)raise(caught);
	return code;
}

int prompt_secret(const char *question, struct buf *secret_out, struct err *why)
{
	int code = isatty(STDIN_FILENO) ? ask_without_echo(question, secret_out, why)
					: read_line(secret_out, why);

	if (code == ERR_OK && secret_out->len == 0)
		code = err_set(why, ERR_SYNTAX, "a secret is needed on standard input");
	return code;
}

bool prompt_yes(const char *question)
{
	struct buf line;
	struct err ignored;
	bool yes;

	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	buf_init(&line, PROMPT_MAX + 1);
	yes = read_line(&line, &ignored) == ERR_OK && line.len > 0 &&
	      (line.data[0] == 'y' || line.data[0] == 'Y');
	buf_release(&line);
	return yes;
}
