/* relay/notify.h - tell systemd how we are (sd_notify's protocol, without libsystemd) */
#ifndef STAGEPOST_RELAY_NOTIFY_H
#define STAGEPOST_RELAY_NOTIFY_H

/*
 * Send one state ("READY=1", "STOPPING=1\nSTATUS=…") to the datagram socket
 * named by NOTIFY_SOCKET. Without that variable, or when sending fails,
 * nothing happens: a service manager is never a reason to stop mail.
 */
void notify_state(const char *state);

#endif
