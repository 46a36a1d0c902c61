/* relay/filter/signature.c - which signatures a change of the header breaks */
#include "relay/filter/signature.h"

#include "base/err.h"

#define NAMES_MAX 4096	/* octets of all names */
#define NAME_MAX  256	/* of one */
#define H_MAX	  65536 /* of the h= tag */

void touched_init(struct touched *touched)
{
	*touched = (struct touched){.all = false};
	buf_init(&touched->names, NAMES_MAX);
}

void touched_release(struct touched *touched)
{
	buf_release(&touched->names);
}

static bool has_name(const struct touched *touched, struct span name)
{
	struct span left = buf_span(&touched->names);

	while (left.len > 0)
		if (span_equal_fold(span_cut(&left, '\n'), name))
			return true;
	return false;
}

void touched_add(struct touched *touched, struct span name)
{
	if (touched->all || has_name(touched, name))
		return;
	touched->all = name.len > NAME_MAX ||
		       buf_printf(&touched->names, "%.*s\n", (int)name.len, name.data) != ERR_OK;
}

/* Folds and blanks mean nothing between the parts of a tag that matter here (RFC 6376 3.2). */
static struct span without_blanks(struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] > ' ')
			(void)buf_append_char(out, text.data[i]);
	return buf_span(out);
}

/* The value of the tag; empty when there is none. */
static struct span find_tag(struct span body, const char *name)
{
	while (body.len > 0) {
		struct span value = span_cut(&body, ';');
		struct span tag = span_trim(span_cut(&value, '='));

		if (span_is(tag, name))
			return value;
	}
	return (struct span){NULL, 0};
}

bool signature_breaks(struct span body, const struct touched *touched)
{
	struct span h = find_tag(body, "h");
	struct span left;
	struct buf text;
	bool breaks;

	breaks = touched->all || h.len == 0 || h.len > H_MAX;
	buf_init(&text, h.len);
	left = without_blanks(h, &text);
	while (!breaks && left.len > 0)
		breaks = has_name(touched, span_cut(&left, ':'));
	buf_release(&text);
	return breaks;
}

unsigned signature_instance(struct span body)
{
	uint64_t instance;

	if (span_to_u64(span_trim(find_tag(body, "i")), SIGNATURE_NEWEST - 1, &instance) != ERR_OK)
		return SIGNATURE_NEWEST;
	return (unsigned)instance;
}
