"""policy.hook and logins: those it gives for a next hop (C9), and those it is asked about (C12)."""

import base64
import hmac
import sqlite3
import ssl
import subprocess
import time

import pytest

from certificates import Authority
from daemon import STAGEPOST, STAGEPOSTD, Smtp, wait_for
from hook import OK, Hook, decisions, nginx
from nexthop import Conversation, NextHop
from test_hook import MESSAGE, SENDER, recipient, send
from tlsclient import SecureSmtp

SECRET = "hop-s3cret-pass"


class LoginConversation(Conversation):
    user = None

    def on_command(self, verb, line):
        if verb == "AUTH":
            _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
            right = self.hop.users.get(user) == password
            self.user = user if right else None
            self.answer("auth", "235 2.7.0 Ok" if right else "535 5.7.8 No: " + password)
            with self.hop.lock:
                self.hop.tried.append((user, password))
            return
        if verb == "RCPT":
            with self.hop.lock:
                self.hop.users_of.append((self.user, line.split("<")[1].rstrip(">")))
        super().on_command(verb, line)


class LoginHop(NextHop):
    """AUTH PLAIN; notes who was logged in at each RCPT."""

    def __init__(self, **users):
        self.users = users
        self.tried = []
        self.users_of = []
        super().__init__(extensions=("PIPELINING", "AUTH PLAIN"))

    def converse(self, connection, number):
        return LoginConversation(self, connection, number)


@pytest.fixture
def hops():
    made = [LoginHop(route="route-pass", blue=SECRET, red="red-pass") for _ in range(2)]
    yield made
    for hop in made:
        hop.close()


@pytest.fixture
def routed(make_daemon, hops):
    """routed(answer): the route's own host is hops[0]; the hook may send mail to hops[1]."""
    made = []

    def start(answer, dialect="nginx", schedule="[1m]", more=", allow_route: true"):
        made.append(Hook(answer))
        relay = make_daemon(settings=(
            'policy: {hook: {url: "%s", dialect: %s%s}}\ndelivery: {schedule: %s}\n'
            'routes: [{name: test, hosts: ["%s"], tls: none, username: route,'
            " password: route-pass, auth_without_tls: true}]\n"
            % (made[0].url, dialect, more, schedule, hops[0].address)))
        relay.allow("ok.test")
        return relay, made[0]

    yield start
    for hook in made:
        hook.close()


def to_hop(hop, user=None, password=None, **more):
    fields = dict(Auth_Status="OK", Auth_Server="127.0.0.1", Auth_Port=hop.port, **more)
    if user is not None:
        fields.update(Auth_User=user, Auth_Pass=password)
    return nginx(**fields)


def rows(relay, sql):
    with sqlite3.connect("file:%s/stagepost.db?mode=ro" % relay.data_dir, uri=True) as database:
        return database.execute(sql).fetchall()


# --- C9: what the next hop is given -----------------------------------------------------------


def test_C9_C10_each_login_has_its_own_connection(routed, hops):
    answers = {"blue1": ("blue", SECRET), "blue2": ("blue", SECRET), "red": ("red", "red-pass")}

    def answer(request):
        name = request.recipient.split("@")[0]
        if name in answers:
            return to_hop(hops[1], *answers[name])
        if name == "nobody":
            return to_hop(hops[1], Auth_Method="None")
        # Without a password (for XCLIENT, says nginx) the route's own login is used.
        return to_hop(hops[1], "blue", "") if name == "there" else OK

    relay, _ = routed(answer)
    names = ["home", "blue1", "red", "nobody", "there", "blue2"]
    message = send(relay, *["%s@ok.test" % name for name in names])
    relay.wait_states(message, {"%s@ok.test" % name: "delivered" for name in names})
    assert hops[0].users_of == [("route", "home@ok.test")]
    assert len(hops[1].users_of) == 5 and set(hops[1].users_of) == {
        ("blue", "blue1@ok.test"), ("blue", "blue2@ok.test"), ("red", "red@ok.test"),
        (None, "nobody@ok.test"), ("route", "there@ok.test")}


def test_C9_json(routed, hops):
    route = "127.0.0.1:%d" % hops[1].port
    blue = {"verdict": "deliver", "route": route,
            "login": {"username": "blue", "password": SECRET}}
    relay, _ = routed(lambda r: decisions(
        r, blue=blue, azure=blue,
        nobody={"verdict": "deliver", "route": route, "login": False},
        broken={"verdict": "deliver", "route": route, "login": {"username": "x"}}), "json")
    message = send(relay, "blue@ok.test", "nobody@ok.test", "broken@ok.test", "azure@ok.test")
    relay.wait_states(message, {"blue@ok.test": "delivered", "nobody@ok.test": "delivered",
                                "broken@ok.test": "screening", "azure@ok.test": "delivered"})
    assert set(hops[1].users_of) == {
        (None, "nobody@ok.test"), ("blue", "blue@ok.test"), ("blue", "azure@ok.test")}
    # C10: who is decided on at the same time and has the same login shares a transaction.
    assert sorted(sorted(m.recipients) for m in hops[1].snapshot()) == [
        ["azure@ok.test", "blue@ok.test"], ["nobody@ok.test"]]


def test_C9_not_without_allow_route(routed, hops):
    relay, _ = routed(lambda r: to_hop(hops[1], "blue", SECRET), more="")
    relay.wait_states(send(relay, "a@ok.test"), {"a@ok.test": "delivered"})
    assert hops[0].users_of == [("route", "a@ok.test")] and hops[1].tried == []
    assert rows(relay, "SELECT login, hop FROM recipient") == [(None, None)]


@pytest.mark.parametrize("fields", [
    {"Auth_User": "x" * 251, "Auth_Pass": "p"}, {"Auth_User": "u", "Auth_Pass": "p" * 251},
    {"Auth_Pass": "p"}, {"Auth_User": "u\tv", "Auth_Pass": "p"}])
def test_C9_what_is_no_login_decides_nothing(routed, hops, fields):
    relay, hook = routed(lambda r: to_hop(hops[1], **fields))
    message = send(relay, "a@ok.test")
    wait_for(lambda: "no login" in (recipient(relay, message, "a@ok.test")["reason"] or ""),
             "the answer to be read")
    assert recipient(relay, message, "a@ok.test")["state"] == "screening"
    assert hops[1].tried == []


def test_C9_a_refused_login_is_nobody_elses(routed, hops):
    """Nor is it tried again at once; what the route logs in with is as good as before."""
    relay, _ = routed(lambda r: to_hop(hops[1], "blue", "wrong-" + SECRET)
                      if "blue" in r.recipient else
                      to_hop(hops[1], "red", "red-pass") if "red" in r.recipient else OK)
    message = send(relay, "blue@ok.test", "red@ok.test", "home@ok.test")
    relay.wait_states(message, {"blue@ok.test": "deferred", "red@ok.test": "delivered",
                                "home@ok.test": "delivered"})
    later = send(relay, "blue2@ok.test", "home2@ok.test", "red2@ok.test")
    relay.wait_states(later, {"blue2@ok.test": "deferred", "home2@ok.test": "delivered",
                              "red2@ok.test": "delivered"})
    assert hops[1].tried.count(("blue", "wrong-" + SECRET)) == 1
    assert 'login of "blue" refused' in recipient(relay, message, "blue@ok.test")["reason"]
    is_nowhere(relay, message, "wrong-" + SECRET)


def is_nowhere(relay, message, secret):
    """Not in what people see: API, log, history, export, queue show."""
    def tool(*arguments):
        return subprocess.run([STAGEPOST, "--data-dir", relay.data_dir, *arguments],
                              capture_output=True, check=True, timeout=60).stdout.decode()

    coded = base64.b64encode(secret.encode()).decode().rstrip("=")
    shown = {
        "message": relay.request("GET", "/api/v1/messages/" + message).body.decode(),
        "messages": relay.request(
            "GET", "/api/v1/messages?include=recipients").body.decode(),
        "recipients": relay.request("GET", "/api/v1/recipients").body.decode(),
        "status": relay.request("GET", "/api/v1/status").body.decode(),
        "routes": relay.request("GET", "/api/v1/routes").body.decode(),
        "audit": relay.request("GET", "/api/v1/audit").body.decode(),
        "metrics": relay.request("GET", "/metrics").body.decode(),
        "whitelist export": relay.request(
            "GET", "/api/v1/whitelist/export?format=json").body.decode(),
        "log": relay.log(), "queue show": tool("queue", "show", message),
        "queue show --json": tool("--json", "queue", "show", message),
        "queue list": tool("--json", "queue", "list"), "queue cat": tool("queue", "cat", message),
        "history": str(rows(relay, "SELECT * FROM history")),
    }
    for name, text in shown.items():
        assert text and secret not in text and coded not in text, name


def test_C9_the_secret_waits_with_the_recipient_and_ends_with_it(routed, hops):
    """Over a restart; however it ends. What is tried again is asked about again."""
    hops[1].replies = {"fails@ok.test": "550 5.1.1 No"}
    hops[1].final_replies = ["451 4.3.0 Not now"]
    relay, hook = routed(lambda r: to_hop(hops[1], "blue", SECRET), schedule="[1m]")
    message = send(relay, "a@ok.test", "fails@ok.test")
    relay.wait_states(message, {"a@ok.test": "deferred", "fails@ok.test": "failed"})
    query = "SELECT address, login IS NOT NULL, hop IS NOT NULL, permit FROM recipient"\
            " WHERE address LIKE '%@ok.test' ORDER BY 1"
    assert rows(relay, query) == [("a@ok.test", 1, 1, 1), ("fails@ok.test", 0, 0, 0)]
    is_nowhere(relay, message, SECRET)
    assert relay.stop() == 0
    relay.start()
    # Waiting for it or not: it is sent with the login it had, without another question.
    relay.request("POST", "/api/v1/messages/%s/retry" % message, {"recipients": ["a@ok.test"]})
    relay.wait_states(message, {"a@ok.test": "delivered", "fails@ok.test": "failed"})
    assert len(hook.requests) == 2
    assert rows(relay, "SELECT count(*) FROM recipient WHERE login IS NOT NULL") == [(0,)]
    is_nowhere(relay, message, SECRET)
    hops[1].replies = {}
    relay.request("POST", "/api/v1/messages/%s/retry" % message, {"recipients": ["fails@ok.test"]})
    relay.wait_states(message, {"a@ok.test": "delivered", "fails@ok.test": "delivered"})
    assert len(hook.requests) == 3
    assert {user for user, _ in hops[1].users_of} == {"blue"} and hops[0].tried == []
    assert rows(relay, "SELECT count(*) FROM recipient WHERE login IS NOT NULL") == [(0,)]


@pytest.mark.parametrize("verb, state", [("cancel", "cancelled"), ("hold", "held")])
def test_C9_what_a_person_ends(routed, hops, verb, state):
    hops[1].final_replies = ["451 4.3.0 Not now"]
    relay, _ = routed(lambda r: to_hop(hops[1], "blue", SECRET))
    message = send(relay, "a@ok.test")
    relay.wait_states(message, {"a@ok.test": "deferred"})
    relay.request("POST", "/api/v1/messages/%s/%s" % (message, verb), {})
    relay.wait_states(message, {"a@ok.test": state})
    # Held mail may go on as it was.
    assert rows(relay, "SELECT login IS NOT NULL FROM recipient") == [(state == "held",)]


def test_C9_the_cache_keeps_it(routed, hops):
    relay, hook = routed(lambda r: to_hop(hops[1], "blue", SECRET),
                         more=", allow_route: true, cache: 1h")
    for _ in range(2):
        message = send(relay, "a@ok.test")
        relay.wait_states(message, {"a@ok.test": "delivered"})
    assert len(hook.requests) == 1
    assert hops[1].users_of == [("blue", "a@ok.test")] * 2


# --- C12: what the script is asked about ------------------------------------------------------


YES = nginx(Auth_Status="OK")
TEXT = base64.b64encode(b"\0shop\0pa ss%").decode()


@pytest.fixture
def door(make_daemon, tmp_path):
    """door(answer): a listener whose logins a script knows."""
    made = []

    def start(answer, auth="[plain, login, cram-md5, external]", listener="auth: required",
              users="", more="", url=None):
        made.append(Hook(answer))
        relay = make_daemon(start=False)
        text = relay.config.read_text()
        old = 'listeners: [{address: "127.0.0.1:%d"}]\n' % relay.smtp_port
        assert old in text
        relay.config.write_text(text.replace(
            old, 'listeners: [{address: "127.0.0.1:%d", auth_without_tls: true, %s}]\n'
            % (relay.smtp_port, listener)) + 'policy: {hook: {url: "%s", dialect: nginx, auth: %s%s}}\n%s'
            % (url or made[-1].url, auth, more, users))
        relay.start()
        return relay, made[-1]

    yield start
    for hook in made:
        hook.close()


def test_C12_the_login_form(door):
    """MTA 1.2: PLAIN and LOGIN are plain, escaped; no Auth-SMTP-*; attempts of the session."""
    relay, hook = door(lambda r: nginx(Auth_Status="wrong") if r["Auth-Login-Attempt"] == "1"
                       else YES, more=", headers: {X-Key: k}", auth="[plain, login]")
    with Smtp(relay.smtp_port) as client:
        assert "AUTH PLAIN LOGIN" in client.command("EHLO client.test")[1]
        assert client.command("MAIL FROM:<%s>" % SENDER) == (530, "5.7.0 Authentication required")
        assert client.command("AUTH PLAIN " + TEXT) == (535, "5.7.0 wrong")
        assert client.command("AUTH LOGIN")[0] == 334
        assert client.command(base64.b64encode(b"shop").decode())[0] == 334
        assert client.command(base64.b64encode(b"other").decode())[0] == 235
        assert client.command("AUTH PLAIN " + TEXT)[0] == 503
        assert client.command("MAIL FROM:<%s>" % SENDER)[0] == 250
    assert [r.head.decode() for r in hook.requests] == [
        "GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: plain\r\nAuth-User: shop\r\n"
        "Auth-Pass: %s\r\nAuth-Protocol: smtp\r\nAuth-Login-Attempt: %d\r\n"
        "Client-IP: 127.0.0.1\r\nClient-Host: [UNAVAILABLE]\r\nX-Key: k" % (password, attempt)
        for attempt, password in ((1, "pa%20ss%25"), (2, "other"))]
    assert "pa ss" not in relay.log() and TEXT not in relay.log() and "pa%20" not in relay.log()
    assert "mechanism=LOGIN" in relay.log()


def test_C12_cram_md5(door):
    """The script gets challenge and digest, and knows the password."""
    relay, hook = door(lambda r: YES if hmac.new(
        b"s3cret", r["Auth-Salt"].encode(), "md5").hexdigest() == r["Auth-Pass"]
        else nginx(Auth_Status="no", Auth_Error_Code="550 5.1.1"))
    with Smtp(relay.smtp_port) as client:
        for password, want in ((b"wrong", (550, "5.1.1 no")), (b"s3cret", None)):
            code, text = client.command("AUTH CRAM-MD5")
            salt = base64.b64decode(text)
            assert code == 334 and salt.startswith(b"<") and salt.endswith(b">")
            digest = hmac.new(password, salt, "md5").hexdigest()
            answer = client.command(base64.b64encode(b"my shop " + digest.encode()).decode())
            assert answer == want or answer[0] == 235
            assert hook.requests[-1]["Auth-Salt"] == salt.decode()
    assert [(r["Auth-Method"], r["Auth-User"]) for r in hook.requests] == [
        ("cram-md5", "my%20shop")] * 2
    with Smtp(relay.smtp_port) as client:
        for nonsense in (b"shop", b"shop x", b"shop " + b"g" * 32, b" " + b"0" * 32, b"0" * 32):
            assert client.command("AUTH CRAM-MD5")[0] == 334
            assert client.command(base64.b64encode(nonsense).decode())[0] == 501
    assert len(hook.requests) == 2


# What is answered, and what the client is told.
LOGINS = {
    "ok": (YES, 235),
    "as-for-a-backend": (nginx(Auth_Server="127.0.0.1", Auth_Port="25"), 235),
    "denied": (nginx(Auth_Status="Invalid login"), 535),
    "denied-5yz": (nginx(Auth_Status="no", Auth_Error_Code="554 5.7.9"), 554),
    "odd-code": (nginx(Auth_Status="no", Auth_Error_Code="554 5.7.\r9"), 554),
    "no-code": (nginx(Auth_Status="no", Auth_Error_Code="554-5.7.9"), 535),
    "database-down": (nginx(Auth_Status="later", Auth_Error_Code="451 4.3.0"), 454),
    "nothing": (b"HTTP/1.0 200 OK\r\n\r\n", 454),
    "not-found": (b"HTTP/1.0 404 Not Found\r\n\r\n", 454),
    "no-header": (b"220 smtp.test ready\r\n", 454),
    "closed": (None, 454),
    "cut-off": (b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n", 454),
    "cut-off-body": (b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nContent-Length: 9\r\n\r\nx", 235),
    "too-long": (nginx(Auth_Status="OK", X_Pad="x" * 20000), 454),
    "early-hints": (b"HTTP/1.1 103 Early Hints\r\nAuth-Status: OK\r\n\r\n", 454),
    "lines": (nginx(Auth_Status="no\r250 2.0.0 Ok"), 535),
}


def test_C12_answers(door):
    """Whatever is no yes lets nobody in; without an answer it is 454 4.7.0."""
    relay, hook = door(lambda r: LOGINS[r["Auth-User"]][0], auth="[plain]")
    for name, (_, want) in LOGINS.items():
        with Smtp(relay.smtp_port) as client:
            code, text = client.command("AUTH PLAIN " + base64.b64encode(
                b"\0%s\0p" % name.encode()).decode())
            assert code == want, (name, code, text)
            assert (code, text) == (want, "4.7.0 Temporary authentication failure") or code != 454
            assert name != "odd-code" or text == "5.7.0 no"
            assert client.command("NOOP")[0] == 250, name
            assert client.command("MAIL FROM:<%s>" % SENDER)[0] == (250 if want == 235 else 530)
    assert len(hook.requests) == len(LOGINS)


def test_C12_wait_is_asked_again_with_the_same_attempt(door):
    answers = [nginx(Auth_Status="WAIT", Auth_Wait="0"), nginx(Auth_Status="WAIT"), YES]
    relay, hook = door(lambda r: answers.pop(0))
    with Smtp(relay.smtp_port) as client:
        assert client.command("AUTH PLAIN " + TEXT)[0] == 235
    assert [r["Auth-Login-Attempt"] for r in hook.requests] == ["1"] * 3
    answers = [nginx(Auth_Status="WAIT", Auth_Wait="60"), YES]
    with Smtp(relay.smtp_port) as client:
        assert client.command("AUTH PLAIN " + TEXT)[0] == 454


def test_C12_auth_wait_delays_the_refusal(door):
    """C7: and the session goes on."""
    relay, hook = door(lambda r: nginx(Auth_Status="no", Auth_Wait="2"))
    with Smtp(relay.smtp_port) as client:
        before = time.monotonic()
        assert client.command("AUTH PLAIN " + TEXT) == (535, "5.7.0 no")
        assert time.monotonic() - before >= 2
        assert client.command("NOOP")[0] == 250


def test_C12_P6_a_slow_script_holds_up_nobody(door):
    """As many logins as like to wait; other sessions on the same threads go on."""
    relay, hook = door(lambda r: "hang" if r["Auth-User"] == "slow" else YES,
                       more=", timeout: 10m, concurrency: 4")
    slow = [Smtp(relay.smtp_port) for _ in range(8)]
    try:
        for client in slow[:3]:
            client.write(b"AUTH PLAIN " + base64.b64encode(b"\0slow\0p") + b"\r\n")
        wait_for(lambda: hook.running == 3, "the slow questions")
        with Smtp(relay.smtp_port) as client:
            assert client.command("AUTH PLAIN " + TEXT)[0] == 235
        for client in slow[3:]:
            client.write(b"AUTH PLAIN " + base64.b64encode(b"\0slow\0p") + b"\r\n")
        wait_for(lambda: hook.running == 4, "the hook to be busy")
        with Smtp(relay.smtp_port) as client:
            assert client.command("NOOP")[0] == 250
        # One that goes away while it is asked about, and a stop that waits for none of them.
        slow.pop(0).socket.close()
        assert relay.stop() == 0
        for client in slow:
            assert client.reply()[0] in (421, 454)
    finally:
        for client in slow:
            client.socket.close()


def test_C12_a_reload_while_it_is_asked(door):
    """The old script has nothing to say any more; who logged in by it is logged out."""
    relay, hook = door(lambda r: "hang" if r["Auth-User"] == "slow" else YES)
    with Smtp(relay.smtp_port) as client, Smtp(relay.smtp_port) as other:
        assert other.command("AUTH PLAIN " + TEXT)[0] == 235
        client.write(b"AUTH PLAIN " + base64.b64encode(b"\0slow\0p") + b"\r\n")
        wait_for(lambda: hook.running == 1, "the question")
        relay.config.write_text(relay.config.read_text().replace(
            "auth: [plain, login, cram-md5, external]", "auth: []").replace(
                "auth: required", "auth: any"))
        relay.hup()
        wait_for(lambda: "the new configuration is in force" in relay.log(), "the reload")
        hook.released.set()
        assert client.reply()[0] == 454
        assert client.command("AUTH PLAIN " + TEXT)[0] == 235
        assert other.command("MAIL FROM:<%s>" % SENDER)[0] == 250
    assert "not a login by the new configuration" in relay.log()


def test_C12_external(door, tmp_path):
    """The script sees the certificate, and who the client would like to be."""
    ca = Authority(tmp_path / "ca")
    certificate, key = ca.sign("relay", "/CN=relay")
    relay, hook = door(
        lambda r: YES, listener='auth: required, tls: implicit, tls_certificate: "%s",'
        ' tls_key: "%s", tls_client_ca: "%s", tls_client: optional'
        % (certificate, key, ca.certificate))
    context = ssl.create_default_context(cafile=str(ca.certificate))
    context.load_cert_chain(*ca.sign("client", "/CN=client one"))
    for claim in ("=", base64.b64encode(b"bob").decode()):
        with SecureSmtp(relay.smtp_port, context, b"", "localhost") as client:
            assert "EXTERNAL" in client.command("EHLO client.test")[1]
            assert client.command("AUTH EXTERNAL " + claim)[0] == 235
    assert [(r["Auth-Method"], r["Auth-User"], r["Auth-Pass"]) for r in hook.requests] == [
        ("external", "CN=client%20one", ""), ("external", "bob", "")]
    assert {r["Auth-SSL-Subject"] for r in hook.requests} == {"CN=client one"}
    assert {r["Auth-SSL-Verify"] for r in hook.requests} == {"SUCCESS"}


def test_C12_the_users_file_has_the_scopes(door, tmp_path):
    """A name in it has its scope, and its password there counts for nothing."""
    users = tmp_path / "users"
    users.write_text("shop:{PLAIN}never:blue\n")
    users.chmod(0o600)
    relay, hook = door(lambda r: YES if r["Auth-Method"] == "plain" else OK,
                       users='users: {file: "%s"}\n' % users)
    relay.request("POST", "/api/v1/whitelist", {"pattern": "ok.test", "scope": "blue"})
    with Smtp(relay.smtp_port) as client:
        assert client.command("AUTH PLAIN " + TEXT)[0] == 235
        message = client.send(SENDER, ["a@ok.test"], MESSAGE)
    found = relay.message(message)
    assert found["client"]["user"] == "shop"
    # What the scope's list allows the hook is asked about.
    request = wait_for(lambda: next((r for r in hook.requests if r.recipient), None), "the hook")
    assert request["X-Relay-Login"] == "shop" and request["Auth-Method"] == "none"


@pytest.mark.parametrize("keys, error", [
    ('url: "", dialect: nginx, auth: [plain]', "with a url, and dialect: nginx, only"),
    ('url: "http://x/", auth: [plain]', "with a url, and dialect: nginx, only"),
    ('url: "http://x/", dialect: nginx, auth: [scram-sha-256]', "plain, login, cram-md5"),
    ('url: "http://x/", dialect: nginx, auth: [digest]', "plain, login, cram-md5"),
])
def test_C12_configuration(tmp_path, keys, error):
    config = tmp_path / "stagepost.yaml"
    config.write_text("data_dir: %s\npolicy: {hook: {%s}}\n" % (tmp_path / "data", keys))
    done = subprocess.run([STAGEPOSTD, "--check-config", "-c", config], capture_output=True,
                          timeout=60)
    assert done.returncode == 78 and error in done.stderr.decode()
