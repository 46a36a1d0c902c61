/* tests base/channel.c */
#include "base/channel.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#define SENDERS 4
#define EACH	20000

struct parcel {
	struct channel_item item;
	int sender;
	int number;
};

struct sender {
	struct channel *channel;
	int id;
};

static void *send_all(void *arg)
{
	struct sender *sender = arg;

	for (int i = 0; i < EACH; i++) {
		struct parcel *parcel = mem_zalloc(sizeof(*parcel));

		parcel->sender = sender->id;
		parcel->number = i;
		channel_send(sender->channel, &parcel->item);
	}
	return NULL;
}

START_TEST(every_item_arrives_once_and_in_order)
{
	struct channel *channel = channel_new();
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	int next[SENDERS] = {0};
	int left = SENDERS * EACH;

	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){channel, i};
		pthread_create(&threads[i], NULL, send_all, &senders[i]);
	}
	while (left > 0) {
		struct channel_item *item;

		ck_assert(channel_wait(channel, 10000));
		item = left % 2 ? channel_take(channel) : channel_take_all(channel);
		while (item != NULL) {
			struct parcel *parcel = (struct parcel *)item;

			item = item->next;
			ck_assert_int_eq(parcel->number, next[parcel->sender]++);
			mem_free(parcel);
			left--;
		}
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_ptr_null(channel_take(channel));
	channel_free(&channel);
	ck_assert_ptr_null(channel);
}
END_TEST

START_TEST(wait_ends_in_time_and_on_close)
{
	struct channel *channel = channel_new();
	struct parcel parcel = {{NULL}, 0, 0};
	int64_t before = clock_mono_ms();

	ck_assert(!channel_wait(channel, 30));
	ck_assert_int_ge(clock_mono_ms() - before, 29);
	ck_assert(channel_send(channel, &parcel.item));
	channel_close(channel);
	ck_assert(!channel_send(channel, &parcel.item));
	ck_assert(channel_wait(channel, -1));
	ck_assert_ptr_eq(channel_take(channel), &parcel.item);
	ck_assert(!channel_wait(channel, -1));
	channel_free(&channel);
}
END_TEST

UNIT_MAIN("base/channel", every_item_arrives_once_and_in_order, wait_ends_in_time_and_on_close)
