"""
What the RFCs ask of each extension that is offered, of what is not, and of LMTP, row by row of
tests/CONFORMANCE.md.
"""

import re

import pytest

from conformance import (HERE, LISTED, MAX, answers, house, is_closed,  # noqa: F401
                         keywords, transaction)
from daemon import queued_id, without_received


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
