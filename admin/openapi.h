/* admin/openapi.h - the API's own description, built in from admin/openapi.json */
#ifndef STAGEPOST_ADMIN_OPENAPI_H
#define STAGEPOST_ADMIN_OPENAPI_H

#include <stddef.h>

extern const char openapi_text[];
extern const size_t openapi_len;

#endif
