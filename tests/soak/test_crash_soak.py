"""
The long runs of tests/fault, on demand:
STAGEPOST_BUILD=build python3 -m pytest -s tests/soak/test_crash_soak.py
STAGEPOST_SOAK_ROUNDS: kills at random moments (default 1000); STAGEPOST_KILL_POINTS=all and
tests/fault/test_kill_calls.py are for every system call.
"""

import collections
import os
import random

import pytest

from killing import run_rounds

ROUNDS = int(os.environ.get("STAGEPOST_SOAK_ROUNDS", "1000"))
AT_ONCE = 50  # with one database and one ledger


@pytest.fixture
def seed():
    return int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))


def test_kill_under_load_many_times(make_daemon, hop, seed):
    """S251"""
    total = collections.Counter()
    while total["kills"] < ROUNDS:
        relay = make_daemon(hop.address)
        report = run_rounds(relay, hop, min(AT_ONCE, ROUNDS - total["kills"]),
                            seed + total["kills"])
        with hop.lock:
            hop.journal.clear()
            hop.final_replies.clear()
        total.update(report.counts)
        (relay.data_dir / "stagepost.db").unlink()
    print("\n".join("%s: %d" % pair for pair in sorted(total.items())))
