"""CASES 2.A through the whole daemon: one message in, one message out, nothing smuggled."""

import re
import socket
import time

import pytest

from daemon import Smtp, queued_id, wait_for, without_received

LISTED = "user@allowed.test"
TAIL = (b"MAIL FROM:<a@x.test>\r\nRCPT TO:<real@evil.example>\r\nRCPT TO:<user@allowed.test>\r\n"
        b"DATA\r\nSubject: smuggled\r\n\r\nx\r\n")
HEAD = b"Subject: first\r\n\r\nline"


def model(wire):
    """The content of `wire` (without its CRLF.CRLF): RFC 5321 4.5.2, then bare CR and LF."""
    lines = wire.split(b"\r\n")
    lines = [line[1:] if line.startswith(b".") else line for line in lines]
    return re.sub(rb"\r\n|\r|\n", b"\r\n", b"\r\n".join(lines))


def check_wire(hop):
    """I1, and no bare CR or LF and no unstuffed dot line ever reached the next hop."""
    assert set(hop.offered) <= {LISTED}
    for body in hop.raw_bodies:
        for line in body.split(b"\r\n"):
            assert b"\r" not in line and b"\n" not in line
            assert line != b"."


@pytest.mark.parametrize("case, sequence", [
    ("S001", b"\n.\n"), ("S002", b"\n.\r\n"), ("S003", b"\r\n.\n"), ("S004", b"\r.\r"),
    ("S005a", b"\r.\n"), ("S005b", b"\n.\r"), ("S005c", b"\r\n.\r"), ("S006", b"\r.\r\n"),
    ("S007a", b"\r\n.\r\r\n"), ("S007b", b"\r\r\n.\r\r\n"), ("S008", b"\r\n\x00.\r\n"),
    ("S009", b"\r\n.\x00\r\n"), ("S011", b"\r\n..\r\n"),
])
def test_not_the_end_of_data(relay, hop, case, sequence):
    relay.allow(LISTED)
    wire = HEAD + sequence + TAIL
    with Smtp(relay.smtp_port) as client:
        client.envelope("a@x.test", [LISTED])
        client.write(wire + b".\r\n")
        number = queued_id(client.reply())
        assert client.command("NOOP")[0] == 250
        assert client.command("QUIT")[0] == 221
        assert client.reader.read() == b""
    relay.wait_states(number, {LISTED: "delivered"})
    assert [item["id"] for item in relay.get("/messages")["items"]] == [number]
    assert [m.recipients for m in hop.snapshot()] == [[LISTED]]
    assert without_received(hop.snapshot()[0].content) == model(wire)
    check_wire(hop)


def test_empty_message(relay, hop):
    """S012"""
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        client.envelope("a@x.test", [LISTED])
        client.write(b".\r\n")
        number = queued_id(client.reply())
        second = client.send("a@x.test", [LISTED], b"Subject: next\r\n\r\n")
    relay.wait_states(number, {LISTED: "delivered"})
    relay.wait_states(second, {LISTED: "delivered"})
    assert len(hop.snapshot()) == 2
    check_wire(hop)


def test_one_byte_a_segment(relay, hop):
    """S013"""
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        client.envelope("a@x.test", [LISTED])
        client.write(b"Subject: slow\r\n\r\nx")
        for byte in b"\r\n.\r\n":
            client.socket.settimeout(0.05)
            with pytest.raises(socket.timeout):
                client.socket.recv(1)
            client.socket.settimeout(60)
            client.write(bytes([byte]))
        client.reader = client.socket.makefile("rb")
        number = queued_id(client.reply())
        assert client.command("NOOP")[0] == 250
    relay.wait_states(number, {LISTED: "delivered"})
    assert len(hop.snapshot()) == 1


def test_end_of_data_with_a_pause(relay, hop):
    """S014 (the pause is shorter here: nothing depends on its length)"""
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        client.envelope("a@x.test", [LISTED])
        client.write(b"Subject: slow\r\n\r\nx\r\n.\r")
        client.socket.settimeout(1)
        with pytest.raises(socket.timeout):
            client.socket.recv(1)
        client.socket.settimeout(60)
        client.write(b"\n")
        client.reader = client.socket.makefile("rb")
        number = queued_id(client.reply())
    relay.wait_states(number, {LISTED: "delivered"})


def test_pipelined_behind_the_end(relay, hop):
    """S017: replies in order, and never two messages out of one 354."""
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        client.envelope("a@x.test", [LISTED])
        client.write(b"Subject: one\r\n\r\n1\r\n.\r\n" + TAIL.replace(b"real@evil.example", b"r@e.test")
                     + b".\r\n")
        first = queued_id(client.reply())
        codes = []
        try:
            codes = [client.reply()[0] for _ in range(5)]
        except ConnectionError:
            pass
    relay.wait_states(first, {LISTED: "delivered"})
    # Taken as the next transaction (RFC 2920 3.1 lets a server), or refused; nothing between.
    assert codes == [250, 250, 250, 354, 250] or (codes and codes[0] >= 500), codes
    check_wire(hop)


def test_dot_lines_stored_and_sent(relay, hop):
    """S018 (CHUNKING is never used, whatever the next hop offers)"""
    relay.allow(LISTED)
    content = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n\r\n.\r\nend"
    for extensions in (("PIPELINING",), ("PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME")):
        hop.extensions = extensions
        before = len(hop.snapshot())
        with Smtp(relay.smtp_port) as client:
            number = client.send("a@x.test", [LISTED], content)
        relay.wait_states(number, {LISTED: "delivered"})
        wait_for(lambda: len(hop.snapshot()) == before + 1, "the message")
        assert without_received(hop.snapshot()[-1].content) == content + b"\r\n"
    check_wire(hop)


def test_alive_afterwards(relay):
    """I5"""
    started = time.monotonic()
    with Smtp(relay.smtp_port) as client:
        assert client.command("NOOP")[0] == 250
    assert relay.request("GET", "/healthz", token=None).status == 200
    assert time.monotonic() - started < 5
