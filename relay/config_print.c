/* relay/config_print.c - the configuration in force as YAML that reads back the same */
#include "relay/config_print.h"

#include "relay/config.h"

#define PRINT_MAX_BYTES ((size_t)16 << 20)

/* Without quotes it would be something else, or nothing. */
static bool needs_quotes(struct span text)
{
	if (text.len == 0 || span_is(text, "null") || span_is(text, "~"))
		return true;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) &&
		    (i == 0 ? text.data[i] != '/' : memchr("._-/@+", text.data[i], 6) == NULL))
			return true;
	return false;
}

/* Double quotes know all escapes; ${ would be expanded when read back. */
static void print_text(struct span text, struct buf *out)
{
	if (!needs_quotes(text)) {
		buf_append_span(out, text);
		return;
	}
	buf_append_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else if (c == '$' && i + 1 < text.len && text.data[i + 1] == '{')
			buf_append_text(out, "$$");
		else
			buf_append_char(out, (char)c);
	}
	buf_append_char(out, '"');
}

static const void *pointer_at(const char *at)
{
	const void *pointer;

	memcpy(&pointer, at, sizeof(pointer));
	return pointer;
}

static size_t count_at(const char *at)
{
	size_t count;

	memcpy(&count, at, sizeof(count));
	return count;
}

/* Of a URL with a login in it (RFC 3986 3.2.1): where the password stands. Else nowhere. */
static struct span password_in(struct span text)
{
	size_t len = 0;
	size_t at, colon;

	while (len < text.len && !span_starts_fold(span_skip(text, len), "://"))
		len++;
	text = span_skip(text, len + strlen("://"));
	for (len = 0; len < text.len && memchr("/?#", text.data[len], 3) == NULL;)
		len++;
	at = span_find_last(span_first(text, len), '@');
	colon = span_find(span_first(text, at), ':');
	return at < len && colon < at ? span_first(span_skip(text, colon + 1), at - colon - 1)
				      : span_make(NULL, 0);
}

static void print_text_at(const char *at, struct buf *out)
{
	struct span text = span_of(pointer_at(at));
	struct span password = password_in(text);
	struct buf shown;

	if (password.len == 0) {
		print_text(text, out);
		return;
	}
	buf_init(&shown, text.len + strlen(CONFIG_HIDDEN));
	buf_append(&shown, text.data, (size_t)(password.data - text.data));
	buf_append_text(&shown, CONFIG_HIDDEN);
	buf_append_span(&shown,
			span_skip(text, (size_t)(password.data - text.data) + password.len));
	print_text(buf_span(&shown), out);
	buf_release(&shown);
}

static void print_bool_at(const char *at, struct buf *out)
{
	bool value;

	memcpy(&value, at, sizeof(value));
	buf_append_text(out, value ? "true" : "false");
}

static void print_size_at(const char *at, struct buf *out)
{
	char text[CONFIG_VALUE_SIZE];
	int64_t bytes;

	memcpy(&bytes, at, sizeof(bytes));
	config_format_size(bytes, text);
	buf_append_text(out, text);
}

/* `never`: a word for 0, or NULL. */
static void print_time_at(const char *at, const char *never, struct buf *out)
{
	char text[CONFIG_VALUE_SIZE];
	int64_t ms;

	memcpy(&ms, at, sizeof(ms));
	if (ms == 0 && never != NULL) {
		buf_append_text(out, never);
		return;
	}
	config_format_time(ms, text);
	buf_append_text(out, text);
}

static void print_decimal_at(const char *at, struct buf *out)
{
	char text[CONFIG_VALUE_SIZE];
	int64_t ms;

	memcpy(&ms, at, sizeof(ms));
	config_format_decimal(ms, text);
	buf_append_text(out, text);
}

static void print_choice(const struct config_key *key, const char *at, struct buf *out)
{
	int value;

	memcpy(&value, at, sizeof(value));
	buf_append_text(out, key->choices[value - key->first_choice]);
}

static void print_list(const struct config_key *key, const char *base, struct buf *out)
{
	const char *list = pointer_at(base + key->offset);
	size_t count = count_at(base + key->count_offset);

	buf_append_char(out, '[');
	for (size_t i = 0; i < count; i++) {
		buf_append_text(out, i > 0 ? ", " : "");
		if (key->type == CONFIG_TEXTS)
			print_text_at(list + i * sizeof(char *), out);
		else if (key->type == CONFIG_TIMES)
			print_time_at(list + i * sizeof(int64_t), NULL, out);
		else
			print_text(span_of(((const struct pattern *)(const void *)list)[i].text),
				   out);
	}
	buf_append_char(out, ']');
}

static void print_map(const struct config_key *key, const char *base, struct buf *out)
{
	const char *items = pointer_at(base + key->offset);
	size_t count = count_at(base + key->count_offset);

	buf_append_char(out, '{');
	for (size_t i = 0; i < count; i++, items += key->item_size) {
		buf_append_text(out, i > 0 ? ", " : "");
		config_print_value(&key->keys[0], items, out);
		buf_append_text(out, ": ");
		config_print_value(&key->keys[1], items, out);
	}
	buf_append_char(out, '}');
}

void config_print_value(const struct config_key *key, const char *base, struct buf *out)
{
	const char *at = base + key->offset;

	switch (key->type) {
	case CONFIG_TEXT:
		if (key->secret && span_of(pointer_at(at)).len > 0)
			print_text(span_of(CONFIG_HIDDEN), out);
		else
			print_text_at(at, out);
		break;
	case CONFIG_BOOL: print_bool_at(at, out); break;
	case CONFIG_CHOICE: print_choice(key, at, out); break;
	case CONFIG_COUNT: buf_printf(out, "%zu", count_at(at)); break;
	case CONFIG_SIZE: print_size_at(at, out); break;
	case CONFIG_DECIMAL: print_decimal_at(at, out); break;
	case CONFIG_TIME: print_time_at(at, key->never, out); break;
	case CONFIG_TEXTS:
	case CONFIG_TIMES:
	case CONFIG_PATTERNS: print_list(key, base, out); break;
	/* What is in force. */
	case CONFIG_LATER: buf_append_text(out, key->fallback); break;
	case CONFIG_MAP: print_map(key, base, out); break;
	case CONFIG_SECTION:
	case CONFIG_ITEMS: break;
	}
}

const char *config_items(const struct config_key *key, const char *base, size_t *count_out)
{
	*count_out = count_at(base + key->count_offset);
	return pointer_at(base + key->offset);
}

static void print_keys(const struct config_key *keys, const char *base, size_t indent,
		       bool after_dash, struct buf *out);

static void print_items(const struct config_key *key, const char *base, size_t indent,
			struct buf *out)
{
	size_t count;
	const char *items = config_items(key, base, &count);

	buf_append_text(out, count == 0 ? " []\n" : "\n");
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%*s- ", (int)indent + 2, "");
		print_keys(key->keys, items + i * key->item_size, indent + 4, true, out);
	}
}

/* `after_dash`: the first name stands behind "- ", where its indent is already. */
static void print_keys(const struct config_key *keys, const char *base, size_t indent,
		       bool after_dash, struct buf *out)
{
	for (const struct config_key *key = keys; key->name != NULL; key++) {
		buf_printf(out, "%*s%s:", after_dash && key == keys ? 0 : (int)indent, "",
			   key->name);
		if (key->type == CONFIG_SECTION) {
			buf_append_char(out, '\n');
			print_keys(key->keys, base, indent + 2, false, out);
		} else if (key->type == CONFIG_ITEMS) {
			print_items(key, base, indent, out);
		} else {
			buf_append_char(out, ' ');
			config_print_value(key, base, out);
			buf_append_char(out, '\n');
		}
	}
}

void config_format(const struct config *config, struct buf *out)
{
	print_keys(config_keys, (const char *)config, 0, false, out);
}

int config_print(const struct config *config, FILE *out)
{
	struct buf text;
	bool good;

	buf_init(&text, PRINT_MAX_BYTES);
	config_format(config, &text);
	good = fwrite(text.data, 1, text.len, out) == text.len && fflush(out) == 0;
	buf_release(&text);
	return good ? ERR_OK : ERR_IO;
}
