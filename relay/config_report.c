/* relay/config_report.c - every mistake found, with its place */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/config_read.h"

/* Nobody reads more, and a hostile file can't make it grow. All are counted. */
#define NOTES_MAX 500

#define DAY_MS	    ((int64_t)86400000)
#define END_SOON_MS (14 * DAY_MS)

void config_report_init(struct config_report *report)
{
	*report = (struct config_report){.arena = arena_new()};
}

void config_report_release(struct config_report *report)
{
	mem_free(report->notes);
	arena_free(&report->arena);
	*report = (struct config_report){.notes = NULL};
}

void config_report_add_at(struct config_report *report, bool warning, const char *file,
			  struct document_mark mark, const char *path, const char *sentence)
{
	struct config_note *note;

	report->mistakes += warning ? 0 : 1;
	if (report->count == NOTES_MAX)
		return;
	report->notes = mem_regrow(report->notes, report->count + 1, sizeof(*note));
	note = &report->notes[report->count++];
	note->file = arena_strdup(report->arena, file);
	note->line = mark.line;
	note->column = mark.column;
	note->key = arena_strdup(report->arena, path);
	note->text = arena_strdup(report->arena, sentence);
	note->warning = warning;
}

void config_report_add(struct config_report *report, bool warning, const struct document_node *node,
		       const char *path, const char *format, ...)
{
	struct document_mark mark = {0, 0};
	char sentence[400];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (node != NULL)
		mark = node->mark;
	config_report_add_at(report, warning, node != NULL ? node->source : NULL, mark, path,
			     sentence);
}

void config_place_add(const struct config_place *at, bool warning, const char *key,
		      const char *sentence)
{
	const struct document_node *node = document_find(at->node, span_of(key));

	config_report_add(at->reader->report, warning, node != NULL ? node : at->node,
			  arena_printf(at->reader->scratch, "%s.%s", at->path, key), "%s",
			  sentence);
}

void config_place_warn_of_end(const struct config_place *at, const char *key, int64_t expires_at)
{
	int64_t left = expires_at - clock_wall_ms();
	struct err text;

	if (left >= END_SOON_MS)
		return;
	err_set(&text, 0, "the certificate expires in %d days", (int)(left / DAY_MS));
	config_place_add(at, true, key, text.text);
}

static bool stands_before(const struct config_note *a, const struct config_note *b)
{
	if (a->line == 0 || b->line == 0)
		return a->line != 0 && b->line == 0;
	/* The users file was read behind the configuration. */
	if (strcmp(a->file, b->file) != 0)
		return false;
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void config_report_sort(struct config_report *report)
{
	for (size_t i = 1; i < report->count; i++) {
		struct config_note note = report->notes[i];
		size_t j = i;

		for (; j > 0 && stands_before(&note, &report->notes[j - 1]); j--)
			report->notes[j] = report->notes[j - 1];
		report->notes[j] = note;
	}
}

void config_note_format(const struct config_note *note, char *text_out, size_t size)
{
	char place[320] = "";

	if (note->file != NULL && note->line > 0)
		snprintf(place, sizeof(place), "%.250s:%zu:%zu: ", note->file, note->line,
			 note->column);
	else if (note->file != NULL)
		snprintf(place, sizeof(place), "%.250s: ", note->file);
	snprintf(text_out, size, "%s%s%s%s", place, note->key, note->key[0] != '\0' ? ": " : "",
		 note->text);
}

bool config_report_has(const struct config_report *report, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < report->count; i++)
		if (!report->notes[i].warning && strncmp(report->notes[i].key, path, len) == 0 &&
		    (report->notes[i].key[len] == '.' || report->notes[i].key[len] == '\0'))
			return true;
	return false;
}
