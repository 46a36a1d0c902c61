"""policy.hook and logins: those it gives for a next hop (C9), and those it is asked about (C12)."""

import base64
import sqlite3
import subprocess

import pytest

from daemon import STAGEPOST, Smtp, wait_for
from hook import OK, Hook, decisions, nginx
from nexthop import Conversation, NextHop
from test_hook import MESSAGE, SENDER, recipient, send

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
