"""The fixtures of tests/flow, for faults of the world around the daemon."""

import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from farm import Farm  # noqa: E402
from fixtures import *  # noqa: E402,F403


@pytest.fixture
def farm(make_daemon):
    """One daemon in front of many next hops that misbehave."""
    made = Farm(make_daemon)
    yield made
    made.close()
