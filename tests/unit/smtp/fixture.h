/* tests/unit/smtp/fixture.h - a house: a front door with the recorder behind it */
#ifndef STAGEPOST_TESTS_UNIT_SMTP_FIXTURE_H
#define STAGEPOST_TESTS_UNIT_SMTP_FIXTURE_H

#include "tests/unit/smtp/client.h"
#include "tests/unit/smtp/recorder.h"

struct house {
	struct recorder recorder;
	struct door_rig rig;
	struct client client; /* for tests that need one only */
};

/* Change options behind it, then rig_open. */
void house_init(struct house *house);
/* Both, with nothing to change. */
void house_open(struct house *house);
/* rig_open, and the client has said EHLO. */
void house_greet(struct house *house);
/* The client is gone and the front has stopped: the recorder is quiet, and the caller's to release.
 */
void house_stop(struct house *house);
/* The same, and the recorder released. */
void house_close(struct house *house);

struct smtp_front_status house_status(const struct house *house);
/* Mail number `at` is there, and this is its body. */
void house_check_body(const struct house *house, size_t at, struct span want);

#endif
