/*
 * tests/fuzz/fuzz_data.c - relay/smtp/data.c against a reference of a few lines: the same octets
 * give the same message and leave the same octets behind it, however they are cut, by DATA and by
 * BDAT. The first octet chooses mode and cuts.
 */
#include "relay/smtp/data.h"

#include "base/buf.h"
#include "base/err.h"
#include "relay/smtp/command.h"
#include "tests/fuzz/data_model.h"
#include "tests/fuzz/fuzz.h"

static unsigned next_random(uint32_t *seed)
{
	*seed = *seed * 1103515245U + 12345U;
	return *seed >> 16;
}

static void add(struct data_model *out, struct span piece)
{
	assert(piece.len > 0);
	assert(buf_append_span(&out->message, piece) == ERR_OK);
}

static void machine(struct span in, enum data_mode mode, uint32_t seed, struct data_model *out)
{
	struct span piece;
	struct data data;

	data_init(&data, mode);
	while (out->taken < in.len && !out->ended) {
		size_t cut = seed == 0 ? in.len : 1 + next_random(&seed) % 9;
		struct span part = span_first(span_skip(in, out->taken), cut);
		size_t had = part.len;
		enum data_step step;

		while ((step = data_next(&data, &part, &piece)) == DATA_PIECE)
			add(out, piece);
		out->ended = step == DATA_END;
		out->taken += had - part.len;
		assert(out->ended || part.len == 0);
	}
	if (mode == DATA_CHUNKED && data_end(&data, &piece))
		add(out, piece);
	out->bare_cr = data.facts.bare_cr;
	out->bare_lf = data.facts.bare_lf;
	assert(data.facts.size == (int64_t)out->message.len);
}

/*
 * Behind an input that does not end a message by DATA the machine may still
 * wait for the octet that says what a CR or a dot is.
 */
static void check_same(const struct data_model *got, const struct data_model *want)
{
	assert(got->ended == want->ended && got->taken == want->taken);
	assert(got->bare_cr == want->bare_cr && got->bare_lf == want->bare_lf);
	assert(span_equal(buf_span(&got->message), buf_span(&want->message)));
}

static void check_clean(struct span message)
{
	for (size_t i = 0; i < message.len; i++) {
		assert(message.data[i] != '\r' ||
		       (i + 1 < message.len && message.data[i + 1] == '\n'));
		assert(message.data[i] != '\n' || (i > 0 && message.data[i - 1] == '\r'));
	}
}

/* The line that announces a chunk: a size that was taken prints as the digits that were given. */
static void check_announcement(struct span line)
{
	struct command command;
	int64_t size = -1;
	bool last = false;

	command_split(line, &command);
	if (command_parse_chunk(command.argument, &size, &last) != ERR_OK) {
		assert(size == -1 && !last);
		return;
	}
	assert(size >= 0 && size <= COMMAND_CHUNK_MAX);
	for (size_t i = span_find(command.argument, ' '); i-- > 0; size /= 10)
		assert(command.argument.data[i] == '0' + size % 10);
	assert(size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum data_mode mode = size > 0 && (data[0] & 1) != 0 ? DATA_CHUNKED : DATA_DOTTED;
	uint32_t seed = size > 0 ? data[0] / 2U : 0;
	struct span in = span_make((const char *)data + (size > 0), size - (size > 0));
	struct data_model got = {.taken = 0};
	struct data_model want;

	/* Octets whose meaning hangs on what comes next: let something come. */
	char tail[] = "a";
	struct buf whole;

	buf_init(&whole, size + sizeof(tail));
	assert(buf_append_span(&whole, in) == ERR_OK);
	if (mode == DATA_DOTTED)
		assert(buf_append(&whole, tail, 1) == ERR_OK);
	buf_init(&got.message, 2 * size + 8);
	data_model_init(&want, buf_span(&whole), mode == DATA_DOTTED);
	machine(buf_span(&whole), mode, seed, &got);
	check_same(&got, &want);
	check_clean(buf_span(&got.message));
	check_announcement(in);
	buf_release(&got.message);
	data_model_release(&want);
	buf_release(&whole);
	return 0;
}
