"""
kill -9 in front of each system call of the paths a message takes: taken in, delivered, settled,
checkpointed (CASES S248, S249, S250). The call at which the thread is killed is not made.

The suite takes a sample; STAGEPOST_KILL_POINTS=all takes every one.
"""

import os
import random
import subprocess
import time

import pytest

from daemon import SANITIZED, STAGEPOST, Smtp, queued_id, stuff, wait_for
from ledger import Ledger, messages_of_database, sha256
from tracing import Traced, threads

LISTED = "alice@example.com"
OTHER = "bob@example.com"
SENDER = "a@example.com"
EVERY = os.environ.get("STAGEPOST_KILL_POINTS") == "all"
SAMPLE = 25  # of each thread
IDLE = 0.25  # behind it the writer checkpoints
# Those that leave something behind; waiting and taking the time do not.
CALLS = ("read,write,readv,writev,recvfrom,sendto,recvmsg,sendmsg,pread64,pwrite64,fdatasync,"
         "fsync,ftruncate,openat,close,connect,socket,socketpair,shutdown,fcntl")
# Two pieces of content and a small one: both ways into the store.
LARGE = b"Message-ID: <large@test>\r\nSubject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 4500
SMALL = b"Message-ID: <small@test>\r\nSubject: small\r\n\r\nshort\r\n"

pytestmark = pytest.mark.skipif(SANITIZED and not EVERY, reason="the system calls are the same")


class Bench:
    """A daemon, its next hop, and a ledger over all its lives."""

    def __init__(self, make_daemon, hop):
        self.hop = hop
        self.ledger = Ledger(hop)
        self.relay = make_daemon(hop.address, "threads: 1\n")
        self.ledger.allow(self.relay, LISTED)
        self.sent = {}  # digest to how often it was begun

    def send(self, content):
        """What a client does; False when the daemon died meanwhile."""
        self.sent[sha256(content)] = self.sent.get(sha256(content), 0) + 1
        try:
            with Smtp(self.relay.smtp_port, timeout=15) as client:
                client.envelope(SENDER, [LISTED, OTHER])
                client.write(stuff(content) + b".\r\n")
                number = queued_id(client.reply())
                self.ledger.accepted(number, SENDER, [LISTED, OTHER], content)
                client.command("QUIT")
        except (OSError, ValueError):
            return None
        return number

    def settle(self, number):
        """Until the message is where it should be, or the daemon is dead."""
        def settled():
            if self.relay.process.poll() is not None:
                return True
            try:
                return self.relay.states(number) == {LISTED: "delivered", OTHER: "dropped"}
            except OSError:
                return False
        wait_for(settled, "%s to be delivered" % number, 30)

    def one(self, rest=0.0):
        """A small message and a large one, one after the other, to the end."""
        for content in (SMALL, LARGE):
            number = self.send(content)
            if number is not None:
                self.settle(number)
            if self.relay.process.poll() is not None:
                return
        time.sleep(rest)

    def tasks(self, name):
        """The threads of that name: workers come with the first delivery."""
        if name == "worker" and name not in threads(self.relay.process):
            self.one()
        return wait_for(lambda: threads(self.relay.process).get(name), "thread " + name)

    def is_dead(self):
        """Or dying: the signal may have come with the last call."""
        try:
            self.relay.process.wait(0.03)
        except subprocess.TimeoutExpired:
            return False
        return True

    def check_after_kill(self):
        """The daemon is dead: the files are whole, and then everything goes its way."""
        self.relay.process.wait(20)
        self.relay.process = None
        self.ledger.add("killed")
        done = subprocess.run([STAGEPOST, "dbcheck", "--data-dir", self.relay.data_dir],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.relay.start()

    def finish(self):
        for state in ("queued", "delivering", "deferred"):
            wait_for(lambda: not self.relay.get("/recipients?limit=1&state=" + state)["items"],
                     "nothing %s any more" % state)
        assert self.relay.stop() == 0
        database = self.relay.data_dir / "stagepost.db"
        # Whole or absent, and never twice for one that was sent once.
        stored = {}
        for message in messages_of_database(database):
            stored[message["sha256"]] = stored.get(message["sha256"], 0) + 1
        for digest, count in stored.items():
            assert count <= self.sent.get(digest, 0)
        return self.ledger.check(database=database)


def points(calls):
    """(name, n): in front of the n-th call of that name."""
    every = [(name, n) for name, count in sorted(calls.items()) for n in range(1, count + 1)]
    if EVERY or len(every) <= SAMPLE:
        return every
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    print("STAGEPOST_SEED=%d" % seed)
    return random.Random(seed).sample(every, SAMPLE)


@pytest.fixture
def bench(make_daemon, hop):
    return Bench(make_daemon, hop)


@pytest.mark.parametrize("name", ["writer", "loop", "worker", "scheduler"])
def test_kill_at_each_call(traced, bench, name):
    """S248, S249: nothing lost, nothing leaked, a second copy only of what was in flight."""
    rest = IDLE if name == "writer" else 0.0
    counted = Traced(bench.relay, bench.tasks(name), CALLS)
    bench.one(rest)
    calls = counted.stop().calls()
    died = 0
    chosen = points(calls)
    for call, number in chosen:
        tracer = Traced(bench.relay, bench.tasks(name), call,
                        "%s:signal=KILL:when=%d" % (call, number))
        bench.one(rest)
        tracer.stop()
        if bench.is_dead():
            died += 1
            bench.check_after_kill()
    print("%s: %s, %d points, %d kills" % (name, calls, len(chosen), died))
    assert died >= len(chosen) // 4  # not each run is the same
    bench.finish()


def test_kill_behind_the_final_250(traced, bench):
    """
    S250: the next hop has taken it and said so, and the status is not yet written down. It comes
    once more, as the same message: same Message-ID, same id in our Received field.
    """
    number = bench.send(SMALL)
    bench.settle(number)
    bench.hop.hold_final = True
    number = bench.send(LARGE)
    assert bench.hop.paused.wait(30)
    # From now on the writer hangs in front of whatever it wants to write.
    tracer = Traced(bench.relay, bench.tasks("writer"), "pwrite64",
                    "pwrite64:delay_enter=20000000")
    bench.hop.hold_final = False
    bench.hop.resume.set()
    wait_for(lambda: [m for m in bench.hop.noted()
                      if m["event"] == "dot" and m["sent"] and m["id"] == number],
             "the final 250")
    wait_for(lambda: "pwrite64(" in tracer.out.read_text(), "the writer to write")
    bench.relay.process.kill()
    tracer.process.kill()  # it holds the dead thread as long as the delay lasts
    bench.check_after_kill()
    tracer.stop()
    wait_for(lambda: bench.relay.states(number)[LISTED] == "delivered", "the second copy")
    copies = [m.content for m in bench.hop.snapshot() if b"<large@test>" in m.content]
    assert len(copies) == 2
    assert copies[0] == copies[1]  # the Received field with its id, too
    report = bench.finish()
    assert report.counts["second copies in flight at a kill"] == 1
