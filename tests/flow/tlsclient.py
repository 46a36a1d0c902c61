"""Clients of smtplib that come by TLS, and what listeners are told for it."""

import smtplib
import socket
import ssl

from daemon import PATIENCE, Smtp


def pair(certificate, key):
    return 'tls_certificate: "%s", tls_key: "%s"' % (certificate, key)


def trusting(file):
    return ssl.create_default_context(cafile=str(file))


def connect(port, context, implicit, name="localhost"):
    if implicit:
        return smtplib.SMTP_SSL("127.0.0.1", port, context=context, timeout=PATIENCE,
                                local_hostname=name)
    client = smtplib.SMTP("localhost", port, timeout=PATIENCE, local_hostname=name)
    client.starttls(context=context)
    return client


class SecureSmtp(Smtp):
    """By TLS from the start, behind `first`, which a proxy says in clear."""

    def __init__(self, port, context, first=b"", name=None):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.sendall(first)
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self.reader = self.socket.makefile("rb")
        self.greeting = self.reply()
