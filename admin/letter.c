/* admin/letter.c - a message described in JSON */
#include "admin/letter.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/ulid.h"
#include "relay/mail/address_list.h"
#include "relay/mail/date.h"
#include "relay/mail/field.h"
#include "relay/mail/header.h"

#define POINTER_SIZE  128
#define FILES_MAX     1000
#define HEADERS_MAX   (HEADER_FIELDS_MAX / 2)
#define FIELDS_BYTES  ((size_t)HEADER_BYTES_MAX - 8192) /* some room for what the relay adds */
#define MAILBOXES_MAX 10000

/* A growing list in the arena. */
struct mailboxes {
	struct address *items;
	size_t count;
	size_t room;
};

/* What is being made. */
struct drawing {
	struct call *call;
	struct letter *letter;
	struct buf fields;
	struct mailboxes from;
	struct mailboxes addressees; /* To, Cc, Bcc */
	bool has_date;
	bool has_message_id;
	bool full; /* the header grew too large */
};

/* --- mailboxes ------------------------------------------------------------------------------- */

static void add_mailbox(struct call *call, struct mailboxes *list, const struct address *address)
{
	if (list->count == list->room) {
		struct address *grown;

		list->room = list->room > 0 ? list->room * 2 : 8;
		grown = arena_array(call->arena, list->room, sizeof(*grown));
		if (list->count > 0)
			memcpy(grown, list->items, list->count * sizeof(*grown));
		list->items = grown;
	}
	list->items[list->count++] = *address;
}

/* The mailboxes of one text, as people write them, into `list` and `fold` (NULL: into no field). */
static void read_list(struct call *call, const char *pointer, struct span text, struct fold *fold,
		      struct mailboxes *list)
{
	struct address_list items;
	struct address_item item;
	struct address address;
	struct err why;

	address_list_init(&items, text);
	while (call->mistakes == NULL && address_list_next(&items, &item)) {
		if (item.kind != ADDRESS_ITEM_MAILBOX || item.route)
			call_mistake(call, pointer, "\"%.*s\" is no mailbox",
				     SPAN_ARG(span_first(span_trim(item.source), 80)));
		else if (address_item_address(&item, &address, &why) != ERR_OK)
			call_mistake(call, pointer, "%s", why.text);
		else if (list->count == MAILBOXES_MAX)
			call_mistake(call, pointer, "more than %d mailboxes", MAILBOXES_MAX);
		else {
			if (fold != NULL && list->count > 0)
				fold_join(fold, ",");
			if (fold != NULL)
				field_mailbox(fold, span_trim(item.display), &address);
			add_mailbox(call, list, &address);
		}
	}
	address_list_release(&items);
}

static void read_one(struct call *call, const char *pointer, const json_t *value, struct fold *fold,
		     struct mailboxes *list)
{
	size_t before = list->count;
	struct span text = {NULL, 0};

	if (json_is_string(value))
		text = span_make(json_string_value(value), json_string_length(value));
	if (!json_is_string(value))
		call_mistake(call, pointer, "must be a string");
	else if (!field_is_text(text))
		call_mistake(call, pointer, "holds a control character, or is too long");
	else
		read_list(call, pointer, text, fold, list);
	if (call->mistakes == NULL && list->count == before)
		call_mistake(call, pointer, "names no mailbox");
}

/* A text, or an array of texts. */
static void read_mailboxes(struct call *call, const char *member, struct fold *fold,
			   struct mailboxes *list)
{
	const json_t *value = json_object_get(call->body, member);
	char pointer[POINTER_SIZE];
	const json_t *one;
	size_t i;

	if (!json_is_array(value)) {
		(void)snprintf(pointer, sizeof(pointer), "/%s", member);
		read_one(call, pointer, value, fold, list);
		return;
	}
	json_array_foreach((json_t *)(uintptr_t)value, i, one)
	{
		(void)snprintf(pointer, sizeof(pointer), "/%s/%zu", member, i);
		read_one(call, pointer, one, fold, list);
	}
}

static bool is_given(const struct call *call, const char *member)
{
	const json_t *value = json_object_get(call->body, member);

	return value != NULL && !json_is_null(value);
}

/* As a field of that name. An array without mailboxes makes none. */
static void add_mailboxes(struct drawing *d, const char *member, const char *name,
			  struct mailboxes *all)
{
	struct mailboxes here = {.count = 0};
	size_t begun = d->fields.len;
	struct fold fold;

	if (!is_given(d->call, member))
		return;
	fold_begin(&fold, &d->fields, "", span_of(name));
	read_mailboxes(d->call, member, &fold, &here);
	d->full |= fold_end(&fold) != ERR_OK;
	if (here.count == 0)
		buf_truncate(&d->fields, begun);
	for (size_t i = 0; i < here.count; i++)
		add_mailbox(d->call, all, &here.items[i]);
}

static void add_people(struct drawing *d)
{
	struct mailboxes reply_to = {.count = 0};

	add_mailboxes(d, "from", "From", &d->from);
	if (d->call->mistakes == NULL && d->from.count != 1)
		call_mistake(d->call, "/from", "exactly one mailbox is needed");
	add_mailboxes(d, "to", "To", &d->addressees);
	add_mailboxes(d, "cc", "Cc", &d->addressees);
	add_mailboxes(d, "reply_to", "Reply-To", &reply_to);
	/* No field: nobody else is to see them. */
	if (is_given(d->call, "bcc"))
		read_mailboxes(d->call, "bcc", NULL, &d->addressees);
}

/* --- the envelope ---------------------------------------------------------------------------- */

static void set_sender(struct drawing *d)
{
	const char *text = json_string_value(json_object_get(d->call->body, "sender"));
	struct mailboxes sender = {.count = 0};

	if (!is_given(d->call, "sender")) {
		if (d->from.count > 0)
			d->letter->sender = d->from.items[0];
		return;
	}
	if (text != NULL && (text[0] == '\0' || strcmp(text, "<>") == 0)) {
		d->letter->sender = (struct address){.form = ADDRESS_NULL};
		return;
	}
	read_mailboxes(d->call, "sender", NULL, &sender);
	if (d->call->mistakes == NULL && sender.count != 1)
		call_mistake(d->call, "/sender", "exactly one mailbox is needed");
	else if (sender.count == 1)
		d->letter->sender = sender.items[0];
}

static void set_recipients(struct drawing *d)
{
	struct mailboxes given = {.count = 0};
	bool named = is_given(d->call, "recipients");
	const struct mailboxes *list = named ? &given : &d->addressees;

	if (named)
		read_mailboxes(d->call, "recipients", NULL, &given);
	if (d->call->mistakes == NULL && list->count == 0)
		call_mistake(d->call, named ? "/recipients" : "/to", "a recipient is needed");
	d->letter->recipients = list->items;
	d->letter->recipient_count = list->count;
}

/* --- other fields ---------------------------------------------------------------------------- */

/* Those that have a member of their own, that we make, or that tell of a way the mail did not go.
 */
static bool is_reserved(struct span name)
{
	static const char *const names[] = {
		"Apparently-To", "Bcc",		 "Cc",	     "Delivered-To",
		"From",		 "MIME-Version", "Received", "Reply-To",
		"Return-Path",	 "Sender",	 "Subject",  "To",
		"X-Original-To",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is_fold(name, names[i]))
			return true;
	return span_starts_fold(name, "Content-") || span_starts_fold(name, "Resent-") ||
	       span_starts_fold(name, "X-Stagepost-");
}

/* "<left@right>" without blanks. */
static bool is_message_id(struct span text)
{
	size_t at = span_find(text, '@');

	if (text.len < 5 || text.len > 900 || text.data[0] != '<' ||
	    text.data[text.len - 1] != '>' || at < 2 || at + 2 >= text.len)
		return false;
	for (size_t i = 1; i + 1 < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~' || text.data[i] == '<' ||
		    text.data[i] == '>')
			return false;
	return true;
}

/* False: told why not. */
static bool may_stand(struct drawing *d, const char *pointer, struct span name, struct span text)
{
	bool is_date = span_is_fold(name, "Date");
	bool is_id = span_is_fold(name, "Message-ID");
	int64_t ms;
	struct err why;

	if (!field_is_text(text))
		call_mistake(d->call, pointer, "holds a control character, or is too long");
	else if ((is_date && d->has_date) || (is_id && d->has_message_id))
		call_mistake(d->call, pointer, "stands there twice");
	else if (is_date && date_parse(text, &ms, &why) != ERR_OK)
		call_mistake(d->call, pointer, "%s", why.text);
	else if (is_id && !is_message_id(text))
		call_mistake(d->call, pointer, "is not <left@right>");
	else {
		d->has_date |= is_date;
		d->has_message_id |= is_id;
		return true;
	}
	return false;
}

static void add_text_field(struct drawing *d, struct span name, struct span text)
{
	struct fold fold;

	fold_begin(&fold, &d->fields, "", name);
	field_text(&fold, span_trim(text));
	d->full |= fold_end(&fold) != ERR_OK;
}

static void add_header(struct drawing *d, const char *name, const json_t *value)
{
	struct span text = span_make(json_string_value(value), json_string_length(value));
	char pointer[POINTER_SIZE];

	(void)snprintf(pointer, sizeof(pointer), "/headers/%.*s",
		       (int)(field_is_name(span_of(name)) ? strlen(name) : 0), name);
	if (!field_is_name(span_of(name)))
		call_mistake(d->call, "/headers", "holds a name that no field can have");
	else if (is_reserved(span_of(name)))
		call_mistake(d->call, pointer,
			     "is not for here: it has a member of its own, or "
			     "the relay makes it");
	else if (!json_is_string(value))
		call_mistake(d->call, pointer, "must be a string, or an array of them");
	else if (may_stand(d, pointer, span_of(name), text))
		add_text_field(d, span_of(name), text);
}

static void add_headers(struct drawing *d)
{
	json_t *headers = json_object_get(d->call->body, "headers");
	const char *name;
	json_t *value;
	size_t count = 0;

	if (!is_given(d->call, "headers"))
		return;
	if (!json_is_object(headers)) {
		call_mistake(d->call, "/headers", "must be an object");
		return;
	}
	json_object_foreach(headers, name, value)
	{
		json_t *one = value;
		size_t i = 0;

		do {
			if (json_is_array(value))
				one = json_array_get(value, i);
			if (one != NULL && ++count <= HEADERS_MAX)
				add_header(d, name, one);
		} while (json_is_array(value) && ++i < json_array_size(value));
	}
	if (count > HEADERS_MAX)
		call_mistake(d->call, "/headers", "more than %d fields", HEADERS_MAX);
}

static void add_subject(struct drawing *d)
{
	const json_t *value = json_object_get(d->call->body, "subject");
	struct span text = span_make(json_string_value(value), json_string_length(value));

	if (!is_given(d->call, "subject"))
		return;
	if (!json_is_string(value))
		call_mistake(d->call, "/subject", "must be a string");
	else if (!field_is_text(text))
		call_mistake(d->call, "/subject", "holds a control character, or is too long");
	else
		add_text_field(d, span_of("Subject"), text);
}

static void add_missing(struct drawing *d, const char *hostname, int64_t now)
{
	struct ulid id = ulid_new(now);
	char text[ULID_TEXT_SIZE];
	char date[CLOCK_RFC5322_SIZE];

	clock_format_rfc5322(now, date);
	ulid_format(&id, text);
	if (!d->has_date)
		d->full |= buf_printf(&d->fields, "Date: %s\r\n", date) != ERR_OK;
	if (!d->has_message_id)
		d->full |= buf_printf(&d->fields, "Message-ID: <%s@%s>\r\n", text, hostname) !=
			   ERR_OK;
}

/* --- content --------------------------------------------------------------------------------- */

static struct span read_content(struct call *call, const char *member)
{
	const json_t *value = json_object_get(call->body, member);
	char pointer[POINTER_SIZE];

	if (!is_given(call, member))
		return (struct span){NULL, 0};
	if (!json_is_string(value)) {
		(void)snprintf(pointer, sizeof(pointer), "/%s", member);
		call_mistake(call, pointer, "must be a string");
		return (struct span){NULL, 0};
	}
	return span_make(json_string_value(value), json_string_length(value));
}

static void read_file_names(struct call *call, const char *pointer, const json_t *json,
			    struct compose_file *file)
{
	const json_t *name = json_object_get(json, "filename");
	const json_t *type = json_object_get(json, "type");

	if (json_is_string(name))
		file->filename = span_make(json_string_value(name), json_string_length(name));
	else if (name != NULL && !json_is_null(name))
		call_mistake(call, pointer, "filename must be a string");
	if (!field_is_text(file->filename) || file->filename.len > COMPOSE_FILENAME_MAX)
		call_mistake(call, pointer,
			     "filename is longer than %d octets, or holds a control "
			     "character",
			     COMPOSE_FILENAME_MAX);
	file->type = json_is_string(type) ? json_string_value(type) : "application/octet-stream";
	if ((type != NULL && !json_is_null(type) && !json_is_string(type)) ||
	    !compose_is_type(span_of(file->type)))
		call_mistake(call, pointer,
			     "type must be like application/pdf, and neither "
			     "multipart/ nor message/");
}

static void read_file(struct call *call, const char *pointer, const json_t *json,
		      struct compose_file *file)
{
	const json_t *content = json_object_get(json, "content");
	const char *name;
	const json_t *value;

	if (!json_is_object(json)) {
		call_mistake(call, pointer, "must be an object");
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)json, name, value)
	{
		if (strcmp(name, "filename") != 0 && strcmp(name, "type") != 0 &&
		    strcmp(name, "content") != 0)
			call_mistake(call, pointer, "holds more than filename, type and content");
	}
	read_file_names(call, pointer, json, file);
	file->base64 = span_make(json_string_value(content), json_string_length(content));
	if (!json_is_string(content) || !compose_is_base64(file->base64))
		call_mistake(call, pointer, "content must be base64");
}

static void read_files(struct call *call, struct compose_message *message)
{
	json_t *list = json_object_get(call->body, "attachments");
	struct compose_file *files;
	char pointer[POINTER_SIZE];
	json_t *json;
	size_t i;

	if (!is_given(call, "attachments"))
		return;
	if (!json_is_array(list) || json_array_size(list) > FILES_MAX) {
		call_mistake(call, "/attachments", "must be an array of at most %d", FILES_MAX);
		return;
	}
	files = arena_array(call->arena, json_array_size(list) + 1, sizeof(*files));
	json_array_foreach(list, i, json)
	{
		(void)snprintf(pointer, sizeof(pointer), "/attachments/%zu", i);
		read_file(call, pointer, json, &files[i]);
	}
	message->files = files;
	message->file_count = json_array_size(list);
}

void letter_read(struct call *call, const char *hostname, int64_t now, struct letter *letter_out)
{
	struct drawing d = {.call = call, .letter = letter_out};

	*letter_out = (struct letter){.recipient_count = 0};
	buf_init(&d.fields, FIELDS_BYTES);
	call_only_members(call, LETTER_MEMBERS);
	add_people(&d);
	add_subject(&d);
	add_headers(&d);
	add_missing(&d, hostname, now);
	set_sender(&d);
	set_recipients(&d);
	letter_out->scope = call_scope(call);
	letter_out->message.text = read_content(call, "text");
	letter_out->message.html = read_content(call, "html");
	read_files(call, &letter_out->message);
	if (d.full)
		call_mistake(call, "", "the header would be larger than %zu octets", FIELDS_BYTES);
	letter_out->message.fields =
		span_make(arena_span_dup(call->arena, buf_span(&d.fields)), d.fields.len);
	buf_release(&d.fields);
}
