/* cli/text.c - words for a terminal: nothing in mail may move its cursor */
#include <config.h>

#include "cli/text.h"

#include <locale.h>
#include <stdio.h>
#include <wchar.h>

/* The character at the front; its length, or 0 when the bytes are no UTF-8. */
static size_t take(struct span text, uint32_t *character_out)
{
	static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	unsigned char first = (unsigned char)text.data[0];
	size_t len = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	uint32_t character = first & masks[len];

	if (len > text.len || !span_is_utf8(span_first(text, len)))
		return 0;
	for (size_t i = 1; i < len; i++)
		character = character << 6 | ((unsigned char)text.data[i] & 0x3f);
	*character_out = character;
	return len;
}

struct range {
	uint32_t first;
	uint32_t last;
};

static bool is_in(const struct range *ranges, size_t count, uint32_t character)
{
	for (size_t i = 0; i < count; i++)
		if (character >= ranges[i].first && character <= ranges[i].last)
			return true;
	return false;
}

#define IS_IN(ranges, character) is_in((ranges), sizeof(ranges) / sizeof((ranges)[0]), (character))

/* Commands to a terminal, and what makes text look like other text (Unicode UTR 36). */
static const struct range unsafe[] = {
	{0x00, 0x1f},	  {0x7f, 0x9f},	    {0xad, 0xad},	{0x61c, 0x61c},
	{0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},	{0x2060, 0x206f},
	{0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
};

/* What most terminals draw two columns wide (Unicode UAX 11), where wcwidth knows nothing. */
static const struct range wide[] = {
	{0x1100, 0x115f},   {0x2e80, 0x303e},	{0x3041, 0x4dbf},   {0x4e00, 0xa4cf},
	{0xac00, 0xd7a3},   {0xf900, 0xfaff},	{0xfe30, 0xfe6f},   {0xff00, 0xff60},
	{0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
	{0x20000, 0x3fffd},
};

static const struct range combining[] = {
	{0x300, 0x36f}, {0x1ab0, 0x1aff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

static void escape(struct buf *out, uint32_t character)
{
	switch (character) {
	case '\n': (void)buf_append_text(out, "\\n"); break;
	case '\r': (void)buf_append_text(out, "\\r"); break;
	case '\t': (void)buf_append_text(out, "\\t"); break;
	default: (void)buf_printf(out, character < 0x80 ? "\\x%02x" : "\\u{%x}", character); break;
	}
}

void text_clean(struct buf *out, struct span text)
{
	while (text.len > 0) {
		uint32_t character = 0;
		size_t len = take(text, &character);

		if (len == 0)
			(void)buf_printf(out, "\\x%02x", (unsigned char)text.data[0]);
		else if (IS_IN(unsafe, character))
			escape(out, character);
		else
			(void)buf_append(out, text.data, len);
		text = span_skip(text, len > 0 ? len : 1);
	}
}

void text_use_utf8(void)
{
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

	if (utf8 != (locale_t)0)
		(void)uselocale(utf8);
}

static size_t width_of(uint32_t character)
{
	int width = wcwidth((wchar_t)character);

	/* -1: it is not in the locale's charset, which in "C" is all but ASCII. */
	if (width >= 0)
		return (size_t)width;
	if (IS_IN(combining, character))
		return 0;
	return IS_IN(wide, character) ? 2 : 1;
}

struct span text_front(struct span clean, size_t width)
{
	size_t used = 0;
	size_t at = 0;

	while (at < clean.len) {
		uint32_t character = 0;
		size_t len = take(span_skip(clean, at), &character);

		used += width_of(character);
		if (used > width)
			break;
		at += len > 0 ? len : 1;
	}
	return span_first(clean, at);
}

size_t text_width(struct span clean)
{
	size_t width = 0;

	while (clean.len > 0) {
		uint32_t character = 0;
		size_t len = take(clean, &character);

		width += width_of(character);
		clean = span_skip(clean, len > 0 ? len : 1);
	}
	return width;
}

void text_duration(int64_t ms, char text_out[TEXT_SHORT_SIZE])
{
	int64_t seconds = ms > 0 ? ms / 1000 : 0;

	if (seconds < 100)
		snprintf(text_out, TEXT_SHORT_SIZE, "%llds", (long long)seconds);
	else if (seconds < 100 * 60)
		snprintf(text_out, TEXT_SHORT_SIZE, "%lldm", (long long)(seconds / 60));
	else if (seconds < 48 * 3600)
		snprintf(text_out, TEXT_SHORT_SIZE, "%lldh", (long long)(seconds / 3600));
	else
		snprintf(text_out, TEXT_SHORT_SIZE, "%lldd", (long long)(seconds / 86400));
}

void text_size(int64_t bytes, char text_out[TEXT_SHORT_SIZE])
{
	static const char units[] = "kMGTP";
	int64_t tenths = bytes * 10;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(text_out, TEXT_SHORT_SIZE, "%lld", (long long)bytes);
		return;
	}
	tenths /= 1024;
	while (tenths >= 10240 && units[unit + 1] != '\0') {
		tenths /= 1024;
		unit++;
	}
	if (tenths < 100)
		snprintf(text_out, TEXT_SHORT_SIZE, "%lld.%lld%c", (long long)(tenths / 10),
			 (long long)(tenths % 10), units[unit]);
	else
		snprintf(text_out, TEXT_SHORT_SIZE, "%lld%c", (long long)((tenths + 5) / 10),
			 units[unit]);
}
