/* relay/smtp/data.c - the bytes of a message as they come by DATA or BDAT (RFC 5321 4.5.2, RFC
 * 3030) */
#include "relay/smtp/data.h"

static const struct span crlf = {"\r\n", 2};

void data_init(struct data *data, enum data_mode mode)
{
	*data = (struct data){.mode = mode, .state = DATA_LINE_START};
}

static void end_line(struct data *data)
{
	if (data->line > data->facts.longest_line)
		data->facts.longest_line = data->line;
	data->line = 0;
}

static enum data_step give(struct data *data, struct span piece, struct span *piece_out)
{
	struct smtp_data_facts *facts = &data->facts;

	facts->size += (int64_t)piece.len;
	facts->has_8bit = facts->has_8bit || span_has_8bit(piece);
	facts->has_nul = facts->has_nul || memchr(piece.data, '\0', piece.len) != NULL;
	*piece_out = piece;
	return DATA_PIECE;
}

static enum data_step give_line_end(struct data *data, enum data_state next, struct span *piece_out)
{
	end_line(data);
	data->state = next;
	return give(data, crlf, piece_out);
}

/*
 * How far the input can be handed out as it is: over any number of lines that
 * end in CRLF and whose successor does not begin with a dot that means something. Leaves the state
 * for the byte behind the run.
 */
static size_t run_length(struct data *data, struct span input)
{
	size_t at = 0;

	while (at < input.len) {
		struct span rest = span_skip(input, at);
		size_t cr = span_find(rest, '\r');
		size_t lf = span_find(span_first(rest, cr), '\n');

		data->state = DATA_TEXT;
		data->line += (int64_t)lf;
		if (lf < cr || cr + 1 >= rest.len || rest.data[cr + 1] != '\n')
			return at + lf; /* at a bare LF, at a CR, or at the end */
		end_line(data);
		data->state = DATA_LINE_START;
		at += cr + 2;
		if (data->mode == DATA_DOTTED && at < input.len && input.data[at] == '.')
			break;
	}
	return at;
}

/* In the middle of a line, or at its start when that is not a dot. */
static enum data_step text(struct data *data, struct span *input, struct span *piece_out)
{
	size_t len = run_length(data, *input);
	struct span piece = span_first(*input, len);

	*input = span_skip(*input, len);
	if (len > 0)
		return give(data, piece, piece_out);
	if (input->data[0] == '\r') {
		data->state = DATA_CR;
		*input = span_skip(*input, 1);
		return DATA_MORE;
	}
	*input = span_skip(*input, 1);
	data->facts.bare_lf++;
	return give_line_end(data, DATA_TEXT, piece_out);
}

/* The byte behind a CR of a text line. */
static enum data_step after_cr(struct data *data, struct span *input, struct span *piece_out)
{
	if (input->data[0] == '\n') {
		*input = span_skip(*input, 1);
		return give_line_end(data, DATA_LINE_START, piece_out);
	}
	data->facts.bare_cr++;
	return give_line_end(data, DATA_TEXT, piece_out);
}

/* Behind a dot that began a line: it is dropped whatever follows (RFC 5321 4.5.2). */
static enum data_step after_dot(struct data *data, struct span *input)
{
	data->state = DATA_TEXT;
	if (input->data[0] == '\r') {
		data->state = DATA_DOT_CR;
		*input = span_skip(*input, 1);
	}
	return DATA_MORE;
}

static enum data_step step(struct data *data, struct span *input, struct span *piece_out)
{
	switch (data->state) {
	case DATA_LINE_START:
		if (data->mode == DATA_CHUNKED || input->data[0] != '.')
			return text(data, input, piece_out);
		data->state = DATA_DOT;
		*input = span_skip(*input, 1);
		return DATA_MORE;
	case DATA_DOT: return after_dot(data, input);
	case DATA_DOT_CR:
		if (input->data[0] != '\n')
			return after_cr(data, input, piece_out);
		*input = span_skip(*input, 1);
		return DATA_END;
	case DATA_CR: return after_cr(data, input, piece_out);
	case DATA_TEXT: break;
	}
	return text(data, input, piece_out);
}

enum data_step data_next(struct data *data, struct span *input, struct span *piece_out)
{
	enum data_step result = DATA_MORE;

	while (input->len > 0 && result == DATA_MORE)
		result = step(data, input, piece_out);
	return result;
}

bool data_end(struct data *data, struct span *piece_out)
{
	if (data->state != DATA_CR) {
		end_line(data);
		return false;
	}
	data->facts.bare_cr++;
	give_line_end(data, DATA_TEXT, piece_out);
	return true;
}
