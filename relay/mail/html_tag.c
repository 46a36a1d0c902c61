/* relay/mail/html_tag.c - what a tag of HTML means for plain text */
#include "relay/mail/html_tag.h"

#include <stddef.h>
#include <string.h>

static const struct html_tag tags[] = {
	{"a", HTML_TAG_LINK},
	{"address", HTML_TAG_LINE},
	{"article", HTML_TAG_PARAGRAPH},
	{"blockquote", HTML_TAG_PARAGRAPH},
	{"br", HTML_TAG_BREAK},
	{"caption", HTML_TAG_LINE},
	{"center", HTML_TAG_LINE},
	{"dd", HTML_TAG_LINE},
	{"div", HTML_TAG_LINE},
	{"dl", HTML_TAG_PARAGRAPH},
	{"dt", HTML_TAG_LINE},
	{"fieldset", HTML_TAG_LINE},
	{"figure", HTML_TAG_LINE},
	{"footer", HTML_TAG_LINE},
	{"form", HTML_TAG_LINE},
	{"h1", HTML_TAG_PARAGRAPH},
	{"h2", HTML_TAG_PARAGRAPH},
	{"h3", HTML_TAG_PARAGRAPH},
	{"h4", HTML_TAG_PARAGRAPH},
	{"h5", HTML_TAG_PARAGRAPH},
	{"h6", HTML_TAG_PARAGRAPH},
	{"header", HTML_TAG_LINE},
	{"hr", HTML_TAG_PARAGRAPH},
	{"img", HTML_TAG_IMAGE},
	{"li", HTML_TAG_ITEM},
	{"ol", HTML_TAG_PARAGRAPH},
	{"option", HTML_TAG_LINE},
	{"p", HTML_TAG_PARAGRAPH},
	{"pre", HTML_TAG_PRE},
	{"script", HTML_TAG_RAW},
	{"section", HTML_TAG_PARAGRAPH},
	{"style", HTML_TAG_RAW},
	{"table", HTML_TAG_LINE},
	{"td", HTML_TAG_CELL},
	{"th", HTML_TAG_CELL},
	{"title", HTML_TAG_RAW},
	{"tr", HTML_TAG_LINE},
	{"ul", HTML_TAG_PARAGRAPH},
};

const struct html_tag *html_tag_find(const char *name)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strcmp(name, tags[i].name) == 0)
			return &tags[i];
	return NULL;
}
