/* relay/stagepostd.c - the daemon's command line and exit codes (INTERFACE 2) */
#include <config.h>

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/config.h"
#include "relay/daemon.h"

struct options {
	const char *path;
	const char **overrides;
	size_t override_count;
	bool check;
	bool print;
};

static const char usage_text[] =
	"Usage: stagepostd [-c FILE] [-o key=value]... [--check-config] [--print-config]\n"
	"\n"
	"A staging post for e-mail: accepts everything, delivers only what the whitelist allows.\n"
	"\n"
	"  -c, --config FILE     configuration (default " CONFIG_DEFAULT_FILE ", if it is there)\n"
	"  -o key=value          set one key, e.g. -o data_dir=./var -o "
	"listeners.0.address=[::1]:25\n"
	"      --check-config    report every mistake in the configuration, then exit\n"
	"      --print-config    print the configuration in force, defaults included, then exit\n"
	"  -V, --version\n"
	"  -h, --help\n"
	"\n"
	"Exit: 0 clean stop, 64 usage, 70 the self-test failed, 74 database or disk failure,\n"
	"75 another daemon holds the data directory, 77 not permitted, 78 configuration.\n"
	"See stagepostd(8), stagepost.yaml(5).\n";

/* S339: no socket may become descriptor 0, 1 or 2. */
static void fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Returns -1 to go on, else the exit code. */
static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'}, {"check-config", no_argument, NULL, 'k'},
		{"print-config", no_argument, NULL, 'p'}, {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0},
	};
	int letter;

	options->overrides = mem_array((size_t)argc, sizeof(*options->overrides));
	while ((letter = getopt_long(argc, argv, "c:o:Vh", longs, NULL)) != -1) {
		switch (letter) {
		case 'c': options->path = optarg; break;
		case 'o': options->overrides[options->override_count++] = optarg; break;
		case 'k': options->check = true; break;
		case 'p': options->print = true; break;
		case 'V': puts(PACKAGE_STRING); return EX_OK;
		case 'h': fputs(usage_text, stdout); return EX_OK;
		default: fputs("Try 'stagepostd --help'.\n", stderr); return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "stagepostd: unexpected argument '%s'\n", argv[optind]);
		return EX_USAGE;
	}
	if (options->path == NULL && access(CONFIG_DEFAULT_FILE, F_OK) == 0)
		options->path = CONFIG_DEFAULT_FILE;
	return -1;
}

static void print_report(const struct config_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		char line[1024];

		config_note_format(&report->notes[i], line, sizeof(line));
		fprintf(stderr, "%s%s\n", report->notes[i].warning ? "warning: " : "", line);
	}
}

static int exit_code(int code)
{
	switch (code) {
	case ERR_OK: return EX_OK;
	case ERR_BUSY: return EX_TEMPFAIL;
	case ERR_DENIED: return EX_NOPERM;
	case ERR_SYNTAX:
	case ERR_LIMIT:
	case ERR_CONFLICT:
	case ERR_NOT_FOUND: return EX_CONFIG;
	case ERR_UNSAFE: return EX_SOFTWARE;
	default: return EX_IOERR;
	}
}

static int run(const struct options *options, struct config *config)
{
	struct daemon_source source = {options->path, options->overrides, options->override_count};
	struct err why = {""};
	int code = daemon_run(&source, config, &why);

	if (code != ERR_OK)
		fprintf(stderr, "stagepostd: %s\n", why.text);
	return exit_code(code);
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct config_report report;
	struct config *config = NULL;
	int code;

	fill_standard_descriptors();
	code = read_options(argc, argv, &options);
	if (code >= 0) {
		mem_free(options.overrides);
		return code;
	}
	config_report_init(&report);
	code = config_load(options.path, options.overrides, options.override_count, &config,
			   &report);
	print_report(&report);
	config_report_release(&report);
	if (code != ERR_OK) {
		code = EX_CONFIG;
	} else if (options.check || options.print) {
		code = options.print && config_print(config, stdout) != ERR_OK ? EX_IOERR : EX_OK;
		if (options.check && !options.print)
			puts("configuration: ok");
		config_free(&config);
	} else {
		code = run(&options, config);
	}
	mem_free(options.overrides);
	return code;
}
