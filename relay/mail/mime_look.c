/* relay/mail/mime_look.c - finding one's way in a tree of parts */
#include "relay/mail/mime.h"

size_t mime_find(const struct mime *mime, struct span number)
{
	for (size_t i = 0; i < mime_count(mime) && number.len > 0; i++)
		if (span_is(number, mime_part(mime, i)->number))
			return i;
	return MIME_NONE;
}

static bool is_multipart(const struct mime_part *part)
{
	return span_starts_fold(span_of(part->type), "multipart/");
}

/* Not in a message that hangs on this one. */
static bool is_of_the_message(const struct mime *mime, const struct mime_part *part)
{
	while (part->parent != MIME_NONE) {
		part = mime_part(mime, part->parent);
		if (!is_multipart(part))
			return false;
	}
	return true;
}

/*
 * What is named is meant to be saved, unless it is to be shown inline (as Apple's Mail sends
 * text). The message itself is never an attachment to itself.
 */
static bool is_meant_as_attachment(const struct mime_part *part)
{
	if (part->parent == MIME_NONE)
		return false;
	if (part->disposition != NULL && strcmp(part->disposition, "inline") == 0)
		return false;
	return part->filename != NULL ||
	       (part->disposition != NULL && strcmp(part->disposition, "attachment") == 0);
}

size_t mime_find_body(const struct mime *mime, const char *type)
{
	for (size_t i = 0; i < mime_count(mime); i++) {
		const struct mime_part *part = mime_part(mime, i);

		if (strcmp(part->type, type) == 0 && !is_meant_as_attachment(part) &&
		    is_of_the_message(mime, part))
			return i;
	}
	return MIME_NONE;
}

size_t mime_find_id(const struct mime *mime, struct span content_id)
{
	for (size_t i = 0; i < mime_count(mime); i++) {
		const struct mime_part *part = mime_part(mime, i);

		if (part->content_id != NULL && span_is(content_id, part->content_id) &&
		    is_of_the_message(mime, part))
			return i;
	}
	return MIME_NONE;
}

bool mime_is_attachment(const struct mime *mime, size_t index)
{
	const struct mime_part *part = mime_part(mime, index);

	return !(is_multipart(part) && part->is_container) && is_of_the_message(mime, part) &&
	       index != mime_find_body(mime, "text/plain") &&
	       index != mime_find_body(mime, "text/html");
}
