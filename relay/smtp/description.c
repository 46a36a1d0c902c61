/* relay/smtp/description.c - what is stored of a message beside its bytes and recipients */
#include "relay/smtp/description.h"

#include <assert.h>

#include "base/buf.h"
#include "base/clock.h"
#include "relay/mail/header.h"
#include "relay/smtp/fixups.h"
#include "relay/smtp/received.h"

#define RECEIVED_MAX   4096
#define ADDED_MAX      1024
#define SUBJECT_MAX    1024
#define MESSAGE_ID_MAX 998

/* Line ends are canonical here, so a line of two octets is the empty one. */
void header_end_look(struct header_end *end, struct span bytes)
{
	while (end->size == 0 && bytes.len > 0) {
		size_t lf = span_find(bytes, '\n');
		size_t len = lf < bytes.len ? lf + 1 : lf;

		end->line_octets += len < 3 ? (unsigned)len : 3;
		end->seen += (int64_t)len;
		if (lf == bytes.len)
			return;
		if (end->line_octets == 2)
			end->size = end->seen;
		end->line_octets = 0;
		bytes = span_skip(bytes, len);
	}
}

/* --- what it says of itself -------------------------------------------------- */

static char *display(struct arena *arena, struct span body, size_t max)
{
	struct buf text;
	char *copy;

	buf_init(&text, max);
	header_decode_display(body, &text);
	copy = arena_span_dup(arena, span_trim(buf_span(&text)));
	buf_release(&text);
	return copy;
}

/* One walk over the header: hops, and what people look for. Returns the number of hops. */
static size_t read_header(struct arena *arena, struct span section, struct new_message *message)
{
	struct header header;
	struct header_field field;
	size_t hops = 0;

	header_init(&header, section);
	while (header_next(&header, &field)) {
		if (span_is_fold(field.name, "Received"))
			hops++;
		else if (message->subject == NULL && span_is_fold(field.name, "Subject"))
			message->subject = display(arena, field.body, SUBJECT_MAX);
		else if (message->message_id == NULL && span_is_fold(field.name, "Message-ID"))
			message->message_id = display(arena, field.body, MESSAGE_ID_MAX);
	}
	message->header_parsed = !header.over_limit;
	return hops;
}

static bool has_high_bit(struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		if ((unsigned char)bytes.data[i] >= 0x80)
			return true;
	return false;
}

/*
 * Some clients say SMTPUTF8 with every mail; it is needed where the header
 * holds more than ASCII. Addresses that hold more are for delivery to see: it
 * may well leave without them.
 */
size_t description_read(const struct description *d, struct span head, int64_t header_size,
			struct new_message *message)
{
	bool whole = header_size <= (int64_t)head.len;
	struct span section = whole ? span_first(head, (size_t)header_size) : head;
	size_t hops = read_header(d->arena, section, message);

	message->header_size = header_size;
	message->header_parsed = message->header_parsed && whole;
	message->smtputf8 = d->smtputf8 && (!message->header_parsed || has_high_bit(section));
	return hops;
}

/* --- who brought it, and our own fields --------------------------------------- */

static const char *received_field(const struct description *d, int64_t received_at)
{
	const struct received received = {.client = d->client,
					  .hostname = d->options->hostname,
					  .id = d->id,
					  .smtputf8 = d->smtputf8,
					  .forwarded = d->forwarded,
					  .recipient = d->recipient,
					  .received_at = received_at};
	struct buf text;
	const char *field;
	int code;

	buf_init(&text, RECEIVED_MAX);
	code = received_format(&received, &text);
	assert(code == ERR_OK); /* every part has its own limit below this one */
	field = arena_span_dup(d->arena, buf_span(&text));
	buf_release(&text);
	return field;
}

/* The stored bytes stay as they came; a header that was not read to its end is left alone. */
static void add_fields(const struct description *d, struct span head, struct new_message *message)
{
	const struct smtp_options *options = d->options;
	struct fixups fixups = {
		.id = d->id, .hostname = options->hostname, .received_at = message->received_at};
	struct buf text;
	int code;

	if (options->fixups == SMTP_FIXUPS_NONE || !message->header_parsed)
		return;
	fixups.section = span_first(head, (size_t)message->header_size);
	buf_init(&text, ADDED_MAX);
	code = fixups_format(&fixups, &text);
	assert(code == ERR_OK); /* a date, and a host name of 255 octets */
	if (text.len > 0)
		message->added_fields = arena_span_dup(d->arena, buf_span(&text));
	if (fixups.added_message_id)
		message->message_id = arena_printf(d->arena, "<%s@%s>", d->id, options->hostname);
	buf_release(&text);
}

static const char *unless_empty(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void name_client(const struct smtp_client *client, struct new_message *message)
{
	message->listener = client->listener;
	message->scope = client->scope;
	message->client_address = client->address;
	message->client_port = client->port;
	message->client_name = unless_empty(client->name);
	message->helo = client->helo;
	message->user = unless_empty(client->user);
	message->tls = unless_empty(client->tls);
	message->certificate_subject = unless_empty(client->subject);
	message->certificate_sha256 = unless_empty(client->fingerprint);
	message->certificate = client->certificate;
	message->certificate_verdict = unless_empty(client->verdict);
	message->proxied = unless_empty(client->proxied);
}

void description_complete(const struct description *d, struct span head,
			  const struct smtp_data_facts *facts, struct new_message *message)
{
	message->received_at = clock_wall_ms();
	message->size = facts->size;
	/* Declared or not: the next hop is told what it gets (RFC 6152 3). */
	message->body_8bit = message->body_8bit || facts->has_8bit;
	message->bare_cr = facts->bare_cr;
	message->bare_lf = facts->bare_lf;
	name_client(d->client, message);
	message->protocol = received_protocol(d->client, d->smtputf8);
	message->received_field = received_field(d, message->received_at);
	add_fields(d, head, message);
}
