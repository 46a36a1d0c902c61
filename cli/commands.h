/* cli/commands.h - every command of the tool; cli/stagepost.c has the table */
#ifndef STAGEPOST_CLI_COMMANDS_H
#define STAGEPOST_CLI_COMMANDS_H

#include "cli/tool.h"

/* cli/status.c */
extern const struct command command_status;

/* cli/queue.c */
extern const struct command command_queue_list;
extern const struct command command_queue_show;
extern const struct command command_queue_cat;
extern const struct command command_queue_stats;

/* cli/queue_act.c */
extern const struct command command_queue_retry;
extern const struct command command_queue_hold;
extern const struct command command_queue_release;
extern const struct command command_queue_cancel;

/* cli/queue_delete.c */
extern const struct command command_queue_delete;

/* cli/whitelist.c */
extern const struct command command_whitelist_list;
extern const struct command command_whitelist_add;
extern const struct command command_whitelist_remove;

/* cli/history.c */
extern const struct command command_whitelist_history;

/* cli/whitelist_file.c */
extern const struct command command_whitelist_import;
extern const struct command command_whitelist_export;

/* cli/whitelist_apply.c */
extern const struct command command_whitelist_apply;

/* cli/user.c */
extern const struct command command_user_add;
extern const struct command command_user_remove;
extern const struct command command_user_list;
extern const struct command command_user_passwd;

/* cli/fault.c */
extern const struct command command_fault_list;
extern const struct command command_fault_add;
extern const struct command command_fault_remove;

/* cli/rule.c */
extern const struct command command_rule_list;
extern const struct command command_rule_add;
extern const struct command command_rule_change;
extern const struct command command_rule_remove;

/* cli/pause.c */
extern const struct command command_pause;
extern const struct command command_resume;

/* cli/token.c */
extern const struct command command_token_list;
extern const struct command command_token_create;
extern const struct command command_token_revoke;

/* cli/webhook.c */
extern const struct command command_webhook_list;
extern const struct command command_webhook_retry;
extern const struct command command_webhook_drop;

/* cli/events.c */
extern const struct command command_events;

/* cli/audit.c */
extern const struct command command_audit;

/* cli/check.c */
extern const struct command command_check;

/* cli/backup.c */
extern const struct command command_backup;

/* cli/dbcheck.c */
extern const struct command command_dbcheck;

/* cli/completion.c */
extern const struct command command_completion;

/* cli/sendmail.c */
extern const struct command command_sendmail;

/* cli/sink.c */
extern const struct command command_sink;

#endif
