/* tests/fuzz/data_model.c - what a message on the wire means, in a few lines; for comparing */
#include "tests/fuzz/data_model.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

void data_model_init(struct data_model *model, struct span in, bool dotted)
{
	bool start = true;
	size_t i = 0;

	*model = (struct data_model){.taken = 0};
	buf_init(&model->message, 2 * in.len + 8);
	for (; i < in.len && !model->ended; i++) {
		char c = in.data[i];
		bool lf_next = i + 1 < in.len && in.data[i + 1] == '\n';

		if (dotted && start && c == '.') {
			model->ended = in.len - i >= 3 && memcmp(in.data + i, ".\r\n", 3) == 0;
			i += model->ended ? 2 : 0;
			start = false;
			continue;
		}
		start = c == '\r' && lf_next;
		model->bare_cr += c == '\r' && !lf_next;
		model->bare_lf += c == '\n';
		if (c == '\r' || c == '\n')
			assert(buf_append(&model->message, "\r\n", 2) == ERR_OK);
		else
			assert(buf_append_char(&model->message, c) == ERR_OK);
		i += start ? 1 : 0;
	}
	model->taken = i;
}

void data_model_release(struct data_model *model)
{
	buf_release(&model->message);
}
