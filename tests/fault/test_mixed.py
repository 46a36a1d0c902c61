"""P1 to P5 in a crowd: some hundred messages, five percent of everything."""

import os
import random

import mixed


def test_all_kinds_of_trouble(farm):
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    report = mixed.run(farm, 300, seed)
    assert report.counts["answered 250 to clients"] == 300
    assert report.counts["recipients delivered"] > 400
