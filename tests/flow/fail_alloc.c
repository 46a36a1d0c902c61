/*
 * tests/flow/fail_alloc.c - memory that ends on demand: preloaded by test_no_memory.py
 *
 * The file named by FAIL_ALLOC holds a number. While it is above 0 each
 * allocation of the process takes one off; the one that reaches 0 fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static _Atomic long *countdown;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAIL_ALLOC");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		countdown = page;
}

static bool is_to_fail(void)
{
	if (countdown == NULL || atomic_load_explicit(countdown, memory_order_relaxed) <= 0)
		return false;
	if (atomic_fetch_sub(countdown, 1) != 1)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return is_to_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return is_to_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return is_to_fail() ? NULL : __libc_realloc(old, size);
}
