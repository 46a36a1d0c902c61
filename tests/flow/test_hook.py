"""policy.hook: a script of somebody's is asked about every recipient (MTA 1.2, 1.3, C1 to C14)."""

import re
import subprocess
import threading
import time

import pytest

from daemon import SANITIZED, STAGEPOST, Smtp, free_port, wait_for
from hook import OK, Hook, decisions, nginx
from nexthop import NextHop
from test_breaker import metrics, tool

MESSAGE = b"From: shop@app.test\r\nSubject: order 1\r\nX-Tenant: blue\r\n\r\nhello\r\n"
SENDER = "s@app.test"


@pytest.fixture
def make_hook():
    made = []

    def make(answer=lambda request: OK, **how):
        made.append(Hook(answer, **how))
        return made[-1]

    yield make
    for hook in made:
        hook.close()


def settings(url, dialect="nginx", more="", schedule="[300ms, 500ms, 1s]", policy=""):
    return ('policy: {hook: {url: "%s", dialect: %s%s}%s}\ndelivery: {schedule: %s}\n'
            % (url, dialect, more, policy, schedule))


@pytest.fixture
def asking(make_daemon, make_hook, hop):
    """asking(answer, more): a daemon whose list allows ok.test, and its hook."""
    def start(answer=lambda request: OK, more="", dialect="nginx", **how):
        hook = make_hook(answer)
        relay = make_daemon(hop.address, settings(hook.url, dialect, more, **how))
        relay.allow("ok.test")
        return relay, hook
    return start


def send(relay, *recipients, content=MESSAGE):
    with Smtp(relay.smtp_port) as client:
        return client.send(SENDER, recipients, content)


def recipient(relay, message, address):
    return next(r for r in relay.message(message)["recipients"] if r["address"] == address)


# --- nginx's dialect ----------------------------------------------------------------------


def test_C1_every_recipient_of_every_message(asking, hop):
    """Also the second one, also in the second message of a session; each address once."""
    relay, hook = asking(lambda r: OK if "good" in r.recipient else nginx(Auth_Status="no"))
    with Smtp(relay.smtp_port) as client:
        first = client.send(SENDER, ["good1@ok.test", "bad1@ok.test", "good1@ok.test"], MESSAGE)
        second = client.send(SENDER, ["bad2@ok.test", "good2@ok.test", "x@other.test"], MESSAGE)
    relay.wait_states(first, {"good1@ok.test": "delivered", "bad1@ok.test": "dropped"})
    relay.wait_states(second, {"bad2@ok.test": "dropped", "good2@ok.test": "delivered",
                               "x@other.test": "dropped"})
    # C13: what the list refuses is not asked about.
    assert sorted(hook.recipients()) == [
        "bad1@ok.test", "bad2@ok.test", "good1@ok.test", "good2@ok.test"]
    assert sorted(hop.offered) == ["good1@ok.test", "good2@ok.test"]
    bad = recipient(relay, first, "bad1@ok.test")
    assert (bad["verdict"], bad["reason"]) == ("drop", "the policy hook: no")
    assert [h["event"] for h in bad["history"]] == ["accepted", "dropped"]
    good = recipient(relay, first, "good1@ok.test")
    assert [h["event"] for h in good["history"]] == ["accepted", "screened", "delivered"]


def test_C2_the_bytes_of_a_request(asking):
    relay, hook = asking(more=', headers: {X-Key: "s3 cret"}')
    with Smtp(relay.smtp_port, greet=False) as client:
        client.command("HELO client.test")
        assert client.command("mail FROM:<s@app.test> ")[0] == 250
        assert client.command("RCPT to:<a@ok.test>")[0] == 250
        assert client.command("Rcpt TO:<B@OK.test>  ")[0] == 250
        client.command("DATA")
        client.write(MESSAGE + b".\r\n")
        message = client.reply()[1].split()[-1]
    wait_for(lambda: len(hook.requests) == 2, "both requests")
    by_recipient = {request.recipient: request for request in hook.requests}
    for index, (address, line) in enumerate([("a@ok.test", "RCPT to:<a@ok.test>"),
                                             ("B@OK.test", "Rcpt TO:<B@OK.test>")]):
        assert by_recipient[address].head == (
            "GET /auth HTTP/1.0\r\n"
            "Host: 127.0.0.1\r\n"
            "Auth-Method: none\r\n"
            "Auth-User: \r\n"
            "Auth-Pass: \r\n"
            "Auth-Protocol: smtp\r\n"
            "Auth-Login-Attempt: 1\r\n"
            "Client-IP: 127.0.0.1\r\n"
            "Client-Host: [UNAVAILABLE]\r\n"
            "Auth-SMTP-Helo: client.test\r\n"
            "Auth-SMTP-From: mail FROM:<s@app.test>\r\n"
            "Auth-SMTP-To: %s\r\n"
            "X-Key: s3 cret\r\n"
            "X-Relay-Rcpt: %s\r\n"
            "X-Relay-Sender: s@app.test\r\n"
            "X-Relay-Login: \r\n"
            "X-Relay-Queue-Id: %s\r\n"
            "X-Relay-Rcpt-Index: %d\r\n"
            "X-Relay-Rcpt-Count: 2" % (line, address, message, index + 1)).encode()


# What is answered, and what becomes of the recipient (C5, C7, C11).
ANSWERS = {
    "ok": (OK, "delivered"),
    "no-status-but-server": (nginx(Auth_Server="127.0.0.1", Auth_Port="1"), "delivered"),
    "no-header-at-all": (b"HTTP/1.0 200 OK\r\n\r\n", "screening"),
    "not-found": (b"HTTP/1.0 404 Not Found\r\n\r\n", "screening"),
    "server-error": (b"HTTP/1.0 500 No\r\nContent-Length: 2\r\n\r\nno", "screening"),
    "status-counts-not-403": (b"HTTP/1.0 403 No\r\nAuth-Status: OK\r\n\r\n", "delivered"),
    "body-is-ignored": (OK + b"x" * 300000, "delivered"),
    "denied": (nginx(Auth_Status="Invalid login"), "dropped"),
    "denied-5yz": (nginx(Auth_Status="no", Auth_Error_Code="550 5.1.1", Auth_Wait="3"), "dropped"),
    "database-down": (nginx(Auth_Status="later", Auth_Error_Code="451 4.3.0"), "screening"),
    "wait": (nginx(Auth_Status="WAIT", Auth_Wait="60"), "screening"),
    "bad-server": (nginx(Auth_Status="OK", Auth_Server="a b", Auth_Port="25"), "screening"),
    "no-port": (nginx(Auth_Status="OK", Auth_Server="127.0.0.1"), "screening"),
    "closed": (None, "screening"),
    "cut-off": (b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n", "screening"),
    "cut-off-body": (b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nContent-Length: 9\r\n\r\nx",
                     "delivered"),
    "broken-chunks": (b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      b"zz\r\n", "delivered"),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Auth-Status\r\n\r\n"
                b"0\r\nAuth-Status: OK\r\n\r\n", "screening"),
    "continue": (b"HTTP/1.1 100 Continue\r\nAuth-Status: no\r\n\r\n" + OK, "delivered"),
    "early-hints": (b"HTTP/1.1 103 Early Hints\r\nAuth-Status: OK\r\n\r\n", "screening"),
    "redirect": (b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "screening"),
    "gzip": (b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nContent-Encoding: gzip\r\n\r\nx",
             "delivered"),
    "endless-body": (OK + b"x" * (3 << 20), "delivered"),
    "http-0.9": (b"Auth-Status: OK\r\n\r\n", "screening"),
    "bare-cr": (b"HTTP/1.0 200 OK\r\nX: y\rAuth-Status: OK\r\n\r\n", "screening"),
    "nonsense": (b"220 smtp.test ready\r\n", "screening"),
    "half-a-header": (b"HTTP/1.0 200 OK\r\nAuth-Sta", "screening"),
    "header-of-16k": (nginx(Auth_Status="OK", X_Pad="x" * 15000), "delivered"),
    "header-too-large": (nginx(Auth_Status="OK", X_Pad="x" * 20000), "screening"),
}


def test_C5_answers(asking, hop):
    relay, hook = asking(lambda r: ANSWERS[r.recipient.split("@")[0]][0], schedule="[1m]")
    # Each in a message of its own: a rest after a broken answer holds up the next ones.
    names = sorted(ANSWERS, key=lambda name: ANSWERS[name][1])
    messages = {name: send(relay, name + "@ok.test") for name in names}
    wait_for(lambda: len(set(hook.recipients())) == len(ANSWERS), "all of them")
    for name, message in messages.items():
        relay.wait_states(message, {name + "@ok.test": ANSWERS[name][1]})
        if ANSWERS[name][1] == "screening":
            wait_for(lambda: recipient(relay, message, name + "@ok.test")["next_attempt_at"],
                     "when %s is asked about again" % name)
            wait_for(lambda: recipient(relay, message, name + "@ok.test")["reason"].startswith(
                "the policy hook: "), "the reason of " + name)
    assert sorted(hop.offered) == sorted(
        name + "@ok.test" for name, (_, state) in ANSWERS.items() if state == "delivered")
    status = relay.get("/status")["hook"]
    assert status["dialect"] == "nginx"
    assert status["waiting"] == sum(state == "screening" for _, state in ANSWERS.values())
    assert status["allowed"] == len(hop.offered) and status["dropped"] == 2
    assert status["undecided"] >= status["waiting"]
    numbers = metrics(relay)
    assert numbers['stagepost_hook_recipients_total{decision="drop"}'] == 2
    assert numbers["stagepost_hook_requests_total"] >= len(ANSWERS)
    assert numbers['stagepost_queue_recipients{state="screening"}'] == status["waiting"]


def test_C3_C6_asked_again_until_there_is_a_decision(asking, hop):
    """Each try of a recipient counts, and is a line of its history."""
    def answer(request):
        if request["Auth-Login-Attempt"] == "3":
            return OK
        return nginx(Auth_Status="busy", Auth_Error_Code="451")
    relay, hook = asking(answer)
    message = send(relay, "a@ok.test")
    relay.wait_states(message, {"a@ok.test": "delivered"})
    assert [r["Auth-Login-Attempt"] for r in hook.requests] == ["1", "2", "3"]
    assert "deliver=0 drop=0 bytes=" in relay.log() and " screen=1" in relay.log()
    events = [h["event"] for h in recipient(relay, message, "a@ok.test")["history"]]
    assert events == ["accepted", "undecided", "undecided", "screened", "delivered"]


def test_WAIT_counts_no_attempt(asking):
    answers = [nginx(Auth_Status="WAIT", Auth_Wait="1"), nginx(Auth_Status="WAIT"), OK]
    relay, hook = asking(lambda r: answers.pop(0))
    relay.wait_states(send(relay, "a@ok.test"), {"a@ok.test": "delivered"})
    assert [r["Auth-Login-Attempt"] for r in hook.requests] == ["1", "1", "1"]
    assert all(b.at - a.at > 0.9 for a, b in zip(hook.requests, hook.requests[1:]))


def test_canonical_commands(asking):
    """C4: scripts that read RCPT with the manual's example in mind."""
    relay, hook = asking(more=", commands: canonical")
    with Smtp(relay.smtp_port) as client:
        assert client.command("MAIL FROM:<s@app.test> SIZE=10")[0] == 250
        assert client.command("rcpt TO:<a@ok.test> ORCPT=rfc822;x@y.test")[0] == 250
        client.command("DATA")
        client.write(MESSAGE + b".\r\n")
        client.reply()
    request = wait_for(lambda: hook.requests, "the request")[0]
    assert request["Auth-SMTP-From"] == "MAIL FROM: <s@app.test>"
    assert request["Auth-SMTP-To"] == "RCPT TO: <a@ok.test>"


def test_C8_C10_the_hook_chooses_the_next_hop(asking, hop):
    """One transaction for each; the failure of one is not that of the others."""
    other = NextHop()
    dead = free_port()
    ports = {"other": other.port, "dead": dead}

    def answer(request):
        port = ports.get(request.recipient.split("@")[0].rstrip("0123456789"))
        return nginx(Auth_Status="OK", Auth_Server="127.0.0.1", Auth_Port=port) if port else OK

    try:
        relay, _ = asking(answer, ", allow_route: true", schedule="[5s]")
        message = send(relay, "a@ok.test", "other1@ok.test", "dead@ok.test", "other2@ok.test")
        relay.wait_states(message, {"a@ok.test": "delivered", "other1@ok.test": "delivered",
                                    "other2@ok.test": "delivered", "dead@ok.test": "deferred"})
        assert hop.offered == ["a@ok.test"]
        assert sorted(other.offered) == ["other1@ok.test", "other2@ok.test"]
        assert "127.0.0.1:%d" % dead in recipient(relay, message, "dead@ok.test")["reason"]
        # The route itself is well.
        later = send(relay, "b@ok.test")
        relay.wait_states(later, {"b@ok.test": "delivered"})
    finally:
        other.close()


def test_C8_never_ourselves(asking, hop):
    relay, hook = asking(lambda r: nginx(
        Auth_Status="OK", Auth_Server="127.0.0.1", Auth_Port=relay.smtp_port), ", allow_route: true")
    message = send(relay, "a@ok.test")
    wait_for(lambda: recipient(relay, message, "a@ok.test")["state"] in ("deferred", "failed"),
             "the loop to be seen")
    assert hop.offered == [] and relay.get("/status")["accepted"] == 1


def test_no_route_unless_it_may(asking, hop):
    relay, _ = asking(lambda r: nginx(Auth_Status="OK", Auth_Server="127.0.0.1", Auth_Port="1"))
    relay.wait_states(send(relay, "a@ok.test"), {"a@ok.test": "delivered"})


# --- json -----------------------------------------------------------------------------------


def test_json_one_request_a_message(asking, hop):
    def answer(request):
        return decisions(request, b={"verdict": "drop", "reason": "b is away"}, c="hold",
                         d={"verdict": "redirect", "redirect_to": "qa@ok.test"},
                         e={"verdict": "redirect", "redirect_to": "qa@ok.test"},
                         f={"verdict": "redirect", "redirect_to": "x@other.test"})
    relay, hook = asking(answer, dialect="json", more=", headers: {X-Key: k}")
    message = send(relay, *("%s@ok.test" % c for c in "abcdef"), "no@other.test")
    relay.wait_states(message, {
        "a@ok.test": "delivered", "b@ok.test": "dropped", "c@ok.test": "held",
        "d@ok.test": "redirected", "e@ok.test": "redirected", "f@ok.test": "redirected",
        "no@other.test": "dropped", "qa@ok.test": "delivered", "x@other.test": "dropped"})
    assert len(hook.requests) == 1
    request = hook.requests[0]
    assert request.line == "POST /auth HTTP/1.1" and request["X-Key"] == "k"
    question = request.json
    assert question["id"] == message and question["sender"] == SENDER
    assert question["client"]["address"] == "127.0.0.1"
    assert question["client"]["helo"] == "client.test"
    assert question["header"] == [{"name": "From", "value": "shop@app.test"},
                                  {"name": "Subject", "value": "order 1"},
                                  {"name": "X-Tenant", "value": "blue"}]
    assert question["header_whole"] is True and question["recipient_count"] == 7
    assert [r["address"] for r in question["recipients"]] == ["%s@ok.test" % c for c in "abcdef"]
    assert sorted(hop.offered) == ["a@ok.test", "qa@ok.test"]
    assert recipient(relay, message, "b@ok.test")["reason"] == "the policy hook: b is away"
    # Whoever releases what the hook held has decided; what it dropped is asked about once more.
    relay.post("/messages/%s/release" % message, {"recipients": ["c@ok.test"]})
    wait_for(lambda: "c@ok.test" in hop.offered, "the released one")
    assert len(hook.requests) == 1
    relay.post("/messages/%s/release" % message, {"recipients": ["b@ok.test"]})
    wait_for(lambda: len(hook.requests) == 2, "the question")
    relay.wait_states(message, dict(relay.states(message), **{"b@ok.test": "dropped"}))
    assert "b@ok.test" not in hop.offered


def test_json_undecided_ones_are_asked_about_alone(asking, hop):
    def answer(request):
        return decisions(request, b=None if len(hook.requests) < 3 else "deliver")
    relay, hook = asking(answer, dialect="json")
    message = send(relay, "a@ok.test", "b@ok.test")
    relay.wait_states(message, {"a@ok.test": "delivered", "b@ok.test": "delivered"})
    assert [[r["address"] for r in q.json["recipients"]] for q in hook.requests] == [
        ["a@ok.test", "b@ok.test"], ["b@ok.test"], ["b@ok.test"]]
    assert [q.json["recipients"][-1]["attempt"] for q in hook.requests] == [1, 2, 3]


def test_json_what_is_asked_about_together_stays_together(asking, hop):
    """A retry has its jitter once, not for each recipient: one request a message."""
    names = ["r%d@ok.test" % i for i in range(50)]
    relay, hook = asking(lambda r: decisions(r) if len(hook.requests) == 3
                         else b"HTTP/1.1 503 No\r\n\r\n", dialect="json", schedule="[1s]")
    message = send(relay, *names)
    relay.wait_states(message, {name: "delivered" for name in names})
    assert [len(q.json["recipients"]) for q in hook.requests] == [50, 50, 50]


def test_cache(asking, hop):
    relay, hook = asking(decisions, dialect="json", more=", cache: 1m")
    for number in range(3):
        content = b"Message-ID: <%d@app.test>\r\n" % number + MESSAGE
        relay.wait_states(send(relay, "a@ok.test", content=content), {"a@ok.test": "delivered"})
    assert len(hook.requests) == 1
    # Anything else in the question is another question.
    send(relay, "a@ok.test", content=b"X-Order: 2\r\n" + MESSAGE)
    wait_for(lambda: len(hop.offered) == 4, "the fourth")
    assert len(hook.requests) == 2
    status = relay.get("/status")["hook"]
    assert (status["requests"], status["cached"], status["allowed"]) == (2, 2, 4)


def test_header_is_shown_within_limits(asking):
    relay, hook = asking(decisions, dialect="json")
    content = b"X-Bytes: \xff\xfe\r\nX-Fold: a\r\n b\r\n" + b"X-Long: " + b"y" * 900 + b"\r\n"
    content += b"".join(b"X-%d: %s\r\n" % (i, b"z" * 900) for i in range(100)) + b"\r\nbody\r\n"
    send(relay, "a@ok.test", content=content)
    question = wait_for(lambda: hook.requests, "the question")[0].json
    assert question["header"][:2] == [{"name": "X-Bytes", "value": "??"},
                                      {"name": "X-Fold", "value": "a b"}]
    assert question["header_whole"] is False and 50 < len(question["header"]) < 90


# --- nobody answers -------------------------------------------------------------------------


def test_C6_a_dead_hook_costs_nothing(make_daemon, make_hook, hop):
    """4,000 recipients wait for it without work; then it comes, and all of them go."""
    port = free_port()
    relay = make_daemon(hop.address, settings("http://127.0.0.1:%d/auth" % port, "json",
                                              ", timeout: 60s", schedule="[1s]"))
    relay.allow("ok.test")
    messages = [send(relay, *("r%d@ok.test" % i for i in range(1000))) for _ in range(4)]
    wait_for(lambda: relay.get("/status")["hook"]["last_error"], "the first failure")
    time.sleep(2.5)
    before, begin = relay.cpu_seconds(), time.monotonic()
    time.sleep(2)
    used = (relay.cpu_seconds() - before) / (time.monotonic() - begin)
    print("CPU with 4,000 waiting: %.2f %%" % (used * 100))
    assert used < 0.02 or SANITIZED
    status = relay.get("/status")
    assert status["queue"]["recipients"]["screening"] == 4000
    assert status["hook"]["reachable"] is False and hop.offered == []
    assert any("the policy hook does not answer, 4000 recipients wait" in w
               for w in status["warnings"])
    assert relay.log().count("nobody answers") == 1
    assert re.search("Policy hook +DOES NOT ANSWER: .*waiting: 4000", tool(relay, "status"))
    hook = make_hook(decisions, port=port)
    relay.hup()
    wait_for(lambda: relay.get("/status")["queue"]["recipients"].get("delivered") == 4000,
             "all of them", timeout=120)
    assert "outcome=undecided" not in relay.log()
    assert len(hook.requests) == len(messages)
    # Nobody saw the questions before: this is the first attempt.
    assert {r["attempt"] for q in hook.requests for r in q.json["recipients"]} == {1}


@pytest.mark.parametrize("on_error,state", [("hold", "held"), ("drop", "dropped")])
def test_on_error(asking, hop, on_error, state):
    relay, hook = asking(lambda r: b"HTTP/1.0 500 No\r\n\r\n", ", on_error: " + on_error)
    message = send(relay, "a@ok.test", "b@ok.test")
    relay.wait_states(message, {"a@ok.test": state, "b@ok.test": state})
    # A person's release is no way around it.
    hook.answer = lambda r: OK if r.recipient[0] == "a" else nginx(Auth_Status="no")
    relay.post("/messages/%s/release" % message, {})
    relay.wait_states(message, {"a@ok.test": "delivered", "b@ok.test": "dropped"})
    assert hop.offered == ["a@ok.test"]


def test_C6_expires_undecided(make_daemon, make_hook, hop):
    """Like any other recipient, and its sender is told."""
    hook = make_hook(lambda r: OK if r["Auth-SMTP-From"] == "MAIL FROM:<>" else None)
    relay = make_daemon(hop.address, 'policy: {hook: {url: "%s", dialect: nginx}}\n'
                        "delivery: {schedule: [300ms], expire_after: 2s}\n" % hook.url)
    relay.allow("ok.test", SENDER)
    message = send(relay, "a@ok.test")
    relay.wait_states(message, {"a@ok.test": "expired"})
    expired = recipient(relay, message, "a@ok.test")
    assert "expired undecided: the policy hook: " in expired["reason"], expired
    assert expired["attempts"] == 0
    report = wait_for(lambda: hop.messages, "the report")[0]
    assert report.recipients == [SENDER] and b"a@ok.test" in report.content
    # A person may try it again, and then it is asked about anew.
    hook.answer = lambda r: OK
    relay.post("/messages/%s/retry" % message, {})
    relay.wait_states(message, {"a@ok.test": "delivered"})


def test_P6_a_slow_hook_holds_up_nobody(asking, hop):
    """Accepting is as fast as without; at most `concurrency` questions wait."""
    relay, hook = asking(lambda r: "hang", ", concurrency: 3, timeout: 30s")

    def accept(to):
        begin = time.monotonic()
        with Smtp(relay.smtp_port) as client:
            for _ in range(100):
                client.send(SENDER, [to], MESSAGE)
        return time.monotonic() - begin

    quick = accept("x@other.test")  # dropped at once: nobody is asked
    slow = accept("a@ok.test")
    wait_for(lambda: hook.running == 3, "the questions")
    slow = min(slow, accept("a@ok.test"))
    print("100 messages: %.3f s without questions, %.3f s with" % (quick, slow))
    assert slow < 2 * quick + 0.5
    assert hook.most_at_once == 3 and hop.offered == []
    begin = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - begin < 10
    relay.start()


def test_a_timeout_is_no_decision(asking, hop):
    first = threading.Event()

    def answer(request):
        if first.is_set():
            return OK
        first.set()
        return "hang"

    relay, hook = asking(answer, ", timeout: 500ms")
    relay.wait_states(send(relay, "a@ok.test"), {"a@ok.test": "delivered"})
    assert [r["Auth-Login-Attempt"] for r in hook.requests] == ["1", "2"]


# --- whatever way it comes --------------------------------------------------------------------


def test_C14_a_kill_while_it_is_asked(asking, hop):
    """Asked again, decided once, delivered once."""
    relay, hook = asking(lambda r: OK if hook.released.is_set() else "hang", dialect="nginx")
    messages = [send(relay, "a%d@ok.test" % i, "b%d@ok.test" % i) for i in range(5)]
    wait_for(lambda: hook.running == 8, "the questions")
    relay.kill()
    hook.released.set()
    relay.start()
    for i, message in enumerate(messages):
        relay.wait_states(message, {"a%d@ok.test" % i: "delivered", "b%d@ok.test" % i: "delivered"})
    assert len(hop.offered) == len(set(hop.offered)) == 10
    assert relay.stop() == 0
    checked = subprocess.run([STAGEPOST, "dbcheck", "--data-dir", relay.data_dir],
                             capture_output=True)
    assert checked.returncode == 0, checked
    relay.start()


def test_P1_mail_that_is_queued_already(make_daemon, make_hook, hop):
    """A hook that comes with a reload is asked about what was accepted before; gone, it is not."""
    hook = make_hook(lambda r: OK if r.recipient[0] == "a" else nginx(Auth_Status="no"))
    relay = make_daemon(hop.address)
    relay.allow("ok.test")
    relay.post("/delivery/pause")
    message = send(relay, "a@ok.test", "b@ok.test")
    relay.write_config(settings(hook.url))
    relay.hup()
    wait_for(lambda: relay.get("/status")["hook"], "the new configuration")
    relay.post("/delivery/resume")
    relay.wait_states(message, {"a@ok.test": "delivered", "b@ok.test": "dropped"})
    assert hop.offered == ["a@ok.test"]
    hook.answer = lambda r: None
    waiting = send(relay, "b@ok.test")
    wait_for(lambda: len(hook.requests) > 2, "the question")
    relay.write_config("")
    relay.hup()
    relay.wait_states(waiting, {"b@ok.test": "delivered"})
    assert relay.get("/status")["hook"] is None
    assert "Policy hook" not in tool(relay, "status")


def test_P1_the_list_has_the_last_word(asking, hop):
    """The entry goes while the hook is asked, and its yes is worth nothing."""
    relay, hook = asking(lambda r: OK if hook.released.wait(20) else None)
    message = send(relay, "a@ok.test")
    wait_for(lambda: hook.running == 1, "the question")
    relay.remove(relay.get("/whitelist")["items"][0]["id"])
    hook.released.set()
    relay.wait_states(message, {"a@ok.test": "dropped"})
    assert hop.offered == []
    assert recipient(relay, message, "a@ok.test")["reason"].startswith("whitelist changed")


def test_a_person_decides_while_it_is_asked(asking, hop):
    relay, hook = asking(lambda r: OK if hook.released.wait(20) else None)
    message = send(relay, "a@ok.test", "b@ok.test")
    wait_for(lambda: hook.running == 2, "the questions")
    relay.post("/messages/%s/cancel" % message, {"recipients": ["a@ok.test"]})
    relay.post("/messages/%s/hold" % message, {"recipients": ["b@ok.test"]})
    hook.released.set()
    time.sleep(0.5)
    assert relay.states(message) == {"a@ok.test": "cancelled", "b@ok.test": "held"}
    assert hop.offered == []
    # Held by a person: its release goes the whole way.
    relay.post("/messages/%s/release" % message, {"recipients": ["b@ok.test"]})
    wait_for(lambda: hop.offered == ["b@ok.test"], "the released one")
    assert len(hook.requests) == 3


def test_unix_socket(make_daemon, make_hook, hop, tmp_path):
    hook = make_hook(path=tmp_path / "hook")
    relay = make_daemon(hop.address, settings("unix:%s:/auth?x=1" % (tmp_path / "hook")))
    relay.allow("ok.test")
    relay.wait_states(send(relay, "a@ok.test"), {"a@ok.test": "delivered"})
    assert hook.requests[0].head.startswith(b"GET /auth?x=1 HTTP/1.0\r\nHost: localhost\r\nAuth-Me")


# --- more than the list ------------------------------------------------------------------------


def test_overrides_whitelist(asking, hop):
    """What no entry names may go by the hook's word; what one denies, never, unasked."""
    relay, hook = asking(lambda r: OK if r.recipient[0] == "a" else nginx(Auth_Status="no"),
                         ", overrides_whitelist: true", policy=", default: reject")
    relay.post("/whitelist", {"pattern": "a@denied.test", "action": "deny"})
    with Smtp(relay.smtp_port) as client:
        message = client.send(SENDER, ["a@other.test", "b@other.test", "a@denied.test",
                                       '"a b"@other.test', "a@ok.test"], MESSAGE)
    relay.wait_states(message, {
        "a@other.test": "delivered", "b@other.test": "dropped", "a@denied.test": "dropped",
        '"a b"@other.test': "dropped", "a@ok.test": "delivered"})
    assert sorted(hook.recipients()) == ["a@ok.test", "a@other.test", "b@other.test"]
    assert sorted(hop.offered) == ["a@ok.test", "a@other.test"]
    allowed = recipient(relay, message, "a@other.test")
    assert (allowed["verdict"], allowed["entry"]) == ("deliver", None)
    assert any("overrides_whitelist" in w for w in relay.get("/status")["warnings"])


def test_overrides_whitelist_ends_with_it(asking, hop):
    """P1: mail that is queued on the hook's word stays here once that no longer counts."""
    relay, hook = asking(more=", overrides_whitelist: true")
    relay.post("/routes/test/pause")
    message = send(relay, "a@other.test")
    wait_for(lambda: relay.states(message) == {"a@other.test": "queued"}, "the hook's yes")
    relay.write_config(settings(hook.url))
    relay.hup()
    wait_for(lambda: relay.log().count("the new configuration is in force") == 1, "the reload")
    relay.post("/routes/test/resume")
    relay.wait_states(message, {"a@other.test": "dropped"})
    assert hop.offered == []
    assert recipient(relay, message, "a@other.test")["reason"].startswith(
        "the policy hook overrides the whitelist no more: no entry allows it")


def test_a_circle_of_redirects_ends_somewhere(asking, hop):
    def answer(request):
        return decisions(request, a={"verdict": "redirect", "redirect_to": "b@ok.test"},
                         b={"verdict": "redirect", "redirect_to": "a@ok.test"})
    relay, _ = asking(answer, dialect="json")
    message = send(relay, "a@ok.test", "b@ok.test")
    relay.wait_states(message, {"a@ok.test": "redirected", "b@ok.test": "dropped"})
    told = recipient(relay, message, "b@ok.test")
    assert told["verdict"] == "drop" and "circle" in told["reason"], told
    assert "No problem was found." in tool(relay, "dbcheck")
    assert hop.offered == []


def test_the_answer_of_a_hook_that_was_replaced_is_not_kept(make_daemon, make_hook, hop):
    """It counts for the recipient it was about, and for no other."""
    go = threading.Event()
    first = make_hook(lambda r: go.wait(20) and OK)
    second = make_hook(lambda r: nginx(Auth_Status="no"))
    more = ", timeout: 20s, cache: 10m"
    relay = make_daemon(hop.address, settings(first.url, more=more))
    relay.allow("ok.test")
    before = send(relay, "a@ok.test")
    wait_for(lambda: first.requests, "the request")
    relay.write_config(settings(second.url, "json", more))
    relay.hup()
    wait_for(lambda: relay.get("/status")["hook"]["dialect"] == "json", "the reload")
    relay.write_config(settings(second.url, more=more))
    relay.hup()
    wait_for(lambda: relay.get("/status")["hook"]["dialect"] == "nginx", "the reload")
    go.set()
    relay.wait_states(before, {"a@ok.test": "delivered"})
    relay.wait_states(send(relay, "a@ok.test"), {"a@ok.test": "dropped"})
    assert len(second.requests) == 1


def test_what_waits_for_a_hook_that_was_replaced_is_asked_anew(make_daemon, make_hook, hop):
    """In the new dialect; what nobody was asked about is not dropped by on_error."""
    go = threading.Event()
    first = make_hook(lambda r: go.wait(20) and OK)
    second = make_hook(lambda r: decisions(r))
    more = ", timeout: 20s, concurrency: 1, on_error: drop"
    relay = make_daemon(hop.address, settings(first.url, more=more))
    relay.allow("ok.test")
    message = send(relay, "a@ok.test", "b@ok.test")
    wait_for(lambda: first.requests, "the request")
    relay.write_config(settings(second.url, "json", more))
    relay.hup()
    wait_for(lambda: relay.get("/status")["hook"]["dialect"] == "json", "the reload")
    go.set()
    relay.wait_states(message, {"a@ok.test": "delivered", "b@ok.test": "delivered"})
    assert len(first.requests) == len(second.requests) == 1
