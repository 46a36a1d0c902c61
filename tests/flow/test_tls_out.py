"""TLS towards next hops: every mode behind every listener's, what the history says, files that
change (CASES S233, S234, S238; the faults are in tests/fault/test_next_hop_tls.py)."""

import base64
import hashlib
import json
import re
import ssl
import subprocess

import pytest

from certificates import Authority, openssl
from daemon import PATIENCE, STAGEPOST, Listeners, Smtp, queued_id, wait_for
from nexthop import Conversation, NextHop
from tlsclient import connect, trusting

MESSAGE = b"Subject: tls\r\n\r\nin and out\r\n"
VERIFIED = "TLSv1.3 TLS_AES_256_GCM_SHA384, verified"
MODES = ("none", "opportunistic", "required", "implicit")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def server_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def context(authority):
    return server_context(*authority.sign("hop", "/CN=hop"))


@pytest.fixture
def make_hop():
    hops = []

    def make(*arguments, **keys):
        hops.append(NextHop(*arguments, **keys))
        return hops[-1]

    yield make
    for hop in hops:
        hop.close()


class OneMessage(Conversation):
    """Closes behind each message, so that the next one is dialled for."""

    def on_data(self):
        super().on_data()
        self.connection.close()


def route(hop, **keys):
    """As YAML, which takes JSON."""
    return json.dumps({"name": "smart", "hosts": ["localhost:%d" % hop.port], **keys})


class Relay:
    """A daemon whose only route changes."""

    def __init__(self, make_daemon, **keys):
        self.daemon = make_daemon(start=False)
        self.base = self.daemon.config.read_text()
        self.configure(**keys)
        self.daemon.start()
        self.daemon.allow("allowed.test")

    def configure(self, hop, **keys):
        self.daemon.config.write_text(self.base + "routes: [%s]\n" % route(hop, **keys))

    def reload(self, hop, taken=True, **keys):
        words = ("the new configuration is in force" if taken
                 else "kept the old configuration")
        before = self.daemon.log().count(words)
        self.configure(hop, **keys)
        self.daemon.hup()
        wait_for(lambda: self.daemon.log().count(words) > before, words)

    def send(self):
        with Smtp(self.daemon.smtp_port) as client:
            return client.send("a@shop.test", ["ann@allowed.test"], MESSAGE)

    def last(self, message):
        return self.daemon.message(message)["recipients"][0]["history"][-1]

    def deliver(self):
        """What the history says of the TLS that took it."""
        message = self.send()
        self.daemon.wait_states(message, {"ann@allowed.test": "delivered"})
        return self.last(message)["tls"]

    def refused(self):
        """Why it is not delivered; it is taken back."""
        message = self.send()
        self.daemon.wait_states(message, {"ann@allowed.test": "deferred"})
        event = self.last(message)
        assert event["kind"] == "tls", event
        self.daemon.post("/messages/%s/cancel" % message)
        return event["reason"]


def test_any_listener_to_any_route(make_daemon, make_hop, authority, context):
    hops = {mode: make_hop(context=context if mode != "none" else None,
                           implicit=mode == "implicit") for mode in MODES}
    door = Listeners(make_daemon, none="tls: none", starttls="tls: starttls",
                     implicit="tls: implicit")
    routes = ", ".join(route(hop, name=mode, domains=[mode + ".test"], tls=mode,
                             **({"tls_ca": str(authority.certificate)} if mode != "none" else {}))
                       for mode, hop in hops.items())
    with door.daemon.config.open("a") as config:
        config.write("routes: [%s]\n" % routes)
    daemon = door.daemon.start()
    daemon.allow(*(mode + ".test" for mode in MODES))
    recipients = ["ann@%s.test" % mode for mode in MODES]
    trust = trusting(daemon.data_dir / "tls.crt")
    for name, port in door.ports.items():
        if name == "none":
            with Smtp(port) as client:
                message = client.send("a@shop.test", recipients, MESSAGE)
        else:
            with connect(port, trust, name == "implicit") as client:
                client.ehlo()
                assert client.mail("a@shop.test")[0] == 250
                assert all(client.rcpt(address)[0] == 250 for address in recipients)
                code, text = client.data(MESSAGE)
                message = queued_id((code, text.decode()))
        daemon.wait_states(message, {address: "delivered" for address in recipients})
        view = daemon.message(message)
        assert bool(view["client"]["tls"]) == (name != "none")
        tls = {r["address"]: r["history"][-1]["tls"] for r in view["recipients"]}
        assert tls.pop("ann@none.test") is None
        assert all(text.startswith(VERIFIED) for text in tls.values()), tls
    for mode, hop in hops.items():
        assert len(hop.snapshot()) == len(door.ports), mode
        assert all(m.content.endswith(b"\r\n" + MESSAGE) for m in hop.snapshot())


def test_s233_opportunistic_takes_what_there_is(make_daemon, make_hop, context):
    """The reason for clear text stands in the history; so does that nobody vouches for a name."""
    plain = make_hop()
    relay = Relay(make_daemon, hop=plain, tls="opportunistic")
    assert relay.deliver() == "none: the next hop does not offer STARTTLS"
    strange = make_hop(context=context)
    relay.reload(strange, tls="opportunistic")
    assert relay.deliver() == ("TLSv1.3 TLS_AES_256_GCM_SHA384, not verified: the certificate is "
                               "signed by nobody we trust (issuer CN=Test CA)")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broken = make_hop(context=old)  # offers STARTTLS and has no certificate
    relay.reload(broken, tls="opportunistic")
    assert relay.deliver() == "none: the next hop refuses TLS: handshake failure"
    assert broken.connections == 2
    shown = subprocess.run(
        [STAGEPOST, "--url", "http://127.0.0.1:%d" % relay.daemon.api_port, "--token-file",
         relay.daemon.data_dir / "admin.token", "queue", "show",
         relay.daemon.get("/messages?limit=1")["items"][0]["id"]],
        capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    assert ", TLS: none: the next hop refuses TLS" in " ".join(shown.split()), shown


def test_s234_in_status_and_history(make_daemon, make_hop, authority, context):
    """One sentence: which host, and what is the matter with its certificate."""
    hop = make_hop(context=context)
    relay = Relay(make_daemon, hop=hop, tls="required")
    sentence = ("localhost[127.0.0.1]:%d: the certificate is signed by nobody we trust "
                "(issuer CN=Test CA)" % hop.port)
    assert relay.refused() == sentence
    routes = relay.daemon.get("/routes")
    routes = routes["items"] if isinstance(routes, dict) else routes
    assert sentence in json.dumps(routes), routes
    assert 'error="%s"' % sentence in relay.daemon.log()
    relay.reload(hop, tls="required", tls_ca=str(authority.certificate))
    assert relay.deliver() == VERIFIED
    relay.reload(hop, tls="required", tls_ca=str(authority.folder))  # all that lies in it
    assert relay.deliver() == VERIFIED
    assert hop.offered == ["ann@allowed.test"] * 2


def test_pins(make_daemon, make_hop, authority, context):
    """The reason holds the pin that was missing; it is what openssl(1) says it is."""
    key = openssl("x509", "-in", authority.folder / "hop.crt", "-noout", "-pubkey")
    der = ssl.PEM_cert_to_DER_cert(key.replace("PUBLIC KEY", "CERTIFICATE"))
    pin = base64.b64encode(hashlib.sha256(der).digest()).decode()
    other = base64.b64encode(bytes(32)).decode()
    hop = make_hop(context=context)
    keys = {"tls": "required", "tls_verify": False}
    relay = Relay(make_daemon, hop=hop, tls_pin=[other], **keys)
    assert relay.refused().endswith(
        "the certificate's key is not pinned (tls_pin); its pin is " + pin)
    relay.reload(hop, tls_pin=[other, pin], **keys)
    assert relay.deliver().startswith("TLSv1.3 TLS_AES_256_GCM_SHA384, pinned, not verified: ")
    relay.reload(hop, tls="required", tls_pin=[pin], tls_ca=str(authority.certificate))
    assert relay.deliver() == VERIFIED + ", pinned"


def test_client_certificate(make_daemon, make_hop, authority, context, tmp_path):
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    hop = make_hop(context=context)
    keys = {"tls": "required", "tls_ca": str(authority.certificate)}
    relay = Relay(make_daemon, hop=hop, **keys)
    assert "the next hop wants a client certificate (tls_certificate)" in relay.refused()
    certificate, key = authority.sign("us", "/CN=us")
    relay.reload(hop, tls_certificate=str(certificate), tls_key=str(key), **keys)
    assert relay.deliver() == VERIFIED
    assert 'delivered ' in relay.daemon.log() and ' tls="%s"' % VERIFIED in relay.daemon.log()
    # A week before its end would be late to hear of it.
    assert re.search(r"warning .*routes\.0\.tls_certificate: the certificate expires in 1 days",
                     relay.daemon.log())
    # Who reads the key is checked at each reload; what is in force stays.
    key.chmod(0o644)
    relay.reload(hop, False, tls_certificate=str(certificate), tls_key=str(key), **keys)
    assert "routes.0.tls_certificate" in relay.daemon.log()
    assert relay.deliver().startswith(VERIFIED)


def test_sessions_and_reload(make_daemon, make_hop, authority, context, tmp_path):
    """A dial resumes; after SIGHUP old connections and sessions are gone, and files are read anew."""
    hop = make_hop(context=context)
    keys = {"tls": "required", "tls_ca": str(authority.certificate)}
    relay = Relay(make_daemon, hop=hop, **keys)
    assert [relay.deliver() for _ in range(2)] == [VERIFIED] * 2
    assert hop.connections == 1
    hop.converse = lambda connection, number: OneMessage(hop, connection, number)
    relay.reload(hop, **keys)
    assert relay.deliver() == VERIFIED
    assert hop.connections == 2
    assert [relay.deliver() for _ in range(3)] == [VERIFIED + ", resumed"] * 3
    assert hop.connections == 5
    # Another signer in the same file: what was trusted is not any more.
    authority.certificate.write_text(Authority(tmp_path / "next", "Next CA").certificate.read_text())
    relay.reload(hop, **keys)
    assert "signed by nobody we trust (issuer CN=Test CA)" in relay.refused()


def test_s238_files_at_start_and_reload(make_daemon, make_hop, authority, context, tmp_path):
    """A mistake like any other: exit 78 at the start, and a running daemon keeps what it has."""
    hop = make_hop(context=context)
    bad = tmp_path / "bad.pem"
    bad.write_text("garbage\n")
    keys = {"tls": "required", "tls_ca": str(authority.certificate)}
    relay = Relay(make_daemon, hop=hop, **keys)
    for path, words in ((bad, "no certificates to trust in it"),
                        (tmp_path / "none.pem", "can't be read: No such file or directory")):
        relay.reload(hop, False, tls="required", tls_ca=str(path))
        assert "routes.0.tls_ca: %s: %s" % (path, words) in relay.daemon.log()
    assert relay.deliver() == VERIFIED
    relay.daemon.stop()
    relay.configure(hop, tls="required", tls_ca=str(bad))
    relay.daemon.start(wait=False)
    assert relay.daemon.process.wait(PATIENCE) == 78
    relay.daemon.process = None
