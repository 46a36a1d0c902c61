"""/metrics: its form, and that it tells what has happened."""

import contextlib
import socket
import sqlite3
import statistics
import time

import pytest

import metrics
from certificates import Authority
from daemon import PATIENCE, Smtp, free_port, wait_for
from nexthop import NextHop
from test_tls_out import OneMessage, server_context
from tlsclient import connect, trusting

MESSAGE = b"Subject: numbers\r\n\r\ncounted\r\n"
OUTCOMES = {"to@allowed.test": "delivered", "later@allowed.test": "deferred",
            "never@allowed.test": "failed", "nobody@other.test": "dropped"}


@pytest.fixture
def tls_hop(tmp_path):
    authority = Authority(tmp_path / "ca")
    hop = NextHop(context=server_context(*authority.sign("hop", "/CN=hop")))
    hop.converse = lambda connection, number: OneMessage(hop, connection, number)
    hop.replies = {"later@allowed.test": "450 4.2.0 Later", "never@allowed.test": "550 5.1.1 No"}
    hop.authority = authority
    yield hop
    hop.close()


@pytest.fixture
def busy(make_daemon, tls_hop):
    """A relay to which something of every kind has happened, and what."""
    daemon = make_daemon(start=False)
    starttls, narrow = free_port(), free_port()
    text = daemon.config.read_text()
    listeners = (
        'listeners: [{address: "127.0.0.1:%d"}, {address: "127.0.0.1:%d", tls: starttls},'
        ' {address: "127.0.0.1:%d", networks: [192.0.2.0/24]}]'
        % (daemon.smtp_port, starttls, narrow))
    text = text.replace('listeners: [{address: "127.0.0.1:%d"}]' % daemon.smtp_port, listeners)
    text = text.replace("schedule: [300ms, 500ms, 1s]", "schedule: [1h], bounces: false")
    text += ('routes: [{name: "smart-host", hosts: ["localhost:%d"], tls: required,'
             ' tls_ca: "%s"}]\n' % (tls_hop.port, tls_hop.authority.certificate))
    daemon.config.write_text(text)
    daemon.start()
    daemon.allow("allowed.test")
    with connect(starttls, trusting(daemon.data_dir / "tls.crt"), False) as client:
        client.ehlo()
        assert client.mail("a@shop.test")[0] == 250
        assert all(client.rcpt(address)[0] == 250 for address in OUTCOMES)
        assert client.data(MESSAGE)[0] == 250
    with Smtp(daemon.smtp_port) as client:
        second = client.send("a@shop.test", ["to@allowed.test"], MESSAGE)
    with socket.create_connection(("127.0.0.1", narrow), PATIENCE) as client:
        assert client.recv(100).startswith(b"554")
    with socket.create_connection(("127.0.0.1", starttls), PATIENCE) as client:
        client.recv(1000)
        client.sendall(b"EHLO a\r\nSTARTTLS\r\n")
        wait_for(lambda: b"220 2.0.0" in client.recv(1000), "STARTTLS")
        client.sendall(b"not a handshake\r\n")
        with contextlib.suppress(ConnectionError):
            while client.recv(1000):
                pass
    daemon.wait_states(second, {"to@allowed.test": "delivered"})
    first = next(m["id"] for m in daemon.get("/messages")["items"] if m["id"] != second)
    daemon.wait_states(first, OUTCOMES)
    return daemon


def reached(families):
    wanted = families["stagepost_recipients_reached_total"]
    return {dict(labels)["state"]: count for (_, labels), count in wanted.rows.items() if count}


def test_the_form_is_right_and_the_numbers_are_true(busy):
    # The scheduler writes its numbers down once a turn.
    families = wait_for(
        lambda: (lambda f: f if f["stagepost_delivery_seconds"].part(
            "_count", route="smart-host") == 2 else None)(metrics.scrape(busy)),
        "two deliveries")
    metrics.lint(families)

    def value(name, **labels):
        return families["stagepost_" + name].value(**labels)

    route = {"route": "smart-host"}
    assert value("accepted_messages_total") == value("stored_messages_total") == 2
    assert value("verdicts_total", verdict="deliver") == 4
    assert value("verdicts_total", verdict="drop") == 1
    assert value("verdicts_total", verdict="reject") == 0
    assert reached(families) == {"queued": 4, "delivering": 4, "delivered": 2, "deferred": 1,
                                 "failed": 1, "dropped": 1}
    assert [value("attempts_total", outcome=outcome, **route)
            for outcome in ("delivered", "deferred", "failed")] == [2, 1, 1]
    assert value("queue_recipients", state="delivered") == 2
    assert value("connections_total") == 3
    assert value("connections_refused_total", reason="networks") == 1
    assert value("tls_handshakes_total", direction="in", version="1.3", resumed="no") == 1
    assert value("tls_handshakes_failed_total", direction="in") == 1
    # The second one resumes what the first one got.
    out = {resumed: value("tls_handshakes_total", direction="out", version="1.3", resumed=resumed)
           for resumed in ("yes", "no")}
    assert out["no"] >= 1 and sum(out.values()) >= 2, out
    assert families["stagepost_accept_commit_seconds"].part("_count") == 2
    assert families["stagepost_commit_seconds"].part("_count") >= 2
    assert families["stagepost_attempt_seconds"].part("_count", **route) >= 2
    assert families["stagepost_attempt_seconds"].part("_sum", **route) > 0
    assert value("api_requests_total", code="2xx") > 2
    assert families["stagepost_api_request_seconds"].part("_count") > 2
    assert value("api_connections") >= 1
    assert value("database_bytes") > 0 and value("wal_bytes") >= 0
    assert families["process_cpu_seconds_total"].value() > 0
    assert families["process_resident_memory_bytes"].value() > 1 << 20


def test_a_refusal_at_rcpt_is_counted(make_daemon, hop):
    daemon = make_daemon(hop.address, "policy: {default: reject}\n")
    with Smtp(daemon.smtp_port) as client:
        assert client.command("MAIL FROM:<a@shop.test>")[0] == 250
        assert client.command("RCPT TO:<nobody@other.test>")[0] == 550
    families = metrics.scrape(daemon)
    assert families["stagepost_verdicts_total"].value(verdict="reject") == 1
    assert families["stagepost_stored_messages_total"].value() == 0


def test_what_is_waited_for_on_purpose_is_no_slow_answer(relay):
    def slow():
        family = metrics.scrape(relay)["stagepost_api_request_seconds"]
        return family.part("_count") - family.part("_bucket", le="0.5")

    before = slow()
    assert relay.get("/messages?wait=700ms")["items"] == []
    assert slow() == before


def test_labels_are_few_whatever_peers_do(relay):
    """Bounded cardinality: nothing that a peer chooses becomes a label."""
    def rows():
        return {name: len(family.rows) for name, family in metrics.scrape(relay).items()}

    with Smtp(relay.smtp_port) as client:
        client.send("a@shop.test", ["nobody@other.test"], MESSAGE)
        before = rows()
        for number in range(30):
            client.send("a%d@shop%d.test" % (number, number), ["n%d@o%d.test" % (number, number)],
                        MESSAGE)
            relay.request("GET", "/api/v1/none/%d?x=%d" % (number, number))
    assert rows() == before


FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO message(id, uid, received_at, sender, size, header_size, header_parsed, body_8bit,
 smtputf8, bare_cr, bare_lf, scope, client_port, received_field)
 SELECT 1000 + i, randomblob(16), 1800000000000 + i, 'a@shop.test', 100, 50, 1, 0, 0, 0, 0, '', 25,
 'Received: x' FROM n"""
FILL_RECIPIENTS = """
INSERT INTO recipient(id, address, state, accepted_state, waiting_since, updated_at, verdict)
 SELECT id << 16, 'nobody@other.test', (SELECT state FROM recipient LIMIT 1),
 (SELECT state FROM recipient LIMIT 1), received_at, received_at, 'drop' FROM message
 WHERE id > 1000"""


def scrape_ms(daemon):
    """The best of each of some rounds, in the middle: others share the machine."""
    def once():
        began = time.perf_counter()
        daemon.request("GET", "/metrics")
        return time.perf_counter() - began

    return statistics.median(min(once() for _ in range(5)) for _ in range(5)) * 1000


def test_the_queue_does_not_make_it_dearer(relay):
    with Smtp(relay.smtp_port) as client:
        client.send("a@shop.test", ["nobody@other.test"], MESSAGE)
    few = scrape_ms(relay)
    assert relay.stop() == 0
    with contextlib.closing(sqlite3.connect(relay.data_dir / "stagepost.db")) as connection:
        with connection:
            connection.execute(FILL)
            connection.execute(FILL_RECIPIENTS)
    relay.start()
    families = metrics.scrape(relay)
    assert families["stagepost_queue_messages"].value() == 60001
    assert scrape_ms(relay) < 3 * few + 1, few
