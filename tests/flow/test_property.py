"""
Generated addresses and patterns, judged by the relay's code and by tests/property/oracle.py. The
long run is tests/soak/test_property_soak.py.
"""

import os
import pathlib
import sys

import pytest

from daemon import BUILD

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "property"))
import oracle  # noqa: E402

JUDGE = BUILD / "tests/property/judge"
COUNT = 200000


@pytest.mark.skipif(not JUDGE.exists(), reason="make check builds it")
def test_the_oracle_agrees():
    seed = int(os.environ.get("STAGEPOST_SEED", "20261121"))
    differences, tally = oracle.run(JUDGE, COUNT, seed)
    assert differences == [], "\n".join(map(str, differences[:3]))
    assert sum(tally.values()) == COUNT
    # Each kind of answer was asked for, and often: else this shows nothing.
    for answer in ("-", "Py", "Pn", "Pd", "Px", "Pe", "Pr", "Ly", "Ln", "Ld", "Lu", "Uu", "Mu"):
        assert tally[answer] >= 50, (answer, tally)
