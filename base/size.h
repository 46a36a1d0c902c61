/* base/size.h - numbers of octets as people write them */
#ifndef STAGEPOST_BASE_SIZE_H
#define STAGEPOST_BASE_SIZE_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* "512", "64K", "10M", "1G", "1T" in either case: powers of 1024. ERR_SYNTAX or ERR_LIMIT. */
int size_parse(struct span text, int64_t *octets_out, struct err *why);

#endif
