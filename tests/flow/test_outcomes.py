"""What becomes of each recipient, what its sender is told, and what a person can do about it."""

import email
import email.policy
import json
import subprocess
import time

import pytest

from daemon import STAGEPOST, Smtp, queued_id, wait_for
from nexthop import Conversation, NextHop, Over

SENDER = "app@shop.test"
LISTED = "alice@example.com"
BODY = b"Subject: order\r\nMessage-ID: <42@shop.test>\r\n\r\nhello\r\n"


def one(relay, message):
    return relay.message(message)["recipients"][0]


def submit(relay, recipients, sender=SENDER, notify=None, body=BODY):
    with Smtp(relay.smtp_port) as client:
        assert client.command("MAIL FROM:<%s>" % sender)[0] == 250
        for recipient in recipients:
            line = "RCPT TO:<%s>" % recipient
            assert client.command(line + (" NOTIFY=" + notify if notify else ""))[0] == 250
        assert client.command("DATA")[0] == 354
        client.write(body + b".\r\n")
        return queued_id(client.reply())


def reports(hop):
    return [m for m in hop.snapshot() if m.sender == ""]


def fields_of(report):
    """Final-Recipient to the fields of its block; every part is parsed and has no defect."""
    whole = email.message_from_bytes(report.content, policy=email.policy.default)
    assert not whole.defects and whole.get_content_type() == "multipart/report"
    words, status, original = whole.get_payload()
    assert not (words.defects or status.defects or original.defects)
    return {r["Final-Recipient"].split("; ")[1]: r for r in status.get_payload()[1:]}


def test_s221_each_recipient_its_own(make_daemon, hop):
    """Ten recipients, every kind of answer: one copy for each yes, one report, only 4xx again."""
    relay = make_daemon(hop.address)
    relay.allow("example.com", SENDER)
    answers = {"a": "250 2.1.5 Ok", "b": "550 5.1.1 No such user", "c": "450 4.2.1 Later",
               "d": "252 2.1.5 Perhaps", "e": "552 5.2.2 Full", "f": "251 2.1.5 Elsewhere",
               "g": "451 4.7.1 Greylisted", "h": "553 5.1.3 Bad name", "i": "250 ok",
               "j": "550"}
    hop.replies = {"%s@example.com" % name: reply for name, reply in answers.items()}
    message = submit(relay, list(hop.replies))
    want = {"%s@example.com" % name: {"2": "delivered", "4": "deferred", "5": "failed"}[reply[0]]
            for name, reply in answers.items()}
    wait_for(lambda: {a: s for a, s in relay.states(message).items() if s != "delivering"}
             == want, "the first try")
    kinds = {r["address"][0]: r["kind"] for r in relay.message(message)["recipients"]}
    assert kinds == {"a": None, "b": "refused", "c": "put_off", "d": None, "e": "refused",
                     "f": None, "g": "put_off", "h": "refused", "i": None, "j": "refused"}
    troubles = relay.get("/routes")["items"][0]["troubles"]
    assert set(troubles) == {"refused", "put_off"}
    assert troubles["refused"] == 4 and troubles["put_off"] >= 2
    hop.replies = {}
    want.update({"c@example.com": "delivered", "g@example.com": "delivered"})
    relay.wait_states(message, want)
    wait_for(lambda: reports(hop), "the report")
    time.sleep(0.3)
    assert len(reports(hop)) == 1
    told = fields_of(reports(hop)[0])
    assert sorted(told) == ["%s@example.com" % name for name in "behj"]
    assert told["e@example.com"]["Status"] == "5.2.2"
    assert told["j@example.com"]["Status"] == "5.0.0"
    assert told["h@example.com"]["Diagnostic-Code"] == "smtp; 553 5.1.3 Bad name"
    for address, state in want.items():
        assert len(hop.copies_for(address)) == (1 if state == "delivered" else 0)
    # The refused ones were offered once, those that were put off once more, nobody else again.
    assert sorted(hop.offered) == sorted([*want, "c@example.com", "g@example.com", SENDER])


def test_s224_given_up_and_told(make_daemon, hop):
    """4xx for ever: tried again and again, then expired, with a report that says both."""
    relay = make_daemon(
        hop.address, "delivery: {schedule: [200ms, 400ms], expire_after: 2s}\n")
    relay.allow("example.com", SENDER)
    hop.replies = {LISTED: "450 4.2.1 Mailbox busy"}
    message = submit(relay, [LISTED])
    relay.wait_states(message, {LISTED: "expired"})
    recipient = one(relay, message)
    assert recipient["reason"] == ("waited longer than allowed; last: "
                                   "RCPT TO: 450 4.2.1 Mailbox busy")
    assert recipient["kind"] == "put_off" and 3 <= recipient["attempts"] <= 11
    wait_for(lambda: reports(hop), "the report")
    told = fields_of(reports(hop)[0])[LISTED]
    # RFC 3463 3.5: the trouble, rather than that it took too long.
    assert (told["Action"], told["Status"]) == ("failed", "4.2.1")
    # A person may try it again all the same.
    hop.replies = {}
    assert relay.post("/messages/%s/retry" % message).json["changed"] == 1
    relay.wait_states(message, {LISTED: "delivered"})


@pytest.mark.parametrize("answer,state,kind", [
    ("552 5.3.4 Message too big", "failed", "refused"),
    ("550 5.7.23 SPF says no", "failed", "refused"),
    ("530 5.7.0 Authentication required", "deferred", "configuration"),
    ("451 4.3.0 Later", "deferred", "put_off"),
])
def test_s225_at_mail(make_daemon, answer, state, kind):
    """5xx at MAIL: of the message, but 530 of our settings, which somebody can put right."""
    class Refusing(Conversation):
        def on_command(self, verb, line):
            if verb == "MAIL" and "<%s>" % SENDER in line:
                self.answer("mail", answer, line=line)
            else:
                super().on_command(verb, line)

    hop = NextHop()
    hop.converse = lambda connection, number: Refusing(hop, connection, number)
    relay = make_daemon(hop.address, "delivery: {schedule: [1m]}\n")
    relay.allow("example.com", SENDER)
    message = submit(relay, [LISTED])
    relay.wait_states(message, {LISTED: state})
    recipient = one(relay, message)
    assert recipient["kind"] == kind and answer[6:] in recipient["reason"]
    assert (recipient["next_attempt_at"] is not None) == (state == "deferred")
    if state == "failed":
        wait_for(lambda: reports(hop), "the report")
    # Nobody else waits because of it.
    relay.allow("other.test")
    other = submit(relay, [LISTED], sender="else@other.test")
    relay.wait_states(other, {LISTED: "delivered"})
    assert len(reports(hop)) == (1 if state == "failed" else 0)
    hop.close()


def test_s226_poison_among_a_thousand(make_daemon):
    """A message that ends every connection: the others pass by, it waits longer each time."""
    class Poisoned(Conversation):
        def take(self, content, usual):
            if b"\r\nX-Poison:" in content:
                raise Over
            super().take(content, usual)

    hop = NextHop()
    hop.converse = lambda connection, number: Poisoned(hop, connection, number)
    relay = make_daemon(hop.address, "delivery: {schedule: [200ms, 400ms, 1h]}\n")
    relay.allow("example.com")
    relay.post("/delivery/pause")
    poison = submit(relay, ["poison@example.com"],
                    body=b"Subject: x\r\nX-Poison: 1\r\n\r\nx\r\n")
    with Smtp(relay.smtp_port) as client:
        for i in range(1000):
            client.write(b"MAIL FROM:<>\r\nRCPT TO:<r%d@example.com>\r\nDATA\r\n" % i)
            assert [client.reply()[0] for _ in range(3)] == [250, 250, 354]
            client.write(BODY + b".\r\n")
            assert client.reply()[0] == 250
    begun = time.monotonic()
    relay.post("/delivery/resume")
    wait_for(lambda: len(hop.snapshot()) == 1000, "the good ones")
    took = time.monotonic() - begun
    assert sorted(m.recipients[0] for m in hop.snapshot()) == sorted(
        "r%d@example.com" % i for i in range(1000))
    recipient = one(relay, poison)
    # DESIGN P3: its dot went unanswered, so it waits four times as long, and a person is asked.
    assert recipient["attempts"] <= 1 + took / 0.8
    relay.wait_states(poison, {"poison@example.com": "held"})
    recipient = one(relay, poison)
    assert recipient["attempts"] == 3 and recipient["kind"] == "network"
    assert "it may have arrived" in recipient["reason"]
    hop.close()


def test_success_is_told(make_daemon):
    """RFC 3461 5.2.2: behind a next hop without DSN we are the last who can."""
    hop = NextHop(extensions=("PIPELINING",))
    relay = make_daemon(hop.address)
    relay.allow("example.com", SENDER)
    submit(relay, [LISTED, "bob@example.com"], notify="SUCCESS")
    wait_for(lambda: reports(hop), "the report")
    told = fields_of(reports(hop)[0])
    assert {a: (r["Action"], r["Status"]) for a, r in told.items()} == {
        LISTED: ("relayed", "2.0.0"), "bob@example.com": ("relayed", "2.0.0")}
    assert b"hello" not in reports(hop)[0].content
    hop.close()


def test_no_reports_but_those_on_demand(make_daemon, hop):
    relay = make_daemon(
        hop.address, "delivery: {schedule: [300ms], bounces: false}\n")
    relay.allow("example.com", SENDER)
    hop.replies = {LISTED: "550 5.1.1 No such user"}
    failed = submit(relay, [LISTED])
    relay.wait_states(failed, {LISTED: "failed"})
    relay.post("/faults", {"name": "b", "action": "bounce", "recipient": "bob@example.com"})
    struck = submit(relay, ["bob@example.com"])
    relay.wait_states(struck, {"bob@example.com": "failed"})
    wait_for(lambda: reports(hop), "the report that was asked for")
    assert [list(fields_of(r)) for r in reports(hop)] == [["bob@example.com"]]
    # A reload turns them on.
    relay.write_config("delivery: {schedule: [300ms]}\n")
    relay.hup()
    wait_for(lambda: "the new configuration" in relay.log(), "the reload")
    again = submit(relay, [LISTED])
    relay.wait_states(again, {LISTED: "failed"})
    wait_for(lambda: len(reports(hop)) == 2, "the report")


def test_one_report_a_failure_over_a_kill(make_daemon, hop):
    """Outcome and report are one commit: neither is there without the other, whenever it ends."""
    relay = make_daemon(hop.address)
    relay.allow("example.com", SENDER)
    gone = ["gone%d@example.com" % i for i in range(300)]
    hop.replies = {address: "550 5.1.1 No such user" for address in gone}
    relay.post("/delivery/pause")
    with Smtp(relay.smtp_port) as client:
        for address in gone:
            client.send(SENDER, [address], BODY)
    relay.post("/delivery/resume")
    begun = time.monotonic()
    while len(hop.offered) < 20:  # wait_for looks too seldom
        assert time.monotonic() < begun + 60
        time.sleep(0.001)
    relay.kill()
    assert len(hop.offered) < len(gone), "it was over before the end came"
    relay.start()

    def outcomes():
        items = relay.all_items("/messages?include=recipients&limit=100")
        return [m for m in items if m["origin"] == "bounce"], [
            r for m in items if m["origin"] != "bounce" for r in m["recipients"]]

    wait_for(lambda: {r["state"] for r in outcomes()[1]} == {"failed"}, "all to fail")
    made = outcomes()[0]
    told = []
    for report in made:
        raw = relay.request("GET", "/api/v1/messages/%s/raw" % report["id"]).body
        told += [line for line in raw.split(b"\r\n") if line.startswith(b"Final-Recipient: ")]
    assert sorted(told) == sorted(b"Final-Recipient: rfc822; " + a.encode() for a in gone)


# --- what a person does ----------------------------------------------------------------------


def by_api(relay, verb, message):
    return relay.post("/messages/%s/%s" % (message, verb), want=(200, 202, 409)).json


def by_tool(relay, verb, message):
    done = subprocess.run(
        [STAGEPOST, "--data-dir", relay.data_dir, "--json", "queue", verb, message],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    return answer[0] if isinstance(answer, list) else answer


def counted(answer):
    """Done, or wished while it was looked at: what waits for its route is claimed and put back."""
    return answer.get("changed", 0) + answer.get("wished", 0)


@pytest.mark.parametrize("act", [by_api, by_tool])
def test_hold_release_retry_and_cancel(make_daemon, hop, act):
    """Queued, waiting for its route, and put off: each verb does what it says, and says it."""
    relay = make_daemon(hop.address, "delivery: {schedule: [1h]}\n")
    relay.allow("example.com")
    for pause in ("/delivery", "/routes/test"):
        relay.post(pause + "/pause")
        message = submit(relay, [LISTED])
        relay.wait_states(message, {LISTED: "queued"})
        # There is nothing to hurry: it waits for the route, before and after.
        wait_for(lambda: counted(act(relay, "retry", message)) == 1, "the retry")
        relay.wait_states(message, {LISTED: "queued"})
        assert counted(act(relay, "hold", message)) == 1
        relay.wait_states(message, {LISTED: "held"})
        assert counted(act(relay, "retry", message)) == 0
        relay.post(pause + "/resume")
        time.sleep(0.3)
        assert hop.snapshot() == [] and relay.states(message) == {LISTED: "held"}
        assert act(relay, "release", message)["changed"] == 1
        relay.wait_states(message, {LISTED: "delivered"})
        assert counted(act(relay, "cancel", message)) == 0
        assert one(relay, message)["attempts"] == 1
        hop.messages.clear()
        relay.post(pause + "/pause")
        message = submit(relay, [LISTED])
        assert counted(act(relay, "cancel", message)) == 1
        relay.wait_states(message, {LISTED: "cancelled"})
        relay.post(pause + "/resume")
        time.sleep(0.3)
        assert hop.snapshot() == [] and relay.states(message) == {LISTED: "cancelled"}
    # Put off for an hour; `retry` is now.
    hop.replies = {LISTED: "450 4.2.1 Later"}
    message = submit(relay, [LISTED])
    relay.wait_states(message, {LISTED: "deferred"})
    assert act(relay, "hold", message)["changed"] == 1
    assert one(relay, message)["next_attempt_at"] is None
    assert act(relay, "release", message)["changed"] == 1
    relay.wait_states(message, {LISTED: "deferred"})
    assert one(relay, message)["attempts"] == 2
    hop.replies = {}
    assert act(relay, "retry", message)["changed"] == 1
    relay.wait_states(message, {LISTED: "delivered"})
    assert one(relay, message)["attempts"] == 3
    # Failed for good: only a retry helps.
    hop.replies = {LISTED: "550 5.1.1 No such user"}
    message = submit(relay, [LISTED], sender="")
    relay.wait_states(message, {LISTED: "failed"})
    for verb in ("hold", "release", "cancel"):
        answer = act(relay, verb, message)
        assert counted(answer) == 0
        assert "a failed recipient can't be" in answer["detail"]
    hop.replies = {}
    assert act(relay, "retry", message)["changed"] == 1
    relay.wait_states(message, {LISTED: "delivered"})
    history = [(h["event"], h["kind"]) for h in one(relay, message)["history"]]
    assert history == [("accepted", None), ("failed", "refused"), ("retried", None),
                       ("delivered", None)]
