"""
The header of the copy that leaves (DESIGN 5): S177, S179, S188, S190, S193, S203; traps T1, T2.
Byte tables are in tests/unit/filter/test_header_policy.c and test_defang.c; here it
goes through the whole house.
"""

import re
import subprocess
import threading

import pytest

from daemon import STAGEPOST, Smtp, wait_for, without_received
from nexthop import Conversation, NextHop

LISTED = "tester@example.com"
CONTENT = (b"From: Shop <shop@customer.example>\r\n"
           b"To: Tester <tester@example.com>, Real <real@customer.example>\r\n"
           b"Cc: =?utf-8?q?J=C3=BCrgen?= <j@customer.example>\r\n"
           b"Reply-To: reply@customer.example\r\n"
           b"Bcc: hidden@customer.example\r\n"
           b"List-Unsubscribe: <mailto:leave@customer.example>, <https://customer.example/u>\r\n"
           b"Return-Path: <x@customer.example>\r\n"
           b"Subject: Your order\r\n\r\nTo: real@customer.example\r\n")
DEFANGED = (b"From: Shop <shop@customer.example>\r\n"
            b'To: Tester <tester@example.com>, "Real (blocked)"\r\n'
            b" <real=customer.example@blocked.invalid>\r\n"
            b"X-Stagepost-Original-To: Tester <tester@example.com>, Real <real@customer.example>\r\n"
            b"Cc: =?utf-8?q?J=C3=BCrgen_=28blocked=29?= <j=customer.example@blocked.invalid>\r\n"
            b"X-Stagepost-Original-Cc: =?utf-8?q?J=C3=BCrgen?= <j@customer.example>\r\n"
            b'Reply-To: "reply at customer.example (blocked)"\r\n'
            b" <reply=customer.example@blocked.invalid>\r\n"
            b"X-Stagepost-Original-Reply-To: reply@customer.example\r\n"
            b"List-Unsubscribe: <mailto:leave=customer.example@blocked.invalid>,\r\n"
            b" <https://customer.example/u>\r\n"
            b"X-Stagepost-Original-List-Unsubscribe: <mailto:leave@customer.example>, "
            b"<https://customer.example/u>\r\n"
            b"Return-Path: <x@customer.example>\r\n"
            b"Subject: Your order\r\n\r\nTo: real@customer.example\r\n")
KEPT = CONTENT.replace(b"Bcc: hidden@customer.example\r\n", b"")
STRIPPED = (b"From: Shop <shop@customer.example>\r\n"
            b"To: Tester <tester@example.com>\r\n"
            b"List-Unsubscribe: <https://customer.example/u>\r\n"
            b"Return-Path: <x@customer.example>\r\n"
            b"Subject: Your order\r\n\r\nTo: real@customer.example\r\n")


def deliver(relay, hop, content, recipients=(LISTED,), port=None):
    """The message's id, and what arrived of it."""
    before = len(hop.snapshot())
    with Smtp(port or relay.smtp_port) as client:
        number = client.send("app@customer.example", list(recipients), content)
    wait_for(lambda: len(hop.snapshot()) > before, "the copy")
    return number, hop.snapshot()[-1].content


def sent(relay, number, recipient=None):
    path = "/api/v1/messages/%s/sent" % number
    if recipient:
        path += "?recipient=" + recipient.replace("@", "%40")
    return relay.request("GET", path)


def fields(relay):
    """Kind to the number of fields that left otherwise, from /metrics."""
    text = relay.request("GET", "/metrics").body.decode()
    return {kind: int(n) for kind, n in
            re.findall(r'^stagepost_header_fields_total\{kind="(\w+)"\} (\d+)$', text, re.M)}


@pytest.mark.parametrize("policy, want", [
    ("", DEFANGED),
    ("header_policy: defang", DEFANGED),
    ("header_policy: keep", KEPT),
    ("header_policy: strip", STRIPPED),
])
def test_policies(make_daemon, hop, policy, want):
    """S177, S179: one listed recipient; the others of the header are not told to anybody."""
    relay = make_daemon(hop.address, "policy: {%s}\n" % policy if policy else "")
    relay.allow(LISTED)
    number, arrived = deliver(relay, hop, CONTENT, [LISTED, "real@customer.example"])
    assert without_received(arrived) == want
    assert hop.offered == [LISTED]
    # Counted, not told to anybody.
    changed = {DEFANGED: 4, KEPT: 0, STRIPPED: 4}[want]
    wait_for(lambda: fields(relay) == {"bcc": 1, "control": 0, "addresses": changed, "subject": 0,
                                       "signature": 0}, "the numbers")
    # What is stored is what came, and the API shows what left: in every byte.
    assert relay.request("GET", "/api/v1/messages/%s/raw" % number).body == CONTENT
    assert sent(relay, number).body == arrived
    assert sent(relay, number, LISTED).body == arrived
    # The copy of one who got none is what he would get.
    assert sent(relay, number, "Real@customer.example").status == 404
    assert sent(relay, number, "real@Customer.example").status == 200
    assert sent(relay, number, "nobody@example.com").status == 404
    assert sent(relay, "01ARZ3NDEKTSV4RRFFQ69G5FAV").status == 404


def test_as_sent(relay, hop):
    """The tool, over more than one chunk, and with a last line that does not end."""
    relay.allow(LISTED)
    number, arrived = deliver(relay, hop, CONTENT + b"line\r\n" * 100000)
    cat = [STAGEPOST, "--data-dir", relay.data_dir, "queue", "cat"]
    shown = subprocess.run([*cat, "--as-sent", number], capture_output=True, timeout=60, check=True)
    assert shown.stdout == arrived
    shown = subprocess.run([*cat, number], capture_output=True, timeout=60, check=True)
    assert shown.stdout == CONTENT + b"line\r\n" * 100000
    relay.stop()
    gone = subprocess.run([*cat, "--as-sent", number], capture_output=True, timeout=60)
    assert gone.returncode == 69 and gone.stdout == b"", gone


def test_no_line_end(make_daemon, hop):
    relay = make_daemon(hop.address)
    relay.allow(LISTED)
    content = b"To: x@customer.example\r\n\r\nno end"
    with Smtp(relay.smtp_port) as client:
        assert client.command("MAIL FROM:<a@example.com>")[0] == 250
        assert client.command("RCPT TO:<%s>" % LISTED)[0] == 250
        client.write(b"BDAT %d LAST\r\n%s" % (len(content), content))
        code, text = client.reply()
        assert code == 250, text
    wait_for(lambda: hop.snapshot(), "the copy")
    number = relay.get("/messages")["items"][0]["id"]
    assert hop.snapshot()[0].content.endswith(b"\r\n\r\nno end\r\n")
    assert sent(relay, number).body == hop.snapshot()[0].content


def test_list_in_force(relay, hop):
    """Judged when the copy is made, not when the message came."""
    relay.allow(LISTED)
    relay.post("/delivery/pause")
    content = b"To: late@example.org, gone@example.net\r\nSubject: x\r\n\r\nhi\r\n"
    [gone] = relay.allow("gone@example.net")
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", [LISTED], content)
    before = sent(relay, number).body
    assert b"late=example.org@blocked.invalid" in before and b" gone@example.net" in before
    relay.allow("late@example.org")
    relay.remove(gone)
    relay.post("/delivery/resume")
    wait_for(lambda: hop.snapshot(), "the copy")
    arrived = hop.snapshot()[0].content
    assert b"To: late@example.org, " in arrived
    assert b"<gone=example.net@blocked.invalid>" in arrived


def test_reload(make_daemon, hop):
    relay = make_daemon(hop.address, "policy: {header_policy: keep}\n")
    relay.allow(LISTED)
    content = b"To: x@customer.example\r\nSubject: hi\r\n\r\nhi\r\n"
    assert without_received(deliver(relay, hop, content)[1]) == content
    relay.write_config('policy: {header_policy: strip, subject_tag: "[staging] "}\n')
    relay.hup()
    wait_for(lambda: "reload" in relay.log(), "the reload")
    wait_for(lambda: without_received(deliver(relay, hop, content)[1]) ==
             b"Subject: [staging] hi\r\n\r\nhi\r\n", "the new policy")
    # Once, also when it comes back.
    tagged = b"Subject: Re: [staging] hi\r\n\r\nhi\r\n"
    assert without_received(deliver(relay, hop, tagged)[1]) == tagged


def test_redirected(make_daemon, hop):
    """T5, S179: whoever gets the copy instead is not given the addresses either."""
    relay = make_daemon(hop.address, "policy: {default: redirect, redirect_to: qa@example.net}\n")
    relay.allow("qa@example.net")
    number, arrived = deliver(relay, hop, b"To: real@customer.example\r\nCc: qa@example.net\r\n"
                              b"Subject: x\r\n\r\nhi\r\n", ["real@customer.example"])
    assert hop.offered == ["qa@example.net"]
    assert without_received(arrived) == (
        b'To: "real at customer.example (blocked)"\r\n'
        b" <real=customer.example@blocked.invalid>\r\n"
        b"X-Stagepost-Original-To: real@customer.example\r\nCc: qa@example.net\r\n"
        b"Subject: x\r\n\r\nhi\r\n")
    assert sent(relay, number, "qa@example.net").body == arrived


def test_over_the_limits(relay, hop):
    """DESIGN 4.8: a header that nobody parsed to its end is not believed."""
    relay.allow(LISTED)
    many = b"".join(b"X-%d: y\r\n" % i for i in range(1001))
    content = b"To: %s\r\n%sCc: x@customer.example\r\n\r\nhi\r\n" % (LISTED.encode(), many)
    whole = b' "unreadable (blocked)" <unreadable@blocked.invalid>\r\n'
    _, arrived = deliver(relay, hop, content)
    assert without_received(arrived) == (
        b"To:" + whole + b"X-Stagepost-Original-To: tester@example.com\r\n" + many +
        b"Cc:" + whole + b"X-Stagepost-Original-Cc: x@customer.example\r\n\r\nhi\r\n")


# --- DKIM ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """sign(content) puts a signature in front; verify(content) says whether one holds."""
    dkim = pytest.importorskip("dkim", reason="python3-dkim is not installed")
    key = tmp_path_factory.mktemp("dkim") / "key.pem"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True,
                   capture_output=True, timeout=60)
    public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "PEM"],
                            check=True, capture_output=True, timeout=60).stdout
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])

    class Signer:
        def sign(self, content, canonical, headers=None):
            first, second = canonical.split("/")
            return dkim.sign(content, b"s", b"customer.example", key.read_bytes(),
                             canonicalize=(first.encode(), second.encode()),
                             include_headers=headers) + content

        def verify(self, content):
            return dkim.verify(content, dnsfunc=lambda name, timeout=5: record)

    return Signer()


SIGNED_HEADERS = [b"from", b"to", b"cc", b"subject", b"date", b"reply-to"]


@pytest.mark.parametrize("canonical", ["relaxed/relaxed", "simple/simple", "relaxed/simple"])
def test_dkim(relay, hop, signer, canonical):
    """A signature of the application holds when all are allowed, and is no lie when not."""
    relay.allow(LISTED, "second@example.com")
    plain = (b"From: Shop <shop@customer.example>\r\nTo: Tester\r\n <tester@example.com>,\r\n"
             b"\tSecond <second@example.com>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
             b"Subject:  Your   order \r\n\r\n.dots\r\n\r\n  text \r\n\r\n\r\n")
    content = signer.sign(plain, canonical, SIGNED_HEADERS)
    assert signer.verify(content)
    _, arrived = deliver(relay, hop, content)
    assert without_received(arrived) == content
    assert signer.verify(arrived)
    content = signer.sign(plain.replace(b"second@", b"third@"), canonical, SIGNED_HEADERS)
    assert signer.verify(content)
    _, arrived = deliver(relay, hop, content)
    assert b"third@" not in without_received(arrived).split(b"X-Stagepost-Original-To")[0]
    assert b"\r\nDKIM-Signature" not in arrived
    assert b"\r\nX-Stagepost-Original-DKIM-Signature: v=1;" in arrived
    assert not signer.verify(arrived)


class Hesitating(NextHop):
    """It says nothing to the first RCPT before `go` is set."""

    def __init__(self):
        self.asked = threading.Event()
        self.go = threading.Event()
        super().__init__()

    def converse(self, connection, number):
        return HesitatingConversation(self, connection, number)


class HesitatingConversation(Conversation):
    def on_rcpt(self, address, line):
        self.hop.asked.set()
        self.hop.go.wait(30)
        super().on_rcpt(address, line)


@pytest.mark.parametrize("how", ["removed", "expired"])
def test_the_list_at_the_time_of_354_counts(make_daemon, how):
    """The header was ready before MAIL; the next hop took its time."""
    hop = Hesitating()
    relay = make_daemon(hop.address)
    relay.allow(LISTED)
    entry = relay.post("/whitelist", {
        "pattern": "real@customer.example",
        **({"expires_in": "2s"} if how == "expired" else {})}).json["id"]
    content = CONTENT.replace(b"Cc: =?utf-8?q?J=C3=BCrgen?= <j@customer.example>\r\n", b"")
    with Smtp(relay.smtp_port) as client:
        number = client.send("app@customer.example", [LISTED], content)
    assert hop.asked.wait(20)
    if how == "removed":
        relay.remove(entry)
    else:
        wait_for(lambda: relay.post("/check", {"recipients": ["real@customer.example"]})
                 .json["items"][0]["verdict"] == "drop", "the entry to expire")
    hop.go.set()
    relay.wait_states(number, {LISTED: "delivered"})
    copy = without_received(hop.snapshot()[-1].content)
    assert copy.split(b"\r\nX-Stagepost")[0].endswith(b"<real=customer.example@blocked.invalid>")
    # One header, and all of it.
    assert copy.count(b"\r\nTo: ") == 1 + CONTENT.count(b"\r\nTo: real@")
    assert copy.endswith(b"\r\n\r\nTo: real@customer.example\r\n")
    hop.close()
