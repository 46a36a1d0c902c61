/* cli/table.c - rows and columns that fit a terminal: cut, never wrapped */
#include "cli/table.h"

#include "base/mem.h"
#include "cli/text.h"

#define GAP	 2
#define CELL_MAX 8192 /* octets of one cleaned cell: more fits no terminal */

struct cell {
	struct span clean;
	size_t width;
	const char *colour;
};

struct table {
	const struct table_column *columns;
	size_t column_count;
	struct arena *arena;
	struct cell *cells;
	size_t row_count;
	size_t row_room;
};

/* What one print settles for each column. */
struct layout {
	size_t width;
	bool is_hidden;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = mem_zalloc(sizeof(*table));

	table->columns = columns;
	table->column_count = count;
	table->arena = arena_new();
	return table;
}

void table_free(struct table **table)
{
	if (*table == NULL)
		return;
	arena_free(&(*table)->arena);
	mem_free((*table)->cells);
	mem_free(*table);
	*table = NULL;
}

static struct cell make_cell(struct table *table, size_t column, const char *text)
{
	struct cell cell = {0};
	struct buf clean;

	if (text == NULL)
		return cell;
	if (table->columns[column].colour != NULL)
		cell.colour = table->columns[column].colour(text);
	buf_init(&clean, CELL_MAX);
	/* One octet becomes at most eight ("\u{e0001}" has four). */
	text_clean(&clean, span_first(span_of(text), CELL_MAX / 8));
	cell.clean = span_make(arena_span_dup(table->arena, buf_span(&clean)), clean.len);
	cell.width = text_width(cell.clean);
	buf_release(&clean);
	return cell;
}

void table_add(struct table *table, const char *const *cells)
{
	struct cell *row;

	if (table->row_count == table->row_room) {
		table->row_room = table->row_room > 0 ? table->row_room * 2 : 64;
		table->cells = mem_regrow(table->cells, table->row_room * table->column_count,
					  sizeof(*table->cells));
	}
	row = &table->cells[table->row_count++ * table->column_count];
	for (size_t i = 0; i < table->column_count; i++)
		row[i] = make_cell(table, i, cells[i]);
}

size_t table_rows(const struct table *table)
{
	return table->row_count;
}

/* --- layout ------------------------------------------------------------------ */

static void measure(const struct table *table, struct layout *layout)
{
	for (size_t c = 0; c < table->column_count; c++) {
		layout[c].width = text_width(span_of(table->columns[c].title));
		layout[c].is_hidden = false;
		for (size_t r = 0; r < table->row_count; r++) {
			size_t width = table->cells[r * table->column_count + c].width;

			if (width > layout[c].width)
				layout[c].width = width;
		}
	}
}

/* In all; with `at_least` as if every column that can be cut were cut to its least. */
static size_t total_width(const struct table *table, const struct layout *layout, bool at_least)
{
	size_t total = 0;

	for (size_t c = 0; c < table->column_count; c++) {
		size_t least = table->columns[c].least;
		size_t width = layout[c].width;

		if (layout[c].is_hidden)
			continue;
		if (at_least && least > 0 && least < width)
			width = least;
		total += width + (total > 0 ? GAP : 0);
	}
	return total;
}

static bool hide_one(const struct table *table, struct layout *layout)
{
	size_t worst = table->column_count;

	for (size_t c = 0; c < table->column_count; c++)
		if (!layout[c].is_hidden && table->columns[c].rank > 0 &&
		    (worst == table->column_count ||
		     table->columns[c].rank > table->columns[worst].rank))
			worst = c;
	if (worst == table->column_count)
		return false;
	layout[worst].is_hidden = true;
	return true;
}

/* The widest of those that may be cut gives a column. */
static bool narrow_one(const struct table *table, struct layout *layout)
{
	size_t widest = table->column_count;

	for (size_t c = 0; c < table->column_count; c++)
		if (!layout[c].is_hidden && table->columns[c].least > 0 &&
		    layout[c].width > table->columns[c].least &&
		    (widest == table->column_count || layout[c].width >= layout[widest].width))
			widest = c;
	if (widest == table->column_count)
		return false;
	layout[widest].width--;
	return true;
}

static void fit(const struct table *table, size_t width, struct layout *layout)
{
	while (total_width(table, layout, true) > width && hide_one(table, layout))
		;
	while (total_width(table, layout, false) > width && narrow_one(table, layout))
		;
}

/* --- printing ---------------------------------------------------------------- */

static void pad(struct buf *out, size_t count)
{
	while (count-- > 0)
		(void)buf_append_char(out, ' ');
}

/* `room`: what is left on the line; it never gets longer, even where nothing could be cut. */
static size_t print_cell(const struct cell *cell, bool is_right, bool is_last, size_t room,
			 struct buf *out)
{
	struct span text = cell->clean;
	size_t width = cell->width;

	if (width > room) {
		text = text_front(cell->clean, room > 0 ? room - 1 : 0);
		width = text_width(text) + (room > 0 ? 1 : 0);
	}
	if (is_right)
		pad(out, room - width);
	if (cell->colour != NULL)
		(void)buf_printf(out, "\033[%sm", cell->colour);
	(void)buf_append_span(out, text);
	if (cell->width > room && room > 0)
		(void)buf_append_text(out, "…");
	if (cell->colour != NULL)
		(void)buf_append_text(out, "\033[0m");
	if (!is_right && !is_last)
		pad(out, room - width);
	return room;
}

static size_t last_shown(const struct table *table, const struct layout *layout)
{
	size_t last = 0;

	for (size_t c = 0; c < table->column_count; c++)
		if (!layout[c].is_hidden)
			last = c;
	return last;
}

static void print_row(const struct table *table, const struct layout *layout,
		      const struct cell *row, size_t width, bool colours, struct buf *out)
{
	size_t last = last_shown(table, layout);
	size_t used = 0;

	for (size_t c = 0; c < table->column_count; c++) {
		struct cell cell = row[c];
		size_t room = layout[c].width;

		if (layout[c].is_hidden)
			continue;
		if (used > 0) {
			/* A column of which only the "…" is left says nothing. */
			if (width > 0 && used + GAP + 1 >= width)
				break;
			pad(out, GAP);
			used += GAP;
		}
		if (width > 0 && used + room > width)
			room = width - used;
		if (!colours)
			cell.colour = NULL;
		used += print_cell(&cell, table->columns[c].is_right, c == last, room, out);
	}
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
	(void)buf_append_char(out, '\n');
}

void table_print(const struct table *table, size_t width, bool colours, struct buf *out)
{
	struct layout *layout = mem_array(table->column_count, sizeof(*layout));
	struct cell *titles = mem_array(table->column_count, sizeof(*titles));

	measure(table, layout);
	if (width > 0)
		fit(table, width, layout);
	for (size_t c = 0; c < table->column_count; c++) {
		titles[c].clean = span_of(table->columns[c].title);
		titles[c].width = text_width(titles[c].clean);
		titles[c].colour = "1";
	}
	print_row(table, layout, titles, width, colours, out);
	for (size_t r = 0; r < table->row_count; r++)
		print_row(table, layout, &table->cells[r * table->column_count], width, colours,
			  out);
	mem_free(titles);
	mem_free(layout);
}
