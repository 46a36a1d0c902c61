"""
What becomes of recipients that no entry allows (policy.default), at the door, in the queue and
when a person lets them go: CASES 2.F and 2.G, one copy for all that are redirected, and nobody
twice.
"""

import json
import subprocess
import threading

import pytest

from daemon import STAGEPOST, Smtp, wait_for, without_received

ALICE = "alice@example.com"
REAL = "real@evil.example"
OTHER = "other@evil.example"
QA = "qa@team.test"
BODY = b"Subject: hello\r\n\r\nhello\r\n"
REDIRECT = "policy: {default: redirect, redirect_to: %s}\n" % QA


def send(relay, recipients, content=BODY, sender="app@example.com"):
    with Smtp(relay.smtp_port) as client:
        return client.send(sender, recipients, content)


def rows(relay, number):
    return {r["address"]: r for r in relay.message(number)["recipients"]}


def tool(relay, *words, want=0):
    done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, *words], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == want, (words, done.returncode, done.stdout, done.stderr)
    return done


# --- at the door ----------------------------------------------------------------------------


def test_one_copy_for_all_that_are_redirected(make_daemon, hop):
    relay = make_daemon(hop.address, REDIRECT)
    relay.allow(ALICE, QA)
    number = send(relay, [REAL, ALICE, OTHER])
    relay.wait_states(number, {REAL: "redirected", OTHER: "redirected", ALICE: "delivered",
                               QA: "delivered"})
    assert sorted(hop.offered) == sorted([ALICE, QA])
    assert [without_received(m.content) for m in hop.copies_for(QA)] == [BODY]
    shown = tool(relay, "queue", "show", number).stdout
    assert "; instead: " + QA in shown and "; added by redirect" in shown
    found = rows(relay, number)
    assert (found[REAL]["verdict"], found[REAL]["redirect_to"]) == ("redirect", QA)
    assert found[QA]["origin"] == "redirect" and found[ALICE]["redirect_to"] is None
    log = [line for line in relay.log().splitlines() if "accepted " in line]
    assert "deliver=2" in log[0] and "redirect=2" in log[0]
    # A person can't let go what somebody else stands for.
    relay.post("/messages/%s/release" % number, {"recipients": [REAL]}, want=(409,))
    assert relay.stop() == 0
    tool(relay, "dbcheck")


def test_a_redirect_that_is_not_allowed_itself(make_daemon, hop):
    relay = make_daemon(hop.address, REDIRECT)
    assert any("policy.redirect_to " + QA in w for w in relay.get("/status")["warnings"])
    assert "policy.redirect_to " + QA in relay.log()
    number = send(relay, [REAL])
    assert relay.states(number) == {REAL: "redirected", QA: "dropped"}
    relay.allow(QA)
    assert not any("redirect_to" in w for w in relay.get("/status")["warnings"])
    relay.post("/messages/%s/release" % number, {"recipients": [QA]})
    relay.wait_states(number, {REAL: "redirected", QA: "delivered"})
    assert hop.offered == [QA]


def test_redirect_looks_at_the_scope(make_daemon, hop):
    relay = make_daemon(hop.address, REDIRECT)
    relay.post("/whitelist", {"pattern": QA, "scope": "shop"})
    number = send(relay, [REAL])
    assert relay.states(number) == {REAL: "redirected", QA: "dropped"}
    assert rows(relay, number)[QA]["nearest"] == QA
    for scope, verdict in (("shop", "deliver"), ("", "drop")):
        item = relay.post("/check", {"recipients": [REAL], "scope": scope}).json["items"][0]
        assert (item["verdict"], item["redirect_to"]["address"],
                item["redirect_to"]["verdict"]) == ("redirect", QA, verdict)


def test_check_answers_like_the_door(make_daemon, hop):
    """S159's other half: the dry run asks the same function."""
    addresses = [ALICE, REAL, '"q"@example.com', "no@example.com", QA]
    for default in ("drop", "hold", "reject", "redirect"):
        relay = make_daemon(hop.address, "policy: {default: %s%s}\n" % (
            default, ", redirect_to: " + QA if default == "redirect" else ""))
        relay.allow("example.com")
        relay.post("/whitelist", {"pattern": "no@example.com", "action": "deny"})
        relay.post("/delivery/pause")
        said = {i["canonical"]: i["verdict"]
                for i in relay.post("/check", {"recipients": addresses}).json["items"]}
        with Smtp(relay.smtp_port) as client:
            assert client.command("MAIL FROM:<app@example.com>")[0] == 250
            for address in addresses:
                code, text = client.command("RCPT TO:<%s>" % address)
                assert code == (550 if said[address] == "reject" else 250), (address, text)
                if code == 550:
                    assert text.startswith("5.7.1 "), text
            assert client.command("DATA")[0] == 354
            client.write(BODY + b".\r\n")
            number = client.reply()[1].split()[-1]
        found = rows(relay, number)
        for address in addresses:
            if said[address] != "reject":
                assert found[address]["verdict"] == said[address], address
        relay.stop()


def test_tool_check_shows_who_gets_it(make_daemon, hop):
    relay = make_daemon(hop.address, REDIRECT)
    relay.allow(QA)
    assert QA + ": deliver" in tool(relay, "check", REAL, want=1).stdout
    item = json.loads(tool(relay, "check", "--json", REAL, want=1).stdout)[0]
    assert item["redirect_to"]["entry"] is not None


# --- in the queue ---------------------------------------------------------------------------


@pytest.mark.parametrize("default, state", [("drop", "dropped"), ("reject", "dropped"),
                                            ("hold", "held"), ("redirect", "redirected")])
def test_S155_the_entry_is_gone_when_the_queue_runs(make_daemon, hop, default, state):
    relay = make_daemon(hop.address, "policy: {default: %s%s}\n" % (
        default, ", redirect_to: " + QA if default == "redirect" else ""))
    entry = relay.allow(ALICE, QA, ".example.com")[0]
    relay.post("/delivery/pause")
    number = send(relay, [ALICE])
    assert relay.states(number) == {ALICE: "queued"}
    relay.remove(entry)
    relay.post("/delivery/resume")
    want = {ALICE: state}
    if default == "redirect":
        want[QA] = "delivered"
    relay.wait_states(number, want)
    row = rows(relay, number)[ALICE]
    assert row["reason"].startswith("whitelist changed: "), row["reason"]
    assert row["nearest"] == ".example.com"
    assert ALICE not in hop.offered
    # S158: put back, it stays where it is until somebody lets it go.
    relay.allow(ALICE)
    relay.wait_states(send(relay, [ALICE]), {ALICE: "delivered"})
    assert relay.states(number) == want
    if default != "redirect":
        relay.post("/messages/%s/release" % number)
        relay.wait_states(number, {ALICE: "delivered"})


def test_S156_removal_tells_what_is_in_flight(relay, hop):
    entry, other = relay.allow(ALICE, "example.org")
    hop.hold_final = True
    number = send(relay, [ALICE])
    assert hop.paused.wait(60)
    assert relay.remove(other) == 0
    assert relay.remove(entry) == 1
    hop.hold_final = False
    hop.resume.set()
    relay.wait_states(number, {ALICE: "delivered"})
    assert hop.offered == [ALICE]


# --- release --------------------------------------------------------------------------------


def test_release_by_filter_reaches_each_once(relay, hop):
    numbers = [send(relay, [ALICE, REAL]) for _ in range(20)]
    relay.allow(ALICE)
    asked = relay.post("/recipients/release", {"address": ALICE, "dry_run": True}).json
    assert asked["count"] == 20 and asked["items"][0]["judged"]["verdict"] == "deliver"
    assert hop.offered == []
    counts = []

    def release():
        counts.append(relay.post("/recipients/release", {"state": "dropped"}).json["changed"])

    # Two people at the same time.
    people = [threading.Thread(target=release) for _ in range(2)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert sum(counts) == 20
    for number in numbers:
        relay.wait_states(number, {ALICE: "delivered", REAL: "dropped"})
    assert relay.post("/recipients/release", {"all": True}).json["changed"] == 0
    assert hop.offered == [ALICE] * 20


def test_S159_what_is_judged_is_what_is_sent(relay, hop):
    number = send(relay, [REAL, OTHER])
    relay.allow("team.test")
    path = "/messages/%s/release" % number
    for to in ("qa@team.test,real@evil.example", "<qa@team.test>", "Q <qa@team.test>",
               "qa@team.test>\r\nRCPT TO:<real@evil.example", "qa@team.test\u0000x",
               "@team.test:real@evil.example"):
        relay.post(path, {"to": to}, want=(400,))
    for to in (REAL, '"qa"@team.test'):
        relay.post(path, {"to": to}, want=(409,))
    assert relay.states(number) == {REAL: "dropped", OTHER: "dropped"}
    relay.post(path, {"to": "QA@Team.TEST"})
    relay.wait_states(number, {REAL: "redirected", OTHER: "redirected",
                               "QA@Team.TEST": "delivered"})
    relay.post(path, {"to": "QA@Team.TEST"}, want=(409,))
    assert hop.offered == ["QA@Team.TEST"]
    assert len(hop.snapshot()) == 1


def test_tool_releases_by_filter(relay, hop):
    number = send(relay, [ALICE, REAL])
    relay.allow(ALICE, QA)
    said = tool(relay, "queue", "release", "--all", "--state", "dropped", "--dry-run").stdout
    assert said.startswith("release: 1 would be done, 1 refused\n") and "now: deliver" in said
    assert hop.offered == []
    assert "1 done, 1 refused" in tool(relay, "queue", "release", "--all", want=1).stdout
    relay.wait_states(number, {ALICE: "delivered", REAL: "dropped"})
    tool(relay, "queue", "release", number + "/" + REAL, "--redirect-to", QA)
    relay.wait_states(number, {ALICE: "delivered", REAL: "redirected", QA: "delivered"})
    assert "no recipient matches" in tool(relay, "queue", "release", "--all", want=1).stderr
    tool(relay, "queue", "release", number, "--dry-run", want=64)
    tool(relay, "queue", "hold", number, "--redirect-to", QA, want=64)


def test_accepting_goes_on_during_a_large_release(relay, hop):
    """P6: the steps are short; what comes in meanwhile is taken at once."""
    crowd = ["u%d@crowd.test" % i for i in range(1000)]
    for _ in range(4):
        send(relay, crowd)
    relay.post("/delivery/pause")
    relay.allow("crowd.test")
    done = threading.Event()
    answer = []

    def release():
        answer.append(relay.post("/recipients/release", {"state": "dropped"}).json)
        done.set()

    worker = threading.Thread(target=release)
    worker.start()
    accepted = 0
    while not done.is_set():
        send(relay, [ALICE])
        accepted += 1
    worker.join()
    assert answer[0]["changed"] == 4000 and answer[0]["next"] is None
    assert accepted >= 3


# --- the sender -----------------------------------------------------------------------------


@pytest.mark.parametrize("default, states", [
    ("drop", {REAL: "dropped"}), ("hold", {REAL: "held"}), ("reject", {REAL: "dropped"}),
    ("redirect", {REAL: "redirected", QA: "delivered"})])
def test_S174_no_report_to_a_sender_that_is_not_allowed(make_daemon, hop, default, states):
    relay = make_daemon(hop.address, "policy: {default: %s%s}\n" % (
        default, ", redirect_to: " + QA if default == "redirect" else ""))
    relay.allow(ALICE, QA)
    hop.replies[ALICE] = "550 5.1.1 nobody here"
    number = send(relay, [ALICE], sender=REAL)
    relay.wait_states(number, {ALICE: "failed"})
    reports = [m for m in relay.all_items("/messages?limit=100") if m["origin"] == "bounce"]
    assert len(reports) == 1
    relay.wait_states(reports[0]["id"], states)
    assert REAL not in hop.offered


def test_nobody_hears_of_who_stands_for_others(make_daemon, hop):
    """The sender never named him: his refusal is nobody's business."""
    relay = make_daemon(hop.address, REDIRECT)
    relay.allow(QA, "app@example.com")
    hop.replies[QA] = "550 5.1.1 nobody here"
    number = send(relay, [REAL])
    relay.wait_states(number, {REAL: "redirected", QA: "failed"})
    assert [m["id"] for m in relay.all_items("/messages?limit=100")] == [number]
