"""The fixtures of tests/flow and the helpers of tests/fault."""

import importlib.util
import pathlib
import sys

FLOW = pathlib.Path(__file__).resolve().parent.parent / "flow"
sys.path[:0] = [str(FLOW), str(FLOW.parent / "fault")]
spec = importlib.util.spec_from_file_location("flow_conftest", FLOW / "conftest.py")
flow = importlib.util.module_from_spec(spec)
spec.loader.exec_module(flow)

hop = flow.hop
make_daemon = flow.make_daemon
relay = flow.relay
corpora = flow.corpora
pytest_collection_modifyitems = flow.pytest_collection_modifyitems
