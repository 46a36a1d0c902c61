"""Search: the API's q= and subject=, and the tool's, over mail that just came and mail that is indexed."""

import json
import os
import subprocess
import urllib.parse

import pytest
from daemon import PATIENCE, STAGEPOST, Daemon, Smtp, queued_id, stuff
from test_api_cases import HOSTILE

MAIL = [
    ("shop@orders.example", ["alice@one.example"], "Invoice 4711 for Anna", "<aa-17@mailer.example>"),
    ("blog@press.example", ["bob@two.example", "carol@one.example"], "Weekly news", "<bb@x.example>"),
    ("shop@orders.example", ["dora@three.example"], "Invoice 4712, 100% paid", "<cc@x.example>"),
]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A daemon that dropped three messages; `ids` of them, the first one first."""
    daemon = Daemon(tmp_path_factory.mktemp("search")).start()
    daemon.ids = []
    with Smtp(daemon.smtp_port) as client:
        for sender, recipients, subject, message_id in MAIL:
            client.envelope(sender, recipients)
            client.write(stuff(b"Subject: %s\r\nMessage-ID: %s\r\n\r\nbody\r\n" %
                               (subject.encode(), message_id.encode())) + b".\r\n")
            daemon.ids.append(queued_id(client.reply()))
    yield daemon
    daemon.close()


def found(daemon, query):
    """The numbers of the messages that a list shows, the newest first."""
    page = daemon.get("/messages?" + query)
    assert page["partial"] is False
    return [daemon.ids.index(item["id"]) for item in page["items"] if item["id"] in daemon.ids]


@pytest.mark.parametrize("query, numbers", [
    ("subject=invoice", [2, 0]), ("subject=anna+INVOICE", [0]), ("subject=4711+4712", []),
    ("subject=shop", []), ("subject=100%25+paid", [2]), ("q=4711", [0]), ("q=shop+471", [2, 0]),
    ("q=one.example", [1, 0]), ("q=carol+weekly", [1]), ("q=bb%40x", [1]), ("q=aa-17", [0]),
    ("q=alice+weekly", []), ("q=invoice&state=delivered", []), ("q=invoice&state=dropped", [2, 0]),
    ("q=invoice&from=shop&to=dora&since=1h", [2]), ("q=invoice&until=1h", [])])
def test_search(full, query, numbers):
    assert found(full, query) == numbers


def test_an_id_and_pages(full):
    for number, message in enumerate(full.ids):
        assert found(full, "q=" + message) == [number]
    page = full.get("/messages?q=invoice&limit=1")
    assert [item["id"] for item in page["items"]] == [full.ids[2]]
    page = full.get("/messages?q=invoice&limit=1&after=" + page["next"])
    assert ([item["id"] for item in page["items"]], page["next"]) == ([full.ids[0]], None)


def test_how_far_the_index_is(full):
    """Nothing yet: a block of 2,048 is written down when all of it is there."""
    number = full.get("/status")["search"]["unindexed_messages"]
    metrics = full.request("GET", "/metrics").body.decode()
    assert number > len(MAIL)
    assert "\nstagepost_search_unindexed_messages %d\n" % number in metrics


def test_recipients_of_what_was_found(full):
    """A row is shown for what its message says, or for its own address, not for its neighbour's."""
    rows = full.get("/recipients?q=weekly")["items"]
    assert [row["address"] for row in rows] == ["carol@one.example", "bob@two.example"]
    rows = full.get("/recipients?q=weekly+carol")["items"]
    assert [row["address"] for row in rows] == ["carol@one.example"]


def test_S308_S309_hostile_words(full):
    """No character stands for others, and no word is a command."""
    for text in HOSTILE:
        for resource in ("messages", "recipients"):
            path = "/api/v1/%s?q=%s" % (resource, urllib.parse.quote(text))
            assert full.request("GET", path).status in (200, 400), path
    for text in ("%", "_", "*", "inv*ice", "invoice OR weekly", "subject:invoice", '"invoice"'):
        wanted = [2] if text == "%" else []
        assert found(full, "q=" + urllib.parse.quote(text)) == wanted, text
    assert full.request("GET", "/api/v1/messages?q=" + "x" * 513).status == 400
    for name in ("q", "subject"):
        assert full.request("GET", "/api/v1/messages?%s=%s" % (name, "+a" * 12)).status == 200
        assert full.request("GET", "/api/v1/messages?%s=%s" % (name, "+a" * 13)).status == 400
        body = {name: " a" * 13, "dry_run": True}
        assert full.request("POST", "/api/v1/recipients/cancel", body).status == 400
    assert full.request("GET", "/api/v1/messages?q=" + "x" * (1 << 20)).status in (400, 414, 431)


def test_by_filter_and_the_tool(full):
    """What a search shows is what an act with the same filter is done to."""
    answer = full.request("POST", "/api/v1/recipients/release", {"q": "weekly carol", "dry_run": True})
    assert [item["address"] for item in answer.json["items"]] == ["carol@one.example"]
    assert full.request("POST", "/api/v1/recipients/cancel", {"q": ""}).status == 400

    def tool(*arguments):
        return subprocess.run([STAGEPOST, "queue", *arguments, "--json", "--data-dir",
                               str(full.data_dir)], capture_output=True, timeout=PATIENCE,
                              env=dict(os.environ), check=False)

    for arguments in (["list", "invoice", "dora"], ["list", "--match", "invoice dora"],
                      ["list", "--subject", "paid 4712"]):
        done = tool(*arguments)
        assert [row["address"] for row in json.loads(done.stdout)] == ["dora@three.example"]
    assert tool("list", "invoice", "--match", "dora").returncode == 64
    assert tool("list", "nothing-like-it").returncode == 1
    done = tool("delete", "--all", "--match", "weekly", "--dry-run")
    assert (done.returncode, full.ids[1] in done.stdout.decode()) == (0, True), done
    assert full.ids[0] not in done.stdout.decode()
