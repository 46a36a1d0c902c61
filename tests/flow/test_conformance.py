"""
What the RFCs ask of the server's side, row by row of tests/CONFORMANCE.md: one daemon for all of
it, and clients that write octets.
"""

import base64
import re
import socket
import ssl
import subprocess
import time

import pytest

from daemon import (PATIENCE, STAGEPOST, STAGEPOSTD, Daemon, Listeners, Smtp, queued_id,
                    without_received)
from nexthop import NextHop

HERE = "a@here.test"
LISTED = "alice@allowed.test"
MAX = 200000
OFFERED = ("PIPELINING", "8BITMIME", "SIZE 100000000", "SMTPUTF8", "DSN")


class House:
    def __init__(self, folder):
        self.hop = NextHop(extensions=OFFERED)
        users = folder / "users"
        subprocess.run([STAGEPOST, "user", "add", "app", "--scheme", "plain", "--file", users],
                       input=b"secret", stderr=subprocess.DEVNULL, check=True)
        self.door = Listeners(lambda hop, start: Daemon(
            folder, hop, "users: {file: \"%s\"}\n"
            "smtp: {max_message_size: %d, max_recipients: 100}\n"
            "delivery: {senders: [\"*@here.test\"]}\n" % (users, MAX)),
            self.hop, plain="tls: none", starttls="tls: starttls, auth: optional",
            implicit="tls: implicit, auth: optional",
            clear="tls: none, auth: optional, auth_without_tls: true",
            lmtp="tls: none, protocol: lmtp")
        self.daemon = self.door.daemon.start()
        self.daemon.allow(LISTED)

    def talk(self, listener="plain", greet=True):
        return Smtp(self.door.ports[listener], greet=greet)

    def context(self):
        return ssl.create_default_context(cafile=str(self.daemon.data_dir / "tls.crt"))

    def secure(self, client):
        """TLS now."""
        client.socket = self.context().wrap_socket(client.socket, server_hostname="localhost")
        client.reader = client.socket.makefile("rb")

    def raw(self, message):
        return self.daemon.request("GET", "/api/v1/messages/%s/raw" % message).body

    def delivered(self, message):
        """The copy that left, as the next hop got it."""
        self.daemon.wait_states(message, {LISTED: "delivered"})
        return self.copy(message)

    def copy(self, message):
        """Others may be on their way, too."""
        mark = b" id " + message.encode()
        return [m.content for m in self.hop.snapshot() if mark in m.content][-1]

    def line(self, verb, word):
        """The line with that word that the next hop got."""
        return [line for line in self.hop.lines if line.startswith(verb) and word in line][-1]

    def count(self):
        return len(self.daemon.all_items("/messages?limit=200"))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("conformance"))
    yield house
    try:
        house.daemon.close()
    finally:
        house.hop.close()


def answers(client, *lines):
    """The code of each, sent one by one."""
    return [client.command(line)[0] for line in lines]


def keywords(text):
    """EHLO's answer: keyword to parameters."""
    return {line.split(" ")[0]: line.split(" ")[1:] for line in text.split("\n")[1:]}


def transaction(client, recipient=LISTED):
    assert answers(client, "MAIL FROM:<%s>" % HERE, "RCPT TO:<%s>" % recipient) == [250, 250]


def is_closed(client):
    return client.reader.read() == b""


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
    b"Date: nonsense\r\nTo: (comment (nested)) a @ b , ;\r\n\r\nx\r\n",
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


# --- RFC 6152 8BITMIME, RFC 1870 SIZE -----------------------------------------------------------

def test_rfc6152_8bitmime(house):
    """2, 3: offered; BODY is kept to the next hop; other values are refused"""
    with house.talk() as client:
        assert "8BITMIME" in keywords(client.command("EHLO x")[1])
        assert answers(client, "MAIL FROM:<a@x.test> BODY=9BIT", "MAIL FROM:<a@x.test> BODY",
                       "MAIL FROM:<a@x.test> BODY=7BIT BODY=7BIT",
                       "MAIL FROM:<a@x.test> body=7bit", "RSET") == [501, 501, 501, 250, 250]
        assert answers(client, "MAIL FROM:<eight@here.test> BODY=8BITMIME", "RCPT TO:<%s>" % LISTED,
                       "DATA") == [250, 250, 354]
        client.write(b"Subject: \xe9\r\n\r\n\xfc\r\n.\r\n")
        message = queued_id(client.reply())
    assert without_received(house.delivered(message)) == b"Subject: \xe9\r\n\r\n\xfc\r\n"
    assert " BODY=8BITMIME" in house.line("MAIL", "<eight@here.test>")


@pytest.mark.parametrize("value, code", [
    ("0", 250), ("1", 250), (str(MAX), 250), ("00000000000000000010", 250), (str(MAX + 1), 552),
    ("9223372036854775808", 552), ("18446744073709551616", 552), ("99999999999999999999", 552),
    ("999999999999999999999", 501), ("-1", 501), ("+5", 501), ("0x10", 501), ("1e9", 501),
    ("5.0", 501), ("abc", 501), ("", 501), ("1 SIZE=1", 501),
])
def test_rfc1870_declared_size(house, value, code):
    """4, 6.1, and S036: a number of up to 20 digits; what is too large is refused at MAIL"""
    with house.talk() as client:
        assert keywords(client.command("EHLO x")[1])["SIZE"] == [str(MAX)]
        assert client.command("MAIL FROM:<a@x.test> SIZE=" + value)[0] == code


def test_rfc1870_real_size(house):
    """6.3, and S038: counted as received, without the dots that were stuffed; then the session
    goes on"""
    start = b"Subject: size\r\n\r\n"
    fits = start + b".\r\n" * 10 + b"x" * (MAX - len(start) - 32) + b"\r\n"
    assert len(fits) == MAX
    with house.talk() as client:
        message = client.send(HERE, [LISTED], fits)
        client.envelope(HERE, [LISTED])
        client.write(fits.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        code, text = client.reply()
        assert code == 552 and text.startswith("5.3.4 ")
        assert client.command("NOOP")[0] == 250
        transaction(client)
        client.write(b"BDAT %d\r\n%sBDAT 3 LAST\r\nxyz" % (MAX, fits))
        assert [client.reply()[0] for _ in range(2)] == [250, 552]
        transaction(client)
    assert house.raw(message) == fits


# --- RFC 2920 PIPELINING --------------------------------------------------------------------------

def test_rfc2920_answers_in_order(house):
    """3.1, 3.2: any group, cut anywhere; MAIL behind the end of a message in the same group"""
    group = (b"EHLO x\r\nMAIL FROM:<%s>\r\nRCPT TO:<bad\r\nRCPT TO:<%s>\r\nNOOP\r\nDATA\r\n"
             % (HERE.encode(), LISTED.encode()))
    behind = (b"Subject: 1\r\n\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\nRSET\r\nVRFY x\r\nQUIT\r\n"
              % LISTED.encode())
    for cut in (len(group), 1, 7, 40):
        with house.talk(greet=False) as client:
            for at in range(0, len(group), cut):
                client.write(group[at:at + cut])
            assert [client.reply()[0] for _ in range(6)] == [250, 250, 501, 250, 250, 354]
            for at in range(0, len(behind), cut):
                client.write(behind[at:at + cut])
            queued_id(client.reply())
            assert [client.reply()[0] for _ in range(5)] == [250, 250, 250, 252, 221]
            assert is_closed(client)


def test_rfc2920_data_without_recipients(house):
    """3.1: DATA in a group whose RCPT failed; what stands behind it never runs"""
    before = house.count()
    with house.talk() as client:
        client.write(b"MAIL FROM:<a@x.test>\r\nRCPT TO:<bad\r\nDATA\r\n")
        assert [client.reply()[0] for _ in range(3)] == [250, 501, 554]
        assert client.command("NOOP")[0] == 250
    with house.talk() as client:
        client.write(b"MAIL FROM:<a@x.test>\r\nRCPT TO:<bad\r\nDATA\r\nMAIL FROM:<a@x.test>\r\n"
                     b"RCPT TO:<b@y.test>\r\nDATA\r\nx\r\n.\r\n")
        assert [client.reply()[0] for _ in range(3)] == [250, 501, 554]
        assert is_closed(client)
    assert house.count() == before


# --- RFC 3030 CHUNKING ----------------------------------------------------------------------------

def test_rfc3030_chunks(house):
    """2: each chunk its answer; no dot means anything; CRLF may lie across two of them"""
    body = b"Subject: chunks\r\n\r\n.\r\n..\r\nQUIT\r\n.\r\n"
    with house.talk() as client:
        assert "CHUNKING" in keywords(client.command("EHLO x")[1])
        transaction(client)
        client.write(b"BDAT 16\r\n%sBDAT 0\r\nBDAT %d LAST\r\n%s"
                     % (body[:16], len(body) - 16, body[16:]))
        assert [client.reply()[0] for _ in range(2)] == [250, 250]
        message = queued_id(client.reply())
        assert client.command("NOOP")[0] == 250
    assert house.raw(message) == body
    assert without_received(house.delivered(message)) == body


def test_rfc3030_order(house):
    """2, 4.2, and S045: 503 after LAST and for DATA between; RSET clears; octets of a refused chunk
    are swallowed before the answer"""
    before = house.count()
    with house.talk() as client:
        client.write(b"BDAT 6\r\nRSET\r\n")
        assert client.reply()[0] == 503
        transaction(client)
        client.write(b"BDAT 6\r\nNOOP\r\nDATA\r\n")
        assert [client.reply()[0] for _ in range(2)] == [250, 503]
        assert answers(client, "MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test>", "RSET") == [
            503, 503, 250]
        client.write(b"BDAT 6 LAST\r\nQUIT\r\n")
        assert client.reply()[0] == 503
        transaction(client)
        client.write(b"BDAT 0 LAST\r\n")
        queued_id(client.reply())
        client.write(b"BDAT 6 LAST\r\nQUIT\r\n")
        assert client.reply()[0] == 503
    assert house.count() == before + 1


@pytest.mark.parametrize("argument, code", [
    ("-1", 501), ("+5", 501), ("0x10", 501), ("5.0", 501), ("10LAST", 501), ("10 LAST LAST", 501),
    ("10 FIRST", 501), ("", 501), ("x", 501), ("4294967297", 552), ("9223372036854775808", 552),
    ("18446744073709551617", 552),
])
def test_rfc3030_sizes(house, argument, code):
    """2, and S044: where the content ends nobody knows, so the connection ends"""
    with house.talk() as client:
        transaction(client)
        client.write(b"BDAT %s\r\nRCPT TO:<c@y.test>\r\n" % argument.encode())
        assert client.reply()[0] == code
        assert is_closed(client)


def test_rfc3030_binarymime(house):
    """3: not offered, so an unknown parameter value"""
    with house.talk() as client:
        assert "BINARYMIME" not in keywords(client.command("EHLO x")[1])
        assert client.command("MAIL FROM:<a@x.test> BODY=BINARYMIME")[0] == 555


# --- RFC 3207 STARTTLS, RFC 8314 ------------------------------------------------------------------

def test_rfc3207_starttls(house):
    """4, 4.2, and S055, S056: offered in clear only; no argument; everything said before is
    forgotten"""
    with house.talk("starttls") as client:
        assert "STARTTLS" in keywords(client.command("EHLO x")[1])
        assert answers(client, "STARTTLS now", "MAIL FROM:<a@x.test>", "STARTTLS", "RSET") == [
            501, 250, 503, 250]
        assert client.command("STARTTLS")[0] == 220
        house.secure(client)
        assert client.command("MAIL FROM:<a@x.test>")[0] == 503
        assert "STARTTLS" not in keywords(client.command("EHLO x")[1])
        assert client.command("STARTTLS")[0] == 503
        message = client.send(HERE, [LISTED], b"Subject: tls\r\n\r\n")
    assert b" with ESMTPS (TLSv1." in house.delivered(message)
    with house.talk() as client:
        assert "STARTTLS" not in keywords(client.command("EHLO x")[1])
        assert client.command("STARTTLS")[0] == 502


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_rfc8314_implicit_tls(house):
    """3.3, 4.1: TLS from the first octet, 1.2 at least, and the same service inside"""
    port = house.door.ports["implicit"]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as raw:
        with house.context().wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.version() in ("TLSv1.2", "TLSv1.3")
            assert tls.recv(1000).startswith(b"220 relay.test ESMTP")
            tls.sendall(b"EHLO x\r\n")
            text = tls.recv(4000)
            assert re.search(rb"\r\n250-AUTH .*\bPLAIN\b", text) and b"STARTTLS" not in text
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as raw:
        with pytest.raises(OSError):
            old.wrap_socket(raw)


# --- RFC 4954 AUTH, RFC 4616 PLAIN -----------------------------------------------------------------

def plain(*parts):
    return base64.b64encode(b"\0".join(parts)).decode()


GOOD = plain(b"", b"app", b"secret")


def test_rfc4954_not_in_clear(house):
    """RFC 4954 4, RFC 8314 3, and S057: without TLS not offered, and refused"""
    with house.talk("starttls") as client:
        assert "AUTH" not in keywords(client.command("EHLO x")[1])
        assert client.command("AUTH PLAIN " + GOOD)[0] == 538
    with house.talk() as client:
        assert client.command("AUTH PLAIN " + GOOD)[0] == 502


def test_rfc4954_exchange(house):
    """4, and S060, S063: each mistake its code; once is enough; not within a transaction"""
    with house.talk("clear") as client:
        assert "PLAIN" in keywords(client.command("EHLO x")[1])["AUTH"]
        assert answers(client, "AUTH", "AUTH NOPE", "AUTH PLAIN ====", "AUTH PLAIN A",
                       "AUTH PLAIN =") == [501, 504, 501, 501, 501]
        assert client.command("AUTH PLAIN") == (334, "")
        assert client.command("*")[0] == 501
        assert client.command("AUTH LOGIN")[0] == 334
        assert client.command("not base64!")[0] == 501
        assert answers(client, "MAIL FROM:<a@x.test>", "AUTH PLAIN " + GOOD, "RSET") == [
            250, 503, 250]
        assert client.command("AUTH PLAIN " + GOOD) == (235, "2.7.0 Authentication successful")
        assert client.command("AUTH PLAIN " + GOOD)[0] == 503
        message = client.send(HERE, [LISTED], b"Subject: auth\r\n\r\n")
    assert b" with ESMTPA id " in house.delivered(message)
    assert house.daemon.message(message)["client"]["user"] == "app"


def test_rfc4954_wrong_password(house):
    with house.talk("clear") as client:
        code, text = client.command("AUTH PLAIN " + plain(b"", b"app", b"wrong"))
        assert code == 535 and text.startswith("5.7.8 ")
        assert client.command("AUTH PLAIN " + GOOD)[0] == 235


def test_rfc4954_long_lines(house):
    """4: lines of 12,288 octets; a longer one is refused and does not run"""
    with house.talk("clear") as client:
        assert client.command("AUTH PLAIN")[0] == 334
        assert client.command("A" * 12288)[0] in (501, 535)
        assert client.command("AUTH PLAIN")[0] == 334
        assert client.command("A" * 12292)[0] == 500
        assert client.command("NOOP")[0] == 250


@pytest.mark.parametrize("mailbox, code", [
    ("<>", 250), ("a+40x.test", 250), ("a@x.test", 250), ("a+ZZ", 501),
    ("e+0D+0ARCPT", 501), ("", 501), ("<> AUTH=<>", 501),
])
def test_rfc4954_auth_parameter(house, mailbox, code):
    """5, and S041: checked, and goes no further: nobody is trusted that far"""
    with house.talk("clear") as client:
        assert client.command("MAIL FROM:<a@x.test> AUTH=" + mailbox)[0] == code


@pytest.mark.parametrize("response, code", [
    (plain(b"app", b"app", b"secret"), 235), (plain(b"app", b"secret"), 501),
    (plain(b"", b"app", b"secret", b""), 501), (plain(b"appsecret"), 501),
    (plain(b"", b"", b"secret"), 535), (plain(b"", b"\xff\xfe", b"secret"), 535),
    (plain(b"other", b"app", b"secret"), 535), (plain(b"", b"app" + b"a" * 300, b"secret"), 535),
], ids=["own-authzid", "one-nul", "three-nuls", "no-nul", "no-name", "bad-utf8", "other-authzid",
        "long-name"])
def test_rfc4616_plain(house, response, code):
    """2, and S061: [authzid] NUL authcid NUL passwd, in UTF-8, nothing cut and nothing empty"""
    with house.talk("clear") as client:
        assert client.command("AUTH PLAIN " + response)[0] == code


# --- RFC 2034, 3463, 5248: enhanced status codes --------------------------------------------------

def test_rfc2034_every_line(house):
    """4: each line of a 2xx, 4xx or 5xx reply but the banner, EHLO and HELO begins with a code of
    its class"""
    lines = [b"NOOP", b"HELP", b"HELP DATA", b"VRFY x", b"EXPN x", b"BOGUS", b"MAIL",
             b"MAIL FROM:<a@x.test> FOO=1", b"MAIL FROM:<a@x.test> SIZE=999999999999",
             b"MAIL FROM:<a@x.test>", b"RCPT TO:<bad", b"RCPT TO:<b@y.test>", b"STARTTLS",
             b"AUTH PLAIN", b"RSET", b"XCLIENT NAME=x", b"BDAT 0", b"x" * 5000, b"DATA"]
    with house.talk() as client:
        assert "ENHANCEDSTATUSCODES" in keywords(client.command("EHLO x")[1])
        client.write(b"\r\n".join(lines) + b"\r\nQUIT\r\n")
        # What stands behind a refused DATA could be content: the server hangs up.
        replies = client.reader.read().split(b"\r\n")
    assert replies.pop() == b"" and len(replies) > len(lines)
    for line in replies:
        assert re.match(rb"([245])\d\d[ -]\1\.\d{1,3}\.\d{1,3} [ -~]+$", line), line
        assert len(line) <= 510


# --- RFC 3461 DSN ------------------------------------------------------------------------------------

@pytest.mark.parametrize("parameters, code", [
    ("RET=FULL", 250), ("ret=hdrs", 250), ("ENVID=QQ+2B1", 250), ("RET=HDRS ENVID=x", 250),
    ("RET=", 501), ("RET=BODY", 501), ("RET=FULL RET=FULL", 501), ("ENVID=", 501),
    ("ENVID=a+0D+0Ab", 501), ("ENVID=a+ZZ", 501), ("ENVID=" + "x" * 100, 250),
    ("ENVID=" + "x" * 101, 501), ("ENVID=a ENVID=a", 501),
], ids=lambda value: str(value)[:20])
def test_rfc3461_mail_parameters(house, parameters, code):
    """4.3, 4.4, and S042: valid xtext, each at most once"""
    with house.talk() as client:
        assert "DSN" in keywords(client.command("EHLO x")[1])
        assert client.command("MAIL FROM:<a@x.test> " + parameters)[0] == code


@pytest.mark.parametrize("parameters, code", [
    ("NOTIFY=NEVER", 250), ("NOTIFY=success,DELAY,Failure", 250), ("ORCPT=rfc822;B+40y.test", 250),
    ("NOTIFY=", 501), ("NOTIFY=NEVER,SUCCESS", 501), ("NOTIFY=SOMETIMES", 501),
    ("NOTIFY=NEVER NOTIFY=NEVER", 501), ("ORCPT=rfc822", 501), ("ORCPT=;x", 501),
    ("ORCPT=rfc822;a+0D+0AX:y", 501), ("ORCPT=rfc822;a ORCPT=rfc822;a", 501),
])
def test_rfc3461_rcpt_parameters(house, parameters, code):
    """4.1, 4.2, and S042"""
    with house.talk() as client:
        assert answers(client, "MAIL FROM:<a@x.test>", "RCPT TO:<b@y.test> " + parameters) == [
            250, code]


def test_rfc3461_passed_on_unchanged(house):
    """5.2.1: to a next hop that offers DSN; the case of ORCPT is kept (one that is not allowed stays
    here, DESIGN 4.7)"""
    with house.talk() as client:
        assert answers(client, "MAIL FROM:<dsn@here.test> RET=HDRS ENVID=QQ+2B1",
                       "RCPT TO:<%s> NOTIFY=FAILURE ORCPT=rfc822;Alice+40Allowed.Test" % LISTED,
                       "DATA") == [250, 250, 354]
        client.write(b"Subject: dsn\r\n\r\n.\r\n")
        message = queued_id(client.reply())
    house.delivered(message)
    mail = house.line("MAIL", "<dsn@here.test>")
    assert " RET=HDRS" in mail and " ENVID=QQ+2B1" in mail
    assert house.line("RCPT", "NOTIFY=") == (
        "RCPT TO:<%s> NOTIFY=FAILURE ORCPT=rfc822;Alice+40Allowed.Test" % LISTED)


# --- RFC 6531 SMTPUTF8, RFC 5890 IDNA -------------------------------------------------------------

def test_rfc6531_smtputf8(house):
    """3.1, 3.4, 3.6: addresses in UTF-8 with the parameter only; valid UTF-8 only"""
    with house.talk() as client:
        assert keywords(client.command("EHLO x")[1])["SMTPUTF8"] == []
        client.write("MAIL FROM:<\u00fc@x.test>\r\n".encode())
        assert client.reply()[0] == 553
        assert client.command("MAIL FROM:<a@x.test>")[0] == 250
        client.write("RCPT TO:<\u00fc@y.test>\r\n".encode())
        assert client.reply()[0] == 553
        assert client.command("RSET")[0] == 250
        assert client.command("MAIL FROM:<a@x.test> SMTPUTF8=1")[0] == 501
        for path, code in (("\u00fc@x.test".encode(), 250), (b"\xfc@x.test", 501),
                           (b"\xc0\xae@x.test", 501)):
            client.write(b"MAIL FROM:<%s> SMTPUTF8\r\n" % path)
            assert client.reply()[0] == code
            assert client.command("RSET")[0] == 250


def test_rfc5890_both_spellings_are_one_domain(house):
    """IDNA: an entry in one spelling is for both; A-labels leave"""
    house.daemon.allow("b\u00fccher.example")
    with house.talk() as client:
        assert client.command("MAIL FROM:<%s> SMTPUTF8" % HERE)[0] == 250
        client.write("RCPT TO:<one@B\u00fccher.example>\r\n".encode())
        assert client.reply()[0] == 250
        assert answers(client, "RCPT TO:<two@XN--bcher-kva.example>", "DATA") == [250, 354]
        client.write(b"Subject: idna\r\n\r\n.\r\n")
        message = queued_id(client.reply())
    house.daemon.wait_states(message, {"one@xn--bcher-kva.example": "delivered",
                                       "two@XN--bcher-kva.example": "delivered"})
    assert {"one@xn--bcher-kva.example", "two@XN--bcher-kva.example"} <= set(house.hop.offered)


# --- what is not offered, RFC 9422 LIMITS ---------------------------------------------------------

@pytest.mark.parametrize("command", [
    "MAIL FROM:<a@x.test> REQUIRETLS", "MAIL FROM:<a@x.test> BY=120;R",
    "MAIL FROM:<a@x.test> HOLDFOR=60", "MAIL FROM:<a@x.test> MT-PRIORITY=3",
    "MAIL FROM:<a@x.test> FOO=bar", "MAIL FROM:<a@x.test> AUTH=<>",
    "RCPT TO:<b@y.test> RRVS=2014-04-03T23:01:00Z", "RCPT TO:<b@y.test> FOO",
])
def test_rfc5321_parameters_not_offered(house, command):
    """4.1.1.11: 555 (REQUIRETLS RFC 8689, BY 2852, HOLDFOR 4865, MT-PRIORITY 6710, RRVS 7293), and
    S039"""
    with house.talk() as client:
        offered = keywords(client.command("EHLO x")[1])
        assert not {"REQUIRETLS", "DELIVERBY", "FUTURERELEASE", "MT-PRIORITY", "RRVS"} & set(offered)
        if command.startswith("RCPT"):
            assert client.command("MAIL FROM:<a@x.test>")[0] == 250
        assert client.command(command)[0] == 555
    with house.talk(greet=False) as client:
        assert answers(client, "HELO x", "MAIL FROM:<a@x.test> SIZE=1") == [250, 555]


def test_rfc8689_not_offered_in_tls_either(house):
    with house.talk("starttls") as client:
        assert client.command("STARTTLS")[0] == 220
        house.secure(client)
        assert "REQUIRETLS" not in keywords(client.command("EHLO x")[1])
        assert client.command("MAIL FROM:<a@x.test> REQUIRETLS")[0] == 555


def test_rfc9422_limits(house):
    """4: what is said is what is done (test_rfc5321_number_of_recipients)"""
    with house.talk() as client:
        assert keywords(client.command("EHLO x")[1])["LIMITS"] == ["RCPTMAX=100"]


# --- RFC 2033 LMTP ------------------------------------------------------------------------------------

def test_rfc2033_lmtp(house):
    """4.1 to 4.3: LHLO only; an answer for each recipient that was accepted; 503 without any"""
    with house.talk("lmtp", greet=False) as client:
        assert client.greeting[1].startswith("relay.test LMTP")
        assert answers(client, "EHLO x", "HELO x") == [500, 500]
        offered = keywords(client.command("LHLO x")[1])
        assert {"PIPELINING", "ENHANCEDSTATUSCODES"} <= set(offered)
        assert answers(client, "MAIL FROM:<%s>" % HERE, "RCPT TO:<bad", "DATA") == [250, 501, 503]
        assert answers(client, "RCPT TO:<%s>" % LISTED, "RCPT TO:<b@y.test>", "DATA") == [
            250, 250, 354]
        client.write(b"Subject: lmtp\r\n\r\n.\r\n")
        first, second = client.reply(), client.reply()
        assert queued_id(first) == queued_id(second)
        assert client.command("NOOP")[0] == 250
        transaction(client)
        assert client.command("RCPT TO:<b@y.test>")[0] == 250
        client.write(b"BDAT 1\r\nxBDAT 1 LAST\r\ny")
        assert [client.reply()[0] for _ in range(3)] == [250, 250, 250]
        assert client.command("NOOP")[0] == 250
