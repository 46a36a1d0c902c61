"""The tool against a running daemon, against a stopped one, and its sink."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

import pytest
from daemon import PATIENCE, STAGEPOST, Smtp, free_port, queued_id, stuff, wait_for

ALICE = "alice@example.com"
BOB = "bob@example.com"


def run(*arguments, want=0, env=None):
    done = subprocess.run([STAGEPOST, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                          env=dict(os.environ, **(env or {})))
    assert b"Sanitizer" not in done.stderr, done.stderr.decode("utf-8", "replace")
    assert done.returncode == want, (arguments, done.returncode, done.stdout, done.stderr)
    return done


class Tool:
    """stagepost on a daemon's data directory."""

    def __init__(self, relay):
        self.relay = relay

    def __call__(self, *arguments, want=0):
        return run("--data-dir", str(self.relay.data_dir), *arguments, want=want)

    def text(self, *arguments, want=0):
        return self(*arguments, want=want).stdout.decode()

    def json(self, *arguments, want=0):
        return json.loads(self(*arguments, "--json", want=want).stdout)


@pytest.fixture
def tool(relay):
    return Tool(relay)


def send(port, recipients, content=b"Subject: hello\r\n\r\nbody\r\n"):
    with Smtp(port) as client:
        client.envelope("shop@example.com", recipients)
        client.write(stuff(content) + b".\r\n")
        return queued_id(client.reply())


def test_whitelist(tool):
    assert b"nothing can leave" in tool("whitelist", "list", want=1).stderr
    added = tool.json("whitelist", "add", "Alice@Example.COM", "--note", "mine", "--expires", "4h")
    assert added["pattern"] == ALICE and added["note"] == "mine" and added["expires_at"]
    tool("whitelist", "add", ALICE, want=1)
    tool("whitelist", "add", "not a pattern", want=64)
    tool("whitelist", "add", "*", want=64)
    tool("whitelist", "add", ALICE, "--deny")
    assert [e["action"] for e in tool.json("whitelist", "list")] == ["allow", "deny"]
    assert len(tool("whitelist", "list", "--jsonl").stdout.splitlines()) == 2
    assert b"several entries" in tool("whitelist", "remove", ALICE, want=1).stderr
    tool("whitelist", "remove", ALICE, "--action", "deny")
    assert tool.json("check", ALICE)[0]["verdict"] == "deliver"
    tool("whitelist", "remove", str(added["id"]))
    tool("whitelist", "remove", str(added["id"]), want=1)
    tool("whitelist", "remove", "nobody@example.com", want=1)
    assert tool.json("whitelist", "list", want=1) == []


def test_tokens(tool, relay, tmp_path):
    made = tool("token", "create", "ci", "--role", "operator", "--scope", "shop",
                "--expires", "12h")
    secret = made.stdout.decode().strip()
    assert secret.startswith("stp_") and len(secret) == 47, made
    assert re.search(rb"ci \(operator, scope shop, for 1[12]h\)", made.stderr), made.stderr
    assert secret.encode() not in made.stderr
    file = tmp_path / "token"
    file.write_text(secret + "\n")
    remote = ("--url", "http://127.0.0.1:%d" % relay.api_port, "--token-file", str(file))
    run(*remote, "whitelist", "add", ALICE)
    run(*remote, "token", "list", want=77)
    tool("token", "create", "ci", want=1)
    tool("token", "create", "x", "--role", "king", want=64)
    tool("token", "create", "no good", want=64)
    tool("token", "create", want=64)
    token = wait_for(lambda: [t for t in tool.json("token", "list")
                              if t["name"] == "ci" and t["last_used_at"]], "its use")[0]
    assert token["role"] == "operator" and token["scope"] == "shop" and "secret" not in token
    assert "shop" in tool.text("token", "list")
    assert tool.json("token", "revoke", "ci") == {"id": token["id"], "revoked": True}
    run(*remote, "whitelist", "list", want=77)
    assert [t["name"] for t in tool.json("token", "list")] == ["admin"]
    assert [t["revoked"] for t in tool.json("token", "list", "--all")] == [False, True]
    tool("token", "revoke", "ci", want=1)
    tool("token", "revoke", str(token["id"]), want=1)
    tool("token", "revoke", "999", want=1)
    again = tool.json("token", "create", "ci")
    assert again["role"] == "reader" and again["secret"] != secret
    assert "Revoked: token %d" % again["id"] in tool.text("token", "revoke", str(again["id"]))


def test_whitelist_longer_than_a_page(tool, relay):
    for number in range(1050):
        relay.post("/whitelist", {"pattern": "p%d@example.com" % number})
    assert len(tool.json("whitelist", "list")) == 1050
    assert len(tool.json("whitelist", "list", "--match", "p104")) == 11
    tool("whitelist", "remove", "p1@example.com")
    assert len(tool.json("whitelist", "list")) == 1049


def test_check(tool):
    tool("whitelist", "add", ALICE)
    assert tool.json("check", ALICE)[0]["verdict"] == "deliver"
    verdicts = tool.json("check", ALICE, BOB, "no address", want=1)
    assert [v["verdict"] for v in verdicts] == ["deliver", "drop", "invalid"]
    text = tool.text("check", BOB, want=1)
    assert BOB in text and "drop" in text
    tool("check", want=64)


def test_queue_tells_the_whole_story(tool, relay, hop):
    tool("whitelist", "add", ALICE)
    content = (b"Subject: a \x1b[31mred one\r\nFrom: shop@example.com\r\n\r\n"
               b"line\x00 with a NUL\r\n.dot\r\n")
    message = send(relay.smtp_port, [ALICE, BOB], content)
    relay.wait_states(message, {ALICE: "delivered", BOB: "dropped"})
    assert tool("queue", "cat", message).stdout == content
    assert tool("queue", "cat", message.lower()).stdout == content
    shown = tool.text("queue", "show", message)
    assert "\x1b" not in shown
    for part in (message, "shop@example.com", "allowed by", "no entry allows it", "delivered"):
        assert part in shown, shown
    assert tool.json("queue", "show", message) == relay.message(message)
    rows = tool.json("queue", "list")
    assert {(r["address"], r["state"]) for r in rows} == {(ALICE, "delivered"), (BOB, "dropped")}
    assert [r["address"] for r in tool.json("queue", "list", "--state", "dropped")] == [BOB]
    assert [r["address"] for r in tool.json("queue", "list", "--to", "ALICE")] == [ALICE]
    assert tool.json("queue", "list", "--from", "nobody", want=1) == []
    assert len(tool.json("queue", "list", "--since", "1h")) == 2
    assert tool.json("queue", "list", "--since", "2999-01-01T00:00:00Z", want=1) == []
    assert len(tool.json("queue", "list", "--limit", "1")) == 1
    assert tool.json("queue", "stats")["recipients"] == {"delivered": 1, "dropped": 1}
    tool("queue", "list", "--state", "unheard-of", want=64)
    tool("queue", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV", want=1)
    tool("queue", "cat", "01ARZ3NDEKTSV4RRFFQ69G5FAV", want=1)
    tool("queue", "show", "nonsense", want=64)


def test_queue_acts(tool, relay):
    message = send(relay.smtp_port, [ALICE, BOB])
    assert b"is not allowed" in tool("queue", "release", message + "/" + ALICE, want=1).stderr
    tool("whitelist", "add", ALICE)
    done = tool.json("queue", "release", message + "/" + ALICE)
    assert [(d["changed"], d["refused"]) for d in done] == [(1, 0)]
    relay.wait_states(message, {ALICE: "delivered", BOB: "dropped"})
    tool("queue", "cancel", message + "/" + ALICE, want=1)
    tool("queue", "retry", want=64)
    tool("queue", "retry", message, "--all", want=64)
    tool("queue", "retry", message, "--state", "held", want=64)
    tool("queue", "retry", message + "/", want=64)
    # Nothing is done when one of the operands makes no sense.
    tool("queue", "delete", message, "nonsense", want=64)
    assert relay.states(message) == {ALICE: "delivered", BOB: "dropped"}
    tool("queue", "delete", message)
    tool("queue", "delete", message, want=1)
    assert tool.json("queue", "list", want=1) == []


def test_act_on_all_that_match(tool, relay):
    messages = [send(relay.smtp_port, [ALICE, BOB]) for _ in range(3)]
    tool("whitelist", "add", ALICE)
    tool("queue", "release", "--all", "--state", "dropped", "--to", ALICE)
    for message in messages:
        relay.wait_states(message, {ALICE: "delivered", BOB: "dropped"})
    tool("queue", "release", "--all", "--state", "held", want=1)


def test_status(tool, relay, hop):
    text = tool.text("status")
    assert "nothing can leave" in text and relay.smtp_address in text
    assert tool.json("status")["whitelist"]["entries"] == 0
    tool("whitelist", "add", "*", "--allow-all")
    text = tool.text("status")
    assert "EVERYTHING can leave" in text and text.count("every plain address leaves") == 1
    assert not any('"*"' in warning for warning in tool.json("status")["warnings"])


def test_over_tcp_with_a_token(relay):
    url = "http://127.0.0.1:%d" % relay.api_port
    token = str(relay.data_dir / "admin.token")
    run("--url", url, "--token-file", token, "status")
    assert b"--token-file" in run("--url", url, "status", want=77).stderr
    run("--url", url, "--token-file", "/nonexistent", "status", want=74)
    wrong = relay.folder / "wrong"
    wrong.write_text("stp_wrong\n")
    run("--url", url, "--token-file", str(wrong), "status", want=77)
    run("--url", "http://127.0.0.1:%d" % free_port(), "--token-file", token, "queue", "list",
        want=69)
    # No proxy gets to see the token.
    run("--url", url, "--token-file", token, "status",
        env={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"})


def test_without_a_daemon_the_database_is_read(tool, relay):
    tool("whitelist", "add", ALICE)
    content = b"Subject: big\r\n\r\n" + b"0123456789abcde\r\n" * 40000
    message = send(relay.smtp_port, [ALICE, BOB], content)
    relay.wait_states(message, {ALICE: "delivered", BOB: "dropped"})
    online = {command: tool.json("queue", *command.split())
              for command in ("list", "show " + message, "stats")}
    assert not online["show " + message].pop("delivery")["paused"]  # the daemon's to say
    relay.kill()
    for command, want in online.items():
        done = tool("queue", *command.split(), "--json")
        assert json.loads(done.stdout) == want
        assert b"reading" in done.stderr and b"stagepost.db" in done.stderr
    assert tool("queue", "cat", message).stdout == content
    tool("queue", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV", want=1)
    for command in (["status"], ["whitelist", "list"], ["check", ALICE],
                    ["queue", "retry", message], ["queue", "cancel", "--all"]):
        done = tool(*command, want=69)
        assert done.stdout == b"" and b"no daemon answers" in done.stderr
    relay.start()
    assert relay.states(message) == {ALICE: "delivered", BOB: "dropped"}


def test_nothing_there_at_all(tmp_path):
    for command in (["status"], ["queue", "list"], ["queue", "stats"]):
        done = run("--data-dir", str(tmp_path), *command, want=69)
        assert b"--data-dir" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_data_dir_from_the_environment(relay):
    run("status", env={"STAGEPOST_DATA_DIR": str(relay.data_dir)})


def test_usage():
    run(want=64)
    run("nonsense", want=64)
    run("queue", want=64)
    run("queue", "nonsense", want=64)
    run("status", "surplus", want=64)
    run("status", "--nonsense", want=64)
    run("--data-dir", want=64)
    assert b"queue list" in run("--help").stdout
    assert b"queue show" in run("queue", "--help").stdout
    assert run("--version").stdout.startswith(b"stagepost ")
    for line in run("--help").stdout.decode().splitlines():
        assert len(line) <= 80, line


def test_every_command_has_help():
    listed = [line[2:19].strip() for line in run("--help").stdout.decode().splitlines()
              if line.startswith("  ") and not line.startswith("  --")]
    assert "queue release" in listed and "sink" in listed
    for command in listed:
        text = run(*command.split(), "--help").stdout.decode()
        assert text.startswith("Usage: stagepost " + command)


def test_a_full_disk_is_told(tool, relay):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "status"], stdout=full,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 74


def on_a_terminal(columns, *arguments):
    """What the tool prints on a terminal of that many columns."""
    parent, child = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = dict(os.environ, TERM="xterm")
    env.pop("NO_COLOR", None)
    process = subprocess.Popen([STAGEPOST, *arguments], stdin=subprocess.DEVNULL, stdout=child,
                               stderr=subprocess.DEVNULL, env=env)
    os.close(child)
    output = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not select.select([parent], [], [], 1)[0]:
            continue
        try:
            data = os.read(parent, 65536)
        except OSError:  # the child's end is closed
            break
        if not data:
            break
        output += data
    os.close(parent)
    assert process.wait(PATIENCE) == 0
    return output.decode()


def test_tables_fit_the_terminal(relay):
    send(relay.smtp_port, ["a-rather-long-local-part-%d@a-long-domain.example.com" % n
                           for n in range(5)])
    for columns in (60, 80, 120, 200):
        text = on_a_terminal(columns, "--data-dir", relay.data_dir, "queue", "list")
        assert "\x1b[" in text
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        lines = plain.replace("\r", "").splitlines()
        assert len(lines) == 6
        assert max(map(len, lines)) <= columns, plain


# --- sink ----------------------------------------------------------------------------


class Sink:
    def __init__(self, folder, *arguments):
        self.port = free_port()
        self.maildir = folder / "mail"
        self.process = subprocess.Popen(
            [STAGEPOST, "sink", "--listen", "127.0.0.1:%d" % self.port, "--maildir",
             self.maildir, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for(self.answers, "the sink to listen")

    def answers(self):
        assert self.process.poll() is None, self.process.communicate()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, (out, err)
        assert b"Sanitizer" not in err, err
        return out.decode()

    def envelopes(self):
        return [json.loads(line) for line in
                (self.maildir / "envelope.jsonl").read_text().splitlines()]


@pytest.fixture
def make_sink(tmp_path):
    made = []

    def make(*arguments):
        sink = Sink(tmp_path, *arguments)
        made.append(sink)
        return sink

    yield make
    for sink in made:
        if sink.process.returncode is None:
            sink.stop()


def test_sink_keeps_messages_byte_for_byte(make_sink):
    sink = make_sink()
    contents = [b"Subject: one\r\n\r\n.dot\r\n\x00\xff\r\n", b"\r\n" + b"x" * 2000000 + b"\r\n"]
    with Smtp(sink.port) as client:
        for content in contents:
            client.envelope("a@example.com", [ALICE, BOB])
            client.write(stuff(content) + b".\r\n")
            assert client.reply()[0] == 250
    out = sink.stop()
    envelopes = sink.envelopes()
    assert [(sink.maildir / e["file"]).read_bytes() for e in envelopes] == contents
    assert len(list((sink.maildir / "new").iterdir())) == 2
    assert list((sink.maildir / "tmp").iterdir()) == []
    for envelope, content in zip(envelopes, contents):
        assert envelope["sender"] == "a@example.com"
        assert envelope["recipients"] == [ALICE, BOB]
        assert envelope["size"] == len(content)
    assert len(out.splitlines()) == 4


def test_sink_refuses_as_told(make_sink):
    sink = make_sink("--fail", "bob@example.com=550,@slow.example=451")
    with Smtp(sink.port) as client:
        assert client.command("MAIL FROM:<>")[0] == 250
        assert client.command("RCPT TO:<Bob@example.com>")[0] == 550
        assert client.command("RCPT TO:<x@slow.example>")[0] == 451
        assert client.command("RCPT TO:<%s>" % ALICE)[0] == 250
        assert client.command("DATA")[0] == 354
        client.write(b"x\r\n.\r\n")
        assert client.reply()[0] == 250
    assert [e["recipients"] for e in sink.envelopes()] == [[ALICE]]


@pytest.mark.parametrize("spec, steps", [
    ("MAIL=451", [451]), ("DATA=554", [250, 250, 554]), ("END=452", [250, 250, 354, 452]),
    ("END=421", [250, 250, 354, 421]), ("*=550", [250, 550])])
def test_sink_refuses_steps(make_sink, spec, steps):
    sink = make_sink("--fail", spec)
    commands = ["MAIL FROM:<a@example.com>", "RCPT TO:<%s>" % ALICE, "DATA", "x\r\n."]
    with Smtp(sink.port) as client:
        for command, want in zip(commands, steps):
            assert client.command(command)[0] == want
    assert sink.envelopes() == []


def test_sink_says_what_is_wrong(tmp_path, make_sink):
    run("sink", "--fail", "bob", want=64)
    run("sink", "--listen", "nonsense", want=64)
    run("sink", "surplus", want=64)
    sink = make_sink()
    done = run("sink", "--listen", "127.0.0.1:%d" % sink.port, want=69)
    assert b"in use" in done.stderr
    (tmp_path / "file").write_text("")
    run("sink", "--listen", "127.0.0.1:0", "--maildir", str(tmp_path / "file"), want=74)


def test_the_relay_delivers_to_a_sink(make_daemon, make_sink):
    sink = make_sink("--fail", "bob@example.com=550")
    relay = make_daemon("127.0.0.1:%d" % sink.port)
    relay.allow(ALICE, BOB)
    message = send(relay.smtp_port, [ALICE, BOB, "carol@example.com"])
    relay.wait_states(message, {ALICE: "delivered", BOB: "failed", "carol@example.com": "dropped"})
    assert [e["recipients"] for e in sink.envelopes()] == [[ALICE]]
