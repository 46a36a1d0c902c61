"""
The long run of tests/flow/test_property.py: STAGEPOST_SOAK_ADDRESSES (default 10000000), a process
for each processor. -s shows how often each answer was given.
"""

import collections
import concurrent.futures
import os
import random
import time

from test_property import JUDGE, oracle

COUNT = int(os.environ.get("STAGEPOST_SOAK_ADDRESSES", "10000000"))
PART = 250000


def test_the_oracle_agrees_for_long():
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    parts = -(-COUNT // PART)
    began = time.monotonic()
    total = collections.Counter()
    with concurrent.futures.ProcessPoolExecutor() as pool:
        runs = [pool.submit(oracle.run, JUDGE, min(PART, COUNT - i * PART), seed + i)
                for i in range(parts)]
        for run in runs:
            differences, tally = run.result()
            assert differences == [], "\n".join(map(str, differences))
            total.update(tally)
    assert sum(total.values()) == COUNT
    print("\n%d addresses, seed %d, %d s: %s" % (
        COUNT, seed, time.monotonic() - began, dict(sorted(total.items()))))
