/* tests queue/: SIGKILL at any moment loses nothing that was acknowledged (S248, S251 in short) */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define ROUNDS	  6
#define IN_FLIGHT 8
#define ACKED_MAX 200000

/* What the child tells, whole or not at all: a pipe takes less than PIPE_BUF in one piece. */
struct receipt {
	struct ulid id;
	int64_t size;
	unsigned seed;
	bool delivered; /* its outcome was settled too */
};

struct letter {
	struct accept accept;
	struct new_message message;
	struct new_recipient recipient;
	struct store *store;
	struct receipt receipt;
	int pipe;
};

/* Small and large in turn: one commit, or chunks that went ahead. */
static int64_t size_of(unsigned seed)
{
	return seed % 5 == 0 ? 700000 + seed : 1000 + seed;
}

static void post(struct letter *letter);

static void acknowledge(struct store_job *job)
{
	struct letter *letter = job->ctx;

	if (job->code != ERR_OK || write(letter->pipe, &letter->receipt, sizeof(letter->receipt)) !=
					   sizeof(letter->receipt))
		_exit(3);
	post(letter);
}

static void post(struct letter *letter)
{
	struct receipt *receipt = &letter->receipt;

	receipt->id = ulid_new(NOW);
	receipt->seed += IN_FLIGHT;
	receipt->size = size_of(receipt->seed);
	letter->recipient = (struct new_recipient){.address = "a@example.com",
						   .state = STATE_QUEUED,
						   .ruling = {"deliver", "test", 0, 0, NULL}};
	letter->message = (struct new_message){.id = receipt->id,
					       .received_at = NOW,
					       .sender = "",
					       .scope = "",
					       .received_field = "",
					       .size = receipt->size,
					       .recipients = &letter->recipient,
					       .recipient_count = 1};
	letter->accept =
		(struct accept){.job = {.done = acknowledge, .ctx = letter},
				.message = &letter->message,
				.body = make_body(letter->store, receipt->size, receipt->seed)};
	queue_accept(letter->store, &letter->accept.job);
}

/* Accepts without end, claims and settles some, until it is killed. */
static void live(const char *dir, int pipe, unsigned first_seed)
{
	struct store_options options = {.data_dir = dir};
	struct fixture f;
	struct letter letters[IN_FLIGHT];

	memset(&f, 0, sizeof(f));
	memset(letters, 0, sizeof(letters));
	if (store_open(&options, &f.store, NULL) != ERR_OK)
		_exit(2);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		letters[i].store = f.store;
		letters[i].pipe = pipe;
		letters[i].receipt.seed = first_seed + i;
		post(&letters[i]);
	}
	for (;;) {
		struct claim claim = claim_at(&f, NOW, 3);

		for (size_t i = 0; i < claim.message_count; i++) {
			struct receipt receipt = {.id = claim.messages[i].id, .delivered = true};

			settle_as(&f, claim.messages[i].recipients[0].id,
				  claim.messages[i].recipients[0].lease, TRANSITION_DELIVER);
			if (write(pipe, &receipt, sizeof(receipt)) != sizeof(receipt))
				_exit(3);
		}
		arena_free(&claim.arena);
		usleep(2000);
	}
}

static size_t read_receipts(int pipe, struct receipt *receipts, size_t count)
{
	while (count < ACKED_MAX &&
	       read(pipe, &receipts[count], sizeof(*receipts)) == sizeof(*receipts))
		count++;
	return count;
}

static size_t run_and_kill(const char *dir, int round, struct receipt *receipts, size_t count)
{
	int ends[2];
	int status;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		live(dir, ends[1], (unsigned)round * 100000);
	}
	close(ends[1]);
	/*
	 * Once it is well under way, at some moment: the pipe holds what is said
	 * meanwhile, some 1,600 receipts.
	 */
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(read(ends[0], &receipts[count++], sizeof(*receipts)),
				 sizeof(*receipts));
	usleep((unsigned)(round * 37 % 5) * 17000 + (unsigned)round * 731);
	kill(child, SIGKILL);
	count = read_receipts(ends[0], receipts, count);
	close(ends[0]);
	waitpid(child, &status, 0);
	ck_assert(WIFSIGNALED(status));
	return count;
}

static void check_receipt(struct fixture *f, const struct receipt *receipt)
{
	if (receipt->delivered) {
		ck_assert_int_eq(state_of(f, &receipt->id, 0), STATE_DELIVERED);
		return;
	}
	ck_assert_int_eq(check_body(f->reader, &receipt->id, receipt->size, receipt->seed), ERR_OK);
	ck_assert_int_ne(state_of(f, &receipt->id, 0), STATE_DELIVERING);
}

START_TEST(S251_what_was_acknowledged_is_there_after_a_kill)
{
	struct receipt *receipts = mem_array(ACKED_MAX, sizeof(*receipts));
	struct queue_stats memory;
	struct queue_stats tables;
	struct fixture f;
	size_t count = 0;

	fixture_open(&f);
	for (int round = 1; round <= ROUNDS; round++) {
		fixture_close(&f);
		count = run_and_kill(f.dir, round, receipts, count);
		fixture_reopen(&f);
		ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM pragma_quick_check"
						" WHERE quick_check <> 'ok'"),
				 0);
		store_stats(f.store, &memory);
		ck_assert_int_eq(queue_stats_offline(f.reader, &tables, NULL), ERR_OK);
		ck_assert_mem_eq(&memory, &tables, sizeof(memory));
	}
	ck_assert_uint_gt(count, ROUNDS * 5);
	for (size_t i = 0; i < count; i++)
		check_receipt(&f, &receipts[i]);
	printf("# %zu receipts in %d rounds\n", count, ROUNDS);
	mem_free(receipts);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/kill", S251_what_was_acknowledged_is_there_after_a_kill)
