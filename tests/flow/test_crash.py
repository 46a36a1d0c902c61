"""P2, P1, P3: kill -9 at random moments under load."""

import os
import random

from crash import run_rounds


def test_kill_under_load(make_daemon, hop):
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    run_rounds(make_daemon(hop.address), hop, rounds=5, seed=seed)
