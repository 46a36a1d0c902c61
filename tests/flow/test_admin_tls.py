"""The API and the page over TLS: admin.tls_certificate, admin.tls_key."""

import http.client
import json
import socket
import ssl

import pytest

from certificates import Authority, fingerprint
from daemon import wait_for


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


class Secure:
    """A daemon whose API speaks TLS; the fixture's own looks would be plain HTTP."""

    def __init__(self, make_daemon, authority, certificate, key):
        self.daemon = make_daemon(start=False)
        self.context = ssl.create_default_context(cafile=authority.certificate)
        self.write(certificate, key)
        self.daemon.request = self.request
        self.daemon.start()

    def write(self, certificate, key=""):
        text = self.daemon.config.read_text().splitlines()
        text = [line for line in text if not line.startswith("admin:")]
        text.append('admin: {listen: "127.0.0.1:%d", tls_certificate: "%s", tls_key: "%s"}'
                    % (self.daemon.api_port, certificate, key))
        self.daemon.config.write_text("\n".join(text) + "\n")

    def connect(self, context=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.daemon.api_port, timeout=30,
                                                 context=context or self.context)
        connection.connect()
        return connection

    def ask(self, connection, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("Authorization", "Bearer " + self.daemon.token)
        connection.request(method, path, body and json.dumps(body),
                           {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        response.body = response.read()
        return response

    def request(self, method, path, body=None, token="admin", headers=()):
        connection = self.connect()
        try:
            return self.ask(connection, method, path, body)
        finally:
            connection.close()

    def shown(self):
        """What a new connection is shown."""
        connection = self.connect()
        try:
            der = connection.sock.getpeercert(binary_form=True)
        finally:
            connection.close()
        return ssl.DER_cert_to_PEM_cert(der)

    def reloaded(self, words):
        count = self.daemon.log().count("reload ")
        self.daemon.hup()
        wait_for(lambda: self.daemon.log().count("reload ") > count, "the reload")
        assert words in self.daemon.log().splitlines()[-1], self.daemon.log()


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_only_tls_and_only_what_is_safe(make_daemon, authority):
    secure = Secure(make_daemon, authority, *authority.sign("one", "/CN=relay"))
    assert "listening protocol=https" in secure.daemon.log()
    connection = secure.connect()
    assert connection.sock.version() == "TLSv1.3"
    assert secure.ask(connection, "GET", "/api/v1/status").status == 200
    assert secure.ask(connection, "GET", "/").status == 200
    connection.close()
    old = ssl.create_default_context(cafile=authority.certificate)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    connection = secure.connect(old)
    assert connection.sock.version() == "TLSv1.2"
    connection.close()
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.load_verify_locations(authority.certificate)
    older.set_ciphers("ALL:@SECLEVEL=0")
    older.minimum_version = ssl.TLSVersion.TLSv1
    older.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        secure.connect(older)
    # Plain HTTP gets no answer, and the socket of this machine needs no TLS.
    with socket.create_connection(("127.0.0.1", secure.daemon.api_port), 30) as plain:
        plain.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain.recv(1000)


def test_a_session_belongs_to_the_secure_page(make_daemon, authority):
    secure = Secure(make_daemon, authority, *authority.sign("one", "/CN=relay"))
    connection = secure.connect()
    own = "https://127.0.0.1:%d" % secure.daemon.api_port
    answer = secure.ask(connection, "POST", "/api/v1/session", {"token": secure.daemon.token}, Origin=own)
    assert answer.status == 201
    cookie = answer.getheader("Set-Cookie").split(";")[0]
    csrf = json.loads(answer.body)["csrf"]
    for origin, status in ((own, 200), (own.replace("https", "http"), 403)):
        connection.request("POST", "/api/v1/delivery/resume", headers={
            "Cookie": cookie, "X-CSRF-Token": csrf, "Origin": origin})
        response = connection.getresponse()
        assert (origin, response.status) == (origin, status)
        response.read()
    connection.close()


def test_another_certificate_by_a_reload(make_daemon, authority, tmp_path):
    one, two = (authority.sign(name, "/CN=" + name, key=key) for name, key in (
        ("one", ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")), ("two", ("rsa:2048",))))
    both = tmp_path / "both.pem"  # the key in the certificate's file
    both.touch(0o600)
    both.write_text(one[0].read_text() + one[1].read_text())
    secure = Secure(make_daemon, authority, both, "")
    shown = tmp_path / "shown.pem"

    def fingerprint_shown():
        shown.write_text(secure.shown())
        return fingerprint(shown)
    assert fingerprint_shown() == fingerprint(one[0])
    standing = secure.connect()
    both.write_text(two[0].read_text() + two[1].read_text())
    secure.reloaded("the new configuration is in force")
    assert fingerprint_shown() == fingerprint(two[0])
    assert secure.ask(standing, "GET", "/api/v1/status").status == 200
    # A bad file keeps what there is, whole.
    both.write_text("nonsense")
    secure.reloaded("kept the old configuration")
    assert fingerprint_shown() == fingerprint(two[0])
    both.write_text(one[0].read_text() + two[1].read_text())
    secure.reloaded("kept the old configuration")
    assert fingerprint_shown() == fingerprint(two[0])
    # Without TLS another program would be needed at the port: a restart.
    secure.write("")
    secure.reloaded("kept the old configuration")
    assert "TLS begins or ends only with a restart" in secure.daemon.log()
    assert secure.ask(standing, "GET", "/api/v1/status").status == 200
    standing.close()


def test_a_stop_while_somebody_shakes_hands(make_daemon, authority):
    """Half a handshake holds nothing up, neither others nor the stop."""
    secure = Secure(make_daemon, authority, *authority.sign("one", "/CN=relay"))
    halves = [socket.create_connection(("127.0.0.1", secure.daemon.api_port)) for _ in range(5)]
    for half in halves:
        half.sendall(b"\x16\x03\x01\x02\x00\x01")
    connection = secure.connect()
    assert secure.ask(connection, "GET", "/api/v1/status").status == 200
    assert secure.daemon.stop() == 0
    for half in halves:
        half.close()
    connection.close()
