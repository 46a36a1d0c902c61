"""A daemon that dies and starts again: what it is told, and what must be true in the end."""

import subprocess
import time

from daemon import STAGEPOST, Smtp, queued_id, stuff, wait_for
from ledger import Ledger, messages_of_database, sha256
from tracing import threads

LISTED = "alice@example.com"
OTHER = "bob@example.com"
SENDER = "a@example.com"
# Two pieces of content and a small one: both ways into the store.
LARGE = b"Message-ID: <large@test>\r\nSubject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 4500
SMALL = b"Message-ID: <small@test>\r\nSubject: small\r\n\r\nshort\r\n"


class Lives:
    """A daemon through all its lives, its next hop, and one ledger over it all."""

    def __init__(self, make_daemon, hop, settings="threads: 1\n", relay=None):
        """`relay`: one that runs already."""
        self.hop = hop
        self.ledger = Ledger(hop)
        self.relay = relay or make_daemon(hop.address, settings)
        self.ledger.allow(self.relay, LISTED)
        self.patience = 15
        self.refused = None
        self.sent = {}  # digest to how often it was begun

    def send(self, content):
        """What a client does. The id, or None: refused (`refused` has the code), or it died."""
        self.sent[sha256(content)] = self.sent.get(sha256(content), 0) + 1
        self.refused = None
        try:
            with Smtp(self.relay.smtp_port, timeout=self.patience) as client:
                # Without room it is told at MAIL, or when the room goes, behind the dot.
                code = client.command("MAIL FROM:<%s>" % SENDER)[0]
                if code == 250:
                    client.envelope_after_mail([LISTED, OTHER])
                    client.write(stuff(content) + b".\r\n")
                    reply = client.reply()
                    code = reply[0]
                if code != 250:
                    self.refused = code
                    return None
                number = queued_id(reply)
                self.ledger.accepted(number, SENDER, [LISTED, OTHER], content)
                client.command("QUIT")
        except (OSError, ValueError, AssertionError):
            return None
        return number

    def settle(self, number, patience=30):
        """Until the message is where it should be, or the daemon is dead."""
        def settled():
            if self.relay.process.poll() is not None:
                return True
            try:
                return self.relay.states(number) == {LISTED: "delivered", OTHER: "dropped"}
            except OSError:
                return False
        wait_for(settled, "%s to be delivered" % number, patience)

    def one(self, rest=0.0):
        """A small message and a large one, one after the other, to the end."""
        for content in (SMALL, LARGE):
            number = self.send(content)
            if number is not None:
                self.settle(number)
            if self.relay.process.poll() is not None:
                return
        time.sleep(rest)

    def tasks(self, name):
        """The threads of that name: workers come with the first delivery."""
        if name == "worker" and name not in threads(self.relay.process):
            self.one()
        return wait_for(lambda: threads(self.relay.process).get(name), "thread " + name)

    def is_dead(self):
        """Or dying: the signal may have come with the last call."""
        try:
            self.relay.process.wait(0.03)
        except subprocess.TimeoutExpired:
            return False
        return True

    def check_after_kill(self):
        """The daemon is dead: the files are whole, and then everything goes its way."""
        self.relay.process.wait(20)
        self.relay.process = None
        self.ledger.add("killed")
        done = subprocess.run([STAGEPOST, "dbcheck", "--data-dir", self.relay.data_dir],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.relay.start()

    def finish(self):
        for state in ("queued", "delivering", "deferred"):
            wait_for(lambda: not self.relay.get("/recipients?limit=1&state=" + state)["items"],
                     "nothing %s any more" % state)
        assert self.relay.stop() == 0
        database = self.relay.data_dir / "stagepost.db"
        # Whole or absent, and never twice for one that was sent once.
        stored = {}
        for message in messages_of_database(database):
            stored[message["sha256"]] = stored.get(message["sha256"], 0) + 1
        for digest, count in stored.items():
            assert count <= self.sent.get(digest, 0)
        return self.ledger.check(database=database)
