"""
kill -9 in front of each system call of the paths a message takes: taken in, delivered, settled,
checkpointed (CASES S248, S249, S250). The call at which the thread is killed is not made.

The suite takes a sample; STAGEPOST_KILL_POINTS=all takes every one.
"""

import os
import random

import pytest

from daemon import SANITIZED, wait_for
from lives import LARGE, LISTED, SMALL, Lives
from tracing import Traced

EVERY = os.environ.get("STAGEPOST_KILL_POINTS") == "all"
SAMPLE = 25  # of each thread
IDLE = 0.25  # behind it the writer checkpoints
# Those that leave something behind; waiting and taking the time do not.
CALLS = ("read,write,readv,writev,recvfrom,sendto,recvmsg,sendmsg,pread64,pwrite64,fdatasync,"
         "fsync,ftruncate,openat,close,connect,socket,socketpair,shutdown,fcntl")

pytestmark = pytest.mark.skipif(SANITIZED and not EVERY, reason="the system calls are the same")


def points(calls):
    """(name, n): in front of the n-th call of that name."""
    every = [(name, n) for name, count in sorted(calls.items()) for n in range(1, count + 1)]
    if EVERY or len(every) <= SAMPLE:
        return every
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    print("STAGEPOST_SEED=%d" % seed)
    return random.Random(seed).sample(every, SAMPLE)


@pytest.fixture
def lives(make_daemon, hop):
    return Lives(make_daemon, hop)


@pytest.mark.parametrize("name", ["writer", "loop", "worker", "scheduler"])
def test_kill_at_each_call(traced, lives, name):
    """S248, S249: nothing lost, nothing leaked, a second copy only of what was in flight."""
    rest = IDLE if name == "writer" else 0.0
    counted = Traced(lives.relay, lives.tasks(name), CALLS)
    lives.one(rest)
    calls = counted.stop().calls()
    died = 0
    chosen = points(calls)
    for call, number in chosen:
        tracer = Traced(lives.relay, lives.tasks(name), call,
                        "%s:signal=KILL:when=%d" % (call, number))
        lives.one(rest)
        tracer.stop()
        if lives.is_dead():
            died += 1
            lives.check_after_kill()
    print("%s: %s, %d points, %d kills" % (name, calls, len(chosen), died))
    assert died >= len(chosen) // 4  # not each run is the same
    lives.finish()


def test_kill_behind_the_final_250(traced, lives):
    """
    S250: the next hop has taken it and said so, and the status is not yet written down. It comes
    once more, as the same message: same Message-ID, same id in our Received field.
    """
    number = lives.send(SMALL)
    lives.settle(number)
    lives.hop.hold_final = True
    number = lives.send(LARGE)
    assert lives.hop.paused.wait(30)
    # From now on the writer hangs in front of whatever it wants to write.
    tracer = Traced(lives.relay, lives.tasks("writer"), "pwrite64",
                    "pwrite64:delay_enter=20000000")
    lives.hop.hold_final = False
    lives.hop.resume.set()
    wait_for(lambda: [m for m in lives.hop.noted()
                      if m["event"] == "dot" and m["sent"] and m["id"] == number],
             "the final 250")
    wait_for(lambda: "pwrite64(" in tracer.out.read_text(), "the writer to write")
    lives.relay.process.kill()
    tracer.process.kill()  # it holds the dead thread as long as the delay lasts
    lives.check_after_kill()
    tracer.stop()
    wait_for(lambda: lives.relay.states(number)[LISTED] == "delivered", "the second copy")
    copies = [m.content for m in lives.hop.snapshot() if b"<large@test>" in m.content]
    assert len(copies) == 2
    assert copies[0] == copies[1]  # the Received field with its id, too
    report = lives.finish()
    assert report.counts["second copies in flight at a kill"] == 1
