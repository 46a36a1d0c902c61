"""
An entry that is switched on and off as fast as the API takes it while its mail is delivered. What
arrived at the wire is compared with what the list said, by time and by revision.
"""

import http.client
import json
import re
import smtplib
import socket
import threading
import time

from nexthop import Conversation, NextHop

PATTERN = "toggled.test"
WINDOW = 0.6  # seconds in which it stays off
GRACE = 0.4  # of a window: what was on its way before arrives


class Recorder(Conversation):
    def on_rcpt(self, address, line):
        self.hop.arrivals.append((time.monotonic(), address))
        super().on_rcpt(address, line)


class RecordingHop(NextHop):
    def __init__(self):
        self.arrivals = []
        super().__init__()
        self.keeps_contents = False

    def converse(self, connection, number):
        return Recorder(self, connection, number)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Switch:
    """The entry. `on` and `off`: by revision of the list, when the change was asked and answered."""

    def __init__(self, relay):
        self.connection = UnixConnection(relay.data_dir / "admin.sock")
        self.entry = None
        self.revision = None
        self.on = {}
        self.off = {}

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body else {}
        asked = time.monotonic()
        self.connection.request(method, path, json.dumps(body) if body else None, headers)
        response = self.connection.getresponse()
        text = response.read()
        return response, text, (asked, time.monotonic())

    def turn_on(self):
        response, text, times = self.ask("POST", "/api/v1/whitelist?lint=false",
                                         {"pattern": PATTERN})
        assert response.status == 201, text
        revision = int(re.search(r"\d+", response.headers["ETag"]).group())
        assert self.revision is None or revision == self.revision + 1
        self.entry = json.loads(text)["id"]
        self.revision = revision
        self.on[revision] = times

    def turn_off(self):
        response, text, times = self.ask("DELETE", "/api/v1/whitelist/%d" % self.entry)
        assert response.status in (200, 204), text  # 200 tells what is in flight
        self.revision += 1
        self.off[self.revision] = times

    def changes(self):
        return len(self.on) + len(self.off)


class Toggling:
    def __init__(self, relay, hop):
        self.relay = relay
        self.hop = hop
        self.switch = Switch(relay)
        self.sent = 0
        self.switching = 0.0  # seconds of it, windows not counted
        self.windows = []

    def fill(self, messages, recipients):
        """They wait, all allowed when they were accepted."""
        self.relay.post("/delivery/pause")
        threads = [threading.Thread(target=self._fill, args=(part, messages // 4, recipients))
                   for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.sent += messages // 4 * 4 * recipients

    def _fill(self, part, messages, recipients):
        with smtplib.SMTP("127.0.0.1", self.relay.smtp_port, timeout=120) as client:
            for number in range(messages):
                name = "u%d-%d-%d" % (self.sent, part, number)
                client.sendmail("", ["%s-%d@%s" % (name, i, PATTERN) for i in range(recipients)],
                                "Subject: x\r\n\r\nx\r\n")

    def unsettled(self):
        states = self.relay.get("/status")["queue"]["recipients"]
        return sum(states.get(state, 0) for state in ("queued", "delivering", "deferred"))

    def drain(self, burst):
        """Switched until nothing waits any more, for `burst` seconds before each window."""
        self.relay.post("/delivery/resume")
        while self.unsettled():
            began = time.monotonic()
            while time.monotonic() - began < burst:
                self.switch.turn_off()
                self.switch.turn_on()
            self.switch.turn_off()
            closed = time.monotonic()
            self.switching += closed - began
            time.sleep(WINDOW)
            self.windows.append((closed + GRACE, time.monotonic()))
            self.switch.turn_on()

    def round(self, messages, recipients=4, burst=0.5):
        if self.switch.entry is None:
            self.switch.turn_on()
        self.fill(messages, recipients)
        self.drain(burst)

    def recipients(self):
        return [r for m in self.relay.all_items("/messages?include=recipients&limit=1000")
                for r in m["recipients"]]

    def check(self):
        """(offers, lateness of each delivered one in seconds, the sum of the states)"""
        arrived = {address: at for at, address in self.hop.arrivals}
        assert len(arrived) == len(self.hop.arrivals), "somebody was offered twice"
        late = []
        states = {}
        for recipient in self.recipients():
            state, address = recipient["state"], recipient["address"]
            states[state] = states.get(state, 0) + 1
            assert (state == "delivered") == (address in arrived), recipient
            if state != "delivered":
                assert state == "dropped", recipient
                continue
            # The check at the wire saw a list that had the entry; the next revision is without it.
            assert recipient["revision"] in self.switch.on, recipient
            end = self.switch.off.get(recipient["revision"] + 1)
            if end is not None:
                late.append(arrived[address] - end[1])
        for start, end in self.windows:
            inside = [a for at, a in self.hop.arrivals if start <= at <= end]
            assert not inside, "offered while it was off: %s" % inside
        assert sum(states.values()) == self.sent
        return len(arrived), late, states

    def report(self):
        offers, late, states = self.check()
        late.sort()
        return ("%d offers of %s; %d changes of the list, %.0f a second; %d windows; an offer arrived "
                "at most %.1f ms after the DELETE was answered that its check had come before" % (
                    offers, states, self.switch.changes(),
                    self.switch.changes() / self.switching, len(self.windows),
                    1000 * max(late, default=0.0)))

