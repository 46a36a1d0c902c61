"""
P6 while very long lists are imported: STAGEPOST_SOAK_ENTRIES (default 1000000) in one go, mail that
is accepted meanwhile and until the last line has arrived, and a stop in the middle. -s shows the
numbers.
"""

import contextlib
import http.client
import os
import sqlite3
import threading
import time

from daemon import Smtp
from test_listing import Lists, meanwhile

ENTRIES = int(os.environ.get("STAGEPOST_SOAK_ENTRIES", "1000000"))
MAIL = ("shop@example.com", ["nobody@else.test"], b"Subject: x\r\n\r\n")


def listing(count):
    return "".join("user%d@example%d.test\n" % (i, i % 5000) for i in range(count))


def left(relay):
    with contextlib.closing(sqlite3.connect(relay.data_dir / "stagepost.db")) as connection:
        return connection.execute("SELECT count(*) FROM intake").fetchone()[0]


def arrive(relay):
    while left(relay):
        time.sleep(0.2)


def cut_off(lists, text):
    with contextlib.suppress(OSError, http.client.HTTPException):
        lists.call("POST", "/import?format=text", text)


def peak(relay):
    with open("/proc/%d/status" % relay.process.pid) as status:
        return [int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")][0]


def test_mail_while_a_long_list_is_imported(relay):
    lists = Lists(relay)
    text = listing(ENTRIES)
    with Smtp(relay.smtp_port) as client:
        began = time.monotonic()
        done, _, told = meanwhile(lambda: lists.load(text), lambda: client.send(*MAIL))
        assert done["added"] == ENTRIES
        print("\nimport of %d: %.1f s; mail meanwhile %s; %d MB at most" % (
            ENTRIES, time.monotonic() - began, told, peak(relay)))
        began = time.monotonic()
        _, _, told = meanwhile(lambda: arrive(relay), lambda: client.send(*MAIL))
        print("lines on their way: %.1f s; mail meanwhile %s" % (time.monotonic() - began, told))


def test_a_stop_while_a_long_list_is_imported(relay):
    lists = Lists(relay)
    thread = threading.Thread(target=cut_off, args=(lists, listing(ENTRIES)))
    thread.start()
    while not left(relay):
        time.sleep(0.01)
    began = time.monotonic()
    assert relay.stop() == 0
    print("\nstopped after %.1f s" % (time.monotonic() - began))
    thread.join()
    relay.start()
    entries = relay.get("/status")["whitelist"]["entries"]
    assert entries in (0, ENTRIES)
