/* relay/version.h - one configuration in force, kept alive while somebody still uses it */
#ifndef STAGEPOST_RELAY_VERSION_H
#define STAGEPOST_RELAY_VERSION_H

#include "relay/config.h"

/*
 * The configuration in force and those before it that somebody still holds.
 * A part that keeps pointers into a version holds it; the last release frees
 * an old one. Any thread.
 */
struct versions;

/* Takes the first configuration. */
struct versions *versions_new(struct config *config_take);
/* Nobody may hold any version any more. */
void versions_free(struct versions **versions);

/* Make `config_take` the one in force. Returns it, held once for the caller. */
const struct config *versions_replace(struct versions *versions, struct config *config_take);
/* The one in force, held once more. */
const struct config *versions_acquire(struct versions *versions);
/* Hold `config`, which the caller holds already, once more. */
void versions_hold(struct versions *versions, const struct config *config);
void versions_release(struct versions *versions, const struct config *config);

#endif
