"""What peers say ends up in logs and files that others read (CASES 2.L)."""

import csv
import io
import json
import re

import pytest
from daemon import Smtp, wait_for

# CASES S318, S319, S320
INJECTED = [
    "x 2026-11-21T10:00:00.000Z info delivered recipient=a@b.test",
    "%s%n%x%1000000d", "\x1b[2J\x1b[1;1H", "\x07\x08\x7f", "\u009b31m", "\u202egnp",
    "\nPRIORITY=0\nMESSAGE=x", "\" result=delivered \"", "{\"event\": \"delivered\"}", "a" * 2000,
]
ONE_LINE_MAX = 8192
OURS = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\Z")


def words(text):
    """As it can stand in an SMTP line."""
    return text.encode().replace(b"\n", b"\r").replace(b"\r", b" ")[:900]


def talk(relay, hop, text):
    """Everything a stranger can put into the log's fields; most of it is refused."""
    hop.replies["refused@example.com"] = "550 5.1.1 " + text.replace("\n", " ")[:400]
    hop.replies["later@example.com"] = "451 4.3.0 " + text.replace("\n", " ")[:400]
    with Smtp(relay.smtp_port, greet=False) as client:
        for line in (b"EHLO " + words(text), b"HELO client.test", b"MAIL FROM:<" + words(text) + b">",
                     words(text), b"MAIL FROM:<shop@example.com> ENVID=" + words(text),
                     b"VRFY " + words(text), b"RSET"):
            client.write(line + b"\r\n")
            client.reply()
        number = client.send("shop@example.com", ["refused@example.com", "later@example.com",
                                                  "dropped@elsewhere.test"],
                             b"Subject: " + words(text) + b"\r\nMessage-ID: <" + words(text)
                             + b">\r\n\r\nbody\r\n")
    wait_for(lambda: relay.states(number)["refused@example.com"] == "failed", "the refusal")
    agent = {"User-Agent": text.encode("utf-8", "replace").decode("latin-1").replace("\n", " "),
             "Authorization": "Bearer " + relay.token}
    try:
        relay.request("DELETE", "/api/v1/messages/" + number, headers=agent, token=None)
    except ValueError:
        pass  # a header that http.client does not send


@pytest.mark.parametrize("form", ["text", "json"])
def test_S318_S319_S320_the_log_has_one_line_an_event(make_daemon, hop, form):
    relay = make_daemon(hop.address, "log: {format: %s, level: info}\n" % form)
    relay.allow("example.com")
    for text in INJECTED:
        talk(relay, hop, text)
    assert relay.stop() == 0
    raw = relay.log_path.read_bytes()
    assert raw.endswith(b"\n")
    lines = raw.decode("utf-8").split("\n")[:-1]
    assert len(lines) > 30
    for line in lines:
        assert len(line.encode()) <= ONE_LINE_MAX
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]", line), line
        if form == "json":
            event = json.loads(line)
            assert {"time", "level", "event"} <= set(event)
            if event["event"] == "delivered":
                assert OURS.match(event["message"]), event
        else:
            # A time, a level and an event of ours; no field of a peer's ends where it wants to.
            assert re.match(r"\S+ (error|warning|info|debug) [a-z_-]+( [a-z_0-9]+=|$)", line), line
            if " info delivered " in line and '"' not in line.split(" info delivered ")[0]:
                assert re.match(r"\S+ info delivered .*message=[0-9A-Z]{26}( |$)", line), line


# --- exports ---------------------------------------------------------------------------------------

NOTES = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "'quoted", "a,b", "a;b", 'say "no"', "two\nlines",
         "=cmd|' /C calc'!A0", "caf\u00e9 \u2028 \u202e", "<script>alert(1)</script>", "</script>",
         "plain"]


def fill(relay):
    for number, note in enumerate(NOTES):
        relay.post("/whitelist", {"pattern": "n%d@example.com" % number, "note": note,
                                  "owner": note[:100]})


def as_set(relay):
    return {(e["pattern"], e["note"], e["owner"]) for e in relay.get("/whitelist?limit=1000")["items"]}


def test_S321_a_spreadsheet_runs_nothing(make_daemon):
    """And what is read back is what it was."""
    relay, other = make_daemon(), make_daemon()
    fill(relay)
    answer = relay.request("GET", "/api/v1/whitelist/export?format=csv")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    rows = list(csv.reader(io.StringIO(answer.body.decode(), newline="")))
    assert len(rows) == len(NOTES) + 1
    for row in rows:
        for cell in row:
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r"), row
    copy = other.request("POST", "/api/v1/whitelist/import?format=csv", token=None, headers={
        "Authorization": "Bearer " + other.token, "Content-Type": "text/csv"}, raw=answer.body)
    assert copy.status == 200, copy.body
    wait_for(lambda: as_set(other) == as_set(relay), "the same list")


def test_S322_json_that_stands_in_a_page(make_daemon):
    relay, other = make_daemon(), make_daemon()
    fill(relay)
    answer = relay.request("GET", "/api/v1/whitelist/export?format=json")
    assert b"<" not in answer.body
    document = json.loads(answer.body)
    other.post("/whitelist/import?format=json", document)
    wait_for(lambda: as_set(other) == as_set(relay), "the same list")
    with Smtp(relay.smtp_port) as client:
        number = client.send("shop@example.com", ["a@b.test"],
                             b"Subject: </script>\xff\xfe\xed\xa0\x80\r\nX: \xff</script>\r\n\r\nx\r\n")
    for path in ("/messages/" + number, "/messages", "/recipients"):
        body = relay.request("GET", "/api/v1" + path).body
        assert b"<" not in body
        json.loads(body.decode("utf-8"))
    assert relay.message(number)["subject"].startswith("</script>")
