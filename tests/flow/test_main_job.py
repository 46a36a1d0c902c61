"""One message for three recipients, one of them listed; by every kind of client."""

import email.message
import os
import re
import shutil
import smtplib
import subprocess

import aiosmtpd.controller
import pytest

from daemon import Smtp, free_port, queued_id, wait_for, without_received

LISTED = "alice@example.com"
OTHERS = ["bob@example.com", "carol@example.com"]


def whitelist_by_curl(relay, pattern):
    output = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", "-H", "Authorization: Bearer " + relay.token,
         "-H", "Content-Type: application/json", "-d", '{"pattern": "%s"}' % pattern,
         "http://127.0.0.1:%d/api/v1/whitelist" % relay.api_port],
        check=True, capture_output=True, timeout=30).stdout
    assert output.endswith(b"\n201"), output


def only_message(relay):
    items = relay.get("/messages")["items"]
    assert len(items) == 1, items
    return items[0]["id"]


def check_outcome(relay, hop, message):
    """Exactly one copy, for exactly one recipient; the API says why."""
    relay.wait_states(message, {LISTED: "delivered", **{other: "dropped" for other in OTHERS}})
    assert hop.offered == [LISTED]
    assert [m.recipients for m in hop.snapshot()] == [[LISTED]]
    by_address = {r["address"]: r for r in relay.message(message)["recipients"]}
    assert by_address[LISTED]["verdict"] == "deliver"
    assert by_address[LISTED]["entry"] is not None
    assert by_address[LISTED]["last_reply"]["code"] == 250
    assert by_address[LISTED]["attempts"] == 1
    for other in OTHERS:
        assert by_address[other]["verdict"] == "drop"
        assert by_address[other]["reason"]
        assert by_address[other]["entry"] is None


def test_swaks(relay, hop):
    if not shutil.which("swaks"):
        pytest.skip("swaks is not installed")
    whitelist_by_curl(relay, LISTED)
    subprocess.run(
        ["swaks", "--silent", "3", "--server", relay.smtp_address, "--from", "app@example.com",
         "--to", ",".join([LISTED, *OTHERS]), "--header", "To: " + LISTED,
         "--header", "Cc: " + OTHERS[0], "--header", "Bcc: " + OTHERS[1]],
        check=True, timeout=60)
    check_outcome(relay, hop, only_message(relay))
    content = hop.snapshot()[0].content
    assert (b'\r\nCc: "bob at example.com (blocked)" <bob=example.com@blocked.invalid>\r\n'
            in content)
    assert b"bcc:" not in content.lower()
    assert b"carol" not in content


def test_smtplib(relay, hop):
    whitelist_by_curl(relay, "*@example.com")
    whitelist_by_curl(relay, "nobody@example.net")
    relay.post("/whitelist", {"pattern": OTHERS[0], "action": "deny"})
    relay.post("/whitelist", {"pattern": OTHERS[1], "action": "deny"})
    message = email.message.EmailMessage()
    message["From"] = "app@example.com"
    message["To"] = LISTED
    message["Cc"] = ", ".join(OTHERS)
    message["Subject"] = "Grüße"
    message.set_content("Hello\n.\n..dots\n")
    with smtplib.SMTP("127.0.0.1", relay.smtp_port, timeout=60) as client:
        assert client.send_message(message) == {}
    number = only_message(relay)
    relay.wait_states(number, {LISTED: "delivered", **{other: "dropped" for other in OTHERS}})
    assert hop.offered == [LISTED]
    assert hop.snapshot()[0].content.endswith(b"Hello\r\n.\r\n..dots\r\n")
    # Denied is told apart from not listed, and names the entry.
    by_address = {r["address"]: r for r in relay.message(number)["recipients"]}
    assert by_address[OTHERS[0]]["entry"] is not None


def test_curl(relay, hop):
    whitelist_by_curl(relay, LISTED)
    content = b"From: a@example.com\r\nTo: %s\r\nSubject: x\r\n\r\nhi\r\n" % LISTED.encode()
    arguments = []
    for recipient in [LISTED, *OTHERS]:
        arguments += ["--mail-rcpt", recipient]
    subprocess.run(
        ["curl", "-sS", "smtp://" + relay.smtp_address, "--mail-from", "a@example.com",
         *arguments, "--upload-file", "-"], input=content, check=True, timeout=60)
    check_outcome(relay, hop, only_message(relay))
    assert without_received(hop.snapshot()[0].content) == content


def test_aiosmtpd_as_next_hop(make_daemon):
    class Handler:
        def __init__(self):
            self.seen = []

        async def handle_DATA(self, server, session, envelope):
            self.seen.append((envelope.rcpt_tos, envelope.original_content))
            return "250 2.0.0 kept"

    handler = Handler()
    port = free_port()
    controller = aiosmtpd.controller.Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        relay = make_daemon("127.0.0.1:%d" % port)
        relay.allow(LISTED)
        with Smtp(relay.smtp_port) as client:
            number = client.send("a@example.com", [LISTED, *OTHERS],
                                 b"Subject: x\r\n\r\n.dot\r\n")
        relay.wait_states(number, {LISTED: "delivered", **{o: "dropped" for o in OTHERS}})
    finally:
        controller.stop()
    assert [recipients for recipients, _ in handler.seen] == [[LISTED]]
    assert without_received(handler.seen[0][1]) == b"Subject: x\r\n\r\n.dot\r\n"


def test_postfix_clients_in_bulk(relay, hop):
    """smtp-source: many sessions at once, every message answered and delivered once."""
    if not shutil.which("smtp-source", path="/usr/sbin:/usr/bin"):
        pytest.skip("smtp-source (postfix) is not installed")
    relay.allow(LISTED)
    for recipient in (LISTED, OTHERS[0]):
        subprocess.run(
            ["/usr/sbin/smtp-source", "-s", "10", "-m", "200", "-l", "4096", "-f",
             "a@example.com", "-t", recipient, relay.smtp_address], check=True, timeout=120)
    wait_for(lambda: len(hop.snapshot()) >= 200, "200 messages at the next hop")
    wait_for(lambda: not relay.get("/recipients?state=queued&limit=1")["items"]
             and not relay.get("/recipients?state=delivering&limit=1")["items"],
             "an empty queue")
    assert len(hop.snapshot()) == 200
    assert set(hop.offered) == {LISTED}
    assert len(relay.all_items("/recipients?state=delivered&limit=1000")) == 200
    assert len(relay.all_items("/recipients?state=dropped&limit=1000")) == 200


def test_postfix_server_as_next_hop(make_daemon, tmp_path):
    """smtp-sink takes what we send, over re-used connections."""
    if not shutil.which("smtp-sink", path="/usr/sbin:/usr/bin"):
        pytest.skip("smtp-sink (postfix) is not installed")
    port = free_port()
    dump = tmp_path / "dump"
    dump.mkdir()
    # It gives up root's rights before it writes.
    for folder in (dump, tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o011)
    dump.chmod(0o777)
    account = ["-u", "nobody"] if os.geteuid() == 0 else []
    sink = subprocess.Popen(
        ["/usr/sbin/smtp-sink", *account, "-d", "%s/%%M." % dump, "127.0.0.1:%d" % port, "100"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        relay = make_daemon("127.0.0.1:%d" % port)
        relay.allow("example.com")
        with Smtp(relay.smtp_port) as client:
            for i in range(100):
                client.send("a@example.com", ["u%d@example.com" % i, "v@example.net"],
                            b"Subject: x\r\n\r\nhi\r\n")
        wait_for(lambda: len(relay.all_items("/recipients?state=delivered&limit=1000")) == 100,
                 "100 delivered")
    finally:
        sink.kill()
        sink.wait()
    dumps = [path.read_text() for path in dump.iterdir()]
    assert len(dumps) == 100
    recipients = re.findall(r"^X-Rcpt-Args: <(.*)>$", "\n".join(dumps), re.M)
    assert sorted(recipients) == sorted("u%d@example.com" % i for i in range(100))


def test_list_is_empty(relay, hop):
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", [LISTED], b"\r\nhi\r\n")
    relay.wait_states(number, {LISTED: "dropped"})
    assert hop.offered == []


def test_whitelist_change_is_in_force_when_answered(relay, hop):
    """Add, send; remove, send: the very next message follows the list."""
    for i in range(10):
        entry = relay.allow(LISTED)[0]
        with Smtp(relay.smtp_port) as client:
            first = client.send("a@example.com", [LISTED], b"Subject: in %d\r\n\r\n" % i)
            relay.wait_states(first, {LISTED: "delivered"})
            relay.remove(entry)
            second = client.send("a@example.com", [LISTED], b"Subject: out %d\r\n\r\n" % i)
        relay.wait_states(second, {LISTED: "dropped"})
    assert len(hop.snapshot()) == 10
    assert all(b"Subject: in" in m.content for m in hop.snapshot())


def test_recipient_given_twice(relay, hop):
    relay.allow("example.com")
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", [LISTED, "alice@EXAMPLE.com", LISTED], b"\r\nx\r\n")
    wait_for(lambda: set(relay.states(number).values()) == {"delivered"}, "delivery")
    assert len(relay.states(number)) == 1
    assert len(hop.offered) == 1


def test_replies_of_the_next_hop(relay, hop):
    """5xx fails that recipient only, 4xx defers it; the stored reply is the remote one (P4)."""
    relay.allow("example.com")
    hop.replies = {"bad@example.com": "550 5.1.1 No such user",
                   "later@example.com": "450 4.2.0 Try later"}
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com",
                             ["bad@example.com", "later@example.com", "good@example.com"],
                             b"Subject: x\r\n\r\n")
    relay.wait_states(number, {"bad@example.com": "failed", "later@example.com": "deferred",
                               "good@example.com": "delivered"})
    by_address = {r["address"]: r for r in relay.message(number)["recipients"]}
    assert by_address["bad@example.com"]["last_reply"]["code"] == 550
    assert "No such user" in by_address["bad@example.com"]["last_reply"]["text"]
    assert by_address["later@example.com"]["last_reply"]["code"] == 450
    hop.replies = {}
    wait_for(lambda: relay.states(number)["later@example.com"] == "delivered", "the second try")
    wait_for(lambda: len(hop.snapshot()) == 3, "the report to the sender")
    assert [m.recipients for m in hop.snapshot() if m.sender] == [
        ["good@example.com"], ["later@example.com"]]
    report = [m for m in hop.snapshot() if not m.sender][0]
    assert report.recipients == ["a@example.com"]
    assert b"Final-Recipient: rfc822; bad@example.com\r\n" in report.content
    assert b"550 5.1.1 No such user" in report.content
    assert b"later@" not in report.content


def test_survives_a_restart(relay, hop):
    """Accepted while the next hop is away; delivered by the next daemon."""
    relay.allow(LISTED)
    hop.replies = {LISTED: "451 4.3.0 not now"}
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", [LISTED, *OTHERS], b"Subject: kept\r\n\r\nbody\r\n")
        assert queued_id((250, "queued as " + number)) == number
    relay.wait_states(number, {LISTED: "deferred", **{o: "dropped" for o in OTHERS}})
    relay.restart()
    hop.replies = {}
    relay.wait_states(number, {LISTED: "delivered", **{o: "dropped" for o in OTHERS}})
    assert without_received(hop.snapshot()[0].content) == b"Subject: kept\r\n\r\nbody\r\n"
