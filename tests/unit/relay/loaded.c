/* tests/unit/relay/loaded.c - a configuration read from a text, and what was said about it */
#include <config.h> /* mkstemp */

#include "tests/unit/relay/loaded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

const char full_config[] = "hostname: relay.example.com\n"
			   "data_dir: ./var\n"
			   "log: {format: json, level: debug}\n"
			   "threads: 2\n"
			   "listeners:\n"
			   "  - address: \"[::]:2525\"\n"
			   "    scope: shop\n"
			   "    networks: [\"::1\", 10.1.0.0/16]\n"
			   "    greeting_delay: 2s\n"
			   "    proxy_protocol: true\n"
			   "    xclient: true\n"
			   "    resolve_client: true\n"
			   "    trusted: [10.1.2.0/24, fd00::/8]\n"
			   "  - address: unix:/run/stagepost/smtp\n"
			   "    protocol: lmtp\n"
			   "smtp: {max_message_size: 10M, command_timeout: 90s, fixups: msa}\n"
			   "policy:\n"
			   "  default: redirect\n"
			   "  redirect_to: QA@Example.COM\n"
			   "  header_policy: strip\n"
			   "  subject_tag: \"[staging] \"\n"
			   "  control_headers: [X-A, \"X-B-*\"]\n"
			   "delivery:\n"
			   "  schedule: [500ms, 2h]\n"
			   "  senders: [ci@example.com, .example.org]\n"
			   "  bounce_to: qa@example.com\n"
			   "  capture_only: true\n"
			   "  bounces: false\n"
			   "  eight_bit: fail\n"
			   "routes:\n"
			   "  - domains: [Example.com, .example.com]\n"
			   "    hosts: [\"smtp.example.com:587\", \"[::1]:25\"]\n"
			   "    tls: opportunistic\n"
			   "  - name: rest\n"
			   "    domains: [rest.test]\n"
			   "    hosts: [127.0.0.1:2526, \"unix:/run/lmtp\"]\n"
			   "    protocol: lmtp\n"
			   "    tls: none\n"
			   "    proxy_protocol: v2\n"
			   "    xclient: true\n"
			   "    source_address: 127.0.0.1\n"
			   "  - name: pinned\n"
			   "    hosts: [127.0.0.1:2527]\n"
			   "    tls: implicit\n"
			   "    tls_verify: false\n"
			   "    tls_pin: [\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]\n"
			   "admin: {listen: \"\", hosts: [localhost]}\n";

void write_file(char path[64], const char *text)
{
	int fd;

	snprintf(path, 64, "/tmp/stagepost-config-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

void load(struct loaded *loaded, const char *text, const char *const *overrides, size_t count)
{
	*loaded = (struct loaded){.config = NULL};
	buf_init(&loaded->notes, 65536);
	config_report_init(&loaded->report);
	if (text != NULL)
		write_file(loaded->path, text);
	loaded->code = config_load(text != NULL ? loaded->path : NULL, overrides, count,
				   &loaded->config, &loaded->report);
	for (size_t i = 0; i < loaded->report.count; i++) {
		const struct config_note *note = &loaded->report.notes[i];

		if (note->line > 0)
			buf_printf(&loaded->notes, "%zu:%zu ", note->line, note->column);
		else if (note->file != NULL && text != NULL &&
			 strcmp(note->file, loaded->path) != 0)
			buf_printf(&loaded->notes, "%s ", note->file);
		else if (note->file != NULL && text == NULL)
			buf_printf(&loaded->notes, "%s ", note->file);
		buf_printf(&loaded->notes, "%s%s: %s\n", note->warning ? "warning " : "", note->key,
			   note->text);
	}
	ck_assert_int_eq(loaded->code == ERR_OK, loaded->report.mistakes == 0);
	ck_assert_int_eq(loaded->code == ERR_OK, loaded->config != NULL);
}

void loaded_release(struct loaded *loaded)
{
	if (loaded->path[0] != '\0')
		unlink(loaded->path);
	config_free(&loaded->config);
	config_report_release(&loaded->report);
	buf_release(&loaded->notes);
}

const char *notes_of(const struct loaded *loaded)
{
	return loaded->notes.data != NULL ? loaded->notes.data : "";
}
