"""webhooks: endpoints of somebody's are told what happened, at least once, and can tell by whom."""

import base64
import hashlib
import hmac
import re
import ssl
import subprocess
import time

import pytest

import metrics
from certificates import Authority
from contract import Document
from daemon import STAGEPOST, STAGEPOSTD, Smtp, wait_for
from hook import Hook

SENDER = "s@app.test"
MESSAGE = b"From: shop@app.test\r\nSubject: order 1\r\n\r\nhello\r\n"
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
QUICK = "schedule: [50ms, 100ms]"


def answer(status, fields=b"", body=b""):
    return (b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), fields)) + body


OK = answer(204)


@pytest.fixture
def make_endpoint():
    made = []

    def make(says=lambda request: OK, **how):
        made.append(Hook(says, **how))
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.close()


def one(url, more="", events="[delivered, dropped, failed]"):
    return 'webhooks: [{url: "%s", events: %s, secret: "%s"%s}]\n' % (
        url, events, SECRET, more and ", " + more)


def send(relay, *recipients, content=MESSAGE):
    with Smtp(relay.smtp_port) as client:
        return client.send(SENDER, recipients, content)


def told(endpoint):
    """The events that were answered with anything, in their order."""
    with endpoint.lock:
        return [request.json for request in endpoint.requests]


def is_signed(request, secret=SECRET):
    key = base64.b64decode(secret[6:])
    text = b"%s.%s.%s" % (request["webhook-id"].encode(), request["webhook-timestamp"].encode(),
                          request.body)
    want = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(request["webhook-signature"], want)


def test_what_became_of_each_recipient(make_daemon, make_endpoint, hop):
    """One request an event, signed, and nothing of what nobody asked for."""
    endpoint = make_endpoint()
    relay = make_daemon(hop.address, one(endpoint.url))
    relay.allow("ok.test")
    message = send(relay, "a@ok.test", "b@no.test")
    wait_for(lambda: len(told(endpoint)) == 2, "both events to be told")
    events = {event["recipient"]: event for event in told(endpoint)}
    assert events["a@ok.test"]["type"] == "delivered"
    assert events["a@ok.test"]["reply"]["code"] == 250
    assert events["b@no.test"]["type"] == "dropped"
    assert events["b@no.test"]["reason"]
    for request in endpoint.requests:
        event = request.json
        assert (event["message"], event["sender"]) == (message, SENDER)
        assert request.line == "POST /auth HTTP/1.1"
        assert request["webhook-id"] == event["id"] and is_signed(request)
        assert abs(int(request["webhook-timestamp"]) - time.time()) < 60
        assert request["Content-Type"] == "application/json"
        assert re.match(r"stagepost/", request["User-Agent"], re.I)
    assert len({event["id"] for event in events.values()}) == 2


ALL = ("accepted delivered deferred held dropped redirected failed expired cancelled released deleted"
       " whitelist rule fault delivery token").split()


def test_every_kind_is_as_the_document_tells(make_daemon, make_endpoint, hop):
    """All that is quickly had, each once at least, and no member that openapi.json does not name."""
    hop.replies = {"later@ok.test": "450 4.2.0 Later", "never@ok.test": "550 5.1.1 No"}
    endpoint = make_endpoint()
    relay = make_daemon(hop.address, one(endpoint.url, events="[%s]" % ", ".join(ALL))
                        + "delivery: {schedule: [1h]}\n")
    relay.allow("ok.test", "new.test")
    relay.post("/tokens", {"name": "ci"})
    relay.post("/faults", {"name": "f", "action": "reject", "recipient": "x@y.test"})
    relay.post("/rules", {"name": "hold", "action": "hold", "recipient": "kept@ok.test"})
    relay.post("/rules", {"name": "away", "action": "redirect", "recipient": "away@ok.test",
                          "redirect_to": "b@ok.test"})
    relay.post("/delivery/pause")
    relay.post("/delivery/resume")
    message = send(relay, "a@ok.test", "later@ok.test", "never@ok.test", "kept@ok.test",
                   "away@ok.test", "b@no.test")
    wait_for(lambda: relay.states(message)["later@ok.test"] == "deferred", "the first attempts")
    relay.post("/messages/%s/release" % message, {"recipients": ["kept@ok.test"]})
    relay.post("/messages/%s/cancel" % message, {"recipients": ["later@ok.test"]})
    wait_for(lambda: set(relay.states(message).values()) <= {
        "delivered", "failed", "redirected", "cancelled", "dropped"}, "the rest")
    assert relay.request("DELETE", "/api/v1/messages/" + message).status == 204
    wait_for(lambda: {e["type"] for e in told(endpoint)} >= {*ALL} - {"expired"}, "every kind")
    document = Document(relay.get("/openapi.json"))
    schema = document.document["components"]["schemas"]["WebhookEvent"]
    mistakes = [m for event in told(endpoint) for m in document.mistakes(schema, event)]
    assert not mistakes, mistakes
    assert schema["properties"]["type"]["enum"] == ALL


def test_S322_what_peers_say_is_json(make_daemon, make_endpoint, hop):
    """Whatever is in a subject or an address: UTF-8, one object, and no `<` in it."""
    endpoint = make_endpoint()
    relay = make_daemon(hop.address, one(endpoint.url, events="[accepted, dropped]"))
    with Smtp(relay.smtp_port) as client:
        client.send("a'b{}@app.test", ["x%s@no.test"],
                    b'Subject: "}],\\</script>\xff\xfe\x1b[2J' + b"z" * 900 + b"\r\n\r\nx\r\n")
    wait_for(lambda: len(told(endpoint)) == 2, "both events")
    for request in endpoint.requests:
        assert b"<" not in request.body and request.body.decode("utf-8")
        assert is_signed(request)
    accepted = next(event for event in told(endpoint) if event["type"] == "accepted")
    assert accepted["subject"].startswith('"}],\\</script>\ufffd\ufffd')


def test_again_until_it_is_taken(make_daemon, make_endpoint, hop):
    """No answer at all, 500, and then it is there: the same id and the same bytes each time."""
    replies = [None, answer(500), answer(503), OK]
    endpoint = make_endpoint(lambda request: replies.pop(0))
    relay = make_daemon(hop.address, one(endpoint.url, "schedule: [50ms, 50ms, 50ms]"))
    send(relay, "b@no.test")
    wait_for(lambda: not replies, "four requests")
    wait_for(lambda: webhook(relay)["sent"] == 1, "the last one to count")
    assert len({request["webhook-id"] for request in endpoint.requests}) == 1
    assert len({request.body for request in endpoint.requests}) == 1
    assert all(is_signed(request) for request in endpoint.requests)
    state = webhook(relay)
    assert (state["failed"], state["waiting"], state["dead_letters"]) == (3, 0, 0)
    assert state["last_error"] is None and state["last_error_at"]


def webhook(relay, name="default"):
    return next(item for item in relay.get("/webhooks")["items"] if item["name"] == name)


def dead_letters(relay):
    return relay.all_items("/webhooks/dead-letters?limit=2")


def test_a_dead_letter_and_what_a_person_does(make_daemon, make_endpoint, hop):
    """After all tries of the schedule; sent once more it begins anew, dropped it is gone."""
    replies = []
    endpoint = make_endpoint(lambda request: replies.pop(0) if replies else answer(500))
    relay = make_daemon(hop.address, one(endpoint.url, QUICK))
    messages = [send(relay, "b%d@no.test" % i) for i in range(3)]
    letters = wait_for(lambda: len(dead_letters(relay)) == 3 and dead_letters(relay), "dead letters")
    assert {letter["event"]["message"] for letter in letters} == set(messages)
    for letter in letters:
        assert (letter["webhook"], letter["type"], letter["attempts"]) == ("default", "dropped", 3)
        assert (letter["status"], letter["error"]) == (500, "it answers with status 500")
    assert webhook(relay)["dead_letters"] == 3
    numbers = metrics.parse(relay.request("GET", "/metrics").body.decode())
    assert numbers["stagepost_webhook_dead_letters"].value(webhook="default") == 3
    tries = numbers["stagepost_webhook_requests_total"]
    assert tries.value(webhook="default", outcome="failed") == 9
    assert tries.value(webhook="default", outcome="sent") == 0
    warnings = relay.get("/status")["warnings"]
    assert "webhook default was not told of 3 events (stagepost webhook list --dead)" in warnings
    assert any(w.startswith("webhook default does not answer, 0 events wait") for w in warnings)
    path = "/webhooks/dead-letters/%d" % letters[0]["id"]
    assert relay.get(path) == letters[0]
    replies.append(OK)
    assert relay.post(path + "/retry").json == {"changed": 1}
    wait_for(lambda: webhook(relay)["sent"] == 1, "it to be sent")
    assert endpoint.requests[-1].json == letters[0]["event"]
    assert relay.request("GET", "/api/v1" + path).status == 404
    assert relay.request("POST", "/api/v1" + path + "/retry").status == 404
    path = "/api/v1/webhooks/dead-letters/%d" % letters[1]["id"]
    assert relay.request("DELETE", path).status == 204
    assert relay.request("DELETE", path).status == 404
    assert relay.post("/webhooks/dead-letters/drop", {"webhook": "other"}).json == {"changed": 0}
    assert relay.post("/webhooks/dead-letters/drop", {"webhook": "default"}).json == {"changed": 1}
    assert dead_letters(relay) == [] and webhook(relay)["dead_letters"] == 0


def test_dead_letters_by_the_tool(make_daemon, make_endpoint, hop):
    endpoint = make_endpoint(lambda request: answer(400))
    relay = make_daemon(hop.address, one(endpoint.url))

    def tool(*arguments, want=0):
        done = subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, "webhook", *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == want, done
        return done.stdout

    assert "there is no dead letter" not in tool("list", "--dead", want=1)
    messages = [send(relay, "b%d@no.test" % i) for i in range(3)]
    wait_for(lambda: len(dead_letters(relay)) == 3, "dead letters")
    row = tool("list").splitlines()[1].split()
    assert row[:6] == ["default", "http://127.0.0.1:%d" % endpoint.port, "0", "3", "0", "3"]
    rows = tool("list", "--dead", "--webhook", "default").splitlines()[1:]
    assert len(rows) == 3 and all("it answers with status 400" in row for row in rows)
    assert {word for row in rows for word in row.split()} >= {*messages, "b0@no.test", "dropped"}
    numbers = [row.split()[0] for row in rows]
    endpoint.answer = lambda request: OK
    assert tool("retry", numbers[0]) == "To be sent: 1 dead letter\n"
    wait_for(lambda: webhook(relay)["sent"] == 1, "it to be sent")
    # One that is gone does not keep the others.
    assert tool("drop", numbers[0], numbers[1], want=1) == "Dropped: 1 dead letter\n"
    assert tool("retry", "--all", "--json") == '{\n  "changed": 1\n}\n'
    wait_for(lambda: webhook(relay)["sent"] == 2, "the last one")
    tool("retry", want=64)
    tool("drop", "1", "--all", want=64)
    tool("drop", "1", "--webhook", "default", want=64)


@pytest.mark.parametrize("says, error", [
    (answer(400), "it answers with status 400"),
    (answer(410), "it answers with status 410"),
    (answer(302, b"Location: http://127.0.0.1:%d/\r\n"),
     "it answers with status 302, and redirects are not followed"),
])
def test_a_refusal_is_not_asked_again(make_daemon, make_endpoint, hop, says, error):
    """4xx and redirects say the same the next time; where a redirect points nobody is told."""
    elsewhere = make_endpoint()
    endpoint = make_endpoint(lambda request: says.replace(b"%d", b"%d" % elsewhere.port))
    relay = make_daemon(hop.address, one(endpoint.url, QUICK))
    send(relay, "b@no.test")
    letter = wait_for(lambda: dead_letters(relay), "a dead letter")[0]
    assert (letter["attempts"], letter["error"]) == (1, error)
    assert len(endpoint.requests) == 1 and not elsewhere.requests
    assert webhook(relay)["resting_until"] is None  # it does answer


def test_later_where_it_asks_for_that(make_daemon, make_endpoint, hop):
    replies = [answer(429, b"Retry-After: 1\r\n"), OK]
    endpoint = make_endpoint(lambda request: replies.pop(0))
    relay = make_daemon(hop.address, one(endpoint.url, QUICK))
    send(relay, "b@no.test")
    wait_for(lambda: not replies, "two requests")
    assert endpoint.requests[1].at - endpoint.requests[0].at >= 0.95


def test_nothing_is_forgotten_when_it_is_killed(make_daemon, make_endpoint, hop):
    """It is told of what was answered 250 a moment before the power went."""
    endpoint = make_endpoint(lambda request: "hang")
    relay = make_daemon(hop.address, one(endpoint.url, QUICK, events="[accepted, dropped]"))
    messages = [send(relay, "b@no.test") for _ in range(5)]
    wait_for(lambda: endpoint.requests, "the first to be told")
    relay.kill()
    endpoint.answer = lambda request: OK
    before = len(endpoint.requests)
    relay.start()
    wait_for(lambda: len(told(endpoint)) == before + 10, "all of them to be told, now")
    events = told(endpoint)[before:]
    assert {(event["message"], event["type"]) for event in events} == {
        (message, kind) for message in messages for kind in ("accepted", "dropped")}
    # What was under way then has kept its id.
    assert {event["id"] for event in told(endpoint)[:before]} <= {event["id"] for event in events}


def test_slow_and_endless_answers(make_daemon, make_endpoint, hop):
    """Time is limited, and so is what is read; neither stands in the way of another endpoint, nor of
    mail (P6)."""
    slow = make_endpoint(lambda request: "hang")
    long = make_endpoint(lambda request: answer(200, body=b"x" * 5_000_000))
    relay = make_daemon(hop.address, (
        'webhooks: [{name: slow, url: "%s", events: [dropped], timeout: 1s, concurrency: 2,'
        ' schedule: [1h]}, {name: long, url: "%s", events: [dropped]}]\n' % (slow.url, long.url)))
    for i in range(6):
        send(relay, "b%d@no.test" % i)
    wait_for(lambda: webhook(relay, "long")["sent"] == 6, "all to be told")
    assert webhook(relay, "long")["failed"] == 0
    wait_for(lambda: webhook(relay, "slow")["failed"], "it to be given up")
    state = webhook(relay, "slow")
    assert "timed out" in state["last_error"].lower() and state["resting_until"]
    assert slow.most_at_once <= 2 and state["waiting"] == 6
    assert 1 <= len(slow.requests) <= 2


def test_certificates_are_verified(make_daemon, make_endpoint, hop, tmp_path):
    """Of an authority that is trusted, or nothing is sent."""
    authority = Authority(tmp_path)
    certificate, key = authority.sign("server", "/CN=localhost")
    endpoint = make_endpoint()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    endpoint.wrap = lambda client: context.wrap_socket(client, server_side=True)
    url = "https://localhost:%d/" % endpoint.port
    relay = make_daemon(hop.address, one(url, QUICK))
    send(relay, "b@no.test")
    letter = wait_for(lambda: dead_letters(relay), "a dead letter")[0]
    assert "certificate" in letter["error"] and not endpoint.requests
    relay.write_config(one(url, QUICK + ', tls_ca: "%s"' % authority.certificate))
    relay.hup()
    wait_for(lambda: "new configuration" in relay.log(), "the reload")
    relay.post("/webhooks/dead-letters/retry")
    wait_for(lambda: webhook(relay)["sent"] == 1, "it to be sent")
    assert is_signed(endpoint.requests[0])


def test_secrets_are_shown_nowhere(make_daemon, make_endpoint, hop, tmp_path):
    """Neither the key nor the URL, which often is one: in no log, no answer and no argument."""
    endpoint = make_endpoint(lambda request: answer(500))
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery staple\n")
    secret.chmod(0o600)
    url = "http://someone:s3cr3t@127.0.0.1:%d/T0ken/x?key=k3y" % endpoint.port
    relay = make_daemon(hop.address, (
        'webhooks: [{name: a, url: "%s", events: [dropped], secret_file: "%s", %s},'
        ' {name: b, url: "%s", events: [dropped], secret: "%s", %s}]\n'
        % (url, secret, QUICK, url, SECRET, QUICK)))
    send(relay, "b@no.test")
    wait_for(lambda: len(dead_letters(relay)) == 2, "dead letters")
    shown = [relay.log()]
    shown += [relay.request("GET", path).body.decode() for path in (
        "/api/v1/settings", "/api/v1/webhooks", "/api/v1/webhooks/dead-letters", "/api/v1/status",
        "/api/v1/audit", "/metrics")]
    for text in shown:
        for hidden in ("correct horse", SECRET, SECRET[6:], "s3cr3t", "T0ken", "k3y"):
            assert hidden not in text
    assert webhook(relay, "a")["place"] == "http://127.0.0.1:%d" % endpoint.port
    key = b"correct horse battery staple"
    signatures = set()
    for request in endpoint.requests:
        text = b"%s.%s.%s" % (request["webhook-id"].encode(), request["webhook-timestamp"].encode(),
                              request.body)
        signatures.add(request["webhook-signature"] == "v1," + base64.b64encode(
            hmac.new(key, text, hashlib.sha256).digest()).decode())
        assert request.line == "POST /T0ken/x?key=k3y HTTP/1.1"
    assert signatures == {True, False}  # of a, and of b


def test_a_reload_changes_who_is_told(make_daemon, make_endpoint, hop):
    first, second = make_endpoint(), make_endpoint(lambda request: answer(500))
    relay = make_daemon(hop.address)
    assert relay.get("/webhooks") == {"items": [], "next": None}
    send(relay, "b@no.test")

    def use(*endpoints):
        relay.write_config("webhooks: [%s]\n" % ", ".join(
            '{name: %s, url: "%s", events: [dropped], schedule: [1h]}' % pair for pair in endpoints))
        relay.hup()
        wait_for(lambda: [i["name"] for i in relay.get("/webhooks")["items"]] == [
            name for name, _ in endpoints], "the reload")

    use(("one", first.url), ("two", second.url))
    message = send(relay, "b@no.test")
    wait_for(lambda: webhook(relay, "one")["sent"] and webhook(relay, "two")["failed"], "both")
    assert [event["message"] for event in told(first)] == [message]
    use(("one", first.url))
    letter = wait_for(lambda: dead_letters(relay), "what waited for the other one")[0]
    assert (letter["webhook"], letter["error"]) == ("two", "there is no webhook of this name any more")
    retry = relay.request("POST", "/api/v1/webhooks/dead-letters/%d/retry" % letter["id"])
    assert retry.status == 409
    use(("one", first.url), ("two", second.url))
    second.answer = lambda request: OK
    assert relay.post("/webhooks/dead-letters/retry").json == {"changed": 1}
    wait_for(lambda: webhook(relay, "two")["sent"] == 1, "it to be sent after all")


def test_what_is_wanted_and_what_is_kept(make_daemon, make_endpoint, hop):
    """Of one scope; no more than max_waiting and max_dead_letters; what a dry run did is told to
    nobody."""
    scoped = make_endpoint()
    full = make_endpoint(lambda request: answer(503))
    dead = make_endpoint(lambda request: answer(400))
    relay = make_daemon(hop.address, (
        'webhooks: [{name: scoped, url: "%s", events: [dropped], scope: shop},'
        ' {name: full, url: "%s", events: [dropped], max_waiting: 2, schedule: [1h]},'
        ' {name: dead, url: "%s", events: [dropped, released], max_dead_letters: 2}]\n'
        % (scoped.url, full.url, dead.url)))
    messages = [send(relay, "b@no.test") for _ in range(4)]
    wait_for(lambda: webhook(relay, "dead")["failed"] == 4, "four refusals")
    letters = wait_for(lambda: len(dead_letters(relay)) == 2 and dead_letters(relay), "the newest")
    assert {letter["event"]["message"] for letter in letters} <= set(messages)
    state = webhook(relay, "full")
    assert (state["waiting"], state["lost"]) == (2, 2)
    assert "more are lost" in relay.log()
    relay.allow("no.test")
    dry = relay.post("/recipients/release", {"address": "no.test", "dry_run": True}).json
    assert dry["count"] == 4
    released = relay.post("/messages/%s/release" % messages[0])
    assert released.status == 200
    wait_for(lambda: webhook(relay, "dead")["failed"] == 5, "the release that was one")
    assert [r.json["type"] for r in dead.requests] == ["dropped"] * 4 + ["released"]
    assert not scoped.requests


@pytest.mark.parametrize("text, mistake", [
    ("{events: [dropped]}", "url: "),
    ('{url: "ftp://x/", events: [dropped]}', "http://, https:// or unix: was expected"),
    ('{url: "http://x/", events: [droped]}', "did you mean dropped?"),
    ('{url: "http://x/"}', "events: "),
    ('{url: "http://x/", events: [dropped], secret: short}', "a secret has at least 16 octets"),
    ('{url: "http://x/", events: [dropped], secret: "whsec_!"}', "base64 was expected"),
    ('{url: "http://x/", events: [dropped], secret_file: /nonexistent}', "secret_file: "),
    ('{url: "http://x/", events: [dropped]}, {url: "http://y/", events: [dropped]}', "name: "),
])
def test_mistakes_in_the_configuration(make_daemon, hop, text, mistake):
    relay = make_daemon(hop.address, "webhooks: [%s]\n" % text, start=False)
    done = subprocess.run([STAGEPOSTD, "-c", relay.config, "--check-config"], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 78 and mistake in done.stderr, done.stderr
    assert "whsec_!" not in done.stderr and "short" not in done.stderr
