"""
Memory that ends at the n-th allocation (CASES S083): in a session, in a commit, in a delivery, in
the API. What is our own ends the process (base/mem.h) and the service manager starts the next one;
what a library asks for is an error like any other. Either way nobody who is not on the list is
offered to the next hop, and what was answered 250 is there and delivered.
"""

import http.client
import os
import random
import signal
import subprocess

import pytest

from daemon import SANITIZED, Smtp, wait_for
from preload import Preload

# STAGEPOST_ALLOCATIONS=5000: all of them, one by one.
ALL = int(os.environ.get("STAGEPOST_ALLOCATIONS", "0"))
LISTED = "listed@example.com"
OTHER = "real.person@example.org"

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer has its own malloc")


@pytest.fixture
def countdown(tmp_path, monkeypatch):
    """countdown(n): the n-th allocation of the daemon from now on fails. 0: none."""
    return Preload("tests/flow/fail_alloc.c", tmp_path, monkeypatch)


def numbers():
    if ALL:
        return range(1, ALL + 1)
    chosen = random.Random(83)
    return sorted(set(list(range(1, 16)) + [chosen.randrange(16, 1200) for _ in range(25)]))


class Round:
    """A message and some questions to the API; what of it failed is no matter here."""

    def __init__(self, relay):
        self.queued = None
        self.failed = []
        for step in (self.send, self.ask):
            try:
                step(relay)
            except (OSError, AssertionError, http.client.HTTPException) as failure:
                self.failed.append(failure)

    def send(self, relay):
        with Smtp(relay.smtp_port) as client:
            self.queued = client.send(
                "a@example.com", [LISTED, OTHER],
                b"To: %s\r\nSubject: x\r\n\r\n%s" % (LISTED.encode(), b"text\r\n" * 2000))

    def ask(self, relay):
        for path in ("/status", "/messages", "/whitelist"):
            assert relay.request("GET", "/api/v1" + path).status in (200, 500, 503)


def ended(relay):
    """How it ended; None: it runs."""
    try:
        code = relay.process.wait(0.05)
    except subprocess.TimeoutExpired:
        return None
    relay.process = None
    return code


def test_every_allocation_fails_once(make_daemon, hop, countdown):
    relay = make_daemon(hop.address)
    relay.allow(LISTED)
    queued = []
    deaths = {}
    for n in numbers():
        countdown(n)
        one = Round(relay)
        if one.queued:
            queued.append(one.queued)
        code = ended(relay)
        countdown(0)
        if code is None:
            continue
        deaths[code] = deaths.get(code, 0) + 1
        # Its own word for it, or a clean exit: never a crash.
        assert code in (-signal.SIGABRT, 74), (n, code, relay.log()[-2000:])
        if code == -signal.SIGABRT:
            last = relay.log().rstrip().splitlines()[-1]
            # Ours, of base/mem.c and base/secret.c, and libev's.
            assert last.startswith(("stagepost: ", "(libev) cannot allocate")), (
                n, relay.log()[-2000:])
        relay.start()
    print("%d rounds, ends %r, %d answered 250" % (len(numbers()), deaths, len(queued)))
    assert deaths and queued
    # Whatever a failure stopped goes on after a start.
    assert relay.stop() == 0
    relay.start()
    for number in queued:
        wait_for(lambda: relay.states(number) == {LISTED: "delivered", OTHER: "dropped"},
                 "%s to be delivered: %s" % (number, relay.message(number)))
    assert OTHER not in hop.offered
    assert set(hop.offered) == {LISTED}
    bodies = {m.content.split(b"\r\n\r\n", 1)[1] for m in hop.snapshot()}
    assert bodies == {b"text\r\n" * 2000}
