/* tests/unit/mail/corpora.c - reading the neutral test tables */
#define _POSIX_C_SOURCE 200809L
#include "tests/unit/mail/corpora.h"

#include <check.h>
#include <stdlib.h>

bool corpus_open(struct corpus *corpus, const char *name)
{
	const char *folder = getenv("STAGEPOST_CORPORA");
	char path[4096];

	memset(corpus, 0, sizeof(*corpus));
	snprintf(path, sizeof(path), "%s/%s", folder != NULL ? folder : ".", name);
	corpus->file = fopen(path, "r");
	if (corpus->file == NULL)
		printf("# skipped: no %s in $STAGEPOST_CORPORA\n", name);
	return corpus->file != NULL;
}

static int digit_value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	ck_assert_ptr_nonnull(at);
	return (int)(at - digits);
}

/* Exactly as long as the input, so that a read past the end is seen by the sanitizer. */
static char *base64_decode(const char *text, size_t *len_out)
{
	size_t digits = strcspn(text, "=");
	size_t len = digits * 6 / 8;
	char *data = malloc(len > 0 ? len : 1);
	unsigned bits = 0;
	size_t out = 0;

	for (size_t i = 0; i < digits; i++) {
		bits = bits << 6 | (unsigned)digit_value(text[i]);
		if (i * 6 % 8 != 0)
			data[out++] = (char)(bits >> ((i + 1) * 6 % 8));
	}
	ck_assert_uint_eq(out, len);
	*len_out = len;
	return data;
}

static void row_release(struct corpus *corpus)
{
	json_decref(corpus->row);
	free(corpus->input_data);
	corpus->row = NULL;
	corpus->input_data = NULL;
}

bool corpus_next(struct corpus *corpus)
{
	json_error_t error;
	size_t len = 0;

	row_release(corpus);
	if (getline(&corpus->line, &corpus->room, corpus->file) < 0) {
		fclose(corpus->file);
		free(corpus->line);
		return false;
	}
	corpus->row = json_loads(corpus->line, JSON_ALLOW_NUL, &error);
	ck_assert_msg(corpus->row != NULL, "%s", error.text);
	corpus->id = corpus_text(corpus, "id");
	corpus->input_data = base64_decode(corpus_text(corpus, "input_b64"), &len);
	corpus->input = span_make(corpus->input_data, len);
	return true;
}

const char *corpus_text(const struct corpus *corpus, const char *key)
{
	const char *text = json_string_value(json_object_get(corpus->row, key));

	return text != NULL ? text : "";
}
