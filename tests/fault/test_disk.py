"""What the system refuses below the store, and what it must never cost (CASES S247, S254 to S257)."""

import http.client
import re
import shutil
import signal
import subprocess
import threading

import pytest

from daemon import SANITIZED, wait_for
from fault import FailingCalls, SmallDisk
from lives import LARGE, SMALL, Lives
from tracing import Traced

CLEAN_DEATHS = (74, -signal.SIGABRT)  # the latter only where memory was refused


def events_of(lines):
    """(what, where) in the order in which the calls came to their end, or the reply began."""
    pending = {}
    for line in lines:
        thread, rest = re.match(r"(\d+ +)?\d+\.\d+ (.*)", line).groups()
        begun = re.match(r"(\w+)\(\d+<([^>]*)>(.*)", rest)
        if begun:
            name, path, more = begun.groups()
            if name == "sendto" and re.match(r', "250 2\.0\.0 [^"]*queued as', more):
                yield "250", None
            elif "<unfinished" in more:
                pending[thread] = (name, path)
            elif " = " in more and " = -1 " not in more:
                yield name, path
        elif "resumed>" in rest and thread in pending:
            name, path = pending.pop(thread)
            if " = -1 " not in rest:
                yield name, path


def test_each_250_comes_behind_its_sync(traced, make_daemon, hop):
    """S247: pages into the log, the log onto the disk, and only then the client's 250."""
    lives = Lives(make_daemon, hop)
    tasks = lives.tasks("writer") + lives.tasks("loop")
    tracer = Traced(lives.relay, tasks, "pwrite64,fdatasync,fsync,sendto")
    contents = [SMALL, LARGE, SMALL, LARGE, SMALL]
    for content in contents:
        assert lives.send(content)
    answered = 0
    synced = written = 0  # writes into the log, and how many of them are on the disk
    last = 0
    for what, path in events_of(tracer.stop().lines()):
        if what == "250":
            assert written > last, "nothing was written for it"
            # What came behind the sync may belong to somebody else's commit only.
            assert synced > last, "it was not synced"
            answered += 1
            last = synced
        elif path.endswith("-wal"):
            if what == "pwrite64":
                written += 1
            else:
                synced = written
    assert answered == len(contents)
    lives.finish()


def read_everything(relay, number):
    """Whatever comes of it: many at once need readers that are not open yet."""
    def ask():
        try:
            for path in ("/status", "/messages", "/messages/%s" % number):
                relay.request("GET", "/api/v1" + path)
        except (OSError, http.client.HTTPException):
            pass

    crowd = [threading.Thread(target=ask) for _ in range(6)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()


def test_cutting_the_log_fails(traced, make_daemon, hop):
    """S256: at its end the daemon folds the log into the database and cuts it; or leaves it."""
    lives = Lives(make_daemon, hop)
    lives.settle(lives.send(LARGE))
    fault = FailingCalls(lives.relay, "ftruncate", "EIO", "1+")
    lives.relay.process.terminate()
    assert lives.relay.process.wait(20) in (0, 74)
    fault.stop()
    assert fault.injected
    lives.check_after_kill()
    lives.finish()


@pytest.mark.parametrize("calls, error, when, deaths", [
    # Not written: it can't go on.
    ("pwrite64", "EROFS", "1+", (74,)), ("pwrite64", "EACCES", "3", (74,)),
    ("fdatasync,fsync", "EIO", "2", (74,)),
    # No descriptors, no connections, no memory: mail waits, or the service manager starts anew.
    ("socket,socketpair", "EMFILE", "1+", ()), ("connect", "ENETUNREACH", "1+", ()),
    ("accept4", "EMFILE", "1+", ()), ("openat", "EMFILE", "1+", ()), ("openat", "EACCES", "1+", ()),
    ("mmap", "ENOMEM", "1+", CLEAN_DEATHS),
], ids=lambda value: str(value) if isinstance(value, str) else "")
def test_a_call_fails(traced, make_daemon, hop, calls, error, when, deaths):
    """
    S256, S257: no 250 for what is not kept, nothing lost, nothing twice. Where the daemon lives
    on it recovers by itself; where it ends it says so, and the next start has everything.
    """
    if SANITIZED and calls == "mmap":
        pytest.skip("a sanitizer maps memory for itself")
    lives = Lives(make_daemon, hop)
    # A connection that is kept would do for the next message, too.
    before = lives.send(SMALL) if calls != "connect" else None
    lives.patience = 2
    fault = FailingCalls(lives.relay, calls, error, when)
    for content in (LARGE, SMALL):
        lives.send(content)
    if not lives.is_dead() and calls != "accept4":
        read_everything(lives.relay, before)
    if calls == "openat":
        lives.relay.hup()  # for sure it opens something: its configuration
    wait_for(lambda: fault.injected, "a fault")
    if deaths == (74,):
        lives.relay.process.wait(20)
    code = lives.relay.process.poll()
    fault.stop()
    lives.patience = 15
    if code is not None:
        assert code in deaths, lives.relay.log()[-2000:]
        if code == 74:
            assert " fatal " in lives.relay.log()
        lives.check_after_kill()
    assert lives.send(SMALL), "it does not recover"
    if before:
        lives.settle(before)
    lives.finish()


# --- the database goes away -------------------------------------------------------------------


def unlink(relay):
    (relay.data_dir / "stagepost.db").unlink()


def unlink_log(relay):
    (relay.data_dir / "stagepost.db-wal").unlink()


def rename(relay):
    (relay.data_dir / "stagepost.db").rename(relay.data_dir / "aside.db")


def rename_folder(relay):
    relay.data_dir.rename(relay.data_dir.with_name("aside"))


def remove_folder(relay):
    shutil.rmtree(relay.data_dir)


@pytest.mark.parametrize("how", [unlink, unlink_log, rename, rename_folder, remove_folder],
                         ids=lambda how: how.__name__)
def test_the_files_are_gone(make_daemon, hop, how):
    """S257: noticed within seconds without any mail; loud, exit 74, and no new database."""
    relay = make_daemon(hop.address)
    how(relay)
    assert relay.process.wait(15) == 74
    relay.process = None
    assert " fatal " in relay.log()
    assert not (relay.data_dir / "stagepost.db").exists() or how is unlink_log
    if how in (unlink, rename):
        relay.start(wait=False)
        assert relay.process.wait(15) == 74
        relay.process = None
        assert "stagepost.db is gone: bring it back" in relay.log()
        assert not (relay.data_dir / "stagepost.db").exists()


@pytest.mark.parametrize("how", [rename, rename_folder], ids=lambda how: how.__name__)
def test_the_files_come_back(make_daemon, hop, how):
    """S257: what was moved away is there again when it is moved back, its log with it."""
    lives = Lives(make_daemon, hop)
    assert lives.send(SMALL)
    relay = lives.relay
    how(relay)
    assert relay.process.wait(15) == 74
    if how is rename:
        (relay.data_dir / "aside.db").rename(relay.data_dir / "stagepost.db")
    else:
        relay.data_dir.with_name("aside").rename(relay.data_dir)
    lives.check_after_kill()
    lives.finish()


# --- no room ------------------------------------------------------------------------------------


def test_the_smallest_disk(make_daemon, hop, tmp_path):
    """
    S254, S255: below the reserve from the beginning. Nothing is taken, everything else works; with
    room all is well.
    """
    disk = SmallDisk(tmp_path / "disk", 8)
    try:
        relay = make_daemon(hop.address, start=False)
        relay.data_dir = disk.folder / "data"
        relay.write_config()
        relay.start()
        lives = Lives(None, hop, relay=relay)
        assert lives.send(SMALL) is None and lives.refused == 452
        assert relay.get("/status")
        subprocess.run(["mount", "-o", "remount,size=64m", disk.folder], check=True)
        # At MAIL it is known within a second or so.
        lives.settle(wait_for(lambda: lives.send(LARGE), "the room to be seen"))
        lives.finish()
    finally:
        disk.close()


def test_the_log_can_not_be_written(make_daemon, hop):
    """S254, S325: standard error is a full disk."""
    relay = make_daemon(hop.address, start=False)
    relay.log_path.symlink_to("/dev/full")
    relay.start(wait=False)
    relay.log_path.unlink()  # nobody reads that without end
    relay.log_path.touch()
    wait_for(relay.is_ready, "the daemon to be ready")
    lives = Lives(None, hop, relay=relay)
    lives.settle(lives.send(SMALL))
    lives.finish()


@pytest.mark.parametrize("calls", ["pwrite64", "fallocate,ftruncate,pwrite64"])
def test_no_room_in_a_checkpoint(traced, make_daemon, hop, calls):
    """S254: the log has it, the database has no room for it yet: no 250 is taken back."""
    lives = Lives(make_daemon, hop)
    number = lives.send(LARGE)
    fault = FailingCalls(lives.relay, calls, "ENOSPC", "1+")
    wait_for(lambda: lives.send(SMALL) is None, "a refusal")
    assert lives.refused == 452
    fault.stop()
    lives.settle(number)
    lives.settle(lives.send(SMALL))
    assert lives.relay.process.poll() is None
    lives.finish()
