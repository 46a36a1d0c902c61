"""Old mail goes by itself, mail that waits never does; no room is told at MAIL; backups."""

import http.server
import json
import signal
import subprocess
import threading

import pytest
from daemon import PATIENCE, STAGEPOST, Smtp, wait_for
from fault import SmallDisk

LISTED = "alice@example.com"
OTHER = "bob@elsewhere.test"
SHORT = "retention: {delivered: 300ms, dropped: 300ms, failed: 300ms, metadata: %s}\n"


def send(relay, *recipients, content=b"Subject: hello\r\n\r\nbody\r\n"):
    with Smtp(relay.smtp_port) as client:
        return client.send("shop@example.com", recipients, content)


def content_is_there(relay, number):
    return relay.request("GET", "/api/v1/messages/%s/raw" % number).status == 200


def tool(relay, *arguments, want=0):
    done = subprocess.run([STAGEPOST, "--data-dir", str(relay.data_dir), *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE)
    assert b"Sanitizer" not in done.stderr, done.stderr.decode("utf-8", "replace")
    assert done.returncode == want, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout.decode()


def test_content_goes_and_its_story_stays(make_daemon, hop):
    """The bytes go at the age of their outcome; what became of the message is still told."""
    relay = make_daemon(hop.address, SHORT % "off")
    relay.allow(LISTED)
    mixed = send(relay, LISTED, OTHER)
    relay.wait_states(mixed, {LISTED: "delivered", OTHER: "dropped"})
    relay.post("/delivery/pause")
    waiting = send(relay, LISTED)
    wait_for(lambda: not content_is_there(relay, mixed), "the content to go")
    answer = relay.request("GET", "/api/v1/messages/%s/raw" % mixed)
    assert answer.status == 410 and "retention" in answer.json["detail"]
    assert relay.request("GET", "/api/v1/messages/%s/sent" % mixed).status == 410
    message = relay.message(mixed)
    assert message["content_removed_at"] and message["subject"] == "hello"
    assert relay.states(mixed) == {LISTED: "delivered", OTHER: "dropped"}
    assert "removed by retention" in tool(relay, "queue", "show", mixed)
    tool(relay, "queue", "cat", mixed, want=1)
    # There is nothing to be sent any more.
    relay.allow(OTHER)
    assert relay.post("/messages/%s/release" % mixed, want=(409,)).json["detail"]
    # What waits is older by now than all of these ages.
    assert content_is_there(relay, waiting)
    relay.post("/delivery/resume")
    relay.wait_states(waiting, {LISTED: "delivered"})
    removed = relay.get("/status")["retention"]["removed"]
    assert removed["contents"] >= 1 and removed["messages"] == 0 and removed["bytes"] > 0
    assert "stagepost_retention_removed_total{what=\"content\"}" in relay.request(
        "GET", "/metrics").body.decode()
    lines = [a for a in relay.get("/audit")["items"] if a["action"] == "retention.sweep"]
    assert lines and lines[0]["actor"] == "retention" and lines[-1]["after"]["contents"] >= 1
    tool(relay, "dbcheck")


def test_S278_while_it_is_being_delivered(make_daemon, hop):
    """S278: what a worker has in its hands stays; afterwards it goes, and is not found."""
    relay = make_daemon(hop.address, SHORT % "300ms")
    relay.allow(LISTED)
    hop.hold_final = True
    number = send(relay, LISTED)
    assert hop.paused.wait(PATIENCE)
    before = send(relay, OTHER)
    wait_for(lambda: relay.request("GET", "/api/v1/messages/" + before).status == 404,
             "what is done with to go")
    assert content_is_there(relay, number)
    hop.hold_final = False
    hop.resume.set()
    wait_for(lambda: relay.request("GET", "/api/v1/messages/" + number).status == 404,
             "the rest to go")
    assert len(hop.snapshot()) == 1
    assert relay.get("/status")["queue"]["messages"] == 0
    events = relay.request("GET", "/api/v1/events?types=deleted&follow=false").body.decode()
    told = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
    assert [(e["message"], e["actor"]) for e in told] == [(before, None), (number, None)]


def test_a_reload_puts_other_ages_in_force(make_daemon):
    """From then on; a setting that makes no sense leaves the old one."""
    relay = make_daemon(None, "retention: {dropped: off, metadata: off}\n")
    number = send(relay, OTHER)
    ages = relay.get("/status")["retention"]["ages"]
    assert ages["dropped"] is None and ages["delivered"] == 7 * 86400
    relay.write_config("retention: {dropped: 10d, metadata: 1d}\n")
    relay.hup()
    wait_for(lambda: "kept the old configuration" in relay.log(), "the reload to be refused")
    assert content_is_there(relay, number)
    relay.write_config("retention: {dropped: 100ms, metadata: off}\n")
    relay.hup()
    wait_for(lambda: not content_is_there(relay, number), "the content to go")


def test_S279_too_many_messages(make_daemon):
    """S279: the oldest that are done with make room; when none is, 452 at MAIL, and it is told."""
    relay = make_daemon(None, "retention: {max_messages: 5}\npolicy: {default: hold}\n")
    numbers = [send(relay, OTHER) for _ in range(5)]
    wait_for(lambda: relay.get("/status")["space"]["full"] == "max_messages", "it to be full")
    with Smtp(relay.smtp_port) as client:
        code, text = client.command("MAIL FROM:<a@example.com>")
        assert (code, text.split(" ")[0]) == (452, "4.3.1")
    assert any("retention.max_messages" in w for w in relay.get("/status")["warnings"])
    assert all(relay.states(n) == {OTHER: "held"} for n in numbers)
    # Deleted is room at once, cancelled too: then it may go.
    assert relay.request("DELETE", "/api/v1/messages/" + numbers[0]).status == 204
    wait_for(lambda: relay.get("/status")["space"]["full"] is None, "room")
    last = send(relay, OTHER)
    relay.post("/messages/%s/cancel" % numbers[1])
    wait_for(lambda: relay.get("/status")["space"]["full"] is None, "room")
    send(relay, OTHER)
    wait_for(lambda: relay.request("GET", "/api/v1/messages/" + numbers[1]).status == 404,
             "the cancelled one to go")
    assert relay.states(last) == {OTHER: "held"}


def test_S255_no_room_is_told_at_mail(make_daemon, hop, tmp_path):
    """S255: 452 at MAIL when the disk has no room, or not for the SIZE that is announced."""
    disk = SmallDisk(tmp_path / "disk", 48)
    relay = make_daemon(hop.address, start=False)
    relay.data_dir = disk.folder / "data"
    relay.write_config()
    relay.start()
    try:
        with Smtp(relay.smtp_port) as client:
            assert client.command("MAIL FROM:<a@example.com> SIZE=1000000")[0] == 250
            assert client.command("RSET")[0] == 250
            code, text = client.command("MAIL FROM:<a@example.com> SIZE=40000000")
            assert (code, text.split(" ")[0]) == (452, "4.3.1")
            disk.fill(8 << 20)
            wait_for(lambda: relay.get("/status")["space"]["full"] == "disk", "it to be full")
            assert client.command("MAIL FROM:<a@example.com>")[0] == 452
            assert any("refused" in w for w in relay.get("/status")["warnings"])
            disk.empty()
            wait_for(lambda: client.command("MAIL FROM:<a@example.com>")[0] == 250, "room")
    finally:
        relay.close()
        relay.process = None
        disk.close()


def test_backup_and_bringing_it_back(make_daemon, hop, tmp_path):
    """A checked copy while mail goes on; brought back it starts paused and says so."""
    relay = make_daemon(hop.address)
    relay.allow(LISTED)
    relay.post("/delivery/pause")
    waiting = send(relay, LISTED, content=b"Subject: big\r\n\r\n" + b"x" * 700 + b"\r\n")
    relay.post("/delivery/resume")
    relay.wait_states(waiting, {LISTED: "delivered"})
    copy = tmp_path / "copy.db"
    assert "checked" in tool(relay, "backup", str(copy))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.glob("copy.db*")] == ["copy.db"]
    before = copy.read_bytes()
    tool(relay, "backup", str(copy), want=74)
    assert copy.read_bytes() == before
    assert relay.get("/backup")["state"] == "none"
    assert not list(relay.data_dir.glob(".backup*"))
    assert relay.request("GET", "/api/v1/backup/content").status == 404
    assert not relay.get("/status")["delivery"]["paused"]
    # Also of a daemon that does not run.
    assert relay.stop() == 0
    tool(relay, "backup", str(tmp_path / "offline.db"))
    relay.start()
    again = make_daemon(hop.address, start=False)
    again.data_dir.mkdir(mode=0o700)
    copy.rename(again.data_dir / "stagepost.db")
    # Its tokens are those of the copy.
    (again.data_dir / "admin.token").write_text(relay.token)
    again.start()
    status = again.get("/status")
    assert status["delivery"]["paused"] and "copy" in status["delivery"]["reason"]
    assert any("stagepost resume" in w for w in status["warnings"])
    assert "stagepost resume" in again.log()
    assert again.states(waiting) == {LISTED: "delivered"}
    tool(again, "resume")
    assert not again.get("/status")["delivery"]["paused"]
    tool(again, "dbcheck")


class NeverReady(http.server.BaseHTTPRequestHandler):
    """Says that a copy has begun; makes none that ends."""

    def answer(self, status, body):
        self.server.asked.append(self.command)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.answer(202, self.COPYING)

    def do_GET(self):
        self.answer(200, self.COPYING)

    def do_DELETE(self):
        self.answer(204, b"")

    def log_message(self, *_):
        pass

    COPYING = (b'{"state": "copying", "done_bytes": 1, "total_bytes": 9, "detail": null,'
               b' "began_at": null, "ended_at": null}')


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_stopped_leaves_nothing(tmp_path, number):
    """Neither half a file here nor a copy there; and the shell learns what ended it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NeverReady)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = tmp_path / "token"
    secret.write_text("stp_x")
    folder = tmp_path / "copies"
    folder.mkdir()
    process = subprocess.Popen([STAGEPOST, "--url", "http://127.0.0.1:%d" % server.server_port,
                                "--token-file", secret, "backup", folder / "copy.db"],
                               stderr=subprocess.PIPE)
    try:
        wait_for(lambda: "GET" in server.asked, "a look at the copy")
        assert len(list(folder.glob("copy.db.*"))) == 1
        process.send_signal(number)
        said = process.communicate(timeout=PATIENCE)[1]
    finally:
        process.kill()
        server.shutdown()
        server.server_close()
    assert process.returncode == -number and b"there is no copy" in said
    assert not list(folder.iterdir())
    assert server.asked[-1] == "DELETE"
