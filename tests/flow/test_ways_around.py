"""CASES 2.G: leaks that are not in the parser of RCPT."""

import subprocess

import pytest

from daemon import STAGEPOSTD, RECEIVED, Smtp, free_port, wait_for

CUSTOMER = "real@evil.example"
TESTER = "tester@allowed.test"
OTHER = "second@allowed.test"
BODY = b"Subject: order\r\n\r\nhello\r\n"


def send(relay, sender, recipients, content=BODY):
    with Smtp(relay.smtp_port) as client:
        return client.send(sender, recipients, content)


def senders(hop):
    return [line.split(" ")[1] for line in hop.lines if line.upper().startswith("MAIL ")]


def others(relay, *known):
    """Messages beside those: reports that the relay made itself."""
    return [m["id"] for m in relay.get("/messages")["items"] if m["id"] not in known]


@pytest.mark.parametrize("settings, allowed, leaves", [
    ("", [], "FROM:<>"),
    ("delivery: {bounce_to: qa@allowed.test}\n", ["qa@allowed.test"], "FROM:<qa@allowed.test>"),
    # Whom nobody allowed is not made a sender either.
    ("delivery: {bounce_to: qa@other.test}\n", [], "FROM:<>"),
    ("delivery: {senders: [evil.example]}\n", [], "FROM:<%s>" % CUSTOMER),
    ("", [CUSTOMER], "FROM:<%s>" % CUSTOMER),
])
def test_s173_where_bounces_would_go(make_daemon, hop, settings, allowed, leaves):
    """A customer as envelope sender does not leave: the next hop's bounces would go there."""
    relay = make_daemon(hop.address, settings)
    relay.allow(TESTER, *allowed)
    relay.wait_states(send(relay, CUSTOMER, [TESTER]), {TESTER: "delivered"})
    assert senders(hop) == [leaves]


def test_s174_no_report_to_strangers(relay, hop):
    """What fails for good is told to nobody who is not listed; the API has it all."""
    relay.allow(TESTER)
    hop.replies = {TESTER: "550 5.1.1 no such user"}
    number = send(relay, CUSTOMER, [TESTER])
    relay.wait_states(number, {TESTER: "failed"})
    (report,) = wait_for(lambda: others(relay, number), "the report")
    relay.wait_states(report, {CUSTOMER: "dropped"})
    assert relay.message(number)["recipients"][0]["last_reply"]["code"] == 550
    assert set(hop.offered) == {TESTER} and hop.snapshot() == []


def test_s174_no_report_when_time_is_up(make_daemon, hop):
    relay = make_daemon(hop.address, "delivery: {schedule: [200ms], expire_after: 1s}\n")
    relay.allow(TESTER)
    hop.replies = {TESTER: "451 4.2.0 later"}
    number = send(relay, CUSTOMER, [TESTER])
    relay.wait_states(number, {TESTER: "expired"})
    (report,) = wait_for(lambda: others(relay, number), "the report")
    relay.wait_states(report, {CUSTOMER: "dropped"})
    assert set(hop.offered) == {TESTER}


def test_s177_s179_headers_name_nobody(relay, hop):
    """Only the envelope counts; Bcc stays in what is stored and is not in what leaves."""
    relay.allow(TESTER)
    content = (b"From: shop@shop.test\r\nTo: real@evil.example, Second <second@allowed.test>\r\n"
               b"Cc: real2@evil.example\r\nBcc: real3@evil.example,\r\n other@allowed.test\r\n"
               b"Resent-Bcc: real4@evil.example\r\nApparently-To: real5@evil.example\r\n" + BODY)
    number = send(relay, "app@shop.test", [TESTER], content)
    relay.wait_states(number, {TESTER: "delivered"})
    assert hop.offered == [TESTER]
    (copy,) = hop.snapshot()
    assert b"bcc" not in copy.content.lower() and b"real3" not in copy.content
    assert b"real4" not in copy.content
    stored = relay.request("GET", "/api/v1/messages/%s/raw" % number).body
    assert stored == content


def test_s182_our_received_field_tells_no_more_than_one(relay, hop):
    """`for` with a single recipient; with several nobody learns of the others."""
    relay.allow(TESTER, OTHER)
    for recipients in ([TESTER], [TESTER, OTHER], [TESTER, CUSTOMER]):
        number = send(relay, "app@shop.test", recipients)
        relay.wait_states(number, {r: "dropped" if r == CUSTOMER else "delivered"
                                   for r in recipients})
        for copy in hop.copies_for(TESTER):
            field = RECEIVED.match(copy.content).group()
            assert (b"for <" in field) == (b"for <" + TESTER.encode() + b">" in field)
            assert CUSTOMER.encode() not in field and OTHER.encode() not in field
    by_count = [RECEIVED.match(m.content).group() for m in hop.snapshot()]
    assert b"for <tester@allowed.test>" in by_count[0]
    assert not any(b"for <" in field for field in by_count[1:])
    # What we call ourselves is our name, whatever the client said it was.
    assert [f["line"] for f in hop.noted() if f["event"] == "ehlo"][0] == "EHLO relay.test"


@pytest.mark.parametrize("host", [
    "", ":25", "0.0.0.0:25", "[::]:25", "[::ffff:0.0.0.0]:25", "0:25", "OWN", "localhost:OWN", "nowhere", "127.0.0.1:0",
    "127.0.0.1:70000", "real@evil.example:25", "a b:25",
])
def test_s185_next_hops_that_are_none(tmp_path, host):
    """No start, and the place of the mistake."""
    port = free_port()
    host = host.replace("OWN", "127.0.0.1:%d" % port if host == "OWN" else str(port))
    config = tmp_path / "stagepost.yaml"
    config.write_text('data_dir: %s/data\nlisteners: [{address: "127.0.0.1:%d"}]\n'
                      'routes: [{name: out, hosts: ["%s"], tls: none}]\n' % (tmp_path, port, host))
    for arguments in (["--check-config"], []):
        done = subprocess.run([STAGEPOSTD, "-c", config, *arguments], capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == 78, (host, done)
        assert "routes.0.hosts" in done.stderr, done.stderr
    assert not (tmp_path / "data").exists()


def test_s185_loops_end(make_daemon, hop):
    """Two relays that send to each other: the count of Received fields ends it."""
    first, second = make_daemon(start=False), make_daemon(start=False)
    for one, other in ((first, second), (second, first)):
        one.next_hop = other.smtp_address
        one.write_config("smtp: {max_received: 6}\n")
        one.start()
        one.allow(TESTER)
    number = send(first, "", [TESTER])
    wait_for(lambda: "failed" in all_states(first) | all_states(second), "the loop to end")
    assert first.states(number) == {TESTER: "delivered"}
    total = len(first.get("/messages")["items"]) + len(second.get("/messages")["items"])
    assert total == 7  # with 0 to 6 fields on arrival, and the seventh hop says no
    assert hop.connections == 0


def all_states(relay):
    return {r["state"] for r in relay.all_items("/recipients?limit=100")}


def test_s187_nothing_connects(make_daemon, hop):
    """capture_only, with everything that makes mail go: a listed recipient, a retry, a release."""
    relay = make_daemon(hop.address, "delivery: {capture_only: true, schedule: [100ms]}\n")
    relay.allow(TESTER)
    number = send(relay, "app@shop.test", [TESTER, CUSTOMER])
    for act in ("retry", "hold", "release"):
        relay.request("POST", "/api/v1/messages/%s/%s" % (number, act), {})
    relay.post("/delivery/resume")
    relay.restart()
    relay.request("POST", "/api/v1/messages/%s/retry" % number, {})
    # Another daemon's mail shows that there was time enough.
    other = make_daemon(hop.address)
    other.allow(TESTER)
    other.wait_states(send(other, "app@shop.test", [TESTER]), {TESTER: "delivered"})
    assert hop.connections == 1
    assert "delivered" not in all_states(relay)
