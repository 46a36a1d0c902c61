/* cli/progress.c - how far long work has come, for a person who waits */
#include <config.h>

#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define EVERY_MS 100
#define BAR	 30 /* columns */
#define LINE	 78 /* all of it; a narrower terminal would wrap, and nothing is wiped then */

struct progress progress_make(const struct tool *tool, const char *what)
{
	return (struct progress){.what = what,
				 .shows = !tool->is_quiet && tool->format == TOOL_TEXT &&
					  isatty(STDERR_FILENO) == 1};
}

static void draw(const struct progress *progress, int64_t done, int64_t total)
{
	char bar[BAR + 1];
	int64_t filled;

	if (total <= 0) {
		fprintf(stderr, "\r%.40s %lld", progress->what, (long long)done);
		return;
	}
	if (done > total)
		done = total;
	filled = done * BAR / total;
	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)filled);
	bar[BAR] = '\0';
	fprintf(stderr, "\r%.40s %s %3d %%", progress->what, bar, (int)(done * 100 / total));
}

void progress_show(struct progress *progress, int64_t done, int64_t total)
{
	int64_t now;

	if (!progress->shows)
		return;
	now = clock_mono_ms();
	if (progress->is_drawn && now - progress->drawn_at < EVERY_MS)
		return;
	/* What has been printed stands above the line. */
	fflush(stdout);
	draw(progress, done, total);
	fflush(stderr);
	progress->is_drawn = true;
	progress->drawn_at = now;
}

void progress_wipe(struct progress *progress)
{
	if (!progress->is_drawn)
		return;
	fprintf(stderr, "\r%*s\r", LINE, "");
	fflush(stderr);
	progress->is_drawn = false;
}
