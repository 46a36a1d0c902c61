"""Clients of smtplib that come by TLS, and what listeners are told for it."""

import smtplib
import ssl

from daemon import PATIENCE


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
