"""CASES 2.I: everything a next hop can do wrong ends in a state with a reason, and no promise
breaks. What takes minutes in the world takes a second here, by the settings of farm.py."""

import re
import time

import pytest

from daemon import Smtp, wait_for
from farm import BODY, SENDER
from hop import (BlackHole, Hop, Scripted, Step, also, deaf, drip, drop, garble, late, lines,
                 raw, reset, say, stall, then)

BIG = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 13000  # 1 MB: more than sockets hold


def once(stage, act):
    return [Step(stage, act, last=1)]


def check_first(farm, wanted):
    """name to (event, code, pattern of the reason) of the first attempt."""
    wrong = {}
    for name, (event, code, reason) in wanted.items():
        got = farm.wait_first(name)
        if got[:2] != (event, code) or not re.search(reason, got[2]):
            wrong[name] = (got, (event, code, reason))
    assert wrong == {}


def test_s212_s213_s214_the_last_reply_decides(farm):
    farm.hop("yes")
    farm.hop("no", once("dot", say("550 5.7.1 spam")))
    farm.hop("later", once("dot", say("451 4.3.0 busy")))
    farm.hop("refused", once("rcpt", say("550 5.1.1 nobody")))
    farm.hop("full", once("rcpt", say("452 4.2.2 full")))
    farm.start().send_all()
    farm.wait_settled()
    check_first(farm, {
        "yes": ("delivered", 250, "accepted by the next hop"),
        "no": ("failed", 550, "after the message: 550 5.7.1 spam"),
        "later": ("deferred", 451, "after the message: 451 4.3.0 busy"),
        "refused": ("failed", 550, "RCPT TO: 550 5.1.1 nobody"),
        "full": ("deferred", 452, "RCPT TO: 452 4.2.2 full"),
    })
    counts = farm.check().counts
    assert (counts["recipients delivered"], counts["recipients failed"]) == (3, 2)
    assert {name: len(hop.messages) for name, hop in farm.hops.items()} == {
        "yes": 1, "no": 0, "later": 1, "refused": 0, "full": 1}


def test_s215_s217_s240_connections_that_break(farm):
    """Before the dot nothing has happened; behind it the copy is in doubt, and waits longer."""
    farm.hop("early", once("data", then(say("354 go"), drop())))
    farm.hop("early-rst", once("data", then(say("354 go"), reset())))
    farm.hop("in-data", [Step("body", drop(), at=50000, last=1)])
    farm.hop("in-data-rst", [Step("body", reset(), at=50000, last=1)])
    farm.hop("deaf", [Step("body", then(deaf(), drop()), at=50000, last=1)])
    farm.hop("no-354", once("data", drop()))
    farm.hop("dot", once("dot", drop()))
    farm.hop("dot-rst", once("dot", reset()))
    farm.hop("dot-taken", once("dot", drop(taken=True)))
    farm.start().send_all(BIG)
    broken = r"closed the connection|closed by the peer|Connection reset|Broken pipe"
    wanted = {name: ("deferred", None, broken) for name in farm.hops}
    for name in ("dot", "dot-rst", "dot-taken"):
        wanted[name] = ("deferred", None, "(%s).*; it may have arrived" % broken)
    check_first(farm, wanted)
    farm.wait_settled()
    counts = farm.check().counts
    assert counts["recipients delivered"] == len(farm.hops)
    assert counts["second copies after an unanswered dot"] == 1
    for name, hop in farm.hops.items():
        assert [m.content.endswith(BIG) for m in hop.messages] == [True] * (
            2 if name == "dot-taken" else 1), name
        waited = farm.history(name)[1][3] - farm.history(name)[0][3]
        assert waited > (0.75 if name.startswith("dot") else 0.2), (name, waited)


def test_s216_s227_s243_every_silence_has_its_limit(farm):
    """Measured: silence at each stage lasts as long as the route's settings say, in total."""
    for stage in ("greeting", "ehlo", "mail", "rcpt", "data", "dot", "rset"):
        farm.hop(stage, once(stage, stall()), extensions=("SIZE 1000000",))
    farm.hops["rset"].script.append(Step("rcpt", say("550 5.1.1 no"), last=1))
    farm.hop("drip-greeting", once("greeting", drip("220 slow", 0.3)))
    farm.hop("drip-rcpt", once("rcpt", drip("250 slow", 0.3)))
    farm.hop("drip-dot", once("dot", drip("250 slow", 0.3)))
    farm.hop("drip-lines", once("mail", then(
        *[late(0.3, raw(b"250-more\r\n")) for _ in range(10)], say("250 end"))))
    farm.start().send_all()
    slow = "did not answer in time"
    wanted = {name: ("deferred", None, slow) for name in farm.hops}
    wanted["dot"] = wanted["drip-dot"] = ("deferred", None, slow + ".*it may have arrived")
    wanted["rset"] = ("failed", 550, "RCPT TO: 550")
    check_first(farm, wanted)
    for name in set(farm.hops) - {"rset"}:
        assert 0.9 <= farm.history(name)[0][3] < 3, (name, farm.history(name)[0])
    farm.wait_settled()
    farm.check()


def test_s221_each_recipient_has_its_own_answer(farm):
    hop = farm.hop("mix", [
        Step("rcpt", say("550 5.1.1 nobody"), match="r1@"),
        Step("rcpt", say("450 4.2.0 later"), match="r2@", last=1),
        Step("rcpt", say("252 2.1.5 will see"), match="r3@"),
        Step("rcpt", say("552 5.2.2 too big for it"), match="r4@"),
        Step("rcpt", say("553 5.1.3 odd"), match="r5@"),
        Step("rcpt", say("452 4.5.3 too many"), match="r6@", last=2),
        Step("rcpt", say("251 2.1.5 forwarded"), match="r7@"),
    ])
    farm.start()
    names = ["r%d" % i for i in range(10)]
    farm.send("mix", names)
    farm.wait_settled()
    states = {name: farm.recipient("mix", name)["state"] for name in names}
    assert states == {name: "failed" if name in ("r1", "r4", "r5") else "delivered"
                      for name in names}
    # Nobody gets a second copy, and only the 4xx are tried again.
    offered = {name: hop.offered.count(name + "@mix.test") for name in names}
    assert offered == {name: {"r2": 2, "r6": 3}.get(name, 1) for name in names}
    farm.check()


def test_s221_421_or_garbage_among_the_answers(farm):
    """421 and nonsense end the connection; those who had their answer keep it or come again."""
    hop = farm.hop("gone", [Step("rcpt", then(say("421 4.3.2 closing"), drop()), match="r5@",
                                 last=1)])
    other = farm.hop("garbage", [Step("rcpt", garble("nonsense"), match="r5@", last=1)])
    farm.start()
    names = ["r%d" % i for i in range(10)]
    farm.send("gone", names)
    farm.send("garbage", names)
    farm.wait_settled()
    for name in names:
        for where in ("gone", "garbage"):
            assert farm.recipient(where, name)["state"] == "delivered"
        # Waits differ by up to a fifth, so they may come in more than one transaction, but once.
        assert len(hop.copies_for(name + "@gone.test")) == 1
        assert len(other.copies_for(name + "@garbage.test")) == 1
    assert farm.history("gone", "r5")[0][:2] == ("deferred", 421)
    farm.check()


def test_s222_all_refused_and_354(farm):
    """No recipient, no DATA: whatever the next hop would have answered."""
    hop = farm.hop("all", [Step("rcpt", say("550 5.1.1 nobody")),
                           Step("data", say("354 go on, nobody will get it"))])
    farm.start().send("all", ["a", "b", "c"])
    farm.wait_settled()
    assert {farm.recipient("all", name)["state"] for name in "abc"} == {"failed"}
    assert hop.reached("data") == 0 and hop.messages == []
    farm.check()


def test_s215_s225_breaks_among_many_recipients(farm):
    """With many replies outstanding (libesmtp would crash: relay/deliver/carry.c, dismiss())."""
    names = ["r%d" % i for i in range(20)]
    farm.hop("mail", once("mail", drop()))
    farm.hop("mail-no", once("mail", say("550 5.7.1 not you")))
    farm.hop("mail-later", once("mail", say("450 4.7.1 not now")))
    farm.hop("first", once("rcpt", drop()))
    farm.hop("middle", [Step("rcpt", reset(), match="r9@", last=1)])
    farm.hop("last", [Step("rcpt", drop(), match="r19@", last=1)])
    farm.hop("data", once("data", drop()))
    farm.hop("silent", once("rcpt", stall()))
    farm.hop("one-by-one", [Step("rcpt", drop(), match="r9@", last=1)], extensions=())
    farm.start()
    with Smtp(farm.daemon.smtp_port) as client:
        for name in farm.hops:
            farm.send(name, names, client=client)
    farm.wait_settled()
    counts = farm.check().counts
    assert counts["recipients failed"] == 20
    assert counts["recipients delivered"] == 20 * (len(farm.hops) - 1)


def test_s231_one_reply_too_many(farm):
    """Then each answer seems to be meant for the next recipient: none of them is believed."""
    names = ["a", "b", "c", "d"]
    farm.hop("more", [Step("rcpt", also("250 more"), match="a@", last=1),
                      Step("rcpt", say("550 5.1.1 nobody"), match="c@")])
    farm.start().send("more", names)
    for local in names:
        event, code, reason, _ = farm.wait_first("more", local)
        assert (event, code) == ("deferred", None), (local, event, code)
        assert re.search("more than it was asked|neither 354 nor a no", reason)
    farm.wait_settled()
    states = [farm.recipient("more", local)["state"] for local in names]
    assert states == ["delivered", "delivered", "failed", "delivered"]
    farm.check()


@pytest.mark.parametrize("closes", [True, False])
def test_s223_421_anywhere(farm, closes):
    stages = ("greeting", "ehlo", "mail", "rcpt", "data", "dot")
    answer = say("421 4.3.2 try later")
    for stage in stages:
        farm.hop(stage, once(stage, then(answer, drop()) if closes else answer))
    farm.start().send_all()
    check_first(farm, {
        "greeting": ("deferred", None, "greeting: 421 try later"),
        "ehlo": ("deferred", None, "EHLO: 421 try later"),
        "mail": ("deferred", 421, "MAIL FROM: 421 4.3.2 try later"),
        "rcpt": ("deferred", 421, "RCPT TO: 421 4.3.2 try later"),
        "data": ("deferred", 421, "DATA: 421 4.3.2 try later"),
        "dot": ("deferred", 421, "after the message: 421 4.3.2 try later"),
    })
    farm.wait_settled()
    assert farm.check().counts["recipients delivered"] == len(stages)
    # One connection that was told to go, one that did it.
    assert {name: hop.connections for name, hop in farm.hops.items()} == dict.fromkeys(stages, 2)


def test_s223_no_hammering(farm):
    """A next hop that sends everybody away sees few connections, and gets its mail in the end."""
    hop = farm.hop("away", [Step("greeting", then(say("421 4.3.2 too busy"), drop()))])
    farm.start()
    with Smtp(farm.daemon.smtp_port) as client:
        for _ in range(50):
            farm.send("away", client=client)
    time.sleep(2.5)
    assert 2 <= hop.connections <= 10, hop.connections
    farm.behave()
    farm.wait_settled()
    assert len(hop.messages) == 50
    farm.check()


def test_s224_later_for_ever(farm):
    farm.hop("never", [Step("rcpt", say("450 4.2.0 not today"))])
    farm.hop("closed", [Step("greeting", drop())])
    farm.start(expire_after="2s").send_all()
    for name in ("never", "closed"):
        farm.wait_state(name, "expired")
    assert "450 4.2.0 not today" in farm.recipient("never")["reason"]
    assert "closed the connection" in farm.recipient("closed")["reason"]
    attempts = farm.history("never")
    assert {a[0] for a in attempts[:-1]} == {"deferred"} and attempts[-1][0] == "expired"
    gaps = [b[3] - a[3] for a, b in zip(attempts, attempts[1:-1])]
    assert all(gap >= 0.2 for gap in gaps), gaps
    farm.check()


def test_s225_no_at_mail(farm):
    answers = {"size": "552 5.3.4 too big", "spf": "550 5.7.23 SPF says no",
               "login": "530 5.7.0 log in first", "full": "452 4.3.1 disk full"}
    for name, text in answers.items():
        farm.hop(name, once("mail", say(text)))
    farm.start().send_all()
    check_first(farm, {
        "size": ("failed", 552, "MAIL FROM: 552 5.3.4 too big"),
        "spf": ("failed", 550, "MAIL FROM: 550 5.7.23 SPF says no"),
        # The configuration is wrong, not the message.
        "login": ("deferred", 530, "the next hop wants a login: 530"),
        "full": ("deferred", 452, "MAIL FROM: 452 4.3.1 disk full"),
    })
    # The queue is not blocked by any of them.
    for name in answers:
        farm.send(name)
    farm.wait_settled()
    counts = farm.check().counts
    assert (counts["recipients delivered"], counts["recipients failed"]) == (6, 2)


def test_s225_so_many_messages_a_connection(farm):
    """As OpenSMTPD does: after that each MAIL is refused. No attempt is lost by it."""
    hop = farm.hop("few")
    farm.hops["few"].converse = lambda connection, number: Few(hop, connection, number)
    farm.start()
    with Smtp(farm.daemon.smtp_port) as client:
        for _ in range(100):
            farm.send("few", client=client)
    farm.wait_settled()
    assert farm.check().counts["recipients delivered"] == 100
    for number in farm.sent["few"]:
        assert farm.daemon.message(number)["recipients"][0]["attempts"] == 1
    assert hop.connections <= 12


class Few(Scripted):
    """Ten messages a connection."""

    def respond(self, line, usual):
        taken = sum(1 for m in self.hop.snapshot() if m.connection == self.number)
        if line["event"] == "mail" and taken >= 10:
            usual = b"452 4.5.3 Too many messages sent\r\n"
        super().respond(line, usual)


def test_s226_a_poison_message(farm):
    """A thousand go through beside one at which the next hop always drops the connection."""
    hop = farm.hop("many", [Step("rcpt", drop(), match="poison")])
    farm.start(schedule=["300ms", "1h"])
    with Smtp(farm.daemon.smtp_port) as client:
        farm.send("many", ["poison"], client=client)
        for _ in range(1000):
            farm.send("many", client=client)
    wait_for(lambda: len(hop.messages) == 1000, "a thousand messages")
    wait_for(lambda: hop.offered.count("poison@many.test") == 2, "two tries of the poison")
    farm.wait_state("many", "deferred", "poison")
    assert len(farm.check(settled=False).waiting) == 1


def test_s229_black_holes(farm):
    """Eight addresses that swallow every packet; other mail goes on meanwhile."""
    holes = [BlackHole() for _ in range(8)]
    try:
        farm.route("hole", [hole.address for hole in holes], connect_timeout="300ms")
        farm.hop("good")
        farm.start().send("hole")
        began = time.monotonic()
        farm.send("good")
        farm.wait_state("good", "delivered")
        assert time.monotonic() - began < 1.5
        event, code, reason, after = farm.wait_first("hole")
        assert (event, code) == ("deferred", None) and "did not answer in time" in reason
        assert 2.3 < after < 5, after
        farm.check(settled=False)
    finally:
        for hole in holes:
            hole.close()


def test_s230_a_name_that_does_not_exist(farm):
    """May be a mistake of the configuration: later, not never."""
    farm.route("gone", ["no-such-host.invalid:25"])
    farm.start().send_all()
    event, code, reason, _ = farm.wait_first("gone")
    assert (event, code) == ("deferred", None) and "no-such-host.invalid" in reason
    farm.check(settled=False)


# name: (what is said, and when not to be taken for a reply at all)
ODD_REPLIES = {
    "line-4k": b"250 " + b"x" * 4096 + b"\r\n",
    "line-20k": b"250 " + b"x" * 20480 + b"\r\n",
    "lines-10000": lines(250, 10000),
    "endless": b"250-" + b"y" * 100 + b"\r\n250-" * 4000,
    "code-25": b"25 x\r\n",
    "code-2500": b"2500 x\r\n",
    "code-plus": b"+250 x\r\n",
    "blank-first": b" 250 x\r\n",
    "code-changes": b"250-x\r\n550 y\r\n",
    "code-changes-to-yes": b"550-x\r\n250 y\r\n",
    "code-150": b"150 x\r\n",
    "code-650": b"650 x\r\n",
    "letters": b"OK\r\n",
    "empty": b"\r\n",
    "http": b"HTTP/1.1 200 OK\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
}
HARMLESS_REPLIES = {
    "nul": b"450 a\x00b\r\n",
    "eight-bit": b"450 \xff\xfe \xc3\xa4\r\n",
    "escape": b"450 \x1b]0;x\x07\x1b[2J\r\n",
    "bare-cr": b"450 a\rb\r\n",
    "lf-only": b"450 a\n",
    "no-text": b"450\r\n",
    "long": b"450 4.2.0 " + b"z" * 1500 + b"\r\n",
}


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data", "dot"])
def test_s231_replies_that_are_none(farm, stage):
    """Nothing is believed, nothing crashes, the next attempt succeeds."""
    for name, data in ODD_REPLIES.items():
        farm.hop(name, once(stage, garble(data, taken=stage == "dot")))
    farm.start().send_all()
    for name in farm.hops:
        event, code, reason, _ = farm.wait_first(name)
        assert event == "deferred", (name, event, reason)
        assert len(reason) < 500 and reason.isprintable(), (name, reason)
        assert ("it may have arrived" in reason) == (stage == "dot"), (name, reason)
    farm.wait_settled()
    counts = farm.check().counts
    assert counts["recipients delivered"] == len(farm.hops)


def test_s231_replies_with_odd_text(farm):
    """A reply is a reply; its text is shown to people without harm."""
    for stage in ("mail", "rcpt", "data", "dot"):
        for name, data in HARMLESS_REPLIES.items():
            farm.hop("%s-%s" % (name, stage), once(stage, say(data)))
    farm.start().send_all()
    farm.wait_settled()
    for name in farm.hops:
        event, code, reason, _ = farm.history(name)[0]
        assert (event, code) == ("deferred", 450), (name, event, code, reason)
        assert len(reason) < 500 and reason.isprintable(), (name, reason)
    assert farm.check().counts["recipients delivered"] == len(farm.hops)
    assert "\x1b" not in farm.daemon.log()


def test_s231_more_than_was_asked(farm):
    """Replies nobody waits for must not be taken for the answers to what comes next."""
    farm.hop("behind-greeting", once("greeting", also("250 early")))
    farm.hop("behind-ehlo", once("ehlo", also("250 early")))
    farm.hop("behind-mail", once("mail", also("250 early")), extensions=())
    farm.hop("behind-rcpt", [Step("rcpt", also("250 early"), match="alice", last=1)],
             extensions=())
    farm.hop("behind-data", once("data", also("250 early")))
    farm.hop("behind-dot", once("dot", also("250 for the next")))
    farm.hop("data-250", once("data", say("250 taken already")))
    farm.hop("mail-354", once("mail", say("354 go")))
    farm.hop("rcpt-354", once("rcpt", say("354 go")))
    farm.hop("dot-354", once("dot", garble("354 go on")))
    farm.hop("ehlo-354", once("ehlo", say("354 go")))
    farm.hop("greeting-554", once("greeting", say("554 no service here")))
    farm.hop("idle-421", [Step("dot", then(also("421 4.4.2 bored"), drop()), last=1)])
    farm.start()
    for _ in range(3):
        farm.send_all(BIG)
    farm.wait_settled()
    assert farm.check().counts["recipients delivered"] == 3 * len(farm.hops)
    for name, hop in farm.hops.items():
        assert len(hop.messages) == 3, name
        assert all(m.content.endswith(BIG) for m in hop.messages), name


def test_s240_next_hop_closes_its_reading_side(farm):
    """What the kernel says to that (EPIPE, RST) ends nothing but the attempt."""
    for stage in ("greeting", "mail", "data"):
        farm.hop(stage, once(stage, then(deaf(), stall(0.5))))
    farm.start().send_all(BIG)
    farm.wait_settled()
    assert farm.check().counts["recipients delivered"] == 3


def test_s241_a_slow_reader(farm):
    """Slow, but moving: it gets the whole message, once (given up: test_next_hop_soak.py)."""
    hop = farm.hop("slow", rate=200000, receive_buffer=65536,
                   route={"final_reply_timeout": "2s"})
    farm.start().send("slow", body=BIG)
    farm.wait_state("slow", "delivered")
    assert [m.content.endswith(BIG) for m in hop.messages] == [True]
    event, _, _, after = farm.wait_first("slow")
    # Far beyond final_reply_timeout: that begins when everything has been sent.
    assert event == "delivered" and after > 3
    farm.check()


def test_s242_a_dead_next_hop_comes_back(farm):
    """A backlog drains by as many connections as the route allows, each message once."""
    hop = farm.hop("dead", route={"max_connections": 3})
    count = 500
    hop.close()
    farm.start(schedule=["500ms"])
    with Smtp(farm.daemon.smtp_port) as client:
        for _ in range(count):
            farm.send("dead", client=client)
    again = Hop(port=hop.port)
    farm.ledger.hops.append(again)
    try:
        wait_for(lambda: len(again.messages) == count, "the backlog", 120)
        farm.wait_settled()
        assert again.most_at_once <= 3
        assert again.connections <= 6
        farm.check()
    finally:
        again.close()


def test_s244_any_mixture_of_extensions(farm):
    """64 next hops: the same bytes and the same recipients for each."""
    words = ("PIPELINING", "8BITMIME", "SIZE 10000000", "DSN", "CHUNKING", "XUSR")
    for bits in range(64):
        farm.hop("x%d" % bits, extensions=[w for i, w in enumerate(words) if bits >> i & 1])
    farm.start()
    body = BODY + b"8-bit: \xc3\xa4\r\n" + b"long " * 300 + b"\r\n"
    with Smtp(farm.daemon.smtp_port) as client:
        for name in farm.hops:
            farm.send(name, ["a", "b", "c"], body, client)
    farm.wait_settled()
    assert farm.check().counts["recipients delivered"] == 3 * 64
    for name, hop in farm.hops.items():
        assert [sorted(m.recipients) for m in hop.messages] == [
            ["%s@%s.test" % (local, name) for local in "abc"]], name
        assert hop.messages[0].sender == SENDER
        assert not [line for line in hop.noted() if line["event"] in ("bdat", "xusr")]
