/* tests/unit/queue/gate.c - the writer, held: what is submitted meanwhile becomes one batch */
#include <config.h>

#include "tests/unit/queue/gate.h"

#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static void wait_in_done(struct store_job *job)
{
	struct gate *gate = job->ctx;

	sem_post(&gate->entered);
	sem_wait(&gate->open);
	sem_post(&gate->entered);
}

void gate_close(struct gate *gate, struct store *store)
{
	memset(gate, 0, sizeof(*gate));
	sem_init(&gate->entered, 0, 0);
	sem_init(&gate->open, 0, 0);
	gate->pause.job.done = wait_in_done;
	gate->pause.job.ctx = gate;
	queue_pause(store, &gate->pause.job);
	sem_wait(&gate->entered);
}

void gate_open(struct gate *gate)
{
	sem_post(&gate->open);
	sem_wait(&gate->entered);
}

void letter_count(struct store_job *job)
{
	struct letter *letter = job->ctx;

	letter->calls++;
	--*letter->left;
}

void letter_post(struct letter *letter, struct store *store, struct body *body, struct ulid id,
		 _Atomic int *left)
{
	memset(letter, 0, sizeof(*letter));
	letter->recipient = (struct new_recipient){.address = "a@example.com",
						   .state = STATE_HELD,
						   .ruling = {"hold", "test", 0, 0, NULL}};
	letter->message = (struct new_message){.id = id,
					       .received_at = NOW,
					       .sender = "",
					       .scope = "",
					       .received_field = "",
					       .size = body_size(body),
					       .recipients = &letter->recipient,
					       .recipient_count = 1};
	letter->accept.message = &letter->message;
	letter->accept.body = body;
	letter->accept.job.done = letter_count;
	letter->accept.job.ctx = letter;
	letter->left = left;
	++*left;
	queue_accept(store, &letter->accept.job);
}

void letter_wait(_Atomic int *left)
{
	for (int i = 0; i < 5000 && *left > 0; i++)
		usleep(1000);
	ck_assert_int_eq(*left, 0);
}
