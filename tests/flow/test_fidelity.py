"""P5: what leaves is what came in, byte for byte, but for a short declared list."""

import random
import re
import subprocess

import pytest

from daemon import STAGEPOSTD, Smtp, canonical, wait_for, without_received

RECIPIENT = "r%d@corpus.test"


# Addresses in the corpus are on no list; what becomes of them is in test_header_policy.py.
KEEP = "policy: {header_policy: keep}\n"


@pytest.fixture
def relay(make_daemon, hop):
    return make_daemon(hop.address, KEEP)


def removed_names():
    """Patterns of the field names that never leave: Bcc and the list in force."""
    printed = subprocess.run([STAGEPOSTD, "-o", "data_dir=.", "--print-config"], check=True,
                             capture_output=True, timeout=30).stdout.decode()
    listed = re.search(r"control_headers: \[(.*)\]", printed).group(1)
    names = ["bcc", "resent-bcc"] + [n.strip().strip('"') for n in listed.split(",")]
    return [re.compile(re.escape(n).replace(r"\*", ".*"), re.I) for n in names]


def expected_copy(content, removed):
    """`content` without the fields of `removed`."""
    head, empty, body = content.partition(b"\r\n\r\n")
    if content.startswith(b"\r\n"):
        return content
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [f for f in fields
            if not any(p.fullmatch(f.partition(b":")[0].rstrip(b" \t").decode("latin-1"))
                       for p in removed) or b":" not in f]
    return b"\r\n".join(kept) + empty + body


def deliver_all(relay, hop, contents):
    """Send each to a recipient of its own; what arrived, in the same order."""
    relay.allow("corpus.test")
    numbers = []
    with Smtp(relay.smtp_port) as client:
        for i, content in enumerate(contents):
            numbers.append(client.send("a@x.test", [RECIPIENT % i], content))
    wait_for(lambda: len(hop.snapshot()) >= len(contents), "%d messages" % len(contents), 180)
    by_recipient = {m.recipients[0]: m.content for m in hop.snapshot()}
    assert len(by_recipient) == len(contents)
    return numbers, [by_recipient[RECIPIENT % i] for i in range(len(contents))]


def corpus(folder):
    """Those that a relay takes at all: at most 50 Received fields."""
    files = sorted((folder / "eml").glob("*/*.eml"))
    assert len(files) > 100
    contents = [(path.name, path.read_bytes()) for path in files]
    return [(name, content) for name, content in contents
            if len(re.findall(rb"(?im)^received[ \t]*:", content)) <= 50
            and len(content) < 40 << 20]


@pytest.mark.parametrize("form", ["canonical", "as it is"])
def test_corpus(make_daemon, hop, corpora, form):
    relay = make_daemon(hop.address, KEEP + "smtp: {max_errors: 1000}\n")
    messages = corpus(corpora)
    sent = [canonical(c) if form == "canonical" else c for _, c in messages]
    removed = removed_names()
    numbers, arrived = deliver_all(relay, hop, sent)
    wrong = []
    for (name, _), content, got in zip(messages, sent, arrived):
        if without_received(got) != expected_copy(canonical(content), removed):
            wrong.append(name)
    assert not wrong
    # What is stored is what came, all of it.
    for number, content in list(zip(numbers, sent))[::10]:
        raw = relay.request("GET", "/api/v1/messages/%s/raw" % number)
        assert raw.status == 200
        assert raw.body == canonical(content)


ODD = {
    "no final CRLF": b"Subject: x\r\n\r\nend",
    "no header": b"\r\nbody only\r\n",
    "no empty line": b"Subject: x\r\nX-Y: z\r\n",
    "not a header": b"this is no header at all\r\nand this neither\r\n",
    "duplicate fields": b"Subject: a\r\nSubject: b\r\nDate: x\r\nDate: x\r\nTo: a\r\nTo: b\r\n\r\n",
    "no Date, From, Message-ID": b"Subject: x\r\n\r\nhi\r\n",
    "bare LF": b"Subject: x\nTo: y\n\nbody\nmore\n",
    "bare CR": b"Subject: x\r\n\r\na\rb\r\rc\r\n",
    "mixed line ends": b"Subject: x\r\n\r\na\n\rb\r\n\n\r\r\nc\r\n",
    "NUL": b"Subject: \x00\r\nX: a\x00b\r\n\r\n\x00\r\nx\x00y\x00\r\n",
    "8-bit": b"Subject: \xfc\xff\xfe\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
    "all octets": b"Subject: x\r\n\r\n" + bytes(
        b for b in range(256) if b not in (10, 13)) * 3 + b"\r\n",
    "long lines": b"Subject: " + b"s" * 998 + b"\r\n\r\n" + b"x" * 998 + b"\r\n" + b"y" * 999
                  + b"\r\n" + b"z" * 20000 + b"\r\n" + b"." * 5000 + b"\r\n",
    "dot lines": b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.x\r\nx.\r\n.\r\n",
    "dot first": b".Subject: x\r\n\r\n.\r\n",
    "only dots": b".\r\n.\r\n.\r\n",
    "folded": b"Subject: a\r\n b\r\n\tc\r\nTo: x,\r\n  y\r\n\r\n",
    "empty lines": b"\r\n" * 50,
    "large header": b"".join(b"X-%d: %s\r\n" % (i, b"v" * 100) for i in range(900)) + b"\r\nx\r\n",
    "huge header": b"".join(b"X-%d: %s\r\n" % (i, b"v" * 100) for i in range(5000)) + b"\r\nx\r\n",
    "trailing blanks": b"Subject: x   \r\n\r\nx  \r\n\t\r\n \r\n",
}


def test_odd_messages(relay, hop):
    removed = removed_names()
    names = list(ODD)
    _, arrived = deliver_all(relay, hop, list(ODD.values()))
    for name, got in zip(names, arrived):
        want = expected_copy(canonical(ODD[name]), removed)
        assert without_received(got) == want, name


def test_random_messages(relay, hop):
    """Few letters, so that every neighbourhood of CR, LF, dot and NUL comes up."""
    seed = random.randrange(1 << 30)
    source = random.Random(seed)
    alphabet = [b"\r\n", b"\r\n", b"\r", b"\n", b".", b"a", b" ", b":", b"\x00", b"\xff"]
    contents = [b"".join(source.choices(alphabet, k=source.randrange(400)))
                for _ in range(200)]
    contents = [b"Subject: x\r\n\r\n" + c for c in contents]
    _, arrived = deliver_all(relay, hop, contents)
    for content, got in zip(contents, arrived):
        assert without_received(got) == canonical(content), (seed, content)


def test_bcc_and_control_fields(relay, hop):
    content = (b"Bcc: secret@example.com,\r\n other@example.com\r\nTo: a@b.test\r\n"
               b"bCC : more@example.com\r\nResent-Bcc: x@y.test\r\nX-SMTPAPI: {\"to\": []}\r\n"
               b"X-MC-Tags: a\r\nX-Bcc-Like: stays\r\nSubject: x\r\n\r\nBcc: in the body\r\n")
    _, arrived = deliver_all(relay, hop, [content])
    assert without_received(arrived[0]) == (
        b"To: a@b.test\r\nX-Bcc-Like: stays\r\nSubject: x\r\n\r\nBcc: in the body\r\n")


def test_25_megabytes(relay, hop):
    source = random.Random(25)
    line = lambda: bytes(source.choices(range(32, 127), k=76)) + b"\r\n"
    block = b"".join(line() for _ in range(2000))
    content = b"Subject: big\r\n\r\n" + block * (25 * (1 << 20) // len(block) + 1)
    _, arrived = deliver_all(relay, hop, [content])
    assert without_received(arrived[0]) == content


def test_too_large(make_daemon, hop):
    """Refused as a whole, declared or not; the session goes on."""
    relay = make_daemon(hop.address, "smtp: {max_message_size: 10K}\n")
    relay.allow("corpus.test")
    with Smtp(relay.smtp_port) as client:
        assert client.command("MAIL FROM:<a@x.test> SIZE=20000")[0] == 552
        client.envelope("a@x.test", ["r0@corpus.test"])
        client.write(b"Subject: x\r\n\r\n" + b"x" * 70 * 1000 + b"\r\n.\r\n")
        assert client.reply()[0] == 552
        number = client.send("a@x.test", ["r1@corpus.test"], b"Subject: small\r\n\r\n")
    relay.wait_states(number, {"r1@corpus.test": "delivered"})
    assert hop.offered == ["r1@corpus.test"]
    assert len(relay.get("/messages")["items"]) == 1
