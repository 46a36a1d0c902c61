/*
 * tests/fuzz/replay.c - main() of a target when it is not fuzzed: gives it every file of a folder
 * and reports as TAP. The folder is the argument, or $srcdir/tests/fuzz/seeds/NAME for fuzz_NAME.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

/* An allocation of exactly the file's size, so that a read past the end is seen. */
static uint8_t *file_read(const char *path, size_t *size_out)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	long size;

	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0) {
		rewind(file);
		data = malloc(size > 0 ? (size_t)size : 1);
		*size_out = (size_t)size;
		if (data != NULL && fread(data, 1, *size_out, file) != *size_out) {
			free(data);
			data = NULL;
		}
	}
	fclose(file);
	return data;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void folder_default(const char *program, char *path, size_t size)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strrchr(program, '/');

	name = name != NULL ? name + 1 : program;
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	snprintf(path, size, "%s/tests/fuzz/seeds/%s", srcdir != NULL ? srcdir : ".", name);
}

int main(int argc, char **argv)
{
	char folder[4096];
	struct dirent **entries = NULL;
	int count;
	int failed = 0;

	if (argc > 1)
		snprintf(folder, sizeof(folder), "%s", argv[1]);
	else
		folder_default(argv[0], folder, sizeof(folder));
	count = scandir(folder, &entries, is_seed, alphasort);
	if (count <= 0) {
		printf("Bail out! no seeds in %s\n", folder);
		return EXIT_FAILURE;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char path[sizeof(folder) + sizeof(entries[i]->d_name) + 1];
		size_t size = 0;
		uint8_t *data;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		data = file_read(path, &size);
		fflush(stdout);
		if (data != NULL)
			LLVMFuzzerTestOneInput(data, size);
		else
			failed++;
		printf("%s %d - %s\n", data != NULL ? "ok" : "not ok", i + 1, entries[i]->d_name);
		free(data);
		free(entries[i]);
	}
	free(entries);
	return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
