"""One judgement for every way in and out (DESIGN P1): what is judged, of whom, and what it says."""

import subprocess
import threading

import pytest

from daemon import STAGEPOST, Smtp, wait_for
from nexthop import Conversation, NextHop

ALICE = "alice@example.com"
BOB = "bob@else.test"
SENDER = "app@shop.test"
BODY = b"Subject: order\r\n\r\nhello\r\n"


class Waiting(NextHop):
    """It says nothing to DATA before `go` is set."""

    def __init__(self):
        self.asked = threading.Event()
        self.go = threading.Event()
        super().__init__()

    def converse(self, connection, number):
        return WaitingConversation(self, connection, number)


class WaitingConversation(Conversation):
    def on_data(self):
        self.hop.asked.set()
        self.hop.go.wait(30)
        super().on_data()


def send(relay, recipients, content=BODY):
    with Smtp(relay.smtp_port) as client:
        return client.send(SENDER, recipients, content)


# --- the same mailbox twice --------------------------------------------------------------------


def by_form(relay, number):
    return [(r["state"], r["reason"]) for r in relay.message(number)["recipients"]]


@pytest.mark.parametrize("first", ["routed", "plain"])
def test_s113_a_source_route_does_not_keep_the_plain_form_from_being_judged(relay, hop, first):
    """DESIGN 4.6: repeated is what has the same form; the one that may leave does, once."""
    relay.allow(ALICE)
    given = ["@hop.test:" + ALICE, ALICE, "@a.test,@b.test:" + ALICE]
    number = send(relay, given if first == "routed" else [ALICE, *given])
    wait_for(lambda: "delivered" in [state for state, _ in by_form(relay, number)], "it to leave")
    want = [("dropped", "unsafe address form"), ("delivered", None)]
    got = by_form(relay, number)
    assert len(got) == 2
    for (state, reason), (is_state, is_reason) in zip(want if first == "routed" else want[::-1],
                                                      got):
        assert state == is_state and (reason is None or reason in is_reason), got
    # Nobody gets it twice: neither the one nor the other.
    answer = relay.post("/messages/%s/release" % number, want=(409,)).json
    assert "already" in answer["detail"] or "delivered" in answer["detail"], answer
    assert hop.offered == [ALICE]


# --- who is let out by a rule ------------------------------------------------------------------

PASS = b"X-Pass: 1\r\n"


def override(relay, **members):
    return relay.post("/rules", {"name": "out", "action": "deliver", "overrides_whitelist": True,
                                 "headers": [{"name": "X-Pass"}], **members}).json["id"]


def as_sent(relay, number, recipient=None):
    path = "/api/v1/messages/%s/sent" % number
    answer = relay.request("GET", path + ("?recipient=" + recipient if recipient else ""))
    assert answer.status == 200, answer.body
    return answer.body


def test_who_is_let_out_by_a_rule_is_an_addressee(relay, hop):
    """P5: that very mailbox keeps its name in the header of that message, and nobody else does."""
    relay.allow(ALICE)
    override(relay, recipient="else.test")
    to = (b" Alice <alice@example.com>,\r\n Bob <bob@ELSE.test>, <carl@else.test>, eve@evil.test,\r\n"
          b" \"bob\"@else.test, Bob@else.test\r\n")
    fields = b"From: x@shop.test\r\nTo:" + to
    both = [ALICE, BOB]
    number = send(relay, both, PASS + fields + BODY)
    relay.wait_states(number, {ALICE: "delivered", BOB: "delivered"})
    copy, = hop.snapshot()
    written = copy.content.split(b"\r\nX-Stagepost-Original-To")[0].split(b"\r\nTo:")[1]
    assert b"alice@example.com" in written and b"<bob@ELSE.test>" in written
    # By the rule he might get it; he does not. Nor does another spelling of the mailbox.
    for stranger in (b"carl@else", b"eve@evil", b'"bob"@else', b"Bob@else"):
        assert stranger not in written, written
    assert as_sent(relay, number) == copy.content == as_sent(relay, number, BOB)
    # All are addressees: nothing is changed.
    plain = b"From: x@shop.test\r\nTo: bob@else.test, alice@example.com\r\n"
    number = send(relay, both, PASS + plain + BODY)
    relay.wait_states(number, {ALICE: "delivered", BOB: "delivered"})
    assert hop.snapshot()[-1].content.endswith(b"\r\n" + PASS + plain + BODY)


def test_only_while_the_rule_is_there_and_only_in_that_message(relay, hop):
    relay.allow(ALICE)
    number = override(relay, recipient="else.test")
    fields = b"From: x@shop.test\r\nTo: bob@else.test\r\n"
    # Not let out in this message: the rule is not met, or he is no recipient.
    for recipients, extra in (([ALICE, BOB], b""), ([ALICE], PASS)):
        one = send(relay, recipients, extra + fields + BODY)
        wait_for(lambda one=one: relay.states(one)[ALICE] == "delivered", "it to leave")
        assert b"\r\nTo: \"bob at else.test (blocked)\"" in hop.snapshot()[-1].content
    # A deny entry is stronger.
    relay.post("/whitelist", {"pattern": "bob@else.test", "action": "deny"})
    one = send(relay, [ALICE, BOB], PASS + fields + BODY)
    relay.wait_states(one, {ALICE: "delivered", BOB: "dropped"})
    assert b"<bob=else.test@blocked.invalid>" in hop.snapshot()[-1].content
    relay.remove(relay.get("/whitelist?q=bob")["items"][0]["id"])
    one = send(relay, [ALICE, BOB], PASS + fields + BODY)
    relay.wait_states(one, {ALICE: "delivered", BOB: "delivered"})
    assert as_sent(relay, one) == hop.snapshot()[-1].content
    assert b"\r\nTo: bob@else.test\r\n" in as_sent(relay, one)
    assert relay.request("DELETE", "/api/v1/rules/%d" % number).status == 204
    assert b"bob=else.test@blocked.invalid" in as_sent(relay, one)


def test_a_rule_that_goes_before_the_header_is_sent(make_daemon):
    """The rules of the moment in which the next hop wants the message count."""
    hop = Waiting()
    try:
        relay = make_daemon(hop.address)
        relay.allow(ALICE)
        rule = override(relay, recipient="else.test")
        number = send(relay, [ALICE, BOB],
                      PASS + b"From: x@shop.test\r\nTo: bob@else.test\r\n" + BODY)
        assert hop.asked.wait(30)
        assert relay.request("DELETE", "/api/v1/rules/%d" % rule).status == 204
        hop.go.set()
        relay.wait_states(number, {ALICE: "delivered", BOB: "delivered"})
        assert b"bob=else.test@blocked.invalid" in hop.snapshot()[0].content
    finally:
        hop.go.set()
        hop.close()


# --- release by filter ------------------------------------------------------------------------


def preview(relay, **members):
    """What a release would do, and what it then does."""
    seen = relay.post("/recipients/release", {**members, "dry_run": True}).json
    assert seen["next"] is None
    states = sorted((r["message"], r["address"], r["state"])
                    for r in relay.get("/recipients?limit=1000")["items"])
    assert relay.post("/recipients/release", {**members, "dry_run": True}).json == seen
    assert states == sorted((r["message"], r["address"], r["state"])
                            for r in relay.get("/recipients?limit=1000")["items"])
    done = relay.post("/recipients/release", members).json
    assert (seen["count"], seen["refused"]) == (done["changed"], done["refused"]), (seen, done)
    return seen


def test_a_release_by_filter_asks_as_acceptance_does(relay, hop):
    """List, scope and rules; the preview counts exactly what is then let go."""
    sent = {name: send(relay, ["%s@example.com" % name], line + BODY) for name, line in (
        ("plain", b""), ("kept", b"X-Env: prod\r\n"), ("folded", b"X-Env:\r\n prod\r\n"),
        ("looked", b"X-Look: 1\r\n"), ("away", b"X-Away: 1\r\n"), ("passed", PASS))}
    relay.allow("example.com")
    relay.post("/whitelist", {"pattern": "plain@example.com", "action": "deny"})

    def rule(name, action, field, **members):
        relay.post("/rules", {"name": name, "action": action,
                              "headers": [{"name": field, **members.pop("header", {})}], **members})

    rule("prod", "drop", "X-Env", header={"value": "prod"})
    rule("look", "hold", "X-Look")
    rule("away", "redirect", "X-Away", redirect_to="qa@example.com")
    relay.post("/delivery/pause")
    seen = preview(relay, state="dropped")
    # A person has answered the rule that holds; the others stand.
    assert (seen["count"], seen["refused"]) == (2, 4), seen
    judged = {r["address"].partition("@")[0]: (r["judged"]["verdict"], r["judged"]["rule"])
              for r in seen["items"]}
    assert judged == {"plain": ("drop", None), "kept": ("drop", "prod"),
                      "folded": ("drop", "prod"), "looked": ("deliver", None),
                      "away": ("redirect", "away"), "passed": ("deliver", None)}
    assert {name: relay.states(number)["%s@example.com" % name]
            for name, number in sent.items()} == {
                "plain": "dropped", "kept": "dropped", "folded": "dropped", "looked": "queued",
                "away": "dropped", "passed": "queued"}
    relay.post("/delivery/resume")
    wait_for(lambda: sorted(hop.offered) == ["looked@example.com", "passed@example.com"],
             "both to leave")


def test_a_release_by_filter_by_a_rule_that_overrides(relay, hop):
    number = send(relay, [BOB, "carl@third.test"], PASS + BODY)
    other = send(relay, [BOB])
    override(relay, recipient="else.test")
    assert preview(relay, state="dropped")["count"] == 1
    relay.wait_states(number, {BOB: "delivered", "carl@third.test": "dropped"})
    assert relay.states(other) == {BOB: "dropped"}
    assert hop.offered == [BOB]


def test_a_release_by_filter_in_the_scope_of_the_message(relay, hop):
    """An entry of one scope lets go what came in with that scope."""
    outside = send(relay, [ALICE])
    relay.stop()
    relay.start("-o", "listeners.0.scope=shop")
    shop = send(relay, [ALICE])
    relay.post("/whitelist", {"pattern": ALICE, "scope": "shop"})
    seen = preview(relay, state="dropped")
    assert (seen["count"], seen["refused"]) == (1, 1)
    relay.wait_states(shop, {ALICE: "delivered"})
    assert relay.states(outside) == {ALICE: "dropped"}
    assert hop.offered == [ALICE]


def test_a_twin_is_previewed_as_it_is_released(relay, hop):
    number = send(relay, ["@hop.test:" + ALICE, ALICE])
    relay.allow(ALICE)
    seen = preview(relay, state="dropped")
    assert (seen["count"], seen["refused"]) == (1, 1)
    wait_for(lambda: "delivered" in [state for state, _ in by_form(relay, number)], "it to leave")
    assert hop.offered == [ALICE]


def test_to_somebody_else_as_the_rules_say_of_the_message(relay, hop):
    kept = send(relay, [BOB], b"X-Env: prod\r\n" + BODY)
    sent = send(relay, [BOB, "carl@else.test"])
    relay.allow(ALICE)
    relay.post("/rules", {"name": "prod", "action": "drop", "headers": [{"name": "X-Env"}]})
    seen = preview(relay, state="dropped", to=ALICE)
    assert (seen["count"], seen["refused"]) == (2, 1)
    relay.wait_states(sent, {BOB: "redirected", "carl@else.test": "redirected",
                             ALICE: "delivered"})
    assert relay.states(kept) == {BOB: "dropped"}
    assert hop.offered == [ALICE]


# --- sizes and times ---------------------------------------------------------------------------


def tool(relay, *arguments, want=0):
    done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, *arguments],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == want, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_sizes_have_units(relay):
    tool(relay, "rule", "add", "big", "drop", "--min-size", "1k", "--max-size", "2M")
    found, = relay.get("/rules")["items"]
    assert (found["min_size"], found["max_size"]) == (1024, 2 * 1024 * 1024)
    tool(relay, "rule", "change", "big", "--min-size", "0", "--max-size", "1G")
    assert relay.get("/rules")["items"][0]["max_size"] == 1 << 30
    assert "rule big" in tool(relay, "check", ALICE, "--size", "1M", want=1)
    for size in ("1kb", "-1", "k", "1.5M", "99999999T"):
        assert size in tool(relay, "rule", "change", "big", "--min-size=" + size, want=64)
    tool(relay, "fault", "add", "slow", "delay", "--delay", "250ms")
    assert relay.get("/faults")["items"][0]["delay_ms"] == 250
    assert "no time" in tool(relay, "fault", "add", "x", "delay", "--delay", "5", want=64)


def test_since_and_until_are_times_or_ages(relay):
    number = send(relay, [BOB])
    relay.wait_states(number, {BOB: "dropped"})
    received = relay.message(number)["received_at"]
    for path in ("/messages?", "/recipients?"):
        for query, want in (("since=1h", 1), ("since=" + received, 1), ("until=1h", 0),
                            ("since=2h&until=1h", 0), ("until=2200-01-01T00:00:00Z", 1),
                            ("since=36525d", 1), ("since=2200-01-01T00:00:00Z", 0)):
            assert len(relay.get(path + query)["items"]) == want, (path, query)
        for bad in ("since=h", "until=2h%20ago", "since=-1h", "until=0s"):
            assert relay.request("GET", "/api/v1" + path + bad).status == 400, bad
    assert relay.get("/whitelist/history?since=1h")["items"] == []
    relay.allow(BOB)
    for filters, want in (({"until": "30m"}, 0), ({"since": "30m"}, 1)):
        asked = relay.post("/recipients/release", {**filters, "dry_run": True}).json
        assert asked["count"] == want, (filters, asked)
    relay.post("/recipients/release", {"since": "2 hours"}, want=(400,))
