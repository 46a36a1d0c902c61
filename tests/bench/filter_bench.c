/*
 * tests/bench/filter_bench.c - the whitelist at size: load time, bytes an
 * entry, nanoseconds a verdict, microseconds a publish, also while merging;
 * then the same list in a database: written, read at a start, changed.
 *
 * Usage: filter_bench [ENTRIES]   (default 1000000; needs some 500 bytes of disk for each)
 */
#include <config.h> /* nftw, mkdtemp */

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/reader.h"
#include "queue/store.h"
#include "queue/whitelist.h"
#include "relay/filter/pattern.h"
#include "relay/filter/whitelist.h"

#define VERDICTS  2000000
#define PROBES	  (1 << 18) /* different addresses: far more than caches hold */
#define PUBLISHES 20000
#define SINGLES	  500000 /* verdicts that are timed one by one */
#define AT_ONCE	  20000	 /* lines of one change that fills the database */
#define CHANGES	  300

static uint64_t state = 0x2545f4914f6cdd1du;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 20) % below;
}

/* Nine in ten are addresses; the rest domains, sub-domains, globs and denials. */
static struct entry make_entry(uint64_t n, char text[64])
{
	enum entry_kind kind = ENTRY_EXACT;

	switch (n % 40) {
	case 0:
		kind = ENTRY_DOMAIN;
		snprintf(text, 64, "only%" PRIu64 ".example", n);
		break;
	case 1:
		kind = ENTRY_SUBDOMAIN;
		snprintf(text, 64, ".below%" PRIu64 ".example", n);
		break;
	case 2:
		kind = ENTRY_GLOB;
		snprintf(text, 64, "qa%" PRIu64 "-*@customer%" PRIu64 ".example", n, n % 5000);
		break;
	default:
		snprintf(text, 64, "first.last%" PRIu64 "@customer%" PRIu64 ".example", n,
			 n % 5000);
	}
	return (struct entry){.id = (int64_t)n + 1,
			      .pattern = text,
			      .kind = kind,
			      .action = n % 40 == 39 ? ENTRY_DENY : ENTRY_ALLOW,
			      .scope = ""};
}

/* Of this thread: what it takes on a machine that has nothing else to do. */
static double cpu_seconds(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void load(struct whitelist *list, uint64_t entries)
{
	int64_t start = clock_mono_us();
	double cpu = cpu_seconds();
	const struct whitelist_snapshot *snapshot;
	size_t bad;
	size_t bytes;
	size_t strings;

	whitelist_load_begin(list);
	for (uint64_t n = 0; n < entries; n++) {
		char text[64];
		struct entry entry = make_entry(n, text);

		whitelist_load_add(list, &entry);
	}
	whitelist_load_end(list, 1, &bad);
	printf("load            %8.2f s   %.2f s of CPU, %" PRIu64 " entries, %zu bad\n",
	       (double)(clock_mono_us() - start) / 1e6, cpu_seconds() - cpu, entries, bad);
	snapshot = whitelist_acquire(list);
	whitelist_bytes(snapshot, &bytes, &strings);
	printf("memory          %8.1f bytes an entry, beside %.1f of its strings\n",
	       (double)(bytes - strings) / (double)entries, (double)strings / (double)entries);
	whitelist_release(&snapshot);
}

static void parse_probe(struct address *address, const char *text)
{
	if (address_parse(span_of(text), address, NULL) != ERR_OK) {
		fprintf(stderr, "filter_bench: %s does not parse\n", text);
		exit(EXIT_FAILURE);
	}
}

/* `what`: 0 listed exactly, 1 not listed at a known domain, 2 not listed at all, 3 by a glob. */
static struct address *make_probes(uint64_t entries, int what)
{
	struct address *probes = mem_array(PROBES, sizeof(*probes));

	for (size_t i = 0; i < PROBES; i++) {
		uint64_t n = draw(entries) / 40 * 40 + (what == 3 ? 2 : 5);
		char text[96];

		if (what == 0)
			snprintf(text, sizeof(text),
				 "First.Last%" PRIu64 "@customer%" PRIu64 ".Example", n, n % 5000);
		else if (what == 1)
			snprintf(text, sizeof(text),
				 "nobody%" PRIu64 "@customer%" PRIu64 ".example", n, n % 5000);
		else if (what == 2)
			snprintf(text, sizeof(text), "user%" PRIu64 "@mail%" PRIu64 ".evil.example",
				 n, n);
		else
			snprintf(text, sizeof(text), "qa%" PRIu64 "-x@customer%" PRIu64 ".example",
				 n, n % 5000);
		parse_probe(&probes[i], text);
	}
	return probes;
}

static void time_verdicts(struct whitelist *list, uint64_t entries, int what, const char *label)
{
	struct address *probes = make_probes(entries, what);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	size_t delivered = 0;
	int64_t start = clock_mono_us();
	double cpu = cpu_seconds();

	for (size_t i = 0; i < VERDICTS; i++) {
		struct verdict verdict;

		verdict_judge(snapshot, &probes[i % PROBES], span_of(""), 1, &verdict);
		delivered += verdict.kind == VERDICT_DELIVER;
	}
	printf("verdict         %8.0f ns  %.0f of CPU, %s (%.0f %% delivered)\n",
	       (double)(clock_mono_us() - start) * 1e3 / VERDICTS,
	       (cpu_seconds() - cpu) * 1e9 / VERDICTS, label, 100.0 * (double)delivered / VERDICTS);
	whitelist_release(&snapshot);
	mem_free(probes);
}

static int compare_times(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a;
	int64_t right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

static int64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * Each by itself, with what asking for the time costs. The address is at hand, as
 * it is right after a RCPT was parsed; the list is not.
 */
static void time_single_verdicts(struct whitelist *list, uint64_t entries)
{
	struct address *probes = make_probes(entries, 0);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	int64_t *times = mem_array(SINGLES, sizeof(*times));

	for (size_t i = 0; i < SINGLES; i++) {
		struct address address = probes[i % PROBES];
		struct verdict verdict;
		int64_t start = nanoseconds();

		verdict_judge(snapshot, &address, span_of(""), 1, &verdict);
		times[i] = nanoseconds() - start;
	}
	qsort(times, SINGLES, sizeof(*times), compare_times);
	printf("verdict         %8" PRId64 " ns  median of single ones, p99 %" PRId64
	       " ns, p99.9 %" PRId64 " ns\n",
	       times[SINGLES / 2], times[SINGLES / 100 * 99], times[SINGLES / 1000 * 999]);
	mem_free(times);
	whitelist_release(&snapshot);
	mem_free(probes);
}

static void time_acquire(struct whitelist *list)
{
	int64_t start = clock_mono_us();

	for (size_t i = 0; i < VERDICTS; i++) {
		const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

		whitelist_release(&snapshot);
	}
	printf("acquire+release %8.0f ns\n", (double)(clock_mono_us() - start) * 1e3 / VERDICTS);
}

/* One change at a time, as the API makes them; merges of the base run beside it. */
static void time_publishes(struct whitelist *list, uint64_t entries)
{
	int64_t *times = mem_array(PUBLISHES, sizeof(*times));

	for (uint64_t i = 0; i < PUBLISHES; i++) {
		char text[64];
		struct whitelist_change change = {
			.operation = i % 2 == 0 ? ENTRY_ADD : ENTRY_REMOVE,
			.entry = make_entry(i % 2 == 0 ? entries + i : draw(entries), text)};
		int64_t start = clock_mono_us();

		whitelist_publish(list, &change, 1, (int64_t)i + 2);
		times[i] = clock_mono_us() - start;
	}
	qsort(times, PUBLISHES, sizeof(*times), compare_times);
	printf("publish         %8" PRId64 " us  median, p99 %" PRId64 " us, max %" PRId64 " us\n",
	       times[PUBLISHES / 2], times[PUBLISHES / 100 * 99], times[PUBLISHES - 1]);
	mem_free(times);
}

/* --- in a database -----------------------------------------------------------------------------
 */

static void fail(const char *what, const struct err *why) __attribute__((noreturn));

static void fail(const char *what, const struct err *why)
{
	fprintf(stderr, "filter_bench: %s: %s\n", what, why->text);
	exit(EXIT_FAILURE);
}

static void publish(void *ctx, const struct whitelist_change *changes, size_t count,
		    int64_t revision)
{
	whitelist_publish(ctx, changes, count, revision);
}

static void apply(struct store *store, struct whitelist_change *changes, size_t count)
{
	struct whitelist_apply job = {.changes = changes,
				      .count = count,
				      .expect_list_revision = -1,
				      .actor = "bench",
				      .now = clock_wall_ms()};
	struct err why;

	if (store_wait(store, queue_whitelist_apply, &job.job, &why) != ERR_OK)
		fail("apply", &why);
}

static void fill(struct store *store, uint64_t entries)
{
	struct whitelist_change *changes = mem_array(AT_ONCE, sizeof(*changes));
	char(*texts)[64] = mem_array(AT_ONCE, sizeof(*texts));
	int64_t start = clock_mono_us();
	int64_t longest = 0;

	for (uint64_t n = 0; n < entries; n += AT_ONCE) {
		uint64_t count = entries - n < AT_ONCE ? entries - n : AT_ONCE;
		int64_t began = clock_mono_us();

		for (uint64_t i = 0; i < count; i++)
			changes[i] = (struct whitelist_change){
				.operation = ENTRY_ADD, .entry = make_entry(n + i, texts[i])};
		apply(store, changes, count);
		if (clock_mono_us() - began > longest)
			longest = clock_mono_us() - began;
	}
	printf("written         %8.2f s   %.1f us an entry; one change of %d: %.0f ms at most\n",
	       (double)(clock_mono_us() - start) / 1e6,
	       (double)(clock_mono_us() - start) / (double)entries, AT_ONCE, (double)longest / 1e3);
	mem_free(texts);
	mem_free(changes);
}

static bool load_row(void *ctx, const struct entry *entry)
{
	whitelist_load_add(ctx, entry);
	return true;
}

/* As the daemon does it when it starts. */
static void time_start(struct store *store, struct whitelist *list)
{
	int64_t start = clock_mono_us();
	double cpu = cpu_seconds();
	struct store_reader *reader;
	int64_t revision;
	struct err why;
	size_t bad;

	if (store_reader_open(store, &reader, &why) != ERR_OK)
		fail("reader", &why);
	whitelist_load_begin(list);
	if (queue_whitelist_snapshot(reader, &revision, load_row, list, &why) != ERR_OK)
		fail("snapshot", &why);
	whitelist_load_end(list, revision, &bad);
	store_reader_close(&reader);
	printf("read and loaded %8.2f s   %.2f s of CPU, from the database, %zu bad\n",
	       (double)(clock_mono_us() - start) / 1e6, cpu_seconds() - cpu, bad);
}

/* From the request to the answer: committed with fsync, and in force. */
static void time_changes(struct store *store, uint64_t entries)
{
	int64_t times[CHANGES];

	for (uint64_t i = 0; i < CHANGES; i++) {
		char text[64];
		struct whitelist_change change = {.operation = ENTRY_ADD,
						  .entry = make_entry(entries + 40 * i + 5, text)};
		int64_t start = clock_mono_us();

		apply(store, &change, 1);
		times[i] = clock_mono_us() - start;
	}
	qsort(times, CHANGES, sizeof(times[0]), compare_times);
	printf("change in force %8" PRId64 " us  median, p99 %" PRId64 " us, max %" PRId64 " us\n",
	       times[CHANGES / 2], times[CHANGES / 100 * 99], times[CHANGES - 1]);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void in_database(uint64_t entries)
{
	struct whitelist *list = whitelist_new();
	char dir[] = "/tmp/filter_bench.XXXXXX";
	struct store_options options = {.data_dir = dir, .on_whitelist = publish, .ctx = list};
	struct store *store;
	struct err why;

	if (mkdtemp(dir) == NULL || store_open(&options, &store, &why) != ERR_OK)
		fail(dir, &why);
	fill(store, entries);
	time_start(store, list);
	time_changes(store, entries);
	store_close(&store);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	whitelist_free(&list);
}

int main(int argc, char **argv)
{
	uint64_t entries = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	struct whitelist *list = whitelist_new();

	if (entries < 40) {
		fprintf(stderr, "usage: filter_bench [ENTRIES, at least 40]\n");
		return 64;
	}
	load(list, entries);
	time_verdicts(list, entries, 0, "listed exactly");
	time_verdicts(list, entries, 1, "not listed, domain known");
	time_verdicts(list, entries, 2, "not listed at all");
	time_verdicts(list, entries, 3, "by a glob");
	time_single_verdicts(list, entries);
	time_acquire(list);
	time_publishes(list, entries);
	time_verdicts(list, entries, 0, "listed exactly, while the changes are merged");
	time_verdicts(list, entries, 0, "listed exactly, after it");
	whitelist_free(&list);
	in_database(entries);
	return EXIT_SUCCESS;
}
