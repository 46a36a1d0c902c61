"""What is done to the database from outside, and what becomes of it (CASES S259 to S273)."""

import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from daemon import STAGEPOST, STAGEPOSTD, Daemon, Smtp, wait_for
from lives import LARGE, LISTED, OTHER, SENDER, SMALL, Lives

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUSY_SECONDS = 5  # queue/upkeep.c: so long at least the writer waits for somebody else's lock


def dbcheck(relay):
    return subprocess.run([STAGEPOST, "dbcheck", "--data-dir", relay.data_dir],
                          capture_output=True, text=True, check=False)


def database_of(relay):
    return relay.data_dir / "stagepost.db"


class Tool:
    """The sqlite3 tool in the hands of a person: a connection of another process."""

    def __init__(self, relay, sql):
        self.process = subprocess.Popen(
            ["sqlite3", database_of(relay)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.process.stdin.write(sql + ";\n.print done\n")
        self.process.stdin.flush()
        self.said = self.process.stdout.readline()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


# --- somebody else's lock ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_short_lock_is_waited_for(make_daemon, hop, how):
    """S261"""
    lives = Lives(make_daemon, hop)
    tool = Tool(lives.relay, "BEGIN " + how)
    assert tool.said == "done\n"
    threading.Timer(1.0, tool.close).start()
    began = time.monotonic()
    number = lives.send(SMALL)
    assert number and time.monotonic() - began > 0.7
    lives.settle(number)
    lives.finish()


def test_a_long_lock_stops_what_needs_writing(make_daemon, hop):
    """
    S261: clients get 451. What is due is not sent, because its claim can't be written down; what
    is under way is sent once, and its outcome is written down when that is possible again.
    """
    lives = Lives(make_daemon, hop)
    lives.patience = 60
    hop.hold_final = True
    under_way = lives.send(LARGE)
    assert hop.paused.wait(30)
    tool = Tool(lives.relay, "BEGIN EXCLUSIVE")
    hop.hold_final = False
    hop.resume.set()
    began = time.monotonic()
    assert lives.send(SMALL) is None
    assert lives.refused == 451
    assert time.monotonic() - began > BUSY_SECONDS - 1
    assert lives.relay.states(under_way)[LISTED] == "delivering"
    assert len(hop.offered) == 1
    tool.close()
    lives.settle(under_way)
    lives.settle(lives.send(SMALL))
    assert len(hop.offered) == 2
    lives.finish()


def test_a_stray_writer(make_daemon, hop):
    """S261: rows that somebody writes by hand while mail goes through. Nobody's mail is hurt."""
    lives = Lives(make_daemon, hop)
    stop = threading.Event()

    def write():
        while not stop.wait(0.02):
            with sqlite3.connect(database_of(lives.relay), timeout=10) as db:
                db.execute("INSERT INTO audit(at, action) VALUES(1, 'by hand')")
            db.close()

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(20):
        lives.settle(lives.send(SMALL))
    stop.set()
    writer.join()
    assert dbcheck(lives.relay).returncode == 0
    lives.finish()


# --- copies ----------------------------------------------------------------------------------------


def start_from(relay, folder):
    """A daemon with that folder as its data."""
    other = Daemon(folder.parent, relay.next_hop)
    other.data_dir = folder
    other.write_config("delivery: {capture_only: true}\n")
    return other.start()


def test_copies_of_a_running_database(make_daemon, hop, tmp_path):
    """
    S263: VACUUM INTO is whole. cp of the database alone has not what is in the log still: the
    copy opens, and rows are missing; that is why the manual says "never cp".
    """
    relay = make_daemon(hop.address, "threads: 1\n")
    lives = Lives(None, hop, relay=relay)
    lives.settle(lives.send(SMALL))
    reader = Tool(relay, "BEGIN; SELECT count(*) FROM message")  # no checkpoint gets by
    number = lives.send(LARGE)
    lives.settle(number)
    for name in ("vacuum", "cp"):
        (tmp_path / name / "data").mkdir(parents=True)
        shutil.copy(relay.data_dir / "admin.token", tmp_path / name / "data")
    subprocess.run(["sqlite3", "-readonly", database_of(relay), "VACUUM INTO '%s'" %
                    (tmp_path / "vacuum" / "data" / "stagepost.db")], check=True)
    subprocess.run(["cp", database_of(relay), tmp_path / "cp" / "data"], check=True)
    reader.close()
    lives.finish()
    whole = start_from(relay, tmp_path / "vacuum" / "data")
    assert whole.states(number) == {LISTED: "delivered", OTHER: "dropped"}
    raw = whole.request("GET", "/api/v1/messages/%s/raw" % number)
    assert raw.body == LARGE
    whole.close()
    part = start_from(relay, tmp_path / "cp" / "data")
    assert part.request("GET", "/api/v1/messages/" + number).status == 404
    part.close()


def commands_of_the_manual():
    """The two blocks of commands below RECOVERY in stagepostd(8)."""
    text = (SOURCE / "relay/stagepostd.8.scd").read_text()
    section = text[text.index("# RECOVERY"):text.index("# FILES")]
    return "\n".join(block.strip() for block in re.findall(r"```\n(.*?)```", section, re.S))


def test_recovery_as_the_manual_says(make_daemon, hop):
    """S259: what can be read of a damaged database is there again, and what can't is named."""
    lives = Lives(make_daemon, hop)
    relay = lives.relay
    numbers = [lives.send(SMALL) for _ in range(30)] + [lives.send(LARGE)]
    for number in numbers:
        lives.settle(number)
    assert dbcheck(relay).returncode == 0
    assert relay.stop() == 0
    content = bytearray(database_of(relay).read_bytes())
    pages = [at for at in range(0, len(content), 4096) if b"x" * 76 in content[at:at + 4096]]
    content[pages[-3]:pages[-3] + 4096] = os.urandom(4096)
    with sqlite3.connect(database_of(relay)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'audit'").fetchone()
    db.close()
    content[(root - 1) * 4096:root * 4096] = os.urandom(4096)
    database_of(relay).write_bytes(content)
    before = database_of(relay).read_bytes()
    relay.start(wait=False)
    assert relay.process.wait(20) == 74
    relay.process = None
    assert "RECOVERY in stagepostd(8)" in relay.log()
    found = dbcheck(relay)
    assert found.returncode == 1 and "problem: " in found.stdout
    assert database_of(relay).read_bytes() == before

    broken = relay.data_dir.with_name("data.broken")
    subprocess.run(["cp", "-a", relay.data_dir, broken], check=True)
    script = commands_of_the_manual()
    assert "/var/lib/stagepost.broken" in script
    script = script.replace("/var/lib/stagepost.broken", str(broken))
    script = script.replace("/var/lib/stagepost", str(relay.data_dir))
    done = subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = dbcheck(relay)
    assert found.stdout.count("problem: ") <= 2, found.stdout
    relay.start()
    with Smtp(relay.smtp_port) as client:
        again = client.send(SENDER, [LISTED, OTHER], SMALL)
    relay.wait_states(again, {LISTED: "delivered", OTHER: "dropped"})
    for number in numbers[:-1]:
        assert relay.states(number) == {LISTED: "delivered", OTHER: "dropped"}
    with pytest.raises(http.client.IncompleteRead):  # never something else for its end
        relay.request("GET", "/api/v1/messages/%s/raw" % numbers[-1])


def test_another_log_is_refused(make_daemon, hop):
    """S259: a log of somebody else's, whole by itself, beside our database."""
    mine, other = make_daemon(hop.address), make_daemon(hop.address)
    for relay in (mine, other):
        relay.allow(LISTED)
        with Smtp(relay.smtp_port) as client:
            client.send(SENDER, [OTHER], SMALL)
        time.sleep(0.3)  # the idle writer checkpoints
        with Smtp(relay.smtp_port) as client:
            client.send(SENDER, [OTHER], SMALL)
    other.kill()
    assert mine.stop() == 0
    log = database_of(other).with_name("stagepost.db-wal").read_bytes()
    assert len(log) > 4096
    database_of(mine).with_name("stagepost.db-wal").write_bytes(log)
    before = database_of(mine).read_bytes()
    mine.start(wait=False)
    assert mine.process.wait(20) == 74
    mine.process = None
    assert "belongs to another database" in mine.log()
    assert database_of(mine).read_bytes() == before


# --- a second daemon ---------------------------------------------------------------------------


def test_a_second_daemon(make_daemon, hop, tmp_path):
    """S269: by the same path, a link, a roundabout way, another mount: it names the first."""
    relay = make_daemon(hop.address)
    link = tmp_path / "link"
    link.symlink_to(relay.data_dir)
    ways = [relay.data_dir, link, pathlib.Path("../daemon0/../daemon0/data")]
    mount = tmp_path / "mount"
    mount.mkdir()
    mounted = subprocess.run(["mount", "--bind", relay.data_dir, mount], capture_output=True,
                             check=False).returncode == 0
    try:
        for way in ways + ([mount] if mounted else []):
            second = subprocess.run(
                [STAGEPOSTD, "-c", relay.config, "-o", "data_dir=%s" % way],
                cwd=relay.folder, capture_output=True, text=True, timeout=30, check=False)
            assert second.returncode == 75, (way, second.stderr)
            assert "process %d" % relay.process.pid in second.stderr
    finally:
        if mounted:
            subprocess.run(["umount", mount], check=True)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    os.link(database_of(relay), other / "stagepost.db")
    second = subprocess.run([STAGEPOSTD, "-c", relay.config, "-o", "data_dir=%s" % other],
                            capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 74 and "second name" in second.stderr
    (other / "stagepost.db").unlink()
    lives = Lives(None, hop, relay=relay)
    lives.settle(lives.send(SMALL))
    lives.finish()


# --- the schema ----------------------------------------------------------------------------------


STEPS = sorted((SOURCE / "schema").glob("[0-9]*.sql"))
APPLICATION_ID = 0x53746770
ROWS = 10000


def old_database(folder, version):
    """As the release of that schema left it, with mail in it."""
    folder.mkdir(mode=0o700)
    db = sqlite3.connect(folder / "stagepost.db")
    db.executescript("PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL;"
                     "PRAGMA journal_mode=WAL;")
    for step in STEPS[:version]:
        db.executescript(step.read_text())
    db.execute("PRAGMA application_id=%d" % APPLICATION_ID)
    db.execute("PRAGMA user_version=%d" % version)
    db.executemany(
        "INSERT INTO message(id, uid, received_at, sender, size, header_size, header_parsed,"
        " body_8bit, smtputf8, bare_cr, bare_lf, scope, client_port, received_field)"
        " VALUES(?, ?, 1800000000000, '', 5, 5, 1, 0, 0, 0, 0, '', 0, '')",
        ((i, i.to_bytes(16, "big")) for i in range(1, ROWS + 1)))
    db.executemany("INSERT INTO chunk(id, data) VALUES(? << 16, x'613a0d0a0d')",
                   ((i,) for i in range(1, ROWS + 1)))
    db.executemany(
        "INSERT INTO recipient(id, address, state, accepted_state, waiting_since, updated_at,"
        " verdict) VALUES(? << 16, 'b@example.com', 8, 8, 1, 1, 'drop')",
        ((i,) for i in range(1, ROWS + 1)))
    if version >= 9:  # the tally is kept from then on
        db.executescript("DELETE FROM tally; INSERT INTO tally VALUES(8, %d), (100, %d), (101, %d)"
                         % (ROWS, ROWS, ROWS * 5))
    if version >= 18:  # so is who came to an end, and how
        db.execute("INSERT INTO finished SELECT id, 2, 1 FROM message")
    db.commit()
    db.close()


# At the n-th write of the thread that upgrades. Some steps have fewer: then it is the next one's.
FAULTS = ((1, "signal=KILL"), (3, "signal=KILL"), (5, "error=ENOSPC"), (9, "signal=KILL"),
          (20, "error=ENOSPC"), (60, "signal=KILL"))


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_schema_upgrade(traced, make_daemon, version):
    """S272: from each version there was, killed and out of room on the way, then completed."""
    relay = make_daemon(start=False)
    old_database(relay.data_dir, version)
    ended = []
    # Its port is taken, so that each of these comes to an end by itself.
    with socket.create_server(("127.0.0.1", relay.smtp_port)):
        for number, fault in FAULTS:
            done = subprocess.run(
                ["strace", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
                 "inject=pwrite64:%s:when=%d" % (fault, number), STAGEPOSTD, "-c", relay.config],
                capture_output=True, text=True, timeout=60, check=False)
            ended.append(done.returncode)
            assert done.returncode in (-signal.SIGKILL, 74, 75), done.stderr
    assert ended[:2] == [-signal.SIGKILL, -signal.SIGKILL]
    relay.start()
    assert relay.get("/status")["queue"]["messages"] == ROWS
    assert dbcheck(relay).returncode == 0


def test_large_numbers(make_daemon, hop):
    """
    S268: numbers beyond 2^53 stay what they are in JSON, those of messages are not seen at all,
    and where they end nothing is used a second time.
    """
    lives = Lives(make_daemon, hop)
    relay = lives.relay
    assert relay.stop() == 0
    with sqlite3.connect(database_of(relay)) as db:
        db.execute("UPDATE sqlite_sequence SET seq = 9007199254740992 WHERE name = 'whitelist'")
        # The self-test at the start has one too.
        db.execute("UPDATE meta SET value = 2147483645 WHERE name = 'next_message'")
    db.close()
    relay.start()
    (entry,) = relay.allow("second@example.com")
    assert entry == 2 ** 53 + 1
    assert relay.get("/whitelist/%d" % entry)["id"] == entry
    for content in (SMALL, LARGE, SMALL):
        lives.settle(lives.send(content))
    assert relay.stop() == 0
    with sqlite3.connect(database_of(relay)) as db:
        assert db.execute("SELECT max(id) FROM message").fetchone() == (2 ** 31,)
        db.execute("UPDATE sqlite_sequence SET seq = 9223372036854775806 WHERE name = 'whitelist'")
    db.close()
    relay.start()
    (last,) = relay.allow("last@example.com")
    assert last == 2 ** 63 - 1
    answer = relay.request("POST", "/api/v1/whitelist", {"pattern": "none@example.com"})
    assert answer.status >= 400
    assert relay.request("DELETE", "/api/v1/whitelist/%d" % last).status == 204
    lives.settle(lives.send(SMALL))


# --- the program's own hands --------------------------------------------------------------------


def test_nobody_opens_the_database_beside_sqlite():
    """
    S265: closing a file drops all locks that the process has at it. So no code of ours names the
    database where it opens files, nothing forks with it open, and what is opened is closed on exec.
    """
    may_spawn = {"relay/deliver/command.c"}  # posix_spawn: there is no code of ours behind it
    may_fork = {"cli/apart.c"}  # the tool's, before it opens anything
    found = []
    for folder in ("base", "schema", "queue", "relay", "admin", "cli"):
        for path in (SOURCE / folder).rglob("*.c"):
            name = str(path.relative_to(SOURCE))
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            for call in re.findall(r"\b(?:open|openat|fopen)\((?:[^();]|\([^()]*\))*\)", text):
                if "FOLDER_DATABASE" in call or "stagepost.db" in call:
                    found.append((name, call))
                if "CLOEXEC" not in call and '"re' not in call and "/dev/null" not in call:
                    found.append((name, call))
            if re.search(r"\b(fork|vfork|clone|system|popen)\(", text) and name not in may_fork:
                found.append((name, "fork"))
            if "posix_spawn(" in text and name not in may_spawn:
                found.append((name, "posix_spawn"))
    assert found == []


def test_deleting_everything_during_traffic(make_daemon, hop):
    """S266: intake goes on at its pace, and the file gives the room back."""
    relay = make_daemon(hop.address, "threads: 1\n")
    content = b"Subject: big\r\n\r\n" + (b"y" * 76 + b"\r\n") * 1500
    numbers = []
    with Smtp(relay.smtp_port) as client:
        for _ in range(200):
            numbers.append(client.send(SENDER, [OTHER], content))
    wait_for(lambda: database_of(relay).stat().st_size > 200 * len(content), "a large file")
    slowest = [0.0]
    stop = threading.Event()

    def send():
        with Smtp(relay.smtp_port) as client:
            while not stop.is_set():
                began = time.monotonic()
                client.send(SENDER, [OTHER], SMALL)
                slowest[0] = max(slowest[0], time.monotonic() - began)

    sender = threading.Thread(target=send)
    sender.start()
    for number in numbers:
        assert relay.request("DELETE", "/api/v1/messages/" + number).status == 204
    stop.set()
    sender.join()
    assert slowest[0] < 2.0
    wait_for(lambda: database_of(relay).stat().st_size < 60 * len(content), "the room back")
    assert dbcheck(relay).returncode == 0
