/* queue/measure.h - what the store has done since its start, and how long that took */
#ifndef STAGEPOST_QUEUE_MEASURE_H
#define STAGEPOST_QUEUE_MEASURE_H

#include <stdint.h>

#include "base/histogram.h"
#include "queue/state.h"
#include "queue/store.h"

/* By name, in the order of struct store_measures.verdicts. */
#define MEASURE_VERDICTS 5
extern const char *const measure_verdicts[MEASURE_VERDICTS];

/* Scales: histogram_prompt. */
struct store_measures {
	struct histogram_view accept; /* a message that is all there, until it is durable */
	struct histogram_view commit; /* SQLite's COMMIT where it waits for the disk */
	struct histogram_view checkpoint;
	uint64_t checkpoints_cut; /* something had to stay in the log: a reader needs it */
	uint64_t checkpoints_failed;
	uint64_t jobs;			     /* that batches were made of */
	uint64_t messages, bytes;	     /* stored, also those that the relay wrote itself */
	uint64_t verdicts[MEASURE_VERDICTS]; /* as mail came in; also those that were refused */
	uint64_t entered[STATE_COUNT];	     /* recipients that came into a state */
};

/* Any thread; asks neither disk nor database. */
void store_measures(struct store *store, struct store_measures *measures_out);
/* What came before was for nobody (the self-test at the start): count from here on. Any thread. */
void store_measure_anew(struct store *store);

#endif
