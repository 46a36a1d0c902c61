/* tests/flow/preload.h - the number that steers a preloaded library; preload.py writes it */
#ifndef STAGEPOST_TESTS_FLOW_PRELOAD_H
#define STAGEPOST_TESTS_FLOW_PRELOAD_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the file named by PRELOAD_NUMBER holds, now and later; NULL: there is none. */
static _Atomic long *preload_number(void)
{
	const char *path = getenv("PRELOAD_NUMBER");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return NULL;
	page = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return page != MAP_FAILED ? page : NULL;
}

#endif
