/* relay/filter/listing_csv.c - lists as comma-separated values (RFC 4180): read */
#include "relay/filter/listing_private.h"

#define COLUMNS_MAX    32
#define CELL_MAX_BYTES ((size_t)16 * 1024)
#define PASSED_OVER    FIELD_COUNT /* a column that an export of ours has and nobody can set */

struct csv {
	struct reading *reading;
	struct span text;
	size_t at;
	size_t line;
	size_t line_at; /* where it begins */
	char comma;
	enum listing_field columns[COLUMNS_MAX];
	size_t column_count;
	/* the cell read last */
	struct buf cell;
	struct place place;
};

enum cell { CELL_MORE, CELL_LAST /* of its row */, CELL_BROKEN /* told, and its row left */ };

static struct place place_here(const struct csv *csv)
{
	return (struct place){csv->line, csv->at - csv->line_at + 1, NULL};
}

/* Length of the line end here, 0: none. The end of the text is one, too. */
static bool is_line_end(const struct csv *csv, size_t *len_out)
{
	struct span rest = span_skip(csv->text, csv->at);

	*len_out = rest.len > 0 && rest.data[0] == '\n' ? 1 : 0;
	if (rest.len > 1 && rest.data[0] == '\r' && rest.data[1] == '\n')
		*len_out = 2;
	return rest.len == 0 || *len_out > 0;
}

static void next_line(struct csv *csv, size_t len)
{
	csv->at += len;
	csv->line++;
	csv->line_at = csv->at;
}

static enum cell broken(struct csv *csv, const char *sentence)
{
	struct span rest = span_skip(csv->text, csv->at);

	reading_mistake(csv->reading, place_here(csv), "%s", sentence);
	next_line(csv, span_find(rest, '\n') + 1); /* or to behind the end */
	return CELL_BROKEN;
}

/* Behind the opening quote, to behind the closing one. CR LF in a cell is a line end as any. */
static const char *take_quoted(struct csv *csv)
{
	while (csv->at < csv->text.len) {
		size_t len;
		char c = csv->text.data[csv->at];

		if (is_line_end(csv, &len)) {
			next_line(csv, len);
			c = '\n';
		} else {
			csv->at++;
			if (c == '"' &&
			    (csv->at >= csv->text.len || csv->text.data[csv->at] != '"'))
				return NULL;
			if (c == '"')
				csv->at++;
		}
		if (buf_append_char(&csv->cell, c) != ERR_OK)
			return "a cell is too long: is its closing quote missing?";
	}
	return "a closing quote is missing";
}

static const char *take_bare(struct csv *csv)
{
	size_t len;

	for (; !is_line_end(csv, &len) && csv->text.data[csv->at] != csv->comma; csv->at++) {
		if (csv->text.data[csv->at] == '"')
			return "a quote inside a cell that does not begin with one";
		if (buf_append_char(&csv->cell, csv->text.data[csv->at]) != ERR_OK)
			return "a cell is too long";
	}
	return NULL;
}

static enum cell take_cell(struct csv *csv)
{
	const char *wrong;
	size_t len;

	buf_clear(&csv->cell);
	csv->place = place_here(csv);
	if (csv->at < csv->text.len && csv->text.data[csv->at] == '"') {
		csv->at++;
		wrong = take_quoted(csv);
		if (wrong != NULL) { /* where it ends nobody knows: neither what comes behind it */
			reading_mistake(csv->reading, csv->place, "%s", wrong);
			csv->at = csv->text.len;
			return CELL_BROKEN;
		}
	} else {
		wrong = take_bare(csv);
		if (wrong != NULL)
			return broken(csv, wrong);
	}
	if (is_line_end(csv, &len)) {
		next_line(csv, len);
		return CELL_LAST;
	}
	if (csv->text.data[csv->at] != csv->comma)
		return broken(csv, "something stands behind a closing quote");
	csv->at++;
	return CELL_MORE;
}

/*
 * Spreadsheets take what begins like this for a formula. An export puts a '
 * in front, which is taken off here.
 */
static struct span without_guard(struct span cell)
{
	if (cell.len > 1 && cell.data[0] == '\'' && memchr("=+-@'\t\n", cell.data[1], 7) != NULL)
		return span_skip(cell, 1);
	return cell;
}

/* --- the first row --- */

/* Where a comma is the decimal point, spreadsheets write semicolons. */
static char find_comma(struct span text)
{
	struct span first = span_first(text, span_find(text, '\n'));

	return span_find(first, ',') == first.len && span_find(first, ';') < first.len ? ';' : ',';
}

static bool has_column(const struct csv *csv, enum listing_field field)
{
	for (size_t i = 0; i < csv->column_count; i++)
		if (csv->columns[i] == field)
			return true;
	return false;
}

static bool add_column(struct csv *csv)
{
	struct span name = span_trim(buf_span(&csv->cell));
	enum listing_field field = field_find(name);

	if (csv->column_count == COLUMNS_MAX)
		reading_mistake(csv->reading, csv->place, "more than %d columns", COLUMNS_MAX);
	else if (field == FIELD_COUNT && !field_is_passed_over(name))
		reading_mistake(csv->reading, csv->place,
				"a column of no known name: the first row names pattern, action, "
				"scope, note, owner, expires_at, expires_in, allow_all");
	else if (field != FIELD_COUNT && has_column(csv, field))
		reading_mistake(csv->reading, csv->place, "this column is there twice");
	else
		csv->columns[csv->column_count++] = field == FIELD_COUNT ? PASSED_OVER : field;
	return csv->reading->mistakes == 0;
}

/* False: told why. */
static bool read_columns(struct csv *csv)
{
	enum cell cell;

	do {
		cell = take_cell(csv);
		if (cell == CELL_BROKEN || !add_column(csv))
			return false;
	} while (cell == CELL_MORE);
	if (!has_column(csv, FIELD_PATTERN))
		reading_mistake(csv->reading, (struct place){1, 0, NULL},
				"the first row must name a column pattern");
	return csv->reading->mistakes == 0;
}

/* --- the others --- */

static void set_cell(struct csv *csv, struct draft *draft, size_t column)
{
	enum listing_field field = csv->columns[column];
	struct span text = without_guard(buf_span(&csv->cell));

	if (field == FIELD_PATTERN)
		text = span_trim(text);
	if (field != PASSED_OVER && text.len > 0)
		draft_set(csv->reading, draft, field, text, csv->place);
}

static void read_row(struct csv *csv)
{
	struct place place = {csv->line, 0, NULL};
	struct draft draft;
	size_t count = 0;
	size_t len;
	enum cell cell;

	if (is_line_end(csv, &len)) {
		next_line(csv, len);
		return;
	}
	draft_begin(&draft, place);
	do {
		cell = take_cell(csv);
		if (cell == CELL_BROKEN)
			return;
		if (count < csv->column_count)
			set_cell(csv, &draft, count);
		count++;
	} while (cell == CELL_MORE);
	if (count != csv->column_count)
		reading_mistake(csv->reading, place, "%zu cells, but the first row names %zu",
				count, csv->column_count);
	else
		reading_add(csv->reading, &draft);
}

void listing_read_csv(struct reading *reading, struct span text)
{
	struct csv csv = {.reading = reading, .text = text, .line = 1};

	csv.comma = find_comma(text);
	buf_init(&csv.cell, CELL_MAX_BYTES);
	if (read_columns(&csv))
		while (csv.at < text.len && !reading_is_over(reading))
			read_row(&csv);
	buf_release(&csv.cell);
}
