"""P5 at real MTAs: a message comes in by each kind of listener, leaves by each kind of route, and
arrives byte for byte in the maildir of another make of MTA."""

import collections
import re
import smtplib

from daemon import Listeners, canonical, wait_for
from mta import DOMAINS, wait_for_mail
from test_fidelity import expected_copy, removed_names
from tlsclient import connect, trusting

MODES = ("none", "starttls", "implicit")
ROUTE_TLS = {"none": "none", "starttls": "required", "implicit": "implicit"}


def daemon_before(make_daemon, mta, ca):
    """(daemon, its listeners' ports by mode)"""
    doors = Listeners(make_daemon, **{mode: "tls: " + mode for mode in MODES})
    routes = "".join(
        '  - {name: %s, domains: [%s], hosts: ["%s"], tls: %s, tls_ca: "%s"}\n' % (
            mode, domain, mta.host(mode), ROUTE_TLS[mode], ca)
        for mode, domain in zip(MODES, DOMAINS))
    with open(doors.daemon.config, "a", encoding="utf-8") as config:
        config.write("routes:\n%ssmtp: {max_errors: 1000}\npolicy: {header_policy: keep}\n" % routes)
    doors.daemon.start()
    doors.daemon.allow(*DOMAINS)
    return doors.daemon, doors.ports


def send(daemon, ports, contents):
    """Each message through each listener, to all three domains. The ids."""
    numbers = []
    for listener in MODES:
        client = connect(ports[listener], trusting(daemon.data_dir / "tls.crt"),
                         listener == "implicit") if listener != "none" else plain(ports[listener])
        with client:
            client.ehlo()
            for i, content in enumerate(contents):
                assert client.mail("a@x.test")[0] == 250
                for domain in DOMAINS:
                    assert client.rcpt("r%d-%s@%s" % (i, listener, domain))[0] == 250
                code, text = client.data(content)
                assert code == 250, (i, code, text)
                numbers.append(text.decode().split("queued as ")[1][:26])
    return numbers


def plain(port):
    return smtplib.SMTP("127.0.0.1", port, timeout=60, local_hostname="client.test")


class Outcome:
    """`wrong`: (name, listener, route) of what is missing or came otherwise."""

    def __init__(self):
        self.counts = collections.Counter()
        self.wrong = []
        self.bytes = 0
        self.changed = collections.Counter()
        self.refused = 0

    def table(self):
        lines = ["listener  route     arrived"]
        lines += ["%-9s %-9s %d" % (*pair, count) for pair, count in sorted(self.counts.items())]
        lines += ["%d MB compared, %d refused by its own check" % (self.bytes >> 20, self.refused)]
        lines += ["known change: %s: %d" % pair for pair in sorted(self.changed.items())]
        return "\n".join(lines)


def refused_by(mta, daemon):
    """Whose failure is what this MTA says to such messages."""
    return {r["address"] for r in daemon.all_items("/recipients?state=failed&limit=500")
            if mta.refuses and re.search(mta.refuses, r["reason"])}


def run(make_daemon, mta, ca, messages, timeout=120):
    """`messages`: (name, content). What arrived at a started MTA, compared."""
    daemon, ports = daemon_before(make_daemon, mta, ca)
    contents = [canonical(content) for _, content in messages]
    send(daemon, ports, contents)
    want = len(contents) * len(MODES) * len(MODES)
    wait_for(lambda: sum(daemon.get("/status")["queue"]["recipients"].get(state, 0) for state in (
        "delivered", "failed", "held")) == want, "%d recipients to be through" % want, timeout)
    wait_for_mail(mta, want, 30)
    arrived = mta.arrived()
    refused = refused_by(mta, daemon)
    removed = removed_names()
    outcome = Outcome()
    for i, (name, _) in enumerate(messages):
        expected, changes = mta.changes(expected_copy(contents[i], removed))
        outcome.changed.update(changes)
        for listener in MODES:
            for route, domain in zip(MODES, DOMAINS):
                address = "r%d-%s@%s" % (i, listener, domain)
                got = arrived.get(address)
                if address in refused:
                    outcome.refused += 1
                elif got == expected:
                    outcome.counts[listener, route] += 1
                    outcome.bytes += len(got)
                else:
                    outcome.wrong.append((name, listener, route))
    return outcome
