"""One judgement for every way in and out (DESIGN P1): what is judged, of whom, and what it says."""

import pytest

from daemon import Smtp, wait_for

ALICE = "alice@example.com"
BOB = "bob@else.test"
SENDER = "app@shop.test"
BODY = b"Subject: order\r\n\r\nhello\r\n"


def send(relay, recipients, content=BODY):
    with Smtp(relay.smtp_port) as client:
        return client.send(SENDER, recipients, content)


# --- the same mailbox twice --------------------------------------------------------------------


def by_form(relay, number):
    return [(r["state"], r["reason"]) for r in relay.message(number)["recipients"]]


@pytest.mark.parametrize("first", ["routed", "plain"])
def test_s113_a_source_route_does_not_keep_the_plain_form_from_being_judged(relay, hop, first):
    """DESIGN 4.6: repeated is what has the same form; the one that may leave does, once."""
    relay.allow(ALICE)
    given = ["@hop.test:" + ALICE, ALICE, "@a.test,@b.test:" + ALICE]
    number = send(relay, given if first == "routed" else [ALICE, *given])
    wait_for(lambda: "delivered" in [state for state, _ in by_form(relay, number)], "it to leave")
    want = [("dropped", "unsafe address form"), ("delivered", None)]
    got = by_form(relay, number)
    assert len(got) == 2
    for (state, reason), (is_state, is_reason) in zip(want if first == "routed" else want[::-1],
                                                      got):
        assert state == is_state and (reason is None or reason in is_reason), got
    # Nobody gets it twice: neither the one nor the other.
    answer = relay.post("/messages/%s/release" % number, want=(409,)).json
    assert "already" in answer["detail"] or "delivered" in answer["detail"], answer
    assert hop.offered == [ALICE]
