"""
The long run of tests/flow/test_toggle.py: until STAGEPOST_SOAK_MESSAGES (default 20000) recipients
were offered to the next hop. -s shows the numbers.
"""

import os

from toggling import RecordingHop, Toggling

OFFERS = int(os.environ.get("STAGEPOST_SOAK_MESSAGES", "20000"))


def test_an_entry_that_is_switched_for_long(make_daemon):
    hop = RecordingHop()
    try:
        # One connection: the store has time for the list, so that it is switched often.
        toggling = Toggling(make_daemon(hop.address, "\ndelivery: {workers: 1}\n"), hop)
        while len(hop.arrivals) < OFFERS:
            toggling.round(1000, recipients=10, burst=5)
        print("\n" + toggling.report())
    finally:
        hop.close()
