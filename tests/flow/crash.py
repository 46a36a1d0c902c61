"""Clients that send without end, a daemon that is killed, and what must be true afterwards."""

import pathlib
import random
import subprocess
import sys
import threading
import time

from daemon import Smtp, queued_id, stuff, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fault"))
from ledger import Ledger  # noqa: E402

CLIENTS = 4
LISTED = "alice@example.com"
OTHER = "bob@example.com"


class Load:
    """Threads that send until stopped, and tell the ledger what got its 250."""

    def __init__(self, port, ledger):
        self.port = port
        self.ledger = ledger
        self.answered = 0
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
                    size = random.choice([10, 2000, 300000])
                    body = b"X-Tag: %d-%d\r\n\r\n%s\r\n" % (client_number, number, b"b" * size)
                    client.envelope("a@example.com", [LISTED, OTHER])
                    client.write(stuff(body) + b".\r\n")
                    message = queued_id(client.reply())
                    self.ledger.accepted(message, "a@example.com", [LISTED, OTHER], body)
                    self.answered += 1
        except (OSError, ConnectionError, ValueError):
            pass  # killed under our hands: exactly what is wanted


def run_rounds(relay, hop, rounds, seed):
    """The report of the ledger, which has found nothing."""
    print("STAGEPOST_SEED=%d" % seed)
    source = random.Random(seed)
    hop.keeps_contents = False
    ledger = Ledger(hop)
    ledger.allow(relay, LISTED)
    answered = 0
    for _ in range(rounds):
        load = Load(relay.smtp_port, ledger)
        # Beside our own, one more client of another make.
        other = subprocess.Popen(
            ["/usr/sbin/smtp-source", "-s", "2", "-m", "5000", "-l", "4000", "-f",
             "a@example.com", "-t", LISTED, relay.smtp_address],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: load.answered, "the first 250")
            time.sleep(source.uniform(0.05, 1.0))
            ledger.kill(relay)
        finally:
            load.stop()
            other.kill()
            other.wait()
        answered += load.answered
        relay.start()
    assert answered >= rounds
    wait_until_idle(relay)
    assert relay.stop() == 0
    return ledger.check(database=relay.data_dir / "stagepost.db")


def wait_until_idle(relay):
    for state in ("queued", "delivering", "deferred"):
        wait_for(lambda: not relay.get("/recipients?limit=1&state=" + state)["items"],
                 "nothing %s any more" % state, 180)
