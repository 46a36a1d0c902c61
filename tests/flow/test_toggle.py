"""
P1 while the list changes: an entry is switched as fast as it goes while its mail is delivered, and
no RCPT arrives whose check came after the answer to the DELETE. tests/soak has the long run.
"""

from toggling import RecordingHop, Toggling


def test_an_entry_that_is_switched_during_delivery(make_daemon):
    hop = RecordingHop()
    try:
        toggling = Toggling(make_daemon(hop.address), hop)
        toggling.round(200)
        print("\n" + toggling.report())
        offers, _, states = toggling.check()
        # Both happened, or it shows nothing.
        assert offers > 0 and states.get("dropped", 0) > 0, states
    finally:
        hop.close()
