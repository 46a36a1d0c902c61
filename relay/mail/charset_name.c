/* relay/mail/charset_name.c - the charsets that mail is written in, by all of their names */
#include "relay/mail/charset_name.h"

#include <assert.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KEY_SIZE 32

/*
 * Sorted. Names without their case and without what people put between letters
 * and digits: "ISO-8859-2", "iso8859_2". Some stand for the wider charset that
 * is meant by them.
 */
static const struct name {
	const char *key;
	const char *iconv;
} names[] = {{"arabic", "ISO-8859-6"},
	     {"armscii8", "ARMSCII-8"},
	     {"big5", "BIG5"},
	     {"big5hkscs", "BIG5-HKSCS"},
	     {"bigfive", "BIG5"},
	     {"cnbig5", "BIG5"},
	     {"cp1125", "CP1125"},
	     {"cp1250", "CP1250"},
	     {"cp1251", "CP1251"},
	     {"cp1252", "CP1252"},
	     {"cp1253", "CP1253"},
	     {"cp1254", "CP1254"},
	     {"cp1255", "CP1255"},
	     {"cp1256", "CP1256"},
	     {"cp1257", "CP1257"},
	     {"cp1258", "CP1258"},
	     {"cp154", "PT154"},
	     {"cp437", "IBM437"},
	     {"cp737", "CP737"},
	     {"cp775", "CP775"},
	     {"cp819", "ISO-8859-1"},
	     {"cp850", "IBM850"},
	     {"cp852", "IBM852"},
	     {"cp855", "IBM855"},
	     {"cp857", "IBM857"},
	     {"cp858", "CP858"},
	     {"cp860", "IBM860"},
	     {"cp861", "IBM861"},
	     {"cp862", "IBM862"},
	     {"cp863", "IBM863"},
	     {"cp864", "IBM864"},
	     {"cp865", "IBM865"},
	     {"cp866", "IBM866"},
	     {"cp869", "IBM869"},
	     {"cp874", "CP874"},
	     {"cp932", "CP932"},
	     {"cp936", "GB18030"},
	     {"cp949", "UHC"},
	     {"cp950", "BIG5"},
	     {"csbig5", "BIG5"},
	     {"cseuckr", "UHC"},
	     {"csgb2312", "GB18030"},
	     {"csiso2022jp", "ISO-2022-JP"},
	     {"csiso2022kr", "ISO-2022-KR"},
	     {"cskoi8r", "KOI8-R"},
	     {"csptcp154", "PT154"},
	     {"csshiftjis", "CP932"},
	     {"csunicode11utf7", "UTF-7"},
	     {"cyrillic", "ISO-8859-5"},
	     {"euccn", "GB18030"},
	     {"eucjisx0213", "EUC-JISX0213"},
	     {"eucjp", "EUC-JP"},
	     {"eucjpms", "EUC-JP-MS"},
	     {"eucjpwin", "EUC-JP-MS"},
	     {"euckr", "UHC"},
	     {"euctw", "EUC-TW"},
	     {"gb18030", "GB18030"},
	     {"gb2312", "GB18030"},
	     {"gb231280", "GB18030"},
	     {"gbk", "GB18030"},
	     {"georgianacademy", "GEORGIAN-ACADEMY"},
	     {"georgianps", "GEORGIAN-PS"},
	     {"greek", "ISO-8859-7"},
	     {"greek8", "ISO-8859-7"},
	     {"hebrew", "ISO-8859-8"},
	     {"ibm00858", "CP858"},
	     {"ibm1125", "CP1125"},
	     {"ibm437", "IBM437"},
	     {"ibm737", "CP737"},
	     {"ibm775", "CP775"},
	     {"ibm819", "ISO-8859-1"},
	     {"ibm850", "IBM850"},
	     {"ibm852", "IBM852"},
	     {"ibm855", "IBM855"},
	     {"ibm857", "IBM857"},
	     {"ibm858", "CP858"},
	     {"ibm860", "IBM860"},
	     {"ibm861", "IBM861"},
	     {"ibm862", "IBM862"},
	     {"ibm863", "IBM863"},
	     {"ibm864", "IBM864"},
	     {"ibm865", "IBM865"},
	     {"ibm866", "IBM866"},
	     {"ibm869", "IBM869"},
	     {"iso10646ucs2", "UCS-2"},
	     {"iso10646ucs4", "UCS-4"},
	     {"iso2022cn", "ISO-2022-CN"},
	     {"iso2022jp", "ISO-2022-JP"},
	     {"iso2022jp1", "ISO-2022-JP-3"},
	     {"iso2022jp2", "ISO-2022-JP-2"},
	     {"iso2022jp3", "ISO-2022-JP-3"},
	     {"iso2022kr", "ISO-2022-KR"},
	     {"iso88591", "ISO-8859-1"},
	     {"iso885910", "ISO-8859-10"},
	     {"iso885911", "ISO-8859-11"},
	     {"iso885913", "ISO-8859-13"},
	     {"iso885914", "ISO-8859-14"},
	     {"iso885915", "ISO-8859-15"},
	     {"iso885916", "ISO-8859-16"},
	     {"iso88592", "ISO-8859-2"},
	     {"iso88593", "ISO-8859-3"},
	     {"iso88594", "ISO-8859-4"},
	     {"iso88595", "ISO-8859-5"},
	     {"iso88596", "ISO-8859-6"},
	     {"iso88596e", "ISO-8859-6"},
	     {"iso88596i", "ISO-8859-6"},
	     {"iso88597", "ISO-8859-7"},
	     {"iso88598", "ISO-8859-8"},
	     {"iso88598e", "ISO-8859-8"},
	     {"iso88598i", "ISO-8859-8"},
	     {"iso88599", "ISO-8859-9"},
	     {"johab", "JOHAB"},
	     {"koi8", "KOI8-R"},
	     {"koi8r", "KOI8-R"},
	     {"koi8ru", "KOI8-RU"},
	     {"koi8t", "KOI8-T"},
	     {"koi8u", "KOI8-U"},
	     {"korean", "UHC"},
	     {"ksc5601", "UHC"},
	     {"ksc56011987", "UHC"},
	     {"ksc56011989", "UHC"},
	     {"kz1048", "RK1048"},
	     {"l1", "ISO-8859-1"},
	     {"l10", "ISO-8859-16"},
	     {"l2", "ISO-8859-2"},
	     {"l3", "ISO-8859-3"},
	     {"l4", "ISO-8859-4"},
	     {"l5", "ISO-8859-9"},
	     {"l6", "ISO-8859-10"},
	     {"l7", "ISO-8859-13"},
	     {"l8", "ISO-8859-14"},
	     {"l9", "ISO-8859-15"},
	     {"latin1", "ISO-8859-1"},
	     {"latin10", "ISO-8859-16"},
	     {"latin2", "ISO-8859-2"},
	     {"latin3", "ISO-8859-3"},
	     {"latin4", "ISO-8859-4"},
	     {"latin5", "ISO-8859-9"},
	     {"latin6", "ISO-8859-10"},
	     {"latin7", "ISO-8859-13"},
	     {"latin8", "ISO-8859-14"},
	     {"latin9", "ISO-8859-15"},
	     {"mac", "MACINTOSH"},
	     {"macce", "MAC-CENTRALEUROPE"},
	     {"maccentraleurope", "MAC-CENTRALEUROPE"},
	     {"maccyrillic", "MAC-CYRILLIC"},
	     {"macintosh", "MACINTOSH"},
	     {"macroman", "MACINTOSH"},
	     {"macuk", "MAC-UK"},
	     {"macukrainian", "MAC-UK"},
	     {"ms932", "CP932"},
	     {"ms936", "GB18030"},
	     {"ms950", "BIG5"},
	     {"mskanji", "CP932"},
	     {"pt154", "PT154"},
	     {"rk1048", "RK1048"},
	     {"shiftjis", "CP932"},
	     {"shiftjisx0213", "SHIFT_JISX0213"},
	     {"sjis", "CP932"},
	     {"strk10482002", "RK1048"},
	     {"tcvn", "TCVN"},
	     {"tcvn5712", "TCVN"},
	     {"tcvn57121", "TCVN"},
	     {"tis620", "TIS-620"},
	     {"tscii", "TSCII"},
	     {"ucs2", "UCS-2"},
	     {"ucs4", "UCS-4"},
	     {"uhc", "UHC"},
	     {"ujis", "EUC-JP"},
	     {"unicode11utf7", "UTF-7"},
	     {"utf16", "UTF-16"},
	     {"utf16be", "UTF-16BE"},
	     {"utf16le", "UTF-16LE"},
	     {"utf32", "UTF-32"},
	     {"utf32be", "UTF-32BE"},
	     {"utf32le", "UTF-32LE"},
	     {"utf7", "UTF-7"},
	     {"viscii", "VISCII"},
	     {"win1250", "CP1250"},
	     {"win1251", "CP1251"},
	     {"win1252", "CP1252"},
	     {"win1253", "CP1253"},
	     {"win1254", "CP1254"},
	     {"win1255", "CP1255"},
	     {"win1256", "CP1256"},
	     {"win1257", "CP1257"},
	     {"win1258", "CP1258"},
	     {"windows1250", "CP1250"},
	     {"windows1251", "CP1251"},
	     {"windows1252", "CP1252"},
	     {"windows1253", "CP1253"},
	     {"windows1254", "CP1254"},
	     {"windows1255", "CP1255"},
	     {"windows1256", "CP1256"},
	     {"windows1257", "CP1257"},
	     {"windows1258", "CP1258"},
	     {"windows31j", "CP932"},
	     {"windows874", "CP874"},
	     {"windows936", "GB18030"},
	     {"windows949", "UHC"},
	     {"xeuccn", "GB18030"},
	     {"xeucjp", "EUC-JP"},
	     {"xeuctw", "EUC-TW"},
	     {"xgbk", "GB18030"},
	     {"xmacce", "MAC-CENTRALEUROPE"},
	     {"xmaccyrillic", "MAC-CYRILLIC"},
	     {"xmacroman", "MACINTOSH"},
	     {"xmacukrainian", "MAC-UK"},
	     {"xsjis", "CP932"},
	     {"xwindows949", "UHC"},
	     {"xxbig5", "BIG5"}};

#define NAMES (sizeof(names) / sizeof(names[0]))

/* False: too long to be one of them. What stands behind a colon is a year. */
static bool make_key(struct span given, char key_out[KEY_SIZE])
{
	struct span name = span_first(given, span_find(given, ':'));
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = ascii_lower(name.data[i]);

		if (c != '\0' && strchr("-_.", c) != NULL)
			continue;
		if (!ascii_is_alnum(c) || len == KEY_SIZE - 1)
			return false;
		key_out[len++] = c;
	}
	key_out[len] = '\0';
	return true;
}

static int by_key(const void *key, const void *name)
{
	return strcmp(key, ((const struct name *)name)->key);
}

const char *charset_name_find(struct span given)
{
	char key[KEY_SIZE];
	const struct name *found = NULL;

	if (make_key(given, key))
		found = bsearch(key, names, NAMES, sizeof(names[0]), by_key);
	return found != NULL ? found->iconv : NULL;
}

/* --- loaded --------------------------------------------------------------------------------- */

struct charset_hold {
	iconv_t decoders[NAMES]; /* (iconv_t)-1: this machine has it not */
};

/* The second name of one finds it loaded. */
struct charset_hold *charset_hold_new(void)
{
	struct charset_hold *hold = mem_zalloc(sizeof(*hold));

	for (size_t i = 0; i < NAMES; i++) {
		assert(i == 0 || strcmp(names[i - 1].key, names[i].key) < 0);
		hold->decoders[i] = iconv_open("UTF-8", names[i].iconv);
	}
	return hold;
}

void charset_hold_free(struct charset_hold **hold)
{
	if (*hold == NULL)
		return;
	for (size_t i = 0; i < NAMES; i++)
		if ((*hold)->decoders[i] != (iconv_t)-1)
			(void)iconv_close((*hold)->decoders[i]);
	mem_free(*hold);
	*hold = NULL;
}
