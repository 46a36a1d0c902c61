"""BDAT, SMTPUTF8 and DSN from the client to the next hop."""

import email.message
import email.policy
import re
import shutil
import smtplib
import subprocess

import pytest

from daemon import STAGEPOST, Smtp, free_port, queued_id, wait_for, without_received
from nexthop import NextHop

LISTED = "alice@example.com"
FULL = ("PIPELINING", "8BITMIME", "SIZE 100000000", "SMTPUTF8", "DSN")


@pytest.fixture
def able(make_daemon):
    """A relay whose next hop offers all there is; (relay, hop)."""
    hop = NextHop(extensions=FULL)
    yield make_daemon(hop.address), hop
    hop.close()


def delivered(relay, hop, message):
    relay.wait_states(message, {LISTED: "delivered"})
    return hop.snapshot()[-1]


def test_exim_dialogue(relay, hop):
    """As Exim sends by BDAT: MAIL to the last chunk in one go, replies read afterwards (S045)."""
    relay.allow(LISTED)
    body = b"Subject: chunks\r\n\r\n.\r\n..\r\n" + b"x" * 70000 + b"\r\nQUIT\r\n"
    with Smtp(relay.smtp_port) as client:
        client.write(b"MAIL FROM:<app@example.com> SIZE=71000\r\nRCPT TO:<%s>\r\n"
                     b"BDAT 20\r\n%sBDAT %d LAST\r\n%s"
                     % (LISTED.encode(), body[:20], len(body) - 20, body[20:]))
        assert [client.reply()[0] for _ in range(3)] == [250, 250, 250]
        message = queued_id(client.reply())
        assert client.command("NOOP")[0] == 250
    assert without_received(delivered(relay, hop, message).content) == body


def test_bdat_without_line_end(relay, hop):
    """RFC 3030: BDAT in, DATA out, which must stuff dots and end in CRLF."""
    relay.allow(LISTED)
    for body, leaves in ((b"Subject: x\r\n\r\n.end", b"Subject: x\r\n\r\n.end\r\n"),
                         (b"Subject: x", b"Subject: x\r\n"),
                         (b"Subject: x\r\n\r\na\r", b"Subject: x\r\n\r\na\r\n"),
                         (b"", b"")):
        with Smtp(relay.smtp_port) as client:
            assert client.command("MAIL FROM:<app@example.com>")[0] == 250
            assert client.command("RCPT TO:<%s>" % LISTED)[0] == 250
            client.write(b"BDAT %d LAST\r\n%s" % (len(body), body))
            message = queued_id(client.reply())
        assert without_received(delivered(relay, hop, message).content) == leaves


def test_utf8_header(able):
    """smtplib: UTF-8 in the header needs SMTPUTF8 of the next hop, and gets it."""
    relay, hop = able
    relay.allow(LISTED, "user@b\u00fccher.example")
    message = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    message["From"] = "app@example.com"
    message["To"] = LISTED + ", user@b\u00fccher.example"
    message["Subject"] = "Gr\u00fc\u00dfe"
    message.set_content("Hello\n")
    with smtplib.SMTP("127.0.0.1", relay.smtp_port, timeout=60) as client:
        client.ehlo()
        assert client.has_extn("smtputf8") and client.has_extn("chunking")
        client.sendmail("app@example.com", [LISTED, "user@b\u00fccher.example"],
                        message.as_bytes(), mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    number = relay.get("/messages")["items"][0]["id"]
    assert relay.message(number)["smtputf8"] is True
    relay.wait_states(number, {LISTED: "delivered", "user@xn--bcher-kva.example": "delivered"})
    assert hop.offered == [LISTED, "user@xn--bcher-kva.example"]
    assert hop.lines[0].endswith(" SMTPUTF8")
    content = hop.snapshot()[0].content
    assert "Subject: Gr\u00fc\u00dfe".encode() in content
    assert b" with UTF8SMTP id " in content


def test_utf8_where_it_is_not_offered(relay, hop):
    """5.6.7 with the reason; the parameter alone does no harm; a sender in UTF-8 stays here."""
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        for sender, header, state in (("app@example.com", "Subject: \u00e9", "failed"),
                                      ("app@example.com", "Subject: e", "delivered"),
                                      ("\u00e9@example.com", "Subject: e", "delivered")):
            assert client.command("MAIL FROM:<%s> SMTPUTF8" % sender)[0] == 250
            assert client.command("RCPT TO:<%s>" % LISTED)[0] == 250
            assert client.command("RCPT TO:<\u00e9@example.com>")[0] == 250
            assert client.command("DATA")[0] == 354
            client.write(header.encode() + b"\r\n\r\nx\r\n.\r\n")
            message = queued_id(client.reply())
            relay.wait_states(message, {LISTED: state, "\u00e9@example.com": "dropped"})
            by_address = {r["address"]: r for r in relay.message(message)["recipients"]}
            assert "unsafe address form" in by_address["\u00e9@example.com"]["reason"]
            if state == "failed":
                assert by_address[LISTED]["last_reply"]["enhanced"] == "5.6.7"
                assert "SMTPUTF8" in by_address[LISTED]["reason"]
    assert hop.offered == [LISTED, LISTED]
    assert not any("SMTPUTF8" in line for line in hop.lines)


def test_dsn(make_daemon):
    """DESIGN 4.7: with the sender that was given all of it travels, with another NOTIFY=NEVER."""
    hop = NextHop(extensions=FULL)
    relay = make_daemon(hop.address, 'delivery: {senders: ["app@example.com"]}\n')
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        for sender in ("app@example.com", "customer@example.net"):
            assert client.command("MAIL FROM:<%s> RET=HDRS ENVID=QQ+2B1" % sender)[0] == 250
            assert client.command("RCPT TO:<%s> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;%s"
                                  % (LISTED, LISTED))[0] == 250
            assert client.command("DATA")[0] == 354
            client.write(b"Subject: x\r\n\r\nx\r\n.\r\n")
            message = queued_id(client.reply())
            delivered(relay, hop, message)
            whole = relay.message(message)
            assert (whole["ret"], whole["envid"]) == ("HDRS", "QQ+2B1")
            assert whole["recipients"][0]["notify"] == "SUCCESS,FAILURE"
            assert whole["recipients"][0]["orcpt"] == "rfc822;" + LISTED
        # An address that the list does not allow is not told to anybody.
        assert client.command("MAIL FROM:<app@example.com>")[0] == 250
        assert client.command("RCPT TO:<%s> ORCPT=rfc822;bob@example.com" % LISTED)[0] == 250
        assert client.command("DATA")[0] == 354
        client.write(b".\r\n")
        delivered(relay, hop, queued_id(client.reply()))
    hop.close()
    assert hop.lines[0].startswith("MAIL FROM:<app@example.com> ")
    assert hop.lines[0].endswith(" RET=HDRS ENVID=QQ+2B1")
    assert hop.lines[1].endswith("> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;" + LISTED)
    assert hop.lines[2].startswith("MAIL FROM:<> ") and "ENVID" not in hop.lines[2]
    assert hop.lines[3].endswith("> NOTIFY=NEVER ORCPT=rfc822;" + LISTED)
    assert hop.lines[5] == "RCPT TO:<%s>" % LISTED


def test_curl(relay, hop, tmp_path):
    """curl speaks SMTPUTF8 by itself where an address needs it."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    relay.allow(LISTED)
    mail = tmp_path / "mail"
    mail.write_bytes(b"Subject: x\r\n\r\n.dot\r\n")
    subprocess.run(["curl", "-sS", "smtp://%s/client.test" % relay.smtp_address, "--mail-from",
                    "app@example.com", "--mail-rcpt", LISTED, "-T", str(mail)],
                   check=True, timeout=60)
    items = wait_for(lambda: relay.get("/messages")["items"], "the message")
    assert without_received(delivered(relay, hop, items[0]["id"]).content) == mail.read_bytes()


def test_lmtp(make_daemon, hop, tmp_path):
    """smtplib.LMTP over a unix socket and over TCP; Received names the protocol."""
    path = tmp_path / "lmtp"
    port = free_port()
    relay = make_daemon(hop.address, start=False)
    relay.config.write_text(relay.config.read_text().replace(
        "listeners: [", 'listeners: [{address: "unix:%s", protocol: lmtp}, '
        '{address: "127.0.0.1:%d", protocol: lmtp}, ' % (path, port)))
    relay.start()
    relay.allow(LISTED)
    for host, number in ((str(path), 0), ("127.0.0.1", port)):
        with smtplib.LMTP(host, number, local_hostname="client.test") as client:
            assert client.ehlo()[0] == 250
            assert client.mail("app@example.com")[0] == 250
            for recipient in (LISTED, "bob@example.com", LISTED):
                assert client.rcpt(recipient)[0] == 250
            first = client.data(b"Subject: x\r\n\r\nx\r\n")
            message = queued_id((first[0], first[1].decode()))
            assert [client.getreply() for _ in range(2)] == [first, first]
            assert client.noop()[0] == 250
        relay.wait_states(message, {LISTED: "delivered", "bob@example.com": "dropped"})
        assert relay.message(message)["client"]["protocol"] == "LMTP"
        assert b" with LMTP id " in hop.snapshot()[-1].content


def test_fixups(make_daemon, hop, tmp_path):
    """Date and Message-ID go out with the message, are told apart from it, and can be turned off."""
    settings = "smtp: {fixups: msa}\n"
    relay = make_daemon(hop.address, settings)
    relay.allow(LISTED)
    added = re.compile(rb"\ADate: [^\r]+ \+0000\r\nMessage-ID: <[0-9A-Z]{26}@relay\.test>\r\n")
    shapes = (
        (b"Subject: x\r\n\r\nx\r\n", b""),
        (b"\r\nbody: of no header\r\n", b""),
        (b"no header at all\r\nand more\r\n", b"\r\n"),
        (b" looks like a fold\r\n", b"\r\n"),
        (b"Subject: unfinished\r\n", b""),
        (b"Subject: unfinished", b""),
        (b"", b""),
    )
    for body, between in shapes:
        with Smtp(relay.smtp_port) as client:
            assert client.command("MAIL FROM:<app@example.com>")[0] == 250
            assert client.command("RCPT TO:<%s>" % LISTED)[0] == 250
            client.write(b"BDAT %d LAST\r\n%s" % (len(body), body))
            message = queued_id(client.reply())
        left = without_received(delivered(relay, hop, message).content)
        match = added.match(left)
        assert match, left
        want = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
        assert left[match.end():] == between + want
        raw = relay.request("GET", "/api/v1/messages/%s/raw" % message)
        assert raw.body == body
        whole = relay.message(message)
        assert "\r\n".join(whole["added_fields"]).encode() + b"\r\n" == match.group(0)
        assert whole["message_id"] == "<%s@relay.test>" % message
    shown = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "queue", "show", message],
                           check=True, capture_output=True, timeout=60).stdout
    assert shown.count(b"Added by us") == 2 and b"Message-ID: <" in shown, shown
    # With both there nothing is added; off by a reload neither.
    complete = b"Date: x\r\nMessage-ID: <a@b>\r\n\r\nx\r\n"
    with Smtp(relay.smtp_port) as client:
        message = client.send("app@example.com", [LISTED], complete)
    assert without_received(delivered(relay, hop, message).content) == complete
    assert relay.message(message)["added_fields"] == []
    relay.write_config()
    relay.hup()
    wait_for(lambda: "the new configuration" in relay.log(), "the reload")
    with Smtp(relay.smtp_port) as client:
        message = client.send("app@example.com", [LISTED], b"Subject: x\r\n\r\nx\r\n")
    assert without_received(delivered(relay, hop, message).content) == b"Subject: x\r\n\r\nx\r\n"


def test_swaks_by_lmtp(make_daemon, hop, tmp_path):
    """swaks over the unix socket, two recipients: an answer for each."""
    if not shutil.which("swaks"):
        pytest.skip("swaks is not installed")
    path = tmp_path / "lmtp"
    relay = make_daemon(hop.address, start=False)
    relay.config.write_text(relay.config.read_text().replace(
        "listeners: [", 'listeners: [{address: "unix:%s", protocol: lmtp}, ' % path))
    relay.start()
    relay.allow(LISTED)
    said = subprocess.run(["swaks", "--socket", str(path), "--protocol", "LMTP", "--from",
                           "app@example.com", "--to", LISTED + ",bob@example.com"],
                          check=True, capture_output=True, timeout=60).stdout
    assert said.count(b"queued as") == 2, said
    message = relay.get("/messages")["items"][0]["id"]
    relay.wait_states(message, {LISTED: "delivered", "bob@example.com": "dropped"})
