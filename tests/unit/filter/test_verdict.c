/* tests relay/filter/verdict.c: one list, many addresses (CASES 2.E as far as forms go, 2.F) */
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define NOW 1000000

static const struct list_row rows[] = {
	{"alice@example.com", .id = 1},
	{"first_last@allowed.test", .id = 2},
	{"allowed.test", .id = 3},
	{".sub.test", .id = 4},
	{"qa-*@glob.test", .id = 5},
	{"qa-*@.glob.test", .id = 6},
	{"*-end@glob.test", .id = 7},
	{"old@expired.test", .id = 8, .expires_at = NOW},
	{"new@expired.test", .id = 9, .expires_at = NOW + 1},
	{"twice@expired.test", .id = 10, .expires_at = NOW - 5},
	{"twice@expired.test", .id = 11, .scope = "shop"},
	{"shop@scoped.test", .id = 12, .scope = "shop"},
	{"mixed@scoped.test", .id = 13, .scope = "shop"},
	{"mixed@scoped.test", .id = 14, .scope = "crm"},
	{"bad@allowed.test", .id = 15, .deny = true},
	{"evil-*@allowed.test", .id = 16, .deny = true},
	{".no.sub.test", .id = 17, .deny = true},
	{"shopdeny@allowed.test", .id = 18, .deny = true, .scope = "shop"},
	{"past@allowed.test", .id = 19, .deny = true, .expires_at = 5},
	{"root@localhost", .id = 20},
	{"a%b@wild.test", .id = 21},
	{"c%d@denied.test", .id = 22},
	{"denied.test", .id = 23, .deny = true},
	{"user@tag.test", .id = 24},
	{"parent.test", .id = 25},
	{".test-only.example", .id = 26},
	{"x@xn--bcher-kva.example", .id = 27},
	{"wild.test", .id = 28},
	{"specific@both.test", .id = 31},
	{"both.test", .id = 29},
	{"spec*@both.test", .id = 30},
	{NULL},
};

static const struct {
	const char *address;
	const char *scope;
	enum verdict_reason reason;
	int64_t entry;
	const char *nearest;
} table[] = {
	{"alice@example.com", "", REASON_ALLOWED, 1, ""},
	{"ALICE@EXAMPLE.COM", "shop", REASON_ALLOWED, 1, ""}, /* S086, S087 */
	{"bob@example.com", "", REASON_NOT_LISTED, 0, ""},
	{"alice@example.com.evil.example", "", REASON_NOT_LISTED, 0, ""},
	{"firstXlast@other.test", "", REASON_NOT_LISTED, 0, ""}, /* S148 */
	{"first_last@allowed.test", "", REASON_ALLOWED, 2, ""},	 /* the most specific is named */
	{"any@allowed.test", "", REASON_ALLOWED, 3, ""},
	/* S150 */
	{"u@notallowed.test", "", REASON_NOT_LISTED, 0, ""},
	{"u@allowed.test.evil.example", "", REASON_NOT_LISTED, 0, ""},
	{"u@sub.allowed.test", "", REASON_NOT_LISTED, 0, "allowed.test"},
	{"u@sub.test", "", REASON_NOT_LISTED, 0, ".sub.test"},
	{"u@a.sub.test", "", REASON_ALLOWED, 4, ""},
	{"u@a.b.sub.test", "", REASON_ALLOWED, 4, ""},
	{"u@no.sub.test", "", REASON_ALLOWED, 4, ""},
	{"u@x.no.sub.test", "", REASON_DENIED, 17, ""},
	/* globs */
	{"qa-1@glob.test", "", REASON_ALLOWED, 5, ""},
	{"qa-1@x.glob.test", "", REASON_ALLOWED, 6, ""},
	{"1-end@glob.test", "", REASON_ALLOWED, 7, ""},
	{"qa-1-end@glob.test", "", REASON_ALLOWED, 7, ""}, /* the longer of two globs */
	{"qb-1@glob.test", "", REASON_NOT_LISTED, 0, "*-end@glob.test"},
	{"qa-%@glob.test", "", REASON_UNSAFE_FORM, 0, "qa-*@glob.test"},
	/* S170: expiry */
	{"old@expired.test", "", REASON_EXPIRED, 8, "old@expired.test"},
	{"new@expired.test", "", REASON_ALLOWED, 9, ""},
	{"twice@expired.test", "", REASON_EXPIRED, 10, "twice@expired.test"},
	{"twice@expired.test", "shop", REASON_ALLOWED, 11, ""},
	/* scopes */
	{"shop@scoped.test", "shop", REASON_ALLOWED, 12, ""},
	{"shop@scoped.test", "", REASON_NOT_LISTED, 0, "shop@scoped.test"},
	{"shop@scoped.test", "crm", REASON_NOT_LISTED, 0, "shop@scoped.test"},
	{"shop@scoped.test", "SHOP", REASON_NOT_LISTED, 0, "shop@scoped.test"},
	{"mixed@scoped.test", "crm", REASON_ALLOWED, 14, ""},
	/* deny wins */
	{"bad@allowed.test", "", REASON_DENIED, 15, ""},
	{"evil-x@allowed.test", "", REASON_DENIED, 16, ""},
	{"shopdeny@allowed.test", "", REASON_ALLOWED, 3, ""},
	{"shopdeny@allowed.test", "shop", REASON_DENIED, 18, ""},
	{"past@allowed.test", "", REASON_ALLOWED, 3, ""},
	/* forms: S108, S109, S111, S133, S134 */
	{"root@localhost", "", REASON_ALLOWED, 20, ""},
	{"a%b@wild.test", "", REASON_ALLOWED, 21, ""},
	{"c%d@denied.test", "", REASON_DENIED, 23, ""}, /* a deny is read widely */
	{"x%y@wild.test", "", REASON_UNSAFE_FORM, 0, "wild.test"},
	{"evil.example!real@wild.test", "", REASON_UNSAFE_FORM, 0, "wild.test"},
	{"user+real=evil.example@wild.test", "", REASON_UNSAFE_FORM, 0, "wild.test"},
	{"|/bin/sh@wild.test", "", REASON_UNSAFE_FORM, 0, "wild.test"},
	{"x%y@nowhere.test", "", REASON_NOT_LISTED, 0, ""},
	/* S099, S104, S124 */
	{"\"alice\"@example.com", "", REASON_UNSAFE_FORM, 0, ""},
	{"\"real@evil.example\"@allowed.test", "", REASON_UNSAFE_FORM, 0, ""},
	{"u@[127.0.0.1]", "", REASON_UNSAFE_FORM, 0, ""},
	/* S132, S138, and nearest misses */
	{"user+x@tag.test", "", REASON_NOT_LISTED, 0, "user@tag.test"},
	{"x@b\xc3\xbc"
	 "cher.example",
	 "", REASON_ALLOWED, 27, ""},
	{"x@deep.mail.parent.test", "", REASON_NOT_LISTED, 0, "parent.test"},
	{"x@test-only.example", "", REASON_NOT_LISTED, 0, ".test-only.example"},
	{"specific@both.test", "", REASON_ALLOWED, 31, ""},
	{"specifik@both.test", "", REASON_ALLOWED, 30, ""},
	{"other@both.test", "", REASON_ALLOWED, 29, ""},
};

static void check_row(const struct whitelist_snapshot *snapshot, size_t i)
{
	struct span scope = span_of(table[i].scope);
	struct address address;
	struct verdict judged;
	struct verdict explained;
	struct err why;

	ck_assert_msg(address_parse(span_of(table[i].address), &address, &why) == ERR_OK, "%s: %s",
		      table[i].address, why.text);
	verdict_judge(snapshot, &address, scope, NOW, &judged);
	verdict_explain(snapshot, &address, scope, NOW, &explained);
	ck_assert_msg(judged.reason == table[i].reason, "%s gives reason %d", table[i].address,
		      judged.reason);
	ck_assert_int_eq(judged.kind,
			 judged.reason == REASON_ALLOWED ? VERDICT_DELIVER : VERDICT_DROP);
	ck_assert_int_eq(judged.entry, table[i].entry);
	ck_assert_int_eq(judged.revision, whitelist_revision(snapshot));
	ck_assert_str_eq(judged.nearest, "");
	ck_assert_str_eq(explained.nearest, table[i].nearest);
	ck_assert_int_eq(explained.entry, judged.entry);
	ck_assert_str_eq(explained.pattern, judged.pattern);
}

START_TEST(from_a_base)
{
	struct whitelist *list = list_of(rows);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		check_row(snapshot, i);
	ck_assert_uint_eq(whitelist_size(snapshot), sizeof(rows) / sizeof(rows[0]) - 1);
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* The same rows published one by one over a base that held other things under the same ids. */
START_TEST(from_changes)
{
	struct list_row old[sizeof(rows) / sizeof(rows[0])];
	struct whitelist *list;
	const struct whitelist_snapshot *snapshot;

	memcpy(old, rows, sizeof(old));
	for (size_t i = 0; old[i].pattern != NULL; i++)
		old[i].pattern = i % 2 != 0 ? "example.com" : "*";
	list = list_of(old);
	for (size_t i = 0; rows[i].pattern != NULL; i++) {
		struct pattern pattern;
		struct whitelist_change change = {.operation = ENTRY_REPLACE,
						  .entry = list_entry(&rows[i], &pattern)};

		whitelist_publish(list, &change, 1, (int64_t)i + 2);
	}
	snapshot = whitelist_acquire(list);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		check_row(snapshot, i);
	ck_assert_uint_eq(whitelist_size(snapshot), sizeof(rows) / sizeof(rows[0]) - 1);
	ck_assert(!whitelist_allows_all(snapshot));
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* S147: nothing known means nothing leaves */
START_TEST(empty_list)
{
	struct whitelist *list = whitelist_new();
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct verdict verdict;
	struct address address;
	char sentence[400];

	ck_assert_int_eq(address_parse(span_of("a@b.test"), &address, NULL), ERR_OK);
	verdict_judge(snapshot, &address, span_of(""), NOW, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_int_eq(verdict.reason, REASON_EMPTY_LIST);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	ck_assert_str_eq(sentence, "the whitelist is empty");
	whitelist_release(&snapshot);
	ck_assert_ptr_null(snapshot);
	whitelist_free(&list);
}
END_TEST

/* S149: `*` allows the plain ones, and says so */
START_TEST(everybody)
{
	struct whitelist *list = list_of((const struct list_row[]){
		{"*", .id = 1}, {"no@x.test", .id = 2, .deny = true}, {NULL}});
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	static const struct {
		const char *address;
		enum verdict_reason reason;
	} all[] = {{"a@b.test", REASON_ALLOWED},
		   {"no@x.test", REASON_DENIED},
		   {"a%b@c.test", REASON_UNSAFE_FORM},
		   {"root@localhost", REASON_UNSAFE_FORM}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct verdict verdict;
		struct address address;

		ck_assert_int_eq(address_parse(span_of(all[i].address), &address, NULL), ERR_OK);
		verdict_judge(snapshot, &address, span_of(""), NOW, &verdict);
		ck_assert_int_eq(verdict.reason, all[i].reason);
	}
	ck_assert(whitelist_allows_all(snapshot));
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

START_TEST(sentences)
{
	static const struct {
		struct verdict verdict;
		const char *want;
	} says[] = {
		{{.reason = REASON_ALLOWED, .pattern = ".example.com"}, "allowed by .example.com"},
		{{.kind = VERDICT_DROP, .reason = REASON_DENIED, .pattern = "a@b.c"},
		 "denied by a@b.c"},
		{{.kind = VERDICT_DROP, .reason = REASON_NOT_LISTED, .nearest = "b.c"},
		 "no entry allows it (nearest: b.c)"},
		{{.kind = VERDICT_DROP,
		  .reason = REASON_NOT_LISTED,
		  .nearest = "b.c",
		  .nearest_elsewhere = true},
		 "no entry allows it (nearest: b.c, of another scope)"},
		{{.kind = VERDICT_DROP,
		  .reason = REASON_EXPIRED,
		  .pattern = "a@b.c",
		  .nearest = "a@b.c"},
		 "the entry a@b.c has expired"},
		{{.kind = VERDICT_HOLD, .reason = REASON_POLICY},
		 "no entry allows it, policy.default is hold"},
		{{.kind = VERDICT_REJECT,
		  .reason = REASON_POLICY,
		  .pattern = "a@b.c",
		  .nearest = "a@b.c"},
		 "the entry a@b.c has expired, policy.default is reject"},
		{{.kind = VERDICT_DROP, .reason = REASON_UNSAFE_FORM}, "unsafe address form"},
	};
	char text[400];

	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		verdict_sentence(&says[i].verdict, text, sizeof(text));
		ck_assert_str_eq(text, says[i].want);
	}
	verdict_sentence(&says[2].verdict, text, 10);
	ck_assert_str_eq(text, "no entry ");
	ck_assert_str_eq(verdict_kind_name(VERDICT_REDIRECT), "redirect");
}
END_TEST

UNIT_MAIN("filter/verdict", from_a_base, from_changes, empty_list, everybody, sentences)
