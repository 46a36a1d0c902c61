"""A wall clock that jumps (CASES S276). What waits, waits by the other clock."""

import time

import pytest

from daemon import SANITIZED, Smtp, wait_for
from lives import LISTED, OTHER, SENDER, SMALL
from preload import Preload

YEAR = 366 * 86400 * 1000
SETTINGS = "delivery: {schedule: [300ms, 500ms, 1s], expire_after: 1h}\n"

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer has its own calls")


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """clock(ms): the daemon's wall clock is so far from now on."""
    return Preload("tests/fault/fake_clock.c", tmp_path, monkeypatch)


def year_of(relay, number):
    return int(relay.message(number)["received_at"][:4])


@pytest.mark.parametrize("jump", [YEAR, -YEAR, -1000, 3600 * 1000 * 2],
                         ids=["a year on", "a year back", "a second back", "past expire_after"])
def test_a_jump_while_mail_waits(make_daemon, hop, clock, jump):
    """What is deferred is neither given up nor forgotten, and a retry comes when it was due."""
    relay = make_daemon(hop.address, SETTINGS)
    relay.allow(LISTED)
    hop.replies[LISTED] = "451 4.2.1 Later"
    with Smtp(relay.smtp_port) as client:
        number = client.send(SENDER, [LISTED, OTHER], SMALL)
    relay.wait_states(number, {LISTED: "deferred", OTHER: "dropped"})
    clock(jump)
    time.sleep(0.2)
    tried = len(hop.offered)
    del hop.replies[LISTED]
    began = time.monotonic()
    relay.wait_states(number, {LISTED: "delivered", OTHER: "dropped"})
    assert time.monotonic() - began < 5  # the schedule ends at 1 s
    assert len(hop.offered) <= tried + 2
    with Smtp(relay.smtp_port) as client:
        again = client.send(SENDER, [LISTED], SMALL)
    relay.wait_states(again, {LISTED: "delivered"})
    assert len(hop.snapshot()) == 2


def test_steps_without_end(make_daemon, hop, clock):
    """A second back and forth, over and over: mail goes on, and nothing turns in circles."""
    relay = make_daemon(hop.address, SETTINGS)
    relay.allow(LISTED)
    before = relay.cpu_seconds()
    for step in range(20):
        clock(-1000 * (step % 3) * step)
        with Smtp(relay.smtp_port) as client:
            number = client.send(SENDER, [LISTED], SMALL)
        relay.wait_states(number, {LISTED: "delivered"})
        time.sleep(0.05)
    assert relay.cpu_seconds() - before < 2.5
    assert len(hop.snapshot()) == 20
    assert relay.restart()
    # What came last is first in the list, whatever the clock said.
    assert len(relay.get("/messages?limit=100")["items"]) == 20


@pytest.mark.parametrize("year", [1970, 2038, 2106])
def test_a_start_in_another_time(make_daemon, hop, clock, year):
    """1970, behind 2038-01-19, behind 2106: taken, delivered, shown, and there after a start."""
    moment = {1970: 3600, 2038: 2 ** 31 + 3600, 2106: 2 ** 32 + 86400 * 30}[year]
    clock((moment - time.time()) * 1000)
    relay = make_daemon(hop.address, SETTINGS)
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        number = client.send(SENDER, [LISTED, OTHER], SMALL)
    relay.wait_states(number, {LISTED: "delivered", OTHER: "dropped"})
    assert year_of(relay, number) == year
    before = relay.cpu_seconds()
    time.sleep(1)
    assert relay.cpu_seconds() - before < 0.3
    relay.restart()
    assert relay.states(number) == {LISTED: "delivered", OTHER: "dropped"}
    wait_for(lambda: hop.snapshot(), "the message")


@pytest.mark.parametrize("jump", [-YEAR, -3600 * 1000], ids=["a year back", "an hour back"])
def test_S170_what_is_over_stays_over(make_daemon, hop, clock, jump):
    """The clock is set back while it runs, and before it is started again."""
    relay = make_daemon(hop.address, SETTINGS)
    entry = relay.post("/whitelist", {"pattern": LISTED, "expires_in": "1s"}).json["id"]
    later = relay.post("/whitelist", {"pattern": OTHER, "expires_in": "2h"}).json["id"]
    path = "/whitelist/%d" % entry
    wait_for(lambda: relay.get(path)["expired_at"], "it to be over")
    clock(jump)
    for _ in range(2):
        with Smtp(relay.smtp_port) as client:
            number = client.send(SENDER, [LISTED, OTHER], SMALL)
        relay.wait_states(number, {LISTED: "dropped", OTHER: "delivered"})
        # Another note is no other end.
        assert relay.request("PATCH", "/api/v1" + path, {"note": "x"}).json["expired_at"]
        relay.restart()
    assert relay.get("/whitelist/%d" % later)["expired_at"] is None


def test_S170_a_jump_ahead_ends_what_it_passes(make_daemon, hop, clock):
    relay = make_daemon(hop.address, SETTINGS)
    relay.post("/whitelist", {"pattern": LISTED, "expires_in": "2h"})
    relay.post("/whitelist", {"pattern": OTHER})
    clock(YEAR)
    with Smtp(relay.smtp_port) as client:
        number = client.send(SENDER, [LISTED, OTHER], SMALL)
    relay.wait_states(number, {LISTED: "dropped", OTHER: "delivered"})
