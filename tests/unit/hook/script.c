/* tests/unit/hook/script.c - a script of somebody's: a thread that answers each connection the same
 */
#include "tests/unit/hook/script.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void read_question(int fd)
{
	char text[8192];
	size_t len = 0;

	while (len < sizeof(text) - 1) {
		ssize_t count = read(fd, text + len, sizeof(text) - 1 - len);

		if (count <= 0)
			return;
		len += (size_t)count;
		text[len] = '\0';
		if (strstr(text, "\r\n\r\n") != NULL)
			return;
	}
}

static void *run(void *arg)
{
	struct script *script = arg;
	int fd;

	while ((fd = accept(script->listener, NULL, NULL)) >= 0) {
		size_t asked = atomic_load(&script->asked);

		read_question(fd);
		if (script->answer != NULL) {
			size_t len = strlen(script->answer);

			assert(write(fd, script->answer, len) == (ssize_t)len);
			close(fd);
		} else {
			assert(asked < sizeof(script->open) / sizeof(script->open[0]));
			script->open[asked] = fd;
		}
		atomic_store(&script->asked, asked + 1);
	}
	return NULL;
}

void script_start(struct script *script, const char *answer)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(at);

	*script = (struct script){.answer = answer};
	script->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert(bind(script->listener, (struct sockaddr *)&at, size) == 0 &&
	       listen(script->listener, 200) == 0 &&
	       getsockname(script->listener, (struct sockaddr *)&at, &size) == 0);
	snprintf(script->url, sizeof(script->url), "http://127.0.0.1:%d/auth", ntohs(at.sin_port));
	assert(pthread_create(&script->thread, NULL, run, script) == 0);
}

void script_stop(struct script *script)
{
	shutdown(script->listener, SHUT_RDWR);
	pthread_join(script->thread, NULL);
	close(script->listener);
	for (size_t i = 0; script->answer == NULL && i < atomic_load(&script->asked); i++)
		close(script->open[i]);
}
