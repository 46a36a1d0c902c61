/* relay/config_check_retention.c - retention: what goes together, and what follows from it */
#include "relay/config_read.h"
#include "relay/config_value.h"

#define MAIL_AT_LEAST 4 /* messages of the largest size that max_bytes must have room for */

static void complain(struct config_reader *reader, const struct document_node *section,
		     const char *key, const char *sentence)
{
	const struct config_place at = {reader, section, "retention"};

	config_place_add(&at, false, key, sentence);
}

/* What is known of a message can't go before its content. False: told. */
static bool check_age(struct config_reader *reader, const struct document_node *section,
		      int64_t metadata_ms, const char *key, int64_t age_ms)
{
	char age[CONFIG_VALUE_SIZE];

	if (metadata_ms == 0 || (age_ms > 0 && age_ms <= metadata_ms))
		return true;
	config_format_time(age_ms, age);
	complain(reader, section, "metadata",
		 arena_printf(reader->scratch, "ends before retention.%s, which is %s", key,
			      age_ms == 0 ? "off" : age));
	return false;
}

static void check_ages(struct config_reader *reader, const struct document_node *section,
		       const struct retention_options *retention)
{
	int64_t metadata_ms = retention->metadata_ms;

	/* One is enough to know, the one that is usually the longest. */
	if (check_age(reader, section, metadata_ms, "failed", retention->failed_ms) &&
	    check_age(reader, section, metadata_ms, "dropped", retention->dropped_ms))
		(void)check_age(reader, section, metadata_ms, "delivered", retention->delivered_ms);
}

static void check_bytes(struct config_reader *reader, const struct document_node *section,
			int64_t max_bytes, int64_t message_size)
{
	char least[CONFIG_VALUE_SIZE];

	if (max_bytes == 0 || max_bytes / MAIL_AT_LEAST >= message_size)
		return;
	config_format_size(MAIL_AT_LEAST * message_size, least);
	complain(reader, section, "max_bytes",
		 arena_printf(reader->scratch,
			      "must have room for %d messages of smtp.max_message_size: %s, or 0 "
			      "for no limit",
			      MAIL_AT_LEAST, least));
}

/* Two of the largest messages may come while room is made, and usually many small ones. */
static int64_t find_headroom(int64_t max_bytes, int64_t message_size)
{
	int64_t usual = max_bytes / 16;
	int64_t large = 2 * message_size;
	int64_t most = max_bytes / 2;
	int64_t headroom = usual > large ? usual : large;

	return headroom < most ? headroom : most;
}

void config_finish_retention(struct config_reader *reader, struct config *config,
			     const struct document_node *root)
{
	const struct document_node *section = document_find(root, span_of("retention"));
	struct retention_options *retention = &config->retention;

	retention->headroom_bytes =
		find_headroom(retention->max_bytes, config->smtp.max_message_size);
	/* Else some of them are not what they were meant to be. */
	if (config_report_has(reader->report, "retention") ||
	    config_report_has(reader->report, "smtp"))
		return;
	check_ages(reader, section, retention);
	check_bytes(reader, section, retention->max_bytes, config->smtp.max_message_size);
}
