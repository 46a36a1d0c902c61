/* tests relay/filter/listing.c, listing_text.c, listing_csv.c, listing_json.c */
#include "tests/unit/filter/listing.h"

static const struct {
	enum listing_format format;
	const char *text;
	const char *want;
} good[] = {
	{LISTING_TEXT, "", ""},
	{LISTING_TEXT, "\n# only a comment\n\n", ""},
	{LISTING_TEXT, "\r\na@x.test\r\n", "a@x.test"},
	{LISTING_TEXT, "  # why\n \t\na@x.test", "a@x.test"},
	{LISTING_TEXT, "a@x.test ,\nallow #b@x.test,c@x.test", "a@x.test;#b@x.test;c@x.test"},
	{LISTING_TEXT,
	 "\xef\xbb\xbf"
	 "Alice@Example.COM\r\n",
	 "alice@example.com"},
	{LISTING_TEXT, "  a@x.test  # why\n\t!b@x.test", "a@x.test;!b@x.test"},
	{LISTING_TEXT, "deny x.test\nallow .x.test\nDENY *@y.test\n! z@y.test",
	 "!x.test;.x.test;!y.test;!z@y.test"},
	/* what looks like a sign is a character behind the word (S149) */
	{LISTING_TEXT, "allow !a@x.test\nallow #b@x.test\ndeny !c@x.test",
	 "!a@x.test;#b@x.test;!!c@x.test"},
	/* as Inbucket, smtp4dev and others write lists */
	{LISTING_TEXT, "a.test,b.test, !c@d.test ,e.test # so\n", "a.test;b.test;!c@d.test;e.test"},
	{LISTING_TEXT, "a@x.test,\nb@x.test,\n", "a@x.test;b@x.test"},
	{LISTING_TEXT, "a@x.test , b@x.test", "a@x.test;b@x.test"},
	{LISTING_TEXT, "* allow_all=yes", "*"},
	{LISTING_TEXT, "a@x.test note=", "a@x.test"},
	{LISTING_TEXT, "a@x.test allow_all=no\nb@x.test allow_all=true\nc@x.test allow_all=false",
	 "a@x.test;b@x.test;c@x.test"},
	{LISTING_TEXT, "a.test,b#c@x.test", "a.test;b#c@x.test"},
	{LISTING_CSV, "pattern\n\"a@x.test\"", "a@x.test"},
	{LISTING_CSV, "pattern\na@x.test\r", "a@x.test"},
	{LISTING_CSV, "pattern,note\na@x.test,'\nb@x.test,'x\n", "a@x.test;b@x.test"},
	{LISTING_JSON, "[{\"pattern\": \"a@x.test\", \"allow_all\": false}]", "a@x.test"},
	{LISTING_TEXT, "deny *", "!*"},
	/* the same again */
	{LISTING_TEXT, "a@x.test\nA@X.test\n!a@x.test\na@x.test scope=s",
	 "a@x.test;!a@x.test;a@x.test"},
	{LISTING_CSV, "pattern\r\na@x.test\r\n\"b@x.test\"\r\n", "a@x.test;b@x.test"},
	{LISTING_CSV,
	 "Action,PATTERN,Note\ndeny,a@x.test,\"x, \"\"y\"\"\nz\"\n\nallow, b@x.test ,\n",
	 "!a@x.test;b@x.test"},
	{LISTING_CSV, "id,pattern,kind,hits\n7,a@x.test,exact,12", "a@x.test"},
	{LISTING_CSV, "pattern;note\na@x.test;a,b\n", "a@x.test"},
	{LISTING_CSV, "pattern\n'=cmd@x.test\n'a@x.test\n", "=cmd@x.test;'a@x.test"},
	{LISTING_CSV, "pattern,allow_all\n*,yes\n", "*"},
	{LISTING_JSON, "[]", ""},
	{LISTING_JSON, "[\"a@x.test\", {\"pattern\": \"b@x.test\", \"action\": \"deny\"}]",
	 "a@x.test;!b@x.test"},
	{LISTING_JSON, "{\"entries\": [{\"pattern\": \"*\", \"allow_all\": true}]}", "*"},
	{LISTING_JSON, "{\"entries\": [\"*\"], \"allow_all\": true}", "*"},
	{LISTING_JSON, "{\"allow_all\": true, \"entries\": [\"*\"]}", "*"},
	{LISTING_JSON,
	 "{\"items\": [{\"id\": 1, \"pattern\": \"a@x.test\", \"kind\": \"exact\", \"action\": "
	 "\"allow\", \"scope\": \"\", \"note\": null, \"owner\": null, \"created_at\": \"x\", "
	 "\"created_by\": null, \"expires_at\": null, \"expired_at\": null, \"hits\": 3, "
	 "\"last_hit_at\": null}], \"next\": null, \"revision\": 7}",
	 "a@x.test"},
};

START_TEST(what_people_have)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		listing_check_taken(good[i].format, good[i].text, false, good[i].want);
}
END_TEST

/* S152, S161: whatever is not exactly a list is refused, with its place. */
static const struct {
	enum listing_format format;
	const char *text;
	struct mistake told;
} bad[] = {
	{LISTING_TEXT, "a@x.test foo=bar", {1, 10, "", "one pattern a line"}},
	{LISTING_TEXT, "a@x.test x", {1, 10, "", "one pattern a line", 1}},
	{LISTING_TEXT, "a@x.test,  ,b@x.test", {1, 10, "", "missing", 1}},
	/* what is wrong with one hides nothing of the next */
	{LISTING_JSON, "[{\"note\": 7, \"pattern\": 7}, 7]", {1, 11, "/0/note", "a string", 3}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"note\": \"x\", \"note\": \"y\"}, 7]",
	 {1, 47, "/0/note", "note is given twice", 2}},
	{LISTING_JSON, "{\"entries\": [], \"foo\": 1, \"bar\": 2}", {1, 17, "/foo", "unknown", 2}},
	{LISTING_JSON, "{\"entries\": []} x", {1, 17, "", "not JSON", 1}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"n\xe2\x80\xa6o\": 1}]",
	 {1, 26, "/0/no", "unknown", 1}},
	{LISTING_JSON,
	 "{\"items\": [], \"next\": \"w01\", \"foo\": 1}",
	 {1, 23, "/next", "page", 2}},
	/* and what was refused is not there a second time */
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"foo\": 1}, {\"pattern\": \"a@x.test\", \"note\": \"z\"}]",
	 {1, 26, "/0/foo", "unknown", 1}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"note\": \"x\", \"note\": \"y\"},"
	 " {\"pattern\": \"a@x.test\", \"note\": \"z\"}]",
	 {1, 47, "/0/note", "note is given twice", 1}},
	{LISTING_TEXT, "deny", {1, 1, "", "", 1}},
	{LISTING_TEXT, "a@x.test, x", {1, 11, "", "", 1}},
	{LISTING_TEXT, "a@x.test,!", {1, 10, "", "missing", 1}},
	/* each line is judged by itself, and told of once */
	{LISTING_TEXT, "a@x.test note=\x01\n!\nb@x.test", {1, 10, "", "control", 2}},
	{LISTING_TEXT, "\xff\nok.test\n\xf0\x9f\x98\x80\xff\nok.test", {1, 1, "", "UTF-8", 2}},
	{LISTING_TEXT, "ok.test\n\xf0\x9f\x98\x80\xff\n", {2, 5, "", "UTF-8", 1}},
	{LISTING_TEXT, "a@x.test scope=/a", {1, 10, "", "letters, digits"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\",\n\"scope\": \"a\\u0000\"}]",
	 {2, 10, "/0/scope", "letters, digits", 1}},
	{LISTING_TEXT, "a@x.test allow_all=x", {1, 10, "", "yes nor no"}},
	{LISTING_TEXT, "a@x.test expires_in=1", {1, 10, "", ""}},
	{LISTING_TEXT, "a@x.test expires_at=1", {1, 10, "", "RFC 3339"}},
	{LISTING_TEXT, "a@x.test expires_at=1 expires_in=1h", {1, 23, "", "given already"}},
	{LISTING_TEXT,
	 "a@x.test expires_in=1 expires_at=2026-01-01T00:00:00Z",
	 {1, 10, "", "given already"}},
	{LISTING_CSV, "pattern,action\na@x.test,x\n", {2, 10, "", "allow nor deny"}},
	{LISTING_TEXT,
	 "a@x.test note=\x7f"
	 "",
	 {1, 10, "", "control"}},
	{LISTING_TEXT, "a@x.test\na@x.test owner=o", {2, 0, "", "line 1 already"}},
	{LISTING_TEXT, "a@x.test\na@x.test expires_in=1h", {2, 0, "", "line 1 already"}},
	{LISTING_TEXT, "a@x.test note=\"a\\", {1, 10, "", "value with blanks"}},
	{LISTING_TEXT, "a@x.test action=deny", {1, 10, "", "one pattern a line"}},
	{LISTING_TEXT, "a@x.test,b#c@x test", {1, 10, "", ""}},
	{LISTING_CSV, "pattern\na\"b", {2, 2, "", "quote inside"}},
	{LISTING_CSV, "pattern\na\"b\nok@x.test\n", {2, 2, "", "quote inside", 1}},
	{LISTING_CSV, "pattern\na@x.test,b\n", {2, 0, "", "2 cells", 1}},
	{LISTING_CSV, "\"pattern", {1, 1, "", "closing quote"}},
	{LISTING_CSV, "pattern\na\rb@x.test", {2, 1, "", ""}},
	{LISTING_CSV,
	 "id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,id,"
	 "id,id,id,pattern",
	 {1, 97, "", "32 columns"}},
	{LISTING_JSON, "[\"*\",\"*@*\"]", {1, 2, "/0/pattern", "allow_all"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"action\": null}]",
	 {1, 36, "/0/action", "string"}},
	{LISTING_JSON, "[{\"pattern\": tru", {1, 14, "", "not JSON"}},
	{LISTING_JSON, "[{\"id\": tru", {1, 9, "", "not JSON"}},
	{LISTING_JSON, "[{\"id\" 7}]", {1, 8, "", "not JSON"}},
	{LISTING_JSON, "{\"items\": [], \"next\": tru", {1, 23, "", "not JSON"}},
	{LISTING_JSON, "{\"allow_all\": tru", {1, 15, "", "not JSON"}},
	{LISTING_JSON, "{\"allow_all\": true, \"allow_all\": tru", {1, 34, "", "not JSON"}},
	{LISTING_JSON, "[{\"pattern\": \"a@x.test\", \"pattern\": tru", {1, 37, "", "not JSON"}},
	{LISTING_JSON, "{\"entries\": tru", {1, 13, "/entries", "array"}},
	{LISTING_JSON, "{\"revision\": 1", {1, 15, "", "not JSON"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", "
	 "\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	 "nnnnnnnnnnnnnnnnnnnnnnnn\": 1}]",
	 {1, 26, "/0/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
	  "unknown"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"né\\u0000o\": 1}]",
	 {1, 26, "/0/no", "unknown"}},
	{LISTING_TEXT, "a@x.test\nnot a pattern\n", {2, 5, "", "one pattern a line"}},
	{LISTING_TEXT, "a@x.test b@x.test", {1, 10, "", "one pattern a line"}},
	{LISTING_TEXT, "User <a@x.test>", {1, 6, "", "one pattern a line"}},
	{LISTING_TEXT, "mailto:a@x.test", {1, 1, "", ""}},
	{LISTING_TEXT, "ok@x.test\n  @\n", {2, 3, "", ""}},
	{LISTING_TEXT, "!\n", {1, 2, "", "missing"}},
	{LISTING_TEXT, "a@x.test,,b@x.test", {1, 10, "", "missing"}},
	{LISTING_TEXT, "a@x.test, b@x.test note=x", {1, 11, "", ""}},
	{LISTING_TEXT, "*", {1, 1, "", "allow_all"}},
	{LISTING_TEXT, "*@*", {1, 1, "", "allow_all"}},
	{LISTING_TEXT, "* allow_all=no", {1, 1, "", "allow_all"}},
	{LISTING_TEXT, "* allow_all=perhaps", {1, 3, "", "yes nor no"}},
	{LISTING_TEXT, "a@x.test note=\"open", {1, 10, "", "value with blanks"}},
	{LISTING_TEXT, "a@x.test note=\"bad\\x\"", {1, 10, "", "value with blanks"}},
	{LISTING_TEXT, "a@x.test note=\"x\"y", {1, 10, "", "value with blanks"}},
	{LISTING_TEXT, "a@x.test note=x\"y", {1, 10, "", "value with blanks"}},
	{LISTING_TEXT, "a@x.test note=x note=y", {1, 17, "", "twice"}},
	{LISTING_TEXT, "a@x.test pattern=b@x.test", {1, 10, "", "one pattern a line"}},
	{LISTING_TEXT, "a@x.test scope=a/b", {1, 10, "", "letters, digits"}},
	{LISTING_TEXT, "a@x.test expires_at=tomorrow", {1, 10, "", "RFC 3339"}},
	{LISTING_TEXT, "a@x.test expires_at=1970-01-01T00:00:00Z", {1, 10, "", "before 1970"}},
	{LISTING_TEXT, "a@x.test expires_at=1970-01-01T00:00:00+01:00", {1, 10, "", "before 1970"}},
	{LISTING_TEXT, "a@x.test expires_in=0s", {1, 10, "", "above 0"}},
	{LISTING_TEXT,
	 "a@x.test expires_in=1h expires_at=2026-01-01T00:00:00Z",
	 {1, 10, "", "given already"}},
	{LISTING_TEXT, "a@x.test\n\nb@x.test \xff\n", {3, 10, "", "UTF-8"}},
	{LISTING_TEXT, "a@x.test note=\x01", {1, 10, "", "control character"}},
	{LISTING_TEXT, "a@x.test\na@x.test note=other", {2, 0, "", "line 1 already"}},
	{LISTING_CSV, "", {1, 1, "", "no known name"}},
	{LISTING_CSV, "a@x.test\n", {1, 1, "", "no known name"}},
	{LISTING_CSV, "note\nx\n", {1, 0, "", "column pattern"}},
	{LISTING_CSV, "pattern,pattern\n", {1, 9, "", "twice"}},
	{LISTING_CSV, "pattern,note\na@x.test\n", {2, 0, "", "1 cells"}},
	{LISTING_CSV, "pattern,note\na@x.test,b,c\n", {2, 0, "", "3 cells"}},
	{LISTING_CSV, "pattern,note\nok@x.test,\n,x\n", {3, 0, "", "missing"}},
	{LISTING_CSV, "pattern\n\"a@x.test\n", {2, 1, "", "closing quote"}},
	{LISTING_CSV, "pattern\n\"a@x.test\"x\n", {2, 11, "", "behind a closing quote"}},
	{LISTING_CSV, "pattern\na\"@x.test\n", {2, 2, "", "quote inside"}},
	{LISTING_CSV, "pattern,note\na@x.test,\"\nx\"\nb b,\n", {4, 1, "", ""}},
	{LISTING_CSV, "pattern,action\na@x.test,drop\n", {2, 10, "", "allow nor deny"}},
	{LISTING_JSON, "", {1, 1, "", "not JSON"}},
	{LISTING_JSON, "\"a@x.test\"", {1, 1, "", "array"}},
	{LISTING_JSON, "{\"pattern\": \"a@x.test\"}", {1, 2, "/pattern", "unknown"}},
	{LISTING_JSON,
	 "{\"entries\": [\"a@x.test\",\n\"*\"]}",
	 {2, 1, "/entries/1/pattern", "allow_all"}},
	{LISTING_JSON,
	 "{\"entries\": [\"*\"], \"allow_all\": false}",
	 {1, 14, "/entries/0/pattern", "allow_all"}},
	{LISTING_JSON,
	 "{\"allow_all\": 1, \"entries\": []}",
	 {1, 15, "/allow_all", "true or false"}},
	{LISTING_JSON,
	 "[\"a@x.test\",\n{\"pattern\":\"A@x.test\",\"note\":\"n\"}]",
	 {2, 0, "/1/pattern", "line 1 already"}},
	{LISTING_JSON, "{}", {0, 0, "/entries", "entries"}},
	{LISTING_JSON, "{\"entries\": {}}", {1, 13, "/entries", "array"}},
	{LISTING_JSON, "{\"entries\": [], \"items\": []}", {1, 17, "/items", "second"}},
	{LISTING_JSON, "{\"entries\": [], \"foo\": 1}", {1, 17, "/foo", "unknown"}},
	{LISTING_JSON, "{\"items\": [\"a@x.test\"], \"next\": \"w01\"}", {1, 33, "/next", "page"}},
	{LISTING_JSON, "[\n\"a@x.test\",\n{}]", {3, 1, "/1/pattern", "missing"}},
	{LISTING_JSON, "[\n7]", {2, 1, "/0", "object"}},
	{LISTING_JSON, "[{\"pattern\": 7}]", {1, 14, "/0/pattern", "string", 1}},
	{LISTING_JSON, "[{\"pattern\": null}]", {1, 14, "/0/pattern", "string"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"Note\": \"x\"}]",
	 {1, 26, "/0/Note", "unknown"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"a/b~\": 1}]",
	 {1, 26, "/0/a~1b~0", "unknown"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"allow_all\": \"yes\"}]",
	 {1, 39, "/0/allow_all", "true or false"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"pattern\": \"b@x.test\"}]",
	 {1, 37, "/0/pattern", "twice"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"note\": \"a\\u0000b\"}]",
	 {1, 34, "/0/note", "control"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"note\": null, \"note\": \"x\"}]",
	 {1, 48, "/0/note", "twice"}},
	{LISTING_JSON,
	 "[{\"pattern\": \"a@x.test\", \"note\": \"x\", \"note\": null}]",
	 {1, 47, "/0/note", "twice"}},
	{LISTING_JSON,
	 "{\"allow_all\": true, \"entries\": [], \"allow_all\": true}",
	 {1, 49, "/allow_all", "twice"}},
	{LISTING_TEXT, "a@x.test\nb\xff@x.test", {2, 2, "", "not UTF-8"}},
	{LISTING_JSON, "[\"\xc3\xa4\xed\xa0\x80\"]", {1, 5, "", "not UTF-8"}},
	{LISTING_TEXT, "# \xc3", {1, 3, "", "not UTF-8"}},
	{LISTING_JSON, "[\"a@x.test\"", {1, 12, "", "not JSON"}},
	{LISTING_JSON, "[\"a@x.test\"] x", {1, 14, "", "not JSON"}},
};

START_TEST(mistakes_have_a_place)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		listing_check_refused(bad[i].format, bad[i].text, false, bad[i].told);
}
END_TEST

/* What is no entry has a number all the same. */
START_TEST(entries_are_numbered)
{
	struct told told;

	ck_assert_ptr_null(listing_of(
		LISTING_JSON,
		span_of("[7, \"a@x.test\", {\"pattern\": \"a@x.test\", \"note\": \"n\"}]"), false,
		&told));
	ck_assert_uint_eq(told.count, 2);
	ck_assert_str_eq(told.pointer, "/0");
	ck_assert_str_eq(told.last_pointer, "/2/pattern");
	ck_assert_ptr_null(
		listing_of(LISTING_CSV, span_of("pattern\na\"b\nx\nc\"d"), false, &told));
	ck_assert_uint_eq(told.count, 3);
	ck_assert_uint_eq(told.last_line, 4);
}
END_TEST

START_TEST(fields_are_kept)
{
	static const struct {
		enum listing_format format;
		const char *text;
	} cases[] = {
		{LISTING_TEXT, "a@x.test scope=shop owner=\"the \\\"QA\\\" team\" "
			       "note=\"a\\\\b\\tc\\nd\" expires_at=1970-01-01T00:00:05Z # x"},
		{LISTING_CSV, "note,owner,expires_at,scope,pattern\r\n\"a\\b\tc\r\nd\","
			      "\"the \"\"QA\"\" team\",1970-01-01T00:00:05Z,shop,a@x.test\r\n"},
		{LISTING_JSON, "[{\"pattern\":\"a@x.test\",\"scope\":\"shop\",\"owner\":\"the "
			       "\\\"QA\\\" team\",\"note\":\"a\\\\b\\tc\\nd\",\"expires_at\":"
			       "\"1970-01-01T00:00:05Z\"}]"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told told;
		struct listing *listing =
			listing_of(cases[i].format, span_of(cases[i].text), false, &told);
		const struct entry *entry;

		ck_assert_msg(listing != NULL, "%s", told.text);
		entry = listing_entry(listing, 0);
		ck_assert_str_eq(entry->pattern, "a@x.test");
		ck_assert_int_eq(entry->kind, ENTRY_EXACT);
		ck_assert_str_eq(entry->scope, "shop");
		ck_assert_str_eq(entry->owner, "the \"QA\" team");
		ck_assert_str_eq(entry->note, "a\\b\tc\nd");
		ck_assert_int_eq(entry->expires_at, 5000);
		listing_free(&listing);
		ck_assert_ptr_null(listing);
	}
}
END_TEST

START_TEST(fields_at_their_edges)
{
	static const char scope[] =
		"0123456789abcdefghijklmnopqrstuvwxyz.-_ABCDEFGHIJKLMNOPQRSTUVWXY";
	struct told told;
	struct listing *listing;
	char text[200];

	ck_assert_uint_eq(strlen(scope), LISTING_SCOPE_MAX);
	ck_assert(listing_is_scope(span_of(scope)));
	snprintf(text, sizeof(text),
		 "a@x.test note=\"\" expires_at=1970-01-01T00:00:00.001Z scope=%s", scope);
	listing = listing_of(LISTING_TEXT, span_of(text), false, &told);
	ck_assert_msg(listing != NULL, "%s", told.text);
	ck_assert_int_eq(listing_entry(listing, 0)->expires_at, 1);
	ck_assert_str_eq(listing_entry(listing, 0)->scope, scope);
	ck_assert_ptr_null(listing_entry(listing, 0)->note);
	listing_free(&listing);
	snprintf(text, sizeof(text), "a@x.test scope=%sZ", scope);
	ck_assert(!listing_is_scope(span_skip(span_of(text), strlen("a@x.test scope="))));
	listing_check_refused(LISTING_TEXT, text, false,
			      (struct mistake){1, 10, "", "64 octets", 1});
}
END_TEST

/* One mistake, not two: a pattern that is too long is not missing. */
START_TEST(a_pattern_that_is_too_long)
{
	char text[2 * PATTERN_TEXT_SIZE + 2];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	listing_check_refused(LISTING_TEXT, text, false,
			      (struct mistake){1, 1, "", "longer than", 1});
}
END_TEST

START_TEST(options_count)
{
	struct listing_options options = {
		.scope = "shop", .only_scope = true, .fixed_times = true, .now = LISTING_NOW};
	struct listing *listing = NULL;
	struct told told = {0};
	static const char timed[] = "a@x.test expires_in=1m";

	ck_assert_int_eq(listing_read(LISTING_TEXT, span_of("a@x.test\nb@x.test scope=shop"),
				      &options, listing_tell, &told, &listing),
			 ERR_OK);
	ck_assert_str_eq(listing_entry(listing, 0)->scope, "shop");
	listing_free(&listing);
	ck_assert_int_ne(listing_read(LISTING_TEXT, span_of("a@x.test scope=other"), &options,
				      listing_tell, &told, &listing),
			 ERR_OK);
	ck_assert(strstr(told.text, "limited") != NULL);
	told.count = 0;
	ck_assert_int_ne(
		listing_read(LISTING_TEXT, span_of(timed), &options, listing_tell, &told, &listing),
		ERR_OK);
	ck_assert(strstr(told.text, "expires_at") != NULL);
	options.fixed_times = false;
	ck_assert_int_eq(
		listing_read(LISTING_TEXT, span_of(timed), &options, listing_tell, &told, &listing),
		ERR_OK);
	ck_assert_int_eq(listing_entry(listing, 0)->expires_at, LISTING_NOW + 60000);
	listing_free(&listing);
}
END_TEST

/* Every mistake is told, but nobody reads a million of them. */
START_TEST(limits)
{
	struct listing_options options = {.max_entries = 3};
	struct listing *listing = NULL;
	struct told told = {0};
	struct buf text;

	ck_assert_int_ne(listing_read(LISTING_TEXT, span_of("a.test\nb.test\nc.test\nd.test"),
				      &options, listing_tell, &told, &listing),
			 ERR_OK);
	ck_assert_uint_eq(told.count, 1);
	ck_assert_uint_eq(told.line, 4);
	options.max_entries = 1;
	told.count = 0;
	ck_assert_int_ne(listing_read(LISTING_TEXT, span_of("a.test\nb.test\nc.test"), &options,
				      listing_tell, &told, &listing),
			 ERR_OK);
	ck_assert_uint_eq(told.count, 1);
	ck_assert_uint_eq(told.line, 2);
	buf_init(&text, LISTING_BYTES_MAX + 64);
	for (int i = 0; i < 500; i++)
		(void)buf_append_text(&text, "no pattern\n");
	ck_assert_ptr_null(listing_of(LISTING_TEXT, buf_span(&text), false, &told));
	ck_assert_uint_eq(told.count, LISTING_MISTAKES_MAX);
	buf_clear(&text);
	(void)buf_append_text(&text, "a@x.test note=");
	for (int i = 0; i < LISTING_NOTE_MAX + 1; i++)
		(void)buf_append_char(&text, 'x');
	ck_assert_ptr_null(listing_of(LISTING_TEXT, buf_span(&text), false, &told));
	ck_assert(strstr(told.text, "1000 octets") != NULL);
	buf_truncate(&text, text.len - 1);
	listing = listing_of(LISTING_TEXT, buf_span(&text), false, &told);
	ck_assert_ptr_nonnull(listing);
	listing_free(&listing);
	while (text.len < 8192)
		(void)buf_append_char(&text, ' ');
	listing = listing_of(LISTING_TEXT, buf_span(&text), false, &told);
	ck_assert_ptr_nonnull(listing);
	listing_free(&listing);
	/* Nothing more is said of a line that is too long. */
	(void)buf_append_char(&text, 'x');
	ck_assert_ptr_null(listing_of(LISTING_TEXT, buf_span(&text), false, &told));
	ck_assert(strstr(told.text, "8192") != NULL);
	ck_assert_uint_eq(told.count, 1);
	ck_assert_uint_eq(told.column, 0);
	buf_clear(&text);
	while (text.len <= LISTING_BYTES_MAX)
		(void)buf_append_text(&text, "################################\n");
	ck_assert_ptr_null(listing_of(LISTING_TEXT, buf_span(&text), false, &told));
	ck_assert_uint_eq(told.line, 0);
	ck_assert_uint_eq(told.column, 0);
	buf_truncate(&text, LISTING_BYTES_MAX);
	listing = listing_of(LISTING_TEXT, buf_span(&text), false, &told);
	ck_assert_ptr_nonnull(listing);
	ck_assert_uint_eq(listing_count(listing), 0);
	listing_free(&listing);
	buf_release(&text);
}
END_TEST

/* Wherever the hundredth comes, it is the last one. */
START_TEST(enough_is_enough)
{
	static const struct {
		enum listing_format format;
		const char *front;
		const char *each;
		const char *end;
	} cases[] = {
		{LISTING_TEXT, "", "\xff\n", ""},
		{LISTING_TEXT, "x", ",x", "\n"},
		{LISTING_CSV, "pattern,action,expires_at\n", "x y,z,w\n", ""},
		{LISTING_JSON, "[7", ",7", "]"},
		{LISTING_JSON, "{\"entries\":[]", ",\"x\":1", "}"},
		{LISTING_MAILDEV, "[{}", ",{}", "]"},
		{LISTING_MAILPIT, "", "a\n", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told told;
		struct buf text;

		buf_init(&text, 100000);
		(void)buf_append_text(&text, cases[i].front);
		for (int n = 0; n < 150; n++)
			(void)buf_append_text(&text, cases[i].each);
		(void)buf_append_text(&text, cases[i].end);
		ck_assert_ptr_null(listing_of(cases[i].format, buf_span(&text), false, &told));
		ck_assert_msg(told.count == LISTING_MISTAKES_MAX, "%zu: %zu", i, told.count);
		buf_release(&text);
	}
}
END_TEST

/* A text is a part of something: behind its end nothing is read. */
START_TEST(nothing_behind_it_is_read)
{
	static const struct {
		enum listing_format format;
		const char *text; /* with a `"` behind it */
	} cases[] = {
		{LISTING_CSV, "pattern\n\"a@x.test\"\""},
		{LISTING_CSV, "pattern,note\na@x.test,\""},
		{LISTING_CSV, "pattern\na@x.test\""},
		{LISTING_JSON, "[\"a@x.test\"]\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told told;
		struct span text = span_of(cases[i].text);
		struct listing *listing =
			listing_of(cases[i].format, span_first(text, text.len - 1), false, &told);

		ck_assert_msg(listing != NULL, "%s: %s", cases[i].text, told.text);
		ck_assert_uint_eq(listing_count(listing), 1);
		listing_free(&listing);
	}
}
END_TEST

START_TEST(cells_end_somewhere)
{
	struct told told;
	struct buf text;

	for (int quoted = 0; quoted < 2; quoted++) {
		buf_init(&text, 100000);
		(void)buf_append_text(&text, quoted ? "pattern\n\"" : "pattern\n");
		while (text.len < 20000)
			(void)buf_append_char(&text, 'x');
		ck_assert_ptr_null(listing_of(LISTING_CSV, buf_span(&text), false, &told));
		ck_assert_uint_eq(told.count, 1);
		ck_assert(strstr(told.text, "too long") != NULL);
		buf_release(&text);
	}
}
END_TEST

START_TEST(formats_have_names)
{
	enum listing_format format;

	for (int i = LISTING_TEXT; i <= LISTING_MAILPIT; i++) {
		ck_assert(listing_format_find(span_of(listing_format_name((enum listing_format)i)),
					      &format));
		ck_assert_int_eq((int)format, i);
		ck_assert(listing_format_is_written(format) == (i <= LISTING_JSON));
	}
	ck_assert(!listing_format_find(span_of("yaml"), &format));
	ck_assert(!listing_format_find(span_of(""), &format));
}
END_TEST

/* --- comparing --- */

static void add_difference(void *ctx, const struct entry *before, const struct entry *after)
{
	struct buf *out = ctx;

	(void)buf_printf(out, "%s%s ",
			 before == NULL	 ? "+"
			 : after == NULL ? "-"
					 : "~",
			 (after != NULL ? after : before)->pattern);
}

START_TEST(differences)
{
	struct told told;
	struct listing *now = listing_of(LISTING_TEXT,
					 span_of("a.test\nb.test note=x\nc.test\ne.test\n!f.test"),
					 false, &told);
	struct listing *wanted = listing_of(
		LISTING_TEXT,
		span_of("z.test\nc.test\nb.test note=y\ne.test scope=s\nf.test\n!f.test"), false,
		&told);
	struct buf out;

	buf_init(&out, 1000);
	listing_compare(now, wanted, add_difference, &out);
	ck_assert_str_eq(out.data, "-a.test ~b.test -e.test +z.test +e.test +f.test ");
	buf_clear(&out);
	listing_compare(now, now, add_difference, &out);
	ck_assert_uint_eq(out.len, 0);
	/* What stands there again is the same. */
	listing_free(&now);
	now = listing_of(LISTING_TEXT, span_of("e.test\nz.test\nz.test\na.test\nz.test\nb.test"),
			 false, &told);
	ck_assert_uint_eq(listing_repeats(now), 2);
	ck_assert_uint_eq(listing_count(now), 4);
	listing_compare(now, now, add_difference, &out);
	ck_assert_uint_eq(out.len, 0);
	listing_compare(now, wanted, add_difference, &out);
	ck_assert_str_eq(out.data, "-e.test -a.test ~b.test +c.test +e.test +f.test +f.test ");
	buf_release(&out);
	listing_free(&now);
	listing_free(&wanted);
}
END_TEST

UNIT_MAIN("filter/listing", what_people_have, mistakes_have_a_place, entries_are_numbered,
	  fields_are_kept, fields_at_their_edges, a_pattern_that_is_too_long, options_count, limits,
	  enough_is_enough, nothing_behind_it_is_read, cells_end_somewhere, formats_have_names,
	  differences)
