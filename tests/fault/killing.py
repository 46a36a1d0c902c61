"""Clients that send without end, a daemon that is killed at any moment, and a ledger over it all."""

import random
import subprocess
import threading
import time

from daemon import STAGEPOST, Smtp, queued_id, stuff, wait_for
from ledger import Ledger

CLIENTS = 4
LISTED = "alice@example.com"
OTHER = "bob@example.com"
SENDER = "a@example.com"
SIZES = [10] * 20 + [2000] * 20 + [300000]
FAULTY = 0.05  # of the final dots get a 451


class Load:
    """Threads that send until stopped, and tell the ledger what got its 250."""

    def __init__(self, relay, ledger, seed):
        self.relay = relay
        self.ledger = ledger
        self.stopping = False
        self.answered = 0
        self.threads = [threading.Thread(target=self._run, args=(seed * CLIENTS + i,))
                        for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, seed):
        source = random.Random(seed)
        try:
            with Smtp(self.relay.smtp_port) as client:
                while not self.stopping:
                    self._send(client, source)
        except (OSError, ValueError):
            pass  # killed under our hands: exactly what is wanted

    def _send(self, client, source):
        content = b"Subject: %d\r\n\r\n%s\r\n" % (source.getrandbits(64),
                                                  b"b" * source.choice(SIZES))
        recipients = [LISTED, OTHER] if source.random() < 0.7 else [LISTED]
        client.envelope(SENDER, recipients)
        client.write(stuff(content) + b".\r\n")
        number = queued_id(client.reply())
        self.ledger.accepted(number, SENDER, recipients, content)
        self.answered += 1


def run_rounds(relay, hop, rounds, seed):
    """Returns the ledger's report of that many kills."""
    print("STAGEPOST_SEED=%d" % seed)
    source = random.Random(seed)
    ledger = Ledger(hop)
    ledger.allow(relay, LISTED)
    for number in range(rounds):
        load = Load(relay, ledger, seed + number)
        try:
            wait_for(lambda: load.answered, "the first 250")
            with hop.lock:
                hop.messages.clear()  # the ledger has what counts
                hop.raw_bodies.clear()
                hop.final_replies += ["451 4.3.0 Later" if source.random() < FAULTY
                                      else "250 2.0.0 Ok" for _ in range(200)]
            time.sleep(source.uniform(0.0, 0.5))
            ledger.kill(relay)
        finally:
            load.stop()
        relay.start()
    wait_until_idle(relay)
    assert relay.stop() == 0
    done = subprocess.run([STAGEPOST, "dbcheck", "--data-dir", relay.data_dir],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ledger.check(database=relay.data_dir / "stagepost.db")


def wait_until_idle(relay):
    for state in ("queued", "delivering", "deferred"):
        wait_for(lambda: not relay.get("/recipients?limit=1&state=" + state)["items"],
                 "nothing %s any more" % state, 180)
