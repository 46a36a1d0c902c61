/* tests/unit/hook/script.h - a script of somebody's: a thread that answers each connection the same
 */
#ifndef STAGEPOST_TESTS_UNIT_HOOK_SCRIPT_H
#define STAGEPOST_TESTS_UNIT_HOOK_SCRIPT_H

#include <pthread.h>
#include <stdatomic.h>

/* Embedded. */
struct script {
	const char *answer; /* NULL: none, the connection stays open until the end */
	char url[64];
	int listener;
	int open[256];
	_Atomic size_t asked;
	pthread_t thread;
};

void script_start(struct script *script, const char *answer);
void script_stop(struct script *script);

#endif
