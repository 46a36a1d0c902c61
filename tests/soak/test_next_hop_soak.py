"""
CASES 2.I at full length: a next hop that reads a large message too slowly (S241, four minutes),
and a backlog for one that was dead (S242; STAGEPOST_SOAK_BACKLOG, default 100000).
"""

import os
import subprocess
import time

import pytest

from daemon import Smtp, wait_for
from farm import Farm
from hop import Hop

LARGE = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * (20 * (1 << 20) // 78)


@pytest.fixture
def farm(make_daemon):
    made = Farm(make_daemon)
    yield made
    made.close()


def test_s241_one_kilobyte_a_second(farm):
    """20 MiB: given up when it has stood still for three minutes in all, and not delivered too."""
    hop = farm.hop("slow", rate=1000, receive_buffer=65536, route={"data_min_rate": 4096})
    farm.start(schedule=["1h"]).send("slow", body=LARGE)
    wait_for(lambda: farm.history("slow"), "the end of the attempt", 600)
    event, code, reason, after = farm.history("slow")[0]
    assert (event, code) == ("deferred", None) and "slower than data_min_rate" in reason
    assert 170 < after < 400, after
    assert hop.messages == []
    farm.check(settled=False)


def test_s242_a_large_backlog(farm):
    count = int(os.environ.get("STAGEPOST_SOAK_BACKLOG", "100000"))
    hop = farm.hop("dead", route={"max_connections": 4})
    hop.close()
    # The connections that are refused while it fills are few: the next hop rests.
    farm.start(schedule=["5s"])
    began = time.monotonic()
    subprocess.run(["/usr/sbin/smtp-source", "-s", "10", "-m", str(count), "-l", "1000", "-f",
                    "app@shop.test", "-t", "alice@dead.test", farm.daemon.smtp_address],
                   check=True, capture_output=True)
    filled = time.monotonic()
    again = Hop(port=hop.port)
    again.keeps_contents = False
    farm.ledger.hops.append(again)
    try:
        # Another message does not wait for all of them.
        with Smtp(farm.daemon.smtp_port) as client:
            farm.send("dead", ["late"], client=client)
        farm.wait_settled(1800)
        drained = time.monotonic()
        assert again.most_at_once <= 4
        assert farm.daemon.stop() == 0
        report = farm.ledger.check(database=farm.daemon.data_dir / "stagepost.db")
        assert report.counts["recipients delivered"] == count + 1
        print("%d messages: filled in %.0f s, drained in %.0f s (the next hop is Python)" % (
            count, filled - began, drained - filled))
    finally:
        again.close()
