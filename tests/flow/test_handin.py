"""POST /api/v1/messages: messages handed in by the API, through the same acceptance as by SMTP."""

import base64
import concurrent.futures
import email
import email.policy
import email.utils
import http.client
import json
import os
import random
import re
import socket
import subprocess
import urllib.parse

import pytest
from daemon import (PATIENCE, SANITIZED, STAGEPOST, Answer, Daemon, Smtp, canonical, wait_for,
                    without_received)
from test_events import Stream
from test_odd_content import CASES

ALICE = "alice@example.com"
BOB = "bob@example.com"
SHOP = "shop@example.com"
RAW = b"From: shop@example.com\r\nTo: alice@example.com\r\nSubject: hello\r\n\r\nbody\r\n"


def ask(relay, path, body, content_type, token="admin", headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", relay.api_port, timeout=PATIENCE)
    send = {"Content-Type": content_type,
            "Authorization": "Bearer " + (relay.token if token == "admin" else token),
            **dict(headers)}
    try:
        connection.request("POST", path, body, send, encode_chunked=hasattr(body, "__next__"))
        return Answer(connection.getresponse())
    finally:
        connection.close()


def raw(relay, content, recipients=(ALICE,), sender=SHOP, want=201, **options):
    query = urllib.parse.urlencode([("sender", sender), *[("recipient", r) for r in recipients],
                                    *options.pop("query", ())])
    answer = ask(relay, "/api/v1/messages?" + query, content, "message/rfc822", **options)
    assert answer.status == want, (answer.status, answer.body)
    return answer


def letter(relay, want=201, key=None, token="admin", **members):
    body = json.dumps({"from": SHOP, "to": ALICE, **members})
    headers = {"Idempotency-Key": key} if key else {}
    answer = ask(relay, "/api/v1/messages", body, "application/json", token, headers)
    assert answer.status == want, (answer.status, answer.body)
    return answer


def stored(relay, message_id):
    answer = relay.request("GET", "/api/v1/messages/%s/raw" % message_id)
    assert answer.status == 200
    return answer.body


def parsed(relay, answer):
    message = email.message_from_bytes(stored(relay, answer.json["id"]),
                                       policy=email.policy.default)
    assert not message.defects, message.defects
    for part in message.walk():
        assert not part.defects, part.defects
    return message


def token(relay, role="operator", scope=""):
    return relay.post("/tokens", {"name": "t%d" % random.getrandbits(40), "role": role,
                                  "scope": scope}).json["secret"]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One daemon for those that ask of their own messages only."""
    house = Daemon(tmp_path_factory.mktemp("house")).start()
    yield house
    house.close()


# --- a raw message ------------------------------------------------------------------------


def test_main_job(relay, hop):
    """Stored as it is, judged for each recipient, delivered to who is listed (S001)."""
    relay.allow(ALICE)
    answer = raw(relay, RAW, [ALICE, BOB])
    message = answer.json
    assert answer.headers["Location"] == "/api/v1/messages/" + message["id"]
    assert {r["address"]: (r["state"], r["verdict"]) for r in message["recipients"]} == {
        ALICE: ("queued", "deliver"), BOB: ("dropped", "drop")}
    assert message["rejected"] == [] and message["subject"] == "hello"
    assert message["sender"] == SHOP and message["size"] == len(RAW)
    relay.wait_states(message["id"], {ALICE: "delivered", BOB: "dropped"})
    assert stored(relay, message["id"]) == RAW
    assert [m.recipients for m in hop.snapshot()] == [[ALICE]]
    assert without_received(hop.snapshot()[0].content) == RAW
    assert b"Received: from [127.0.0.1] ([127.0.0.1])\r\n\tby relay.test with HTTP id " in (
        hop.snapshot()[0].content)


def first_event(relay, message_id):
    (one,) = relay.message(message_id)["recipients"]
    return one["history"][0]["event"], one["history"][0]["actor"]


def test_who_handed_it_in(relay):
    """The token's name stands where a login would, in the trail and in the tool."""
    secret = relay.post("/tokens", {"name": "ci", "role": "operator"}).json["secret"]
    message = raw(relay, RAW, token=secret).json
    assert message["client"]["user"] == "token:ci"
    assert message["client"]["protocol"] == "HTTP" and message["listener"] == "api"
    line = relay.get("/audit")["items"][0]
    assert (line["action"], line["actor"], line["subject"]) == (
        "message.create", "token:ci", message["id"])
    assert line["after"] == {"sender": SHOP, "size": len(RAW), "recipients": [ALICE]}
    assert first_event(relay, message["id"]) == ("accepted", "token:ci")
    # Also when another judgement has taken the place of the first one.
    relay.allow(ALICE)
    relay.post("/messages/%s/release" % message["id"])
    relay.wait_states(message["id"], {ALICE: "delivered"})
    assert first_event(relay, message["id"]) == ("accepted", "token:ci")
    shown = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "queue", "show",
                            message["id"]], capture_output=True, timeout=PATIENCE, check=True)
    assert b"token:ci" in shown.stdout
    assert 'handed_in session=' in relay.log() and "actor=token:ci" in relay.log()


def test_who_looks_on_hears_of_it(relay):
    """The same events as of mail by SMTP."""
    relay.allow(ALICE)
    with Stream(relay, "?types=accepted,verdict,attempt") as stream:
        number = raw(relay, RAW, [ALICE, BOB]).json["id"]
        events = [stream.next() for _ in range(4)]
    assert {e["message"] for e in events} == {number}
    assert [e["type"] for e in events] == ["accepted", "verdict", "verdict", "attempt"]
    assert events[0]["states"] == {"queued": 1, "dropped": 1}
    assert {e["recipient"]: e["verdict"] for e in events[1:3]} == {ALICE: "deliver", BOB: "drop"}
    assert events[3]["recipient"] == ALICE and events[3]["state"] == "delivered"


def test_no_room(make_daemon):
    """What is 452 at MAIL is 503 here, and nothing of it is stored (retention.max_messages)."""
    relay = make_daemon(None, "retention: {max_messages: 2}\npolicy: {default: hold}\n")
    numbers = [raw(relay, RAW).json["id"] for _ in range(2)]
    wait_for(lambda: relay.get("/status")["space"]["full"] == "max_messages", "it to be full")
    key = {"Idempotency-Key": "later"}
    answer = raw(relay, RAW, headers=key, want=503)
    assert answer.json["detail"].startswith("452 4.3.1 ") and answer.headers["Retry-After"]
    letter(relay, want=503)
    assert len(relay.get("/messages")["items"]) == 2
    assert relay.request("DELETE", "/api/v1/messages/" + numbers[0]).status == 204
    wait_for(lambda: relay.get("/status")["space"]["full"] is None, "room")
    raw(relay, RAW, headers=key)  # what was refused is no answer that is kept


def test_no_room_for_what_is_announced(make_daemon):
    """As SIZE of MAIL: it is refused before its first byte."""
    relay = make_daemon(None, "retention: {max_bytes: 4M}\nsmtp: {max_message_size: 1M}\n"
                              "policy: {default: hold}\n")
    large = RAW + b"x" * 1_000_000
    for _ in range(3):
        raw(relay, large)
    wait_for(lambda: relay.get("/status")["space"]["database_bytes"] > 3_000_000, "it to be seen")
    connection = http.client.HTTPConnection("127.0.0.1", relay.api_port, timeout=PATIENCE)
    connection.putrequest("POST", "/api/v1/messages?sender=%3C%3E&recipient=" + ALICE)
    connection.putheader("Authorization", "Bearer " + relay.token)
    connection.putheader("Content-Type", "message/rfc822")
    connection.putheader("Content-Length", str(len(large)))
    connection.endheaders()
    answer = Answer(connection.getresponse())
    connection.close()
    assert answer.status == 503 and answer.json["detail"].startswith("452 4.3.1 ")
    assert 'reason="there is no room for a message of ' in relay.log()
    raw(relay, RAW)
    assert len(relay.get("/messages")["items"]) == 4


def test_by_the_unix_socket(relay):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(relay.data_dir / "admin.sock"))
    connection.request("POST", "/api/v1/messages?sender=%3C%3E&recipient=" + ALICE, RAW,
                       {"Content-Type": "message/rfc822"})
    answer = Answer(connection.getresponse())
    connection.close()
    assert answer.status == 201 and answer.json["sender"] == ""
    assert answer.json["client"]["address"] == "unix"
    assert answer.json["client"]["user"] == "socket:%d" % os.geteuid()


@pytest.mark.parametrize("name", [n for n in CASES if n[:4] in ("S197", "S198", "S199", "S200")])
def test_odd_parts(house, name):
    """S197 to S200: what comes by this door is stored and shown as what comes by SMTP."""
    number = raw(house, CASES[name]).json["id"]
    assert stored(house, number) == canonical(CASES[name])
    assert house.request("GET", "/api/v1/messages/%s/parts" % number).status == 200


@pytest.mark.parametrize("filename", [
    "../../etc/passwd", "a" * 255, ".", "..\\a:b", "CON", "\u202etxt.exe"])
def test_names_of_files(house, filename):
    """S200: what a file is called is told to the reader as it is, and makes no file here."""
    message = parsed(house, letter(house, attachments=[{"filename": filename, "content": "QQ=="}]))
    (file,) = message.iter_attachments()
    assert file.get_filename() == filename and file.get_payload(decode=True) == b"A"


@pytest.mark.parametrize("content", [b"Subject: x\n\nbare\nLFs\rand\n\n.\n..dots", b"\n", b"x",
                                     b"A: b\r\n\r\n" + b"y" * 5000, bytes(range(256)) * 10])
def test_any_bytes(house, content):
    message = raw(house, content).json
    # As by BDAT: nothing is added to a last line without an end.
    assert stored(house, message["id"]) == re.sub(rb"\r\n|\r|\n", b"\r\n", content)


def test_what_may_not_be(relay):
    def refused(path, status, body=RAW, content_type="message/rfc822", **options):
        answer = ask(relay, "/api/v1/messages" + path, body, content_type, **options)
        assert answer.status == status, (path, answer.status, answer.body)
        assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.json

    good = "?sender=a@b.example&recipient=c@d.example"
    assert refused("?recipient=" + ALICE, 400)["errors"][0]["pointer"] == "sender"
    assert refused("?sender=" + SHOP, 400)["errors"][0]["pointer"] == "recipient"
    for bad in ("x", "a@b@c", "a%20b@c.example", "Bob%20<b@c.example>", "a@b.example,c@d.example",
                "a@b.example%0d%0aRCPT", "%3Ca@b.example%3E"):
        refused("?sender=a@b.example&recipient=" + bad, 400)
        refused("?recipient=a@b.example&sender=" + bad, 400)
    refused(good + "&unknown=1", 400)
    refused(good + "&scope=no%20scope", 400)
    refused(good, 415, content_type="text/plain")
    refused(good, 400, body=b"")
    refused(good, 401, token="stp_" + "a" * 43)
    refused(good, 403, token=token(relay, "reader"))
    refused(good, 403, headers={"Origin": "http://evil.example"})
    refused(good, 400, headers={"Idempotency-Key": "with blank"})
    refused(good, 400, headers={"Idempotency-Key": "x" * 256})
    assert relay.get("/messages")["items"] == []


def test_limits_are_those_of_smtp(make_daemon, hop):
    relay = make_daemon(hop.address, "smtp: {max_message_size: 100000, max_recipients: 3, "
                                     "max_received: 5}\n")
    raw(relay, b"A: b\r\n\r\n" + b"x" * 99992)
    raw(relay, b"A: b\r\n\r\n" + b"x" * 99993, want=413)
    raw(relay, b"\n" * 60000, want=413)  # grows
    raw(relay, iter([b"x" * 60000, b"x" * 60000]), want=413)
    letter(relay, text="x" * 200000, want=413)
    raw(relay, RAW, ["r%d@example.com" % i for i in range(3)])
    raw(relay, RAW, ["r%d@example.com" % i for i in range(4)], want=422)
    letter(relay, to=["r%d@example.com" % i for i in range(4)], want=422)
    raw(relay, b"Received: x\r\n" * 5 + b"\r\n")
    assert "5.4.6" in raw(relay, b"Received: x\r\n" * 6 + b"\r\n", want=422).json["detail"]
    assert len(relay.get("/messages")["items"]) == 3


def test_scopes(relay):
    relay.post("/whitelist", {"pattern": ALICE, "scope": "shop"})
    shop = token(relay, scope="shop")
    assert raw(relay, RAW, token=shop).json["recipients"][0]["verdict"] == "deliver"
    assert raw(relay, RAW).json["recipients"][0]["verdict"] == "drop"
    assert raw(relay, RAW, query=[("scope", "shop")]).json["scope"] == "shop"
    raw(relay, RAW, token=shop, query=[("scope", "other")], want=400)
    assert letter(relay, token=shop).json["scope"] == "shop"
    assert letter(relay, scope="shop").json["recipients"][0]["verdict"] == "deliver"
    letter(relay, token=shop, scope="other", want=400)


def test_rejected_recipients(make_daemon, hop):
    relay = make_daemon(hop.address, "policy: {default: reject}\n")
    relay.allow(ALICE)
    message = raw(relay, RAW, [BOB, ALICE]).json
    assert [r["address"] for r in message["recipients"]] == [ALICE]
    assert [r["address"] for r in message["rejected"]] == [BOB]
    assert "whitelist" in message["rejected"][0]["reason"]
    problem = raw(relay, RAW, [BOB, "c@example.com"], want=422).json
    assert len(problem["errors"]) == 2


@pytest.mark.parametrize("stage,code,want", [
    ("mail", 451, 503), ("mail", 550, 422), ("rcpt", 450, 503), ("rcpt", 550, 422),
    ("data", 451, 503), ("end", 452, 503), ("end", 554, 422)])
def test_failures_on_demand(relay, stage, code, want):
    relay.post("/faults", {"name": "no", "action": "reject", "stage": stage, "code": code})
    answer = raw(relay, RAW, want=want)
    assert str(code) in json.dumps(answer.json) or want == 422
    letter(relay, want=want)
    assert relay.get("/messages")["items"] == []


def test_rules_and_redirects(make_daemon, hop):
    relay = make_daemon(hop.address, "policy: {default: redirect, redirect_to: qa@example.com}\n")
    relay.allow("qa@example.com", ALICE)
    relay.post("/rules", {"name": "held", "action": "hold", "user": "token:*",
                          "headers": [{"name": "Subject", "value": "hold*"}]})
    message = raw(relay, RAW, [BOB]).json
    assert {r["address"]: r["state"] for r in message["recipients"]} == {
        BOB: "redirected", "qa@example.com": "queued"}
    message = letter(relay, subject="hold it").json
    assert message["recipients"][0]["state"] == "held"


def test_large_ones_are_not_kept_in_memory(make_daemon, hop):
    """50 MB at a time from several callers, while mail by SMTP goes on (DESIGN P6)."""
    relay = make_daemon(hop.address, "smtp: {max_message_size: 50M, memory: 16M}\n")
    block = b"0123456789" * 6 + b"abc\r\n"
    content = b"Subject: large\r\n\r\n" + block * (20_000_000 // len(block))

    def resident():
        with open("/proc/%d/status" % relay.process.pid, encoding="ascii") as status:
            return int([line for line in status if line.startswith("VmRSS")][0].split()[1])

    raw(relay, RAW)
    before = resident()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(raw, relay, content) for _ in range(4)]
        most = 0
        with Smtp(relay.smtp_port) as client:
            while not all(f.done() for f in futures):
                client.send(SHOP, [ALICE], RAW)
                most = max(most, resident())
        ids = [f.result().json["id"] for f in futures]
    if not SANITIZED:
        assert most - before < 60_000, "%d KiB more" % (most - before)
    assert all(stored(relay, i) == content for i in ids[:1])
    assert len({relay.message(i)["size"] for i in ids}) == 1


def test_one_that_stops_halfway(relay):
    """Nothing of it is left, and the relay stops cleanly."""
    head = ("POST /api/v1/messages?sender=%s&recipient=%s HTTP/1.1\r\nHost: localhost\r\n"
            "Authorization: Bearer %s\r\nContent-Type: message/rfc822\r\nContent-Length: 3000000"
            "\r\n\r\n" % (SHOP, ALICE, relay.token)).encode()
    sockets = []
    for sent in (0, 100, 1_000_000):
        connection = socket.create_connection(("127.0.0.1", relay.api_port))
        connection.sendall(head + b"x" * sent)
        sockets.append(connection)
    sockets.pop().close()
    relay.restart()
    assert relay.get("/messages")["items"] == []
    for connection in sockets:
        connection.close()


# --- JSON ------------------------------------------------------------------------------------


def test_a_letter(relay, hop):
    relay.allow("*@example.com")
    answer = letter(relay, to=["Alice <%s>" % ALICE, "\"Grüße, Größe\" <%s>" % BOB],
                    cc="carol@example.com", bcc=["dave@example.com"], reply_to="re@example.com",
                    subject="Grüße aus " + "Köln " * 30, text="Hällo\n.\nFrom here\n",
                    headers={"X-Tag": ["a", "b"], "References": "<1@a.example> <2@b.example>"},
                    **{"from": "\"Shop, Inc.\" <shop@example.com>"})
    message = parsed(relay, answer)
    raw_bytes = stored(relay, answer.json["id"])
    assert message["From"].addresses[0].display_name == "Shop, Inc."
    assert [(a.display_name, a.addr_spec) for a in message["To"].addresses] == [
        ("Alice", ALICE), ("Grüße, Größe", BOB)]
    assert [a.addr_spec for a in message["Cc"].addresses] == ["carol@example.com"]
    assert message["Bcc"] is None and b"dave" not in raw_bytes
    assert message["Subject"] == "Grüße aus " + ("Köln " * 30).strip()
    assert message.get_all("X-Tag") == ["a", "b"]
    assert message["References"] == "<1@a.example> <2@b.example>"
    assert message.get_content().replace("\r\n", "\n") == "Hällo\n.\nFrom here\n"
    assert message["Message-ID"] == answer.json["message_id"]
    assert email.utils.parsedate_to_datetime(message["Date"])
    assert max(len(line) for line in raw_bytes.split(b"\r\n")) <= 78 and raw_bytes.isascii()
    assert sorted(r["address"] for r in answer.json["recipients"]) == sorted(
        [ALICE, BOB, "carol@example.com", "dave@example.com"])
    wait_for(lambda: len(hop.offered) == 4, "four recipients")


def test_parts(house):
    files = [{"filename": "a b.pdf", "type": "application/pdf",
              "content": base64.encodebytes(bytes(range(256)) * 4).decode()},
             {"filename": "Übersicht \"neu\".txt", "type": "text/plain; charset=utf-8",
              "content": base64.b64encode("Grüße\n".encode()).decode()},
             {"content": ""}]
    message = parsed(house, letter(house, text="plain", html="<p>Grüße</p>", attachments=files))
    assert message.get_content_type() == "multipart/mixed"
    body, *attached = message.iter_parts()
    assert [p.get_content_type() for p in body.iter_parts()] == ["text/plain", "text/html"]
    assert message.get_body(("html",)).get_content().rstrip("\n") == "<p>Grüße</p>"
    assert [a.get_filename() for a in attached] == ["a b.pdf", "Übersicht \"neu\".txt", None]
    assert attached[0].get_payload(decode=True) == bytes(range(256)) * 4
    assert attached[1].get_content() == "Grüße\n"
    assert attached[2].get_content_type() == "application/octet-stream"
    message = parsed(house, letter(house, html="<b>x</b>"))
    assert message.get_content_type() == "text/html"
    assert parsed(house, letter(house)).get_content() == ""


@pytest.mark.parametrize("text", [
    "", "x", "x\n", "one\r\ntwo\rthree\n", "a" * 2000, "From me\n.\n..\n", "trailing \n\t\n",
    "=?utf-8?q?x?=", "ä" * 500, "\x01\x7f", "=" * 300, "日本語\n" * 100,
    "mixed ä " * 200])
def test_texts_survive(house, text):
    want = text.replace("\r\n", "\n").replace("\r", "\n")
    for kind in ("text", "html"):
        message = parsed(house, letter(house, **{kind: text}))
        got = message.get_payload(decode=True).decode().replace("\r\n", "\n")
        assert got.rstrip("\n") == want.rstrip("\n") and len(got) - len(want) in (0, 1), got


def test_the_envelope_may_differ(house):
    message = letter(house, sender="bounce@example.com", recipients=BOB).json
    assert message["sender"] == "bounce@example.com"
    assert [r["address"] for r in message["recipients"]] == [BOB]
    assert letter(house, sender="").json["sender"] == ""
    assert letter(house, sender="<>").json["sender"] == ""


def test_letters_that_are_none(relay):
    def refused(pointer, **members):
        problem = letter(relay, want=400, **members).json
        assert pointer in [e["pointer"] for e in problem["errors"]], problem

    refused("/from", **{"from": None})
    refused("/from", **{"from": ["a@b.example", "c@d.example"]})
    refused("/from", **{"from": "Group: a@b.example;"})
    refused("/to", to=None)
    refused("/to", to=[])
    refused("/to", to="no address")
    refused("/to/1", to=[ALICE, 7])
    refused("/to", to="<@route.example:a@b.example>")
    refused("/sender", sender="x")
    refused("/recipients", recipients=[])
    refused("/subject", subject=3)
    refused("/text", text={})
    refused("/headers", headers=[])
    refused("/headers/X-A", headers={"X-A": 1})
    for name in ("Bcc", "bcc", "To", "Content-Type", "MIME-Version", "Received", "Resent-To",
                 "Subject", "Sender", "X-Stagepost-Id"):
        refused("/headers/" + name, headers={name: "x"})
    for name in ("", "a b", "a:b", "ä", "a\nb", "x" * 77):
        refused("/headers", headers={name: "x"})
    refused("/headers/Date", headers={"Date": "yesterday"})
    refused("/headers/Message-ID", headers={"Message-ID": "<a@b> <c@d>"})
    refused("/headers/Message-ID", headers={"Message-ID": ["<a@b>", "<c@d>"]})
    refused("/attachments", attachments={})
    refused("/attachments/0", attachments=["x"])
    refused("/attachments/0", attachments=[{"content": "a"}])
    refused("/attachments/0", attachments=[{"content": "", "type": "multipart/mixed"}])
    refused("/attachments/0", attachments=[{"content": "", "type": "a/b\r\nX: y"}])
    refused("/attachments/0", attachments=[{"content": "", "filename": "a\r\nb"}])
    refused("/attachments/0", attachments=[{"content": "", "more": 1}])
    refused("/unknown", unknown=1)
    for body in ("", "[]", "{", '{"from": 1', '"x"', "{}"):
        answer = ask(relay, "/api/v1/messages", body, "application/json")
        assert answer.status == 400, (body, answer.body)
    answer = ask(relay, "/api/v1/messages?sender=a@b.example", "{}", "application/json")
    assert answer.status == 400
    assert relay.get("/messages")["items"] == []


def test_no_text_makes_a_field(house):
    """Header injection: whatever stands in a text, the fields are those that were asked for."""
    chance = random.Random(1)
    pieces = ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x7f", "\t", " ",
              ":", "Bcc: evil@example.com", "X-Evil: 1", "=?utf-8?q?=0d=0aX-Evil:_1?=", "\\", '"',
              "<", ">", ",", ";", "(", ")", "@", "a", "é", "日", "\U0001f600", "=0D=0A", "a@b.example",
              "=?", "?=", "x" * 100]
    want = {"From", "To", "Subject", "X-Own", "Date", "Message-ID", "MIME-Version",
            "Content-Type", "Content-Transfer-Encoding"}
    taken = 0
    for round_ in range(300):
        text = "".join(chance.choice(pieces) for _ in range(chance.randint(1, 8)))
        place = round_ % 5
        members = {"subject": "s", "headers": {"X-Own": "v"}}
        if place == 0:
            members["subject"] = text
        elif place == 1:
            members["headers"] = {"X-Own": text}
        elif place == 2:
            members["to"] = "\"%s\" <%s>" % (text.replace("\\", "").replace('"', ""), ALICE)
        elif place == 3:
            members["headers"] = {text: "v", "X-Own": "v"}
        else:
            members["attachments"] = [{"filename": text, "content": ""}]
        answer = ask(house, "/api/v1/messages", json.dumps(
            {"from": SHOP, "to": ALICE, **members}), "application/json")
        if answer.status == 400:
            continue
        assert answer.status == 201, answer.body
        taken += 1
        content = stored(house, answer.json["id"])
        head = content.partition(b"\r\n\r\n")[0]
        assert b"\r" not in head.replace(b"\r\n", b"") and head.count(b"\n") == head.count(b"\r\n")
        message = email.message_from_bytes(content)
        names = set(message.keys())
        if place == 3:
            names -= set(members["headers"])
        assert names - {"Content-Disposition"} <= want, (text, names)
        assert [r["address"] for r in answer.json["recipients"]] == [ALICE]
        if place == 0:
            parsed_subject = email.message_from_bytes(content, policy=email.policy.default)
            assert parsed_subject["Subject"].split() == text.split(), (text, content)
    assert taken > 60


def test_a_large_letter(house):
    """Read in labour, handed on in pieces; the bytes are the same at the end."""
    data = random.Random(2).randbytes(9_000_000)
    answer = letter(house, text="see there\n" * 20000, attachments=[
        {"filename": "large.bin", "content": base64.b64encode(data).decode()}])
    message = parsed(house, answer)
    assert next(message.iter_attachments()).get_payload(decode=True) == data


# --- Idempotency-Key -----------------------------------------------------------------------------


def test_the_same_key(relay):
    """S311: a POST that is tried again hands in once and is answered alike."""
    key = {"Idempotency-Key": "order-4711"}
    first = raw(relay, RAW, headers=key)
    relay.allow(ALICE)  # the answer is that of then, all the same
    again = raw(relay, RAW, headers=key)
    assert again.body == first.body
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.headers["Idempotency-Replayed"] is None
    for changed in (dict(content=RAW + b"x"), dict(recipients=[BOB]), dict(sender="o@example.com")):
        raw(relay, **{"content": RAW, **changed}, headers=key, want=422)
    letter(relay, key="order-4711", want=422)
    assert raw(relay, RAW, headers={"Idempotency-Key": "other"}).body != first.body
    # Another caller's key is another key.
    assert raw(relay, RAW, headers=key, token=token(relay)).json["id"] != first.json["id"]
    assert len(relay.get("/messages")["items"]) == 3
    relay.restart()
    assert raw(relay, RAW, headers=key).body == first.body
    relay.request("DELETE", "/api/v1/messages/" + first.json["id"])
    assert raw(relay, RAW, headers=key).body == first.body


def test_the_same_key_for_letters(house):
    first = letter(house, key="k", text="x")
    assert letter(house, key="k", text="x").body == first.body
    letter(house, key="k", text="y", want=422)
    # What was refused is not kept.
    letter(house, key="n", to=[], want=400)
    letter(house, key="n")


def test_the_same_key_at_the_same_time(relay):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda _: raw(relay, RAW, headers={"Idempotency-Key": "race"}), range(24)))
    assert len({a.body for a in answers}) == 1
    assert len(relay.get("/messages")["items"]) == 1


def test_killed_behind_the_answer(relay):
    """P2: what was answered 201 is there, with its key."""
    first = raw(relay, RAW, headers={"Idempotency-Key": "k"})
    relay.kill()
    relay.start()
    assert stored(relay, first.json["id"]) == RAW
    assert raw(relay, RAW, headers={"Idempotency-Key": "k"}).body == first.body
