"""
The long run of tests/flow/test_crash.py, on demand:
STAGEPOST_BUILD=build python3 -m pytest tests/soak      (STAGEPOST_SOAK_ROUNDS, default 50)
"""

import os
import random

from crash import run_rounds


def test_kill_under_load_many_times(make_daemon, hop):
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    rounds = int(os.environ.get("STAGEPOST_SOAK_ROUNDS", "50"))
    run_rounds(make_daemon(hop.address), hop, rounds=rounds, seed=seed)
