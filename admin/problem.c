/* admin/problem.c - an error as the API tells it (RFC 9457) */
#include "admin/problem.h"

#include <stdio.h>

#include "admin/view.h"
#include "base/err.h"

static const struct {
	int status;
	const char *name;
	const char *title;
} kinds[] = {
	{400, "bad-request", "Bad request"},
	{401, "unauthorized", "Authentication needed"},
	{403, "forbidden", "Forbidden"},
	{404, "not-found", "Not found"},
	{405, "method-not-allowed", "Method not allowed"},
	{409, "conflict", "Conflict"},
	{410, "gone", "Gone"},
	{412, "precondition-failed", "Precondition failed"},
	{413, "content-too-large", "Content too large"},
	{415, "unsupported-media-type", "Unsupported media type"},
	{421, "misdirected-request", "Misdirected request"},
	{422, "unprocessable-content", "Unprocessable content"},
	{428, "precondition-required", "Precondition required"},
	{429, "too-many-requests", "Too many requests"},
	{500, "internal", "Internal error"},
	{501, "not-implemented", "Not implemented"},
	{503, "unavailable", "Service unavailable"},
	{505, "http-version", "HTTP version not supported"},
};

json_t *problem_new(int status, const char *detail)
{
	const char *name = "internal";
	const char *title = "Error";
	char type[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].status == status) {
			name = kinds[i].name;
			title = kinds[i].title;
		}
	(void)snprintf(type, sizeof(type), "urn:stagepost:problem:%s", name);
	return json_pack("{s:s, s:s, s:i, s:o}", "type", type, "title", title, "status", status,
			 "detail", view_text(detail));
}

void problem_add(json_t *problem, const char *pointer, const char *detail)
{
	json_t *errors = json_object_get(problem, "errors");

	if (errors == NULL) {
		errors = json_array();
		(void)json_object_set_new(problem, "errors", errors);
	}
	(void)json_array_append_new(errors, json_pack("{s:o, s:o}", "pointer", view_text(pointer),
						      "detail", view_text(detail)));
}

int problem_status(int code)
{
	switch (code) {
	case ERR_SYNTAX:
	case ERR_LIMIT:
	case ERR_UNSUPPORTED: return 400;
	case ERR_DENIED: return 403;
	case ERR_NOT_FOUND: return 404;
	case ERR_CONFLICT: return 409;
	case ERR_STALE: return 412;
	case ERR_BUSY:
	case ERR_FULL:
	case ERR_FATAL:
	case ERR_CLOSED:
	case ERR_TIMEOUT: return 503;
	default: return 500;
	}
}
