"""Several hosts of a route: who gets the mail, who rests, who comes back."""

import socket
import struct
import subprocess
import threading
import time

from daemon import PATIENCE, STAGEPOST, Smtp, wait_for
from nexthop import NextHop

MESSAGE = b"Subject: by one of several\r\n\r\nhello\r\n"


def settings(*hosts, more=""):
    return ("delivery: {schedule: [300ms, 500ms, 1s]}\n"
            "routes: [{name: test, hosts: [%s], tls: none%s}]\n" % (
                ", ".join('"%s"' % h.address for h in hosts), more))


def send(relay, count, tag):
    """Ids; each message to an address of its own."""
    with Smtp(relay.smtp_port) as client:
        return {"%s%d@example.com" % (tag, i):
                client.send("app@example.com", ["%s%d@example.com" % (tag, i)], MESSAGE)
                for i in range(count)}


def wait_delivered(relay, sent):
    for address, message in sent.items():
        relay.wait_states(message, {address: "delivered"})


def copies(sent, *hops):
    """Address to the number of copies at all hops together."""
    return {a: sum(len(h.copies_for(a)) for h in hops) for a in sent}


def hosts(relay):
    route = relay.get("/routes")["items"][0]
    return {h["host"]: h for h in route["hosts"]}


def test_the_second_host_stands_in_and_the_first_comes_back(make_daemon):
    first, second = NextHop(), NextHop()
    relay = make_daemon(settings=settings(first, second))
    relay.allow("example.com")
    sent = send(relay, 20, "a")
    wait_delivered(relay, sent)
    assert (len(first.snapshot()), len(second.snapshot())) == (20, 0)

    first.kill()
    more = send(relay, 20, "b")
    wait_delivered(relay, more)
    sent.update(more)
    assert len(second.snapshot()) == 20
    told = hosts(relay)
    assert not told[first.address]["well"]
    assert "refused" in told[first.address]["last_error"], told
    assert told[second.address]["well"] and told[second.address]["connections"] > 0
    text = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "status"], check=True,
                          capture_output=True, text=True).stdout
    assert "HOST IN TROUBLE" in text and first.address in text, text

    again = NextHop(port=first.port)
    serial = 0
    deadline = time.monotonic() + PATIENCE
    while len(again.snapshot()) < 3:
        assert time.monotonic() < deadline
        more = send(relay, 1, "c%d-" % serial)
        wait_delivered(relay, more)
        sent.update(more)
        serial += 1
    assert hosts(relay)[first.address]["well"]
    # Nothing lost, nothing twice: the connection that died had nothing under way.
    assert set(copies(sent, first, second, again).values()) == {1}
    second.close()
    again.close()


def test_killed_in_the_middle(make_daemon):
    """What was under way is tried again; nothing is lost, and only that can be there twice."""
    first, second = NextHop(), NextHop()
    first.hold_final = True
    relay = make_daemon(settings=settings(first, second))
    relay.allow("example.com")
    sent = send(relay, 30, "a")
    assert first.paused.wait(PATIENCE)
    first.kill()
    wait_delivered(relay, sent)
    assert all(n == 1 for n in copies(sent, second).values()), copies(sent, second)
    second.close()


def test_by_turns(make_daemon):
    hops = [NextHop() for _ in range(3)]
    relay = make_daemon(settings=settings(*hops, more=", balance: round-robin"))
    relay.allow("example.com")
    sent = send(relay, 90, "a")
    wait_delivered(relay, sent)
    counts = [len(h.snapshot()) for h in hops]
    assert sum(counts) == 90 and min(counts) >= 20, counts

    hops[1].kill()
    more = send(relay, 40, "b")
    wait_delivered(relay, more)
    assert set(copies(more, *hops).values()) == {1}
    after = [len(h.snapshot()) for h in hops]
    assert after[1] == counts[1] and min(after[0] - counts[0], after[2] - counts[2]) >= 12, after
    for hop in hops:
        hop.close()


def test_queued_mail_follows_a_new_back_end(make_daemon):
    """Changing the back-end is a reload; what is known of the hosts that stay is kept."""
    dead, live = NextHop(), NextHop()
    dead.kill()
    relay = make_daemon(settings=settings(dead))
    relay.allow("example.com")
    sent = send(relay, 10, "a")
    wait_for(lambda: not hosts(relay)[dead.address]["well"], "the host to rest")
    relay.write_config(settings(dead, live))
    relay.hup()
    wait_delivered(relay, sent)
    assert set(copies(sent, live).values()) == {1}
    told = hosts(relay)
    assert list(told) == [dead.address, live.address]
    assert not told[dead.address]["well"] and told[dead.address]["last_error"]
    live.close()


def test_our_own_listener_is_no_next_hop(make_daemon):
    relay = make_daemon(start=False)
    relay.write_config('routes: [{name: test, tls: none, hosts: ["localhost:%d"]}]\n'
                       % relay.smtp_port)
    relay.start(wait=False)
    assert relay.process.wait(PATIENCE) == 78
    relay.process = None
    assert "routes.0.hosts.0: is a listener of this server" in relay.log()


def test_by_ipv6(make_daemon):
    hop = NextHop(host="::1")
    relay = make_daemon(settings=settings(hop, more=', source_address: "::1"'))
    relay.allow("example.com")
    sent = send(relay, 3, "a")
    wait_delivered(relay, sent)
    history = relay.message(sent["a0@example.com"])["recipients"][0]["history"]
    assert history[-1]["remote"] == "[::1]:%d" % hop.port
    hop.close()


class Names(threading.Thread):
    """A name server: (name, type) to what stands behind the TTL, in bytes; else no such name."""

    def __init__(self, table):
        super().__init__(daemon=True)
        self.table = table
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            question, client = self.socket.recvfrom(1000)
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1: at + 1 + question[at]].decode())
                at += 1 + question[at]
            kind = struct.unpack(">H", question[at + 1: at + 3])[0]
            asked = (".".join(labels).lower(), kind)
            self.asked.append(asked)
            answers = self.table.get(asked, [])
            known = any(name == asked[0] for name, _ in self.table)
            reply = question[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1,
                                               len(answers), 0, 0) + question[12: at + 5]
            for data in answers:
                reply += struct.pack(">HHHIH", 0xC00C, kind, 1, 300, len(data)) + data
            self.socket.sendto(reply, client)


def wire(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def test_by_mx(make_daemon, hop):
    """Each domain's own hosts; none is needed for one that takes no mail."""
    mx, a = 15, 1
    names = Names({
        ("example.com", mx): [b"\0\x14" + wire("back.example.com"),
                              b"\0\x0a" + wire("mail.example.com")],
        ("mail.example.com", a): [socket.inet_aton("127.0.0.1")],
        ("back.example.com", a): [socket.inet_aton("127.0.0.2")],
        ("null.example", mx): [b"\0\0\0"],
    })
    relay = make_daemon(settings=(
        "delivery: {dns: [\"127.0.0.1:%d\"], schedule: [300ms, 500ms, 1s]}\n"
        'routes: [{name: test, hosts: ["mx:%d"], tls: none}]\n' % (names.port, hop.port)))
    relay.allow("example.com", "null.example", "missing.example")
    with Smtp(relay.smtp_port) as client:
        message = client.send("app@example.com", [
            "ann@example.com", "bob@null.example", "cid@missing.example"], MESSAGE)

    def told():
        return {r["address"]: r for r in relay.message(message)["recipients"]}

    wait_for(lambda: [r["state"] for _, r in sorted(told().items())]
             == ["delivered", "failed", "deferred"], "the three outcomes")
    rows = told()
    assert rows["ann@example.com"]["history"][-1]["remote"] == (
        "mail.example.com[127.0.0.1]:%d" % hop.port)
    assert "null MX" in rows["bob@null.example"]["reason"]
    assert "NXDOMAIN" in rows["cid@missing.example"]["reason"]
    assert len(hop.copies_for("ann@example.com")) == 1
    wait_for(lambda: hop.copies_for("app@example.com"), "the report about bob")
    assert b"Status: 5.1.10" in hop.copies_for("app@example.com")[0].content
    assert not hop.copies_for("bob@null.example") + hop.copies_for("cid@missing.example")
    assert list(hosts(relay)) == ["mail.example.com:%d" % hop.port,
                                  "back.example.com:%d" % hop.port]
