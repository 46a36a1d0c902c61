/* tests/unit/deliver/nexthop_talk.c - one conversation of the next hop, by its script */
#include <config.h> /* memmem */

#include "tests/unit/deliver/nexthop_inside.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct talk {
	struct nexthop *n;
	int fd, number;
	SSL *ssl;
	char in[65536];
	size_t in_len;
	struct nexthop_mail mail;
	struct buf data;
	bool broken;
	bool used;    /* has carried a message */
	bool at_dot;  /* a yes now means that the message is ours */
	bool lmtp;    /* LHLO was said */
	bool in_auth; /* a 334 was said last */
};

static bool is_going(struct nexthop *n, int a, int b)
{
	return n->going || n->stopping;
}

static bool is_stopping(struct nexthop *n)
{
	bool is;

	pthread_mutex_lock(&n->lock);
	is = n->stopping;
	pthread_mutex_unlock(&n->lock);
	return is;
}

static void forget(struct talk *t)
{
	t->mail.mail[0] = '\0';
	t->mail.rcpt_count = 0;
	buf_clear(&t->data);
}

static void keep_mail(struct talk *t)
{
	struct nexthop_mail *mail = malloc(sizeof(*mail));
	struct nexthop *n = t->n;

	*mail = t->mail;
	t->used = true;
	mail->connection = t->number;
	mail->data = malloc(t->data.len + 1);
	memcpy(mail->data, t->data.len > 0 ? t->data.data : "", t->data.len);
	mail->data[t->data.len] = '\0';
	mail->len = t->data.len;
	pthread_mutex_lock(&n->lock);
	assert(n->mail_count < NEXTHOP_MAILS_MAX);
	n->mails[n->mail_count++] = mail;
	pthread_cond_broadcast(&n->change);
	pthread_mutex_unlock(&n->lock);
}

static void put(struct talk *t, const char *bytes, size_t len)
{
	while (len > 0 && !t->broken) {
		ssize_t n = t->ssl != NULL ? SSL_write(t->ssl, bytes, (int)len)
					   : send(t->fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0) {
			t->broken = true;
			return;
		}
		bytes += n;
		len -= (size_t)n;
	}
}

static bool fill(struct talk *t, size_t want)
{
	ssize_t n;

	if (want > sizeof(t->in) - t->in_len)
		want = sizeof(t->in) - t->in_len;
	n = t->ssl != NULL ? SSL_read(t->ssl, t->in + t->in_len, (int)want)
			   : recv(t->fd, t->in + t->in_len, want, 0);
	if (n <= 0) {
		t->broken = true;
		return false;
	}
	pthread_mutex_lock(&t->n->lock);
	buf_append(&t->n->record, t->in + t->in_len, (size_t)n);
	pthread_mutex_unlock(&t->n->lock);
	t->in_len += (size_t)n;
	return true;
}

static void eat(struct talk *t, size_t len)
{
	memmove(t->in, t->in + len, t->in_len - len);
	t->in_len -= len;
}

static const struct nexthop_step *find_step(struct talk *t, enum nexthop_stage stage,
					    const char *line, int time)
{
	for (size_t i = 0; i < t->n->step_count; i++) {
		const struct nexthop_step *s = &t->n->steps[i];

		if (s->stage == stage && (t->used || !s->used) &&
		    (s->from == 0 || (time >= s->from && time <= s->to)) &&
		    (s->match == NULL || strstr(line, s->match) != NULL))
			return s;
	}
	return NULL;
}

static int reach(struct talk *t, enum nexthop_stage stage)
{
	int time;

	pthread_mutex_lock(&t->n->lock);
	time = ++t->n->reached[stage];
	pthread_cond_broadcast(&t->n->change);
	pthread_mutex_unlock(&t->n->lock);
	return time;
}

static void drop(struct talk *t, bool reset)
{
	struct linger linger = {1, 0};

	if (reset)
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	t->broken = true;
}

static void drip(struct talk *t, const struct nexthop_step *s, size_t len)
{
	struct timespec each = {0, s->ms * 1000000L};

	for (size_t i = 0; i < len && !t->broken && !is_stopping(t->n); i++) {
		put(t, s->reply + i, 1);
		nanosleep(&each, NULL);
	}
}

/* Recorded before the peer can know of it, so that a test never comes too early. */
static int announce(struct talk *t, const char *reply)
{
	if (t->at_dot && reply[0] == '2')
		keep_mail(t);
	return reply[0] - '0';
}

/* Play a stage; returns the first digit of what was said, 0 when nothing was. */
static int play_at(struct talk *t, const struct nexthop_step *s, const char *usual)
{
	size_t len = s != NULL && s->reply != NULL
			     ? (s->reply_len > 0 ? s->reply_len : strlen(s->reply))
			     : 0;
	int class;

	if (s != NULL && (s->act == DO_STALL || s->act == DO_PAUSE))
		nexthop_wait_until(t->n, is_going, 0, 0, 60000);
	if (s == NULL || s->act == DO_PAUSE) {
		class = announce(t, usual);
		put(t, usual, strlen(usual));
		return class;
	}
	class = len > 0 ? announce(t, s->reply) : 0;
	switch (s->act) {
	case DO_DROP: drop(t, false); return 0;
	case DO_RESET: drop(t, true); return 0;
	case DO_DRIP: drip(t, s, len); break;
	case DO_REPLY: put(t, s->reply, len); break;
	default: t->broken = true; return 0;
	}
	return class;
}

static int play(struct talk *t, enum nexthop_stage stage, const char *line, const char *usual)
{
	return play_at(t, find_step(t, stage, line, reach(t, stage)), usual);
}

/* True when the lone dot has come; only CRLF.CRLF ends, dots are undoubled. */
static bool take_data(struct talk *t, bool *line_start)
{
	size_t at = 0;

	while (at < t->in_len) {
		const char *end;
		size_t len;

		if (*line_start && t->in[at] == '.') {
			if (t->in_len - at < 3)
				break;
			if (memcmp(t->in + at, ".\r\n", 3) == 0) {
				eat(t, at + 3);
				return true;
			}
			at++;
		}
		end = memmem(t->in + at, t->in_len - at, "\r\n", 2);
		len = end != NULL ? (size_t)(end - (t->in + at)) + 2 : t->in_len - at;
		/* A CR at the very end may be half a line end. */
		if (end == NULL && t->in[t->in_len - 1] == '\r')
			len--;
		if (len == 0)
			break;
		buf_append(&t->data, t->in + at, len);
		at += len;
		*line_start = end != NULL;
	}
	eat(t, at);
	return false;
}

/* RFC 2033 4.2 */
static void answer_each(struct talk *t)
{
	struct nexthop_mail all = t->mail;

	t->mail.rcpt_count = 1;
	for (size_t i = 0; i < all.rcpt_count && !t->broken; i++) {
		memcpy(t->mail.rcpt[0], all.rcpt[i], sizeof(all.rcpt[i]));
		play(t, AT_DOT, all.rcpt[i], "250 2.0.0 kept\r\n");
	}
}

static void read_message(struct talk *t)
{
	const struct nexthop_step *body = find_step(t, AT_BODY, "", reach(t, AT_BODY));
	bool line_start = true;

	while (!take_data(t, &line_start)) {
		size_t want = sizeof(t->in);

		if (body != NULL && t->data.len >= body->bytes) {
			const struct nexthop_step *s = body;

			body = NULL;
			/* DO_PAUSE says nothing here; other acts are played in the middle. */
			if (s->act == DO_PAUSE)
				nexthop_wait_until(t->n, is_going, 0, 0, 60000);
			else
				play_at(t, s, "");
		} else if (body != NULL && want > body->bytes - t->data.len) {
			want = body->bytes - t->data.len + 3;
		}
		if (t->broken || !fill(t, want))
			return;
	}
	t->at_dot = true;
	if (t->lmtp)
		answer_each(t);
	else
		play(t, AT_DOT, "", "250 2.0.0 kept\r\n");
	t->at_dot = false;
	forget(t);
}

static void hello(struct talk *t, const char *line)
{
	char usual[1200] = "250-nexthop.test\r\n", keywords[800];
	char *save = NULL;

	pthread_mutex_lock(&t->n->lock);
	snprintf(keywords, sizeof(keywords), "%s", t->n->ehlo);
	pthread_mutex_unlock(&t->n->lock);
	for (char *word = strtok_r(keywords, "\n", &save); word != NULL;
	     word = strtok_r(NULL, "\n", &save)) {
		size_t at = strlen(usual);

		snprintf(usual + at, sizeof(usual) - at, "250-%s\r\n", word);
	}
	strcat(usual, "250 HELP\r\n");
	forget(t);
	play(t, AT_EHLO, line, usual);
}

static void recipient(struct talk *t, const char *line)
{
	int class = play(t, AT_RCPT, line, "250 2.1.5 ok\r\n");

	if (class == 2 && t->mail.rcpt_count < 100)
		snprintf(t->mail.rcpt[t->mail.rcpt_count++], sizeof(t->mail.rcpt[0]), "%.399s",
			 line);
}

static void data(struct talk *t, const char *line)
{
	bool any = t->mail.rcpt_count > 0;

	if (play(t, AT_DATA, line, any ? "354 go\r\n" : "503 no recipients\r\n") == 3)
		read_message(t);
}

static void secure(struct talk *t)
{
	t->ssl = SSL_new(t->n->tls);
	SSL_set_fd(t->ssl, t->fd);
	if (SSL_accept(t->ssl) != 1)
		t->broken = true;
}

static void auth(struct talk *t, const char *line, bool first)
{
	char usual[NEXTHOP_REPLY_SIZE] = "235 2.7.0 ok\r\n";

	if (t->n->answer != NULL)
		t->n->answer(t->n->answer_ctx, line, first, usual);
	t->in_auth = play(t, first ? AT_AUTH : AT_AUTH_LINE, line, usual) == 3;
}

/* What is whole of a PROXY header; 0: it is not there yet. */
static size_t header_size(const struct talk *t)
{
	const char *end = memmem(t->in, t->in_len, "\r\n", 2);

	if (t->in_len > 0 && t->in[0] == 'P')
		return end != NULL ? (size_t)(end - t->in) + 2 : 0;
	if (t->in_len < 16)
		return 0;
	return 16 + ((size_t)(unsigned char)t->in[14] << 8 | (unsigned char)t->in[15]);
}

static void take_header(struct talk *t)
{
	struct nexthop *n = t->n;
	size_t size;

	while (((size = header_size(t)) == 0 || size > t->in_len) && fill(t, sizeof(t->in)))
		;
	if (t->broken || size >= NEXTHOP_HEADER_SIZE) {
		t->broken = true;
		return;
	}
	pthread_mutex_lock(&n->lock);
	memcpy(n->header, t->in, size);
	n->header[size] = '\0';
	n->header_len = size;
	pthread_mutex_unlock(&n->lock);
	eat(t, size);
}

static void command(struct talk *t, const char *line)
{
	if (t->in_auth) {
		auth(t, line, false);
		return;
	}
	if (strncmp(line, "AUTH", 4) == 0) {
		auth(t, line, true);
		return;
	}
	if (strncmp(line, "EHLO", 4) == 0 || strncmp(line, "LHLO", 4) == 0) {
		t->lmtp = line[0] == 'L';
		hello(t, line);
	} else if (strncmp(line, "HELO", 4) == 0) {
		play(t, AT_HELO, line, "250 nexthop.test\r\n");
	} else if (strcmp(line, "STARTTLS") == 0 && t->n->tls != NULL) {
		if (play(t, AT_STARTTLS, line, "220 go\r\n") == 2)
			secure(t);
	} else if (strncmp(line, "XCLIENT", 7) == 0) {
		play(t, AT_XCLIENT, line, "220 nexthop.test again\r\n");
	} else if (strncmp(line, "MAIL", 4) == 0) {
		forget(t);
		if (play(t, AT_MAIL, line, "250 2.1.0 ok\r\n") == 2)
			snprintf(t->mail.mail, sizeof(t->mail.mail), "%.599s", line);
	} else if (strncmp(line, "RCPT", 4) == 0) {
		recipient(t, line);
	} else if (strcmp(line, "DATA") == 0) {
		data(t, line);
	} else if (strcmp(line, "RSET") == 0) {
		forget(t);
		play(t, AT_RSET, line, "250 2.0.0 ok\r\n");
	} else if (strcmp(line, "QUIT") == 0) {
		play(t, AT_QUIT, line, "221 2.0.0 bye\r\n");
		t->broken = true;
	} else {
		put(t, "500 what\r\n", 10);
	}
}

void *nexthop_talk(void *arg)
{
	struct nexthop_call *call = arg;
	struct talk *t = calloc(1, sizeof(*t));
	char line[16384];
	sigset_t all;

	/* SSL_write to a peer that left raises SIGPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	t->n = call->n;
	t->fd = call->fd;
	t->number = call->number;
	free(call);
	buf_init(&t->data, NEXTHOP_RECORD_MAX);
	if (t->n->proxied)
		take_header(t);
	if (t->n->tls != NULL && t->n->implicit && !t->broken)
		secure(t);
	if (!t->broken)
		play(t, AT_GREETING, "", "220 nexthop.test\r\n");
	while (!t->broken) {
		const char *end = memmem(t->in, t->in_len, "\r\n", 2);
		size_t len = end != NULL ? (size_t)(end - t->in) : 0;

		if (end == NULL) {
			fill(t, sizeof(t->in));
			continue;
		}
		snprintf(line, sizeof(line), "%.*s", (int)len, t->in);
		eat(t, len + 2);
		command(t, line);
	}
	pthread_mutex_lock(&t->n->lock);
	t->n->fds[t->number - 1] = -1;
	pthread_mutex_unlock(&t->n->lock);
	SSL_free(t->ssl);
	close(t->fd);
	buf_release(&t->data);
	free(t);
	return NULL;
}
