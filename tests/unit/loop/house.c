/* tests/unit/loop/house.c - a server's stream that does TLS, and a client in the test's hand */
#include <config.h>

#include "tests/unit/loop/house.h"

#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

void house_start_tls(struct rig_stream *rig)
{
	struct house *house = rig->arg;
	struct err why;

	ck_assert_int_eq(stream_start_tls(rig->stream, house->server, house->handshake_ms,
					  &house->discarded, &why),
			 ERR_OK);
	ck_assert_uint_eq(stream_input(rig->stream).len, 0);
}

void house_start_tls_now(void *arg)
{
	house_start_tls(arg);
}

void house_build_with(struct house *house, const char *names)
{
	house->handshake_ms = 10000;
	house->loop = rig_start();
	certificate_make(&house->certificate, names);
	house->server = certificate_server(&house->certificate);
	house->client = certificate_client(NULL);
	house->rig.arg = house;
	rig_tcp_pair(house->fds);
	rig_open(&house->rig, house->loop, house->fds[0]);
}

void house_build(struct house *house)
{
	house_build_with(house, HOUSE_NAME);
}

void house_tear_down(struct house *house)
{
	rig_close(&house->rig);
	if (house->fds[1] >= 0)
		close(house->fds[1]);
	loop_free(&house->loop);
	SSL_CTX_free(house->server);
	SSL_CTX_free(house->client);
	certificate_release(&house->certificate);
}

SSL *house_meet_client(struct house *house)
{
	SSL *tls = SSL_new(house->client);

	SSL_set_fd(tls, house->fds[1]);
	ck_assert_int_eq(SSL_connect(tls), 1);
	return tls;
}

void house_send(SSL *tls, const char *text)
{
	ck_assert_int_eq(SSL_write(tls, text, (int)strlen(text)), (int)strlen(text));
}

void house_expect(SSL *tls, const char *text)
{
	char got[512] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		int n = SSL_read(tls, got + len, (int)(strlen(text) - len));

		ck_assert_int_gt(n, 0);
		len += (size_t)n;
	}
	ck_assert_str_eq(got, text);
}

void house_echo(struct rig_stream *rig)
{
	struct span in = stream_input(rig->stream);
	size_t room = stream_output_room(rig->stream);

	in = span_first(in, room);
	rig->total_in += in.len;
	ck_assert_int_eq(stream_write(rig->stream, in), ERR_OK);
	stream_consume(rig->stream, in.len);
	if (stream_input(rig->stream).len > 0)
		stream_pause(rig->stream);
}
