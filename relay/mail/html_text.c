/* relay/mail/html_text.c - HTML to plain text: a byte machine in the states of the HTML standard's
 * tokenizer that matter here */
#include "relay/mail/html_text.h"

#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "relay/mail/html_entity.h"
#include "relay/mail/html_tag.h"

#define NAME_SIZE 12 /* of an attribute or a tag: longer than any that means something */

enum state {
	IN_TEXT,
	IN_ENTITY,	/* behind `&` */
	TAG_OPEN,	/* behind `<` or `</` */
	TAG_NAME,	/* inside it */
	TAG_INSIDE,	/* between attributes */
	ATTRIBUTE_NAME, /* inside it */
	ATTRIBUTE_END,	/* blanks behind it */
	VALUE_START,	/* behind `=` */
	VALUE_BARE,
	VALUE_QUOTED,
	MARKUP,	 /* behind `<!` */
	COMMENT, /* behind `<!--` */
	BOGUS,	 /* up to the next `>`, whatever it is */
	RAW	 /* in an element without tags in it, up to its end */
};

struct name {
	char text[NAME_SIZE]; /* folded, with its NUL */
	size_t len;
};

struct html_text {
	enum state state;
	bool closing; /* the tag under way */
	struct name tag;
	struct name attribute;
	char quote;
	bool wanted;	  /* the value under way is kept */
	bool has_value;	  /* one was kept in this tag */
	struct buf value; /* encoded */
	char entity[HTML_ENTITY_MAX];
	size_t entity_len;
	unsigned dashes; /* in a row, in a comment */
	const char *raw; /* the element whose end is waited for */
	size_t matched;	 /* of "</" and its name */
	unsigned breaks; /* line ends owed before the next character, at most 2 */
	bool blank;	 /* a blank is owed */
	bool any;	 /* something was written */
	unsigned pre;	 /* elements that keep blanks, one in the other */
	bool in_link;
	struct buf link;  /* where the link under way goes */
	struct buf shown; /* its text so far */
};

struct html_text *html_text_new(void)
{
	struct html_text *html = mem_zalloc(sizeof(*html));

	buf_init(&html->value, HTML_TEXT_LINK_MAX);
	buf_init(&html->link, HTML_TEXT_LINK_MAX);
	buf_init(&html->shown, HTML_TEXT_LINK_MAX);
	return html;
}

void html_text_free(struct html_text **html)
{
	if (*html == NULL)
		return;
	buf_release(&(*html)->value);
	buf_release(&(*html)->link);
	buf_release(&(*html)->shown);
	mem_free(*html);
	*html = NULL;
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_out(struct buf *out, const char *text, size_t len)
{
	int code = buf_append(out, text, len);

	assert(code == ERR_OK);
}

static void put(struct html_text *html, const char *text, size_t len, struct buf *out)
{
	bool starts = html->breaks > 0 || !html->any;

	for (; html->any && html->breaks > 0; html->breaks--)
		write_out(out, "\r\n", 2);
	html->breaks = 0;
	if (html->blank && !starts)
		write_out(out, " ", 1);
	html->blank = false;
	html->any = true;
	write_out(out, text, len);
	if (html->in_link && buf_append(&html->shown, text, len) != ERR_OK)
		buf_clear(&html->shown); /* longer than any link: it is not the same text */
}

static void put_char(struct html_text *html, char c, struct buf *out)
{
	if (!ascii_is_blank(c) && c != '\r' && c != '\n')
		put(html, &c, 1, out);
	else if (html->pre == 0)
		html->blank = true;
	else if (c == '\n')
		html->breaks += html->breaks < 2 ? 1 : 0;
	else if (c != '\r')
		put(html, " ", 1, out);
}

static void put_span(struct html_text *html, struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++)
		put_char(html, text.data[i], out);
}

static void owe_breaks(struct html_text *html, unsigned count)
{
	if (html->breaks < count)
		html->breaks = count;
}

/* --- attributes ------------------------------------------------------------------------------ */

/* Characters in place of their names; never longer. */
static void value_decode(struct span value, struct buf *out)
{
	while (value.len > 0) {
		size_t end = 1;
		char text[4];
		size_t len = 0;

		while (end < value.len && end <= HTML_ENTITY_MAX + 1 && value.data[end] != ';')
			end++;
		if (value.data[0] == '&' && end < value.len && value.data[end] == ';')
			len = html_entity_decode(span_make(value.data + 1, end - 1), text);
		if (len == 0)
			(void)buf_append_char(out, value.data[0]);
		else
			(void)buf_append(out, text, len);
		value = span_skip(value, len == 0 ? 1 : end + 1);
	}
}

/* Does the text of the link say where it goes? */
static bool link_is_shown(const struct html_text *html)
{
	struct span link = buf_span(&html->link);
	struct span shown = span_trim(buf_span(&html->shown));

	if (span_starts_fold(link, "mailto:"))
		link = span_skip(link, strlen("mailto:"));
	if (link.len == shown.len + 1 && link.data[shown.len] == '/')
		link.len--;
	return span_equal(link, shown);
}

static void link_end(struct html_text *html, struct buf *out)
{
	if (!html->in_link)
		return;
	html->in_link = false;
	if (!link_is_shown(html)) {
		html->blank = true;
		put(html, "<", 1, out);
		write_out(out, html->link.data, html->link.len);
		write_out(out, ">", 1);
	}
	buf_clear(&html->link);
	buf_clear(&html->shown);
}

/* Browsers take line ends and TABs out of links too. */
static void link_begin(struct html_text *html, struct buf *out)
{
	struct buf target;
	struct span value;

	if (html->in_link) {
		link_end(html, out);
		html->blank = true;
	}
	buf_init(&target, HTML_TEXT_LINK_MAX);
	value_decode(buf_span(&html->value), &target);
	value = span_trim(buf_span(&target));
	for (size_t i = 0; i < value.len && value.data[0] != '#'; i++)
		if ((unsigned char)value.data[i] >= ' ')
			(void)buf_append_char(&html->link, value.data[i]);
	html->in_link = html->link.len > 0;
	buf_release(&target);
}

static void image_show(struct html_text *html, struct buf *out)
{
	struct buf text;

	buf_init(&text, HTML_TEXT_LINK_MAX);
	value_decode(buf_span(&html->value), &text);
	if (span_trim(buf_span(&text)).len > 0) {
		put(html, "[", 1, out);
		put_span(html, span_trim(buf_span(&text)), out);
		put(html, "]", 1, out);
	}
	buf_release(&text);
}

/* --- tags ------------------------------------------------------------------------------------ */

static void pre_change(struct html_text *html)
{
	owe_breaks(html, 2);
	if (!html->closing)
		html->pre++;
	else if (html->pre > 0)
		html->pre--;
}

static void tag_act(struct html_text *html, const struct html_tag *tag, struct buf *out)
{
	switch (tag->meaning) {
	case HTML_TAG_LINE: owe_breaks(html, 1); break;
	case HTML_TAG_PARAGRAPH: owe_breaks(html, 2); break;
	case HTML_TAG_BREAK: html->breaks += html->breaks < 2 ? 1 : 0; break;
	case HTML_TAG_CELL: html->blank = true; break;
	case HTML_TAG_PRE: pre_change(html); break;
	case HTML_TAG_ITEM:
		owe_breaks(html, 1);
		if (!html->closing)
			put(html, "* ", 2, out);
		break;
	case HTML_TAG_LINK:
		if (html->closing)
			link_end(html, out);
		else
			link_begin(html, out);
		break;
	case HTML_TAG_IMAGE:
		if (!html->closing)
			image_show(html, out);
		break;
	case HTML_TAG_RAW:
		if (!html->closing) {
			html->raw = tag->name;
			html->matched = 0;
			html->state = RAW;
		}
		break;
	}
}

/* At the `>`. */
static void tag_end(struct html_text *html, struct buf *out)
{
	const struct html_tag *tag = html_tag_find(html->tag.text);

	html->state = IN_TEXT;
	if (tag != NULL)
		tag_act(html, tag, out);
}

/* --- the states: each takes `c`, or leaves it to the next state and says false -----------------
 */

static bool is_space(char c)
{
	return ascii_is_blank(c) || c == '\r' || c == '\n' || c == '\f';
}

static void name_begin(struct name *name)
{
	*name = (struct name){0};
}

/* What is too long has no name that we know. */
static void name_add(struct name *name, char c)
{
	if (name->len + 1 < NAME_SIZE)
		name->text[name->len] = ascii_lower(c);
	else
		name->text[0] = '\0';
	name->len++;
}

static bool in_text(struct html_text *html, char c, struct buf *out)
{
	if (c == '<') {
		html->state = TAG_OPEN;
		html->closing = false;
	} else if (c == '&') {
		html->state = IN_ENTITY;
		html->entity_len = 0;
	} else {
		put_char(html, c, out);
	}
	return true;
}

static void entity_as_it_is(struct html_text *html, struct buf *out)
{
	put(html, "&", 1, out);
	put_span(html, span_make(html->entity, html->entity_len), out);
}

static bool in_entity(struct html_text *html, char c, struct buf *out)
{
	char text[4];
	size_t len = 0;

	if ((ascii_is_alnum(c) || (c == '#' && html->entity_len == 0)) &&
	    html->entity_len < HTML_ENTITY_MAX) {
		html->entity[html->entity_len++] = c;
		return true;
	}
	html->state = IN_TEXT;
	if (c == ';')
		len = html_entity_decode(span_make(html->entity, html->entity_len), text);
	if (len == 0) {
		entity_as_it_is(html, out);
		return false;
	}
	if (len == 1)
		put_char(html, text[0], out);
	else
		put(html, text, len, out);
	return true;
}

static bool tag_open(struct html_text *html, char c, struct buf *out)
{
	html->state = BOGUS;
	if (ascii_is_alpha(c)) {
		html->state = TAG_NAME;
		html->has_value = false;
		buf_clear(&html->value);
		name_begin(&html->tag);
		return false;
	}
	if (html->closing) {
		if (c == '>')
			html->state = IN_TEXT;
	} else if (c == '/') {
		html->state = TAG_OPEN;
		html->closing = true;
	} else if (c == '!') {
		html->state = MARKUP;
		html->dashes = 0;
	} else if (c != '?') {
		html->state = IN_TEXT;
		put(html, "<", 1, out);
		return false;
	}
	return true;
}

static bool tag_name(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (is_space(c) || c == '/' || c == '>') {
		html->state = TAG_INSIDE;
		return false;
	}
	name_add(&html->tag, c);
	return true;
}

static bool tag_inside(struct html_text *html, char c, struct buf *out)
{
	if (c == '>') {
		tag_end(html, out);
	} else if (!is_space(c) && c != '/') {
		html->state = ATTRIBUTE_NAME;
		name_begin(&html->attribute);
		name_add(&html->attribute, c);
	}
	return true;
}

static bool attribute_name(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (is_space(c) || c == '=' || c == '/' || c == '>') {
		html->state = ATTRIBUTE_END;
		return false;
	}
	name_add(&html->attribute, c);
	return true;
}

static bool attribute_end(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (is_space(c))
		return true;
	html->state = c == '=' ? VALUE_START : TAG_INSIDE;
	return c == '=';
}

/* The first one counts, as for browsers. */
static bool is_wanted(const struct html_text *html)
{
	const char *tag = html->tag.text;
	const char *attribute = html->attribute.text;

	return !html->closing && !html->has_value &&
	       ((strcmp(tag, "a") == 0 && strcmp(attribute, "href") == 0) ||
		(strcmp(tag, "img") == 0 && strcmp(attribute, "alt") == 0));
}

static bool value_start(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (is_space(c))
		return true;
	if (c == '>') {
		html->state = TAG_INSIDE;
		return false;
	}
	html->wanted = is_wanted(html);
	html->has_value = html->has_value || html->wanted;
	html->quote = c;
	html->state = c == '"' || c == '\'' ? VALUE_QUOTED : VALUE_BARE;
	return html->state == VALUE_QUOTED;
}

static void value_add(struct html_text *html, char c)
{
	if (html->wanted && buf_append_char(&html->value, c) != ERR_OK) {
		html->wanted = false;
		buf_clear(&html->value);
	}
}

static bool value_bare(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (is_space(c) || c == '>') {
		html->state = TAG_INSIDE;
		return false;
	}
	value_add(html, c);
	return true;
}

static bool value_quoted(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (c == html->quote)
		html->state = TAG_INSIDE;
	else
		value_add(html, c);
	return true;
}

static bool markup(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (c != '-') {
		html->state = BOGUS;
		return false;
	}
	if (++html->dashes == 2)
		html->state = COMMENT;
	return true;
}

static bool comment(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (c == '>' && html->dashes >= 2)
		html->state = IN_TEXT;
	html->dashes = c != '-' ? 0 : html->dashes < 2 ? html->dashes + 1 : 2;
	return true;
}

static bool bogus(struct html_text *html, char c, struct buf *out)
{
	(void)out;
	if (c == '>')
		html->state = IN_TEXT;
	return true;
}

static bool raw(struct html_text *html, char c, struct buf *out)
{
	size_t at = html->matched;
	char want = at == 0 ? '<' : at == 1 ? '/' : html->raw[at - 2];

	(void)out;
	if (want == '\0' && (is_space(c) || c == '/' || c == '>')) {
		html->state = BOGUS;
		return false;
	}
	if (want != '\0' && ascii_lower(c) == want)
		html->matched++;
	else
		html->matched = c == '<' ? 1 : 0;
	return true;
}

static bool (*const states[])(struct html_text *html, char c, struct buf *out) = {
	[IN_TEXT] = in_text,
	[IN_ENTITY] = in_entity,
	[TAG_OPEN] = tag_open,
	[TAG_NAME] = tag_name,
	[TAG_INSIDE] = tag_inside,
	[ATTRIBUTE_NAME] = attribute_name,
	[ATTRIBUTE_END] = attribute_end,
	[VALUE_START] = value_start,
	[VALUE_BARE] = value_bare,
	[VALUE_QUOTED] = value_quoted,
	[MARKUP] = markup,
	[COMMENT] = comment,
	[BOGUS] = bogus,
	[RAW] = raw,
};

void html_text_write(struct html_text *html, struct span bytes, struct buf *out)
{
	for (size_t i = 0; i < bytes.len; i++)
		while (!states[html->state](html, bytes.data[i], out))
			;
}

void html_text_end(struct html_text *html, struct buf *out)
{
	if (html->state == IN_ENTITY)
		entity_as_it_is(html, out);
	else if (html->state == TAG_OPEN)
		put(html, html->closing ? "</" : "<", html->closing ? 2 : 1, out);
	link_end(html, out);
	if (html->any)
		write_out(out, "\r\n", 2);
}
