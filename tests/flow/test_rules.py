"""Rules on what a message says of itself (issue 5, item 5), through the whole daemon."""

import json
import smtplib
import subprocess
import threading
import time

import pytest

from daemon import STAGEPOST, STAGEPOSTD, Smtp, wait_for
from hook import OK, Hook, nginx

ALICE = "alice@example.com"
QA = "qa@example.com"
SENDER = "app@shop.test"


def rule(relay, name, action, **members):
    """The id of a new rule."""
    return relay.post("/rules", {"name": name, "action": action, **members}).json["id"]


def undo(relay, number):
    assert relay.request("DELETE", "/api/v1/rules/%d" % number).status == 204


def field(name, value=None, match=None):
    condition = {"name": name, "value": value, "match": match}
    return {k: v for k, v in condition.items() if v is not None}


def mail(*lines):
    return "\r\n".join(("Subject: order", *lines, "", "hello", "")).encode()


def send(relay, recipients, body=None, sender=SENDER):
    with Smtp(relay.smtp_port) as client:
        return client.send(sender, recipients, body or mail())


def only(relay, number):
    return relay.message(number)["recipients"][0]


def tool(relay, *arguments, want=0):
    done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, *arguments],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == want, (arguments, done.stdout, done.stderr)
    return done.stdout


def test_a_field_decides(relay, hop):
    relay.allow(ALICE)
    rule(relay, "prod", "drop", headers=[field("X-Env", "production", "exact")])
    kept = send(relay, [ALICE], mail("X-Env:  =?utf-8?q?production?="))
    left = send(relay, [ALICE], mail("X-Env: test"))
    relay.wait_states(left, {ALICE: "delivered"})
    assert relay.states(kept) == {ALICE: "dropped"}
    told = only(relay, kept)
    assert (told["verdict"], told["reason"], told["rule"]) == ("drop", "rule prod", "prod")
    assert only(relay, left)["rule"] is None
    assert [r["matches"] for r in relay.get("/rules")["items"]] == [1]
    assert len(hop.snapshot()) == 1


@pytest.mark.parametrize("line", [b"X-Env: prod\0uction", b"X-Env: pr\xf6duction",
                                  b"X-En\0v: production"])
def test_in_doubt_nothing_leaves(relay, hop, line):
    """Whoever reads it behind us may see something else."""
    relay.allow(ALICE)
    body = line + b"\r\n" + mail()
    drops = rule(relay, "prod", "drop", headers=[field("X-Env", "production", "exact")])
    assert relay.states(send(relay, [ALICE], body)) == {ALICE: "dropped"}
    undo(relay, drops)
    rule(relay, "out", "deliver", overrides_whitelist=True, headers=[field("X-Env", "*")])
    assert relay.states(send(relay, ["x@else.test"], body)) == {"x@else.test": "dropped"}
    assert hop.offered == []


def test_hold_until_a_person_lets_it_go(relay, hop):
    relay.allow(ALICE)
    rule(relay, "look", "hold", headers=[field("Subject", "*ORDER*")])
    number = send(relay, [ALICE])
    assert relay.states(number) == {ALICE: "held"}
    # The rule is still there: it has been answered.
    relay.post("/messages/%s/release" % number)
    relay.wait_states(number, {ALICE: "delivered"})
    assert len(hop.snapshot()) == 1


def test_redirect(relay, hop):
    relay.allow("example.com")
    rule(relay, "to-qa", "redirect", redirect_to=QA, sender="shop.test")
    number = send(relay, [ALICE, "bob@example.com"])
    relay.wait_states(number, {ALICE: "redirected", "bob@example.com": "redirected",
                               QA: "delivered"})
    assert [m.recipients for m in hop.snapshot()] == [[QA]]
    assert "rule to-qa" in only(relay, number)["reason"]


def test_an_override_lets_leave_what_no_entry_allows(relay, hop):
    relay.post("/whitelist", {"pattern": "no@else.test", "action": "deny"})
    rule(relay, "out", "deliver", overrides_whitelist=True, headers=[field("X-Pass")])
    warnings = relay.get("/status")["warnings"]
    assert any("rule out overrides the whitelist" in w for w in warnings)
    assert relay.get("/status")["rules"] == {"enabled": 1, "overriding": ["out"]}
    assert "only what rules allow can leave" in relay.get("/status")["can_leave"]
    passed = send(relay, ["x@else.test", "no@else.test"], mail("X-Pass: yes"))
    kept = send(relay, ["x@else.test"])
    relay.wait_states(passed, {"x@else.test": "delivered", "no@else.test": "dropped"})
    assert relay.states(kept) == {"x@else.test": "dropped"}
    assert only(relay, passed)["rule"] == "out"
    assert [m.recipients for m in hop.snapshot()] == [["x@else.test"]]


def test_refused_only_when_no_rule_may_let_it_leave(make_daemon, hop):
    relay = make_daemon(hop.address, "policy: {default: reject}\n")
    with smtplib.SMTP("127.0.0.1", relay.smtp_port, timeout=30) as client:
        client.ehlo("client.test")
        client.mail(SENDER)
        assert client.rcpt("x@else.test")[0] == 550
        rule(relay, "out", "deliver", overrides_whitelist=True, recipient="else.test",
             headers=[field("X-Pass")])
        assert client.rcpt("x@third.test")[0] == 550
        assert client.rcpt("x@else.test")[0] == 250
        assert client.data(mail())[0] == 250
    items = relay.get("/recipients")["items"]
    assert [(r["address"], r["state"], r["reason"]) for r in items] == [
        ("x@else.test", "dropped", "the whitelist is empty")]
    number = send(relay, ["x@else.test"], mail("X-Pass: 1"))
    relay.wait_states(number, {"x@else.test": "delivered"})


def test_what_is_queued_is_judged_by_the_rules_of_then(relay, hop):
    relay.allow(ALICE)
    out = rule(relay, "out", "deliver", overrides_whitelist=True)
    relay.post("/delivery/pause")
    listed = send(relay, [ALICE], mail("X-Env: production"))
    let = send(relay, ["x@else.test"])
    assert relay.states(let) == {"x@else.test": "queued"}
    undo(relay, out)
    rule(relay, "late", "drop", headers=[field("X-Env", "prod*")])
    relay.post("/delivery/resume")
    relay.wait_states(listed, {ALICE: "dropped"})
    relay.wait_states(let, {"x@else.test": "dropped"})
    assert (only(relay, listed)["reason"], only(relay, listed)["rule"]) == ("rule late", "late")
    assert only(relay, let)["reason"].startswith(
        "rule out does not let it leave any more: no entry allows it")
    assert hop.offered == []


def test_a_rule_that_comes_back_lets_the_next_try_leave(relay, hop):
    out = rule(relay, "out", "deliver", overrides_whitelist=True, headers=[field("X-Pass")])
    hop.replies["x@else.test"] = "451 4.3.0 later"
    number = send(relay, ["x@else.test"], mail("X-Pass: 1"))
    wait_for(lambda: only(relay, number)["attempts"] >= 1, "a first try")
    del hop.replies["x@else.test"]
    relay.wait_states(number, {"x@else.test": "delivered"})
    undo(relay, out)
    again = send(relay, ["x@else.test"], mail("X-Pass: 1"))
    assert relay.states(again) == {"x@else.test": "dropped"}


def test_never_offered_once_the_rule_is_gone(relay, hop):
    """An override that is switched as fast as it goes: no RCPT behind the answer that it is off."""
    number = rule(relay, "out", "deliver", overrides_whitelist=True)
    path = "/api/v1/rules/%d" % number
    gone = []
    sent = []

    def hand_in():
        with Smtp(relay.smtp_port) as client:
            for i in range(150):
                sent.append(client.send(SENDER, ["x%d@else.test" % i], mail()))

    thread = threading.Thread(target=hand_in)
    thread.start()
    switches = 0
    while thread.is_alive():
        assert relay.request("PATCH", path, {"enabled": False}).status == 200
        begun = time.time()
        time.sleep(0.01)
        gone.append((begun, time.time()))
        assert relay.request("PATCH", path, {"enabled": True}).status == 200
        switches += 1
    thread.join()
    assert switches > 3
    waiting = ("queued", "deferred", "delivering", "screening")
    wait_for(lambda: not set(relay.get("/status")["queue"]["recipients"]) & set(waiting),
             "all to be decided")
    # The next hop may hear a moment later what left before: 5 ms are more than loopback takes.
    for line in hop.noted():
        if line["event"] == "rcpt":
            assert not any(begun + 0.005 < line["at"] < ended for begun, ended in gone), line
    delivered = [m for m in sent if "delivered" in relay.states(m).values()]
    assert len(hop.snapshot()) == len(delivered)


def test_changes_under_way_lose_nothing(relay, hop):
    relay.allow("example.com")
    number = rule(relay, "other", "drop", recipient="nobody@example.com")
    stop = threading.Event()

    def change():
        i = 0
        while not stop.is_set():
            i += 1
            relay.request("PATCH", "/api/v1/rules/%d" % number, {"note": "n%d" % i})

    thread = threading.Thread(target=change)
    thread.start()
    sent = [send(relay, ["a%d@example.com" % i]) for i in range(100)]
    wait_for(lambda: len(hop.snapshot()) == 100, "all of them")
    stop.set()
    thread.join()
    for one in sent:
        wait_for(lambda one=one: set(relay.states(one).values()) == {"delivered"}, "delivered")
    assert len(hop.snapshot()) == 100


CONFIG = """rules:
  - {name: from-file, action: drop, headers: [{name: X-Env, match: exact, value: production}]}
"""


def test_the_configuration_comes_first_and_can_be_read_again(make_daemon, hop):
    relay = make_daemon(hop.address, CONFIG)
    relay.allow(ALICE)
    rule(relay, "stored", "deliver")
    assert [r["name"] for r in relay.get("/rules")["items"]] == ["from-file", "stored"]
    number = send(relay, [ALICE], mail("X-Env: production"))
    assert only(relay, number)["rule"] == "from-file"
    relay.write_config(CONFIG.replace("drop", "hold"))
    relay.hup()
    wait_for(lambda: relay.get("/rules")["items"][0]["action"] == "hold", "the new rules")
    number = send(relay, [ALICE], mail("X-Env: production"))
    assert relay.states(number) == {ALICE: "held"}
    # A mistake keeps the old ones.
    relay.write_config(CONFIG.replace("exact", "like"))
    relay.hup()
    wait_for(lambda: "kept the old configuration" in relay.log(), "the reload")
    assert "rules.0.headers.0.match" in relay.log()
    assert relay.get("/rules")["items"][0]["action"] == "hold"


def test_a_name_stands_for_one_rule(make_daemon, hop):
    relay = make_daemon(hop.address, CONFIG)
    answer = relay.post("/rules", {"name": "from-file", "action": "hold"}, want=(409,)).json
    assert answer["detail"] == "a rule of the configuration has this name", answer
    number = rule(relay, "mine", "hold", recipient=ALICE)
    path = "/api/v1/rules/%d" % number
    assert relay.request("PATCH", path, {"name": "from-file"}).status == 409
    assert relay.request("PATCH", path, {"name": "mine", "note": "same"}).status == 200
    assert "of the configuration has this name" in subprocess.run(
        [STAGEPOST, "--data-dir", relay.data_dir, "rule", "add", "from-file", "drop"],
        capture_output=True, text=True, timeout=60, check=False).stderr
    # The other way: the configuration is left as it was.
    relay.write_config(CONFIG + "  - {name: mine, action: drop}\n")
    relay.hup()
    wait_for(lambda: "kept the old configuration" in relay.log(), "the reload")
    assert "rules.1.name: one that was added by the API is called mine too" in relay.log()
    assert [r["name"] for r in relay.get("/rules")["items"]] == ["from-file", "mine"]
    # Both are there at a start: mail goes on, and it is said.
    relay.restart()
    assert any("is called mine too" in w for w in relay.get("/status")["warnings"])
    undo(relay, number)
    assert not any("is called mine too" in w for w in relay.get("/status")["warnings"])
    relay.write_config(CONFIG + "  - {name: mine, action: drop}\n  - {name: mine, action: tag}\n")
    done = subprocess.run([STAGEPOSTD, "-c", relay.config, "--check-config"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 78 and "already that of rules.1" in done.stderr


def test_a_rule_survives_a_kill(relay, hop):
    relay.allow(ALICE)
    relay.post("/delivery/pause")
    queued = send(relay, [ALICE], mail("X-Env: production"))
    rule(relay, "prod", "drop", headers=[field("X-Env", "production", "exact")])
    relay.kill()
    relay.start()
    kept = send(relay, [ALICE], mail("X-Env: production"))
    assert relay.states(kept) == {ALICE: "dropped"}
    relay.post("/delivery/resume")
    relay.wait_states(queued, {ALICE: "dropped"})
    assert hop.offered == []


def test_a_release_asks_the_rules(relay):
    relay.allow(ALICE)
    prod = rule(relay, "prod", "drop", headers=[field("X-Env")])
    number = send(relay, [ALICE], mail("X-Env: production"))
    answer = relay.post("/messages/%s/release" % number, want=(409,)).json
    assert "rule prod" in answer["detail"]
    undo(relay, prod)
    relay.post("/messages/%s/release" % number)
    relay.wait_states(number, {ALICE: "delivered"})


def test_tags_go_in_front_of_the_subject(relay, hop):
    relay.allow(ALICE)
    rule(relay, "shop", "tag", tag="[shop] ", sender="shop.test")
    rule(relay, "all", "deliver")
    rule(relay, "prod", "tag", tag="[prod] ", headers=[field("X-Env", "prod*")])
    number = send(relay, [ALICE], mail("X-Env: production"))
    relay.wait_states(number, {ALICE: "delivered"})
    other = send(relay, [ALICE], mail(), sender="app@else.test")
    relay.wait_states(other, {ALICE: "delivered"})
    first, second = [m.content for m in hop.snapshot()]
    assert b"\r\nSubject: [shop] [prod] order\r\n" in first
    assert b"\r\nSubject: order\r\n" in second
    assert relay.request("GET", "/api/v1/messages/%s/sent" % number).body == first
    assert relay.request("GET", "/api/v1/messages/%s/sent" % other).body == second
    assert [r["matches"] for r in relay.get("/rules")["items"]] == [1, 2, 1]


@pytest.mark.parametrize("size,want", [(10, "delivered"), (3000, "dropped")])
def test_size_and_client(relay, size, want):
    relay.allow(ALICE)
    rule(relay, "big", "drop", client="127.0.0.0/8", min_size=2000, listener="*:%d" %
         relay.smtp_port)
    rule(relay, "elsewhere", "drop", client="192.0.2.0/24")
    number = send(relay, [ALICE], mail() + b"x" * size + b"\r\n")
    relay.wait_states(number, {ALICE: want})


def test_a_dry_run_tries_the_rules(relay):
    relay.allow("example.com")
    rule(relay, "prod", "drop", headers=[field("X-Env", "prod*")], sender="shop.test")
    rule(relay, "out", "deliver", overrides_whitelist=True, headers=[field("X-Pass")])

    def check(address, message):
        request = {"recipients": [address]}
        if message is not None:
            request["message"] = message
        item = relay.post("/check", request).json["items"][0]
        return item["verdict"], item["rule"]

    fields = {name: [{"name": name, "value": value}] for name, value in (
        ("X-Env", "production"), ("X-Pass", "1"), ("Subject", "x"))}
    assert check(ALICE, None) == ("deliver", None)
    assert check(ALICE, {"sender": SENDER, "headers": fields["X-Env"]}) == ("drop", "prod")
    assert check(ALICE, {"sender": SENDER, "headers": fields["Subject"]}) == ("deliver", None)
    assert check(ALICE, {"sender": "", "headers": fields["X-Env"]}) == ("deliver", None)
    # What is not given is not known.
    assert check(ALICE, {"sender": SENDER}) == ("drop", "prod")
    assert check("x@else.test", {"sender": SENDER, "headers": fields["X-Pass"]}) == (
        "deliver", "out")
    assert check("x@else.test", {"sender": SENDER, "headers": fields["Subject"]}) == ("drop", None)
    # Without a client, user or listener neither, and a rule that keeps mail may be meant.
    rule(relay, "net", "drop", client="10.0.0.0/8")
    known = {"sender": "<>", "headers": fields["Subject"]}
    assert check(ALICE, known) == ("drop", "net")
    assert check(ALICE, dict(known, client="unix")) == ("deliver", None)
    assert check(ALICE, dict(known, client="10.1.2.3")) == ("drop", "net")
    assert check(ALICE, dict(known, client="192.0.2.1")) == ("deliver", None)
    for bad in ({"sender": "a b"}, {"client": "nope"}, {"client": 1}, {"size": -1}, {"headers": {}}, {"headers": [{"name": "A"}]},
                {"headers": [{"name": "A", "value": "x\r\nB: y"}]}, 7):
        relay.post("/check", {"recipients": [ALICE], "message": bad}, want=(400,))
    # Nothing was counted.
    assert [r["matches"] for r in relay.get("/rules")["items"]] == [0, 0, 0]
    assert "rule prod" in tool(relay, "check", ALICE, "--sender", SENDER, "--header",
                               "X-Env: production", want=1)
    tool(relay, "check", ALICE, "--sender", SENDER, "--header=Subject: x", "--client=127.0.0.1")


def test_rules_and_the_hook(make_daemon, hop):
    """The hook narrows what rules let leave, and is not asked about what they keep."""
    script = Hook(lambda request: OK if "good" in request.recipient else nginx(Auth_Status="no"))
    try:
        relay = make_daemon(hop.address, "policy: {hook: {url: \"%s\", dialect: nginx}}\n"
                            % script.url)
        relay.allow("example.com")
        rule(relay, "prod", "drop", headers=[field("X-Env")])
        rule(relay, "out", "deliver", overrides_whitelist=True, recipient="else.test")
        relay.wait_states(send(relay, ["good@else.test", "bad@else.test", "x@third.test"]),
                          {"good@else.test": "delivered", "bad@else.test": "dropped",
                           "x@third.test": "dropped"})
        relay.wait_states(send(relay, ["good@example.com"], mail("X-Env: p")),
                          {"good@example.com": "dropped"})
        assert sorted(script.recipients()) == ["bad@else.test", "good@else.test"]
        assert hop.offered == ["good@else.test"]
    finally:
        script.close()


def test_the_tool(relay):
    assert "rule 1" in tool(relay, "rule", "add", "prod", "drop", "--header", "X-Env=prod",
                            "--header", "Subject: *order*", "--header=!List-Id",
                            "--client", "127.0.0.0/8", "--note", "why")
    tool(relay, "rule", "add", "qa", "redirect", "--to", QA, "--before", "1", "--header", "X-Qa")
    shown = tool(relay, "rule", "list")
    assert shown.index("qa") < shown.index("prod")
    for words in ("redirect qa@example.com", "client 127.0.0.0/8", "X-Env=prod",
                  "Subject: *order*", "!List-Id"):
        assert words in shown, shown
    tool(relay, "rule", "change", "prod", "--action", "hold", "--off", "--no-headers")
    prod = {r["name"]: r for r in json.loads(tool(relay, "rule", "list", "--json"))}["prod"]
    assert (prod["action"], prod["enabled"], prod["headers"], prod["note"]) == (
        "hold", False, [], "why")
    tool(relay, "rule", "add", "x", "deliver", "--overrides-whitelist")
    tool(relay, "rule", "change", "x", "--narrows")
    tool(relay, "rule", "change", "0", "--note", "no such rule", want=1)
    assert len(json.loads(tool(relay, "rule", "list", "--json"))) == 3
    for name in ("prod", "qa", "x"):
        tool(relay, "rule", "remove", name)
    tool(relay, "rule", "list", want=1)
    tool(relay, "rule", "remove", "prod", want=1)
    tool(relay, "rule", "add", "prod", want=64)


def circle(relay):
    rule(relay, "a-to-b", "redirect", recipient="a@example.com", redirect_to="b@example.com")
    rule(relay, "b-to-a", "redirect", recipient="b@example.com", redirect_to="a@example.com")


@pytest.mark.parametrize("when", ["accepted", "under way"])
def test_a_circle_of_redirects_ends_somewhere(relay, hop, when):
    """P2, P4: not both redirected to each other, with nobody who has it or says why not."""
    relay.allow("example.com")
    if when == "accepted":
        circle(relay)
    else:
        relay.post("/delivery/pause")
    both = send(relay, ["a@example.com", "b@example.com"])
    one = send(relay, ["a@example.com"])
    if when == "under way":
        circle(relay)
        relay.post("/delivery/resume")
    for number in (both, one):
        wait_for(lambda: sorted(relay.states(number).values()) == ["dropped", "redirected"],
                 "the end of the circle")
    told = next(r for r in relay.message(both)["recipients"] if r["state"] == "dropped")
    assert told["verdict"] == "drop" and "circle" in told["reason"], told
    assert hop.offered == []
    assert "No problem was found." in tool(relay, "dbcheck")


def test_who_is_released_to_is_not_held_by_the_rule_that_was_answered(relay, hop):
    relay.allow(QA)
    rule(relay, "look", "hold", headers=[field("Subject", "*order*")])
    number = send(relay, [ALICE])
    assert relay.states(number) == {ALICE: "held"}
    relay.post("/messages/%s/release" % number, {"to": QA})
    relay.wait_states(number, {ALICE: "redirected", QA: "delivered"})
    assert hop.offered == [QA]


def test_what_the_tool_says_of_a_rule_that_overrides(relay):
    def said(*arguments):
        done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "rule", *arguments],
                              capture_output=True, text=True, timeout=60, check=False)
        return done.stderr

    assert "overrides the whitelist" not in said(
        "add", "past", "deliver", "--overrides-whitelist", "--recipient", ALICE, "--off")
    assert "overrides the whitelist" in said("change", "past", "--on")
    assert "overrides the whitelist" not in said("change", "past", "--off")
    # Which one it is, so that nobody has to look for it.
    assert "its id is 1" in said("add", "past", "drop")


def test_what_waits_by_a_rule_that_overrides_is_not_said_to_be_dropped(make_daemon):
    """P4: no entry allows it, and before the header is read nobody knows whether the rule does."""
    relay = make_daemon("127.0.0.1:1")
    rule(relay, "past", "deliver", recipient=ALICE, overrides_whitelist=True)
    number = send(relay, [ALICE])
    relay.wait_states(number, {ALICE: "deferred"})
    told = only(relay, number)
    assert (told["verdict"], told["rule"]) == ("deliver", "past"), told
