"""The whitelist as text: import, export and apply, against a running daemon, and what is
translated from others' lists against their own engines."""

import csv
import http.client
import io
import itertools
import json
import random
import re
import subprocess
import threading
import time

import pytest
from daemon import PATIENCE, SANITIZED, STAGEPOST, Smtp

BYTES = "application/octet-stream"


class Lists:
    """The requests about the whole list."""

    def __init__(self, relay):
        self.relay = relay

    def call(self, method, path, body=None, kind=BYTES, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.relay.api_port, timeout=PATIENCE)
        send = {"Authorization": "Bearer " + self.relay.token, **dict(headers)}
        if body is not None:
            send["Content-Type"] = kind
        try:
            connection.request(method, "/api/v1/whitelist" + path,
                               body.encode() if isinstance(body, str) else body, send)
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def load(self, text, query="", want=200, **more):
        status, body, _ = self.call("POST", "/import?" + query, text, **more)
        assert status == want, (status, body)
        return json.loads(body)

    def export(self, form):
        status, body, headers = self.call("GET", "/export?format=" + form)
        assert status == 200, body
        return body.decode(), headers

    def entries(self):
        keys = ("pattern", "action", "scope", "note", "owner", "expires_at")
        return [tuple(e[k] for k in keys) for e in self.relay.all_items("/whitelist?limit=1000")]

    def clear(self):
        _, headers = self.export("json")
        status, body, _ = self.call("PUT", "", '{"entries": []}', "application/json",
                                    {"If-Match": headers["ETag"]})
        assert status == 200, body


@pytest.fixture
def lists(relay):
    return Lists(relay)


def verdicts(relay, addresses, scope=""):
    """Which of the addresses may leave."""
    allowed = {}
    for at in range(0, len(addresses), 500):
        answer = relay.post("/check", {"recipients": addresses[at:at + 500], "scope": scope})
        allowed.update({a: i["verdict"] == "deliver"
                        for a, i in zip(addresses[at:at + 500], answer.json["items"])})
    return allowed


def test_import(lists, relay):
    text = "# staging\nalice@example.com note=\"a, b\"\n!bob@example.com\n.qa.test scope=shop\n"
    planned = lists.load(text, "dry_run=true")
    assert planned["dry_run"] and planned["added"] == 3 and len(planned["changes"]) == 3
    assert lists.entries() == []
    done = lists.load(text)
    assert (done["added"], done["unchanged"], done["entries"]) == (3, 0, 3)
    assert lists.entries() == [("alice@example.com", "allow", "", "a, b", None, None),
                               ("bob@example.com", "deny", "", None, None, None),
                               (".qa.test", "allow", "shop", None, None, None)]
    assert verdicts(relay, ["alice@example.com", "bob@example.com"]) == {
        "alice@example.com": True, "bob@example.com": False}
    again = lists.load(text + "carol@example.com\nCarol@Example.com\n")
    assert (again["added"], again["unchanged"], again["repeated"]) == (1, 3, 1)
    assert again["revision"] == done["revision"] + 1
    # What is there stays as it is, unless one says otherwise.
    other = "alice@example.com owner=me\n"
    assert lists.load(other)["unchanged"] == 1
    assert lists.entries()[0][3:5] == ("a, b", None)
    assert lists.load(other, "mode=update")["changed"] == 1
    assert lists.entries()[0][3:5] == (None, "me")
    # Nothing to do is no new revision.
    assert lists.load(other, "mode=update")["revision"] == again["revision"] + 1
    assert lists.load("", "format=text")["entries"] == 0


def test_import_is_all_or_nothing(lists, relay):
    """S161: one bad line in 10,000; the line is in the error."""
    lines = ["u%d@example.com" % i for i in range(10000)]
    lines[7776] = "u7776@exa mple.com"
    problem = lists.load("\n".join(lines), want=400)
    assert [(e["line"], e["column"]) for e in problem["errors"]] == [(7777, 11)]
    table = "pattern,note\n" + "".join("%s,x\n" % line for line in lines)
    problem = lists.load(table, "format=csv", want=400)
    assert [(e["line"], e["column"]) for e in problem["errors"]] == [(7778, 1)]
    problem = lists.load(json.dumps([{"pattern": line} for line in lines], indent=0),
                         kind="application/json", want=400)
    assert [e["pointer"] for e in problem["errors"]] == ["/7776/pattern"]
    assert lists.entries() == []
    del lines[7776]
    assert lists.load("\n".join(lines))["added"] == 9999
    assert len(lists.entries()) == 9999


def test_import_refuses(lists, relay):
    lists.load("x\n" * 1000, want=400)
    lists.load("a@x.test", "format=yaml", want=400)
    lists.load("a@x.test", "mode=replace", want=400)
    lists.load("a@x.test", "dry_run=1", want=400)
    lists.load("a@x.test", "scope=a/b", want=400)
    lists.load("a@x.test", kind="text/plain", want=415)
    assert len(lists.load("x\n" * 1000, want=400)["errors"]) == 100
    assert "allow_all" in lists.load("*", want=400)["errors"][0]["detail"]
    lists.load("*", "allow_all=true&dry_run=true")
    lists.load("a@x.test", headers={"If-Match": '"999"'}, want=412)
    lists.load("a@x.test expires_at=2020-01-01T00:00:00Z")
    assert verdicts(relay, ["a@x.test"]) == {"a@x.test": False}
    too_many = "".join("u%d.test\n" % i for i in range(1000001))
    assert "1000000" in lists.load(too_many, want=400)["errors"][0]["detail"]


def test_a_token_of_a_scope_stays_in_it(lists, relay):
    made = relay.post("/tokens", {"name": "shop", "role": "operator", "scope": "shop"}).json
    own = {"Authorization": "Bearer " + made["secret"]}
    lists.load("global@x.test")
    lists.load("a@x.test\nb@x.test scope=shop", headers=own)
    lists.load("c@x.test scope=other", headers=own, want=400)
    lists.load("c@x.test", "scope=other", headers=own, want=400)
    status, body, _ = lists.call("GET", "/export", headers=own)
    assert status == 200 and b"global" not in body and body.count(b"scope=shop") == 2
    status, _, _ = lists.call("GET", "/export?scope=other", headers=own)
    assert status == 400


def test_a_token_of_a_scope_hears_of_no_other(relay):
    """Neither what is tried nor what is stored names an entry of another scope."""
    made = relay.post("/tokens", {"name": "shop", "role": "operator", "scope": "shop"}).json
    relay.post("/whitelist", {"pattern": "a@x.test", "scope": "crm"})
    ask = {"recipients": ["a@x.test"], "scope": "shop"}
    limited = relay.request("POST", "/api/v1/check", ask, made["secret"]).json["items"][0]
    assert (limited["reason"], limited["nearest"]) == ("no entry allows it", None)
    item = relay.post("/check", ask).json["items"][0]
    assert item["nearest"] == "a@x.test" and "another scope" in item["reason"]


HOSTILE = ["=cmd|' /C calc'!A0", "a \"quoted\", b", "two\nlines\tand a tab", "'", "''=", "#x", "@",
           "back\\slash \\n", "\u202e\u00e9\U0001f600", " blanks ", "+1", "-1", "deny x", None]


def test_what_is_exported_comes_back(lists, relay):
    """Round trip in all three formats, and the CSV is one for others, too."""
    patterns = ["a%d@x.test" % i for i in range(len(HOSTILE))]
    patterns[:6] = ["=a@x.test", "!a@x.test", "#a@x.test", "'a@x.test", "+a@x.test", "b-*@.x.test"]
    for i, (pattern, note) in enumerate(zip(patterns, HOSTILE)):
        relay.post("/whitelist", {"pattern": pattern, "note": note, "owner": HOSTILE[-1 - i],
                                  "scope": ["", "shop"][i % 2], "action": ["allow", "deny"][i % 3 > 1],
                                  **({"expires_in": "4h"} if i % 4 == 0 else {})})
    relay.post("/whitelist", {"pattern": "*", "allow_all": True, "scope": "lab"})
    before = lists.entries()
    for form in ("text", "csv", "json"):
        text, headers = lists.export(form)
        assert headers["ETag"] and form in headers["Content-Type"].replace("plain", "text")
        lists.clear()
        assert lists.load(text.encode(), "format=" + form)["added"] == len(before)
        assert lists.entries() == before, form
    rows = list(csv.DictReader(io.StringIO(lists.export("csv")[0], newline="")))
    assert len(rows) == len(before)
    assert not any(c[:1] in "=+-@" for row in rows for c in row.values() if c)
    assert [e["pattern"] for e in json.loads(lists.export("json")[0])["entries"]] == [
        e[0] for e in before]


def test_an_export_is_one_version(lists, relay):
    """Longer than what is read at once; a change in between cuts it instead of mixing two lists."""
    lists.load("".join("u%d@example.com note=\"%s\"\n" % (i, "n" * 900) for i in range(20000)))
    text, _ = lists.export("text")
    assert text.count("\n") == 20001
    connection = http.client.HTTPConnection("127.0.0.1", relay.api_port, timeout=PATIENCE)
    connection.request("GET", "/api/v1/whitelist/export?format=text", headers={
        "Authorization": "Bearer " + relay.token})
    response = connection.getresponse()
    assert response.read(1000)
    relay.allow("later@example.com")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        while response.read(1 << 20):
            pass
    connection.close()


# --- others' lists ----------------------------------------------------------------


LOCALS = ["a", "b", "ab", "qa", "qa-1", "qa-", "xqa-1", "a+tag", "a.b", "bob", "bobx"]
DOMAINS = ["x.test", "y.test", "ax.test", "a.x.test", "b.a.x.test", "x.test.evil.test", "xxtest.test",
           "x-test.test", "test.x"]
ADDRESSES = ["%s@%s" % pair for pair in itertools.product(LOCALS, DOMAINS)]


def make_regex(draw):
    """Most can't be translated: then nothing is asked of the rest."""
    def local():
        return draw.choice(["a", "qa-", "qa", "bob", r"a\.b", r"a\+tag", ".*", ".+", "[^@]+", "[^@]*",
                            "(a|b)", "(?:qa-.*|bob)", "", "a.b", "a*", ".*qa"])

    def domain():
        return draw.choice([r"x\.test", r"y\.test", r"(x|y)\.test", r".*\.x\.test", r".+\.x\.test",
                            r"[^@]+\.x\.test", r"a\.x\.test", "x.test", r"x\.test|@y\.test",
                            r"\.x\.test", r".*x\.test", ".*", r"x\.(test|com)"])

    text = "".join([draw.choice(["^", "^", "", r"\A"]), local(), draw.choice(["", "", local()]),
                    draw.choice(["@", "@", "@", ""]), domain(), draw.choice(["$", "$", "$", ""])])
    return draw.choice(["%s", "%s", "%s", "(%s)", "(?i)%s", "%s|^bob@y\\.test$"]) % text


def test_regular_expressions_are_translated_exactly(lists, relay):
    """T11, T15, S151: what is taken gives the same answer as another engine for every address."""
    draw = random.Random(20261121)
    known = [r"@x\.test$", r"^bob@x\.test$", r"(bob@x\.test|@y\.test)$", r"^(.*)@x\.test$",
             r"^qa-.*@(x|y)\.test$", r"\.x\.test$", r"^a\.b@[^@]+\.x\.test$", r"^.*$"]
    taken = 0
    for number, regex in enumerate(known + [make_regex(draw) for _ in range(250)]):
        scope = "r%d" % number
        status, body, _ = lists.call(
            "POST", "/import?format=mailpit&allow_all=true&scope=" + scope, regex)
        assert status == 200 or number >= len(known), (regex, body)
        if status != 200:
            assert status == 400 and json.loads(body)["errors"][0]["line"] == 1, body
            continue
        taken += 1
        engine = re.compile(regex.replace(r"\z", r"\Z"))
        want = {a: engine.search(a) is not None for a in ADDRESSES}
        assert verdicts(relay, ADDRESSES, scope) == want, regex
    assert taken > 40, taken


def maildev_allows(rules, address):
    """outgoing.js: the last rule that matches, else yes."""
    allowed = True
    for rule in rules:
        (action, glob), = rule.items()
        if re.fullmatch(".*".join(map(re.escape, glob.split("*"))), address, re.I):
            allowed = action == "allow"
    return allowed


def test_maildev_rules_are_translated_exactly(lists, relay):
    """T4, and the rules of its documentation."""
    draw = random.Random(20261121)
    globs = ["*@x.test", "*@y.test", "*@*.x.test", "bob@x.test", "b*@x.test", "qa-*@x.test",
             "*@a.x.test", "a@*.x.test", "*.x.test", "*"]
    taken = 0
    for number in range(150):
        rules = [{draw.choice(["allow", "deny"]): draw.choice(globs)}
                 for _ in range(draw.randrange(5))]
        if number % 3:
            rules.insert(0, {"deny": "*"})
        scope = "m%d" % number
        status, body, _ = lists.call(
            "POST", "/import?format=maildev&allow_all=true&scope=" + scope, json.dumps(rules))
        if status != 200:
            assert status == 400 and "deny always wins" in json.loads(body)["detail"], body
            continue
        taken += 1
        want = {a: maildev_allows(rules, a) for a in ADDRESSES}
        assert verdicts(relay, ADDRESSES, scope) == want, rules
    assert taken > 60, taken
    problem = lists.load('[{"allow": "*@x.test"}]', "format=maildev", want=400)
    assert '{"deny": "*"} must come first' in problem["detail"]


# --- the tool ---------------------------------------------------------------------


@pytest.fixture
def tool(relay, tmp_path):
    def run(*arguments, want=0, stdin=b""):
        done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "whitelist", *arguments],
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE, cwd=tmp_path)
        assert b"Sanitizer" not in done.stderr, done.stderr.decode()
        assert done.returncode == want, (arguments, done.returncode, done.stdout, done.stderr)
        return done
    return run


def test_tool_imports_and_exports(tool, lists, tmp_path):
    (tmp_path / "list").write_text("alice@example.com\ndeny bob@example.com\n")
    assert b"2 would be added" in tool("import", "list", "--dry-run").stdout
    assert lists.entries() == []
    assert b"2 added" in tool("import", "list").stdout
    assert b"2 there already" in tool("import", "-", stdin=b"alice@example.com,!bob@example.com").stdout
    (tmp_path / "bad.csv").write_text("pattern\nok@example.com\nnot ok\n")
    said = tool("import", "bad.csv", want=64).stderr
    assert b"bad.csv: line 3, column 1" in said
    assert json.loads(tool("import", "list", "--json").stdout)["unchanged"] == 2
    exported = tool("export").stdout
    assert exported.splitlines()[1:] == [b"alice@example.com", b"deny bob@example.com"]
    assert tool("export", "--format", "csv").stdout.startswith(b"pattern,action,")
    assert len(json.loads(tool("export", "--json").stdout)["entries"]) == 2
    lists.clear()
    assert b"2 added" in tool("import", "-", stdin=exported).stdout
    tool("import", "-", "--format", "maildev", stdin=b'[{"deny":"*"},{"allow":"*@y.test"}]')
    tool("import", "-", "--format", "mailpit", stdin=b"@z.test$", want=64)
    tool("import", "-", stdin=b"*", want=64)
    tool("import", "-", "--allow-all", "--scope", "lab", stdin=b"*")
    tool("import", "-", "--update", stdin=b"alice@example.com note=mine")
    assert [e[:4] for e in lists.entries()] == [
        ("alice@example.com", "allow", "", "mine"), ("bob@example.com", "deny", "", None),
        ("y.test", "allow", "", None), ("*", "allow", "lab", None)]
    tool("import", want=64)
    tool("import", "list", "--format", "yaml", want=64)
    tool("import", "nothing-there", want=74)
    tool("export", "--format", "maildev", want=64)


def test_whitelist_as_code(tool, lists, relay, tmp_path):
    """apply: what a file says, as one change; --dry-run answers as diff does."""
    wanted = tmp_path / "staging.list"
    lists.load("old@x.test note=gone\nsame@x.test\nother@x.test note=a\n")
    wanted.write_text("# as code\nsame@x.test\nother@x.test note=\"b c\"\n!new@x.test\n")
    planned = tool("apply", "staging.list", "--dry-run", want=1).stdout.decode()
    assert planned.splitlines() == [
        '- old@x.test note="gone"', '~ other@x.test note="b c"', '  was other@x.test note="a"',
        "+ deny new@x.test", "Plan: 1 to add, 1 to change, 1 to remove"]
    assert len(lists.entries()) == 3
    before = relay.get("/whitelist")["revision"]
    done = tool("apply", "staging.list").stdout.decode()
    assert done.splitlines()[:4] == planned.splitlines()[:4]
    assert done.splitlines()[4] == "Applied: 1 added, 1 changed, 1 removed"
    assert [e[:4] for e in lists.entries()] == [
        ("same@x.test", "allow", "", None), ("other@x.test", "allow", "", "b c"),
        ("new@x.test", "deny", "", None)]
    assert relay.get("/whitelist")["revision"] == before + 1
    assert "recipients seen" in done.splitlines()[5]
    assert b"nothing to do" in tool("apply", "staging.list", "--dry-run").stdout
    tool("apply", "staging.list")
    assert relay.get("/whitelist")["revision"] == before + 1
    answer = json.loads(tool("apply", "-", "--dry-run", "--json", stdin=b"same@x.test",
                             want=1).stdout)
    assert (answer["applied"], answer["removed"]) == (False, 2)
    assert [d["change"] for d in answer["differences"]] == ["remove", "remove"]
    # A mistake, or a time that would be another one each time, changes nothing.
    assert b"line 2, column 3" in tool("apply", "-", stdin=b"same@x.test\nx y\n", want=64).stderr
    assert b"expires_at" in tool("apply", "-", stdin=b"a@x.test expires_in=4h", want=64).stderr
    tool("apply", "-", stdin=b"*\n", want=64)
    assert len(lists.entries()) == 3
    # `*` that was exported is meant; all that comes back is what there was.
    tool("apply", "-", "--allow-all", stdin=b"*\na@x.test\n")
    exported = tool("export", "--format", "json").stdout
    tool("apply", "-", stdin=b"")
    assert lists.entries() == []
    tool("apply", "-", "--format", "json", stdin=exported)
    assert [e[0] for e in lists.entries()] == ["*", "a@x.test"]


def test_a_scope_as_code(tool, lists):
    lists.load("a@x.test\nb@x.test scope=shop\nc@x.test scope=lab note=keep")
    assert tool("apply", "-", "--scope", "shop", stdin=b"d@x.test").stdout.splitlines()[:3] == [
        b"- b@x.test scope=shop", b"+ d@x.test scope=shop", b"Applied: 1 added, 1 removed"]
    tool("apply", "-", "--scope", "shop", stdin=b"d@x.test scope=lab", want=64)
    assert {(e[0], e[2], e[3]) for e in lists.entries()} == {
        ("a@x.test", "", None), ("c@x.test", "lab", "keep"), ("d@x.test", "shop", None)}


def meanwhile(work, ask):
    """Run `work` beside; how long each ask() took until it was done."""
    answers = []
    worker = threading.Thread(target=lambda: answers.append(work()))
    times = []
    worker.start()
    while worker.is_alive():
        asked = time.monotonic()
        ask()
        times.append(time.monotonic() - asked)
    worker.join()
    times.sort()
    return answers[0], times, "%d times, p99 %.1f ms, worst %.1f ms" % (
        len(times), times[int(len(times) * 0.99)] * 1000, times[-1] * 1000)


def test_others_are_not_held_up(lists, relay):
    """Reading and comparing very many entries happens beside the threads that answer others; they
    are written in steps, and mail that arrives goes between."""
    count = 20000 if SANITIZED else 100000
    text = "".join("user%d@example%d.test note=\"entry %d\"\n" % (i, i % 1000, i)
                   for i in range(count))
    planned, times, told = meanwhile(lambda: lists.load(text, "dry_run=true"),
                                     lambda: relay.get("/status"))
    assert planned["added"] == count
    print("\ndry run of %d: %.2f s; /status meanwhile %s" % (count, sum(times), told))
    assert SANITIZED or times[int(len(times) * 0.99)] < 0.5
    with Smtp(relay.smtp_port) as client:
        done, times, told = meanwhile(
            lambda: lists.load(text),
            lambda: client.send("shop@example.com", ["nobody@else.test"], b"Subject: x\r\n\r\n"))
    assert done["added"] == count
    print("import of %d: %.2f s; mail meanwhile %s" % (count, sum(times), told))
    assert SANITIZED or times[-1] < 20
