"""
What the tests of conformance share: one daemon with a listener of each kind for a whole file, and
short ways to ask it.
"""

import ssl
import subprocess

import pytest

from daemon import STAGEPOST, Daemon, Listeners, Smtp
from nexthop import NextHop

HERE = "a@here.test"
LISTED = "alice@allowed.test"
MAX = 200000
OFFERED = ("PIPELINING", "8BITMIME", "SIZE 100000000", "SMTPUTF8", "DSN")


class House:
    def __init__(self, folder):
        self.hop = NextHop(extensions=OFFERED)
        users = folder / "users"
        subprocess.run([STAGEPOST, "user", "add", "app", "--scheme", "plain", "--file", users],
                       input=b"secret", stderr=subprocess.DEVNULL, check=True)
        self.door = Listeners(lambda hop, start: Daemon(
            folder, hop, "users: {file: \"%s\"}\n"
            "smtp: {max_message_size: %d, max_recipients: 100}\n"
            "delivery: {senders: [\"*@here.test\"]}\n" % (users, MAX)),
            self.hop, plain="tls: none", starttls="tls: starttls, auth: optional",
            implicit="tls: implicit, auth: optional",
            clear="tls: none, auth: optional, auth_without_tls: true",
            lmtp="tls: none, protocol: lmtp")
        self.daemon = self.door.daemon.start()
        self.daemon.allow(LISTED)

    def talk(self, listener="plain", greet=True):
        return Smtp(self.door.ports[listener], greet=greet)

    def context(self):
        return ssl.create_default_context(cafile=str(self.daemon.data_dir / "tls.crt"))

    def secure(self, client):
        """TLS now."""
        client.socket = self.context().wrap_socket(client.socket, server_hostname="localhost")
        client.reader = client.socket.makefile("rb")

    def raw(self, message):
        return self.daemon.request("GET", "/api/v1/messages/%s/raw" % message).body

    def delivered(self, message):
        """The copy that left, as the next hop got it."""
        self.daemon.wait_states(message, {LISTED: "delivered"})
        return self.copy(message)

    def copy(self, message):
        """Others may be on their way, too."""
        mark = b" id " + message.encode()
        return [m.content for m in self.hop.snapshot() if mark in m.content][-1]

    def line(self, verb, word):
        """The line with that word that the next hop got."""
        return [line for line in self.hop.lines if line.startswith(verb) and word in line][-1]

    def count(self):
        return len(self.daemon.all_items("/messages?limit=200"))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("conformance"))
    yield house
    try:
        house.daemon.close()
    finally:
        house.hop.close()


def answers(client, *lines):
    """The code of each, sent one by one."""
    return [client.command(line)[0] for line in lines]


def keywords(text):
    """EHLO's answer: keyword to parameters."""
    return {line.split(" ")[0]: line.split(" ")[1:] for line in text.split("\n")[1:]}


def transaction(client, recipient=LISTED):
    assert answers(client, "MAIL FROM:<%s>" % HERE, "RCPT TO:<%s>" % recipient) == [250, 250]


def is_closed(client):
    return client.reader.read() == b""
