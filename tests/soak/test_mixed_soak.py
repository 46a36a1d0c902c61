"""The long run of tests/fault/test_mixed.py (STAGEPOST_SOAK_MESSAGES, default 5000)."""

import os
import random

import pytest

import mixed
from farm import Farm


@pytest.fixture
def farm(make_daemon):
    made = Farm(make_daemon)
    yield made
    made.close()


def test_all_kinds_of_trouble_for_long(farm):
    seed = int(os.environ.get("STAGEPOST_SEED", random.randrange(1 << 30)))
    count = int(os.environ.get("STAGEPOST_SOAK_MESSAGES", "5000"))
    report = mixed.run(farm, count, seed)
    assert report.counts["answered 250 to clients"] == count
