/* relay/config_check.h - what a text in the configuration must look like, beyond being text */
#ifndef STAGEPOST_RELAY_CONFIG_CHECK_H
#define STAGEPOST_RELAY_CONFIG_CHECK_H

#include "base/err.h"
#include "base/span.h"

/* Each: ERR_OK, or a negative code with a sentence. `text` holds no NUL. */
typedef int config_check_fn(struct span text, struct err *why);

config_check_fn config_check_not_empty;
/* A host name or an address literal, as it may follow EHLO (RFC 5321 4.1.3). */
config_check_fn config_check_hostname;
/* "host:port", "[::1]:port", "unix:/path"; port 0 lets the system choose. */
config_check_fn config_check_listen;
/* The same without unix:, or nothing. */
config_check_fn config_check_tcp_or_empty;
/* Where mail goes: "host:port", "[::1]:port" with port 1..65535, or "unix:/path". */
config_check_fn config_check_next_hop;
/* A name server: "127.0.0.1", "127.0.0.1:53", "[::1]:53". */
config_check_fn config_check_dns;
/* "10.0.0.0/8", "::1"; no bits behind the prefix. */
config_check_fn config_check_network;
/* "*", "example.com", ".example.com". */
config_check_fn config_check_route_domain;
/* Letters, digits, dot, hyphen, underscore; 1..63. */
config_check_fn config_check_name;
/* The same, or nothing. */
config_check_fn config_check_scope;
/* A client's certificate: its SHA-256 in hexadecimal, or a subject such as CN=app,O=shop. */
config_check_fn config_check_tls_client;
/* A name as it may stand in Host, without a port. */
config_check_fn config_check_http_host;
/* A header field name, in which * stands for anything (RFC 5322 3.6.8). */
config_check_fn config_check_header_name;
/* What a Subject may begin with, or nothing. */
config_check_fn config_check_subject_tag;
/* A mailbox that can be delivered to, or nothing. */
config_check_fn config_check_mailbox_or_empty;
/* The SHA-256 of a public key in base64 (RFC 7469 2.4). */
config_check_fn config_check_pin;
/* A numeric address to bind to, or nothing. */
config_check_fn config_check_address_or_empty;
/* http://, https:// or unix:/path:/uri, or nothing. */
config_check_fn config_check_hook_url;
/* The name and the value of a header field of HTTP (RFC 9110 5.1, 5.5). */
config_check_fn config_check_hook_auth;
config_check_fn config_check_hook_header;
config_check_fn config_check_hook_value;
/* http://, https:// or unix:/path:/uri. */
config_check_fn config_check_webhook_url;
/* As webhook_event_name(). */
config_check_fn config_check_webhook_event;

#endif
