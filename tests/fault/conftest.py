"""The fixtures of tests/flow, for faults of the world around the daemon."""

import importlib.util
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FLOW = HERE.parent / "flow"
for folder in (HERE, FLOW):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
spec = importlib.util.spec_from_file_location("flow_conftest", FLOW / "conftest.py")
flow = importlib.util.module_from_spec(spec)
spec.loader.exec_module(flow)

from farm import Farm  # noqa: E402

hop = flow.hop
make_daemon = flow.make_daemon
relay = flow.relay
traced = flow.traced
corpora = flow.corpora
pytest_collection_modifyitems = flow.pytest_collection_modifyitems


@pytest.fixture
def farm(make_daemon):
    """One daemon in front of many next hops that misbehave."""
    made = Farm(make_daemon)
    yield made
    made.close()
