/* relay/mail/address_list.h - the mailboxes of To, Cc, From, ... (RFC 5322 3.4, 4.4) */
#ifndef STAGEPOST_RELAY_MAIL_ADDRESS_LIST_H
#define STAGEPOST_RELAY_MAIL_ADDRESS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "relay/mail/address.h"

enum address_item_kind {
	ADDRESS_ITEM_MAILBOX,
	ADDRESS_ITEM_GROUP, /* "name:"; its members follow with in_group set */
	/*
	 * Something that follows no grammar, current or obsolete. Nothing is
	 * guessed from it. One such item and the whole field is broken: other
	 * programs may read other addresses out of it.
	 */
	ADDRESS_ITEM_BROKEN
};

/*
 * `source` and `spec` point into the field; the other spans into the list's
 * own memory, until the next call.
 */
struct address_item {
	enum address_item_kind kind;
	bool in_group; /* a member of the group that was named last */
	bool quoted;   /* some of the local part was a quoted string */
	bool route;    /* an obsolete source route stood in front, inside `spec` */
	/* All of the item with its display name, comments and blanks, but no separator. */
	struct span source;
	/*
	 * What to replace to change the address and nothing else: from the
	 * first byte of the local part (or the route) to the last of the
	 * domain, without angle brackets. Empty unless a mailbox.
	 */
	struct span spec;
	/* The display name, or the group's name: unquoted, without comments; encoded words as
	 * they are (header_decode_display is for them). Empty when there is none. */
	struct span display;
	struct span local;  /* unquoted, without comments and blanks around dots */
	struct span domain; /* the same; a literal keeps its brackets */
};

/* Pulled: init, next until it says false, release. */
struct address_list {
	struct span rest;  /* private, like all below */
	struct span field; /* the whole of it */
	struct buf display;
	struct buf local;
	struct buf domain;
	size_t items;
	bool in_group;
	bool stray; /* something stands between a group's end and the next comma */
};

/*
 * `field` is the body of a header field, folds and all (header_field.body).
 * Borrowed until release. Any length; linear time; memory of the same order.
 */
void address_list_init(struct address_list *list, struct span field);
/* False at the end. A field of blanks alone has no items; one of commas or comments is broken. */
bool address_list_next(struct address_list *list, struct address_item *item_out);
void address_list_release(struct address_list *list);

/*
 * A mailbox item as an envelope address, to ask the whitelist about it. A
 * local part that needs quotes gets them (and is ADDRESS_UNSAFE then, like
 * one that was quoted or had a route). Returns what address_parse returns:
 * not every mailbox of a header can be an envelope address.
 */
int address_item_address(const struct address_item *item, struct address *address_out,
			 struct err *why);

#endif
