"""P1 to P4: kill -9 at random moments under load, with a next hop that defers some (CASES S251)."""

import os
import random

from killing import run_rounds


def test_kill_under_load(make_daemon, hop):
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    report = run_rounds(make_daemon(hop.address), hop, rounds=15, seed=seed)
    assert report.counts["kills"] == 15
