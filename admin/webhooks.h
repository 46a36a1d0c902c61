/* admin/webhooks.h - what there is to tell of webhooks */
#ifndef STAGEPOST_ADMIN_WEBHOOKS_H
#define STAGEPOST_ADMIN_WEBHOOKS_H

#include <stddef.h>

#include "admin/call.h"

/* Returns how many there are. */
size_t webhooks_read(const struct api *api, struct admin_webhook webhooks_out[ADMIN_WEBHOOKS_MAX]);

#endif
