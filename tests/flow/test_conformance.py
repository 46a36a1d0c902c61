"""
What the RFCs ask of the server's side, row by row of tests/CONFORMANCE.md: SMTP itself and the
message (RFC 5321, 5322), by clients that write octets.
"""

import re
import socket
import subprocess
import time

import pytest

from conformance import HERE, LISTED, answers, house, is_closed, transaction  # noqa: F401
from daemon import PATIENCE, STAGEPOSTD, queued_id, without_received


# --- RFC 5321: SMTP ------------------------------------------------------------------------

def test_rfc5321_greeting_and_hello(house):
    """3.1, 4.1.1.1: the banner and both hellos begin with our name; EHLO lists each word once."""
    with house.talk(greet=False) as client:
        assert client.greeting[0] == 220 and client.greeting[1].startswith("relay.test ESMTP")
        code, text = client.command("EHLO client.test")
        lines = text.split("\n")
        assert code == 250 and lines[0].split(" ")[0] == "relay.test"
        words = [line.split(" ")[0] for line in lines[1:]]
        assert len(words) == len(set(words)) and all(re.fullmatch("[A-Z0-9-]+", w) for w in words)
        assert client.command("HELO client.test") == (250, "relay.test")


@pytest.mark.parametrize("name, code", [
    ("vm", 250), ("localhost", 250), ("localhost.localdomain", 250), ("[127.0.0.1]", 250),
    ("[IPv6:::1]", 250), ("a" * 255, 250), ("", 501), ("a b", 501), ("<script>", 501),
    ("%n%s", 501), ("\x1b[2J", 501), ("a" * 256, 501),
])
def test_rfc5321_hello_names(house, name, code):
    """4.1.1.1, and CASES S031: names that clients really use; nothing that could hurt a reader"""
    with house.talk(greet=False) as client:
        assert client.command("EHLO " + name)[0] == code
        assert client.command("HELO " + name)[0] == code
        assert client.command("NOOP")[0] == 250


def test_rfc5321_hello_again_resets(house):
    """4.1.4: a second EHLO is a RSET"""
    with house.talk() as client:
        transaction(client)
        assert answers(client, "EHLO again", "DATA", "RCPT TO:<b@y.test>") == [250, 503, 503]
        transaction(client)
        assert answers(client, "HELO again", "DATA") == [250, 503]


def test_rfc5321_order_of_commands(house):
    """4.1.4, and S023, S024: 503 out of order, and the state stays"""
    with house.talk(greet=False) as client:
        assert answers(client, "MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>", "DATA") == [503] * 3
        assert answers(client, "NOOP", "RSET", "VRFY x", "HELP") == [250, 250, 252, 214]
        assert answers(client, "EHLO x", "RCPT TO:<b@y.test>", "DATA") == [250, 503, 503]
        assert answers(client, "MAIL FROM:<a@x.test>", "DATA", "MAIL FROM:<c@x.test>") == [
            250, 503, 503]
        assert answers(client, "RCPT TO:<b@y.test>", "RSET", "DATA") == [250, 250, 503]


def test_rfc5321_other_commands(house):
    """3.5, 4.1.1.6 to 4.1.1.9, and S035: nothing is disclosed; NOOP takes an argument"""
    with house.talk() as client:
        assert client.command("VRFY " + LISTED) == client.command("VRFY nobody@else.test")
        assert answers(client, "VRFY x", "VRFY", "EXPN list", "ETRN x", "TURN", "SEND FROM:<>",
                       "NOOP and more", "HELP", "HELP MAIL", "RSET x", "DATA x",
                       "BOGUS") == [252, 501, 502, 502, 502, 502, 250, 214, 214, 501, 503, 500]
        assert client.command("QUIT")[0] == 221
        assert is_closed(client)


def test_rfc5321_case_and_blanks(house):
    """2.4, 4.1.1, and S025: verbs in any case, blanks at the end; local parts keep their case"""
    with house.talk() as client:
        assert answers(client, "mail From:<%s>" % HERE, "rCPT tO:<Alice@Allowed.test>  ",
                       "dATa \t") == [250, 250, 354]
        client.write(b"x: y\r\n\r\n.\r\n")
        message = queued_id(client.reply())
    house.daemon.wait_states(message, {"Alice@Allowed.test": "delivered"})
    assert "Alice@Allowed.test" in house.hop.offered


@pytest.mark.parametrize("path, code", [
    ("<>", 250), ("<a@x.test>", 250), ("<a@[192.0.2.1]>", 250), ("<a@[IPv6:2001:db8::1]>", 250),
    ("<@r.test,@s.test:a@x.test>", 250), ('<"a b"@x.test>', 250), ("<a>", 501), ("a@x.test", 501),
    ("<a@x.test", 501), ("<a@x..test>", 501), ("< a@x.test>", 501), ("<a@x.test>x", 501),
    ("<a@x.test\r>", 501), ("<a\x00@x.test>", 501),
])
def test_rfc5321_reverse_paths(house, path, code):
    """4.1.2, 4.5.5: <>, literals and source routes are taken; what is malformed is not"""
    with house.talk() as client:
        assert client.command("MAIL FROM:" + path)[0] == code


@pytest.mark.parametrize("path, code", [
    ("<postmaster>", 250), ("<PostMaster>", 250), ("<postmaster@relay.test>", 250),
    ("<@r.test:b@y.test>", 250), ("<b@[192.0.2.1]>", 250), ('<"b c"@y.test>', 250),
    ("<>", 501), ("<b>", 501), ("<b@y.test.>", 501), ("<b@y.test,c@y.test>", 501),
    (" <b@y.test>", 501), ("<b@y.test> X", 555),
])
def test_rfc5321_forward_paths(house, path, code):
    """4.1.2, 4.5.1: postmaster always; <> never"""
    with house.talk() as client:
        assert client.command("MAIL FROM:<a@x.test>")[0] == 250
        assert client.command("RCPT TO:" + path)[0] == code


def test_rfc5321_sizes(house):
    """4.5.3.1: local part 64, domain 255, path 256, lines of 512 and of 1000 octets at least"""
    label = "d" * 63
    domain = ".".join([label] * 3 + ["e" * 60])
    with house.talk() as client:
        assert len("NOOP " + "x" * 505) + 2 == 512
        assert answers(client, "NOOP " + "x" * 505, "NOOP " + "x" * 5000, "NOOP") == [250, 500, 250]
        assert answers(client, "MAIL FROM:<%s@x.test>" % ("l" * 64), "RSET",
                       "MAIL FROM:<%s@x.test>" % ("l" * 65)) == [250, 250, 501]
        assert len("<l@%s>" % domain) == 256
        assert answers(client, "MAIL FROM:<l@%s>" % domain, "RSET",
                       "MAIL FROM:<%s@%s>" % ("l" * 64, domain)) == [250, 250, 501]
        line = b"x" * 998 + b"\r\n"
        message = client.send(HERE, [LISTED], line * 80)
    assert house.raw(message) == line * 80


def test_rfc5321_number_of_recipients(house):
    """4.5.3.1.8, 4.5.3.1.10, and S032: at least 100; beyond, 452, and those before stay"""
    with house.talk() as client:
        assert client.command("MAIL FROM:<%s>" % HERE)[0] == 250
        client.write(b"".join(b"RCPT TO:<r%d@other.test>\r\n" % i for i in range(102)))
        replies = [client.reply() for _ in range(102)]
        assert [code for code, _ in replies] == [250] * 100 + [452] * 2
        assert replies[-1][1].startswith("4.5.3 ")
        assert client.command("DATA")[0] == 354
        client.write(b"x: y\r\n\r\n.\r\n")
        message = queued_id(client.reply())
    assert len(house.daemon.message(message)["recipients"]) == 100


def test_rfc5321_received_field(house):
    """4.4, and 3.7.1: one field in front, with FROM, BY, WITH, ID and a date of four digits;
    older ones and all the rest as they were. FOR only for a single recipient."""
    content = (b"Received: from elsewhere by nowhere; bad date\r\nRECEIVED:  x\r\n"
               b"Subject:  odd   spacing\r\n\r\nbody\r\n")
    with house.talk() as client:
        message = client.send(HERE, [LISTED], content)
    copy = house.delivered(message)
    assert without_received(copy) == content
    field = copy[:-len(content)].decode()
    assert re.fullmatch(
        r"Received: from client\.test \(\[127\.0\.0\.1\]\)\r\n"
        r"\tby relay\.test with ESMTP id %s\r\n"
        r"\tfor <alice@allowed\.test>; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n"
        % message, field), field
    with house.talk() as client:
        message = client.send(HERE, [LISTED, "secret@other.test"], content)
    house.daemon.wait_states(message, {LISTED: "delivered", "secret@other.test": "dropped"})
    field = house.copy(message)[:-len(content)]
    assert b"for <" not in field and b"secret" not in field


def test_rfc5321_loops(house):
    """6.3: a count of Received fields; ours is 50 (DESIGN 4.8), the RFC suggests 100"""
    hop = b"Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    with house.talk() as client:
        client.send(HERE, ["nobody@other.test"], hop * 50 + b"\r\nx\r\n")
        client.envelope(HERE, ["nobody@other.test"])
        client.write(hop * 51 + b"\r\nx\r\n.\r\n")
        code, text = client.reply()
        assert code == 554 and text.startswith("5.4.6 ")


def test_rfc5321_all_or_nothing(house):
    """4.2.5, 4.1.1.4, and S051: a message that was not answered with 250 is not there"""
    before = house.count()
    with house.talk() as client:
        client.envelope(HERE, [LISTED])
        client.write(b"Subject: half\r\n\r\n" + b"x" * 1000)
        client.socket.shutdown(socket.SHUT_WR)
        assert is_closed(client)
    with house.talk() as client:
        transaction(client)
        assert client.command("QUIT")[0] == 221
    with house.talk() as client:
        transaction(client)
    time.sleep(0.2)
    assert house.count() == before


def test_rfc5321_timeouts(tmp_path):
    """4.5.3.2.7: the server waits five minutes at least for the next command"""
    config = tmp_path / "empty.yaml"  # nothing but defaults
    config.write_text("")
    shown = subprocess.run([STAGEPOSTD, "-c", config, "--print-config"], check=True,
                           capture_output=True, timeout=PATIENCE).stdout
    match = re.search(rb"\n  command_timeout: (\d+)m", shown)
    assert match and int(match.group(1)) >= 5


# --- RFC 5322, RFC 6409, RFC 6376: the message itself ------------------------------------------

@pytest.mark.parametrize("content", [
    b"", b"\r\n", b"no header\r\n", b"Subject: x\r\n\r\n", b"From: a@b\r\nFrom: c@d\r\n\r\n",
    b"Date: nonsense\r\nTo: (comment (nested)) alice @ allowed . test , ,\r\n\r\nx\r\n",
    b"Subject: " + b"x" * 40000 + b"\r\n\r\n" + b"y" * 40000 + b"\r\n",
    b"Content-Type: text/plain\r\n\r\n\x80\xff\x00\r\n",
], ids=["empty", "no-body", "no-header", "one-field", "two-from", "obsolete", "long-lines", "bytes"])
def test_rfc5322_not_repaired(house, content):
    """3.6, 4, 2.1.1, and RFC 6409 8: nothing is added, folded or mended without `fixups`"""
    with house.talk() as client:
        message = client.send(HERE, [LISTED], content)
    assert house.raw(message) == content
    assert without_received(house.delivered(message)) == content


def test_rfc5965_rfc8601_rfc2369_fields_are_left_alone(house):
    """Authentication-Results, List-*, DKIM-Signature, Feedback reports: none of our business"""
    content = (b"DKIM-Signature: v=1; a=rsa-sha256; d=x.test; h=from; bh=AA==;\r\n\tb=BB==\r\n"
               b"Authentication-Results: relay.test; spf=pass\r\n"
               b"List-Id: <l.x.test>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
               b"Return-Path: <old@x.test>\r\nAuto-Submitted: auto-replied\r\n"
               b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n"
               b"\r\n--b\r\n\r\nx\r\n--b--\r\n")
    with house.talk() as client:
        message = client.send(HERE, [LISTED], content)
    assert without_received(house.delivered(message)) == content
