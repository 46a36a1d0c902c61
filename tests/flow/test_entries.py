"""The rows of the whitelist: replaced, their history, what they mean, and a database that was
edited behind the daemon's back (CASES 2.F)."""

import contextlib
import json
import socket
import sqlite3
import struct
import threading
import time

import pytest
from daemon import SANITIZED, Smtp, wait_for
from test_cli import Tool

BODY = b"Subject: hello\r\n\r\nbody\r\n"
ALICE = "alice@example.com"
BOB = "bob@example.com"


def send(relay, *recipients):
    with Smtp(relay.smtp_port) as client:
        return client.send("shop@example.com", recipients, BODY)


def edit(relay, sql):
    """As a person with the sqlite3 tool would."""
    with sqlite3.connect(relay.data_dir / "stagepost.db", timeout=10) as connection:
        connection.executescript(sql)
    connection.close()


ROW = ("INSERT INTO whitelist(pattern, kind, action, scope, created_at, expires_at, revision)"
       " VALUES('%s', %d, 1, '', 1, 0, 1);")


def verdict(relay, address):
    return relay.post("/check", {"recipients": [address]}).json["items"][0]["verdict"]


# --- CASES S147: nothing to judge by is no permission -----------------------------------------------


def test_S147_an_empty_list(relay, hop):
    relay.wait_states(send(relay, ALICE), {ALICE: "dropped"})
    assert not hop.connections
    assert any("empty" in warning for warning in relay.get("/status")["warnings"])


@pytest.mark.parametrize("sql", [
    "DROP TABLE whitelist", "DELETE FROM meta WHERE name = 'whitelist_revision'",
    "ALTER TABLE whitelist RENAME COLUMN scope TO region"])
def test_S147_a_list_that_cannot_be_read(make_daemon, hop, sql):
    """It does not start: a daemon that runs without its list would keep all mail."""
    relay = make_daemon(hop.address)
    relay.allow(ALICE)
    assert relay.stop() == 0
    edit(relay, sql)
    relay.start(wait=False)
    assert relay.process.wait(30) != 0
    relay.process = None
    assert not hop.connections


def test_S147_a_locked_database_changes_no_verdict(relay, hop):
    """Somebody holds the lock: verdicts come from memory, and what was refused stays so."""
    relay.allow(ALICE)
    connection = sqlite3.connect(relay.data_dir / "stagepost.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert verdict(relay, ALICE) == "deliver"
        assert verdict(relay, BOB) == "drop"
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    relay.wait_states(send(relay, ALICE, BOB), {ALICE: "delivered", BOB: "dropped"})


@pytest.mark.parametrize("method, path, body", [
    ("POST", "", {"pattern": BOB}), ("PATCH", "/1", {"note": "x"}),
    ("POST", "", {"pattern": BOB, "release_dropped_since": "1h"}),
    ("PUT", "", {"entries": [{"pattern": BOB}]})])
def test_a_client_that_leaves_while_its_change_waits(make_daemon, method, path, body):
    """Nothing of the request is left behind: the daemon stops as if it had stayed."""
    relay = make_daemon()
    relay.allow(ALICE)
    connection = sqlite3.connect(relay.data_dir / "stagepost.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    text = json.dumps(body)
    with socket.create_connection(("127.0.0.1", relay.api_port)) as client:
        client.sendall(("%s /api/v1/whitelist%s HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\n"
                        "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n%s"
                        % (method, path, relay.token, len(text), text)).encode())
        time.sleep(0.3)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.2)
    connection.execute("ROLLBACK")
    connection.close()
    wait_for(lambda: relay.get("/status")["whitelist"]["revision"] == 2, "the change")
    assert relay.stop() == 0, relay.log()


# --- CASES S154 ------------------------------------------------------------------------------------


def test_S154_one_row_in_whatever_case(relay):
    first = relay.post("/whitelist", {"pattern": "First.Last@Example.COM"}).json
    for again in ("first.last@example.com", "FIRST.LAST@EXAMPLE.com"):
        refused = relay.post("/whitelist", {"pattern": again}, want=(409,)).json
        assert refused["existing_id"] == first["id"]
    assert len(relay.get("/whitelist")["items"]) == 1
    relay.remove(first["id"])
    assert verdict(relay, "first.last@example.com") == "drop"


# --- CASES S163 ------------------------------------------------------------------------------------


def test_S163_edited_by_hand(make_daemon, hop):
    """What stagepostd(8) says: read at the next start, and a row that is none never matches."""
    relay = make_daemon(hop.address)
    relay.allow(ALICE)
    edit(relay, ROW % (BOB, 1) + ROW % (" blank@example.com", 1) + ROW % ("Upper@Example.COM", 1)
         + ROW % ("dom.example.", 2) + ROW % ("kind.example", 1) + ROW % ("a@b@c.example", 1)
         + ROW % ("%@example.com", 4) + "DELETE FROM whitelist WHERE pattern = '%s'" % ALICE)
    # Not looked at while it runs.
    relay.wait_states(send(relay, ALICE, BOB), {ALICE: "delivered", BOB: "dropped"})
    relay.restart()
    others = ["blank@example.com", "upper@example.com", "x@dom.example", "x@kind.example",
              "b@c.example", "x@example.com"]
    want = dict.fromkeys([ALICE] + others, "dropped")
    want[BOB] = "delivered"
    relay.wait_states(send(relay, ALICE, BOB, *others), want)
    assert any(w.startswith("6 rows of the whitelist") for w in relay.get("/status")["warnings"])
    assert "6 rows of the whitelist" in relay.log()
    # The API shows them, and can take them away.
    bad = [e for e in relay.get("/whitelist")["items"] if e["pattern"] != BOB]
    assert len(bad) == 6
    for entry in bad:
        relay.remove(entry["id"])
    assert [e["pattern"] for e in relay.get("/whitelist")["items"]] == [BOB]


def test_P1_edited_by_hand_what_keeps_mail(make_daemon, hop):
    """What a row denies, or a rule keeps, that can't be read is not known: nothing leaves by it."""
    relay = make_daemon(hop.address)
    relay.allow(ALICE)
    deny = relay.post("/whitelist", {"pattern": BOB, "action": "deny"}).json["id"]
    edit(relay, "UPDATE whitelist SET pattern = 'Bob@x' WHERE id = %d" % deny)
    relay.restart()
    message = send(relay, ALICE)
    relay.wait_states(message, {ALICE: "dropped"})
    assert "denies everything" in relay.log()
    assert "nothing can leave" in Tool(relay).text("status")
    relay.remove(deny)
    keep = relay.post("/rules", {"name": "keep", "action": "drop", "recipient": BOB}).json["id"]
    edit(relay, "UPDATE rule SET recipient = 'Bob@' WHERE id = %d" % keep)
    relay.restart()
    relay.post("/messages/%s/release" % message, {}, want=(409,))
    assert "keeps all" in relay.log()
    relay.request("DELETE", "/api/v1/rules/%d" % keep)
    relay.post("/messages/%s/release" % message, {})
    relay.wait_states(message, {ALICE: "delivered"})
    assert hop.offered == [ALICE]


# --- expiry, hits -----------------------------------------------------------------------------------


def test_an_end_is_written_down(relay):
    entry = relay.post("/whitelist", {"pattern": ALICE, "expires_in": "1s"}).json
    assert entry["expired_at"] is None
    assert verdict(relay, ALICE) == "deliver"
    wait_for(lambda: verdict(relay, ALICE) == "drop", "the end of it")
    wait_for(lambda: relay.get("/whitelist/%d" % entry["id"])["expired_at"], "it to be noted")
    past = relay.get("/whitelist/history?entry=%d" % entry["id"])["items"]
    assert [p["action"] for p in past] == ["expire", "add"]
    assert past[0]["actor"] == "relay" and past[0]["revision"] is None
    again = relay.request("PATCH", "/api/v1/whitelist/%d" % entry["id"], {"expires_in": "1h"}).json
    assert again["expired_at"] is None
    assert verdict(relay, ALICE) == "deliver"


def test_hits_are_counted_and_kept(relay):
    allowed = relay.allow("example.com")[0]
    denied = relay.post("/whitelist", {"pattern": "eve@example.com", "action": "deny"}).json["id"]
    send(relay, "eve@example.com")
    for _ in range(3):
        relay.wait_states(send(relay, ALICE, BOB), {ALICE: "delivered", BOB: "delivered"})
    etag = relay.request("GET", "/api/v1/whitelist/%d" % allowed).headers["ETag"]
    wait_for(lambda: relay.get("/whitelist/%d" % allowed)["hits"] == 6, "six hits")
    assert relay.get("/whitelist/%d" % allowed)["last_hit_at"]
    shown = Tool(relay).text("whitelist", "list").splitlines()
    assert "LAST HIT" in shown[0] and shown[1].split()[3] == "6" and shown[1].endswith("s")
    assert relay.request("GET", "/api/v1/whitelist/%d" % allowed).headers["ETag"] == etag
    assert relay.get("/whitelist/%d" % denied)["hits"] == 1  # refused when it was offered
    relay.restart()
    assert relay.get("/whitelist/%d" % allowed)["hits"] == 6
    assert relay.get("/whitelist/%d" % denied)["hits"] == 1


# --- what was dropped before ---------------------------------------------------------------------


def test_what_was_dropped_is_released_with_the_entry(relay, hop):
    """Only what the new entry lets go, only since then, once, and nothing without being asked."""
    relay.allow("listed@example.com")
    first = send(relay, ALICE, BOB, "carol@sub.example.com", "dave@other.example")
    held = relay.post("/whitelist", {"pattern": "boss@example.com", "action": "deny"}).json["id"]
    boss = send(relay, "boss@example.com")
    plain = relay.post("/whitelist", {"pattern": "al*@example.com"}).json
    assert "released" not in plain
    relay.remove(plain["id"])
    added = relay.post("/whitelist", {"pattern": "example.com", "release_dropped_since": "1h"}).json
    assert (added["released"]["changed"], added["released"]["more"]) == (2, False)
    relay.wait_states(first, {ALICE: "delivered", BOB: "delivered",
                              "carol@sub.example.com": "dropped", "dave@other.example": "dropped"})
    relay.wait_states(boss, {"boss@example.com": "dropped"})
    assert sorted(hop.offered) == [ALICE, BOB]
    history = next(r for r in relay.message(first)["recipients"] if r["address"] == BOB)["history"]
    assert any("released by entry %d, example.com" % added["id"] in (h["reason"] or "")
               for h in history)
    # Denied before it was released: now it is not, and an old one is older than asked for.
    relay.remove(held)
    again = relay.post("/whitelist", {
        "pattern": "boss@example.com", "release_dropped_since": "2999-01-01T00:00:00Z"}).json
    assert again["released"]["changed"] == 0
    for body in ({"release_dropped_since": "yesterday"}, {"release_dropped_since": 7},
                 {"release_dropped_since": "1h", "action": "deny"}):
        relay.post("/whitelist", dict({"pattern": "x@example.org"}, **body), want=(400,))
    tool = Tool(relay)
    text = tool.text("whitelist", "add", "dave@other.example", "--release", "2h")
    assert "Released: 1 that were dropped, 0 refused" in text
    relay.wait_states(first, {ALICE: "delivered", BOB: "delivered",
                              "carol@sub.example.com": "dropped", "dave@other.example": "delivered"})


@pytest.mark.parametrize("pattern, goes", [
    (".example.com", {"carol@sub.example.com"}), ("b*@example.com", {BOB}),
    ("c*@.example.com", {"carol@sub.example.com"}), (ALICE, {ALICE}),
    ("*", {ALICE, BOB, "carol@sub.example.com"})])
def test_every_kind_of_entry_releases_what_it_covers(relay, pattern, goes):
    number = send(relay, ALICE, BOB, "carol@sub.example.com")
    body = {"pattern": pattern, "release_dropped_since": "1h", "allow_all": pattern == "*"}
    assert relay.post("/whitelist", body).json["released"]["changed"] == len(goes)
    relay.wait_states(number, {a: "delivered" if a in goes else "dropped"
                               for a in (ALICE, BOB, "carol@sub.example.com")})


# --- the list as a whole ------------------------------------------------------------------------


def test_a_replaced_list_stops_mail_that_waits(relay, hop):
    """PUT is a change like any other: what is queued is judged by the new list."""
    relay.allow(ALICE, BOB)
    relay.post("/delivery/pause")
    number = send(relay, ALICE, BOB)
    etag = relay.request("GET", "/api/v1/whitelist").headers["ETag"]
    answer = relay.request("PUT", "/api/v1/whitelist", {"entries": [{"pattern": BOB}]},
                           headers={"If-Match": etag})
    assert answer.status == 200, answer.body
    assert answer.json["removed"] == 1 and answer.json["unchanged"] == 1
    relay.post("/delivery/resume")
    relay.wait_states(number, {ALICE: "dropped", BOB: "delivered"})
    assert [m.recipients for m in hop.snapshot()] == [[BOB]]


def asked(relay, sql):
    with contextlib.closing(sqlite3.connect(relay.data_dir / "stagepost.db")) as connection:
        return connection.execute(sql).fetchone()[0]


@pytest.mark.parametrize("sizes, moment", [([400, 500], 0.02), ([4000, 5000], 0.02),
                                           ([4000, 5000], 0.06), ([4000, 5000], 0.15)])
def test_a_list_survives_a_kill_whole(make_daemon, hop, sizes, moment):
    """kill -9 while lists are put: the one that was answered last, or the one under way. Long ones
    are written step by step, and moved so afterwards."""
    relay = make_daemon(hop.address)
    lists = [[{"pattern": "u%d-%d@example.com" % (n, i)} for i in range(size)]
             for n, size in enumerate(sizes)]
    done = []

    def put_them():
        try:
            for n in range(1000):
                answer = relay.request("PUT", "/api/v1/whitelist", {"entries": lists[n % 2]},
                                       headers={"If-Match": "*"})
                assert answer.status == 200
                done.append(n)
        except OSError:
            pass

    thread = threading.Thread(target=put_them)
    thread.start()
    wait_for(lambda: len(done) >= 3, "some lists")
    time.sleep(moment)
    relay.kill()
    thread.join()
    relay.start()
    found = {e["pattern"] for e in relay.all_items("/whitelist?limit=1000")}
    allowed = [{e["pattern"] for e in entries} for entries in lists]
    assert found in (allowed[done[-1] % 2], allowed[(done[-1] + 1) % 2])
    wait_for(lambda: asked(relay, "SELECT count(*) FROM intake") == 0, "lines to arrive")
    assert asked(relay, "SELECT count(*) FROM intake_line") == 0
    assert {e["pattern"] for e in relay.all_items("/whitelist?limit=1000")} == found
    lines = asked(relay, "SELECT count(*) FROM audit WHERE revision ="
                         " (SELECT value FROM meta WHERE name = 'whitelist_revision')")
    assert lines in (sum(sizes), sizes[0])  # removed and added; the first one removed nothing


def test_the_tool_tells_what_an_entry_means(relay):
    tool = Tool(relay)
    send(relay, "amy@shop.example", "ben@shop.example")
    wait_for(lambda: relay.post("/whitelist", {"pattern": "probe%d@x.example" % time.time_ns()})
             .json["lint"]["seen"] == 2, "recipients to be written down")
    done = tool("whitelist", "add", "amy@shop.example")
    assert (b"matches 1 of the 2 recipients seen in the last 30 days; "
            b"allows 1 address you have been dropping") in done.stdout
    assert done.stderr == b""
    done = tool("whitelist", "add", "gmail.com")
    assert b"warning: gmail.com: anybody can have an address at gmail.com" in done.stderr
    done = tool("whitelist", "add", "amy@shop.example", "--deny")
    assert tool.json("whitelist", "add", "a*@shop.example")["lint"]["warnings"][0]["kind"] == "wide"


def test_who_is_in_a_hurry_asks_for_no_lint(relay):
    added = relay.post("/whitelist?lint=false", {"pattern": "a*@shop.example"}).json
    path = "/api/v1/whitelist/%d" % added["id"]
    assert added["lint"] is None
    assert relay.request("PATCH", path + "?lint=false", {"note": "x"}).json["lint"] is None
    assert relay.request("PATCH", path, {"note": "y"}).json["lint"]["warnings"]
    assert relay.request("PATCH", path + "?lint=no", {"note": "z"}).status == 400
    assert relay.get("/whitelist/%d" % added["id"])["note"] == "y"


def test_a_dry_run_tells_what_an_import_would_mean(relay):
    """Without making it: numbers and warnings are those of the list that would be."""
    send(relay, "amy@shop.example", "ben@shop.example")
    wait_for(lambda: relay.post("/whitelist", {"pattern": "probe%d@x.example" % time.time_ns()})
             .json["lint"]["seen"] == 2, "recipients to be written down")
    entries = [{"pattern": "gmail.com"}, {"pattern": "a*@shop.example"},
               {"pattern": "amy@shop.example"}]
    before = relay.get("/whitelist")
    for dry_run in ("true", "false"):
        answer = relay.post("/whitelist/import?format=json&dry_run=" + dry_run,
                            {"entries": entries}).json["lint"]
        assert (answer["allows"], answer["examples"]) == (1, ["amy@shop.example"])
        assert [(w["pattern"], w["kind"]) for w in answer["warnings"]] == [
            ("gmail.com", "public-domain"), ("a*@shop.example", "wide"),
            ("amy@shop.example", "covered")]
        if dry_run == "true":
            assert relay.get("/whitelist") == before
            assert verdict(relay, "amy@shop.example") == "drop"
    text = relay.folder / "nothing.text"
    text.write_text("gmail.com\n")
    tool = Tool(relay)
    assert tool("whitelist", "import", str(text)).stdout == b"Entries: 1 there already\n"
    # One line is told as if it were added alone.
    text.write_text("nobody@shop.example\n")
    assert (b"matches 0 of the 2 recipients seen in the last 30 days\n"
            in tool("whitelist", "import", str(text)).stdout)
    text.write_text("none@shop.example\nneither@shop.example\n")
    assert (b"the list allows 1 of the 2 recipients seen in the last 30 days\n"
            in tool("whitelist", "import", str(text)).stdout)


def test_the_tool_tells_what_became_of_the_list(relay):
    tool = Tool(relay)
    assert b"nothing is written down" in tool("whitelist", "history", want=1).stderr
    entry = tool.json("whitelist", "add", ALICE, "--note", "demo")["id"]
    relay.request("PATCH", "/api/v1/whitelist/%d" % entry, {"note": "longer demo"})
    tool("whitelist", "add", BOB, "--deny")
    tool("whitelist", "remove", ALICE)
    text = tool.text("whitelist", "history")
    lines = text.splitlines()
    assert len(lines) == 5 and "socket:" in lines[1] and "remove" in lines[1]
    assert "note demo -> longer demo" in text
    assert [p["action"] for p in tool.json("whitelist", "history", ALICE)] == [
        "remove", "replace", "add"]
    assert len(tool.json("whitelist", "history", str(entry), "--limit", "1")) == 1
    assert len(tool.json("whitelist", "history", "--since", "1h", "--limit", "0")) == 4
    assert len(tool("whitelist", "history", "--jsonl").stdout.splitlines()) == 4
    tool("whitelist", "history", "carol@example.com", want=1)
    tool("whitelist", "history", "a b", want=64)
    json.dumps(tool.json("whitelist", "history"))


@pytest.mark.skipif(SANITIZED, reason="it measures")
def test_S172_a_long_list_slows_nothing(make_daemon, hop):
    """100,000 entries: the start, a change, and RCPT by RCPT."""
    relay = make_daemon(hop.address)
    assert relay.stop() == 0
    edit(relay, "BEGIN; WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE"
         " i < 100000) INSERT INTO whitelist(pattern, kind, action, scope, created_at, expires_at,"
         " revision) SELECT 'user' || i || '@example.com', 1, 1, '', 1, 0, 1 FROM c; COMMIT")
    relay.start()
    assert relay.get("/status")["whitelist"]["entries"] == 100000
    times = []
    with Smtp(relay.smtp_port) as client:
        for start in range(0, 3000, 1000):
            assert client.command("MAIL FROM:<a@example.org>")[0] == 250
            for i in range(start, start + 1000):
                began = time.monotonic()
                code, _ = client.command("RCPT TO:<user%d@example.com>" % (31 * i + 1))
                times.append(time.monotonic() - began)
                assert code == 250
            client.command("RSET")
    times.sort()
    print("RCPT: median %.0f us, p99 %.0f us" % (times[1500] * 1e6, times[2970] * 1e6))
    assert times[2970] < 0.02  # the machine is shared; measured alone it is far below 1 ms
    assert sum(times) < 3  # 1,000 a second
    began = time.monotonic()
    relay.allow("new@example.com")
    assert verdict(relay, "new@example.com") == "deliver"
    assert time.monotonic() - began < 1
