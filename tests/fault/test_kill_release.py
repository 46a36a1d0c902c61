"""kill -9 in the middle of a release by filter: each is released once, and reached once (P2, P3)."""

import random
import threading
import time

from daemon import Smtp, wait_for
from ledger import Ledger

LISTED = "crowd.test"
KILLS = 4


def test_killed_while_many_are_released(make_daemon, hop):
    relay = make_daemon(hop.address, "threads: 1\n")
    ledger = Ledger(hop)
    crowd = ["u%d@%s" % (i, LISTED) for i in range(150)]
    content = b"Subject: release\r\n\r\nx\r\n"
    with Smtp(relay.smtp_port) as client:
        for i in range(8):
            recipients = crowd + ["n%d@evil.example" % i]
            number = client.send("app@example.com", recipients, content)
            ledger.accepted(number, "app@example.com", recipients, content)
    ledger.allow(relay, LISTED)
    for kill in range(KILLS):
        worker = threading.Thread(target=release, args=(relay,))
        worker.start()
        time.sleep(random.Random(kill).uniform(0.005, 0.06))
        relay.kill()
        worker.join()
        ledger.add("killed")
        relay.start()
    while relay.post("/recipients/release", {"address": LISTED}).json["next"]:
        pass
    for state in ("queued", "delivering", "deferred"):
        wait_for(lambda: not relay.get("/recipients?limit=1&state=" + state)["items"],
                 "nothing %s any more" % state)
    states = relay.get("/status")["queue"]["recipients"]
    assert states == {"delivered": 8 * 150, "dropped": 8}, states
    assert relay.stop() == 0
    ledger.check(database=relay.data_dir / "stagepost.db")


def release(relay):
    try:
        relay.post("/recipients/release", {"state": "dropped", "address": LISTED})
    except OSError:
        pass  # it was killed
