/* admin/handlers.h - one function for each line of the route table (admin/routes.c) */
#ifndef STAGEPOST_ADMIN_HANDLERS_H
#define STAGEPOST_ADMIN_HANDLERS_H

#include "admin/call.h"

/* Each answers its call exactly once, at once or through call_submit. */

/* admin/status.c */
void handle_healthz(struct call *call);
void handle_readyz(struct call *call);
void handle_status(struct call *call);
void handle_routes(struct call *call);
void handle_settings(struct call *call);
void handle_openapi(struct call *call);

/* admin/metrics.c */
void handle_metrics(struct call *call);

/* admin/delivery.c */
void handle_delivery_pause(struct call *call);
void handle_delivery_resume(struct call *call);
void handle_route_pause(struct call *call);
void handle_route_resume(struct call *call);

/* admin/whitelist.c */
void handle_whitelist_list(struct call *call);
void handle_whitelist_add(struct call *call);
void handle_whitelist_get(struct call *call);
void handle_whitelist_patch(struct call *call);
void handle_whitelist_delete(struct call *call);

/* admin/history.c */
void handle_whitelist_history(struct call *call);

/* admin/import.c */
void handle_whitelist_import(struct call *call);
void handle_whitelist_replace(struct call *call);

/* admin/export.c */
void handle_whitelist_export(struct call *call);

/* admin/faults.c */
void handle_faults(struct call *call);

/* admin/rules.c */
void handle_rules(struct call *call);

/* admin/check.c */
void handle_check(struct call *call);

/* admin/events.c */
void handle_events(struct call *call);

/* admin/messages.c */
void handle_message_list(struct call *call);
void handle_recipient_list(struct call *call);
struct message_view;
/* The message of the path, if the caller may know of it, in the call's arena. False: replied. */
bool message_find(struct call *call, struct message_view *view_out);
/* The same, and its content is there: retention takes it away before the rest (410). */
bool message_find_content(struct call *call, struct message_view *view_out);

/* admin/parts.c */
void handle_message_get(struct call *call);
void handle_message_parts(struct call *call);
void handle_message_part(struct call *call);
void handle_message_text(struct call *call);
void handle_message_html(struct call *call);

/* admin/bytes.c */
void handle_message_raw(struct call *call);
void handle_message_sent(struct call *call);

/* admin/backup.c */
void handle_backup_begin(struct call *call);
void handle_backup_get(struct call *call);
void handle_backup_content(struct call *call);
void handle_backup_end(struct call *call);

/* admin/act.c */
void handle_message_retry(struct call *call);
void handle_message_hold(struct call *call);
void handle_message_release(struct call *call);
void handle_message_cancel(struct call *call);
void handle_message_delete(struct call *call);

/* admin/recipients.c */
void handle_recipients_retry(struct call *call);
void handle_recipients_hold(struct call *call);
void handle_recipients_release(struct call *call);
void handle_recipients_cancel(struct call *call);

/* admin/login.c */
void handle_session_get(struct call *call);
void handle_session_open(struct call *call);
void handle_session_close(struct call *call);

/* admin/webhooks.c */
void handle_webhooks(struct call *call);
void handle_dead_letters(struct call *call);
void handle_dead_letters_retry(struct call *call);
void handle_dead_letters_drop(struct call *call);
void handle_dead_letter_get(struct call *call);
void handle_dead_letter_retry(struct call *call);
void handle_dead_letter_drop(struct call *call);

/* admin/web.c */
void handle_web_index(struct call *call);
void handle_web_file(struct call *call);

/* admin/tokens.c */
void handle_token_list(struct call *call);
void handle_token_get(struct call *call);
void handle_token_create(struct call *call);
void handle_token_revoke(struct call *call);
void handle_audit_list(struct call *call);

#endif
