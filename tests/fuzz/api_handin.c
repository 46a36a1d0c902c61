/* tests/fuzz/api_handin.c - the door for mail by the API: takes nearly everything, and drops it */
#include <config.h>

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "tests/fuzz/api_house.h"

#define RECIPIENTS_MAX 20
#define BYTES_MAX      ((int64_t)1 << 20)

struct handed {
	struct house *house;
	char sender[ADDRESS_TEXT_SIZE];
	char recipients[RECIPIENTS_MAX][ADDRESS_TEXT_SIZE];
	size_t count;
	struct buf content;
	struct accept accept;
	struct err why;
};

static void limits(void *ctx, int64_t *bytes_out, size_t *recipients_out)
{
	(void)ctx;
	*bytes_out = BYTES_MAX;
	*recipients_out = RECIPIENTS_MAX;
}

static void answer(struct handin_answer *answer_out, int code, const char *text)
{
	answer_out->code = code;
	(void)snprintf(answer_out->text, sizeof(answer_out->text), "%s", text);
}

static void *begin(void *ctx, const struct handin_from *from, const struct address *sender,
		   struct handin_answer *answer_out)
{
	struct handed *handed;

	assert(from->address[0] != '\0' && from->actor[0] != '\0' && from->scope != NULL);
	if (strcmp(sender->local, "refused") == 0) {
		answer(answer_out, 452, "4.3.1 no room");
		return NULL;
	}
	handed = mem_zalloc(sizeof(*handed));
	handed->house = ctx;
	address_format(sender, handed->sender);
	buf_init(&handed->content, (size_t)BYTES_MAX);
	return handed;
}

static bool recipient(void *handin, const struct address *address, struct handin_answer *answer_out)
{
	struct handed *handed = handin;

	assert(handed->count < RECIPIENTS_MAX);
	if (strcmp(address->local, "refused") == 0) {
		answer(answer_out, 550, "5.7.1 <not> wanted");
		return false;
	}
	address_format(address, handed->recipients[handed->count++]);
	return true;
}

static bool content(void *handin, struct handin_answer *answer_out)
{
	const struct handed *handed = handin;

	if (handed->count > 0)
		return true;
	answer(answer_out, 554, "5.5.1 no valid recipients");
	return false;
}

static bool data(void *handin, struct span bytes)
{
	struct handed *handed = handin;
	size_t before = handed->content.len;

	(void)buf_append_span(&handed->content, bytes);
	return handed->content.len / 1000 != before / 1000; /* often */
}

static void wait_for_room(void *handin, void (*ready)(void *ctx), void *ctx)
{
	(void)handin;
	ready(ctx);
}

static void store(struct handed *handed, const struct handin_end *end)
{
	struct new_recipient rows[RECIPIENTS_MAX];
	struct new_message message = {.id = ulid_new(clock_wall_ms()),
				      .received_at = clock_wall_ms(),
				      .sender = handed->sender,
				      .size = (int64_t)handed->content.len,
				      .listener = "api",
				      .scope = "",
				      .client_address = "unix",
				      .helo = "",
				      .protocol = "API",
				      .received_field = "Received: by relay.test\r\n",
				      .recipients = rows,
				      .recipient_count = handed->count};

	for (size_t i = 0; i < handed->count; i++)
		rows[i] = (struct new_recipient){
			.address = handed->recipients[i],
			.state = STATE_DROPPED,
			.ruling = {.verdict = "drop", .reason = "no entry allows it"}};
	end->storing(end->ctx, &message);
	handed->accept.message = &message;
	handed->accept.body = body_new(handed->house->api.env.store, NULL, NULL);
	body_append(handed->accept.body, buf_span(&handed->content));
	(void)store_wait(handed->house->api.env.store, queue_accept, &handed->accept.job,
			 &handed->why);
}

static void finish(void *handin, const struct handin_end *end)
{
	store(handin, end);
	end->finished(end->ctx);
}

static void drop(void *handin)
{
	struct handed *handed = handin;

	buf_release(&handed->content);
	mem_free(handed);
}

static int settle(void *handin, struct handin_answer *answer_out)
{
	int code = ((struct handed *)handin)->accept.job.code;

	assert(code == ERR_OK || code == ERR_CONFLICT);
	answer(answer_out, code == ERR_OK ? 250 : 451, code == ERR_OK ? "2.0.0 Ok" : "4.3.0 again");
	drop(handin);
	return code;
}

const struct handin_ops house_handin = {.limits = limits,
					.begin = begin,
					.recipient = recipient,
					.content = content,
					.data = data,
					.wait = wait_for_room,
					.finish = finish,
					.settle = settle,
					.abort = drop};
