"""A next hop, and daemons that are stopped and looked over at the end of the test."""

import os
import pathlib
import shutil
import tempfile

import pytest

from clients import Cache
from daemon import STAGEPOSTD, Daemon
from nexthop import NextHop

TOP = pathlib.Path(__file__).resolve().parents[2]
__all__ = ["cache", "corpora", "hop", "make_daemon", "pytest_collection_modifyitems", "relay", "traced"]


def pytest_collection_modifyitems(items):
    if not STAGEPOSTD.exists():
        raise pytest.UsageError("%s is not built (STAGEPOST_BUILD names the folder)" % STAGEPOSTD)


@pytest.fixture
def hop():
    hop = NextHop()
    yield hop
    hop.close()


@pytest.fixture
def make_daemon(tmp_path):
    """make_daemon(next_hop="127.0.0.1:25", settings="smtp: …"): started already."""
    made = []

    def make(next_hop=None, settings="", start=True):
        folder = tmp_path / ("daemon%d" % len(made))
        folder.mkdir()
        daemon = Daemon(folder, next_hop, settings)
        made.append(daemon)
        return daemon.start() if start else daemon

    yield make
    failures = []
    for daemon in made:
        try:
            daemon.close()
        except BaseException as failure:  # the others must be stopped all the same
            if daemon.process is not None:
                daemon.process.kill()
            failures.append(failure)
    if failures:
        raise failures[0]


@pytest.fixture
def relay(make_daemon, hop):
    """One daemon in front of `hop`."""
    return make_daemon(hop.address)


@pytest.fixture
def traced(monkeypatch):
    """LeakSanitizer can't look at a process that somebody traces."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


@pytest.fixture(scope="session")
def corpora():
    path = os.environ.get("STAGEPOST_CORPORA")
    folder = pathlib.Path(path) if path else TOP.parent / "shared" / "corpora"
    if not folder.is_dir():
        pytest.skip("the corpora are not at %s" % folder)
    return folder


@pytest.fixture(scope="module")
def cache():
    """Open to the users that MTAs run as, which pytest's folders are not."""
    before = Cache.root
    Cache.root = pathlib.Path(tempfile.mkdtemp())
    Cache.root.chmod(0o755)
    yield
    shutil.rmtree(Cache.root)
    Cache.root = before
