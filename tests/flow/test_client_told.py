"""The next hop is told of the original client: PROXY headers and XCLIENT, to those who read them."""

import os
import pathlib
import re
import shutil
import smtplib
import subprocess
import time

import pytest

from daemon import Listeners, free_port, wait_for
from postfix import configure

MESSAGE = "Subject: from an application\r\n\r\nhello\r\n"


class Pair:
    """A relay in front of a second daemon that believes what it is told."""

    def __init__(self, make_daemon, believes, route):
        self.second = Listeners(make_daemon, told=believes + ", trusted: [127.0.0.0/8]")
        self.second.daemon.start()
        if "tls: " not in route:
            route += ", tls: none"
        self.first = make_daemon(settings=(
            'routes: [{name: test, hosts: ["127.0.0.1:%d"], %s}]\n'
            % (self.second.ports["told"], route)))
        self.first.allow("example.com")

    def told(self):
        """What the second daemon stored: recipient to client."""
        items = self.second.daemon.all_items("/messages?include=recipients")
        return {m["recipients"][0]["address"]: m["client"] for m in items}


def send(daemon, source, helo, recipients):
    """A message each, on one connection; the port it came from."""
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, local_hostname=helo,
                      source_address=(source, 0)) as client:
        port = client.sock.getsockname()[1]
        for recipient in recipients:
            client.sendmail("app@example.com", [recipient], MESSAGE)
    return port


@pytest.mark.parametrize("believes, route", (
    ("proxy_protocol: true", "proxy_protocol: v1"),
    ("proxy_protocol: true", "proxy_protocol: v2"),
    ("xclient: true", "xclient: true"),
    ("proxy_protocol: true, xclient: true", "proxy_protocol: v2, xclient: true"),
))
def test_each_message_is_its_clients(make_daemon, believes, route):
    """Clients that send at once share the route, never a connection; one client's mail does."""
    pair = Pair(make_daemon, believes, route + ", max_connections: 3")
    want = {}
    for number in range(12):
        source = "127.0.0.%d" % (5 + number % 4)
        mine = ["r%d-%d@example.com" % (number, i) for i in range(3)]
        port = send(pair.first, source, "app%d.test" % number, mine)
        want.update({recipient: (source, port, number) for recipient in mine})
    wait_for(lambda: len(pair.told()) == len(want), "all of it")
    for recipient, client in pair.told().items():
        source, port, number = want[recipient]
        assert (client["address"], client["port"]) == (source, port), recipient
        if "xclient" in route:
            assert client["helo"] == "app%d.test" % number
        else:
            assert client["helo"] == "relay.test"


def test_one_clients_mail_shares_a_connection(make_daemon):
    """XCLIENT is said once for all that one client connection brought."""
    pair = Pair(make_daemon, "xclient: true", "xclient: true, max_connections: 1")
    send(pair.first, "127.0.0.5", "app.test", ["r%d@example.com" % i for i in range(10)])
    wait_for(lambda: len(pair.told()) == 10, "all of it")
    assert len(re.findall(r" xclient session=", pair.second.daemon.log())) <= 3


@pytest.mark.parametrize("believes, route", (
    ("tls: implicit, proxy_protocol: true", "tls: implicit, proxy_protocol: v2"),
    ("tls: starttls, auth: any, xclient: true",
     "tls: required, xclient: true, username: relay, password: secret"),
    ("tls: implicit, auth: any, proxy_protocol: true, xclient: true",
     "tls: implicit, proxy_protocol: v1, xclient: true, username: relay, password: secret"),
))
def test_together_with_tls_and_a_login(make_daemon, believes, route):
    """Header, TLS, XCLIENT, AUTH, in this order: XCLIENT would take a login back."""
    pair = Pair(make_daemon, believes, "tls_verify: false, " + route)
    ports = {}
    for number in range(3):
        source = "127.0.0.%d" % (5 + number)
        ports[source] = send(pair.first, source, "app.test", ["r%d@example.com" % number])
    wait_for(lambda: len(pair.told()) == 3, "all of it")
    for client in pair.told().values():
        assert client["port"] == ports[client["address"]]
        assert client["tls"].startswith("TLSv1.")
        assert client["user"] == ("relay" if "username" in route else None)


def test_nobody_is_made_up(make_daemon, tmp_path):
    """What came by a unix socket has no client: the relay speaks for itself."""
    for believes, route in (("proxy_protocol: true", "proxy_protocol: v2"),
                            ("proxy_protocol: true", "proxy_protocol: v1"),
                            ("xclient: true", "xclient: true")):
        pair = Pair(make_daemon, believes, route)
        path = tmp_path / ("door%d" % pair.first.smtp_port)
        pair.first.stop()
        pair.first.config.write_text(pair.first.config.read_text().replace(
            "listeners: [", 'listeners: [{address: "unix:%s", protocol: lmtp}, ' % path))
        pair.first.start()
        with smtplib.LMTP(str(path), local_hostname="app.test") as client:
            client.sendmail("app@example.com", ["ann@example.com"], MESSAGE)
        wait_for(lambda: pair.told(), "the message")
        client = pair.told()["ann@example.com"]
        assert (client["address"], client["helo"]) == ("127.0.0.1", "relay.test"), route


def test_who_does_not_take_it_gets_no_mail(make_daemon, hop):
    """And the recipient's history says why; without the key the mail goes on."""
    settings = 'routes: [{name: test, hosts: ["%s"], tls: none%s}]\n'
    relay = make_daemon(settings=settings % (hop.address, ", xclient: true"))
    relay.allow("example.com")
    send(relay, "127.0.0.5", "app.test", ["ann@example.com"])
    message = relay.get("/messages")["items"][0]["id"]

    def reason():
        return relay.message(message)["recipients"][0]["reason"] or ""
    wait_for(lambda: "the route wants XCLIENT and the next hop does not offer it" in reason(),
             "the reason")
    assert hop.offered == []
    relay.write_config(settings % (hop.address, ""))
    relay.hup()
    relay.wait_states(message, {"ann@example.com": "delivered"})


POSTFIX_MAIN = """\
local_recipient_maps =
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_relay_restrictions = permit_auth_destination, reject
relay_domains = example.com
transport_maps = static:discard
"""
POSTFIX_MASTER = """\
127.0.0.1:%d inet n - n - - smtpd
discard unix - - n - - discard
"""


@pytest.fixture
def postfix(tmp_path):
    """start(proxy="") gives port and a way to read its log."""
    if os.getuid() != 0 or not shutil.which("postfix", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("Postfix is not installed, or may not be started by who is not root")
    folder = pathlib.Path("/var/tmp/stagepost-postfix-%d" % os.getpid())
    etc = folder / "etc"

    def say(verb):
        subprocess.run(["/usr/sbin/postfix", "-c", etc, verb], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60)

    def start(proxy=""):
        port = free_port()
        folder.mkdir()
        configure(folder, POSTFIX_MAIN + proxy + "\n", POSTFIX_MASTER % port)
        say("start")
        log = folder / "mail.log"
        return port, lambda: log.read_text() if log.exists() else ""

    yield start
    if etc.exists():
        say("stop")
        # Its master is told and goes.
        deadline = time.monotonic() + 20
        while subprocess.run(["/usr/sbin/postfix", "-c", etc, "status"], check=False,
                             stderr=subprocess.DEVNULL).returncode == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        shutil.rmtree(folder)


@pytest.mark.parametrize("proxy, keys", (
    ("", "xclient: true"),
    ("smtpd_upstream_proxy_protocol = haproxy", "proxy_protocol: v1"),
    ("smtpd_upstream_proxy_protocol = haproxy", "proxy_protocol: v2, xclient: true"),
))
def test_postfix_believes_it(make_daemon, postfix, proxy, keys):
    """Its log names the client, by its name where XCLIENT told one, for every message."""
    port, log = postfix(proxy)
    relay = make_daemon(settings='routes: [{name: test, hosts: ["127.0.0.1:%d"], tls: none, %s}]\n'
                        % (port, keys))
    relay.allow("example.com")
    for number in range(4):
        send(relay, "127.0.0.%d" % (5 + number), "app%d.test" % number,
             ["r%d@example.com" % number] * 3)
    wait_for(lambda: log().count("status=sent") == 12, "twelve messages")
    for number in range(4):
        found = re.findall(r": client=\S*\[127\.0\.0\.%d\]" % (5 + number), log())
        assert len(found) == 3, log()
