"""The disk fails under the store: nobody is promised what is not kept (CASES S256)."""

import threading

import pytest

from daemon import Smtp, queued_id, stuff
from fault import FailingCalls

CLIENTS = 3


def content_of(tag):
    return b"Subject: %s\r\n\r\n%s\r\n" % (tag.encode(), b"b" * 3000)


class Client(threading.Thread):
    """Sends until something else than a 250 comes: `last`, its code, or None: closed."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.port = port
        self.number = number
        self.answered = {}  # message id to what was sent
        self.last = None

    def run(self):
        try:
            with Smtp(self.port) as client:
                while self.send(client):
                    pass
        except OSError:
            pass

    def send(self, client):
        content = content_of("%d-%d" % (self.number, len(self.answered)))
        for line in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"):
            self.last = client.command(line)[0]
            if self.last not in (250, 354):
                return False
        client.write(stuff(content) + b".\r\n")
        self.last = None
        reply = client.reply()
        self.last = reply[0]
        if self.last == 250:
            self.answered[queued_id(reply)] = content
        return self.last == 250


@pytest.mark.parametrize("calls, error, when", [
    ("fdatasync,fsync", "EIO", "1+"), ("fdatasync,fsync", "EIO", "7"),
    ("fdatasync,fsync", "EDQUOT", "7"), ("pwrite64", "EIO", "7"),
])
def test_writing_fails(traced, make_daemon, calls, error, when):
    """
    S256: who waits for his 250 does not get it, and the daemon ends. Also when the next fsync
    would work: what it then says about the pages of the one before is worth nothing. That holds
    for a quota too when a sync meets it; a write that meets it is S254.
    """
    relay = make_daemon()
    with Smtp(relay.smtp_port) as client:
        kept = client.send("a@example.com", ["b@example.com"], content_of("before"))
    fault = FailingCalls(relay, calls, error, when)
    clients = [Client(relay.smtp_port, i) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    code = relay.process.wait(60)
    relay.process = None
    for client in clients:
        client.join(60)
        assert not client.is_alive()
    fault.stop()
    assert fault.injected > 0
    assert code == 74, relay.log()
    assert " fatal " in relay.log(), relay.log()
    assert {client.last for client in clients} <= {421, 451, None}
    assert any(client.last is not None for client in clients)
    answered = {number: content for client in clients
                for number, content in client.answered.items()}
    answered[kept] = content_of("before")
    relay.start()
    for number, content in answered.items():
        raw = relay.request("GET", "/api/v1/messages/%s/raw" % number)
        assert (raw.status, raw.body) == (200, content)


def test_writing_fails_after_the_quota_was_used_up(traced, make_daemon):
    """S256: SQLite's files remember the quota, and that must not excuse what comes later."""
    relay = make_daemon()
    fault = FailingCalls(relay, "pwrite64", "EDQUOT", "1+")
    client = Client(relay.smtp_port, 0)
    client.run()
    assert client.last == 452
    fault.stop()
    with Smtp(relay.smtp_port) as other:
        kept = other.send("a@example.com", ["b@example.com"], content_of("between"))
    fault = FailingCalls(relay, "pwrite64", "EIO", "1+")
    client.run()
    assert client.last in (421, 451, None)
    assert relay.process.wait(60) == 74, relay.log()
    relay.process = None
    fault.stop()
    relay.start()
    assert relay.states(kept) == {"b@example.com": "dropped"}


def test_reading_fails(traced, make_daemon):
    """S256: a page that can't be read is not the same as a page that is not there."""
    relay = make_daemon()
    with Smtp(relay.smtp_port) as client:
        kept = client.send("a@example.com", ["b@example.com"], content_of("before"))
    relay.restart()  # its pages are in no connection's memory now
    fault = FailingCalls(relay, "pread64", "EIO", "1+")
    client = Client(relay.smtp_port, 0)
    client.run()
    assert client.last in (421, 451, None)
    assert relay.process.wait(60) == 74, relay.log()
    relay.process = None
    fault.stop()
    assert fault.injected > 0
    relay.start()
    for number in [kept, *client.answered]:
        assert relay.states(number) == {"b@example.com": "dropped"}
