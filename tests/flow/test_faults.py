"""Failures on demand: each action at each stage, through the whole daemon, as a tester uses it."""

import email
import email.policy
import json
import signal
import smtplib
import subprocess
import time

import pytest

from daemon import STAGEPOST, Smtp, wait_for

SENDER = "app@shop.test"
ALICE = "alice@example.com"
BODY = b"Subject: order\r\nMessage-ID: <42@shop.test>\r\nTo: alice@example.com\r\n\r\nhello\r\n"


def demand(relay, name, action, **members):
    """The id of a new rule."""
    return relay.post("/faults", {"name": name, "action": action, **members}).json["id"]


def undo(relay, rule):
    assert relay.request("DELETE", "/api/v1/faults/%d" % rule).status == 204


def rule_named(relay, name):
    return {r["name"]: r for r in relay.get("/faults")["items"]}[name]


def client(relay):
    return smtplib.SMTP("127.0.0.1", relay.smtp_port, local_hostname="client.test", timeout=30)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
def test_rejected_at_each_stage(relay, hop, stage):
    relay.allow(ALICE)
    rule = demand(relay, "no-" + stage, "reject", stage=stage, code=452, enhanced="4.2.2",
                  text="Full on demand", sender="*@shop.test")
    with client(relay) as smtp:
        with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)) as info:
            smtp.sendmail(SENDER, [ALICE], BODY)
        refusal = info.value
        if isinstance(refusal, smtplib.SMTPRecipientsRefused):
            code, text = refusal.recipients[ALICE]
        else:
            code, text = refusal.smtp_code, refusal.smtp_error
        assert (code, text) == (452, b"4.2.2 Full on demand")
        smtp.rset()
        # Nothing of it is there, and others are not concerned.
        assert relay.get("/messages")["items"] == []
        smtp.sendmail("other@elsewhere.test", [ALICE], BODY)
        # In force for the next command when the answer is there.
        undo(relay, rule)
        smtp.sendmail(SENDER, [ALICE], BODY)
    wait_for(lambda: len(hop.snapshot()) == 2, "two messages")
    assert "fault rule=no-%s action=reject stage=%s" % (stage, stage) in relay.log()


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
def test_disconnected_at_each_stage(relay, stage):
    demand(relay, "gone", "disconnect", stage=stage, times=1)
    with client(relay) as smtp:
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.sendmail(SENDER, [ALICE], BODY)
    assert relay.get("/messages")["items"] == []
    with client(relay) as smtp:
        smtp.sendmail(SENDER, [ALICE], BODY)
    assert rule_named(relay, "gone")["strikes"] == 1
    assert len(relay.get("/messages")["items"]) == 1


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
def test_a_delay_concerns_nobody_else(relay, stage):
    demand(relay, "slow", "delay", stage=stage, delay_ms=700, sender=SENDER)
    with Smtp(relay.smtp_port) as slow, client(relay) as quick:
        begun = time.monotonic()
        commands = ["MAIL FROM:<%s>" % SENDER, "RCPT TO:<%s>" % ALICE, "DATA", "hello\r\n."]
        for command in commands:
            slow.write(command.encode() + b"\r\n")
            if command.split()[0].lower() == {"end": "hello"}.get(stage, stage):
                for _ in range(5):
                    quick.sendmail("other@elsewhere.test", [ALICE], BODY)
                assert time.monotonic() - begun < 0.6
            code, _ = slow.reply()
            assert code in (250, 354)
        assert time.monotonic() - begun >= 0.7
    assert len(relay.get("/messages")["items"]) == 6


def test_every_after_and_times_are_exact(relay):
    demand(relay, "rhythm", "reject", after=1, every=2, times=2)
    with client(relay) as smtp:
        smtp.ehlo()
        smtp.mail(SENDER)
        codes = [smtp.rcpt("r%d@example.com" % i)[0] for i in range(8)]
    assert codes == [250, 250, 550, 250, 550, 250, 250, 250]
    rule = rule_named(relay, "rhythm")
    assert (rule["matches"], rule["strikes"]) == (8, 2)


def test_put_off_twice_then_delivered(relay, hop):
    relay.allow(ALICE)
    demand(relay, "two-tries", "defer", attempts=2, recipient=ALICE, text="Come back later")
    with Smtp(relay.smtp_port) as smtp:
        message = smtp.send(SENDER, [ALICE], BODY)
    relay.wait_states(message, {ALICE: "delivered"})
    recipient = relay.message(message)["recipients"][0]
    assert recipient["attempts"] == 3
    deferred = [h for h in recipient["history"] if h["event"] == "deferred"]
    assert [h["reason"] for h in deferred] == [
        "fault rule two-tries: 451 4.3.0 Come back later"] * 2
    assert [h["reply"]["code"] for h in deferred] == [451, 451]
    assert len(hop.snapshot()) == 1 and hop.offered == [ALICE]


def addressee_rule(relay, report):
    """P1: what left went to listed addresses only."""
    allowed = {e["pattern"] for e in relay.get("/whitelist")["items"]}
    assert set(report.recipients) <= allowed


def parse_report(content):
    """Its three parts, as Python's own parser sees them."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["Auto-Submitted"] == "auto-replied"
    parts = message.get_payload()
    assert [p.defects for p in parts] == [[]] * len(parts)
    return message, parts


def test_a_bounce_with_its_report(relay, hop):
    """RFC 3464, 6522, 3461, 3834: parsed back, part by part."""
    relay.allow(SENDER)
    demand(relay, "no-such-user", "bounce", recipient="*@bounce.test", code=550,
           enhanced="5.1.1", text="No such user here")
    gone = ["bob@bounce.test", "carol@bounce.test"]
    with Smtp(relay.smtp_port) as smtp:
        # One message, three recipients: the third is dropped and never told of.
        message = smtp.send(SENDER, gone + ["eve@other.test"], BODY)
    relay.wait_states(message, {gone[0]: "failed", gone[1]: "failed", "eve@other.test": "dropped"})
    wait_for(hop.snapshot, "the report")
    relay.wait_states(relay.get("/messages")["items"][0]["id"], {SENDER: "delivered"})
    assert len(hop.snapshot()) == 1
    report = hop.snapshot()[0]
    assert hop.lines[0].startswith("MAIL FROM:<>")
    assert report.recipients == [SENDER] and hop.offered == [SENDER]
    addressee_rule(relay, report)

    outer, (words, status, original) = parse_report(report.content)
    assert outer["To"] == SENDER and outer["From"].addresses[0].username == "MAILER-DAEMON"
    assert outer["In-Reply-To"] == outer["References"] == "<42@shop.test>"
    assert "No such user here" in words.get_content()
    assert status.get_content_type() == "message/delivery-status"
    whole, *recipients = status.get_payload()
    assert whole["Reporting-MTA"] == "dns; relay.test"
    assert whole["Arrival-Date"] and whole["X-Stagepost-Message"] == message
    assert [r["Final-Recipient"] for r in recipients] == ["rfc822; " + a for a in gone]
    for recipient in recipients:
        assert recipient["Action"] == "failed"
        assert recipient["Status"] == "5.1.1"
        assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user here"
    assert original.get_content_type() == "message/rfc822"
    assert original.get_payload(0)["Subject"] == "order"
    assert original.get_payload(0).get_payload() == "hello\r\n"
    shown = relay.message(message)["recipients"][0]
    assert shown["reason"] == "fault rule no-such-user: 550 5.1.1 No such user here"
    assert "report" in relay.log()


def test_a_bounce_goes_nowhere_else(relay, hop):
    """S173 in spirit: the sender is somebody's customer. The report is recorded, and dropped."""
    relay.allow(ALICE)
    demand(relay, "b", "bounce", recipient="bob@example.com")
    with Smtp(relay.smtp_port) as smtp:
        message = smtp.send("customer@real.test", ["bob@example.com", ALICE], BODY)
        from_nobody = smtp.send("", ["bob@example.com"], BODY)
    relay.wait_states(message, {"bob@example.com": "failed", ALICE: "delivered"})
    relay.wait_states(from_nobody, {"bob@example.com": "failed"})
    reports = [m for m in relay.get("/messages")["items"]
               if m["id"] not in (message, from_nobody)]
    assert len(reports) == 1
    assert relay.states(reports[0]["id"]) == {"customer@real.test": "dropped"}
    assert hop.offered == [ALICE]
    assert relay.get("/status")["queue"]["recipients"].get("queued", 0) == 0


def test_decided_at_acceptance_and_kept_over_a_restart(relay, hop):
    relay.allow(ALICE, SENDER)
    rule = demand(relay, "b", "bounce", recipient=ALICE)
    relay.post("/delivery/pause")
    with Smtp(relay.smtp_port) as smtp:
        message = smtp.send(SENDER, [ALICE], BODY)
    undo(relay, rule)
    relay.restart()
    relay.post("/delivery/resume")
    relay.wait_states(message, {ALICE: "failed"})
    wait_for(hop.snapshot, "the report")
    assert hop.offered == [SENDER]


def test_sigterm_during_a_delay(relay):
    demand(relay, "slow", "delay", stage="rcpt", delay_ms=600000)
    with Smtp(relay.smtp_port) as smtp:
        assert smtp.command("MAIL FROM:<%s>" % SENDER)[0] == 250
        smtp.write(b"RCPT TO:<alice@example.com>\r\n")
        wait_for(lambda: rule_named(relay, "slow")["strikes"] == 1, "the strike")
        begun = time.monotonic()
        relay.process.send_signal(signal.SIGTERM)
        assert smtp.reply()[0] == 250
        assert smtp.reply()[0] == 421
        assert relay.process.wait(40) == 0
        assert time.monotonic() - begun < 8
    relay.process = None


def test_a_client_that_goes_during_a_delay(relay):
    demand(relay, "slow", "delay", stage="end", delay_ms=600000)
    with Smtp(relay.smtp_port) as smtp:
        smtp.envelope(SENDER, [ALICE])
        smtp.write(b"hello\r\n.\r\n")
        wait_for(lambda: rule_named(relay, "slow")["strikes"] == 1, "the strike")
    wait_for(lambda: relay.get("/status")["sessions"] == 0, "the session to go")
    # RFC 1047: it was taken all the same.
    wait_for(lambda: len(relay.get("/messages")["items"]) == 1, "the message")


def test_rules_of_the_file(make_daemon, hop):
    relay = make_daemon(hop.address, """
faults:
  - {name: from-file, action: reject, recipient: "bob@example.com", code: 551, text: "Not here"}
""")
    assert "mail fails on purpose: from-file (reject)" in relay.log()
    status = relay.get("/status")
    assert status["faults"] == {"enabled": 1, "strikes": 0}
    assert any("from-file (reject)" in w for w in status["warnings"])
    demand(relay, "second", "reject", code=552)
    assert [(r["name"], r["source"]) for r in relay.get("/faults")["items"]] == [
        ("from-file", "config"), ("second", "api")]
    with Smtp(relay.smtp_port) as smtp:
        assert smtp.command("MAIL FROM:<%s>" % SENDER)[0] == 250
        assert smtp.command("RCPT TO:<bob@example.com>") == (551, "5.3.0 Not here")
        assert smtp.command("RCPT TO:<carol@example.com>")[0] == 552
        # A reload takes the file's rules away, the others stay.
        relay.write_config()
        relay.hup()
        wait_for(lambda: len(relay.get("/faults")["items"]) == 1, "the reload")
        assert smtp.command("RCPT TO:<bob@example.com>")[0] == 552
        relay.write_config("faults: [{name: x, action: delay}]\n")
        relay.hup()
        wait_for(lambda: "faults.0.delay: is missing" in relay.log(), "the complaint")
        assert len(relay.get("/faults")["items"]) == 1


def stagepost(relay, *arguments):
    done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, *arguments],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_tool(relay):
    code, _, error = stagepost(relay, "fault", "list")
    assert code == 1 and "nothing fails on purpose" in error
    assert "on purpose" not in stagepost(relay, "status")[1]
    code, output, error = stagepost(
        relay, "fault", "add", "slow", "delay", "--delay", "300ms", "--stage", "end",
        "--every", "3", "--sender", "<>")
    assert (code, output) == (0, "Added: slow (delay at end), fault rule 1\n"), error
    code, output, _ = stagepost(relay, "fault", "add", "no", "reject", "--recipient",
                                "bob@example.com", "--code", "552", "--text", "Too much",
                                "--before", "1", "--json")
    assert code == 0 and json.loads(output)["code"] == 552
    code, output, _ = stagepost(relay, "fault", "list")
    assert code == 0
    head, first, second = output.splitlines()
    assert head.split()[0] == "ID" and first.split()[:3] == ["2", "no", "reject"]
    assert "552 Too much" in first and "every 3" in second and "after 300 ms" in second
    with Smtp(relay.smtp_port) as smtp:
        assert smtp.command("MAIL FROM:<>")[0] == 250
        assert smtp.command("RCPT TO:<bob@example.com>")[0] == 552
    assert "2 fault rules are on" in stagepost(relay, "status")[1]
    code, _, error = stagepost(relay, "fault", "add", "no", "reject")
    assert code == 1 and "name" in error
    code, _, error = stagepost(relay, "fault", "add", "x", "explode")
    assert code == 64
    assert "reject, delay, disconnect, bounce or defer" in error
    assert stagepost(relay, "fault", "add", "x", "delay", "--delay", "soon")[0] == 64
    assert stagepost(relay, "fault", "add", "x")[0] == 64
    assert stagepost(relay, "fault", "remove", "no")[:2] == (0, "Removed: fault rule 2\n")
    assert stagepost(relay, "fault", "remove", "1")[0] == 0
    assert stagepost(relay, "fault", "remove", "slow")[0] == 1
    assert relay.get("/faults")["items"] == []


def test_a_report_about_utf8(relay, hop):
    """RFC 6533: the forms message/global-* and utf-8; addresses."""
    relay.allow(SENDER)
    demand(relay, "b", "bounce", sender=SENDER, text="Unbekannt")
    with Smtp(relay.smtp_port) as smtp:
        assert smtp.command("MAIL FROM:<%s> SMTPUTF8" % SENDER)[0] == 250
        assert smtp.command("RCPT TO:<gr\u00fc\u00dfe@example.com>")[0] == 250
        assert smtp.command("DATA")[0] == 354
        smtp.write("Subject: gr\u00fc\u00dfe\r\n\r\nhello\r\n.\r\n".encode())
        assert smtp.reply()[0] == 250
    wait_for(hop.snapshot, "the report")
    report = hop.snapshot()[0]
    assert report.recipients == [SENDER]
    addressee_rule(relay, report)
    outer, (words, status, original) = parse_report(report.content)
    assert outer["Content-Transfer-Encoding"] == "8bit"
    assert words.get_content_charset() == "utf-8" and "gr\u00fc\u00dfe@" in words.get_content()
    assert status.get_content_type() == "message/global-delivery-status"
    assert "Final-Recipient: utf-8; gr\u00fc\u00dfe@example.com\r\n".encode() in report.content
    assert original.get_content_type() == "message/global"
    assert "Subject: gr\u00fc\u00dfe\r\n".encode() in report.content


def test_by_user(make_daemon, hop):
    relay = make_daemon(hop.address, start=False)
    relay.start("-o", "listeners.0.auth=any", "-o", "listeners.0.auth_without_tls=true")
    demand(relay, "ci", "reject", user="ci-*", stage="end")
    for user, code in (("ci-7", 550), ("shop", 250)):
        with client(relay) as smtp:
            smtp.login(user, "whatever")
            smtp.mail(SENDER)
            smtp.rcpt(ALICE)
            assert smtp.data(BODY)[0] == code
    with client(relay) as smtp:
        assert smtp.sendmail(SENDER, [ALICE], BODY) == {}
