"""kill -9 in the middle of a release by filter: each is released once, and reached once (P2, P3)."""

import threading

import pytest

from daemon import Smtp, wait_for
from ledger import Ledger

LISTED = "crowd.test"
MESSAGES, EACH = 8, 400


@pytest.mark.parametrize("paused", [True, False])
def test_killed_while_many_are_released(make_daemon, hop, paused):
    """Paused: with nothing in flight there is no second copy at all."""
    relay = make_daemon(hop.address, "threads: 1\n")
    if paused:
        relay.post("/delivery/pause")
    ledger = Ledger(hop)
    crowd = ["u%d@%s" % (i, LISTED) for i in range(EACH)]
    content = b"Subject: release\r\n\r\nx\r\n"
    with Smtp(relay.smtp_port) as client:
        for i in range(MESSAGES):
            recipients = crowd + ["n%d@evil.example" % i]
            number = client.send("app@example.com", recipients, content)
            ledger.accepted(number, "app@example.com", recipients, content)
    ledger.allow(relay, LISTED)
    left = dropped(relay)
    in_the_middle = 0
    while left > MESSAGES:
        left, was_cut = kill_in_the_middle(relay, ledger, left)
        in_the_middle += was_cut
    # A machine that is too fast for us shows less; once is what this is about.
    assert in_the_middle > 0
    if paused:
        relay.post("/delivery/resume")
    for state in ("queued", "delivering", "deferred"):
        wait_for(lambda: not relay.get("/recipients?limit=1&state=" + state)["items"],
                 "nothing %s any more" % state)
    states = relay.get("/status")["queue"]["recipients"]
    assert states == {"delivered": MESSAGES * EACH, "dropped": MESSAGES}, states
    assert relay.stop() == 0
    ledger.check(database=relay.data_dir / "stagepost.db")
    assert not paused or sorted(hop.offered) == sorted(crowd * MESSAGES)


def dropped(relay):
    return relay.get("/status")["queue"]["recipients"]["dropped"]


def kill_in_the_middle(relay, ledger, left):
    """Begin a release, kill the daemon when some are released; how many are not, and if it was."""
    worker = threading.Thread(target=release, args=(relay,))
    worker.start()
    wait_for(lambda: dropped(relay) < left or not worker.is_alive(), "some to be released")
    ledger.kill(relay)
    worker.join()
    relay.start()
    now = dropped(relay)
    return now, MESSAGES < now < left


def release(relay):
    try:
        relay.post("/recipients/release", {"state": "dropped", "address": LISTED})
    except OSError:
        pass  # it was killed
