/* tests/fuzz/api_house.h - the API over a real store, asked by hand */
#ifndef STAGEPOST_TESTS_FUZZ_API_HOUSE_H
#define STAGEPOST_TESTS_FUZZ_API_HOUSE_H

#include "admin/call.h"
#include "admin/handin.h"
#include "admin/traffic.h"
#include "tests/fuzz/http_fake.h"

/* The message that is there, of no scope, and one of a scope that nobody here has. */
#define HOUSE_MESSAGE "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define HOUSE_FOREIGN "01ARZ3NDEKTSV4RRFFQ69G5FAW"
/* In everything that belongs to that scope, and nowhere else. */
#define HOUSE_MARK "not-for-your-eyes"

enum house_who { WHO_SOCKET, WHO_ADMIN, WHO_READER, WHO_SCOPED, WHO_SESSION, WHO_NOBODY };
#define HOUSE_WHO_COUNT (WHO_NOBODY + 1)

struct house {
	struct api api;
	struct traffic traffic;
	struct handin_room handin_room;
	char dir[64];
	char tokens[HOUSE_WHO_COUNT][AUTH_SECRET_SIZE]; /* of those that have one */
	char session[SESSION_SECRET_SIZE];
	char csrf[SESSION_SECRET_SIZE];
};

/* Mail that is handed in: dropped; "refused@…" is refused, as a recipient or as the sender. */
extern const struct handin_ops house_handin;

void house_open(struct house *house);
void house_close(struct house *house);
/* Credentials of `who`; before fake_read, so that those in the text come on top. */
void house_enter(struct house *house, struct http_request *request, enum house_who who);
/* For fake_ask: whoever waits for an event is told that there will be none. */
void house_wake(void *api);
/* Behind each request: who comes next may wait again. */
void house_settle(struct house *house);

#endif
