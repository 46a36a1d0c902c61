"""Who changed what: every change that the API can make leaves a line in the trail, with what was
there before and what is there now."""

import json

import pytest
from contract import Caller, Document
from contract_samples import SETTINGS, World, samples_of
from daemon import wait_for

# What changes nothing though it is no GET.
QUESTIONS = {"check", "sessionOpen", "sessionClose"}
# What an action's line has: what was before, what is after, or both.
BOTH = {"before", "after"}
WHAT = {
    "delivery.pause": BOTH, "delivery.resume": BOTH,
    "whitelist.add": {"after"}, "whitelist.replace": BOTH, "whitelist.remove": {"before"},
    "fault.add": {"after"}, "fault.replace": BOTH, "fault.remove": {"before"},
    "rule.add": {"after"}, "rule.replace": BOTH, "rule.remove": {"before"},
    "token.create": {"after"}, "token.revoke": {"before"},
    "recipient.retry": BOTH, "recipient.hold": BOTH, "recipient.release": BOTH,
    "recipient.cancel": BOTH,
    "recipients.retry": {"after"}, "recipients.hold": {"after"}, "recipients.release": {"after"},
    "recipients.cancel": {"after"},
    "message.create": {"after"},
    "message.delete": {"before"},
    "backup.create": set(), "backup.remove": set(),
    "webhook.retry": {"after"}, "webhook.drop": {"before"},
}
# How the line of an operation begins, where its name does not say it.
ACTIONS = {
    "routePause": "delivery.pause", "routeResume": "delivery.resume",
    "whitelistReplace": "whitelist.", "whitelistImport": "whitelist.add",
    "whitelistChange": "whitelist.replace", "faultChange": "fault.replace",
    "ruleChange": "rule.replace",
    "messageRetry": "recipient.retry", "messageHold": "recipient.hold",
    "webhookRetryAll": "webhook.retry", "webhookDropAll": "webhook.drop",
    "messageRelease": "recipient.release", "messageCancel": "recipient.cancel",
    "backupBegin": "backup.create", "backupEnd": "backup.remove",
}


def action_of(operation):
    """recipientsHold: recipients.hold"""
    named = "".join("." + c.lower() if c.isupper() else c for c in operation.id)
    return ACTIONS.get(operation.id, named)


@pytest.fixture
def relay(make_daemon, hop):
    return make_daemon(hop.address, SETTINGS)


class Trail:
    def __init__(self, relay):
        self.relay = relay
        self.seen = max((line["id"] for line in self.lines()), default=0)

    def lines(self):
        return self.relay.get("/audit?limit=1000")["items"]

    def new(self):
        """Those since the last look, oldest first."""
        lines = [line for line in reversed(self.lines()) if line["id"] > self.seen]
        self.seen = max([self.seen] + [line["id"] for line in lines])
        return lines


def is_dry(sample):
    return "dry_run=true" in sample.query or (
        isinstance(sample.body, dict) and sample.body.get("dry_run") is True)


def test_every_change_is_in_the_trail(relay):
    """The person at work is a token of its own; what the samples themselves need is made by another."""
    secret = relay.post("/tokens", {"name": "person", "role": "admin"}).json["secret"]
    caller = Caller(relay.api_port, secret)
    document = Document(relay.get("/openapi.json"))
    world = World(relay)
    mistakes = []
    for operation in document.operations():
        if operation.method == "GET" or operation.id in QUESTIONS:
            continue
        told = False
        for make in samples_of(operation):
            sample = make(world)
            trail = Trail(relay)
            reply = sample.send(caller, operation)
            assert reply.status == sample.want, (str(operation), reply.status, reply.body)
            # A change of many lines is in force before all of them stand in the trail.
            lines = trail.new()
            mine = [line for line in lines if line["actor"] == "token:person"]
            if is_dry(sample):
                mistakes += ["%s: a dry run left %s" % (operation, line) for line in mine]
                continue
            if operation.id in ("whitelistReplace", "whitelistImport") and not mine:
                mine = wait_for(trail.new, "the lines of %s" % operation)
            fitting = [line for line in mine if line["action"].startswith(action_of(operation))]
            told = told or bool(fitting)
            for line in mine:
                has = {name for name in BOTH if line[name] is not None}
                if has != WHAT.get(line["action"]):
                    mistakes.append("%s: %s" % (operation, line))
                if secret in json.dumps(line):
                    mistakes.append("%s: the trail knows a secret" % operation)
        # A second pause changes nothing: one sample that does is enough.
        if not told:
            mistakes.append("%s: no line of %s" % (operation, action_of(operation)))
    assert not mistakes, "\n".join(mistakes)


def entry_of(line, name):
    return line["before"][name], line["after"][name]


@pytest.mark.parametrize("kind, body, change, name", [
    ("whitelist", {"pattern": "a@example.com", "note": "one"}, {"note": "two"}, "note"),
    ("faults", {"name": "f", "action": "reject", "note": "one"}, {"note": "two"}, "note"),
    ("rules", {"name": "r", "action": "hold", "sender": "a@example.com", "note": "one"},
     {"note": "two"}, "note"),
])
def test_before_and_after(relay, kind, body, change, name):
    """Enough to put it back by hand: each member as it was and as it is."""
    number = relay.post("/" + kind, body).json["id"]
    answer = relay.request("PATCH", "/api/v1/%s/%d" % (kind, number), change)
    assert answer.status == 200
    line = Trail(relay).lines()[0]
    assert line["action"].endswith(".replace") and line["actor"] == "token:admin"
    assert entry_of(line, name) == ("one", "two")
    others = {key for key in line["before"] if line["before"][key] != line["after"][key]}
    assert others <= {name, "revision"}
    assert relay.request("DELETE", "/api/v1/%s/%d" % (kind, number)).status in (200, 204)
    gone = Trail(relay).lines()[0]
    assert gone["action"].endswith(".remove") and gone["after"] is None
    assert gone["before"][name] == "two"


def test_a_pause_and_who_ends_it(relay):
    relay.post("/delivery/pause", {"reason": "load test"})
    relay.post("/delivery/pause", {"reason": "again"})  # it stands still already
    relay.post("/delivery/resume")
    resume, pause = Trail(relay).lines()[:2]
    assert (pause["action"], pause["before"]) == ("delivery.pause", {"paused": False})
    assert pause["after"]["paused"] is True and pause["after"]["reason"] == "load test"
    assert pause["after"]["paused_by"] == "token:admin"
    assert (resume["action"], resume["before"]) == ("delivery.resume", pause["after"])
    assert resume["after"] == {"paused": False}


def test_what_was_done_to_a_message(relay):
    world = World(relay)
    address, message = world.deferred()
    relay.post("/messages/%s/cancel" % message, {"recipients": [address],
                                                 "reason": "he \"left\""})
    line = Trail(relay).lines()[0]
    assert (line["action"], line["subject"]) == ("recipient.cancel", message)
    assert line["before"] == {"states": {"deferred": 1}}
    assert line["after"] == {"changed": 1, "wished": 0, "reason": 'he "left"'}
    relay.request("DELETE", "/api/v1/messages/" + message)
    gone = Trail(relay).lines()[0]
    assert (gone["action"], gone["subject"]) == ("message.delete", message)
    assert gone["before"]["recipients"] == [address]
    assert gone["before"]["states"] == {"cancelled": 1}


def test_a_list_from_a_file(relay):
    """Each line of it, by whom."""
    before = Trail(relay)
    body = {"entries": [{"pattern": "n%d@example.com" % i} for i in range(300)]}
    relay.post("/whitelist/import?format=json", body)
    wait_for(lambda: len(before.lines()) >= 300 and len(
        [x for x in before.lines() if x["action"] == "whitelist.add"]) == 300, "the lines")
    assert {line["actor"] for line in before.new()} == {"token:admin"}
