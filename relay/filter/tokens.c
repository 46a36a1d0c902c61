/* relay/filter/tokens.c - JSON (RFC 8259), pulled piece by piece, each with the place it stands at
 */
#include "relay/filter/tokens.h"

void tokens_init(struct tokens *tokens, struct span text)
{
	*tokens = (struct tokens){.text = text, .present_line = 1};
	tokens->want = WANT_VALUE;
	buf_init(&tokens->string, TOKENS_TEXT_MAX);
}

void tokens_release(struct tokens *tokens)
{
	buf_release(&tokens->string);
}

struct span tokens_text(const struct tokens *tokens)
{
	return buf_span(&tokens->string);
}

static enum token broken(struct tokens *tokens, const char *sentence)
{
	(void)err_set(&tokens->why, ERR_SYNTAX, "not JSON: %s", sentence);
	tokens->broken = true;
	return TOKEN_BROKEN;
}

/* The place is where the trouble is, not where the token began; no token has several lines. */
static enum token broken_here(struct tokens *tokens, const char *sentence)
{
	tokens->column = tokens->at - tokens->line_at + 1;
	return broken(tokens, sentence);
}

static bool is_at_end(const struct tokens *tokens)
{
	return tokens->at >= tokens->text.len;
}

/* NUL at the end: no character of JSON outside of strings. */
static char peek(const struct tokens *tokens)
{
	return is_at_end(tokens) ? '\0' : tokens->text.data[tokens->at];
}

static void skip_blanks(struct tokens *tokens)
{
	for (; !is_at_end(tokens); tokens->at++) {
		char c = tokens->text.data[tokens->at];

		if (c == '\n') {
			tokens->present_line++;
			tokens->line_at = tokens->at + 1;
		} else if (c != ' ' && c != '\t' && c != '\r') {
			break;
		}
	}
	tokens->line = tokens->present_line;
	tokens->column = tokens->at - tokens->line_at + 1;
}

/* --- strings --- */

static int hex_digit(char c)
{
	c = ascii_lower(c);
	return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX. False: they are not. */
static bool take_hex(struct tokens *tokens, unsigned *unit_out)
{
	unsigned unit = 0;

	for (size_t i = 0; i < 4; i++) {
		int digit = hex_digit(peek(tokens));

		if (digit < 0)
			return false;
		unit = unit << 4 | (unsigned)digit;
		tokens->at++;
	}
	*unit_out = unit;
	return true;
}

static int add_utf8(struct buf *out, unsigned c)
{
	char bytes[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char heads[] = {0, 0x00, 0xc0, 0xe0, 0xf0};

	for (size_t i = len - 1; i > 0; i--) {
		bytes[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	bytes[0] = (char)(heads[len] | c);
	return buf_append(out, bytes, len);
}

/* Behind "\u". Halves of a pair only together (RFC 8259 8.2). */
static const char *take_unicode(struct tokens *tokens)
{
	unsigned high;
	unsigned low;

	if (!take_hex(tokens, &high))
		return "four hexadecimal digits belong behind \\u";
	if (high >= 0xdc00 && high <= 0xdfff)
		return "half of a surrogate pair";
	if (high >= 0xd800 && high <= 0xdbff) {
		if (peek(tokens) != '\\')
			return "half of a surrogate pair";
		tokens->at++;
		if (peek(tokens) != 'u')
			return "half of a surrogate pair";
		tokens->at++;
		if (!take_hex(tokens, &low) || low < 0xdc00 || low > 0xdfff)
			return "half of a surrogate pair";
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	return add_utf8(&tokens->string, high) == ERR_OK ? NULL : "a string is too long";
}

/* Behind the backslash. NULL, or what is wrong. */
static const char *take_escape(struct tokens *tokens)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	char c = peek(tokens);
	const char *found = c != '\0' ? strchr(from, c) : NULL;

	if (c == 'u') {
		tokens->at++;
		return take_unicode(tokens);
	}
	if (found == NULL)
		return "an escape that does not exist";
	tokens->at++;
	return buf_append_char(&tokens->string, to[found - from]) == ERR_OK
		       ? NULL
		       : "a string is too long";
}

/* From behind the opening quote to behind the closing one. NULL, or what is wrong. */
static const char *take_string(struct tokens *tokens)
{
	buf_clear(&tokens->string);
	while (!is_at_end(tokens)) {
		char c = tokens->text.data[tokens->at];
		const char *wrong = NULL;

		if ((unsigned char)c < ' ')
			return "a control character in a string";
		tokens->at++;
		if (c == '"')
			return NULL;
		if (c == '\\')
			wrong = take_escape(tokens);
		else if (buf_append_char(&tokens->string, c) != ERR_OK)
			wrong = "a string is too long";
		if (wrong != NULL)
			return wrong;
	}
	return "a string without its end";
}

/* --- what is no string --- */

static size_t take_digits(struct tokens *tokens)
{
	size_t count = 0;

	for (; ascii_is_digit(peek(tokens)); count++)
		tokens->at++;
	return count;
}

static bool take_number(struct tokens *tokens)
{
	size_t from = tokens->at;
	bool zero;
	size_t digits;

	if (peek(tokens) == '-')
		tokens->at++;
	zero = peek(tokens) == '0';
	digits = take_digits(tokens);
	if (digits == 0 || (zero && digits > 1))
		return false;
	if (peek(tokens) == '.') {
		tokens->at++;
		if (take_digits(tokens) == 0)
			return false;
	}
	if (ascii_lower(peek(tokens)) == 'e') {
		tokens->at++;
		if (peek(tokens) == '+' || peek(tokens) == '-')
			tokens->at++;
		if (take_digits(tokens) == 0)
			return false;
	}
	buf_clear(&tokens->string);
	return buf_append(&tokens->string, tokens->text.data + from, tokens->at - from) == ERR_OK;
}

static enum token take_word(struct tokens *tokens)
{
	static const struct {
		const char *word;
		enum token token;
	} words[] = {{"true", TOKEN_TRUE}, {"false", TOKEN_FALSE}, {"null", TOKEN_NULL}};
	struct span rest = span_skip(tokens->text, tokens->at);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i].word);

		if (!span_is(span_first(rest, len), words[i].word))
			continue;
		tokens->at += len;
		return words[i].token;
	}
	return broken(tokens, is_at_end(tokens) ? "it ends too early" : "a value is expected");
}

/* --- the grammar --- */

static void after_value(struct tokens *tokens)
{
	tokens->want = tokens->depth > 0 ? WANT_MORE : WANT_END;
}

static enum token open_level(struct tokens *tokens, bool is_object)
{
	if (tokens->depth == TOKENS_DEPTH_MAX)
		return broken(tokens, "nested too deep");
	tokens->at++;
	tokens->in_object[tokens->depth++] = is_object;
	tokens->want = WANT_FIRST;
	return is_object ? TOKEN_OBJECT : TOKEN_ARRAY;
}

static enum token close_level(struct tokens *tokens)
{
	bool is_object = tokens->in_object[--tokens->depth];

	tokens->at++;
	after_value(tokens);
	return is_object ? TOKEN_OBJECT_END : TOKEN_ARRAY_END;
}

static enum token take_value(struct tokens *tokens)
{
	char c = peek(tokens);
	enum token token;

	if (c == '{' || c == '[')
		return open_level(tokens, c == '{');
	if (c == '"') {
		const char *wrong;

		tokens->at++;
		wrong = take_string(tokens);
		if (wrong != NULL)
			return broken_here(tokens, wrong);
		token = TOKEN_STRING;
	} else if (c == '-' || ascii_is_digit(c)) {
		if (!take_number(tokens))
			return broken_here(tokens, "a number is cut off or begins with 0");
		token = TOKEN_NUMBER;
	} else {
		token = take_word(tokens);
	}
	after_value(tokens);
	return token;
}

static enum token take_name(struct tokens *tokens)
{
	size_t line = tokens->line;
	size_t column = tokens->column;
	const char *wrong;

	if (peek(tokens) != '"')
		return broken(tokens, "the name of a member is expected");
	tokens->at++;
	wrong = take_string(tokens);
	if (wrong != NULL)
		return broken_here(tokens, wrong);
	skip_blanks(tokens);
	if (peek(tokens) != ':')
		return broken(tokens, "':' is expected behind the name of a member");
	tokens->at++;
	tokens->line = line;
	tokens->column = column;
	tokens->want = WANT_VALUE;
	return TOKEN_NAME;
}

/* Behind '{' or '[', behind a value in them, or behind a comma. */
static enum token take_inside(struct tokens *tokens)
{
	bool is_object = tokens->in_object[tokens->depth - 1];
	char c = peek(tokens);

	if (c == (is_object ? '}' : ']'))
		return close_level(tokens);
	if (tokens->want == WANT_MORE) {
		if (c != ',')
			return broken(tokens, is_object ? "',' or '}' is expected"
							: "',' or ']' is expected");
		tokens->at++;
		skip_blanks(tokens);
	}
	return is_object ? take_name(tokens) : take_value(tokens);
}

enum token tokens_next(struct tokens *tokens)
{
	if (tokens->broken)
		return TOKEN_BROKEN;
	skip_blanks(tokens);
	if (tokens->want == WANT_VALUE)
		return take_value(tokens);
	if (tokens->want != WANT_END)
		return take_inside(tokens);
	return is_at_end(tokens) ? TOKEN_END : broken(tokens, "something stands behind its end");
}

bool tokens_skip(struct tokens *tokens, enum token first)
{
	size_t open = first == TOKEN_OBJECT || first == TOKEN_ARRAY ? 1 : 0;

	while (open > 0) {
		switch (tokens_next(tokens)) {
		case TOKEN_OBJECT:
		case TOKEN_ARRAY: open++; break;
		case TOKEN_OBJECT_END:
		case TOKEN_ARRAY_END: open--; break;
		case TOKEN_BROKEN: return false;
		default: break;
		}
	}
	return first != TOKEN_BROKEN;
}
