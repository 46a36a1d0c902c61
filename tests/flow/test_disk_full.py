"""The disk is full: new mail waits with the client, what was taken goes its way (CASES S254)."""

import pytest

from daemon import Smtp, queued_id, stuff, wait_for, without_received
from fault import FailingCalls, SmallDisk

LISTED = "alice@example.com"
MEGABYTE = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 13000
ROOM_RESERVE = 16 << 20  # queue/room.h


@pytest.fixture
def small(make_daemon, hop, tmp_path):
    """(relay, hop, disk): the data directory is on a disk that can be filled."""
    disk = SmallDisk(tmp_path / "disk", 48)
    relay = make_daemon(hop.address, start=False)
    relay.data_dir = disk.folder / "data"
    relay.write_config()
    relay.start()
    relay.allow(LISTED)
    yield relay, hop, disk
    relay.close()
    relay.process = None
    disk.close()


def send_until_refused(relay, content):
    """The ids of what was taken."""
    taken = []
    with Smtp(relay.smtp_port) as client:
        while True:
            # At MAIL already when it is known by then (S255).
            code, text = client.command("MAIL FROM:<a@example.com>")
            if code == 250:
                assert client.command("RCPT TO:<%s>" % LISTED)[0] == 250
                assert client.command("DATA")[0] == 354
                client.write(stuff(content) + b".\r\n")
                code, text = client.reply()
            if code != 250:
                assert (code, text.split(" ")[0]) == (452, "4.3.1")
                return taken
            taken.append(queued_id((code, text)))
            assert len(taken) < 100


def accepts(relay):
    with Smtp(relay.smtp_port) as client:
        if client.command("MAIL FROM:<a@example.com>")[0] != 250:
            return False
        assert client.command("RCPT TO:<b@example.com>")[0] == 250
        assert client.command("DATA")[0] == 354
        client.write(b"Subject: x\r\n\r\n.\r\n")
        return client.reply()[0] == 250


@pytest.mark.parametrize("left", [ROOM_RESERVE + (6 << 20), 3 << 20],
                         ids=["down to the reserve", "nearly nothing"])
def test_disk_full(small, left):
    """S254: 452 for new mail; delivery, the API and what was taken are as before."""
    relay, hop, disk = small
    disk.fill(left)
    taken = send_until_refused(relay, MEGABYTE)
    # The parts of what was refused are free again, and a small message could find room in them.
    disk.fill(min(left, ROOM_RESERVE // 2))
    assert not accepts(relay)
    # A session goes on after the refusal, and the whole message of 452 was not taken.
    for number in taken:
        relay.wait_states(number, {LISTED: "delivered"})
    assert len(hop.snapshot()) == len(taken)
    assert len(relay.get("/messages?limit=100")["items"]) == len(taken)
    disk.empty()
    wait_for(lambda: accepts(relay), "mail to be accepted again")
    assert relay.process.poll() is None


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT"])
def test_no_write_works(traced, relay, hop, error):
    """
    S254, also when it is the quota that is used up: what became of a message can't be written
    down. It is known all the same: it is not sent again, and stands in the queue as soon as
    there is room.
    """
    relay.allow(LISTED)
    hop.hold_final = True
    with Smtp(relay.smtp_port) as client:
        number = client.send("a@example.com", [LISTED], MEGABYTE)
    assert hop.paused.wait(60)
    fault = FailingCalls(relay, "pwrite64", error, "1+")
    assert send_until_refused(relay, MEGABYTE) == []
    hop.hold_final = False
    hop.resume.set()
    wait_for(lambda: "settle failed" in relay.log(), "the outcome to be refused")
    assert not accepts(relay)
    assert relay.states(number) == {LISTED: "delivering"}
    fault.stop()
    relay.wait_states(number, {LISTED: "delivered"})
    assert accepts(relay)
    assert [without_received(m.content) for m in hop.snapshot()] == [MEGABYTE]
    assert hop.offered == [LISTED]
