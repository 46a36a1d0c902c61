"""The page in a real browser, in front of the real daemon; skipped where there is no Chromium."""

import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "flow"))

from fixtures import *  # noqa: E402,F403

from browser import Browser, why_not  # noqa: E402


@pytest.fixture(scope="session")
def chromium():
    """One for all tests: its start is what takes long."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    browser = Browser()
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium, relay):
    """A fresh page of `relay`, logged out. Nothing it did may have gone anywhere else."""
    chromium.begin(relay)
    yield chromium
    chromium.end()


@pytest.fixture
def inside(page):
    """The same, logged in as the admin."""
    page.log_in()
    return page
