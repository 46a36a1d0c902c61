"""
What the RFCs ask of TLS and AUTH, row by row of tests/CONFORMANCE.md.
"""

import base64
import re
import socket
import ssl

import pytest

from conformance import HERE, LISTED, answers, house, keywords  # noqa: F401
from daemon import PATIENCE


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
