"""
At each start a message that nobody allowed goes as far as the wire guard, and no further
(relay/selftest.h). tests/flow/doctored is the daemon with a part that says yes to everything.
"""

import re
import socket

import pytest

import daemon as daemon_module
from daemon import BUILD, SANITIZED, Smtp, wait_for

DOCTORED = BUILD / "tests/flow/doctored"
PROBE = "probe@selftest.stagepost.invalid"
TEXT = b"Subject: x\r\n\r\nx\r\n"
doctored = pytest.mark.skipif(not DOCTORED.exists(), reason="make check builds it")


def took_ms(daemon):
    return [int(ms) for ms in re.findall(r"self-test .*\bms=(\d+)", daemon.log())]


def test_it_is_made_at_each_start_and_leaves_nothing(relay, hop):
    relay.post("/whitelist", {"pattern": "*", "allow_all": True})
    relay.restart()
    relay.kill()
    relay.start()
    assert len(took_ms(relay)) == 3
    assert SANITIZED or min(took_ms(relay)) < 100, took_ms(relay)
    assert relay.get("/messages")["items"] == []
    assert relay.get("/status")["queue"]["messages"] == 0
    assert hop.connections == 0


@pytest.mark.parametrize("pattern", [
    PROBE, "selftest.stagepost.invalid", "@SelfTest.Stagepost.Invalid", "x@a.selftest.stagepost.invalid",
    ".selftest.stagepost.invalid", "*.selftest.stagepost.invalid", "pro*@selftest.stagepost.invalid",
    "*@.selftest.stagepost.invalid", "a.selftest.stagepost.invalid"])
def test_an_entry_for_it_is_refused(relay, pattern):
    answer = relay.request("POST", "/api/v1/whitelist", {"pattern": pattern, "allow_all": True})
    assert answer.status == 400, answer.body
    assert b"self-test" in answer.body


def test_not_even_a_star_allows_it(relay, hop):
    relay.post("/whitelist", {"pattern": "*", "allow_all": True})
    relay.post("/whitelist", {"pattern": ".invalid"})
    others = ["x@selftest.stagepost.invalid", "x@A.SELFTEST.stagepost.INVALID"]
    allowed = ["x@xselftest.stagepost.invalid", "x@stagepost.invalid"]
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@b.test", [PROBE, *others, *allowed], TEXT)
    relay.wait_states(number, {PROBE: "dropped", **{a: "dropped" for a in others},
                               **{a: "delivered" for a in allowed}})
    assert sorted(hop.offered) == sorted(allowed)
    check = relay.post("/check", {"recipients": [PROBE]}).json
    assert "reserved" in str(check), check


@doctored
@pytest.mark.parametrize("part, words", [
    ("acceptance", "acceptance allows what nobody allowed"),
    ("attempt", "the judgement before an attempt allows what nobody allowed"),
    ("guard", "the wire guard lets mail out that nobody allowed")])
def test_a_relay_that_would_leak_does_not_start(make_daemon, hop, monkeypatch, part, words):
    monkeypatch.setattr(daemon_module, "STAGEPOSTD", DOCTORED)
    monkeypatch.setenv("STAGEPOST_DOCTORED", part)
    relay = make_daemon(hop.address, start=False).start(wait=False)
    code = relay.process.wait(60)
    relay.process = None
    assert code == 70, relay.log()
    assert "the self-test failed, nothing is started: " + words in relay.log()
    assert "listening" not in relay.log()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", relay.smtp_port), 5)
    assert hop.connections == 0


OVERRIDE = """rules:
  - {name: keep, action: drop}
  - {name: let-out, action: deliver, overrides_whitelist: true, headers: [{name: X-Pass, match: present}]}
"""


def test_no_rule_lets_it_out(make_daemon, hop):
    relay = make_daemon(hop.address, OVERRIDE.replace("  - {name: keep, action: drop}\n", ""))
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@b.test", [PROBE, "x@else.test"], b"X-Pass: 1\r\n" + TEXT)
    relay.wait_states(number, {PROBE: "dropped", "x@else.test": "delivered"})
    assert hop.offered == ["x@else.test"]


@doctored
def test_a_rule_that_could_let_it_out_is_named(make_daemon, hop, monkeypatch):
    """However much it asks of a message, and whatever comes before it."""
    monkeypatch.setattr(daemon_module, "STAGEPOSTD", DOCTORED)
    monkeypatch.setenv("STAGEPOST_DOCTORED", "rules")
    relay = make_daemon(hop.address, OVERRIDE, start=False).start(wait=False)
    code = relay.process.wait(60)
    relay.process = None
    assert code == 70, relay.log()
    assert "rule let-out overrides the whitelist" in relay.log()
    assert "listening" not in relay.log() and hop.connections == 0


@doctored
def test_the_doctored_relay_starts_when_nothing_lies(make_daemon, hop, monkeypatch):
    monkeypatch.setattr(daemon_module, "STAGEPOSTD", DOCTORED)
    relay = make_daemon(hop.address)
    assert relay.stop() == 0


def test_status_says_what_can_leave(relay, hop):
    def sentence():
        return relay.get("/status")["can_leave"]

    by = ", by route test to %s (no TLS)" % hop.address
    assert sentence() == "nothing can leave: no entry of the whitelist allows anything"
    entries = relay.allow("a@x.test", "b@x.test", "x.test", ".x.test", "q*@x.test")
    assert sentence() == ("mail for 2 addresses, 1 domain, 1 domain's sub-domains and 1 pattern can "
                          "leave" + by)
    for entry in entries[1:]:
        relay.remove(entry)
    assert sentence() == "mail for 1 address can leave" + by
    relay.post("/whitelist", {"pattern": "y.test", "action": "deny"})
    relay.post("/delivery/pause")
    assert sentence() == ("nothing leaves while delivery is paused; then mail for 1 address can "
                          "leave, except what 1 deny entry names" + by)
    relay.post("/delivery/resume")
    relay.post("/routes/test/pause")
    relay.post("/whitelist", {"pattern": "*", "allow_all": True})
    assert sentence() == ("mail for EVERY plain address can leave, except what 1 deny entry names"
                          ", by route test to %s (no TLS, paused)" % hop.address)
    relay.write_config("\ndelivery: {capture_only: true}\n")
    relay.hup()
    wait_for(lambda: sentence() == "nothing can leave: delivery.capture_only is on", "the reload")
