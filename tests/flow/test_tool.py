"""What holds for every command of the tool: exit codes, JSON, terminals; and deleting by filter."""

import codecs
import fcntl
import itertools
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import pytest
from daemon import PATIENCE, STAGEPOST, Daemon, Smtp, queued_id, stuff, wait_for
from test_help import COMMANDS

ALICE = "alice@example.com"
NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"  # no message has this id


def run(*arguments, want=None, stdin=b"", env=None):
    done = subprocess.run([STAGEPOST, *arguments], input=stdin, capture_output=True,
                          timeout=PATIENCE, env=dict(os.environ, **(env or {})))
    assert b"Sanitizer" not in done.stderr, done.stderr.decode("utf-8", "replace")
    assert want is None or done.returncode == want, (arguments, done)
    return done


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A daemon without a next hop; what is allowed stays queued. Nobody listens to its webhook."""
    daemon = Daemon(tmp_path_factory.mktemp("tool"), settings=(
        'webhooks: [{url: "http://127.0.0.1:9/", events: [token], schedule: [10ms]}]\n')).start()
    (daemon.data_dir / "no.token").write_text("stp_nonsense")
    yield daemon
    daemon.close()


def send(daemon, *recipients, subject="hello"):
    with Smtp(daemon.smtp_port) as client:
        client.envelope("shop@example.com", recipients)
        client.write(stuff(b"Subject: %s\r\n\r\nbody\r\n" % subject.encode()) + b".\r\n")
        return queued_id(client.reply())


# --- exit codes and JSON of all of them ------------------------------------------------


COUNTER = itertools.count()


def fresh(word):
    """A name that nothing has yet."""
    return "%s%d.example" % (word, next(COUNTER))


def id_of(daemon):
    return send(daemon, "x@dropped.example")


def listed(daemon, pattern):
    daemon.allow(pattern)
    return pattern


def ruled(daemon, name):
    daemon.post("/rules", {"name": name, "action": "drop", "recipient": "r@r.example"})
    return name


def faulted(daemon, name):
    daemon.post("/faults", {"name": name, "action": "reject", "recipient": "f@f.example"})
    return name


def queued(daemon):
    name = "q@" + fresh("queued")
    listed(daemon, name)
    return send(daemon, name)


def released(daemon):
    message = queued(daemon)
    daemon.post("/messages/%s/hold" % message)
    return message


def a_file(daemon, text):
    path = daemon.folder / "list"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def token(daemon, name):
    daemon.post("/tokens", {"name": name})
    return name


def dead_letter(daemon):
    """That a token was made, which nobody was told of."""
    name = token(daemon, fresh("told"))

    def find():
        return [item["id"] for item in daemon.all_items("/webhooks/dead-letters?limit=1000")
                if item["event"]["name"] == name]
    return str(wait_for(find, "a dead letter")[0])


# The command: what makes it end with 0, and what with 1 (None: nothing does).
# A function gets the daemon and gives the arguments.
TABLE = {
    "status": (lambda d: [], None),
    "queue list": (lambda d: [id_of(d)][1:], lambda d: ["--to", "nobody@nowhere.example"]),
    "queue show": (lambda d: [id_of(d)], lambda d: [NOBODY]),
    "queue cat": (lambda d: [id_of(d)], lambda d: [NOBODY]),
    "queue stats": (lambda d: [], None),
    "queue retry": (lambda d: [queued(d)], lambda d: [NOBODY]),
    "queue hold": (lambda d: [queued(d)], lambda d: [id_of(d)]),
    "queue release": (lambda d: [released(d)], lambda d: [id_of(d)]),
    "queue cancel": (lambda d: [queued(d)], lambda d: [NOBODY]),
    "queue delete": (lambda d: [id_of(d)], lambda d: [NOBODY]),
    "whitelist list": (lambda d: [listed(d, fresh("w"))][1:], lambda d: ["--match", "%"]),
    "whitelist add": (lambda d: [fresh("w")], lambda d: [listed(d, fresh("w"))]),
    "whitelist remove": (lambda d: [listed(d, fresh("w"))], lambda d: ["five.example"]),
    "whitelist history": (lambda d: [], lambda d: ["six.example"]),
    "whitelist import": (lambda d: [a_file(d, "seven.example\n")], None),
    "whitelist export": (lambda d: [], None),
    "whitelist apply": (lambda d: [a_file(d, "eight.example\n"), "--scope", "s"],
                        lambda d: [a_file(d, "nine.example\n"), "--scope", "s", "--dry-run"]),
    "user list": (lambda d: ["--file", a_file(d, "u:{PLAIN}x\n")],
                  lambda d: ["--file", a_file(d, "")]),
    "user add": (lambda d: ["n", "--scheme", "plain", "--file", a_file(d, "")],
                 lambda d: ["n", "--file", a_file(d, "n:{PLAIN}x\n")]),
    "user passwd": (lambda d: ["n", "--file", a_file(d, "n:{PLAIN}x\n")],
                    lambda d: ["m", "--file", a_file(d, "n:{PLAIN}x\n")]),
    "user remove": (lambda d: ["n", "--file", a_file(d, "n:{PLAIN}x\n")],
                    lambda d: ["m", "--file", a_file(d, "n:{PLAIN}x\n")]),
    "rule list": (lambda d: [ruled(d, fresh("r"))][1:], None),
    "rule add": (lambda d: [fresh("r"), "drop", "--recipient", "r@r.example"],
                 lambda d: [ruled(d, fresh("r")), "drop"]),
    "rule change": (lambda d: [ruled(d, fresh("r")), "--note", "x"], lambda d: ["r5", "--off"]),
    "rule remove": (lambda d: [ruled(d, fresh("r"))], lambda d: ["r7"]),
    "fault list": (lambda d: [faulted(d, fresh("f"))][1:], None),
    "fault add": (lambda d: [fresh("f"), "reject", "--recipient", "f@f.example"],
                  lambda d: [faulted(d, fresh("f")), "reject"]),
    "fault remove": (lambda d: [faulted(d, fresh("f"))], lambda d: ["f5"]),
    "pause": (lambda d: [], lambda d: ["no-such-route"]),
    "resume": (lambda d: [], lambda d: ["no-such-route"]),
    "token list": (lambda d: [], None),
    "token create": (lambda d: [fresh("t")], lambda d: [token(d, fresh("t"))]),
    "token revoke": (lambda d: [token(d, fresh("t"))], lambda d: ["t4"]),
    "webhook list": (lambda d: [], lambda d: ["--dead", "--webhook", "nobody"]),
    "webhook retry": (lambda d: [dead_letter(d)], lambda d: ["999999"]),
    "webhook drop": (lambda d: [dead_letter(d)], lambda d: ["--all", "--webhook", "nobody"]),
    "check": (lambda d: [listed(d, "ten@" + fresh("check"))], lambda d: ["no@check.example"]),
    "backup": (lambda d: [str(d.folder / fresh("copy"))], None),
    "events": (lambda d: [], None),
    "audit": (lambda d: [listed(d, fresh("w"))][1:], None),
    "dbcheck": (lambda d: [], None),
}
# These talk SMTP, or are served by themselves: their tests are elsewhere.
ELSEWHERE = {"sendmail": "test_sendmail.py", "sink": "test_cli.py",
             "completion": "test_completion.py"}
# These touch files of this machine only.
LOCAL = {"user list", "user add", "user passwd", "user remove"}
# Bytes of somebody's, or nothing at all on standard output.
NO_JSON = {"queue cat", "user add", "user passwd", "user remove"}


def test_the_table_has_every_command():
    assert sorted([*TABLE, *ELSEWHERE]) == sorted(COMMANDS)


@pytest.mark.parametrize("command", TABLE)
def test_exit_codes(quiet, command, tmp_path):
    here = ["--data-dir", quiet.data_dir, *command.split()]
    good, bad = TABLE[command]
    run(*here, *good(quiet), want=0, stdin=b"secret\n")
    if bad is not None:
        done = run(*here, *bad(quiet), want=1, stdin=b"secret\n")
        assert done.stdout or done.stderr.startswith(b"stagepost: "), done
    done = run(*here, "--nonsense", want=64)
    assert b"Usage: stagepost " + command.encode() in done.stderr
    run(*here, *["one-too-many"] * 9, "--limit", want=64)
    if command in LOCAL:
        return
    # Nobody answers, and there is no database to look into.
    done = run("--data-dir", tmp_path, *command.split(), *good(quiet),
               want=74 if command == "dbcheck" else 69)
    assert done.stdout == b"" and done.stderr.startswith(b"stagepost: ")
    if command == "dbcheck":
        return
    run("--url", "http://127.0.0.1:%d" % quiet.api_port, "--token-file",
        quiet.data_dir / "no.token", *command.split(), *good(quiet), want=77)


@pytest.mark.parametrize("command", [name for name in TABLE if name not in NO_JSON])
def test_json(quiet, command):
    here = ["--data-dir", quiet.data_dir, *command.split()]
    good, bad = TABLE[command]
    whole = json.loads(run(*here, *good(quiet), "--json", want=0).stdout)
    lines = [json.loads(line) for line in
             run(*here, *good(quiet), "--jsonl", want=0).stdout.splitlines()]
    assert lines
    if command == "whitelist export":
        whole = whole["entries"]
    if isinstance(whole, dict):
        assert len(lines) == 1 and set(lines[0]) == set(whole)
    else:
        assert set(lines[0]) == set(whole[0])


def test_what_is_no_list_is_not_json(quiet):
    run("--data-dir", quiet.data_dir, "queue", "cat", id_of(quiet), "--json", want=64)


@pytest.mark.parametrize("command", ["queue list", "queue show", "queue cat", "queue stats"])
def test_without_a_daemon_the_database_is_read(make_daemon, command):
    daemon = make_daemon()
    message = send(daemon, "x@dropped.example")
    daemon.stop()
    done = run("--data-dir", daemon.data_dir, *command.split(),
               *([message] if command in ("queue show", "queue cat") else []), want=0)
    assert b"no daemon answers" in done.stderr and done.stdout


# --- on a terminal -----------------------------------------------------------------------


class Terminal:
    """The tool with all its streams on a terminal."""

    def __init__(self, *arguments, columns=80, out=None, **env):
        self.parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        env = dict({k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")},
                   TERM="xterm", **env)
        self.process = subprocess.Popen([STAGEPOST, *arguments], stdin=child, stderr=child,
                                        stdout=child if out is None else out, env=env,
                                        start_new_session=True)
        os.close(child)
        self.text = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def read(self):
        """What comes next, nothing at the end."""
        if not select.select([self.parent], [], [], PATIENCE)[0]:
            raise TimeoutError(self.text)
        try:
            data = os.read(self.parent, 65536)
        except OSError:  # nobody has the other end any more
            data = b""
        self.text += self.decoder.decode(data)
        return data

    def until(self, text):
        while text not in self.text:
            assert self.read(), self.text
        return self

    def end(self, want=0):
        while self.read():
            pass
        os.close(self.parent)
        assert self.process.wait(PATIENCE) == want, self.text
        return self.text

    def type(self, text):
        os.write(self.parent, text.encode())
        return self


@pytest.fixture(scope="module")
def crowd(quiet):
    """Addresses that are long, wide, and full of what moves a cursor."""
    for i in range(3):
        send(quiet, "a-rather-long-local-part-%d@a-long-domain.crowd.example" % i,
             subject="\x1b[2J日本語 %d" % i)
    return ["--data-dir", str(quiet.data_dir), "queue", "list", "--to", "crowd.example"]


def test_colours_are_as_asked(crowd):
    escape = "\x1b["
    assert escape in Terminal(*crowd).end()
    assert escape not in Terminal(*crowd, NO_COLOR="1").end()
    assert escape in Terminal(*crowd, NO_COLOR="").end()
    assert escape in Terminal(*crowd, "--color", "always", NO_COLOR="1").end()
    assert escape not in Terminal(*crowd, "--color=never").end()
    assert escape.encode() not in run(*crowd, "--color", "auto", want=0).stdout
    assert escape.encode() in run(*crowd, "--color", "always", want=0).stdout
    assert b"auto, always or never" in run(*crowd, "--color", "pink", want=64).stderr
    # In front of the command's words as well.
    assert escape not in Terminal("--color", "never", *crowd).end()


def shown(text):
    """Lines without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "").splitlines()


def test_tables_go_by_columns_and_terminal(crowd):
    def widest(columns, **env):
        return max(map(len, shown(Terminal(*crowd, columns=columns, **env).end())))
    assert widest(60) <= 60 < widest(100) <= 100
    assert widest(200, COLUMNS="60") <= 60
    assert widest(60, COLUMNS="nonsense") <= 60 and widest(60, COLUMNS="0") <= 60
    # Into a pipe nothing is cut, whatever is said of a terminal.
    done = run(*crowd, want=0, env={"COLUMNS": "40"})
    assert b"a-rather-long-local-part-0@a-long-domain.crowd.example" in done.stdout


def test_no_control_character_gets_through(quiet, crowd):
    listing = json.loads(run(*crowd, "--json", want=0).stdout)
    text = Terminal("--data-dir", str(quiet.data_dir), "queue", "show", listing[0]["message"],
                    "--color", "never", columns=200).end()
    assert "[2J日本語" in text and "\x1b" not in text


def test_a_message_does_not_move_the_cursor(quiet):
    """On a terminal it is cleaned; a pipe gets each byte."""
    content = (b"Subject: x\r\n\r\n\x1b]0;title\x07\tend\r\nt\xc3\xbcr \xff\r\n"
               + "\u202eabc".encode() + b"\r\n" + b"w" * 70000 + b"\x1b[2J\r\nlast")
    with Smtp(quiet.smtp_port) as client:
        number = client.send("a@example.com", ["x@cat.example"], content)
    here = ["--data-dir", str(quiet.data_dir), "queue", "cat", number]
    assert run(*here, want=0).stdout.endswith(content.replace(b"last", b"last\r\n"))
    text = Terminal(*here, columns=100).end().replace("\r\n", "\n")
    assert "Subject: x\n\n\\x1b]0;title\\x07\tend\nt\u00fcr \\xff\n\\u{202e}abc\n" in text
    assert text.endswith("w\\x1b[2J\nlast\n") and "\x1b" not in text and "\r" not in text


def test_progress_is_for_terminals(quiet, tmp_path):
    def backup(name, *options):
        return Terminal("--data-dir", str(quiet.data_dir), "backup", str(tmp_path / name),
                        *options).end()
    text = backup("one.db")
    assert re.search(r"\rchecking [#.]{30} +\d+ %", text), text
    # The line is gone before the result, which stands alone.
    assert re.fullmatch(r"\d+ messages in .*", text.replace("\r\n", "").split("\r")[-1]), text
    assert "\r" not in backup("two.db", "--quiet").replace("\r\n", "")
    json.loads(backup("three.db", "--json"))
    assert b"\r" not in run("--data-dir", quiet.data_dir, "backup", tmp_path / "four.db",
                            want=0).stderr


def test_progress_of_the_others(quiet, tmp_path):
    here = ["--data-dir", str(quiet.data_dir)]
    assert re.search(r"\rchecking [#.]{30} +\d+ %", Terminal(*here, "dbcheck").end())
    (tmp_path / "list").write_text("".join("p%d.progress.example\n" % i for i in range(2000)))
    assert re.search(r"\rimporting [#.]{30} +\d+ %",
                     Terminal(*here, "whitelist", "import", str(tmp_path / "list")).end())
    for i in range(3):
        listed(quiet, "p%d@bulk.example" % i)
        send(quiet, "p%d@bulk.example" % i)
    assert re.search(r"\rdone: 3", Terminal(*here, "queue", "hold", "--all", "--to",
                                            "@bulk.example").end())


# --- delete --all --------------------------------------------------------------------------


def count(daemon, to):
    done = run("--data-dir", daemon.data_dir, "queue", "list", "--to", to, "--limit", "0", "--json")
    return len(json.loads(done.stdout))


def test_delete_all_goes_by_the_filter(quiet):
    here = ["--data-dir", quiet.data_dir, "queue", "delete"]
    for i in range(4):
        send(quiet, "d%d@gone.example" % i, "e%d@gone.example" % i)
    stays = send(quiet, "d@stays.example")
    # Nothing happens by mistake: not without --all, not without a yes.
    run(*here, "--to", "@gone.example", want=64)
    run(*here, "--all", stays, want=64)
    done = run(*here, "--all", "--to", "@gone.example", want=64)
    assert b"--yes" in done.stderr
    run(*here, "--all", "--to", "@gone.example", "--json", want=64)
    done = run(*here, "--all", "--to", "@gone.example", "--dry-run", want=0)
    assert b"4 would be done" in done.stdout
    dry = json.loads(run(*here, "--all", "--to", "@gone.example", "--dry-run", "--json",
                         want=0).stdout)
    assert dry["count"] == 4 and len(dry["items"]) == 4
    assert count(quiet, "@gone.example") == 8
    done = run(*here, "--all", "--to", "@gone.example", "--limit", "1", "--yes", want=0)
    assert done.stdout == b"delete: 1 done\n"
    assert count(quiet, "@gone.example") == 6
    done = json.loads(run(*here, "--all", "--to", "e", "--from", "shop@", "--to", "@gone.example",
                          "--state", "dropped", "--since", "1h", "--yes", "--json",
                          want=0).stdout)
    assert len(done) == 3 and all(one["changed"] == 1 for one in done)
    assert count(quiet, "@gone.example") == 0 and count(quiet, "@stays.example") == 1
    done = run(*here, "--all", "--to", "@gone.example", "--yes", want=1)
    assert b"no message matches" in done.stderr
    trail = quiet.get("/audit?limit=20")["items"]
    assert sum(one["action"] == "message.delete" for one in trail) >= 4


def test_delete_all_by_words(quiet):
    here = ["--data-dir", quiet.data_dir, "queue", "delete", "--all", "--to", "@words.example"]
    send(quiet, "a@words.example", subject="Invoice four of May")
    send(quiet, "b@words.example", subject="Invoice five of May")
    send(quiet, "c@words.example", subject="Reminder")
    dry = run(*here, "--subject", "may four", "--dry-run", want=0).stdout.decode()
    assert "delete: 1 would be done" in dry and "Invoice four of May" in dry
    assert run(*here, "--match", "invoice", "--yes", want=0).stdout == b"delete: 2 done\n"
    assert count(quiet, "@words.example") == 1


def test_delete_all_asks_on_a_terminal(quiet):
    here = ["--data-dir", str(quiet.data_dir), "queue", "delete", "--all", "--to", "@asked.example"]
    for i in range(2):
        send(quiet, "a%d@asked.example" % i)
    for answer in ("n\n", "\n", "\x04"):
        text = Terminal(*here).until("[y/N]").type(answer).end(1)
        assert "Delete 2 messages" in text and "nothing was deleted" in text
    killed = Terminal(*here).until("[y/N]")
    killed.process.send_signal(signal.SIGINT)
    killed.end(-signal.SIGINT)
    assert count(quiet, "@asked.example") == 2
    text = Terminal(*here).until("[y/N]").type("y\n").end(0)
    assert "delete: 2 done" in text
    assert re.search(r"\rdeleting [#.]{30} +\d+ %", text)
    assert count(quiet, "@asked.example") == 0


def test_delete_all_takes_more_than_a_page(quiet):
    with Smtp(quiet.smtp_port) as client:
        for i in range(505):
            client.write(b"MAIL FROM:<s@example.com>\r\nRCPT TO:<m%d@many.example>\r\nDATA\r\n" % i)
            assert [client.reply()[0] for _ in range(3)] == [250, 250, 354]
            client.write(b"\r\n.\r\n")
            assert client.reply()[0] == 250
    done = run("--data-dir", quiet.data_dir, "queue", "delete", "--all", "--to", "@many.example",
               "--yes", want=0)
    assert done.stdout == b"delete: 505 done\n"
    assert count(quiet, "@many.example") == 0


def test_the_trail(quiet):
    here = ["--data-dir", quiet.data_dir]
    name = fresh("trail")
    run(*here, "whitelist", "add", name, "--note", "before", want=0)
    entry = json.loads(run(*here, "whitelist", "list", "--match", name, "--json").stdout)[0]
    quiet.request("PATCH", "/api/v1/whitelist/%d" % entry["id"], {"note": "after"})
    lines = [line.split(None, 4) for line in
             run(*here, "audit", "--limit", "2", want=0).stdout.decode().splitlines()[1:]]
    assert [line[2] for line in lines] == ["whitelist.replace", "whitelist.add"], lines
    assert "note before -> after" in lines[0][4] and "pattern" not in lines[0][4]
    assert "note before" in lines[1][4] and "expires_at" not in lines[1][4] and name in " ".join(lines[1])
    assert lines[0][1].startswith("token:") and lines[1][1].startswith("socket:")
    assert len(json.loads(run(*here, "audit", "--limit", "2", "--json", want=0).stdout)) == 2
    quiet.request("PATCH", "/api/v1/whitelist/%d" % entry["id"],
                  {"expires_at": "2031-02-03T04:05:06Z"})
    done = run(*here, "audit", "--limit", "1", want=0).stdout
    assert b"expires_at none -> 2031-02-03T04:05:06.000Z" in done


# --- rules by name -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind, action", [("rule", "drop"), ("fault", "reject")])
def test_before_takes_a_name(quiet, kind, action):
    here = ["--data-dir", quiet.data_dir, kind]
    more = ["--recipient", "b@b.example"]
    first = json.loads(run(*here, "add", "last", action, *more, "--json", want=0).stdout)
    run(*here, "add", "first", action, *more, "--before", "last", want=0)
    run(*here, "add", "middle", action, *more, "--before", str(first["id"]), want=0)
    done = run(*here, "add", "lost", action, *more, "--before", "nobody", want=1)
    assert b"nobody" in done.stderr
    names = [rule["name"] for rule in json.loads(run(*here, "list", "--json", want=0).stdout)]
    assert [name for name in names if name in ("first", "middle", "last", "lost")] == [
        "first", "middle", "last"]
    for name in ("first", "middle", "last"):
        run(*here, "remove", name, want=0)
