"""
CASES 2.E at Postfix, Exim, OpenSMTPD and Sendmail as next hops: each form of RCPT goes through the
daemon, and whom the MTA then passes the message on to must be the mailbox that was judged, or
nobody. Where DESIGN 4.6 says otherwise than the catalogue (taken, stored, never sent), it wins.
"""

import email
import sqlite3

import pytest

from certificates import Authority
from clients import Missing
from daemon import Smtp, queued_id, stuff, wait_for
from nexthop import NextHop
from passing import PASSING

LOCAL_64 = "a" * 64
LABEL_63 = "l" * 63
# 253 octets, and one more.
DOMAIN_253 = ".".join(["d" * 61] * 4 + ["ddddd"])
DOMAIN_254 = DOMAIN_253 + "d"
LISTED = ["user@allowed.test", "first_last@allowed.test", "wild.test", "nexthop.test",
          "user@xn--bcher-kva.example", LABEL_63 + ".test", "a@" + ".".join(["e" * 62] * 4),
          # Only an exact entry may hold these (S108, S111, S133, S134).
          "list%exact@wild.test", "list!exact@wild.test", "bounce+real=exact.example@wild.test",
          "/exact@wild.test"]

# (case, what stands behind "RCPT ", the mailbox that the next hop must be given)
LEAVES = [
    ("S085", b"TO:<user@allowed.test>", "user@allowed.test"),
    ("S086", b"TO:<user@ALLOWED.Test>", "user@allowed.test"),
    ("S087", b"TO:<USER@allowed.test>", "USER@allowed.test"),
    ("S087", b"TO:<Any.One@wild.test>", "Any.One@wild.test"),
    ("S108", b"TO:<list%exact@wild.test>", "list%exact@wild.test"),
    ("S111", b"TO:<list!exact@wild.test>", "list!exact@wild.test"),
    ("S130", b"TO:<" + LOCAL_64.encode() + b"@wild.test>", LOCAL_64 + "@wild.test"),
    ("S130", b"TO:<a@" + LABEL_63.encode() + b".test>", "a@" + LABEL_63 + ".test"),
    ("S130", b"TO:<a@" + b".".join([b"e" * 62] * 4) + b">", "a@" + ".".join(["e" * 62] * 4)),
    ("S132", b"TO:<user+tag@wild.test>", "user+tag@wild.test"),
    ("S133", b"TO:<bounce+real=exact.example@wild.test>", "bounce+real=exact.example@wild.test"),
    ("S134", b"TO:</exact@wild.test>", "/exact@wild.test"),
    ("S134", b"TO:<a_b-c+d.e@wild.test>", "a_b-c+d.e@wild.test"),
    ("S138", b"TO:<user@xn--bcher-kva.example>", "user@xn--bcher-kva.example"),
    ("S148", b"TO:<first_last@allowed.test>", "first_last@allowed.test"),
]
# With SMTPUTF8 at MAIL.
LEAVES_UTF8 = [
    ("S138", b"TO:<user@b\xc3\xbccher.example>", "user@xn--bcher-kva.example"),
]

# Taken and stored, never offered to anybody.
KEPT = [
    ("S099", b'TO:<"user"@allowed.test>'),
    ("S100", b'TO:<"us\\er"@allowed.test>'),
    ("S102", b'TO:<""@allowed.test>'),
    ("S103", b'TO:<"a b"@allowed.test>'),
    ("S103", b'TO:<"a\\ b"@wild.test>'),
    ("S104", b'TO:<"real@evil.example"@wild.test>'),
    ("S105", b'TO:<"real@evil.example"@nexthop.test>'),
    ("S106", b'TO:<"real@evil.example x"@wild.test>'),
    ("S107", b'TO:<"real@evil.example> x"@wild.test>'),
    ("S107", b'TO:<"<real@evil.example>"@wild.test>'),
    ("S108", b"TO:<real%evil.example@wild.test>"),
    ("S109", b"TO:<real%evil.example@nexthop.test>"),
    ("S111", b"TO:<evil.example!real@nexthop.test>"),
    ("S113", b"TO:<@allowed.test:real@evil.example>"),
    ("S113", b"TO:<@allowed.test,@b.test:real@evil.example>"),
    ("S113", b"TO:<@evil.example:user@allowed.test>"),
    ("S124", b"TO:<user@[127.0.0.1]>"),
    ("S124", b"TO:<user@[IPv6:::1]>"),
    ("S124", b"TO:<user@[IPv6:::ffff:7f00:1]>"),
    ("S128", b"TO:<postmaster>"),
    ("S129", b'TO:<" "@allowed.test>'),
    ("S132", b"TO:<user+tag@allowed.test>"),
    ("S133", b"TO:<user+real=evil.example@wild.test>"),
    ("S133", b"TO:<SRS0=x=y=evil.example=real@wild.test>"),
    ("S133", b"TO:<prvs=0123456789=real@wild.test>"),
    ("S134", b"TO:<|/bin/sh@wild.test>"),
    ("S134", b'TO:<"|/bin/sh"@wild.test>'),
    ("S134", b"TO:</etc/passwd@wild.test>"),
    ("S134", b"TO:<-oQ/tmp@wild.test>"),
    ("S134", b"TO:<-x@wild.test>"),
    ("S134", b"TO:<*@wild.test>"),
    ("S148", b"TO:<firstXlast@allowed.test>"),
    ("S150", b"TO:<user@notallowed.test>"),
    ("S150", b"TO:<user@wild.test.evil.example>"),
    ("S150", b"TO:<user@sub.wild.test>"),
]
KEPT_UTF8 = [
    ("S137", b"TO:<us\xc3\xa9r@allowed.test>"),
    ("S137", b"TO:<us\xc3\xa9r@wild.test>"),
    ("S138", b"TO:<us\xc3\xa9r@b\xc3\xbccher.example>"),
]

REFUSED = [
    ("S088", b"TO:user@allowed.test"),
    ("S089", b"TO: <user@allowed.test>"),
    ("S090", b"TO : <user@allowed.test>"),
    ("S091", b"TO:< user@allowed.test >"),
    ("S091", b"TO:<user @ allowed.test>"),
    ("S091", b"TO:<user@allowed.test\t>"),
    ("S092", b"TO:<user@allowed.test\r>"),
    ("S093", b"TO:<user@allowed.test\n>"),
    ("S093", b"TO:<user@allowed.test\nRCPT TO:<real@evil.example"),
    ("S095", b"TO:<user@allowed.test> NOTIFY=NEVER ORCPT=x"),
    ("S095", b"TO:<user@allowed.test NOTIFY=NEVER>"),
    ("S096", b"TO:<user@allowed.test.>"),
    ("S097", b"TO:<user@allowed.test..>"),
    ("S098", b"TO:<user@.allowed.test>"),
    ("S098", b"TO:<user@allowed..test>"),
    ("S098", b"TO:<user@-allowed.test>"),
    ("S098", b"TO:<user@allowed-.test>"),
    ("S100", b"TO:<us\\er@allowed.test>"),
    ("S101", b'TO:<us"er"@allowed.test>'),
    ("S101", b'TO:<"us"."er"@allowed.test>'),
    ("S102", b"TO:<@allowed.test>"),
    ("S110", b"TO:<real%evil.example>"),
    ("S112", b"TO:<evil.example!real>"),
    ("S114", b"TO:<real@evil.example:user@allowed.test>"),
    ("S115", b"TO:<user@allowed.test@evil.example>"),
    ("S116", b"TO:<real@evil.example@allowed.test>"),
    ("S116", b"TO:<real\\@evil.example@allowed.test>"),
    ("S116", b"TO:<real@evil.example\\@allowed.test>"),
    ("S117", b"TO:<user(real@evil.example)@allowed.test>"),
    ("S117", b"TO:<user@allowed.test(.evil.example)>"),
    ("S121", b"TO:Real <user@allowed.test>"),
    ("S121", b"TO:<real@evil.example <user@allowed.test>>"),
    ("S121", b"TO:<<user@allowed.test>>"),
    ("S123", b"TO:<user@allowed.test,real@evil.example>"),
    ("S123", b"TO:<user@allowed.test;real@evil.example>"),
    ("S123", b"TO:<g:user@allowed.test,real@evil.example;>"),
    ("S126", b"TO:<user@allowed.test\x00.evil.example>"),
    ("S126", b"TO:<us\x00er@allowed.test>"),
    ("S128", b"TO:<user>"),
    ("S128", b"TO:<user@>"),
    ("S129", b"TO:<>"),
    ("S130", b"TO:<" + LOCAL_64.encode() + b"a@wild.test>"),
    ("S130", b"TO:<" + b"a" * 300 + b"@wild.test>"),
    ("S130", b"TO:<a@" + LABEL_63.encode() + b"l.test>"),
    ("S130", b"TO:<a@" + DOMAIN_253.encode() + b">"),  # 255 octets in all
    ("S130", b"TO:<a@" + DOMAIN_254.encode() + b">"),
    ("S134", b"TO:<$(id)@wild.test>"),
    ("S135", b"TO:<.user@allowed.test>"),
    ("S135", b"TO:<user.@allowed.test>"),
    ("S135", b"TO:<us..er@allowed.test>"),
    ("S137", b"TO:<us\xe9r@allowed.test>"),
    ("S137", b"TO:<us\xc0\xaer@allowed.test>"),
    ("S143", b"TO:<user@al_lowed.test>"),
]
# 553 5.6.7: they need SMTPUTF8 at MAIL.
NEED_UTF8 = [
    ("S137", b"TO:<us\xc3\xa9r@allowed.test>"),
    ("S138", b"TO:<user@b\xc3\xbccher.example>"),
]

# What the store may hold when somebody wrote into it: none of it is one address printed by us.
WRITTEN_BY_HAND = [
    ("S094", "user@allowed.test>\r\nRCPT TO:<real@evil.example"),
    ("S094", "user@allowed.test\nRCPT TO:<real@evil.example>"),
    ("S095", "user@allowed.test> NOTIFY=NEVER ORCPT=rfc822;real@evil.example"),
    ("S095", "user@allowed.test NOTIFY=NEVER"),
    ("S105", '"real@evil.example"@nexthop.test'),
    ("S109", "real%evil.example@nexthop.test"),
    ("S113", "@allowed.test:real@evil.example"),
    ("S115", "user@allowed.test@evil.example"),
    ("S123", "user@allowed.test,real@evil.example"),
    ("S126", "user@allowed.test\0.evil.example"),
    ("S129", ""),
]

# The same MTAs with no relay in front (CASES 2.E, measured): so do leaks look that must not happen.
MEASURED = {
    "postfix": [b'TO:<"real@evil.example"@nexthop.test>', b"TO:<real%evil.example@nexthop.test>",
                b"TO:<evil.example!real@nexthop.test>", b"TO:<@allowed.test:real@evil.example>"],
    "exim": [b"TO:<@allowed.test:real@evil.example>"],
    "opensmtpd": [b"TO:<@allowed.test:real@evil.example>"],
    "sendmail": [b'TO:<"real@evil.example"@nexthop.test>', b"TO:<real%evil.example@nexthop.test>",
                 b"TO:<@allowed.test:real@evil.example>"],
}


class Chain:
    """An MTA, and the next hop that it passes everything on to."""

    def __init__(self, name, folder):
        self.name = name
        self.back = NextHop()
        self.mta = PASSING[name](*Authority(folder / "ca").sign("mta", "/CN=localhost"),
                                 self.back.port)

    def close(self):
        self.mta.stop()
        self.back.close()

    def passed_on(self):
        """Case (its X-Case field) to the recipients of each copy."""
        found = {}
        for message in self.back.snapshot():
            name = email.message_from_bytes(message.content)["X-Case"]
            found.setdefault(name, []).append(message.recipients)
        return found

    def wait(self, names):
        wait_for(lambda: set(names) <= set(self.passed_on()),
                 "%s to pass on %s" % (self.name, sorted(names)))


@pytest.fixture(scope="module", params=sorted(PASSING))
def chain(request, tmp_path_factory, cache):
    try:
        chain = Chain(request.param, tmp_path_factory.mktemp("chain"))
    except Missing as missing:
        pytest.skip(str(missing))
    try:
        chain.mta.start()
        yield chain
    except Missing as missing:
        pytest.skip(str(missing))
    finally:
        chain.close()


def content(name):
    return b"X-Case: %s\r\nSubject: %s\r\n\r\nhello\r\n" % (name.encode(), name.encode())


def offer(client, rcpt, parameters=b"", sender=b"<app@shop.test>"):
    """MAIL and this RCPT; the code of the latter. What else is answered belongs to the line."""
    client.write(b"MAIL FROM:" + sender + parameters + b"\r\n")
    assert client.reply()[0] == 250, sender
    client.write(b"RCPT " + rcpt + b"\r\n")
    return client.reply()[0]


def send(client, name, rcpt, *more):
    """A message that must be taken; its id."""
    assert offer(client, rcpt, *more) == 250, (name, rcpt)
    assert client.command("DATA")[0] == 354
    client.write(stuff(content(name)) + b".\r\n")
    return queued_id(client.reply())


def refuse(client, rcpt, want):
    """Nothing of the line may stay behind: there is nobody to send to."""
    assert offer(client, rcpt) == want, rcpt
    for _ in range(rcpt.count(b"\n")):  # ends a command, so the rest is another
        assert client.reply()[0] in (500, 501)
    assert client.command("DATA")[0] in (503, 554), rcpt
    assert client.command("RSET")[0] == 250


def named(rows):
    """(name of its own, row) of each"""
    return [("%s-%d" % (row[0], i), row) for i, row in enumerate(rows)]


def send_all(relay):
    """Message ids by name."""
    sent = {}
    with Smtp(relay.smtp_port) as client:
        for rows, parameters in ((LEAVES + KEPT, b""), (LEAVES_UTF8 + KEPT_UTF8, b" SMTPUTF8")):
            for name, row in named(rows):
                name += parameters.decode().strip()
                sent[name] = (send(client, name, row[1], parameters), row)
        for _, rcpt in REFUSED:
            refuse(client, rcpt, 501)
        for _, rcpt in NEED_UTF8:
            refuse(client, rcpt, 553)
    return sent


def same_mailbox(judged, passed):
    """Domains without regard to case; local parts are theirs (RFC 5321 2.4)."""
    ours, theirs = judged.rpartition("@"), passed.rpartition("@")
    return ours[0] == theirs[0] and ours[2].lower() == theirs[2].lower()


def test_recipients_at_real_mtas(make_daemon, chain):
    """S085 to S143, and S148 and S150: what arrives is the judged mailbox, or nothing."""
    relay = make_daemon(chain.mta.host("none"), "smtp: {max_errors: 10000}\n")
    relay.allow(*LISTED)
    sent = send_all(relay)
    expected = {name: row[2] for name, (_, row) in sent.items() if len(row) == 3}
    for name, (number, row) in sent.items():
        want = "delivered" if name in expected else "dropped"
        wait_for(lambda: set(relay.states(number).values()) == {want},
                 "%s %r to be %s: %s" % (name, row[1], want, relay.message(number)))
    chain.wait(expected)
    passed = {name: copies for name, copies in chain.passed_on().items() if name in sent}
    wrong = {name: copies for name, copies in passed.items()
             if len(copies) != 1 or len(copies[0]) != 1 or name not in expected
             or not same_mailbox(expected[name], copies[0][0])}
    assert wrong == {}
    assert set(passed) == set(expected)


def mailboxes():
    """What stands between the brackets of each form, as far as JSON can hold it; some forms differ
    only outside of them."""
    plain = [row[2] for row in LEAVES]
    for row in LEAVES + LEAVES_UTF8 + KEPT + KEPT_UTF8 + REFUSED:
        try:
            text = row[1].partition(b"<")[2].rpartition(b">")[0].decode()
        except UnicodeDecodeError:
            continue
        if len(row) == 3 or text not in plain:
            yield row[0], text, row[2:]


def test_released_to_somebody_else(make_daemon, chain):
    """S159, and S085 to S143 once more: the same forms, as whom a person releases mail to."""
    relay = make_daemon(chain.mta.host("none"))
    relay.allow(*LISTED)
    forms = list(mailboxes())
    expected = {}
    for i, (case, text, leaves) in enumerate(forms):
        name, stranger = "released-%s-%d" % (case, i), "stranger%d@nobody.test" % i
        with Smtp(relay.smtp_port) as client:
            send(client, name, b"TO:<%s>" % stranger.encode())
        answer = relay.request("POST", "/api/v1/recipients/release",
                               {"address": stranger, "to": text})
        assert answer.status in (200, 400), (text, answer.body)
        released = answer.status == 200 and answer.json["changed"]
        assert bool(released) == bool(leaves), (case, text, answer.body)
        if leaves:
            expected[name] = leaves[0]
    assert len(expected) == len(LEAVES + LEAVES_UTF8)
    wait_for(lambda: len(relay.all_items("/recipients?state=delivered&limit=100"))
             == len(expected), "%d to be delivered" % len(expected))
    chain.wait(expected)
    passed = {n: c for n, c in chain.passed_on().items() if n and n.startswith("released-")}
    assert set(passed) == set(expected)
    for name, copies in passed.items():
        assert len(copies) == 1 and len(copies[0]) == 1, (name, copies)
        assert same_mailbox(expected[name], copies[0][0]), (name, copies)


def test_rows_written_by_hand(make_daemon, chain):
    """S094, S095 and others, in the store behind the parser's back: nothing of it leaves."""
    relay = make_daemon(chain.mta.host("none"))
    relay.allow(*LISTED)
    relay.post("/delivery/pause")
    texts = {"%s-by-hand" % name: text for name, (_, text) in named(WRITTEN_BY_HAND)}
    with Smtp(relay.smtp_port) as client:
        numbers = {name: send(client, name, b"TO:<user@allowed.test>") for name in texts}
        last = send(client, "S094-last", b"TO:<user@allowed.test>")
    assert relay.stop() == 0
    with sqlite3.connect(relay.data_dir / "stagepost.db") as db:
        for name, text in texts.items():
            changed = db.execute("UPDATE recipient SET address = ? WHERE id >> 16 = "
                                 "(SELECT id FROM message WHERE subject = ?)", (text, name))
            assert changed.rowcount == 1
    db.close()
    relay.start()
    relay.post("/delivery/resume")
    relay.wait_states(last, {"user@allowed.test": "delivered"})
    for name, number in numbers.items():
        wait_for(lambda: set(relay.states(number).values()) == {"held"},
                 "%r to be held: %s" % (texts[name], relay.message(number)))
        assert "damaged" in relay.message(number)["recipients"][0]["reason"]
        # Nor does it leave when a person lets it go.
        relay.request("POST", "/api/v1/messages/%s/release" % number, {})
    second = "S094-second"
    with Smtp(relay.smtp_port) as client:
        last = send(client, second, b"TO:<user@allowed.test>")
    relay.wait_states(last, {"user@allowed.test": "delivered"})
    for name, number in numbers.items():
        assert set(relay.states(number).values()) <= {"held", "dropped"}, texts[name]
    chain.wait(["S094-last", second])
    assert [name for name in chain.passed_on() if name and "by-hand" in name] == []


def test_rules_let_out_plain_addresses_only(make_daemon, chain):
    """A rule that overrides the list does not make a form safe that MTAs read in two ways."""
    relay = make_daemon(chain.mta.host("none"))
    relay.post("/rules", {"name": "all", "action": "deliver", "overrides_whitelist": True,
                          "sender": "shop.test"})
    plain = ("S132", "S148", "S150")
    expected, kept = {}, {}
    with Smtp(relay.smtp_port) as client:
        for name, row in named(LEAVES + [row for row in KEPT if row[0] not in plain]):
            name = "rule-" + name
            number = send(client, name, row[1])
            # What only an exact entry may name it has none for here.
            if len(row) == 3 and not set(row[2]) & set("%!=/"):
                expected[name] = row[2]
            else:
                kept[number] = row
    chain.wait(expected)
    for number, row in kept.items():
        wait_for(lambda: set(relay.states(number).values()) == {"dropped"},
                 "%r to be dropped: %s" % (row, relay.message(number)))
    passed = {n: c for n, c in chain.passed_on().items() if n and n.startswith("rule-")}
    assert set(passed) == set(expected)
    for name, copies in passed.items():
        assert len(copies) == 1 and same_mailbox(expected[name], copies[0][0]), (name, copies)


def test_where_their_bounces_go(make_daemon, chain):
    """S173: what the MTA can't deliver it sends back, and to nobody whom we would not send to."""
    relay = make_daemon(chain.mta.host("none"))
    relay.allow(*LISTED)
    chain.back.replies["refused@wild.test"] = "550 5.1.1 nobody of that name"
    before = len(chain.back.offered)
    # A sender has a domain.
    senders = [row[1][3:] for row in KEPT if b"@" in row[1]] + [b"<real@evil.example>"]
    with Smtp(relay.smtp_port) as client:
        for i, sender in enumerate(senders):
            send(client, "S173-%d" % i, b"TO:<refused@wild.test>", b"", sender)
        last = send(client, "S173-last", b"TO:<refused@wild.test>", b"", b"<first_last@allowed.test>")
    relay.wait_states(last, {"refused@wild.test": "delivered"})
    wait_for(lambda: relay.get("/status")["queue"]["recipients"].get("delivered") ==
             len(senders) + 1, "all to be delivered")
    # One of a sender who is listed comes back, so that bounces are known to be made.
    wait_for(lambda: chain.back.copies_for("first_last@allowed.test"), "a bounce")
    wait_for(lambda: chain.back.offered.count("refused@wild.test") >= len(senders) + 1,
             "all to be refused")
    # The source route of one sender leads to a listed mailbox, which is what leaves of it.
    assert set(chain.back.offered[before:]) <= {
        "refused@wild.test", "first_last@allowed.test", "user@allowed.test"}


def test_without_us_they_leak(chain):
    """What the tests above look for is seen where it happens."""
    with Smtp(chain.mta.ports["smtp"]) as client:
        for i, rcpt in enumerate(MEASURED[chain.name]):
            name = "measured-%d" % i
            assert offer(client, rcpt) == 250, rcpt
            assert client.command("DATA")[0] == 354
            client.write(content(name) + b".\r\n")
            assert client.reply()[0] == 250
            chain.wait([name])
            assert chain.passed_on()[name] == [["real@evil.example"]], rcpt
