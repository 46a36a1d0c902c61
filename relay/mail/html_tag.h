/* relay/mail/html_tag.h - what a tag of HTML means for plain text */
#ifndef STAGEPOST_RELAY_MAIL_HTML_TAG_H
#define STAGEPOST_RELAY_MAIL_HTML_TAG_H

enum html_tag_meaning {
	HTML_TAG_LINE,	    /* begins and ends a line */
	HTML_TAG_PARAGRAPH, /* with an empty line around it */
	HTML_TAG_BREAK,
	HTML_TAG_CELL,
	HTML_TAG_ITEM,
	HTML_TAG_PRE,
	HTML_TAG_LINK,
	HTML_TAG_IMAGE,
	HTML_TAG_RAW /* shows nothing, and has no tags in it */
};

struct html_tag {
	const char *name;
	enum html_tag_meaning meaning;
};

/* By its name in lower case. NULL: it means nothing, its content is text like any other. */
const struct html_tag *html_tag_find(const char *name);

#endif
