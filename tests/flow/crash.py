"""Clients that send without end, a daemon that is killed, and what must be true afterwards."""

import collections
import random
import re
import subprocess
import threading
import time

from daemon import Smtp, queued_id, stuff, wait_for

CLIENTS = 4
LISTED = "alice@example.com"
OTHER = "bob@example.com"
# A copy whose final dot came at most so long before the kill may come again: its status
# was on the way to the disk.
IN_FLIGHT_SECONDS = 1.0


class Load:
    """Threads that send tagged messages until stopped, and remember what got its 250."""

    def __init__(self, port, round_number):
        self.port = port
        self.prefix = "r%d" % round_number
        self.answered = {}  # tag to message id
        self.stopping = False
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, client_number):
        number = 0
        try:
            with Smtp(self.port) as client:
                while not self.stopping:
                    number += 1
                    tag = "%s-%d-%d" % (self.prefix, client_number, number)
                    size = random.choice([10, 2000, 300000])
                    body = b"X-Tag: %s\r\n\r\n%s\r\n" % (tag.encode(), b"b" * size)
                    client.envelope("a@example.com", [LISTED, OTHER])
                    client.write(stuff(body) + b".\r\n")
                    self.answered[tag] = queued_id(client.reply())
        except (OSError, ConnectionError, ValueError):
            pass  # killed under our hands: exactly what is wanted


def tag_of(message):
    match = re.search(rb"^X-Tag: (\S+)\r$", message.content, re.M)
    return match.group(1).decode() if match else None


def run_rounds(relay, hop, rounds, seed):
    print("STAGEPOST_SEED=%d" % seed)
    source = random.Random(seed)
    relay.allow(LISTED)
    answered = {}
    kills = []
    for number in range(rounds):
        load = Load(relay.smtp_port, number)
        # Beside our own, one more client of another make.
        other = subprocess.Popen(
            ["/usr/sbin/smtp-source", "-s", "2", "-m", "5000", "-l", "4000", "-f",
             "a@example.com", "-t", LISTED, relay.smtp_address],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: load.answered, "the first 250")
            time.sleep(source.uniform(0.05, 1.0))
            relay.kill()
            kills.append(time.monotonic())
        finally:
            load.stop()
            other.kill()
            other.wait()
        answered.update(load.answered)
        relay.start()
    assert len(answered) >= rounds
    wait_until_idle(relay)
    check(relay, hop, answered, kills)


def wait_until_idle(relay):
    for state in ("queued", "delivering", "deferred"):
        wait_for(lambda: not relay.get("/recipients?limit=1&state=" + state)["items"],
                 "nothing %s any more" % state, 180)


def check(relay, hop, answered, kills):
    # P1
    assert set(hop.offered) <= {LISTED}
    copies = collections.defaultdict(list)
    for message in hop.snapshot():
        copies[tag_of(message)].append(message)
    # P2
    assert [tag for tag in answered if tag not in copies] == []
    # P3
    for tag, messages in copies.items():
        if tag is None or len(messages) == 1:
            continue
        for first in messages[:-1]:
            assert any(kill - IN_FLIGHT_SECONDS <= first.at <= kill + 0.1 for kill in kills), (
                "%s came %d times" % (tag, len(messages)))
    # P4
    for tag in sorted(answered)[:: max(1, len(answered) // 50)]:
        assert relay.states(answered[tag]) == {LISTED: "delivered", OTHER: "dropped"}
    assert not relay.get("/recipients?limit=1&state=failed")["items"]
