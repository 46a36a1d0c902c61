"""
CASES 2.H: odd headers, odd MIME. Each is taken, stored and sent byte for byte (or refused as a
whole), reaches its recipient and nobody else, and is shown as JSON that everybody can read.
"""

import base64
import json
import re
import time

import pytest

from daemon import SANITIZED, Daemon, Smtp, canonical, without_received
from nexthop import NextHop
from test_fidelity import expected_copy, removed_names
from test_memory import memory_of

SENDER = "app@shop.test"
HEADER = b"From: shop@shop.test\r\nSubject: odd\r\n"


def nested_multipart(depth):
    """Each part a multipart with one part."""
    lines = [HEADER]
    for i in range(depth):
        lines.append(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i))
    lines.append(b"\r\ninnermost\r\n")
    lines += [b"--b%d--\r\n" % i for i in reversed(range(depth))]
    return b"".join(lines)


def many_parts(count):
    return (HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            + b"--b\r\n\r\nx\r\n" * count + b"--b--\r\n")


def with_boundary(boundary):
    return (HEADER + b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n--"
            + boundary.strip(b'"') + b"\r\n\r\npart\r\n")


def encoded(subject):
    return b"Subject: " + subject + b"\r\nTo: real@evil.example\r\n\r\nx\r\n"


def word(octets, charset=b"utf-8"):
    return b"=?" + charset + b"?b?" + base64.b64encode(octets) + b"?="


def attached(parameters, encoding=b"base64", body=b"aGVsbG8="):
    return (HEADER + b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Disposition: attachment" + parameters + b"\r\n"
            b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body + b"\r\n")


# The test string of virus scanners, made here so that no scanner finds it in this file.
EICAR = (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-" + b"TEST-FILE!$H+H*")

CASES = {
    # S188, S189, S190: fields twice, fields missing, fields that a delivery agent would write
    "S188 twice": b"".join(b"%s: %s\r\n" % (n, v) for n in (
        b"To", b"From", b"Subject", b"Date", b"Message-ID", b"Cc", b"Reply-To", b"Sender")
        for v in (b"first@a.test", b"second@b.test")) + b"\r\nx\r\n",
    "S189 none": b"Subject: none\r\n\r\nx\r\n",
    "S190 traces": b"Return-Path: <real@evil.example>\r\nOriginal-Recipient: rfc822;a@b.test\r\n"
                   + HEADER + b"\r\nx\r\n",
    # S191: folds
    "S191 many": b"Subject: a\r\n" + b" folded\r\n" * 1000 + b"\r\nx\r\n",
    "S191 quoted": b'To: "a\r\n b" <a@b.test>, "c\r\n\t\\"d" <e@f.test>\r\n' + HEADER + b"\r\nx\r\n",
    "S191 blank": b"Subject: a\r\n \r\n\t\r\n b\r\n\r\nx\r\n",
    "S191 first": b" continued from nowhere\r\n" + HEADER + b"\r\nx\r\n",
    "S191 tab": b"Subject:\ta\r\n\tb\r\n\t\tc\r\n\r\nx\r\n",
    # S192: names
    "S192 blank": b"Subject : a\r\nTo\t: b@c.test\r\n" + HEADER + b"\r\nx\r\n",
    "S192 no colon": b"no colon here\r\n" + HEADER + b"\r\nx\r\n",
    "S192 empty": b": empty\r\n:\r\n" + HEADER + b"\r\nx\r\n",
    "S192 8-bit": b"S\xfcbject: a\r\n\xff\xfe: b\r\n" + HEADER + b"\r\nx\r\n",
    "S192 long": b"N" * 997 + b":\r\n" + b"M" * 996 + b": x\r\n" + HEADER + b"\r\nx\r\n",
    # S193: groups
    "S193 group": b"To: g: a@x.test, b@y.test;\r\n" + HEADER + b"\r\nx\r\n",
    "S193 empty": b"To: undisclosed-recipients:;\r\n" + HEADER + b"\r\nx\r\n",
    "S193 nested": b"To: g: h: a@x.test;, b@y.test;\r\nCc: :;;:,\r\n" + HEADER + b"\r\nx\r\n",
    "S193 open": b"To: g: a@x.test, b@y.test\r\n" + HEADER + b"\r\nx\r\n",
    # S194: encoded words
    "S194 CRLF": encoded(word(b"a\r\nBcc: real@evil.example\r\n\r\nbody")),
    "S194 NUL": encoded(word(b"a\0b")),
    "S194 script": encoded(word(b"<script>alert(1)</script>")),
    "S194 address": encoded(word(b"real@evil.example")),
    "S194 broken": encoded(b"=?utf-8?b?!!!!?= =?utf-8?b?YQ?= =?utf-8?q?=zz?= =?utf-8?b?"),
    "S194 charset": encoded(word(b"abc", b"x-nobody-knows")),
    "S194 long": encoded(word(b"long " * 200)),
    "S194 adjacent": encoded(word(b"\xc3") + b" " + word(b"\xbc") + b"\r\n " + word(b"x")),
    "S194 q": encoded(b"=?utf-8?q?a=0D=0ABcc:_real@evil.example=00=1B?="),
    # S195: octets that are no UTF-8
    "S195 raw": b"Subject: \xfc\xff\xfe\xc0\x80\r\nX-\xe9: \xed\xa0\x80\r\n\r\n\xff\xfe\x80\r\n",
    "S195 UTF-16": b"Subject: x\r\n\r\n" + "Gr\u00fc\u00dfe".encode("utf-16") + b"\r\n",
    "S195 GB18030": b"Subject: " + "\u4f60\u597d".encode("gb18030") + b"\r\n\r\nx\r\n",
    "S195 surrogate": b"Subject: \xed\xb0\x80 \xf4\x90\x80\x80 \xf8\x88\x80\x80\x80\r\n\r\nx\r\n",
    # S196: what makes parsers slow, or deep
    "S196 comments": b"To: " + b"(" * 10000 + b" a@b.test\r\n" + HEADER + b"\r\nx\r\n",
    "S196 closed": b"To: " + b"(" * 10000 + b")" * 10000 + b" a@b.test\r\n" + HEADER + b"\r\nx\r\n",
    "S196 quoted": b'To: "' + b"q" * (1 << 20) + b"\r\n" + HEADER + b"\r\nx\r\n",
    "S196 folded": b'To: "' + (b"q" * 70 + b"\r\n ") * 15000 + b"\r\n" + HEADER + b"\r\nx\r\n",
    "S196 addresses": b"To: " + b",\r\n ".join(b"a%d@b.test" % i for i in range(100000)) + b"\r\n"
                      + HEADER + b"\r\nx\r\n",
    # S197: MIME in MIME
    "S197 100": nested_multipart(100),
    "S197 1,000": nested_multipart(1000),
    "S197 100,000": nested_multipart(100000),
    "S197 parts": many_parts(200000),
    "S197 rfc822": HEADER + b"Content-Type: message/rfc822\r\n\r\n" * 1000 + b"\r\nx\r\n",
    # S198: boundaries
    "S198 empty": with_boundary(b'""'),
    "S198 long": with_boundary(b"b" * 1000),
    "S198 dashes": with_boundary(b'"--b--"'),
    "S198 regex": with_boundary(b'"(.*)+[b]$"'),
    "S198 NUL": with_boundary(b'"b\0c"'),
    "S198 as parent": (HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                       b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"),
    "S198 prefix": (HEADER + b"Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n"
                    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--bb--\r\n"),
    # S199: encodings
    "S199 unknown": attached(b"", b"x-nobody-knows"),
    "S199 two": attached(b"", b"base64\r\nContent-Transfer-Encoding: 7bit"),
    "S199 garbage": attached(b"", b"base64", b"!!!! ==== \x00\xff aGVs"),
    "S199 q": attached(b"", b"quoted-printable", b"a=ZZ=\r\n=\r\n=="),
    "S199 uu": attached(b"", b"x-uuencode", b"begin 644 /etc/passwd\r\n#0V%T\r\n`\r\nend"),
    # S200: names of files
    "S200 path": attached(b"; filename*=utf-8''..%2f..%2fetc%2fpasswd"),
    "S200 pieces": attached(b"".join(b";\r\n filename*%d=a" % i for i in range(1000))),
    "S200 missing": attached(b"; filename*0=a; filename*2=b; filename*2147483648=c"),
    # S201 (50 MiB: test_memory.py)
    "S201 lines": HEADER + b"\r\n" + b"\r\n".join(b"x" * n for n in (998, 999, 65536)) + b"\r\n",
    # S202, S203: hardly a message
    "S202 nothing": b"",
    "S202 headers": HEADER,
    "S202 body": b"\r\nbody only\r\n",
    "S202 CRLF": b"\r\n",
    "S203 From": b"From shop@shop.test Thu Jan  1 00:00:00 1970\r\n" + HEADER
                 + b"\r\nFrom here on\r\n>From there\r\n",
    "S203 BOM": b"\xef\xbb\xbf" + HEADER + b"\r\nx\r\n",
    # S207, S208
    "S207 future": b"Date: Fri, 31 Dec 99999 23:59:60 +9999\r\n" + HEADER + b"\r\nx\r\n",
    "S207 past": b"Date: Thu, 01 Jan 0001 00:00:00 -0000\r\n" + HEADER + b"\r\nx\r\n",
    "S207 none": b"Date: \xff\r\n" + HEADER + b"\r\nx\r\n",
    "S208 EICAR": attached(b"; filename=eicar.com", b"7bit", EICAR),
    "S208 zip": attached(b"; filename=42.zip", b"base64", base64.b64encode(b"PK\3\4" + bytes(300))),
}


def open_house(folder, policy):
    """One daemon and next hop for all of them."""
    hop = NextHop()
    house = Daemon(folder, hop.address, "policy: {header_policy: %s}\n" % policy).start()
    house.hop = hop
    house.removed = removed_names()
    house.allow("odd.test")
    yield house
    hop.close()
    house.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Where no field is rewritten."""
    yield from open_house(tmp_path_factory.mktemp("odd"), "keep")


@pytest.fixture(scope="module")
def strict_house(tmp_path_factory):
    """Where nobody who is not listed may stay in a field that people answer to."""
    yield from open_house(tmp_path_factory.mktemp("strict"), "defang")


def send(house, recipient, content):
    with Smtp(house.smtp_port) as client:
        return client.send(SENDER, [recipient], content)


def shown(house, number):
    """The message as the API shows it: valid UTF-8, valid JSON, no surrogates."""
    answer = house.request("GET", "/api/v1/messages/" + number)
    assert answer.status == 200
    text = answer.body.decode("utf-8")
    message = json.loads(text)
    json.dumps(message, ensure_ascii=False).encode("utf-8")
    return message


@pytest.mark.parametrize("name", list(CASES))
def test_content(house, name):
    content = CASES[name]
    to = "case%d@odd.test" % list(CASES).index(name)
    began = time.monotonic()
    number = send(house, to, content)
    house.wait_states(number, {to: "delivered"})
    took = time.monotonic() - began
    (copy,) = house.hop.copies_for(to)
    assert copy.recipients == [to]
    assert without_received(copy.content) == expected_copy(canonical(content), house.removed)
    stored = house.request("GET", "/api/v1/messages/%s/raw" % number)
    assert stored.body == canonical(content)
    message = shown(house, number)
    subject = message["subject"] or ""
    assert not any(ord(c) < 0x20 or ord(c) == 0x7f for c in subject), subject
    # The same one that readers of the first field of a name show.
    if name == "S188 twice":
        assert subject == "first@a.test" and message["message_id"] == "first@a.test"
    assert {r["address"] for r in message["recipients"]} == {to}
    assert took < (60 if SANITIZED else 5), took
    assert "real@evil.example" not in house.hop.offered


ANSWERED = re.compile(rb"(?i)(?:resent-)?(?:to|cc|reply-to|sender)[ \t]*:")
ADDRESS = re.compile(rb"[a-z0-9._=-]+@[a-z0-9.-]*[a-z0-9]", re.I)


def strangers(header):
    """Addresses in fields of the first kind that are neither listed nor made harmless."""
    found = []
    for field in re.split(rb"\r\n(?![ \t])", header):
        if ANSWERED.match(field):
            found += [a for a in ADDRESS.findall(re.sub(rb"\r\n[ \t]+", b"", field))
                      if not a.lower().endswith((b"@odd.test", b"@blocked.invalid"))]
    return found


@pytest.mark.parametrize("name", [n for n in CASES if n[:4] in (
    "S188", "S191", "S192", "S193", "S194", "S195", "S196", "S202", "S203")])
def test_content_defanged(strict_house, name):
    """The same headers where they are rewritten: nobody stays in, and the body is as it was."""
    content = canonical(CASES[name])
    to = "case%d@odd.test" % list(CASES).index(name)
    number = send(strict_house, to, CASES[name])
    strict_house.wait_states(number, {to: "delivered"})
    (copy,) = strict_house.hop.copies_for(to)
    header, _, body = without_received(copy.content).partition(b"\r\n\r\n")
    assert strangers(header) == []
    assert body == content.partition(b"\r\n\r\n")[2] or not content.partition(b"\r\n\r\n")[2]


def test_strangers_are_seen():
    """What the test above looks for it finds."""
    assert strangers(b"To: a@odd.test, b@x.test\r\nX: c@x.test\r\nCc: =?d?=\r\n <e@x.test>") == [
        b"b@x.test", b"e@x.test"]
    assert strangers(b"Reply-To: a=x.test@blocked.invalid") == []


def test_s194_shown_and_not_believed(house):
    """What encoded words hold is shown as text; their CR, LF and NUL as something harmless."""
    number = send(house, "shown@odd.test", CASES["S194 CRLF"])
    subject = shown(house, number)["subject"]
    assert subject.startswith("a") and "\ufffd" in subject and "Bcc" in subject
    number = send(house, "shown@odd.test", CASES["S194 NUL"])
    assert shown(house, number)["subject"] == "a\ufffdb"
    number = send(house, "shown@odd.test", CASES["S194 adjacent"])
    assert "real@evil.example" not in {
        r["address"] for r in shown(house, number)["recipients"]}


def test_s206_hops(house):
    """More than fifty are a loop."""
    for fields, code in ((50, 250), (51, 554), (1000, 554)):
        with Smtp(house.smtp_port) as client:
            client.envelope(SENDER, ["hops@odd.test"])
            client.write(b"Received: from a by b; x\r\n" * fields + HEADER + b"\r\nx\r\n.\r\n")
            answer = client.reply()
            assert answer[0] == code, (fields, answer)
            assert code == 250 or answer[1].startswith("5.4.6 ")


def test_s207_the_list_is_in_the_order_of_arrival(house):
    numbers = [send(house, "dates@odd.test", CASES[name])
               for name in ("S207 future", "S207 past", "S207 none", "S189 none")]
    listed = [m["id"] for m in house.get("/messages?limit=100")["items"]]
    assert listed[:4] == list(reversed(numbers))


def test_s209_a_large_attachment_many_times(make_daemon, hop):
    """Listed, viewed and read again and again: what it takes is given back."""
    relay = make_daemon(hop.address)
    lines = base64.encodebytes(bytes(range(256)) * (15 << 12)).replace(b"\n", b"\r\n")
    content = attached(b"; filename=large.bin", b"base64", lines)
    assert len(content) > 20 << 20
    number = send(relay, "large@odd.test", content)
    relay.wait_states(number, {"large@odd.test": "dropped"})

    def look(times):
        for _ in range(times * 5):
            assert relay.get("/messages")["items"]
        for _ in range(times):
            assert relay.message(number)["size"] == len(content)
        for _ in range(times // 4):
            assert len(relay.request("GET", "/api/v1/messages/%s/raw" % number).body) == \
                len(content)

    look(4)
    before = memory_of(relay, "VmRSS")
    look(20)
    after = memory_of(relay, "VmRSS")
    print("%d KiB, then %d KiB" % (before >> 10, after >> 10))
    assert SANITIZED or after < before * 1.05 + (1 << 20)
    assert SANITIZED or memory_of(relay, "VmHWM") < before + (64 << 20)
