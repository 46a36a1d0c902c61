/* tests/unit/smtp/fixture.c - a house: a front door with the recorder behind it */
#include <config.h>

#include "tests/unit/smtp/fixture.h"

#include <check.h>

void house_init(struct house *house)
{
	recorder_init(&house->recorder);
	rig_init(&house->rig, &recorder_ops, &house->recorder, NULL);
	house->client.fd = -1;
}

void house_open(struct house *house)
{
	house_init(house);
	rig_open(&house->rig);
}

void house_greet(struct house *house)
{
	rig_open(&house->rig);
	client_greet(&house->client, &house->rig);
}

void house_stop(struct house *house)
{
	if (house->client.fd >= 0)
		client_close(&house->client);
	rig_close(&house->rig, 1000);
}

void house_close(struct house *house)
{
	house_stop(house);
	recorder_release(&house->recorder);
}

struct smtp_front_status house_status(const struct house *house)
{
	struct smtp_front_status status;

	smtp_front_status(house->rig.front, &status);
	return status;
}

void house_check_body(const struct house *house, size_t at, struct span want)
{
	const struct buf *body;

	ck_assert_uint_gt(house->recorder.count, at);
	body = &house->recorder.mails[at].body;
	ck_assert_msg(span_equal(buf_span(body), want), "%.*s", (int)body->len, body->data);
}
