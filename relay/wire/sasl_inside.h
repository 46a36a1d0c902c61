/* relay/wire/sasl_inside.h - what the two sides of a login share; relay/wire/sasl*.c only */
#ifndef STAGEPOST_RELAY_WIRE_SASL_INSIDE_H
#define STAGEPOST_RELAY_WIRE_SASL_INSIDE_H

#include <gsasl.h>

#include "relay/wire/sasl.h"

/* A session of it without a hook is never asked back: all it needs is set before its first step. */
Gsasl *sasl_library_gsasl(const struct sasl_library *library);
/* Overwrite what the library keeps of a session's secrets. */
void sasl_wipe_properties(Gsasl_session *session);

#endif
