"""
What happens to a message that is cancelled, deleted or taken off the list while it is being sent:
it never goes out truncated, never twice, and its state tells what really happened.
"""

import subprocess

import pytest

from daemon import STAGEPOST, Smtp, wait_for, without_received

LISTED = "alice@example.com"
# 5.5 MB: more than a sending socket can hold (tcp_wmem), and a reading one at first.
BODY = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 70000


@pytest.fixture
def paused(relay, hop):
    """A message of which the next hop has read a part. (relay, hop, message id, entry id)"""
    entry = relay.allow(LISTED)[0]
    hop.hold_data_after = 50000
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", [LISTED], BODY)
    assert hop.paused.wait(60)
    relay.wait_states(number, {LISTED: "delivering"})
    return relay, hop, number, entry


def go_on(hop):
    hop.hold_data_after = None
    hop.resume.set()


def check_one_whole_copy(hop):
    assert [without_received(m.content) for m in hop.snapshot()] == [BODY]
    assert hop.unfinished == []
    assert hop.offered == [LISTED]


def test_cancel_while_sending(paused):
    relay, hop, number, _ = paused
    answer = relay.post("/messages/%s/cancel" % number, want=(202,)).json
    assert (answer["changed"], answer["wished"]) == (0, 1)
    assert "it is being delivered" in answer["detail"]
    assert relay.message(number)["recipients"][0]["wish"] == "cancel"
    assert relay.states(number) == {LISTED: "delivering"}
    said = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "queue", "cancel", number],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout) == (
        0, "cancel: 0 done, 1 in flight: when the attempt is over\n")
    # Now or never is too late: it is on its way.
    answer = relay.post("/messages/%s/retry" % number, want=(409,)).json
    assert answer["detail"] == LISTED + " is being delivered"
    go_on(hop)
    # It was taken: that is what the state says, not the wish.
    relay.wait_states(number, {LISTED: "delivered"})
    check_one_whole_copy(hop)


def test_cancel_while_sending_and_then_deferred(paused):
    relay, hop, number, _ = paused
    hop.final_replies = ["451 4.3.0 try later"]
    relay.post("/messages/%s/cancel" % number)
    go_on(hop)
    relay.wait_states(number, {LISTED: "cancelled"})
    assert hop.snapshot() == []
    assert hop.offered == [LISTED]


def test_hold_while_sending_and_then_deferred(paused):
    relay, hop, number, _ = paused
    hop.final_replies = ["451 4.3.0 try later"]
    relay.post("/messages/%s/hold" % number)
    go_on(hop)
    relay.wait_states(number, {LISTED: "held"})
    relay.post("/messages/%s/release" % number)
    relay.wait_states(number, {LISTED: "delivered"})
    assert [without_received(m.content) for m in hop.snapshot()] == [BODY]


def test_delete_while_sending(paused):
    """S278"""
    relay, hop, number, _ = paused
    answer = relay.request("DELETE", "/api/v1/messages/" + number)
    assert answer.status == 409, (answer.status, answer.body)
    go_on(hop)
    wait_for(lambda: hop.snapshot(), "the message")
    wait_for(lambda: relay.request("DELETE", "/api/v1/messages/" + number).status in (204, 404),
             "the message to be deleted")
    assert relay.request("GET", "/api/v1/messages/" + number).status == 404
    check_one_whole_copy(hop)


def test_delete_when_settled(paused):
    """The true outcome wins and is kept in the trail; what was not under way is not sent."""
    relay, hop, number, _ = paused
    answer = relay.request("DELETE", "/api/v1/messages/%s?when_settled=true" % number)
    assert answer.status == 202 and answer.json["detail"], (answer.status, answer.body)
    assert relay.states(number) == {LISTED: "delivering"}
    go_on(hop)
    wait_for(lambda: relay.request("GET", "/api/v1/messages/" + number).status == 404,
             "the message to be deleted")
    check_one_whole_copy(hop)
    gone, asked = [line for line in relay.get("/audit")["items"] if line["subject"] == number]
    assert (asked["actor"], asked["after"]) == ("token:admin", {"when_settled": True})
    assert gone["actor"] is None and gone["before"]["states"] == {"delivered": 1}
    assert gone["before"]["recipients"] == [LISTED]


def test_the_tool_deletes_when_settled(paused):
    relay, hop, number, _ = paused

    def delete(*options):
        done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "queue", "delete", number,
                               *options], capture_output=True, timeout=60)
        return done.returncode, done.stdout.decode()

    assert delete()[0] == 1
    assert delete("--when-settled") == (
        0, "delete: 0 done, 1 in flight: when the attempt is over\n")
    go_on(hop)
    wait_for(lambda: relay.request("GET", "/api/v1/messages/" + number).status == 404,
             "the message to be deleted")
    check_one_whole_copy(hop)


def test_taken_off_the_list_while_sending(paused):
    relay, hop, number, entry = paused
    relay.remove(entry)
    go_on(hop)
    # Its RCPT was judged before the change: what was under way ends, what comes next does not.
    relay.wait_states(number, {LISTED: "delivered"})
    check_one_whole_copy(hop)
    with Smtp(relay.smtp_port) as client:
        second = client.send("a@example.com", [LISTED], b"Subject: next\r\n\r\n")
    relay.wait_states(second, {LISTED: "dropped"})
    check_one_whole_copy(hop)


def test_taken_off_the_list_between_two_tries(paused):
    relay, hop, number, entry = paused
    hop.final_replies = ["451 4.3.0 try later"]
    relay.remove(entry)
    go_on(hop)
    relay.wait_states(number, {LISTED: "dropped"})
    # Put back: what was dropped stays dropped until somebody releases it.
    relay.allow(LISTED)
    with Smtp(relay.smtp_port) as client:
        second = client.send("a@example.com", [LISTED], b"Subject: next\r\n\r\n")
    relay.wait_states(second, {LISTED: "delivered"})
    assert relay.states(number) == {LISTED: "dropped"}
    assert [without_received(m.content) for m in hop.snapshot()] == [b"Subject: next\r\n\r\n"]
    relay.post("/messages/%s/release" % number)
    relay.wait_states(number, {LISTED: "delivered"})
    assert without_received(hop.snapshot()[-1].content) == BODY


def test_next_hop_gone_in_the_middle(relay, hop):
    relay.allow(LISTED)
    hop.drop_in_data_after = 50000
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", [LISTED], BODY)
    relay.wait_states(number, {LISTED: "delivered"})
    assert [without_received(m.content) for m in hop.snapshot()] == [BODY]
    assert len(hop.unfinished) == 1
    recipient = relay.message(number)["recipients"][0]
    assert recipient["attempts"] == 2


def test_killed_while_sending(paused):
    """The half message has no dot; the whole one comes from the next daemon, once."""
    relay, hop, number, _ = paused
    relay.kill()
    go_on(hop)
    wait_for(lambda: hop.unfinished, "the end of the connection")
    assert hop.snapshot() == []
    relay.start()
    relay.wait_states(number, {LISTED: "delivered"})
    assert [without_received(m.content) for m in hop.snapshot()] == [BODY]


def test_stopped_while_sending(paused):
    """SIGTERM lets what is under way end."""
    relay, hop, number, _ = paused
    relay.process.terminate()
    go_on(hop)
    assert relay.process.wait(40) == 0
    relay.process = None
    relay.start()
    relay.wait_states(number, {LISTED: "delivered"})
    assert [without_received(m.content) for m in hop.snapshot()] == [BODY]
