"""The API under attack (CASES 2.K): what a whole daemon has to show for it. Single requests that are
malformed are in tests/unit/admin/test_http.c, each operation in test_contract.py."""

import base64
import contextlib
import hashlib
import json
import re
import socket
import sqlite3
import threading
import time
import urllib.parse

import pytest
from daemon import Smtp, wait_for
from fault import FailingCalls

ALICE = "alice@example.com"
WRONG = "stp_" + 43 * "0"
SCRIPTS = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "javascript:alert(1)",
    "</script>", "{{7*7}}", "\u202egnp.exe", "a\u2028b",
]


def status(relay, token):
    return relay.request("GET", "/api/v1/status", token=token).status


def send(relay, *recipients, subject="hello"):
    with Smtp(relay.smtp_port) as client:
        return client.send("shop@example.com", recipients or (ALICE,),
                           b"Subject: %s\r\n\r\nbody\r\n" % subject.encode())


# --- tokens ----------------------------------------------------------------------------------------


def test_S280_tokens_of_others_and_of_the_past(make_daemon):
    relay, other = make_daemon(), make_daemon()
    made = relay.post("/tokens", {"name": "ci", "expires_in": "1h"}).json
    brief = relay.post("/tokens", {"name": "brief", "expires_in": "1s"}).json
    assert status(relay, made["secret"]) == 200
    for token in (other.token, "", "stp_", made["secret"][:-1], made["secret"] + "x",
                  made["secret"].swapcase()):
        assert status(relay, token) == 401
    relay.request("DELETE", "/api/v1/tokens/%d" % made["id"])
    assert status(relay, made["secret"]) == 401
    wait_for(lambda: status(relay, brief["secret"]) in (401, 429), "its end")


def test_S283_a_secret_is_not_kept(relay):
    """What is looked up is a hash of all of it: how much of a guess is right shows in no time."""
    secret = relay.post("/tokens", {"name": "ci"}).json["secret"]
    relay.stop()
    with sqlite3.connect(relay.data_dir / "stagepost.db") as connection:
        digests = {row[0] for row in connection.execute("SELECT digest FROM token")}
    connection.close()
    assert hashlib.sha256(secret.encode()).digest() in digests
    for file in [*relay.data_dir.iterdir(), relay.log_path]:
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


def test_S284_a_flood_of_wrong_tokens(relay):
    """It is held up, the right token is not, and the log is not flooded."""
    stop = threading.Event()
    refused = []

    def flood():
        while not stop.is_set():
            refused.append(status(relay, WRONG))

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        assert status(relay, relay.token) == 200
    wait_for(lambda: len(refused) > 400, "many refusals")
    stop.set()
    for thread in threads:
        thread.join(60)
    assert set(refused) == {401, 429}
    assert refused.count(401) <= 10 * (1 + refused.count(429) // 100)
    assert relay.log().count("admin_auth_failed") <= 10


def test_S285_a_scope_hears_of_no_one_else(relay, hop):
    """What a next hop says names the recipient, whose scope may be another."""
    hop.replies["secret@example.com"] = "550 5.1.1 <secret@example.com>: unknown"
    relay.allow("secret@example.com")
    message = send(relay, "secret@example.com")
    relay.wait_states(message, {"secret@example.com": "failed"})
    shop = relay.post("/tokens", {"name": "shop", "scope": "shop"}).json["secret"]
    everybody = relay.request("GET", "/api/v1/status")
    assert "secret@example.com" in everybody.json["routes"][0]["last_error"]
    answer = relay.request("GET", "/api/v1/status", token=shop)
    assert answer.status == 200 and b"secret" not in answer.body
    assert answer.json["routes"][0]["last_error"] is None
    for tail in ("", "/raw", "/sent", "/parts", "/parts/1", "/text", "/html"):
        answer = relay.request("GET", "/api/v1/messages/%s%s" % (message, tail), token=shop)
        assert answer.status == 404 and b"secret" not in answer.body, tail


# --- what is shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SCRIPTS)
def test_S290_markup_stays_text(relay, text):
    """In mail, in notes and in errors: JSON that no browser takes for a page, without a '<' in it."""
    encoded = "=?utf-8?b?%s?=" % base64.b64encode(text.encode()).decode()
    with Smtp(relay.smtp_port) as client:
        number = client.send("shop@example.com", [ALICE], (
            "Subject: %s\r\nFrom: %s <a@b.test>\r\nX-Raw: %s\r\n\r\nbody\r\n"
            % (encoded, encoded, text.replace("\u2028", ""))).encode())
    relay.post("/whitelist", {"pattern": ALICE, "note": text, "owner": text})
    answers = [relay.request("GET", "/api/v1" + path) for path in (
        "/messages/" + number, "/messages", "/whitelist", "/audit", "/recipients",
        "/whitelist/export?format=json")]
    answers.append(relay.request("POST", "/api/v1/whitelist", {"pattern": text}))
    for answer in answers:
        assert answer.headers["Content-Type"] in ("application/json", "application/problem+json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert b"<" not in answer.body
        json.loads(answer.body)
    assert answers[0].json["subject"].replace("\u2028", "") == text.replace("\u2028", "")
    assert answers[2].json["items"][0]["note"] == text


# --- connections -----------------------------------------------------------------------------------


def connect(relay, source="127.0.0.1"):
    client = socket.create_connection(("127.0.0.1", relay.api_port), 10, (source, 0))
    client.settimeout(10)
    return client


def ask(client, token):
    client.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
                   % token.encode())
    return client.recv(12)


def test_S304_idle_connections(relay):
    """More than there is room for, that say nothing: others are answered, and SMTP and the unix
    socket are apart. Ten thousand: tests/soak/test_api_soak.py."""
    held = [connect(relay, "127.0.1.%d" % (1 + i // 100)) for i in range(1000)]
    other = connect(relay, "127.0.0.2")
    assert ask(other, relay.token) == b"HTTP/1.1 200"
    number = send(relay)
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(str(relay.data_dir / "admin.sock"))
        local.sendall(b"GET /api/v1/messages/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % number.encode())
        assert local.recv(12) == b"HTTP/1.1 200"
    for client in [*held, other]:
        client.close()


def test_S303_drippers_are_in_nobodys_way(relay):
    """A header and a body a byte at a time; each ends by a deadline of its own (test_http.c)."""
    heads = [b"GET /api/v1/status HTTP/1.1\r\nHost: local",
             b"POST /api/v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
             b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n\r\n{"
             % relay.token.encode()]
    clients = [connect(relay) for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(heads[number % 2])
    for _ in range(10):
        for client in clients:
            client.sendall(b" ")
        assert status(relay, relay.token) == 200
        send(relay)
    for client in clients:
        client.close()


# --- parameters ------------------------------------------------------------------------------------

# CASES S308, S309: what means something to LIKE, GLOB, FTS or SQL means itself.
HOSTILE = ['%' * 500, '_' * 500, '*', '"', "'", '""', '"unbalanced', 'NEAR(', 'NEAR/2', 'a OR', 'OR',
           'AND', 'NOT x', 'col:', 'subject:x', '-x', '^x', '(', ')', '{', '}', '+', "x' OR '1'='1",
           "'; DROP TABLE message; --", "\\", "\x01", "\ud7ff", "a" * 512, "é" * 256,
           " ", "  a  b  ", "a " * 200, "\u202e", "�", "x*", "[a-z]"]


@pytest.mark.parametrize("name, path", [
    ("subject", "/messages"), ("to", "/messages"), ("from", "/messages"),
    ("address", "/recipients"), ("reason", "/recipients"), ("q", "/whitelist")])
def test_S308_S309_hostile_filters(relay, name, path):
    """Each is text that is looked for, or refused; never 500, and nothing else is found."""
    number = send(relay, subject="plain")
    for text in HOSTILE:
        query = "%s?%s=%s" % (path, name, urllib.parse.quote(text))
        answer = relay.request("GET", "/api/v1" + query)
        assert answer.status in (200, 400), (query, answer.status, answer.body)
        if answer.status == 200 and text.strip():
            assert answer.json["items"] == [], query
    answer = relay.request("GET", "/api/v1%s?%s=%s" % (path, name, "x" * 10000))
    assert answer.status == 400 or (answer.status == 200 and answer.json["items"] == [])
    answer = relay.request("GET", "/api/v1%s?%s=%s" % (path, name, "x" * (1 << 20)))
    assert answer.status in (400, 414, 431)
    for query in ("sort=id;DROP%20TABLE", "sort=(select%201)", "fields=password", "offset=-1"):
        assert relay.request("GET", "/api/v1%s?%s" % (path, query)).status == 400
    assert [item["id"] for item in relay.get("/messages?subject=lai")["items"]] == [number]


def test_S307_pages_and_cursors(relay):
    """Bounded, whatever is asked for; a cursor outlives the message it names."""
    numbers = [send(relay) for _ in range(5)]
    for limit in ("-1", "0", "1001", "2147483648", "9223372036854775808", "abc", "1e3", "1.5"):
        assert relay.request("GET", "/api/v1/messages?limit=" + limit).status == 400
    page = relay.get("/messages?limit=2")
    assert [item["id"] for item in page["items"]] == numbers[:2:-1]
    assert relay.request("DELETE", "/api/v1/messages/" + numbers[3]).status == 204
    rest = relay.get("/messages?limit=10&after=" + page["next"])
    assert [item["id"] for item in rest["items"]] == numbers[2::-1]
    forged = page["next"][:-1] + ("0" if page["next"][-1] != "0" else "1")
    assert relay.request("GET", "/api/v1/messages?after=" + forged).status == 400
    other = relay.get("/recipients?limit=1")["next"]
    assert relay.request("GET", "/api/v1/messages?after=" + other).status == 400


def test_S316_ranges_and_conditions_are_ignored(relay):
    number = send(relay)
    path = "/api/v1/messages/%s/raw" % number
    whole = relay.request("GET", path).body
    for headers in ({"Range": "bytes=" + ",".join(["0-"] * 1000)}, {"Range": "bytes=5-1"},
                    {"Range": "lines=1"}, {"If-Modified-Since": "yesterday"},
                    {"If-None-Match": "*" * 500}):
        answer = relay.request("GET", path, headers=headers)
        assert (answer.status, answer.body) == (200, whole), headers


# --- the store has trouble -------------------------------------------------------------------------


def test_S312_the_disk_is_full(traced, relay):
    fault = FailingCalls(relay, "pwrite64", "ENOSPC", "1+")
    answer = relay.request("POST", "/api/v1/whitelist", {"pattern": ALICE})
    assert answer.status == 503 and answer.headers["Retry-After"]
    assert relay.get("/whitelist")["items"] == []
    fault.stop()
    relay.allow(ALICE)


def test_S312_somebody_holds_the_database(relay):
    """It is answered when it is done and not before; for too long: tests/soak/test_api_soak.py."""
    answers = []
    with contextlib.closing(sqlite3.connect(relay.data_dir / "stagepost.db",
                                            isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=lambda: answers.append(
            relay.request("POST", "/api/v1/whitelist", {"pattern": ALICE})))
        thread.start()
        assert relay.get("/whitelist")["items"] == []
        thread.join(0.3)
        assert not answers
        connection.execute("ROLLBACK")
    thread.join(60)
    assert [answer.status for answer in answers] == [201]
    assert [entry["pattern"] for entry in relay.get("/whitelist")["items"]] == [ALICE]


def test_S312_the_disk_is_read_only(traced, make_daemon):
    """Then nothing of what it holds can be trusted: it says so, ends, and nothing was done."""
    relay = make_daemon()
    fault = FailingCalls(relay, "pwrite64", "EROFS", "1+")
    answer = relay.request("POST", "/api/v1/whitelist", {"pattern": ALICE})
    assert answer.status == 503 and answer.headers["Retry-After"]
    assert relay.process.wait(60) == 74, relay.log()
    relay.process = None
    fault.stop()
    relay.start()
    assert relay.get("/whitelist")["items"] == []


def test_S313_what_is_open_tells_nothing(relay):
    """Without a token only whether it lives; and the metrics, which take one, name nobody."""
    relay.allow(ALICE)
    number = send(relay, "secret-person@example.com", subject="secret subject")
    relay.wait_states(number, {"secret-person@example.com": "dropped"})
    for path in ("/healthz", "/readyz"):
        answer = relay.request("GET", path, token=None)
        assert answer.status == 200 and set(answer.json) <= {"status"}, answer.body
    assert relay.request("GET", "/metrics", token=None).status == 401
    metrics = relay.request("GET", "/metrics").body
    for word in (b"secret", b"@", ALICE.encode(), str(relay.data_dir).encode()):
        assert word not in metrics


def test_S311_one_entry_and_a_hundred_hands(relay):
    """Each answer is one that is promised, and what is there at last is what the last one said."""
    number = relay.post("/whitelist", {"pattern": ALICE}).json["id"]
    path = "/api/v1/whitelist/%d" % number
    seen = []

    def change(i):
        seen.append(relay.request("PATCH", path, {"note": "n%d" % i}).status)
        answer = relay.request("GET", path)
        if answer.status == 200:
            seen.append(relay.request("PATCH", path, {"owner": "o%d" % i},
                                      headers={"If-Match": answer.headers["ETag"]}).status)
        if i == 70:
            seen.append(relay.request("DELETE", path).status)

    threads = [threading.Thread(target=change, args=(i,)) for i in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(seen) <= {200, 204, 404, 412, 503}, set(seen)
    assert relay.request("GET", path).status == 404
    # A POST that is repeated says what is there already.
    again = [relay.request("POST", "/api/v1/whitelist", {"pattern": ALICE}) for _ in range(2)]
    assert [a.status for a in again] == [201, 409]
    assert again[1].json["existing_id"] == again[0].json["id"]


# --- the metrics as a sink (CASES 2.L) -------------------------------------------------------------

LINE = re.compile(r'[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})?'
                  r' -?[0-9.e+]+(?:Inf|NaN)?\Z')


def series(relay):
    lines = relay.request("GET", "/metrics").body.decode().splitlines()
    return [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")]


def test_S324_metrics_are_well_formed_and_few(relay):
    """Whatever comes in, there is not one line more: no label is made of what peers say."""
    send(relay)
    before = series(relay)
    for number in range(30):
        with Smtp(relay.smtp_port) as client:
            client.send("s%d@example.com" % number, ["r%d@example.com" % number],
                        b'Subject: "\\\r\n\r\nx\r\n')
    for line in relay.request("GET", "/metrics").body.decode().splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or LINE.match(line), line
    assert series(relay) == before
