/* tests/fuzz/data_model.h - what a message on the wire means, in a few lines; for comparing */
#ifndef STAGEPOST_TESTS_FUZZ_DATA_MODEL_H
#define STAGEPOST_TESTS_FUZZ_DATA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

struct data_model {
	struct buf message; /* as it is stored; the caller's to release */
	size_t taken;	    /* octets of the input */
	bool ended;	    /* CR LF '.' CR LF was there */
	int64_t bare_cr;
	int64_t bare_lf;
};

/*
 * One octet at a time over the whole input, nothing clever. `dotted`: as behind DATA
 * (RFC 5321 4.5.2), else as the chunks of BDAT put together (RFC 3030).
 */
void data_model_init(struct data_model *model, struct span in, bool dotted);
void data_model_release(struct data_model *model);

#endif
