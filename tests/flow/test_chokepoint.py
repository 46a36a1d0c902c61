"""
One chokepoint (DESIGN P1, trap T1): for each way that mail can leave by, the entry that allows it
is taken away at the worst moment, between the yes and the wire. Never is it offered.
"""

import threading
import time

import pytest

from daemon import Smtp, wait_for
from nexthop import Conversation, NextHop

KEPT = "kept@stays.test"
GONE = "gone@goes.test"
SENDER = "app@sender.test"
TEXT = b"Subject: x\r\n\r\nx\r\n"


class House:
    """A relay whose list has two entries, one of which goes."""

    def __init__(self, relay, hop):
        self.relay = relay
        self.hop = hop
        self.relay.allow("stays.test")
        self.entry = self.relay.allow("goes.test")[0]

    def send(self, recipients=(KEPT, GONE), sender=SENDER):
        with Smtp(self.relay.smtp_port) as client:
            return client.send(sender, recipients, TEXT)

    def pause(self):
        self.relay.post("/delivery/pause")

    def resume(self):
        self.relay.post("/delivery/resume")

    def take_away(self):
        self.relay.remove(self.entry)

    def act(self, message, verb, address=GONE, want=(200,)):
        return self.relay.post("/messages/%s/%s" % (message, verb), {"recipients": [address]}, want)

    def state(self, message, address=GONE):
        return self.relay.states(message)[address]

    def wait_state(self, message, state, address=GONE):
        wait_for(lambda: self.state(message, address) == state, "%s to be %s" % (address, state))

    def check(self, message, offers=0):
        """The others leave, it does not; so often it was offered while that was right."""
        self.relay.wait_states(message, {KEPT: "delivered", GONE: "dropped"})
        assert self.hop.offered.count(GONE) == offers
        assert not any(GONE in m.recipients for m in self.hop.snapshot())
        told = {r["address"]: r for r in self.relay.message(message)["recipients"]}[GONE]
        assert told["verdict"] == "drop" and "no entry allows it" in told["reason"], told


@pytest.fixture
def house(relay, hop):
    return House(relay, hop)


def test_acceptance(house):
    """Taken away between RCPT, which was judged, and the end of DATA."""
    with Smtp(house.relay.smtp_port) as client:
        client.envelope(SENDER, [KEPT, GONE])
        house.take_away()
        client.write(TEXT + b".\r\n")
        message = client.reply()[1].split()[-1]
    house.check(message)


def test_queue(house):
    """T1: queued while delivery is paused."""
    house.pause()
    message = house.send()
    house.take_away()
    assert house.state(message) == "queued"
    house.resume()
    house.check(message)


def test_route_that_was_paused(house):
    house.relay.post("/routes/test/pause")
    message = house.send()
    house.take_away()
    house.relay.post("/routes/test/resume")
    house.check(message)


def test_deny(house):
    """Not taken away, but denied."""
    house.pause()
    message = house.send()
    house.relay.post("/whitelist", {"pattern": "*@goes.test", "action": "deny"})
    house.resume()
    house.relay.wait_states(message, {KEPT: "delivered", GONE: "dropped"})
    assert house.hop.offered == [KEPT]


def test_entry_that_becomes_another(house):
    house.pause()
    message = house.send()
    answer = house.relay.request("PATCH", "/api/v1/whitelist/%d" % house.entry,
                                 {"pattern": "elsewhere.test"})
    assert answer.status == 200, answer.body
    house.resume()
    house.check(message)


def test_entry_that_expires(house):
    house.pause()
    until = time.time() + 2
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until)) + ".000Z"
    answer = house.relay.request("PATCH", "/api/v1/whitelist/%d" % house.entry,
                                 {"expires_at": stamp})
    assert answer.status == 200, answer.body
    message = house.send()
    assert house.state(message) == "queued"
    time.sleep(max(0, until - time.time()) + 0.1)
    house.resume()
    house.relay.wait_states(message, {KEPT: "delivered", GONE: "dropped"})
    assert house.hop.offered == [KEPT]


def test_retry_by_schedule(house):
    house.hop.replies[GONE] = "450 4.2.0 later"
    message = house.send()
    house.wait_state(message, "deferred")
    house.take_away()
    house.hop.replies.clear()
    offers = house.hop.offered.count(GONE)
    house.check(message, offers)


def test_retry_by_a_person(house):
    house.hop.replies[GONE] = "550 5.1.1 no such user"
    message = house.send()
    house.wait_state(message, "failed")
    house.hop.replies.clear()
    house.pause()
    house.act(message, "retry")
    assert house.state(message) == "queued"
    house.take_away()
    house.resume()
    house.check(message, 1)


def test_release_of_what_was_dropped(house):
    """Refused when the list does not allow it, and judged again when it did for a moment."""
    house.take_away()
    message = house.send()
    house.wait_state(message, "dropped")
    house.act(message, "release", want=(409,))
    house.pause()
    house.entry = house.relay.allow(GONE)[0]
    house.act(message, "release")
    assert house.state(message) == "queued"
    house.take_away()
    house.resume()
    house.check(message)


def test_release_of_what_was_held(house):
    house.pause()
    message = house.send()
    house.act(message, "hold")
    house.take_away()
    house.act(message, "release", want=(409,))
    house.entry = house.relay.allow(GONE)[0]
    house.act(message, "release")
    house.take_away()
    house.resume()
    house.check(message)


def test_redirect(make_daemon, hop):
    """T7: who stands for the others is judged like them, and again when it leaves."""
    relay = make_daemon(hop.address, "\npolicy: {default: redirect, redirect_to: %s}\n" % GONE)
    house = House(relay, hop)
    house.pause()
    message = house.send([KEPT, "x@real.test"])
    assert house.state(message) == "queued"
    house.take_away()
    house.resume()
    relay.wait_states(message, {KEPT: "delivered", "x@real.test": "redirected", GONE: "dropped"})
    assert hop.offered == [KEPT]


def test_put_off_by_a_fault_rule(house):
    house.relay.post("/faults", {"name": "later", "action": "defer", "recipient": GONE,
                                 "attempts": 1})
    message = house.send()
    house.wait_state(message, "deferred")
    house.take_away()
    house.check(message)


def test_report_to_the_sender(house, hop):
    """A report is a message like any other: its recipient is the sender."""
    entry = house.relay.allow(SENDER)[0]
    hop.replies[KEPT] = "550 5.1.1 no such user"
    hop.replies[SENDER] = "450 4.2.0 later"
    message = house.send([KEPT])
    house.wait_state(message, "failed", KEPT)

    def report():
        others = [m["id"] for m in house.relay.get("/messages")["items"] if m["id"] != message]
        return others[0] if others and SENDER in hop.offered else None

    number = wait_for(report, "the report to be offered")
    house.wait_state(number, "deferred", SENDER)
    house.relay.remove(entry)
    offers = hop.offered.count(SENDER)
    hop.replies.clear()
    house.relay.wait_states(number, {SENDER: "dropped"})
    assert hop.offered.count(SENDER) == offers
    assert hop.snapshot() == []


def test_report_whose_sender_went_before(house, hop):
    entry = house.relay.allow(SENDER)[0]
    hop.replies[KEPT] = "550 5.1.1 no such user"
    house.pause()
    message = house.send([KEPT])
    house.relay.remove(entry)
    house.resume()
    house.wait_state(message, "failed", KEPT)
    for item in wait_for(lambda: [m for m in house.relay.get("/messages")["items"]
                                  if m["id"] != message], "the report"):
        house.relay.wait_states(item["id"], {SENDER: "dropped"})
    assert SENDER not in hop.offered


def test_route_that_comes_with_a_reload(make_daemon, hop):
    relay = make_daemon()
    house = House(relay, hop)
    message = house.send()
    wait_for(lambda: "no route" in str(relay.message(message)), "it to wait for a route")
    house.take_away()
    relay.write_config('\nroutes: [{name: new, hosts: ["%s"], tls: none}]\n' % hop.address)
    relay.hup()
    house.check(message)


def test_capture_only_that_ends(make_daemon, hop):
    settings = '\ndelivery: {capture_only: %s, schedule: [300ms]}\n'
    relay = make_daemon(hop.address, settings % "true")
    house = House(relay, hop)
    message = house.send()
    house.take_away()
    assert house.state(message) == "queued" and hop.connections == 0
    relay.write_config(settings % "false")
    relay.hup()
    house.check(message)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_restart(house, end):
    house.pause()
    message = house.send()
    house.take_away()
    getattr(house.relay, end)()
    house.relay.start()
    house.resume()
    house.check(message)


class OneByOne(Conversation):
    """Without PIPELINING each command waits for its answer: what comes next is decided then."""

    def on_command(self, verb, line):
        if verb == self.hop.stop_at or line.startswith(self.hop.stop_at):
            self.hop.reached.set()
            assert self.hop.go_on.wait(60)
        super().on_command(verb, line)


class SlowHop(NextHop):
    def __init__(self, stop_at):
        self.stop_at = stop_at
        self.reached = threading.Event()
        self.go_on = threading.Event()
        super().__init__(extensions=("8BITMIME",))

    def converse(self, connection, number):
        return OneByOne(self, connection, number)


@pytest.mark.parametrize("stop_at", ["EHLO", "MAIL", "RCPT TO:<%s>" % KEPT])
def test_the_moment_before_the_wire(make_daemon, stop_at):
    """S156: claimed, judged, in libesmtp's hands; the next hop takes its time over one answer."""
    hop = SlowHop(stop_at)
    try:
        house = House(make_daemon(hop.address), hop)
        message = house.send()
        assert hop.reached.wait(60)
        house.take_away()
        hop.go_on.set()
        house.check(message)
    finally:
        hop.go_on.set()
        hop.close()


def test_a_connection_that_dies_and_is_dialled_again(make_daemon):
    """The second connection's RCPT is a new one."""
    hop = SlowHop("MAIL")
    try:
        house = House(make_daemon(hop.address), hop)
        message = house.send()
        assert hop.reached.wait(60)
        house.take_away()
        hop.kill()
        again = NextHop(port=int(hop.address.split(":")[1]))
        hop.go_on.set()
        try:
            house.hop = again
            house.check(message)
        finally:
            again.close()
    finally:
        hop.go_on.set()
        hop.close()
