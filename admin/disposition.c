/* admin/disposition.c - Content-Disposition: the name a download is saved under (RFC 6266) */
#include "admin/disposition.h"

#include <assert.h>

#include "base/err.h"

#define EXTENSION_MAX 16 /* kept of a name that is too long */

static void put(struct buf *out, const char *text, size_t len)
{
	int code = len > 0 ? buf_append(out, text, len) : ERR_OK;

	assert(code == ERR_OK);
}

/* Octets of the character at the front of valid UTF-8. */
static size_t character_length(struct span text)
{
	size_t len = 1;

	while (len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
		len++;
	return len;
}

/*
 * U+200B..200F, U+2028..202E, U+2060..206F, U+FEFF, U+FFFD: not to be seen, turning the text
 * around, or nothing any more.
 */
static bool is_unfit(struct span c)
{
	const unsigned char *octets = (const unsigned char *)c.data;

	if (c.len == 1)
		return octets[0] < ' ' || octets[0] == 0x7f ||
		       strchr("/\\:*?\"<>|", c.data[0]) != NULL;
	if (c.len != 3)
		return false;
	if (octets[0] == 0xe2 && octets[1] == 0x80)
		return (octets[2] >= 0x8b && octets[2] <= 0x8f) ||
		       (octets[2] >= 0xa8 && octets[2] <= 0xae);
	if (octets[0] == 0xe2 && octets[1] == 0x81)
		return octets[2] >= 0xa0 && octets[2] <= 0xaf;
	return span_is(c, "\xef\xbb\xbf") || span_is(c, "\xef\xbf\xbd");
}

/* As much as fits, in whole characters. */
static struct span cut(struct span text, size_t max)
{
	size_t len = 0;

	while (len < text.len) {
		size_t next = character_length(span_skip(text, len));

		if (len + next > max)
			break;
		len += next;
	}
	return span_first(text, len);
}

static void clean_append(struct span text, struct buf *out)
{
	while (text.len > 0) {
		struct span c = span_first(text, character_length(text));

		if (is_unfit(c))
			put(out, "_", 1);
		else
			put(out, c.data, c.len);
		text = span_skip(text, c.len);
	}
}

/* What systems of all kinds do not want at the end of a name. */
static struct span name_trim(struct span name)
{
	name = span_trim(name);
	while (name.len > 0 &&
	       (name.data[name.len - 1] == '.' || ascii_is_blank(name.data[name.len - 1])))
		name.len--;
	return name;
}

static void name_clean(struct span given, struct buf *out)
{
	size_t dot = span_find_last(given, '.');
	struct span extension = span_skip(given, dot);

	if (given.len > DISPOSITION_NAME_MAX) {
		if (extension.len > EXTENSION_MAX)
			extension = span_make(NULL, 0);
		given = cut(span_first(given, dot), DISPOSITION_NAME_MAX - extension.len);
	} else {
		extension = span_make(NULL, 0);
	}
	clean_append(given, out);
	clean_append(extension, out);
	if (out->len > 0 && out->data[0] == '.')
		out->data[0] = '_';
}

static const char *extension_of(const char *type)
{
	static const char *const known[][2] = {
		{"application/json", ".json"}, {"application/pdf", ".pdf"},
		{"application/zip", ".zip"},   {"image/gif", ".gif"},
		{"image/jpeg", ".jpg"},	       {"image/png", ".png"},
		{"image/webp", ".webp"},       {"message/rfc822", ".eml"},
		{"text/calendar", ".ics"},     {"text/csv", ".csv"},
		{"text/html", ".html"},	       {"text/plain", ".txt"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(type, known[i][0]) == 0)
			return known[i][1];
	return ".bin";
}

/* RFC 6266 4.3, appendix D: what every browser reads, with `_` for what not all read alike. */
static void ascii_append(struct span name, struct buf *out)
{
	while (name.len > 0) {
		struct span c = span_first(name, character_length(name));

		put(out, c.len > 1 || c.data[0] == '%' ? "_" : c.data, 1);
		name = span_skip(name, c.len);
	}
}

/* RFC 8187 3.2.1 */
static void percent_append(struct span name, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (ascii_is_alnum(name.data[i]) || strchr("!#$&+-.^_`|~", name.data[i]) != NULL) {
			put(out, &name.data[i], 1);
		} else {
			put(out, "%", 1);
			put(out, &digits[c >> 4], 1);
			put(out, &digits[c & 0xf], 1);
		}
	}
}

void disposition_write(const struct mime_part *part, struct buf *out)
{
	struct buf text;
	struct span name;

	buf_init(&text, DISPOSITION_NAME_MAX * 3);
	name_clean(span_of(part->filename), &text);
	if (name_trim(buf_span(&text)).len == 0) {
		buf_clear(&text);
		(void)buf_printf(&text, "part-%s%s", part->number, extension_of(part->type));
	}
	name = name_trim(buf_span(&text));
	put(out, "attachment; filename=\"", 22);
	ascii_append(name, out);
	put(out, "\"", 1);
	if (!span_is_ascii(name) || span_find(name, '%') < name.len) {
		put(out, "; filename*=UTF-8''", 19);
		percent_append(name, out);
	}
	buf_release(&text);
}
