/* admin/problem.h - an error as the API tells it (RFC 9457) */
#ifndef STAGEPOST_ADMIN_PROBLEM_H
#define STAGEPOST_ADMIN_PROBLEM_H

#include <jansson.h>

#define PROBLEM_TYPE "application/problem+json"

/* {type, title, status, detail}; the caller owns it. */
json_t *problem_new(int status, const char *detail);
/* Add {pointer, detail} to `errors`: which part of the input, as a JSON pointer (RFC 6901) or a
 * query parameter's name. */
void problem_add(json_t *problem, const char *pointer, const char *detail);

/* The HTTP status that an enum err_code becomes. */
int problem_status(int code);

#endif
