#!/usr/bin/env python3
"""
The one judge of promises P1 to P4 (and P5 by hashes): it compares every 250 that clients got,
everything the next hops saw and said, every state and history in the store, and the whitelist
over time.

    ledger.py FACTS.jsonl... [--database stagepost.db] [--unsettled]

A fact is an object of JSON with a member `fact`; times are seconds since 1970:

    accepted  a client got its 250: at, message (id), sender, recipients; sha256 of what must be
              stored, leaves: sha256 of what must leave, without our Received field (both optional)
    allowed   an entry: entry (id), at (when the change was asked for), pattern, action, expires_at
    removed   entry, at (when the change was answered)
    killed    at: the daemon died here, or lost its store
    wire      what a next hop saw and said: hop, connection, at, event, code ... (nexthop.py)
    message   a message as GET /api/v1/messages/{id} shows it; sha256 of its stored bytes (optional)

Scopes are not looked at: an entry of any scope allows. In pytest a test makes a Ledger, lets it
record, and calls check().
"""

import argparse
import collections
import hashlib
import json
import re
import sqlite3
import sys
import time
from datetime import datetime, timezone

STATES = ("", "screening", "queued", "delivering", "deferred", "held", "delivered", "redirected",
          "dropped", "failed", "expired", "cancelled")
WAITING = {"screening", "queued", "delivering", "deferred"}
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def key_of(address):
    """The same for all spellings of one mailbox (RFC 5321 2.4: local parts keep their case)."""
    local, at, domain = address.rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            pass
    return local + at + domain.lower()


def seconds(text):
    """Of a time as the API writes it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(
        tzinfo=timezone.utc).timestamp()


# --- the whitelist, read a second time --------------------------------------------------------


def pattern_matches(pattern, address):
    """INTERFACE 5, told apart from relay/filter by having been written from the table there."""
    local, _, domain = address.lower().rpartition("@")
    if pattern == "*":
        return True
    want_local, at, want = pattern.lower().rpartition("@")
    if want.startswith("*."):
        want = want[1:]
    if want.startswith("."):
        if not domain.endswith(want) or domain == want[1:]:
            return False
    elif domain != want:
        return False
    if not at or want_local == "":
        return True
    glob = ".*".join(re.escape(part) for part in want_local.split("*"))
    return re.fullmatch(glob, local, re.S) is not None


class Entry:
    def __init__(self, fact):
        self.pattern = fact["pattern"]
        self.deny = fact.get("action", "allow") == "deny"
        self.begin = fact["at"]
        self.end = fact.get("expires_at") or float("inf")

    def may_hold(self, since, until):
        """In force at some moment between the two."""
        return self.begin <= until and self.end >= since

    def holds(self, since, until):
        """In force all the time between the two."""
        return self.begin <= since and self.end >= until


class Whitelist:
    def __init__(self, facts):
        self.entries = {}
        for fact in facts:
            if fact["fact"] == "allowed":
                self.entries[fact["entry"]] = Entry(fact)
        for fact in facts:
            if fact["fact"] == "removed" and fact["entry"] in self.entries:
                entry = self.entries[fact["entry"]]
                entry.end = min(entry.end, fact["at"])

    def _rows(self, address):
        return [e for e in self.entries.values() if pattern_matches(e.pattern, address)]

    def may_allow(self, address, since, until):
        """Some list in force between the two allowed it."""
        rows = self._rows(address)
        return (any(e.may_hold(since, until) for e in rows if not e.deny) and
                not any(e.holds(since, until) for e in rows if e.deny))

    def must_allow(self, address, since, until):
        """Every list in force between the two allowed it."""
        rows = self._rows(address)
        return (any(e.holds(since, until) for e in rows if not e.deny) and
                not any(e.may_hold(since, until) for e in rows if e.deny))


# --- the judgement ----------------------------------------------------------------------------


class Report:
    """What was found. Empty lists: the promises were kept."""

    def __init__(self):
        self.leaks = []
        self.lost = []
        self.duplicates = []
        self.lies = []
        self.waiting = []  # not in a final state yet: a fault only once all should be settled
        self.under_way = 0  # of the lies: taken by the next hop, and not written down yet
        self.counts = collections.Counter()

    @property
    def kept(self):
        return not (self.leaks or self.lost or self.duplicates or self.lies)

    def text(self):
        lines = ["%s: %d" % pair for pair in sorted(self.counts.items())]
        for name in ("leaks", "lost", "duplicates", "lies", "waiting"):
            found = getattr(self, name)
            lines.append("%s: %d" % (name.upper(), len(found)))
            lines += ["  " + sentence for sentence in found[:20]]
            if len(found) > 20:
                lines.append("  and %d more" % (len(found) - 20))
        return "\n".join(lines)


class Copy:
    """One final dot that a next hop saw, for one recipient."""

    def __init__(self, wire, address):
        self.wire = wire
        self.address = address
        self.at = wire["at"]
        self.code = wire.get("codes", {}).get(address, wire["code"])

    @property
    def taken(self):
        return 200 <= (self.code or 0) <= 299

    @property
    def answered(self):
        """Its answer left the next hop."""
        return self.code is not None and self.wire.get("sent", True)


class Judge:
    """`slack`: seconds a line may be under way between our judgement and the next hop's clock."""

    def __init__(self, facts, slack=1.0, in_flight=1.0, settled=True):
        self.slack = slack
        self.in_flight = in_flight
        self.settled = settled
        self.report = Report()
        self.whitelist = Whitelist(facts)
        self.accepted = [f for f in facts if f["fact"] == "accepted"]
        self.kills = [f["at"] for f in facts if f["fact"] == "killed"]
        self.wire = sorted((f for f in facts if f["fact"] == "wire"), key=lambda f: f["at"])
        self.messages = {f["id"]: f for f in facts if f["fact"] == "message"}
        self.ended = max([f["at"] for f in facts if "at" in f], default=0)
        self.copies = collections.defaultdict(list)  # (message id, address) to Copy
        self.first_said = {}  # (address at RCPT or None: to all, code) to the first moment
        for fact in self.wire:
            self._sort(fact)

    def _sort(self, fact):
        if fact["event"] == "dot":
            for address in fact["recipients"]:
                self.copies[fact["id"], key_of(address)].append(Copy(fact, address))
        elif fact.get("code"):
            address = key_of(fact["address"]) if fact["event"] == "rcpt" else None
            # They come in order.
            self.first_said.setdefault((address, fact["code"]), fact["at"])

    def judge(self):
        counts = self.report.counts
        counts["answered 250 to clients"] = len(self.accepted)
        counts["messages in the store"] = len(self.messages)
        counts["RCPT on the wire"] = sum(f["event"] == "rcpt" for f in self.wire)
        counts["final dots on the wire"] = sum(f["event"] == "dot" for f in self.wire)
        counts["kills"] = len(self.kills)
        self._leaks()
        self._lost()
        self._duplicates()
        for message in self.messages.values():
            for recipient in message["recipients"]:
                counts["recipients " + recipient["state"]] += 1
                self._lies(message, recipient)
        self._strangers()
        return self.report

    # P1

    def _leaks(self):
        for fact in self.wire:
            if fact["event"] != "rcpt":
                continue
            if not self.whitelist.may_allow(fact["address"], fact["at"] - self.slack, fact["at"]):
                self.report.leaks.append("%s was offered to %s by %r, and no list in force "
                                         "allowed it" % (fact["address"], fact["hop"],
                                                         fact.get("line")))

    # P2

    def _lost(self):
        for fact in self.accepted:
            message = self.messages.get(fact["message"])
            if message is None:
                self.report.lost.append("%s got its 250 and is not in the store" %
                                        fact["message"])
                continue
            rows = {key_of(r["address"]) for r in message["recipients"]}
            for address in fact["recipients"]:
                if key_of(address) not in rows:
                    self.report.lost.append("%s has no row for %s" % (fact["message"], address))
            self._stored_bytes(fact, message)

    def _stored_bytes(self, fact, message):
        if fact.get("sha256") and message.get("sha256") not in (None, fact["sha256"]):
            self.report.lost.append("%s is stored with other bytes than it came with" %
                                    fact["message"])

    # P3

    def _duplicates(self):
        for (number, address), copies in self.copies.items():
            taken = [c for c in copies if c.taken]
            for first in taken[:-1]:
                if not first.answered:
                    self.report.counts["second copies after an unanswered dot"] += 1
                elif self._was_in_flight(first):
                    self.report.counts["second copies in flight at a kill"] += 1
                else:
                    self.report.duplicates.append(
                        "%s for %s was taken %d times, and nothing was in flight" %
                        (number, address, len(taken)))
                    break
            if len({c.wire["sha256"] for c in copies}) > 1:
                self.report.duplicates.append("copies of %s for %s differ" % (number, address))

    def _was_in_flight(self, copy):
        return any(copy.at - 0.1 <= kill <= copy.at + self.in_flight for kill in self.kills)

    # P4 and P5

    def _lies(self, message, recipient):
        name = "%s for %s" % (message["id"], recipient["address"])
        key = key_of(recipient["address"])
        copies = self.copies.get((message["id"], key), [])
        state = recipient["state"]
        if state in WAITING:
            self.report.waiting.append("%s is %s: %s" % (name, state, recipient["reason"]))
        elif not recipient.get("reason"):
            self.report.lies.append("%s is %s without a reason" % (name, state))
        if state == "delivered" and not any(c.taken for c in copies):
            self.report.lost.append("%s is delivered, and no next hop took it" % name)
        if state != "delivered" and any(c.taken and c.answered and not self._was_in_flight(c)
                                        for c in copies):
            self._untold(name, recipient, copies)
        if state == "redirected" and key_of(recipient.get("redirect_to") or "") not in {
                key_of(r["address"]) for r in message["recipients"]}:
            self.report.lies.append("%s is redirected, and nobody stands for it" % name)
        if state == "failed":
            self._failed(name, recipient, copies)
        if state == "dropped" and self._was_always_allowed(message, recipient):
            self.report.lost.append("%s was dropped, and the list allowed it all the time" % name)
        for item in recipient.get("history") or []:
            self._history(name, message, recipient, item)

    def _was_always_allowed(self, message, recipient):
        """Addresses that could be read two ways are dropped whatever the list says."""
        if re.fullmatch(r"[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+", recipient["address"]) is None:
            return False
        return self.whitelist.must_allow(recipient["address"],
                                         seconds(message["received_at"]) - self.slack, self.ended)

    def _untold(self, name, recipient, copies):
        """The hop took it and said so; a yes that could not be believed is told as a doubt."""
        told = [item.get("reason") or "" for item in recipient.get("history") or []]
        if any("may have arrived" in reason for reason in told):
            return
        self.report.under_way += recipient["state"] == "delivering"
        self.report.lies.append("%s is %s, and %s took it" % (
            name, recipient["state"], next(c.wire["hop"] for c in copies if c.taken)))

    def _failed(self, name, recipient, copies):
        reply = recipient.get("last_reply")
        if not reply or (recipient["reason"] or "").startswith("not sent"):
            return  # our own decision, with its reason
        if not 500 <= reply["code"] <= 599:
            self.report.lies.append("%s failed by a %d" % (name, reply["code"]))

    def _said(self, recipient, message, code, at):
        """Some next hop said this code about this recipient, or to everybody, before `at`."""
        key = key_of(recipient["address"])
        never = float("inf")
        moments = [self.first_said.get((None, code), never),
                   self.first_said.get((key, code), never)]
        moments += [c.at for c in self.copies.get((message["id"], key), []) if c.code == code]
        return min(moments) <= at + self.slack

    def _history(self, name, message, recipient, item):
        reply = item.get("reply")
        if not reply or (item.get("reason") or "").startswith("not sent"):
            return
        if not self._said(recipient, message, reply["code"], seconds(item["at"])):
            self.report.lies.append("%s: history says %d at %s, and no next hop said so" %
                                    (name, reply["code"], item["at"]))

    def _strangers(self):
        """What arrived and is not in the store, or is not what came in."""
        leaves = {f["message"]: f["leaves"] for f in self.accepted if f.get("leaves")}
        for fact in self.wire:
            if fact["event"] != "dot":
                continue
            if self.messages and fact["id"] not in self.messages:
                self.report.lies.append("%s arrived at %s and is not in the store" %
                                        (fact["id"], fact["hop"]))
                continue
            rows = {key_of(r["address"])
                    for r in self.messages.get(fact["id"], {}).get("recipients", [])}
            for address in fact["recipients"]:
                if rows and key_of(address) not in rows:
                    self.report.lies.append("%s arrived for %s, which is none of its recipients"
                                            % (fact["id"], address))
            if leaves.get(fact["id"], fact["sha256"]) != fact["sha256"]:
                self.report.lies.append("%s arrived at %s with other bytes than it came with" %
                                        (fact["id"], fact["hop"]))


# --- recording --------------------------------------------------------------------------------


class Ledger:
    """Records while a test runs; safe to use by several threads (list.append is)."""

    def __init__(self, *hops):
        self.facts = []
        self.hops = list(hops)

    def add(self, fact, **members):
        self.facts.append({"fact": fact, "at": time.time(), **members})

    def accepted(self, message, sender, recipients, content=None, leaves=None):
        """`content`: what must be stored; `leaves`: what must leave, when that is another."""
        members = {}
        if content is not None:
            members["sha256"] = sha256(content)
            members["leaves"] = sha256(content if leaves is None else leaves)
        self.add("accepted", message=message, sender=sender, recipients=list(recipients),
                 **members)

    def allow(self, relay, *patterns):
        """Allow at the daemon, and remember; the ids of the entries."""
        began = time.time()
        entries = relay.allow(*patterns)
        for entry, pattern in zip(entries, patterns):
            self.facts.append({"fact": "allowed", "at": began, "entry": entry,
                               "pattern": pattern})
        return entries

    def remove(self, relay, entry):
        relay.remove(entry)
        self.add("removed", entry=entry)

    def kill(self, relay):
        relay.kill()
        self.add("killed")

    def collect(self):
        """All facts so far, with what the next hops have noted."""
        return self.facts + [{"fact": "wire", **line} for hop in self.hops
                             for line in hop.noted()]

    def check(self, relay=None, database=None, settled=True, **tolerance):
        """
        Judge by the API of a running daemon, or by the database of a stopped one; asserts that
        every promise was kept. The report, for its counts.
        """
        patience = time.monotonic() + 30
        while True:
            stored = messages_of_api(relay) if relay else messages_of_database(database)
            report = Judge(self.collect() + stored, settled=settled, **tolerance).judge()
            # The next hop knows it a moment before the database does.
            if not relay or not report.under_way or time.monotonic() > patience:
                break
            time.sleep(0.1)
        print(report.text())
        assert report.kept, report.text()
        assert not settled or not report.waiting, report.text()
        return report


def messages_of_api(relay):
    facts = []
    for item in relay.all_items("/messages?limit=500"):
        facts.append({"fact": "message", **relay.message(item["id"])})
    return facts


def _time_text(milliseconds):
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (milliseconds % 1000)


def _ulid_text(blob):
    value = int.from_bytes(blob, "big")
    return "".join(CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def _reply(code, enhanced, text):
    return {"code": code, "enhanced": enhanced, "text": text} if code else None


def messages_of_database(path):
    """The same from the file, for a daemon that is stopped (never open it beside a running one)."""
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    messages = {}
    for number, uid, received_at, sender in db.execute(
            "SELECT id, uid, received_at, sender FROM message"):
        messages[number] = {"fact": "message", "id": _ulid_text(uid), "sender": sender,
                            "received_at": _time_text(received_at), "recipients": []}
    recipients = {}
    for row, address, state, reason, verdict, attempts, stand_in, *reply in db.execute(
            "SELECT id, address, state, reason, verdict_reason, attempts, redirect_to, reply_code,"
            " reply_enhanced, reply_text FROM recipient"):
        recipients[row] = {"address": address, "state": STATES[state], "attempts": attempts,
                           "reason": reason or verdict, "last_reply": _reply(*reply),
                           "redirect_to": stand_in,
                           "history": []}
        messages[row >> 16]["recipients"].append(recipients[row])
    for row, at, event, state, reason, remote, *reply in db.execute(
            "SELECT recipient, at, event, state, reason, remote, reply_code, reply_enhanced,"
            " reply_text FROM history WHERE sequence > 0 ORDER BY recipient, sequence"):
        if row in recipients:
            recipients[row]["history"].append({
                "at": _time_text(at), "event": event, "state": STATES[state], "reason": reason,
                "remote": remote, "reply": _reply(*reply)})
    for number, message in messages.items():
        digest = hashlib.sha256()
        for (data,) in db.execute("SELECT data FROM chunk WHERE id >= ? AND id < ? ORDER BY id",
                                  (number << 16, (number + 1) << 16)):
            digest.update(data)
        message["sha256"] = digest.hexdigest()
    db.close()
    return list(messages.values())


def main(arguments):
    parser = argparse.ArgumentParser(description="Check P1 to P4 of a run.")
    parser.add_argument("facts", nargs="+", help="facts, one JSON object a line")
    parser.add_argument("--database", help="stagepost.db of a stopped daemon")
    parser.add_argument("--unsettled", action="store_true", help="recipients may still wait")
    options = parser.parse_args(arguments)
    facts = []
    for name in options.facts:
        with open(name, encoding="utf-8") as file:
            facts += [json.loads(line) for line in file if line.strip()]
    if options.database:
        facts += messages_of_database(options.database)
    report = Judge(facts, settled=not options.unsettled).judge()
    print(report.text())
    return 0 if report.kept and (options.unsettled or not report.waiting) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
