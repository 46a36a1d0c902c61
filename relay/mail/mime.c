/*
 * relay/mail/mime.c - a message line by line: which multipart a delimiter belongs to, where parts
 * begin and end. What a header says is read by mime_header.c.
 */
#include "relay/mail/mime.h"

#include <assert.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "relay/mail/header.h"
#include "relay/mail/mime_header.h"

/* What of a line may be a delimiter: its dashes, the boundary, and some blanks behind it. */
#define PROBE_MAX    (MIME_BOUNDARY_MAX + 128)
#define SCRATCH_STEP ((size_t)16 * 1024)

enum frame_state {
	IN_HEADER,
	IN_LEAF,
	IN_MESSAGE,  /* the part inside it is above it */
	IN_PREAMBLE, /* of a multipart: no delimiter yet */
	IN_PARTS,
	IN_EPILOGUE /* its closing delimiter has been seen */
};

/* An open part; those below it hold it. */
struct frame {
	size_t part;
	enum frame_state state;
	struct span boundary;
	bool is_digest;
	unsigned children;
};

struct mime {
	struct arena *arena;
	struct mime_part *parts;
	size_t count;
	size_t room;
	bool over_limit;
	bool is_done; /* the rest is not looked at */
	struct frame frames[MIME_DEPTH_MAX + 1];
	size_t open; /* frames in use; the part under way is the last one */
	int64_t at;  /* bytes taken */
	int64_t line_at;
	bool is_line_start;
	bool held_cr; /* the last byte fed, not taken yet */
	bool probing; /* the line under way may be a delimiter */
	struct buf probe;
	struct buf header; /* of the part under way */
	bool header_is_cut;
	struct transfer transfer; /* of the leaf under way */
	struct buf scratch;
	bool owes_line_end; /* of the leaf: not known yet whether it is the next delimiter's */
};

/* --- parts ----------------------------------------------------------------------------------- */

static struct frame *top(struct mime *mime)
{
	return &mime->frames[mime->open - 1];
}

static struct mime_part *part_of(struct mime *mime, const struct frame *frame)
{
	return &mime->parts[frame->part];
}

/* The first trouble is the one to tell. */
static void complain(struct mime_part *part, const char *trouble)
{
	if (part->trouble == NULL)
		part->trouble = trouble;
}

static void open_part(struct mime *mime, int64_t at)
{
	size_t parent = mime->open > 0 ? top(mime)->part : MIME_NONE;

	assert(mime->open <= MIME_DEPTH_MAX);
	if (mime->count == mime->room) {
		mime->room = mime->room > 0 ? 2 * mime->room : 8;
		mime->parts = mem_regrow(mime->parts, mime->room, sizeof(mime->parts[0]));
	}
	mime->parts[mime->count] = (struct mime_part){.number = "",
						      .parent = parent,
						      .depth = (unsigned)mime->open,
						      .type = "text/plain",
						      .header_at = at,
						      .body_at = at,
						      .end_at = at};
	mime->frames[mime->open++] = (struct frame){.part = mime->count++, .state = IN_HEADER};
	buf_clear(&mime->header);
	mime->header_is_cut = false;
}

/* Whose parts are numbered with which prefix: a multipart without a number lends its parent's. */
static const char *prefix_of(const struct mime *mime, const struct mime_part *part)
{
	if (part->number[0] == '\0' && part->parent != MIME_NONE)
		part = &mime->parts[part->parent];
	return part->number;
}

static const char *number_of(struct mime *mime, const struct mime_part *part)
{
	const struct frame *holder = mime->open > 1 ? top(mime) - 1 : NULL;
	const char *prefix;

	if (part->is_container && (holder == NULL || holder->state == IN_MESSAGE) &&
	    span_starts_fold(span_of(part->type), "multipart/"))
		return "";
	if (holder == NULL)
		return "1";
	prefix = prefix_of(mime, part_of(mime, holder));
	return arena_printf(mime->arena, "%s%s%u", prefix, prefix[0] != '\0' ? "." : "",
			    holder->children);
}

static bool is_message(const struct mime_part *part)
{
	return part->encoding == TRANSFER_IDENTITY && (strcmp(part->type, "message/rfc822") == 0 ||
						       strcmp(part->type, "message/global") == 0);
}

/* What there is to do with the body that comes now. */
static void sort_out(struct mime *mime, struct mime_part *part, struct span boundary)
{
	struct frame *frame = top(mime);
	bool is_multipart = span_starts_fold(span_of(part->type), "multipart/");

	frame->state = IN_LEAF;
	if (!is_multipart && !is_message(part))
		return;
	if (is_multipart && boundary.len == 0) {
		complain(part, "it names no boundary that can be used");
	} else if (part->depth == MIME_DEPTH_MAX) {
		complain(part, "it lies deeper than is looked at");
		mime->over_limit = true;
	} else {
		part->is_container = true;
		part->encoding = TRANSFER_IDENTITY; /* RFC 2045 6.4 */
		frame->state = is_multipart ? IN_PREAMBLE : IN_MESSAGE;
		frame->boundary = boundary;
		frame->is_digest = strcmp(part->type, "multipart/digest") == 0;
	}
}

/* The header section of the part under way is in: [header_at, body_at). */
static void header_done(struct mime *mime, int64_t body_at)
{
	struct frame *frame = top(mime);
	struct mime_part *part = part_of(mime, frame);
	bool in_digest = mime->open > 1 && (frame - 1)->is_digest;
	struct span boundary;

	part->body_at = body_at;
	part->end_at = body_at;
	if (mime->header_is_cut)
		complain(part, "its header is longer than is looked at");
	mime_header_read(buf_span(&mime->header), in_digest, mime->arena, part, &boundary);
	sort_out(mime, part, boundary);
	part->number = number_of(mime, part);
	transfer_init(&mime->transfer, part->encoding);
	mime->owes_line_end = false;
}

static bool is_multipart_state(enum frame_state state)
{
	return state == IN_PREAMBLE || state == IN_PARTS;
}

/* Then it is a body like any other, for whoever wants to see it. */
static void has_no_parts(struct mime *mime, struct mime_part *part)
{
	complain(part, "there are no parts in it");
	part->is_container = false;
	part->number = number_of(mime, part);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/*
 * The part under way ends at `end_at`, or where it begins if that is later: a
 * delimiter directly behind another one. Returns where; what holds it ends no earlier.
 */
static int64_t close_part(struct mime *mime, int64_t end_at, bool at_end)
{
	struct frame *frame = top(mime);
	struct mime_part *part;

	if (frame->state == IN_HEADER) {
		header_done(mime, later(end_at, part_of(mime, frame)->header_at));
		frame->state = IN_LEAF; /* without a body there is nothing in it */
		if (!at_end)
			complain(part_of(mime, frame), "no empty line ends its header");
	}
	part = part_of(mime, frame);
	if (part->is_container && frame->children == 0)
		has_no_parts(mime, part);
	else if (is_multipart_state(frame->state))
		complain(part, "its closing boundary is missing");
	part->end_at = later(end_at, part->body_at);
	if (frame->state == IN_LEAF && part->encoding != TRANSFER_IDENTITY) {
		buf_clear(&mime->scratch);
		transfer_end(&mime->transfer, &mime->scratch);
		part->decoded_size += (int64_t)mime->scratch.len;
	} else {
		part->decoded_size = part->end_at - part->body_at;
	}
	part->is_whole = true;
	mime->open--;
	return part->end_at;
}

/* --- what lines hold ---------------------------------------------------------------------------
 */

static void leaf_take(struct mime *mime, struct span bytes)
{
	struct mime_part *part = part_of(mime, top(mime));

	while (part->encoding != TRANSFER_IDENTITY && bytes.len > 0) {
		buf_clear(&mime->scratch);
		transfer_decode(&mime->transfer, span_first(bytes, SCRATCH_STEP), &mime->scratch);
		part->decoded_size += (int64_t)mime->scratch.len;
		bytes = span_skip(bytes, SCRATCH_STEP);
	}
}

static void header_take(struct mime *mime, struct span bytes)
{
	if (mime->header_is_cut || buf_append_span(&mime->header, bytes) != ERR_OK)
		mime->header_is_cut = true;
}

/* Bytes of a line that is no delimiter, without its end. */
static void content_take(struct mime *mime, struct span bytes)
{
	if (bytes.len == 0)
		return;
	if (top(mime)->state == IN_HEADER)
		header_take(mime, bytes);
	if (top(mime)->state != IN_LEAF)
		return;
	if (mime->owes_line_end)
		leaf_take(mime, span_of("\r\n"));
	mime->owes_line_end = false;
	leaf_take(mime, bytes);
}

/* The empty line: what it stands in front of. */
static void body_begin(struct mime *mime)
{
	header_done(mime, mime->at);
	if (top(mime)->state == IN_MESSAGE && mime->count == MIME_PARTS_MAX) {
		mime->over_limit = true;
		mime->is_done = true;
	} else if (top(mime)->state == IN_MESSAGE) {
		top(mime)->children = 1;
		open_part(mime, mime->at);
	} else if (mime->open == 1 && top(mime)->state == IN_LEAF) {
		/* Nothing but its end is to come. */
		mime->is_done = part_of(mime, top(mime))->encoding == TRANSFER_IDENTITY;
	}
}

static void content_line_end(struct mime *mime)
{
	bool is_empty = mime->at - mime->line_at == 2;

	if (top(mime)->state == IN_HEADER) {
		if (is_empty)
			body_begin(mime);
		else
			header_take(mime, span_of("\r\n"));
	} else if (top(mime)->state == IN_LEAF) {
		if (mime->owes_line_end)
			leaf_take(mime, span_of("\r\n"));
		mime->owes_line_end = true;
	}
}

/* --- delimiters ----------------------------------------------------------------------------------
 */

static struct span trim_right(struct span text)
{
	while (text.len > 0 && ascii_is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* Whose delimiter `line` is; MIME_NONE: nobody's. Blanks at its end are not looked at. */
static size_t owner_of(const struct mime *mime, struct span line, bool *closes_out)
{
	struct span text = span_skip(trim_right(line), 2);

	for (size_t i = mime->open; i-- > 0;) {
		const struct frame *frame = &mime->frames[i];
		struct span boundary = frame->boundary;

		if (!is_multipart_state(frame->state) ||
		    !span_equal(span_first(text, boundary.len), boundary))
			continue;
		*closes_out = span_is(span_skip(text, boundary.len), "--");
		if (*closes_out || text.len == boundary.len)
			return i;
	}
	return MIME_NONE;
}

/*
 * A delimiter directly behind another one begins nothing: it would need a line end of its own
 * before it. Senders write their boundaries twice.
 */
static void forget_nothing(struct mime *mime)
{
	struct frame *frame = top(mime);

	if (frame->state != IN_HEADER || part_of(mime, frame)->header_at != mime->line_at ||
	    mime->open < 2 || (frame - 1)->state != IN_PARTS)
		return;
	(frame - 1)->children--;
	mime->open--;
	mime->count--;
}

/* True: the line under way is a delimiter, and was dealt with. */
static bool delimiter_take(struct mime *mime)
{
	bool closes = false;
	size_t owner = owner_of(mime, buf_span(&mime->probe), &closes);
	struct frame *frame;

	if (owner == MIME_NONE)
		return false;
	forget_nothing(mime);
	/* The line end before it is the delimiter's (RFC 2046 5.1.1). */
	for (int64_t end_at = mime->line_at - 2; mime->open > owner + 1;)
		end_at = close_part(mime, end_at, false);
	frame = top(mime);
	frame->state = closes ? IN_EPILOGUE : IN_PARTS;
	if (closes)
		return true;
	if (mime->count == MIME_PARTS_MAX) {
		complain(part_of(mime, frame), "it has more parts than are looked at");
		mime->over_limit = true;
		mime->is_done = true;
		return true;
	}
	frame->children++;
	open_part(mime, mime->at);
	return true;
}

/* May what is known of the line still become a delimiter? */
static bool looks_like_one(const struct mime *mime, struct span more)
{
	struct span probe = buf_span(&mime->probe);
	struct span front = probe.len > 0 ? probe : more;

	if (probe.len + more.len > PROBE_MAX || front.data[0] != '-')
		return false;
	if (front.len > 1)
		return front.data[1] == '-';
	return probe.len == 0 || more.len == 0 || more.data[0] == '-';
}

/* --- lines
 * ----------------------------------------------------------------------------------------- */

static void line_begin(struct mime *mime)
{
	mime->line_at = mime->at;
	mime->is_line_start = false;
	mime->probing = mime->open > 1 || is_multipart_state(top(mime)->state);
	buf_clear(&mime->probe);
}

static void line_is_content(struct mime *mime)
{
	mime->probing = false;
	content_take(mime, buf_span(&mime->probe));
}

/* A piece of a line, without its end. */
static void line_take(struct mime *mime, struct span bytes)
{
	if (mime->is_line_start)
		line_begin(mime);
	mime->at += (int64_t)bytes.len;
	if (bytes.len == 0)
		return;
	if (mime->probing && !looks_like_one(mime, bytes))
		line_is_content(mime);
	if (mime->probing)
		(void)buf_append_span(&mime->probe, bytes);
	else
		content_take(mime, bytes);
}

/* At the CRLF. */
static void line_end(struct mime *mime)
{
	bool was_delimiter = false;

	mime->at += 2;
	if (mime->probing && mime->probe.len > 1)
		was_delimiter = delimiter_take(mime);
	if (!was_delimiter) {
		if (mime->probing)
			line_is_content(mime);
		content_line_end(mime);
	}
	mime->is_line_start = true;
}

/* Up to the first CR; the byte behind it says what it is. */
static struct span until_cr(struct span bytes)
{
	const char *cr = memchr(bytes.data, '\r', bytes.len);

	return span_first(bytes, cr != NULL ? (size_t)(cr - bytes.data) : bytes.len);
}

bool mime_feed(struct mime *mime, struct span bytes)
{
	while (bytes.len > 0 && !mime->is_done) {
		struct span text;

		if (mime->held_cr) {
			mime->held_cr = false;
			if (bytes.data[0] == '\n') {
				line_take(mime, span_make(NULL, 0));
				line_end(mime);
				bytes = span_skip(bytes, 1);
				continue;
			}
			line_take(mime, span_of("\r"));
		}
		text = until_cr(bytes);
		line_take(mime, text);
		mime->held_cr = text.len < bytes.len;
		bytes = span_skip(bytes, text.len + 1);
	}
	return !mime->is_done;
}

void mime_end(struct mime *mime, int64_t size)
{
	if (!mime->is_done) {
		if (mime->held_cr)
			line_take(mime, span_of("\r"));
		if (mime->probing && !mime->is_line_start &&
		    (mime->probe.len < 2 || !delimiter_take(mime)))
			line_is_content(mime);
		if (top(mime)->state == IN_LEAF && mime->owes_line_end)
			leaf_take(mime, span_of("\r\n"));
		size = mime->at;
	}
	assert(size >= mime->at);
	mime->is_done = true;
	while (mime->open > 0)
		close_part(mime, size, true);
}

/* --- the tree
 * ---------------------------------------------------------------------------------------- */

struct mime *mime_new(void)
{
	struct mime *mime = mem_zalloc(sizeof(*mime));

	mime->arena = arena_new();
	mime->is_line_start = true;
	buf_init(&mime->probe, PROBE_MAX);
	buf_init(&mime->header, HEADER_BYTES_MAX);
	buf_init(&mime->scratch, SCRATCH_STEP + TRANSFER_HELD_MAX);
	open_part(mime, 0);
	return mime;
}

void mime_free(struct mime **mime)
{
	if (*mime == NULL)
		return;
	arena_free(&(*mime)->arena);
	buf_release(&(*mime)->probe);
	buf_release(&(*mime)->header);
	buf_release(&(*mime)->scratch);
	mem_free((*mime)->parts);
	mem_free(*mime);
	*mime = NULL;
}

size_t mime_count(const struct mime *mime)
{
	return mime->count;
}

const struct mime_part *mime_part(const struct mime *mime, size_t index)
{
	assert(index < mime->count);
	return &mime->parts[index];
}

bool mime_is_over_limit(const struct mime *mime)
{
	return mime->over_limit;
}
