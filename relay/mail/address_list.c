/*
 * relay/mail/address_list.c - address-list and its obsolete forms, exactly: what the grammar does
 * not derive is broken, however well somebody could guess it. No recursion, no second look.
 */
#include "relay/mail/address_list.h"

#include <assert.h>

#include "relay/mail/lexer.h"

/* What was read of one element; offsets are into the field. */
struct element {
	size_t start;
	size_t spec;	 /* first byte of the local part or route */
	size_t spec_end; /* behind the domain */
	bool in_angle;	 /* behind `<`, before `>` */
	bool quoted;
	bool route;
};

/* The words and dots in front of a `@`, `<` or `:`: a local part, a phrase, or neither. */
struct words {
	size_t start; /* of the first */
	size_t count; /* words and dots */
	bool local;   /* word *("." word), CFWS between them allowed (obs-local-part) */
	bool phrase;  /* begins with a word (phrase, obs-phrase) */
	bool quoted;
	bool good; /* no malformed piece among them */
};

/* How much of the field was read. */
static size_t offset(const struct address_list *list)
{
	return list->field.len - list->rest.len;
}

static void put(struct buf *out, struct span text)
{
	int code = buf_append_span(out, text);

	assert(code == ERR_OK); /* parts of a field are no longer than the field */
}

/* One more word or dot into both readings; true while there is one. */
static bool word_take(struct address_list *list, struct words *words, bool *dot_before)
{
	size_t before = list->local.len;
	size_t start = offset(list);
	bool dot = lexer_take(&list->rest, '.');

	if (dot) {
		put(&list->local, span_of("."));
	} else if (lexer_at(list->rest, '"')) {
		words->good = lexer_quoted(&list->rest, &list->local) && words->good;
		words->quoted = true;
	} else {
		struct span atom = lexer_atom(&list->rest);

		if (atom.len == 0)
			return false;
		put(&list->local, atom);
	}
	put(&list->display, span_skip(buf_span(&list->local), before));
	if (words->count == 0) {
		words->phrase = !dot;
		words->start = start;
	}
	words->local = words->local && dot != *dot_before;
	*dot_before = dot;
	words->count++;
	return true;
}

static void words_take(struct address_list *list, struct words *words)
{
	bool dot = true; /* so that the first must be a word */
	bool more = true;

	*words = (struct words){.local = true, .good = true};
	while (more) {
		size_t before = list->rest.len;
		size_t display = list->display.len;

		words->good = lexer_cfws(&list->rest) && words->good;
		if (words->count > 0 && list->rest.len < before)
			put(&list->display, span_of(" "));
		more = word_take(list, words, &dot);
		if (!more)
			buf_truncate(&list->display, display);
	}
	words->local = words->local && words->count > 0 && !dot;
}

/* domain, domain-literal or obs-domain, CFWS around it too. *end_out: behind its last piece. */
static bool domain_take(struct address_list *list, struct buf *out, size_t *end_out)
{
	bool good = lexer_cfws(&list->rest);

	if (lexer_at(list->rest, '[')) {
		good = lexer_literal(&list->rest, out) && good;
		*end_out = offset(list);
		return lexer_cfws(&list->rest) && good;
	}
	for (;;) {
		struct span atom = lexer_atom(&list->rest);

		if (atom.len == 0)
			return false;
		put(out, atom);
		*end_out = offset(list);
		good = lexer_cfws(&list->rest) && good;
		if (!lexer_take(&list->rest, '.'))
			return good;
		put(out, span_of("."));
		good = lexer_cfws(&list->rest) && good;
	}
}

/* At `@`, behind a local part. */
static bool domain_part_take(struct address_list *list, struct element *element)
{
	if (!lexer_take(&list->rest, '@') || !domain_take(list, &list->domain, &element->spec_end))
		return false;
	/* RFC 6532 3.2: 8-bit in an address is UTF-8; in display names we let it pass. */
	return span_is_utf8(buf_span(&list->local)) && span_is_utf8(buf_span(&list->domain));
}

/* obs-route = obs-domain-list ":"; the hosts are checked and forgotten (RFC 5322 4.4). */
static bool route_take(struct address_list *list)
{
	bool good = true;
	bool host = false; /* there was one */
	bool comma = true; /* another may follow */

	while (good) {
		good = lexer_cfws(&list->rest);
		if (lexer_take(&list->rest, ',')) {
			comma = true;
		} else if (comma && lexer_take(&list->rest, '@')) {
			size_t end;

			good = domain_take(list, &list->domain, &end) && good;
			host = true;
			comma = false;
		} else {
			break;
		}
	}
	buf_clear(&list->domain);
	return good && host && lexer_take(&list->rest, ':');
}

/* angle-addr, at its `<`; the display name before it is in list->display and stays there. */
static bool angle_take(struct address_list *list, struct element *element)
{
	size_t display = list->display.len;
	struct words words;

	list->rest = span_skip(list->rest, 1);
	element->in_angle = true;
	buf_clear(&list->local);
	if (!lexer_cfws(&list->rest))
		return false;
	element->spec = offset(list);
	element->route = lexer_at(list->rest, '@') || lexer_at(list->rest, ',');
	if (element->route && !route_take(list))
		return false;
	words_take(list, &words);
	buf_truncate(&list->display, display);
	element->quoted = words.quoted;
	if (!words.good || !words.local || !domain_part_take(list, element) ||
	    !lexer_take(&list->rest, '>'))
		return false;
	element->in_angle = false;
	return lexer_cfws(&list->rest);
}

static bool at_separator(const struct address_list *list)
{
	return list->rest.len == 0 || list->rest.data[0] == ',' ||
	       (list->in_group && list->rest.data[0] == ';');
}

/* Element = [ mailbox / "name:" ]. False when it is broken; then *kind_out is not set. */
static bool element_take(struct address_list *list, struct element *element,
			 enum address_item_kind *kind_out)
{
	struct words words;

	words_take(list, &words);
	if (!words.good)
		return false;
	if (words.count > 0 && !list->in_group && words.phrase && lexer_take(&list->rest, ':')) {
		*kind_out = ADDRESS_ITEM_GROUP;
		return true;
	}
	*kind_out = ADDRESS_ITEM_MAILBOX;
	if (lexer_at(list->rest, '<'))
		return (words.count == 0 || words.phrase) && angle_take(list, element) &&
		       at_separator(list);
	if (words.count == 0)
		return at_separator(list);
	buf_clear(&list->display);
	element->spec = words.start;
	element->quoted = words.quoted;
	return words.local && domain_part_take(list, element) && at_separator(list);
}

/*
 * Behind something broken: on to the next separator. What is quoted, in a
 * comment or between angle brackets separates nothing; the rest of an
 * unclosed one is lost with it.
 */
static void recover(struct address_list *list, bool in_angle)
{
	while (list->rest.len > 0) {
		char c = list->rest.data[0];

		if (!in_angle && at_separator(list))
			return;
		if (c == '"') {
			lexer_quoted(&list->rest, NULL);
			continue;
		}
		if (c == '(') {
			lexer_cfws(&list->rest);
			continue;
		}
		if (c == '<' || c == '>')
			in_angle = c == '<';
		list->rest = span_skip(list->rest, 1);
	}
}

/* The comma or the group's end behind an element. */
static void separator_take(struct address_list *list)
{
	if (list->in_group && lexer_take(&list->rest, ';')) {
		bool good = lexer_cfws(&list->rest);

		list->in_group = false;
		list->stray = !good || !at_separator(list);
		if (list->stray)
			return;
	}
	lexer_take(&list->rest, ',');
}

static struct span field_part(const struct address_list *list, size_t from, size_t to)
{
	return span_make(list->field.data + from, to - from);
}

static bool broken_give(struct address_list *list, size_t start, struct address_item *item_out)
{
	*item_out = (struct address_item){.kind = ADDRESS_ITEM_BROKEN,
					  .in_group = list->in_group,
					  .source = field_part(list, start, offset(list))};
	list->items++;
	separator_take(list);
	return true;
}

/* What is only known when everything was read. */
static bool end_give(struct address_list *list, struct address_item *item_out)
{
	bool unclosed = list->in_group;
	bool nothing = list->items == 0 && span_trim(list->field).len > 0;

	list->in_group = false;
	if (!unclosed && !nothing)
		return false;
	return broken_give(list, nothing ? 0 : list->field.len, item_out);
}

static void item_fill(struct address_list *list, const struct element *element,
		      enum address_item_kind kind, struct address_item *item_out)
{
	*item_out = (struct address_item){
		.kind = kind,
		.in_group = list->in_group,
		.source = field_part(list, element->start, offset(list)),
		.display = buf_span(&list->display),
	};
	list->items++;
	if (kind != ADDRESS_ITEM_MAILBOX)
		return;
	item_out->quoted = element->quoted;
	item_out->route = element->route;
	item_out->spec = field_part(list, element->spec, element->spec_end);
	item_out->local = buf_span(&list->local);
	item_out->domain = buf_span(&list->domain);
}

void address_list_init(struct address_list *list, struct span field)
{
	/* Line ends at the end belong to the field, not to its value. */
	while (field.len > 0 && strchr("\r\n", field.data[field.len - 1]) != NULL &&
	       field.data[field.len - 1] != '\0')
		field.len--;
	*list = (struct address_list){.rest = field, .field = field};
	buf_init(&list->display, field.len);
	buf_init(&list->local, field.len);
	buf_init(&list->domain, field.len);
}

void address_list_release(struct address_list *list)
{
	buf_release(&list->display);
	buf_release(&list->local);
	buf_release(&list->domain);
}

bool address_list_next(struct address_list *list, struct address_item *item_out)
{
	while (list->rest.len > 0 || list->stray) {
		struct element element = {.start = offset(list)};
		enum address_item_kind kind;
		bool good;

		buf_clear(&list->display);
		buf_clear(&list->local);
		buf_clear(&list->domain);
		good = !list->stray && element_take(list, &element, &kind);
		list->stray = false;
		if (!good) {
			recover(list, element.in_angle);
			return broken_give(list, element.start, item_out);
		}
		if (kind == ADDRESS_ITEM_GROUP) {
			item_fill(list, &element, kind, item_out);
			list->in_group = true;
			return true;
		}
		if (element.spec_end > 0)
			item_fill(list, &element, kind, item_out);
		separator_take(list);
		if (element.spec_end > 0)
			return true;
	}
	return end_give(list, item_out);
}

/* Not a Dot-string of RFC 5321. */
static bool needs_quotes(struct span local)
{
	bool atom = false;

	while (local.len > 0) {
		bool dot = lexer_take(&local, '.');

		if (dot ? !atom : lexer_atom(&local).len == 0)
			return true;
		atom = !dot;
	}
	return !atom;
}

int address_item_address(const struct address_item *item, struct address *address_out,
			 struct err *why)
{
	struct address address;
	bool quote = needs_quotes(item->local);
	struct buf text;
	int code;

	assert(item->kind == ADDRESS_ITEM_MAILBOX);
	/* Room for a pair for every byte: what is longer than an address may be fails to parse. */
	buf_init(&text, (item->local.len + 1) * 2 + 1 + item->domain.len);
	if (quote)
		buf_append_char(&text, '"');
	for (size_t i = 0; i < item->local.len; i++) {
		if (item->local.data[i] == '"' || item->local.data[i] == '\\')
			buf_append_char(&text, '\\');
		buf_append_char(&text, item->local.data[i]);
	}
	if (quote)
		buf_append_char(&text, '"');
	buf_append_char(&text, '@');
	buf_append_span(&text, item->domain);
	code = address_parse(buf_span(&text), &address, why);
	buf_release(&text);
	if (code != ERR_OK)
		return code;
	if (item->quoted || item->route)
		address.form = ADDRESS_UNSAFE;
	*address_out = address;
	return ERR_OK;
}
