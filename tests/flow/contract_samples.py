"""One request or more for each operation of the API that succeeds: who adds a route adds a sample."""

import json

from daemon import Smtp, wait_for

ALICE = "alice@example.com"


class Sample:
    """A request that succeeds. `body`: JSON, or (type, bytes)."""

    def __init__(self, want=200, id="", query="", body=None, headers=(), read=None):
        self.want = want
        self.id = id
        self.query = query
        self.body = body
        self.headers = dict(headers)
        self.read = read

    def send(self, caller, operation):
        body = None
        headers = dict(self.headers)
        if isinstance(self.body, tuple):
            headers["Content-Type"], body = self.body
        elif self.body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(self.body).encode()
        path = operation.fill(self.id) + ("?" + self.query if self.query else "")
        return caller(operation.method, path, body, headers, self.read)


# For the daemon that a World is of.
SETTINGS = """delivery: {schedule: [1h]}
webhooks: [{name: nobody, url: "http://127.0.0.1:9/", events: [cancelled], schedule: [10ms]}]
"""


class World:
    """What samples are made of: each asks for something of its own."""

    def __init__(self, relay):
        self.relay = relay
        self.number = 0
        self.later = False

    def name(self):
        self.number += 1
        return "n%d" % self.number

    def address(self):
        return self.name() + "@example.com"

    def message(self, *recipients):
        """Dropped, unless the list allows them."""
        with Smtp(self.relay.smtp_port) as client:
            return client.send("shop@example.com", recipients or (self.address(),),
                               b"Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\nbody\r\n")

    def letter(self):
        """Text, HTML and a file."""
        with Smtp(self.relay.smtp_port) as client:
            return client.send("shop@example.com", [self.address()], (
                b"Subject: x\r\nMIME-Version: 1.0\r\n"
                b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                b"Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n"
                b"Content-Type: text/plain\r\n\r\ntext\r\n--c\r\n"
                b"Content-Type: text/html\r\n\r\n<p>html</p>\r\n--c--\r\n--b\r\n"
                b"Content-Type: image/png\r\nContent-Disposition: attachment; filename=a.png\r\n"
                b"\r\nfile\r\n--b--\r\n"))

    def allowed(self):
        """Dropped, and then the list was changed: it can be released. Its address and its id."""
        address = self.address()
        message = self.message(address)
        self.relay.allow(address)
        return address, message

    def deferred(self):
        """Waits for its next try, which is far away."""
        address = self.name() + "@later.example"
        if not self.later:
            self.relay.allow("later.example")
            self.relay.post("/faults", {"name": "later", "action": "defer", "attempts": 1000,
                                        "recipient": "later.example"})
            self.later = True
        message = self.message(address)
        self.relay.wait_states(message, {address: "deferred"})
        return address, message

    def delivered(self):
        address = self.address()
        self.relay.allow(address)
        message = self.message(address)
        self.relay.wait_states(message, {address: "delivered"})
        return message

    def dead_letter(self):
        """Nobody listens there: that a recipient was cancelled is told in vain."""
        message = self.deferred()[1]
        self.relay.post("/messages/%s/cancel" % message)

        def find():
            return [letter["id"] for letter in self.relay.all_items("/webhooks/dead-letters?limit=9")
                    if letter["event"]["message"] == message]
        return wait_for(find, "a dead letter")[0]

    def entry(self, **more):
        return self.relay.post("/whitelist", {"pattern": self.address(), **more}).json["id"]

    def fault(self):
        return self.relay.post("/faults", {"name": self.name(), "action": "reject",
                                           "recipient": self.address()}).json["id"]

    def rule(self):
        return self.relay.post("/rules", {"name": self.name(), "action": "hold",
                                          "sender": self.address()}).json["id"]

    def token(self):
        return self.relay.post("/tokens", {"name": self.name()}).json["id"]

    def no_backup(self):
        """One that is being made is waited for: only then another one can begin."""
        wait_for(lambda: self.relay.get("/backup")["state"] != "copying", "the end of a copy")

    def backup(self):
        self.no_backup()
        assert self.relay.request("POST", "/api/v1/backup").status == 202
        wait_for(lambda: self.relay.get("/backup")["state"] == "ready", "a copy")


def whitelist_etag(relay):
    return relay.request("GET", "/api/v1/whitelist").headers["ETag"]


# By operationId: functions of a World, each making a sample.
SAMPLES = {
    "healthz": [lambda w: Sample()],
    "readyz": [lambda w: Sample()],
    "metrics": [lambda w: Sample()],
    "openapi": [lambda w: Sample()],
    "page": [lambda w: Sample()],
    "pageFile": [lambda w: Sample(id="app.css"), lambda w: Sample(id="main.js"),
                 lambda w: Sample(id="icon.svg")],
    "sessionGet": [lambda w: Sample()],
    "sessionOpen": [lambda w: Sample(201, body={"token": w.relay.token})],
    "sessionClose": [lambda w: Sample(204)],
    "settings": [lambda w: Sample()],
    "status": [lambda w: Sample()],
    "routes": [lambda w: Sample()],
    "routePause": [lambda w: Sample(id="test", body={"reason": "load test"})],
    "routeResume": [lambda w: Sample(id="test"), lambda w: Sample(id="test", body={})],
    "deliveryPause": [lambda w: Sample(body={"reason": None}), lambda w: Sample()],
    "deliveryResume": [lambda w: Sample()],
    "whitelistList": [lambda w: Sample(), lambda w: Sample(query="q=n&action=allow&limit=1")],
    "whitelistAdd": [
        lambda w: Sample(201, body={"pattern": w.address(), "expires_in": "4h", "note": "x"}),
        lambda w: Sample(201, query="lint=false",
                         body={"pattern": w.address(), "release_dropped_since": "1h"})],
    "whitelistReplace": [
        lambda w: Sample(body={"entries": [{"pattern": w.address()}]}, query="dry_run=true",
                         headers={"If-Match": whitelist_etag(w.relay)}),
        lambda w: Sample(body={"entries": [{"pattern": w.address()}]}, headers={"If-Match": "*"})],
    "whitelistHistory": [lambda w: Sample(), lambda w: Sample(query="since=1h&limit=2")],
    "whitelistImport": [
        lambda w: Sample(query="format=text&dry_run=true",
                         body=("application/octet-stream", b"a@example.com\n")),
        lambda w: Sample(query="format=json", body={"entries": [{"pattern": w.address()}]})],
    "whitelistExport": [
        lambda w: Sample(query="format=json", id=w.entry(scope="shop", note="x")),
        lambda w: Sample(query="format=csv"), lambda w: Sample()],
    "whitelistGet": [lambda w: Sample(id=w.entry())],
    "whitelistChange": [lambda w: Sample(id=w.entry(), body={"note": "mine"})],
    "whitelistRemove": [lambda w: Sample(204, id=w.entry(), headers={"If-Match": "*"})],
    "faultList": [lambda w: Sample(id=w.fault())],
    "faultAdd": [lambda w: Sample(201, body={"name": w.name(), "action": "delay", "delay_ms": 5,
                                             "recipient": w.address()})],
    "faultGet": [lambda w: Sample(id=w.fault())],
    "faultChange": [lambda w: Sample(id=w.fault(), body={"enabled": False})],
    "faultRemove": [lambda w: Sample(204, id=w.fault())],
    "ruleList": [lambda w: Sample(id=w.rule())],
    "ruleAdd": [lambda w: Sample(201, body={
        "name": w.name(), "action": "drop", "sender": w.address(),
        "headers": [{"name": "Subject", "match": "glob", "value": "*x*"}]})],
    "ruleGet": [lambda w: Sample(id=w.rule())],
    "ruleChange": [lambda w: Sample(id=w.rule(), body={"note": "why", "enabled": False})],
    "ruleRemove": [lambda w: Sample(204, id=w.rule())],
    "check": [lambda w: Sample(body={"recipients": [ALICE, "no address"], "scope": ""}),
              lambda w: Sample(body={"recipients": [ALICE], "message": {
                  "sender": "", "size": 5, "headers": [{"name": "Subject", "value": "x"}]}})],
    "eventStream": [
        lambda w: Sample(query="follow=false"),
        lambda w: Sample(id=w.message(), query="types=accepted,verdict&scope=shop&follow=false",
                         headers={"Last-Event-ID": "of another run"}),
        # One that goes on: what comes at once, and then its client leaves.
        lambda w: Sample(read=len("retry: 1000\n\n"))],
    "backupGet": [lambda w: Sample(), lambda w: Sample(id=w.backup())],
    "backupBegin": [lambda w: Sample(202, id=w.no_backup())],
    "backupEnd": [lambda w: Sample(204, id=w.backup())],
    "backupContent": [lambda w: Sample(id=w.backup())],
    "messageList": [lambda w: Sample(), lambda w: Sample(
        query="include=recipients&state=dropped&to=example&from=shop&subject=caf&q=shop&since=1h"
              "&limit=1")],
    "messageCreate": [
        lambda w: Sample(201, body={"from": "Shop <shop@example.com>", "to": [w.address()],
                                    "subject": "caf\u00e9", "text": "x", "attachments": [
                                        {"filename": "a", "content": "QQ=="}]}),
        lambda w: Sample(201, query="sender=%3C%3E&recipient=" + w.address(),
                         headers={"Idempotency-Key": w.name()},
                         body=("message/rfc822", b"Subject: x\r\n\r\nbody\r\n"))],
    "messageGet": [lambda w: Sample(id=w.message()), lambda w: Sample(id=w.delivered())],
    "messageRaw": [lambda w: Sample(id=w.message())],
    "messageSent": [lambda w: Sample(id=w.delivered())],
    "messageParts": [lambda w: Sample(id=w.message()), lambda w: Sample(id=w.letter())],
    "messagePart": [lambda w: Sample(id=(w.letter(), "1.2")), lambda w: Sample(id=(w.letter(), 2))],
    "messageText": [lambda w: Sample(id=w.message())],
    "messageHtml": [lambda w: Sample(id=w.letter())],
    "messageRetry": [lambda w: Sample(id=w.deferred()[1])],
    "messageHold": [lambda w: Sample(id=w.deferred()[1], body={"reason": "look at it"})],
    "messageRelease": [lambda w: Sample(id=w.allowed()[1])],
    "messageCancel": [lambda w: Sample(id=w.deferred()[1])],
    "messageDelete": [lambda w: Sample(204, id=w.message()),
                      lambda w: Sample(204, id=w.deferred()[1], query="when_settled=true")],
    "recipientList": [lambda w: Sample(), lambda w: Sample(query="state=dropped&limit=1")],
    "tokenList": [lambda w: Sample(), lambda w: Sample(query="limit=1")],
    "tokenCreate": [lambda w: Sample(201, body={"name": w.name(), "role": "operator",
                                                "scope": "shop", "expires_in": "90d"})],
    "tokenGet": [lambda w: Sample(id=w.token())],
    "tokenRevoke": [lambda w: Sample(204, id=w.token())],
    "webhookList": [lambda w: Sample()],
    "webhookDeadLetters": [lambda w: Sample(id=w.dead_letter()),
                           lambda w: Sample(query="webhook=nobody&limit=1")],
    "webhookDeadLetter": [lambda w: Sample(id=w.dead_letter())],
    "webhookRetry": [lambda w: Sample(id=w.dead_letter()),
                     lambda w: Sample(id=w.dead_letter(), body={})],
    "webhookDrop": [lambda w: Sample(204, id=w.dead_letter())],
    "webhookRetryAll": [lambda w: Sample(id=w.dead_letter(), body={"webhook": "nobody"})],
    "webhookDropAll": [lambda w: Sample(id=w.dead_letter()),
                       lambda w: Sample(id=w.dead_letter(), body={"webhook": None})],
    "auditList": [lambda w: Sample(), lambda w: Sample(query="limit=3")],
}
for verb in ("Retry", "Hold", "Cancel"):
    SAMPLES["recipients" + verb] = [
        lambda w: Sample(body={"address": w.deferred()[0], "dry_run": True}),
        lambda w: Sample(body={"address": w.deferred()[0]})]
SAMPLES["recipientsRelease"] = [
    lambda w: Sample(body={"address": w.allowed()[0], "dry_run": True}),
    lambda w: Sample(body={"address": w.allowed()[0], "state": "dropped", "note": "they asked"})]


def samples_of(operation):
    assert operation.id in SAMPLES, "%s (%s) has no sample in %s" % (operation, operation.id,
                                                                    __file__)
    return SAMPLES[operation.id]
