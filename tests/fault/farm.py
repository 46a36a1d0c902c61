"""One daemon in front of many next hops, each with a domain and a route of its own."""

import json
import re

from daemon import Smtp, wait_for
from hop import Hop
from ledger import WAITING, Ledger, seconds

BODY = b"Subject: order\r\nMessage-ID: <1@shop.test>\r\n\r\nhello\r\n.\r\n.dots\r\n"
SENDER = "app@shop.test"
# Short, so that what takes minutes in the world takes a second here.
ROUTE = {"tls": "none", "connect_timeout": "1s", "command_timeout": "1s",
         "final_reply_timeout": "1s"}
DELIVERY = {"schedule": ["200ms"], "senders": [SENDER], "bounces": False}


def yaml(value):
    """JSON is YAML, but for times, which are no text."""
    return re.sub(r'"([0-9]+(?:ms|s|m|h|d))"', r"\1", json.dumps(value))


class Farm:
    """Hops are put up first, then start()."""

    def __init__(self, make_daemon):
        self.make_daemon = make_daemon
        self.hops = {}
        self.routes = []
        self.ledger = Ledger()
        self.daemon = None
        self.entries = {}  # name to the id of its entry in the list
        self.sent = {}  # name to message ids

    def hop(self, name, script=(), route=None, **options):
        """A next hop for mail to NAME.test."""
        hop = Hop(script, **options)
        self.hops[name] = hop
        self.ledger.hops.append(hop)
        self.route(name, [hop.address], **(route or {}))
        return hop

    def route(self, name, hosts, **keys):
        self.routes.append({"name": name, "domains": [name + ".test"], "hosts": hosts,
                            **ROUTE, **keys})

    def start(self, extra="", **delivery):
        settings = "delivery: %s\nroutes: %s\n%s" % (
            yaml({**DELIVERY, **delivery}), yaml(self.routes), extra)
        self.daemon = self.make_daemon(settings=settings)
        names = [r["name"] for r in self.routes]
        self.entries = dict(zip(names, self.ledger.allow(
            self.daemon, *("%s.test" % name for name in names))))
        return self

    def send(self, name, locals_=("alice",), body=BODY, client=None):
        """To people at NAME.test; the message id."""
        to = ["%s@%s.test" % (local, name) for local in locals_]
        if client is None:
            with Smtp(self.daemon.smtp_port) as client:
                return self._send(name, to, body, client)
        return self._send(name, to, body, client)

    def _send(self, name, to, body, client):
        number = client.send(SENDER, to, body)
        self.ledger.accepted(number, SENDER, to, body)
        self.sent.setdefault(name, []).append(number)
        return number

    def send_all(self, body=BODY):
        """One message to each."""
        with Smtp(self.daemon.smtp_port) as client:
            for route in self.routes:
                self.send(route["name"], body=body, client=client)

    def recipient(self, name, local="alice"):
        """Of the first message sent there."""
        address = "%s@%s.test" % (local, name)
        return next(r for r in self.daemon.message(self.sent[name][0])["recipients"]
                    if r["address"] == address)

    def history(self, name, local="alice"):
        """(event, code, reason) of each attempt, and the seconds since it was accepted."""
        items = self.recipient(name, local)["history"]
        begin = seconds(items[0]["at"])
        return [(i["event"], (i["reply"] or {}).get("code"), i["reason"] or "",
                 seconds(i["at"]) - begin) for i in items[1:]]

    def wait_first(self, name, local="alice"):
        """What came of the first attempt."""
        return wait_for(lambda: self.history(name, local), "an attempt at " + name)[0]

    def wait_state(self, name, state, local="alice", timeout=60):
        wait_for(lambda: self.recipient(name, local)["state"] == state,
                 "%s at %s to be %s: %s" % (local, name, state, self.recipient(name, local)),
                 timeout)

    def wait_settled(self, timeout=60):
        """Nobody waits any more."""
        wait_for(lambda: not self.waiting(), "everybody to be settled", timeout)

    def waiting(self):
        """How many do; of one moment, because they go from state to state."""
        states = self.daemon.get("/status")["queue"]["recipients"]
        return sum(states.get(state, 0) for state in WAITING)

    def behave(self):
        for hop in self.hops.values():
            hop.behave()

    def check(self, **options):
        """The ledger's report."""
        return self.ledger.check(self.daemon, **options)

    def close(self):
        for hop in self.hops.values():
            hop.close()
