/* tests/unit/smtp/client.c - a front door on loopback, and a blocking client to knock at it */
#include <config.h>

#include "tests/unit/smtp/client.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000

void rig_init(struct door_rig *rig, const struct smtp_backend_ops *backend, void *backend_ctx,
	      const void *backend_options)
{
	static const char *const networks[] = {"127.0.0.0/8"};

	*rig = (struct door_rig){
		.smtp = {.hostname = "relay.test",
			 .max_message_size = 1000000,
			 .max_recipients = 1000,
			 .max_connections = 100,
			 .max_connections_per_client = 100,
			 .command_timeout_ms = 20000,
			 .data_min_rate = 512,
			 .data_grace_ms = 20000,
			 .auth_delay_ms = 1,
			 .memory_wait_ms = 20000,
			 .max_errors = 20,
			 .max_junk = 100,
			 .max_received = 50,
			 .memory = 64 << 20},
		.listener = {.address = "127.0.0.1:0",
			     .networks = networks,
			     .network_count = 1,
			     .scope = ""},
	};
	budget_init(&rig->budget, rig->smtp.memory);
	rig->settings = (struct smtp_settings){.smtp = &rig->smtp,
					       .listeners = &rig->listener,
					       .listener_count = 1,
					       .backend = backend_options};
	rig->env = (struct smtp_front_env){.loops = rig->loops,
					   .loop_count = DOOR_LOOPS,
					   .backend = backend,
					   .backend_ctx = backend_ctx,
					   .budget = &rig->budget};
}

void rig_open(struct door_rig *rig)
{
	char name[STREAM_NAME_SIZE];
	struct err why;

	for (int i = 0; i < DOOR_LOOPS; i++) {
		rig->loops[i] = loop_new("door");
		ck_assert_int_eq(loop_start(rig->loops[i], &why), ERR_OK);
	}
	ck_assert_msg(smtp_front_start(&rig->env, &rig->settings, &rig->front, &why) == ERR_OK,
		      "%s", why.text);
	ck_assert(smtp_front_address(rig->front, 0, name));
	ck_assert(!smtp_front_address(rig->front, 1, name));
	rig->port = atoi(strrchr(name, ':') + 1);
	ck_assert_int_gt(rig->port, 0);
}

void rig_close(struct door_rig *rig, int64_t grace_ms)
{
	smtp_front_stop(&rig->front, grace_ms);
	ck_assert_ptr_null(rig->front);
	for (int i = 0; i < DOOR_LOOPS; i++) {
		loop_stop(rig->loops[i]);
		loop_free(&rig->loops[i]);
	}
	ck_assert_int_eq(rig->budget.used, 0);
}

void client_open(struct client *client, const struct door_rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(rig->port)};
	int one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_ge(client->fd, 0);
	ck_assert_int_eq(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	client->tls = NULL;
	buf_init(&client->input, 1 << 20);
	reply_parser_init(&client->parser);
}

void client_greet(struct client *client, const struct door_rig *rig)
{
	client_open(client, rig);
	client_expect(client, "220");
	client_ask(client, "EHLO client.test", "250");
}

bool client_handshake(struct client *client, struct ssl_ctx_st *context, const char *name)
{
	client->tls = SSL_new(context);
	ck_assert_ptr_nonnull(client->tls);
	SSL_set_fd(client->tls, client->fd);
	if (name != NULL)
		SSL_set_tlsext_host_name(client->tls, name);
	return SSL_connect(client->tls) == 1;
}

void client_close(struct client *client)
{
	SSL_free(client->tls);
	client->tls = NULL;
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	buf_release(&client->input);
	reply_parser_release(&client->parser);
}

void client_reset(struct client *client)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	client_close(client);
}

void client_send(struct client *client, struct span bytes)
{
	while (bytes.len > 0) {
		ssize_t sent = client->tls != NULL
				       ? SSL_write(client->tls, bytes.data, (int)bytes.len)
				       : send(client->fd, bytes.data, bytes.len, MSG_NOSIGNAL);

		ck_assert_int_gt(sent, 0);
		bytes = span_skip(bytes, (size_t)sent);
	}
}

void client_say(struct client *client, const char *text)
{
	client_send(client, span_of(text));
}

void client_send_lines(struct client *client, size_t size)
{
	static char block[65536];
	size_t left = size;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'a';
	while (left > 0) {
		size_t part = left < sizeof(block) ? left : sizeof(block);

		client_send(client, span_make(block, part));
		left -= part;
	}
}

/* More bytes into the input; false at the end of the connection. */
static bool receive(struct client *client)
{
	struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};
	char bytes[4096];
	ssize_t got;

	if (client->tls == NULL || SSL_pending(client->tls) == 0)
		ck_assert_msg(poll(&poll_fd, 1, PATIENCE_MS) == 1, "no reply");
	got = client->tls != NULL ? SSL_read(client->tls, bytes, sizeof(bytes))
				  : recv(client->fd, bytes, sizeof(bytes), 0);
	if (got <= 0)
		return false;
	ck_assert_int_eq(buf_append(&client->input, bytes, (size_t)got), ERR_OK);
	return true;
}

int client_code(struct client *client)
{
	bool done = false;
	struct err why;

	for (;;) {
		struct span input = buf_span(&client->input);
		size_t had = input.len;

		ck_assert_msg(reply_parser_feed(&client->parser, &input, &done, &why) == ERR_OK,
			      "%s", why.text);
		buf_consume(&client->input, had - input.len);
		if (done)
			return client->parser.reply.code;
		if (!receive(client))
			return -1;
	}
}

void client_expect(struct client *client, const char *want)
{
	int code = client_code(client);
	const struct reply *reply = &client->parser.reply;

	ck_assert_msg(code == atoi(want), "wanted %s, got %d %.*s", want, code,
		      (int)reply->text.len, reply->text.data);
	if (strlen(want) > 3)
		ck_assert_msg(strcmp(reply->enhanced, want + 4) == 0, "wanted %s, got %.*s", want,
			      (int)reply->text.len, reply->text.data);
}

void client_ask(struct client *client, const char *command, const char *want)
{
	client_say(client, command);
	client_say(client, "\r\n");
	client_expect(client, want);
}

bool client_was_told(const struct client *client, const char *line)
{
	const struct reply *reply = &client->parser.reply;

	for (size_t i = 0; i < reply->lines; i++)
		if (span_is(reply_line(reply, i), line))
			return true;
	return false;
}

bool client_offers(struct client *client, const char *keyword)
{
	client_ask(client, "EHLO client.test", "250");
	return client_was_told(client, keyword);
}

void client_begin(struct client *client, const char *recipient)
{
	client_ask(client, "MAIL FROM:<sender@client.test>", "250 2.1.0");
	client_say(client, "RCPT TO:<");
	client_say(client, recipient);
	client_ask(client, ">", "250 2.1.5");
	client_ask(client, "DATA", "354");
}

void client_send_mail(struct client *client, const char *recipient)
{
	client_begin(client, recipient);
	client_ask(client, "Subject: x\r\n\r\n.", "250 2.0.0");
}

void client_expect_silence(struct client *client, int ms)
{
	struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};

	ck_assert_uint_eq(client->input.len, 0);
	ck_assert_int_eq(poll(&poll_fd, 1, ms), 0);
}

void client_expect_end(struct client *client)
{
	ck_assert_int_eq(client_code(client), -1);
}
