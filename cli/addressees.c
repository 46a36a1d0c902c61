/* cli/addressees.c - for whom a message is */
#include "cli/addressees.h"

#include "base/mem.h"
#include "relay/mail/address_list.h"
#include "relay/mail/lexer.h"

#define SHOWN_MAX 80 /* octets of what can't be read */

void addressees_release(struct addressees *addressees)
{
	mem_free(addressees->items);
	*addressees = (struct addressees){.count = 0};
}

static void add(struct addressees *addressees, const struct address *address)
{
	if (addressees->count == addressees->room) {
		addressees->room = addressees->room > 0 ? addressees->room * 2 : 8;
		addressees->items =
			mem_regrow(addressees->items, addressees->room, sizeof(*addressees->items));
	}
	addressees->items[addressees->count++] = *address;
}

/* "root", "<root>", "Cron Daemon <root>": the name; else the empty span. */
static struct span bare_name(struct span source)
{
	struct span rest = span_trim(source);
	struct span name;

	if (rest.len > 0 && rest.data[rest.len - 1] == '>') {
		size_t from = span_find_last(rest, '<');

		if (from == rest.len)
			return (struct span){NULL, 0};
		rest = span_skip(span_first(rest, rest.len - 1), from + 1);
	}
	(void)lexer_cfws(&rest);
	name = rest;
	while (lexer_atom(&rest).len > 0 && lexer_take(&rest, '.'))
		;
	name.len -= rest.len;
	(void)lexer_cfws(&rest);
	return rest.len == 0 ? name : (struct span){NULL, 0};
}

static int read_bare(struct span source, const char *domain, struct address *address_out,
		     struct err *why)
{
	struct span name = bare_name(source);
	struct buf whole;
	int code = ERR_SYNTAX;

	buf_init(&whole, ADDRESS_TEXT_SIZE);
	if (name.len == 0)
		err_set(why, code, "it is no address");
	else if (buf_printf(&whole, "%.*s@%s", SPAN_ARG(name), domain) != ERR_OK)
		code = err_set(why, ERR_LIMIT, "it is too long");
	else
		code = address_parse(buf_span(&whole), address_out, why);
	buf_release(&whole);
	return code;
}

static int read_item(const struct address_item *item, const char *domain,
		     struct address *address_out, struct err *why)
{
	int code = item->kind == ADDRESS_ITEM_MAILBOX
			   ? address_item_address(item, address_out, why)
			   : read_bare(item->source, domain, address_out, why);

	if (code == ERR_OK)
		return code;
	return err_prefix(why, code, "\"%.*s\"",
			  SPAN_ARG(span_first(span_trim(item->source), SHOWN_MAX)));
}

int addressees_add(struct addressees *addressees, struct span text, const char *domain,
		   struct err *why)
{
	struct address_list list;
	struct address_item item;
	struct address address;
	int code = ERR_OK;

	address_list_init(&list, text);
	while (code == ERR_OK && address_list_next(&list, &item)) {
		if (item.kind == ADDRESS_ITEM_GROUP)
			continue;
		code = read_item(&item, domain, &address, why);
		if (code == ERR_OK)
			add(addressees, &address);
	}
	address_list_release(&list);
	return code;
}
