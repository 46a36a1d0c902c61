"""The fixtures of tests/flow and the helpers of tests/fault."""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(TESTS / "flow"), str(TESTS / "fault")]

from fixtures import *  # noqa: E402,F403
