/* relay/mail/html_entity.c - a character by its name or number */
#include "relay/mail/html_entity.h"

#include <stdint.h>

#define REPLACEMENT 0xfffd

static const struct {
	const char *name;
	uint16_t code;
} names[] = {
	{"amp", '&'},	   {"lt", '<'},	       {"gt", '>'},	   {"quot", '"'},
	{"apos", '\''},	   {"nbsp", 0xa0},     {"iexcl", 0xa1},	   {"cent", 0xa2},
	{"pound", 0xa3},   {"yen", 0xa5},      {"sect", 0xa7},	   {"copy", 0xa9},
	{"ordf", 0xaa},	   {"laquo", 0xab},    {"shy", 0xad},	   {"reg", 0xae},
	{"deg", 0xb0},	   {"plusmn", 0xb1},   {"sup2", 0xb2},	   {"sup3", 0xb3},
	{"acute", 0xb4},   {"micro", 0xb5},    {"para", 0xb6},	   {"middot", 0xb7},
	{"sup1", 0xb9},	   {"ordm", 0xba},     {"raquo", 0xbb},	   {"frac14", 0xbc},
	{"frac12", 0xbd},  {"frac34", 0xbe},   {"iquest", 0xbf},   {"Agrave", 0xc0},
	{"Aacute", 0xc1},  {"Acirc", 0xc2},    {"Atilde", 0xc3},   {"Auml", 0xc4},
	{"Aring", 0xc5},   {"AElig", 0xc6},    {"Ccedil", 0xc7},   {"Egrave", 0xc8},
	{"Eacute", 0xc9},  {"Ecirc", 0xca},    {"Euml", 0xcb},	   {"Igrave", 0xcc},
	{"Iacute", 0xcd},  {"Icirc", 0xce},    {"Iuml", 0xcf},	   {"ETH", 0xd0},
	{"Ntilde", 0xd1},  {"Ograve", 0xd2},   {"Oacute", 0xd3},   {"Ocirc", 0xd4},
	{"Otilde", 0xd5},  {"Ouml", 0xd6},     {"times", 0xd7},	   {"Oslash", 0xd8},
	{"Ugrave", 0xd9},  {"Uacute", 0xda},   {"Ucirc", 0xdb},	   {"Uuml", 0xdc},
	{"Yacute", 0xdd},  {"THORN", 0xde},    {"szlig", 0xdf},	   {"agrave", 0xe0},
	{"aacute", 0xe1},  {"acirc", 0xe2},    {"atilde", 0xe3},   {"auml", 0xe4},
	{"aring", 0xe5},   {"aelig", 0xe6},    {"ccedil", 0xe7},   {"egrave", 0xe8},
	{"eacute", 0xe9},  {"ecirc", 0xea},    {"euml", 0xeb},	   {"igrave", 0xec},
	{"iacute", 0xed},  {"icirc", 0xee},    {"iuml", 0xef},	   {"eth", 0xf0},
	{"ntilde", 0xf1},  {"ograve", 0xf2},   {"oacute", 0xf3},   {"ocirc", 0xf4},
	{"otilde", 0xf5},  {"ouml", 0xf6},     {"divide", 0xf7},   {"oslash", 0xf8},
	{"ugrave", 0xf9},  {"uacute", 0xfa},   {"ucirc", 0xfb},	   {"uuml", 0xfc},
	{"yacute", 0xfd},  {"thorn", 0xfe},    {"yuml", 0xff},	   {"OElig", 0x152},
	{"oelig", 0x153},  {"Scaron", 0x160},  {"scaron", 0x161},  {"Yuml", 0x178},
	{"ensp", 0x2002},  {"emsp", 0x2003},   {"thinsp", 0x2009}, {"zwnj", 0x200c},
	{"zwj", 0x200d},   {"ndash", 0x2013},  {"mdash", 0x2014},  {"lsquo", 0x2018},
	{"rsquo", 0x2019}, {"sbquo", 0x201a},  {"ldquo", 0x201c},  {"rdquo", 0x201d},
	{"bdquo", 0x201e}, {"dagger", 0x2020}, {"bull", 0x2022},   {"hellip", 0x2026},
	{"prime", 0x2032}, {"lsaquo", 0x2039}, {"rsaquo", 0x203a}, {"euro", 0x20ac},
	{"trade", 0x2122}, {"larr", 0x2190},   {"uarr", 0x2191},   {"rarr", 0x2192},
	{"darr", 0x2193},  {"harr", 0x2194},   {"minus", 0x2212},  {"asymp", 0x2248},
	{"ne", 0x2260},	   {"le", 0x2264},     {"ge", 0x2265},	   {"hearts", 0x2665},
};

static size_t utf8_encode(uint32_t c, char text_out[4])
{
	static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = len - 1; i > 0; i--, c >>= 6)
		text_out[i] = (char)(0x80 | (c & 0x3f));
	text_out[0] = (char)(marks[len] | c);
	return len;
}

static uint32_t make_safe(uint32_t c)
{
	if (c == '\t' || c == '\n' || c == '\r')
		return ' ';
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return REPLACEMENT;
	return c;
}

/* Digits behind the `#`; more than there are characters stays more. */
static bool number_parse(struct span digits, uint32_t *code_out)
{
	bool is_hex = digits.len > 0 && ascii_lower(digits.data[0]) == 'x';
	uint32_t base = is_hex ? 16 : 10;
	uint32_t code = 0;

	digits = span_skip(digits, is_hex ? 1 : 0);
	for (size_t i = 0; i < digits.len; i++) {
		int value = ascii_hex_value(digits.data[i]);

		if (value < 0 || (uint32_t)value >= base)
			return false;
		code = code * base + (uint32_t)value;
		if (code > 0x10ffff)
			code = 0x110000;
	}
	*code_out = code;
	return digits.len > 0;
}

size_t html_entity_decode(struct span name, char text_out[4])
{
	uint32_t code;

	if (name.len > 0 && name.data[0] == '#')
		return number_parse(span_skip(name, 1), &code)
			       ? utf8_encode(make_safe(code), text_out)
			       : 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is(name, names[i].name))
			return utf8_encode(names[i].code, text_out);
	return 0;
}
